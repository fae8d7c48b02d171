"""The loss that knows how often labels are wrong."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from frft.config.sections import RewardModelConfig, TrainConfig
from frft.errors import DataError
from frft.reward import RewardModel, score_margins, train_reward_model
from frft.reward.label_errors import corrected_loss


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


@pytest.mark.parametrize("error", [0.0, 0.05, 0.2, 0.45])
def test_it_is_the_probability_of_a_label_that_a_coin_exchanges(error):
    margins = [-6.0, -0.3, 0.0, 0.7, 5.0]
    found = corrected_loss(torch.tensor(margins), torch.full((5,), error))
    expected = [-math.log((1 - error) * sigmoid(m) + error * sigmoid(-m)) for m in margins]
    assert found.tolist() == pytest.approx(expected, rel=1e-5)


def test_its_gradient_is_finite_at_no_error_and_at_margins_out_of_range():
    margins = torch.tensor([-500.0, -2.0, 500.0], requires_grad=True)
    corrected_loss(margins, torch.zeros(3)).sum().backward()
    assert margins.grad is not None
    assert margins.grad.tolist() == pytest.approx([-1.0, -sigmoid(2.0), 0.0], abs=1e-6)


def test_a_wrong_label_pulls_no_harder_than_its_error_allows():
    at_most = corrected_loss(torch.tensor([-1000.0]), torch.tensor([0.1])).item()
    assert at_most == pytest.approx(-math.log(0.1), rel=1e-5)


@pytest.fixture
def config() -> RewardModelConfig:
    # All pairs in one batch, and one step: the loss of the weights that training starts with.
    train = TrainConfig(max_length=48, learning_rate=1e-3, per_device_train_batch_size=64, max_steps=1)
    return RewardModelConfig(train=train)


def test_training_starts_from_the_loss_of_these_pairs_and_errors(base, pool, config, tmp_path):
    errors = np.linspace(0, 0.4, pool.num_rows).tolist()
    _, report = train_reward_model(base, pool, config, seed=1, workdir=tmp_path, label_errors=errors)
    margins = score_margins(RewardModel.load(base, seed=0).score, pool)
    expected = [-math.log((1 - e) * sigmoid(m) + e * sigmoid(-m)) for m, e in zip(margins, errors, strict=True)]
    assert report.losses[0] == pytest.approx(np.mean(expected), rel=1e-4)


def test_a_margin_counts_within_the_corrected_loss(base, pool, config, tmp_path):
    table = pool.append_column("margin", [[0.5] * pool.num_rows])
    config = config.model_copy(update={"use_margin": True})
    errors = [0.3] * pool.num_rows
    _, report = train_reward_model(base, table, config, seed=1, workdir=tmp_path, label_errors=errors)
    margins = score_margins(RewardModel.load(base, seed=0).score, pool) - 0.5
    expected = [-math.log(0.7 * sigmoid(m) + 0.3 * sigmoid(-m)) for m in margins]
    assert report.losses[0] == pytest.approx(np.mean(expected), rel=1e-4)


def test_labels_that_are_never_wrong_are_trained_on_as_before(base, pool, reward_training, tmp_path):
    plain, expecting = (
        train_reward_model(base, pool, reward_training, seed=1, workdir=tmp_path, label_errors=errors)[0]
        for errors in (None, [0.0] * pool.num_rows)
    )
    for one, other in zip(plain.model.parameters(), expecting.model.parameters(), strict=True):
        assert torch.allclose(one, other, atol=1e-6)


@pytest.mark.parametrize(
    ("errors", "message"),
    [
        ([0.1] * 3, "3 error rates of labels, but 36 pairs"),
        ([0.1] * 35 + [0.5], "Row 35 .* below 0.5"),
        ([0.1, -0.1] * 18, "Row 1 .* -0.1"),
    ],
)
def test_error_rates_that_cannot_be_are_refused(base, pool, config, tmp_path, errors, message):
    with pytest.raises(DataError, match=message):
        train_reward_model(base, pool, config, seed=1, workdir=tmp_path, label_errors=errors)
