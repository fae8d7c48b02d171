"""Tiny random models of twelve architectures: sequence classifiers with one output, and language models."""

from __future__ import annotations

from pathlib import Path
from typing import Any

WIDTH = 32
POSITIONS = 2048
VOCABULARY = 768
"""Rows of the embedding: more than any tokenizer of the zoo has tokens, as in many published models."""
WINDOW = 24
"""Tokens that local attention sees where an architecture has it: shorter than the texts, so that it counts."""

_COMMON = {"vocab_size": VOCABULARY, "max_position_embeddings": POSITIONS, "initializer_range": 0.2}
_BLOCKS = {"hidden_size": WIDTH, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4}
_ROTARY = {**_BLOCKS, "num_key_value_heads": 2, "head_dim": 8, "attention_dropout": 0.0}
_BERT = {**_BLOCKS, "hidden_dropout_prob": 0.1, "attention_probs_dropout_prob": 0.1}

SETTINGS: dict[str, dict[str, Any]] = {
    "gpt2": {"n_embd": WIDTH, "n_layer": 2, "n_head": 4, "n_positions": POSITIONS},
    "llama": _ROTARY,
    "qwen2": {**_ROTARY, "head_dim": None},
    "qwen3": _ROTARY,
    "gemma2": {**_ROTARY, "query_pre_attn_scalar": 8, "sliding_window": WINDOW},
    "gemma3_text": {**_ROTARY, "query_pre_attn_scalar": 8, "sliding_window": WINDOW},
    "mistral": {**_ROTARY, "sliding_window": WINDOW},
    "phi3": {**_ROTARY, "head_dim": None, "original_max_position_embeddings": POSITIONS},
    "bert": _BERT,
    "deberta-v2": {
        **_BERT,
        "relative_attention": True,
        "position_buckets": 16,
        "pos_att_type": ["p2c", "c2p"],
        "share_att_key": True,
        "norm_rel_ebd": "layer_norm",
        "type_vocab_size": 0,
        "pooler_hidden_size": WIDTH,
    },
    "modernbert": {**_BLOCKS, "local_attention": WINDOW, "global_attn_every_n_layers": 2, "reference_compile": False},
    "roberta": {**_BERT, "type_vocab_size": 1, "max_position_embeddings": POSITIONS + 600},
}
"""Model type -> its settings."""
ARCHITECTURES = list(SETTINGS)
CAUSAL = ARCHITECTURES[:8]
"""Those that write."""


def write_model(architecture: str, folder: Path, *, causal: bool = False, seed: int = 0) -> None:
    """Write a model's configuration and weights (safetensors, float32) into a folder."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForSequenceClassification

    from frft.models import quiet, seeded

    tokens = {"pad_token_id": 0, "bos_token_id": None, "eos_token_id": None}
    settings = {**_COMMON, **SETTINGS[architecture], **tokens}
    settings = {name: value for name, value in settings.items() if name != "head_dim" or value is not None}
    with quiet(), seeded(seed):
        config = AutoConfig.for_model(architecture, num_labels=1, **settings)
        make = AutoModelForCausalLM if causal else AutoModelForSequenceClassification
        model = make.from_config(config, dtype=torch.float32)
        # Some architectures start with biases and norms at 0 or 1, which would hide that they are read at all.
        for parameter in model.parameters():
            torch.nn.init.normal_(parameter, std=0.2) if parameter.ndim > 1 else parameter.data.add_(
                torch.randn_like(parameter), alpha=0.1
            )
        model.save_pretrained(folder)
