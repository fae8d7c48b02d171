"""SFT: the loss is the mean negative log-likelihood of the completion, and it can be learned."""

from __future__ import annotations

import math

import pytest
import torch

from frft.config.model import SamplingConfig, TrainConfig
from frft.errors import DataError, TrainingError
from frft.models import Encoder, load_causal_lm
from frft.policy.generate import generate
from frft.policy.sft import fine_tune

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
    greedy = SamplingConfig(top_k=1, max_new_tokens=20)
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


def test_what_was_cut_is_counted(policy, tiny_tokenizer, tmp_path):
    config = TrainConfig(num_train_epochs=1, max_length=10)
    report = fine_tune(policy, tiny_tokenizer, PROMPTS, COMPLETIONS, config, seed=0, workdir=tmp_path)
    assert report.truncated.prompts == 2
    assert math.isfinite(report.losses[0])
