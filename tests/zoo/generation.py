"""Greedy decoding: what frft's loop writes to a chat template's prompt, and what Transformers' `generate` does."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from .architectures import write_model
from .conversations import conversations
from .reference import Reference
from .templates import TEMPLATES
from .tokenizers import Recipe

NEW_TOKENS = 24
PROMPTS = 14


@dataclass(frozen=True)
class Case:
    """A policy.

    Attributes:
        seed: of its weights.
        loud: factor of the special tokens' output weights; with 1, so few of so many tokens would hardly be written.
    """

    architecture: str
    family: str
    template: str
    pad: str = "own"
    seed: int = 0
    loud: float = 1.8

    @property
    def name(self) -> str:
        """Short, for reports."""
        return f"{self.architecture}-{self.family}-{self.template}-{self.pad}"


GREEDY = [
    Case("gpt2", "gpt2", "chatml", pad="none", seed=4),
    Case("llama", "llama3", "llama3"),
    Case("llama", "llama2", "mistral", pad="none"),
    Case("qwen2", "qwen2", "chatml"),
    Case("qwen3", "qwen2", "thinking", pad="eos"),
    Case("gemma2", "gemma", "gemma", loud=2.1),
    Case("gemma3_text", "gemma", "gemma", seed=4),
    Case("mistral", "mistral", "mistral", pad="eos"),
    Case("phi3", "llama2", "phi3"),
]


@dataclass(frozen=True)
class Written:
    """Tokens of each completion, its end included.

    Attributes:
        frft: by the decode loop, in batches of prompts of several lengths.
        transformers: by `generate`, one prompt at a time.
        same_ends: whether both say of as many that they ended, and were not cut.
        ended_at: the tokens that ended one.
    """

    frft: list[list[int]]
    transformers: list[list[int]]
    same_ends: bool
    ended_at: set[int]


def written(case: Case, folder: Path) -> Written:
    """What both write to the same prompts, with several tokens at which a completion ends."""
    import torch
    from transformers import AutoModelForCausalLM

    from frft import SamplingConfig, generate, render_dialogue
    from frft.models import load_causal_lm, load_tokenizer, quiet

    write_model(case.architecture, folder, causal=True, seed=case.seed)
    reference = Reference(Recipe(case.family, case.template, pad=case.pad), folder)
    talks = conversations(PROMPTS, 3, system=TEMPLATES[case.template].system, kinds=("plain", "unicode", "code"))
    special = [id_ for id_, token in sorted(reference.tokenizer.added_tokens_decoder.items()) if token.special]
    # All are listed as ends, also the one that pads, as Qwen's <|endoftext|> does.
    with quiet():
        model = AutoModelForCausalLM.from_pretrained(folder, dtype="float32").eval()
        with torch.no_grad():
            model.get_output_embeddings().weight[special] *= case.loud
        model.save_pretrained(folder)
    (folder / "generation_config.json").write_text(json.dumps({"eos_token_id": special}))

    tokenizer = load_tokenizer(folder)
    sampling = SamplingConfig(top_k=1, max_new_tokens=NEW_TOKENS, max_prompt_tokens=1000)
    prompts = [render_dialogue(talk.messages) for talk in talks]
    ours = generate(load_causal_lm(folder, tokenizer), tokenizer, prompts, sampling, seed=0, batch_size=5)
    rows = []
    for talk in talks:
        ids = torch.tensor([reference.prompt(talk)])
        settings = {"do_sample": False, "max_new_tokens": NEW_TOKENS, "eos_token_id": special, "pad_token_id": 0}
        with torch.no_grad(), quiet():
            whole = model.generate(ids, attention_mask=torch.ones_like(ids), **settings)
        rows.append(whole[0, ids.shape[1] :].tolist())
    ended = [row[-1] for row in rows if row[-1] in special]
    return Written(ours.tokens, rows, sum(ours.has_eos) == len(ended), set(ended))
