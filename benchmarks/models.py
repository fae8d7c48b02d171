"""The models that are measured, by size, and the text that makes a tokenizer and prompts."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.arithmetic import Shape

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

SHAPES = {
    "0.5M": Shape(64, 4, 4),
    "0.9M": Shape(96, 4, 4),
    "2.7M": Shape(192, 4, 4),
    "4.3M": Shape(256, 4, 4),
    "20M": Shape(512, 6, 8),
    "124M": Shape(768, 12, 12, 50257),
    "355M": Shape(1024, 24, 16, 50257),
}
"""By number of parameters; 2.7M is the preset hh-small's, 124M and 355M are GPT-2 and GPT-2 Medium."""

PAIRS = Path(__file__).parents[2] / "shared" / "data" / "hh-rlhf"
"""Preference pairs that stand beside the project on some machines."""


def random_model(shape: Shape, seed: int = 0, *, eos_token_id: int = 1, pad_token_id: int = 0) -> PreTrainedModel:
    """A GPT-2 with random weights and without dropout: speed does not depend on what a model has learned."""
    from transformers import GPT2Config, GPT2LMHeadModel

    from frft.models import seeded

    config = GPT2Config(
        vocab_size=shape.vocab_size,
        n_embd=shape.hidden_size,
        n_layer=shape.num_hidden_layers,
        n_head=shape.num_attention_heads,
        n_positions=512,
        resid_pdrop=0.0,
        embd_pdrop=0.0,
        attn_pdrop=0.0,
        bos_token_id=eos_token_id,
        eos_token_id=eos_token_id,
        pad_token_id=pad_token_id,
    )
    with seeded(seed):
        return GPT2LMHeadModel(config).eval()


def load_pairs(path: Path) -> dict[str, list[str]]:
    """Columns prompt, chosen and rejected of preference data in any form that frft reads."""
    from frft import load_pool

    table = load_pool(path).table
    return {name: table[name].to_pylist() for name in ("prompt", "chosen", "rejected")}


def short_prompts(prompts: list[str], tokenizer: PreTrainedTokenizerBase, most: int) -> list[str]:
    """Those of at most `most` tokens, each once and in their order, so that nobody has to cut any."""
    from frft.models import Encoder

    distinct = list(dict.fromkeys(prompts))
    encoded = Encoder(tokenizer, 10**6).encode_prompts(distinct, 10**6)
    return [prompt for prompt, ids in zip(distinct, encoded, strict=True) if len(ids) <= most]
