"""SFT: the loss is the mean negative log-likelihood of the completion, and it can be learned."""

from __future__ import annotations

import math

import pytest
import torch

from frft.config.sections import SamplingConfig, TrainConfig
from frft.errors import DataError, ModelError, TrainingError
from frft.models import EncodedPair, Encoder, load_causal_lm, save_model
from frft.policy.generation import generate
from frft.policy.sft import _labels, fine_tune

PROMPTS = ["\n\nHuman: Say red.\n\nAssistant:", "\n\nHuman: Say blue.\n\nAssistant:"]
COMPLETIONS = [" red red", " blue"]


@pytest.fixture
def policy(tiny_lm_folder, tiny_tokenizer):
    return load_causal_lm(tiny_lm_folder, tiny_tokenizer)


def expected_loss(policy, tokenizer, *, whole_text):
    """Token by token, without a batch, a mask or a trainer."""
    total, count = 0.0, 0
    for pair in Encoder(tokenizer, 64).encode(PROMPTS, COMPLETIONS):
        with torch.no_grad():
            logprobs = policy(input_ids=torch.tensor([pair.ids])).logits[0].log_softmax(-1)
        first = 1 if whole_text else len(pair.prompt)
        for position in range(first, len(pair.ids)):
            total -= logprobs[position - 1, pair.ids[position]].item()
            count += 1
    return total / count


@pytest.mark.parametrize("whole_text", [False, True])
def test_the_first_loss_is_the_likelihood_by_hand(policy, tiny_tokenizer, tmp_path, whole_text):
    expected = expected_loss(policy, tiny_tokenizer, whole_text=whole_text)
    config = TrainConfig(num_train_epochs=1, per_device_train_batch_size=2, max_length=64)
    report = fine_tune(
        policy, tiny_tokenizer, PROMPTS, COMPLETIONS, config, seed=0, workdir=tmp_path, whole_text=whole_text
    )
    assert report.losses == [pytest.approx(expected, abs=1e-3)]


def test_it_learns_what_to_say_and_when_to_stop(policy, tiny_tokenizer, tmp_path):
    config = TrainConfig(num_train_epochs=60, learning_rate=5e-3, per_device_train_batch_size=2, max_length=64)
    fine_tune(policy, tiny_tokenizer, PROMPTS, COMPLETIONS, config, seed=0, workdir=tmp_path)
    greedy = SamplingConfig(top_k=1, max_new_tokens=20, max_prompt_tokens=32)
    written = generate(policy, tiny_tokenizer, PROMPTS, greedy, seed=0)
    assert written.completions == COMPLETIONS
    assert all(written.has_eos)


def test_equal_arguments_give_equal_weights(tiny_lm_folder, tiny_tokenizer, tmp_path):
    config = TrainConfig(num_train_epochs=2, per_device_train_batch_size=1, max_length=64)
    weights = []
    for _ in range(2):
        policy = load_causal_lm(tiny_lm_folder, tiny_tokenizer)
        fine_tune(policy, tiny_tokenizer, PROMPTS, COMPLETIONS, config, seed=4, workdir=tmp_path)
        weights.append(torch.cat([p.detach().flatten() for p in policy.parameters()]))
    assert torch.equal(*weights)


def test_nothing_to_learn_and_divergence_are_errors(policy, tiny_tokenizer, tmp_path):
    config = TrainConfig(num_train_epochs=30, learning_rate=1e30, per_device_train_batch_size=2, max_length=64)
    with pytest.raises(DataError, match="no example"):
        fine_tune(policy, tiny_tokenizer, [], [], config, seed=0, workdir=tmp_path)
    with pytest.raises(TrainingError, match="broke down at step"):
        fine_tune(policy, tiny_tokenizer, PROMPTS, COMPLETIONS, config, seed=0, workdir=tmp_path)


