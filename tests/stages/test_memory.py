"""Models without weights: what is counted of them is what a real model and a real pass hold."""

from __future__ import annotations

import pytest
import torch

from frft.config.sections import LoraConfig, PolicyConfig, RewardModelConfig, ScratchConfig, TrainConfig
from frft.models import build_causal_lm, load_causal_lm, train_tokenizer
from frft.stages import Workload, training_passes
from frft.stages.memory import (
    FLOAT,
    adapted_on_meta,
    classifier_on_meta,
    kept_for_backward,
    machine_memory,
    policy_on_meta,
    weight_bytes,
)

READS = ("conversation", "completion")
SCRATCH = {"hidden_size": 64, "num_hidden_layers": 3, "num_attention_heads": 4, "vocab_size": 500}


def test_the_scratch_policy_has_its_full_vocabulary_and_no_memory():
    # Per block 12 d^2 + 13 d; tables of tokens and positions; the last norm. The head is the table of tokens.
    d, vocabulary, positions, layers = 64, 500, 512, 3
    expected = layers * (12 * d * d + 13 * d) + (vocabulary + positions) * d + 2 * d
    policy = policy_on_meta(PolicyConfig(scratch=ScratchConfig(**SCRATCH)))
    assert weight_bytes(policy) == FLOAT * expected
    assert {parameter.device.type for parameter in policy.parameters()} == {"meta"}


def test_a_named_policy_is_counted_from_its_configuration(tiny_lm_folder, tiny_tokenizer):
    real = load_causal_lm(tiny_lm_folder, tiny_tokenizer)
    policy = policy_on_meta(PolicyConfig(model_name_or_path=str(tiny_lm_folder)))
    assert weight_bytes(policy) == FLOAT * real.num_parameters()
    classifier = classifier_on_meta(policy.config, trust_remote_code=False)
    assert weight_bytes(classifier) == FLOAT * (real.num_parameters() + policy.config.hidden_size)


@pytest.mark.parametrize("architecture", ["gpt2", "llama"])
def test_what_is_kept_for_the_backward_pass_is_what_a_real_pass_keeps(architecture):
    config = ScratchConfig(architecture=architecture, **SCRATCH)
    policy = policy_on_meta(PolicyConfig(scratch=config))
    real = build_causal_lm(config, train_tokenizer(["a"], config), 0)
    real.resize_token_embeddings(config.vocab_size, mean_resizing=False)
    kept = {}

    def keep(tensor):
        kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    ids = torch.ones(4, 96, dtype=torch.long)
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        output = real(input_ids=ids, attention_mask=torch.ones_like(ids), use_cache=False)
        own = sum(kept.get(parameter.untyped_storage().data_ptr(), 0) for parameter in real.parameters())
        found = sum(kept.values()) - own
        del output
    assert kept_for_backward(policy, 4, 96, use_cache=False) == pytest.approx(found, rel=0.05)


def test_only_adapters_are_trained_where_there_are_adapters():
    policy = policy_on_meta(PolicyConfig(scratch=ScratchConfig(**SCRATCH)))
    adapted = adapted_on_meta(policy, LoraConfig(r=4), "CAUSAL_LM")
    d, r, layers = 64, 4, 3
    # On the four matrices of a block: (d, 3d), (d, d), (d, 4d), (4d, d).
    assert weight_bytes(adapted, trained=True) == FLOAT * layers * r * (4 * d + 2 * d + 5 * d + 5 * d)


def test_of_a_frozen_backbone_nothing_is_kept_but_what_the_head_reads():
    workload = Workload(
        PolicyConfig(scratch=ScratchConfig(**SCRATCH)), sequence=64, completion=32, texts=0, longest_text=0
    )
    d, layers, pairs, length = 64, 3, 8, 96
    train = TrainConfig(per_device_train_batch_size=pairs, max_length=length)
    configs = [RewardModelConfig(train=train, freeze_backbone=frozen) for frozen in (False, True)]
    weights = workload.classifier_bytes(configs[0])
    full, frozen = (workload.classifier_training_bytes(config) for config in configs)
    states = 2 * pairs * length * d
    block = (full - 4 * weights) / layers
    assert frozen == pytest.approx(weights + FLOAT * (3 * d + states) + block, rel=1e-3)
    checkpointed = configs[1].model_copy(update={"train": train.model_copy(update={"gradient_checkpointing": True})})
    assert workload.classifier_training_bytes(checkpointed) == frozen
    assert [training_passes(config) for config in configs] == [3, 1]
    assert [workload.read_tokens(configs[0].model_copy(update={"reads": each})) for each in READS] == [64, 32]


def test_the_machine_has_memory():
    assert 2**28 < machine_memory() < 2**50
