"""A reward model as it reads and scores outside frft: by its own tokenizer, in Transformers' own forward pass.

What frft computes is compared with this. Only `OwnModel.scores` of a model that Transformers cannot load by itself
(adapters, OpenRLHF's form, classes of packages) is by the weights that frft loaded.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from frft.conversation import content_of, parse_dialogue, plain_text, render_dialogue
from frft.models import model_source, quiet, tokenizer_source
from frft.models.classifiers import OPENRLHF_CLASSES
from frft.models.heads import architecture_of
from frft.models.special import special_ids
from frft.reward import RewardModel
from frft.reward.reward_file import COMPLETION, CONVERSATION, Reads

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

PaddingSide = Literal["left", "right"]

_SAID: list[tuple[list[tuple[str, str]], str]] = [
    ([("user", "Why is the sky blue?")], "Because air scatters blue light more than red light."),
    ([("user", "Name three colors.")], "Red."),
    ([("user", "Write nothing.")], ""),
    ([("user", "¿Qué significa «こんにちは»? \U0001f600")], "Es «hola» en japonés: こんにちは."),
    ([("user", "Indent this:\n\ndef f():\nreturn 1")], "```python\ndef f():\n    return 1\n```\n"),
    ([("user", "How do I bake bread? " * 6)], "Mix flour, water, salt and yeast. " * 6),
    (
        [("user", "Hi!"), ("assistant", "Hello, what can I do?"), ("user", "Tell me about tea.")],
        "Tea is made of leaves.",
    ),
    ([("system", "Answer in one word."), ("user", "Is water wet?")], "Yes."),
]


def built_in_texts() -> tuple[list[str], list[str]]:
    """Prompts and completions that every reward model can be tried on: turns, a system prompt, scripts, lengths."""
    prompts = [render_dialogue([{"role": role, "content": text} for role, text in turns]) for turns, _ in _SAID]
    return prompts, [f" {answer}" for _, answer in _SAID]


@dataclass(frozen=True)
class OwnTokens:
    """Token sequences of N texts by a model's own tokenizer.

    Attributes:
        ids: token ids of each text; None where it is not compared.
        refused: texts that the chat template refuses.
        named: texts that hold the name of a special token, which frft reads as text and the tokenizer as that token.
        cut: texts longer than the model's longest sequence, which frft cuts.
    """

    ids: list[list[int] | None]
    refused: int
    named: int
    cut: int

    @property
    def compared(self) -> list[int]:
        """Rows that are compared."""
        return [row for row, ids in enumerate(self.ids) if ids is not None]


def own_tokenizer(name: str | Path, template: str | None, *, trust_remote_code: bool) -> PreTrainedTokenizerBase:
    """A model's tokenizer as Transformers loads it, which reads by its own template, or by `template` without one."""
    from transformers import AutoTokenizer

    source = tokenizer_source(name)
    with quiet():
        tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(
            source.base, revision=source.revision, trust_remote_code=trust_remote_code
        )
    if tokenizer.chat_template is None:
        tokenizer.chat_template = template
    return tokenizer


def own_tokens(
    tokenizer: PreTrainedTokenizerBase,
    prompts: Sequence[str],
    completions: Sequence[str],
    max_length: int,
    reads: Reads = CONVERSATION,
) -> OwnTokens:
    """Token sequences of N texts: `apply_chat_template(tokenize=True)`, or prompt, completion and EOS as one text.

    Args:
        tokenizer: as `own_tokenizer` loads it.
        prompts, completions: the texts, as in a pool, N of each.
        max_length: the model's longest sequence in tokens.
        reads: whether it reads prompt and completion, or completions without their prompts.
    """
    names = [str(each) for each in tokenizer.convert_ids_to_tokens(sorted(special_ids(tokenizer))) if each]
    found: list[list[int] | None] = []
    refused = named = cut = 0
    for prompt, completion in zip(prompts, completions, strict=True):
        ids = None
        given = completion if reads == COMPLETION else prompt + completion
        if any(name in given for name in names):
            named += 1
        elif (ids := _own_ids(tokenizer, None if reads == COMPLETION else prompt, completion)) is None:
            refused += 1
        elif len(ids) > max_length:
            cut, ids = cut + 1, None
        found.append(ids)
    return OwnTokens(found, refused, named, cut)