@pytest.mark.parametrize("whole_text", [False, True])
def test_a_cut_completion_does_not_teach_to_stop(policy, tiny_tokenizer, tmp_path, whole_text):
    max_length = len(tiny_tokenizer(COMPLETIONS[0])["input_ids"]) + 4
    short, long = COMPLETIONS[0], COMPLETIONS[0] + " and more"
    first, second = Encoder(tiny_tokenizer, max_length).encode(["Human", "Human"], [short, long])
    assert (first.cut, second.cut) == (False, True)
    total, count = 0.0, 0
    for pair in (first, second):
        with torch.no_grad():
            logprobs = policy(input_ids=torch.tensor([pair.ids])).logits[0].log_softmax(-1)
        for position in range(1 if whole_text else len(pair.prompt), len(pair.ids) - pair.cut):
            total -= logprobs[position - 1, pair.ids[position]].item()
            count += 1
    config = TrainConfig(num_train_epochs=1, per_device_train_batch_size=2, max_length=max_length)
    report = fine_tune(
        policy,
        tiny_tokenizer,
        ["Human", "Human"],
        [short, long],
        config,
        seed=0,
        workdir=tmp_path,
        whole_text=whole_text,
    )
    assert report.losses == [pytest.approx(total / count, abs=1e-4)]
    assert report.truncated.completions == 1


def test_labels_are_what_is_to_be_learned():
    pair = EncodedPair([5, 6], [7, 8, 1], cut=False)
    assert _labels(pair, whole_text=False) == [-100, -100, 7, 8, 1]
    assert _labels(pair, whole_text=True) == [-100, 6, 7, 8, 1]
    assert pair.ids == [5, 6, 7, 8, 1]
    cut = EncodedPair([5, 6], [7, 8, 1], cut=True)
    assert _labels(cut, whole_text=False) == [-100, -100, 7, 8, -100]
    assert _labels(cut, whole_text=True) == [-100, 6, 7, 8, -100]
    # Without a prompt nothing predicts the first token of the completion.
    assert _labels(EncodedPair([], [7, 8, 1], cut=False), whole_text=False) == [-100, 8, 1]


def test_a_policy_with_too_few_positions_is_refused(policy, tiny_tokenizer, tmp_path):
    with pytest.raises(ModelError, match=r"max_length is 129 tokens, but the policy .* only 128 positions"):
        fine_tune(policy, tiny_tokenizer, PROMPTS, COMPLETIONS, TrainConfig(max_length=129), seed=0, workdir=tmp_path)


def test_what_was_cut_is_counted(policy, tiny_tokenizer, tmp_path):
    config = TrainConfig(num_train_epochs=1, max_length=10)
    report = fine_tune(policy, tiny_tokenizer, PROMPTS, COMPLETIONS, config, seed=0, workdir=tmp_path)
    assert report.truncated.prompts == 2
    assert math.isfinite(report.losses[0])


@pytest.mark.parametrize("bf16", [False, True])
def test_a_trained_policy_is_what_a_reload_of_it_is_to_the_bit(policy, tiny_tokenizer, tmp_path, bf16):
    """Trained in bfloat16, it went on to be run under autocast until it was saved and loaded."""
    config = TrainConfig(max_length=64, max_steps=1, bf16=bf16)
    fine_tune(policy, tiny_tokenizer, PROMPTS, COMPLETIONS, config, seed=0, workdir=tmp_path)
    save_model(policy, tiny_tokenizer, tmp_path / "saved")
    loaded, ids = load_causal_lm(tmp_path / "saved", tiny_tokenizer), torch.arange(4, 24).reshape(2, 10)
    with torch.no_grad():
        assert torch.equal(policy.eval()(input_ids=ids).logits, loaded.eval()(input_ids=ids).logits)


def test_a_policy_of_frozen_weights_is_refused(policy, tiny_tokenizer, tmp_path):
    policy.requires_grad_(False)
    with pytest.raises(ModelError, match=r"All weights of the policy \(GPT2LMHeadModel\) are frozen"):
        fine_tune(policy, tiny_tokenizer, PROMPTS, COMPLETIONS, TrainConfig(max_length=64), seed=0, workdir=tmp_path)


def test_a_policy_saved_as_adapters_is_trained_as_any_other(tiny_lm_folder, saved_adapters, tiny_tokenizer, tmp_path):
    policy = load_causal_lm(saved_adapters(tiny_lm_folder, tmp_path / "adapters"), tiny_tokenizer)
    before = [weight.detach().clone() for weight in policy.parameters()]
    config = TrainConfig(max_length=64, max_steps=1, learning_rate=1e-3)
    fine_tune(policy, tiny_tokenizer, PROMPTS, COMPLETIONS, config, seed=0, workdir=tmp_path)
    assert not any(torch.equal(old, new) for old, new in zip(before, policy.parameters(), strict=True))
