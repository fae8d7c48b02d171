"""Shared by reward models and policies: tokenizers, encoding, loading, threads and seeds."""

from frft.models.adapters import WithoutAdapters, add_adapters
from frft.models.encoding import EncodedPair, Encoder, TruncationCount
from frft.models.heads import HeadRequest, RewardHead, ScoreHead, find_head, head_origin
from frft.models.launch import decided_by_main, is_main_process, peers, process_count
from frft.models.loading import (
    Dtype,
    check_positions,
    load_causal_lm,
    load_model_config,
    load_reward_backbone,
    load_tokenizer,
    load_with_its_head,
    longest_sequence,
    save_model,
    tokenizer_source,
)
from frft.models.peft_folders import model_source
from frft.models.runtime import choose_threads, quiet, seed_for, seeded, use_threads
from frft.models.scratch import build_causal_lm, train_tokenizer

__all__ = [
    "Dtype",
    "EncodedPair",
    "Encoder",
    "HeadRequest",
    "RewardHead",
    "ScoreHead",
    "TruncationCount",
    "WithoutAdapters",
    "add_adapters",
    "build_causal_lm",
    "check_positions",
    "choose_threads",
    "decided_by_main",
    "find_head",
    "head_origin",
    "is_main_process",
    "load_causal_lm",
    "load_model_config",
    "load_reward_backbone",
    "load_tokenizer",
    "load_with_its_head",
    "longest_sequence",
    "model_source",
    "peers",
    "process_count",
    "quiet",
    "save_model",
    "seed_for",
    "seeded",
    "tokenizer_source",
    "train_tokenizer",
    "use_threads",
]
