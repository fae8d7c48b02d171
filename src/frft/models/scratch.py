"""Randomly initialised models and freshly trained tokenizers, for machines without pretrained weights."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from frft.config.sections import ScratchConfig
from frft.models.runtime import seeded

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

PAD_TOKEN = "<|pad|>"  # noqa: S105 - a token of a vocabulary, not a secret
EOS_TOKEN = "<|endoftext|>"  # noqa: S105


def train_tokenizer(texts: Iterable[str], config: ScratchConfig) -> PreTrainedTokenizerBase:
    """Train a byte-level BPE tokenizer: any text round-trips, padding and EOS are distinct.

    Args:
        texts: the text to learn merges from.
        config: gives the vocabulary size and the longest sequence in tokens.
    """
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=config.vocab_size,
        special_tokens=[PAD_TOKEN, EOS_TOKEN],
        # All 256 bytes are tokens, so that no text is unknown, whatever the training text held.
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer=trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token=PAD_TOKEN,
        eos_token=EOS_TOKEN,
        model_max_length=config.max_position_embeddings,
        clean_up_tokenization_spaces=False,
    )


def build_causal_lm(config: ScratchConfig, tokenizer: PreTrainedTokenizerBase, seed: int) -> PreTrainedModel:
    """A causal language model with random weights and without dropout.

    With dropout, two passes of one policy would differ, and PPO's probability ratio would not be 1 before an update.

    Args:
        config: architecture and sizes.
        tokenizer: gives the vocabulary and the special tokens.
        seed: seed of the weights.
    """
    from transformers import AutoModelForCausalLM, GPT2Config, LlamaConfig

    from frft.models.kernels import with_fast_kernels

    shared = {
        "vocab_size": len(tokenizer),
        "bos_token_id": tokenizer.eos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }
    if config.architecture == "gpt2":
        model_config = GPT2Config(
            n_embd=config.hidden_size,
            n_layer=config.num_hidden_layers,
            n_head=config.num_attention_heads,
            n_positions=config.max_position_embeddings,
            resid_pdrop=0.0,
            embd_pdrop=0.0,
            attn_pdrop=0.0,
            **shared,
        )
    else:
        model_config = LlamaConfig(
            hidden_size=config.hidden_size,
            intermediate_size=4 * config.hidden_size,
            num_hidden_layers=config.num_hidden_layers,
            num_attention_heads=config.num_attention_heads,
            num_key_value_heads=config.num_attention_heads,
            max_position_embeddings=config.max_position_embeddings,
            tie_word_embeddings=True,
            **shared,
        )
    with seeded(seed):
        return with_fast_kernels(AutoModelForCausalLM.from_config(model_config))
