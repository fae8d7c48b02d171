"""Predicted memory: what is counted without memory is what a real pass holds."""

from __future__ import annotations

import pytest
import torch

from frft.config.model import RunConfig
from frft.config.sections import LoraConfig, PolicyConfig, ScratchConfig
from frft.experiment.memory import (
    FLOAT,
    LIBRARIES_BYTES,
    MemoryModel,
    classifier_on_meta,
    kept_for_backward,
    machine_memory,
    policy_on_meta,
    weights,
)
from frft.models import add_adapters, build_causal_lm, load_causal_lm, train_tokenizer

PROCESS = 500 * 2**20
SCRATCH = {"hidden_size": 64, "num_hidden_layers": 3, "num_attention_heads": 4, "vocab_size": 500}


def model_of(**changes) -> MemoryModel:
    config = RunConfig.model_validate({"data": {"pairs": "x"}, "policy": {"scratch": SCRATCH}, **changes})
    return MemoryModel(config, policy_on_meta(config.policy), texts=1000, longest_text=300, process=PROCESS)


def test_the_scratch_policy_has_its_full_vocabulary_and_no_memory():
    # Per block 12 d^2 + 13 d; tables of tokens and positions; the last norm. The head is the table of tokens.
    d, vocabulary, positions, layers = 64, 500, 512, 3
    expected = layers * (12 * d * d + 13 * d) + (vocabulary + positions) * d + 2 * d
    policy = policy_on_meta(PolicyConfig(scratch=ScratchConfig(**SCRATCH)))
    assert weights(policy) == FLOAT * expected
    assert {parameter.device.type for parameter in policy.parameters()} == {"meta"}


def test_a_named_policy_is_counted_from_its_configuration(tiny_lm_folder, tiny_tokenizer):
    real = load_causal_lm(tiny_lm_folder, tiny_tokenizer)
    policy = policy_on_meta(PolicyConfig(model_name_or_path=str(tiny_lm_folder)))
    assert weights(policy) == FLOAT * real.num_parameters()
    classifier = classifier_on_meta(policy.config, trust_remote_code=False)
    assert weights(classifier) == FLOAT * (real.num_parameters() + policy.config.hidden_size)


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
    with torch.device("meta"):
        adapted = add_adapters(policy, LoraConfig(r=4), "CAUSAL_LM", seed=0)
    d, r, layers = 64, 4, 3
    # On the four matrices of a block: (d, 3d), (d, d), (d, 4d), (4d, d).
    assert weights(adapted, trained=True) == FLOAT * layers * r * (4 * d + 2 * d + 5 * d + 5 * d)


def held(model: MemoryModel, kind: str) -> int:
    """What a stage holds beside the process itself."""
    return model.peak(kind) - PROCESS - LIBRARIES_BYTES


def test_training_holds_weights_gradients_moments_and_activations():
    model = model_of()
    train = model.config.policy.sft
    tokens = train.per_device_train_batch_size * train.max_length
    activations = kept_for_backward(model.policy, train.per_device_train_batch_size, train.max_length, use_cache=False)
    logits = FLOAT * tokens * 500
    assert held(model, "sft") >= 4 * weights(model.policy) + activations + 2 * logits
    assert held(model, "sft") <= 4 * weights(model.policy) + activations + 6 * logits


def test_settings_that_save_memory_are_seen_to():
    scratch = {"policy": {"scratch": {**SCRATCH, "hidden_size": 256, "num_hidden_layers": 6}}}
    # Few rollouts at a time, so that it is the update that needs most.
    ppo = {"rollout_batch_size": 4}
    plain = held(model_of(**scratch, ppo=ppo), "ppo")
    saving = {
        "lora": held(model_of(policy={**scratch["policy"], "lora": {}}, ppo=ppo), "ppo"),
        **{
            str(change): held(model_of(**scratch, ppo={**ppo, **change}), "ppo")
            for change in (
                {"critic": "shared"},
                {"bf16": True},
                {"gradient_checkpointing": True},
                {"forward_batch_tokens": 400},
            )
        },
    }
    assert all(0 < each < plain for each in saving.values()), (plain, saving)
    anchored = model_of(**scratch, ppo=ppo, arms={"vanilla": {"alpha": 0}, "moving": {"kl_anchor": "previous"}})
    assert held(anchored, "ppo") - plain == weights(anchored.policy)


def test_every_member_of_an_ensemble_is_held():
    plain = model_of()
    ensemble = model_of(arms={"vanilla": {"alpha": 0}, "uwo": {"alpha": 0, "ensemble": 5}})
    member = weights(classifier_on_meta(plain.policy.config, trust_remote_code=False))
    for kind in ("ppo", "completions", "evaluation", "look", "agreement"):
        assert held(ensemble, kind) - held(plain, kind) == 4 * member, kind
    # They are trained one after the other.
    assert held(ensemble, "reward") == held(plain, "reward")


def test_long_prompts_cost_cache_and_selections_cost_an_embedder():
    assert held(model_of(), "completions") < held(
        model_of(ppo={"sampling": {"max_prompt_tokens": 300, "max_new_tokens": 128}}), "completions"
    )
    model = model_of()
    blind, looking = (model.peak("selection", embedder=embedder) for embedder in (False, True))
    assert blind == PROCESS + LIBRARIES_BYTES
    assert looking > blind + 2**29
    for kind in ("reward", "judge", "refresh", "evaluation"):
        assert held(model, kind) > 0


def test_the_machine_has_memory():
    assert 2**28 < machine_memory() < 2**50