def _own_ids(tokenizer: PreTrainedTokenizerBase, prompt: str | None, completion: str) -> list[int] | None:
    if tokenizer.chat_template is None:
        end = tokenizer.sep_token_id if tokenizer.eos_token_id is None else tokenizer.eos_token_id
        if prompt is None:
            alone: list[int] = tokenizer(completion, verbose=False)["input_ids"]
            return alone if alone and alone[-1] == end else [*alone, end]
        first: list[int] = tokenizer(plain_text(prompt), verbose=False)["input_ids"]
        if first and first[-1] == tokenizer.sep_token_id:
            # BERT and its like read two texts with a separator between them.
            return [*first, *tokenizer(completion, add_special_tokens=False, verbose=False)["input_ids"], end]
        whole: list[int] = tokenizer(plain_text(prompt) + completion, verbose=False)["input_ids"]
        return whole if whole and whole[-1] == end else [*whole, end]
    before = [] if prompt is None else parse_dialogue(prompt)
    content = completion.removeprefix(" ") if prompt is None else content_of(prompt, completion)
    messages = [*before, {"role": "assistant", "content": content}]
    try:
        ids: list[int] = tokenizer.apply_chat_template(
            messages, tokenize=True, return_dict=False, tokenizer_kwargs={"verbose": False}
        )
    except Exception:  # noqa: BLE001 - a template is a stranger's program, which refuses in its own way
        return None
    return ids


class OwnModel:
    """A reward model's own forward pass.

    Attributes:
        by_itself: whether Transformers loaded it, without frft.
    """

    def __init__(self, model: PreTrainedModel, *, difference: bool, by_itself: bool) -> None:
        self.model = model
        self.by_itself = by_itself
        self._difference = difference

    @classmethod
    def load(cls, name: str | Path, scorer: RewardModel, *, trust_remote_code: bool) -> OwnModel:
        """Load it by Transformers alone, in the number format of `scorer`; where that cannot be, take its weights."""
        from transformers import AutoModelForSequenceClassification

        source, difference = model_source(name), scorer.head.kind == "difference"
        foreign = scorer.head.kind not in ("saved", "difference") or architecture_of(name) in OPENRLHF_CLASSES
        if source.adapters or foreign:
            return cls(scorer.model, difference=False, by_itself=False)
        with quiet():
            model = AutoModelForSequenceClassification.from_pretrained(
                source.base,
                num_labels=2 if difference else 1,
                dtype=scorer.dtype,
                use_safetensors=True,
                trust_remote_code=trust_remote_code,
            )
        return cls(model.to(scorer.device).eval(), difference=difference, by_itself=True)

    def scores(self, sequences: Sequence[Sequence[int]]) -> NDArray[np.float64]:
        """Scores of N token sequences, one at a time and without padding, float64 (N,)."""
        import numpy as np
        import torch

        return np.array([self._forward(torch.tensor([ids]), None)[0] for ids in sequences], dtype=np.float64)

    def padded_scores(
        self, tokenizer: PreTrainedTokenizerBase, sequences: Sequence[Sequence[int]], size: int, side: PaddingSide
    ) -> NDArray[np.float64]:
        """Scores of N token sequences in batches of `size`, padded on a side by the tokenizer, float64 (N,).

        Raises:
            ValueError: the tokenizer or the model's configuration has no padding token.
        """
        import numpy as np

        before, tokenizer.padding_side = tokenizer.padding_side, side
        scores: list[float] = []
        try:
            for start in range(0, len(sequences), size):
                rows = {"input_ids": [list(ids) for ids in sequences[start : start + size]]}
                batch = tokenizer.pad(rows, return_tensors="pt", return_attention_mask=True)
                scores += self._forward(batch["input_ids"], batch["attention_mask"])
        finally:
            tokenizer.padding_side = before
        return np.array(scores, dtype=np.float64)

    def _forward(self, ids_BT: Any, mask_BT: Any) -> list[float]:
        import torch

        device = self.model.device
        masks = {} if mask_BT is None else {"attention_mask": mask_BT.to(device)}
        if not self.by_itself and not masks:
            masks = {"attention_mask": torch.ones_like(ids_BT).to(device)}
        with torch.inference_mode():
            logits_BL = self.model(input_ids=ids_BT.to(device), **masks).logits.double()
        scores_B = logits_BL[:, 1] - logits_BL[:, 0] if self._difference else logits_BL[:, 0]
        return [float(score) for score in scores_B]
