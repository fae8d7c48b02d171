"""Accuracy, calibration and margins of a reward model, against computations by hand."""

from __future__ import annotations

import json
import math
import random
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pytest
from scipy import stats

from frft.errors import DataError
from frft.progress import SILENT
from frft.reward import RewardModel, evaluate_reward_model
from frft.reward.evaluate import accuracy_gain
from frft.statistics.intervals import share_interval, standard_error

WORDS = ["red", "green", "blue", "bread", "water", "guitar", "chords", "sky"]


@pytest.fixture(scope="module")
def reward_model(tiny_lm_folder):
    return RewardModel.load(tiny_lm_folder, seed=2, max_length=64)


@pytest.fixture(scope="module")
def table():
    """57 pairs, of which the first three tie."""
    rng = random.Random(0)
    texts = [" " + " ".join(rng.choices(WORDS, k=rng.randint(1, 6))) for _ in range(114)]
    return {
        "prompt": [f"Human: {rng.choice(WORDS)} {number}?" for number in range(57)],
        "chosen": texts[:57],
        "rejected": texts[:3] + texts[60:],
        "source": [None, "a", "b"] * 19,
        "level": [1, 2, 2] * 19,
    }


def raw_margins(reward_model, table) -> list[float]:
    chosen = reward_model.raw_scores(table["prompt"], table["chosen"])
    rejected = reward_model.raw_scores(table["prompt"], table["rejected"])
    return [0.0 if abs(a - b) < 1e-6 else float(a - b) for a, b in zip(chosen, rejected, strict=True)]


def wilson(successes: int, n: int) -> tuple[float, float]:
    z, p = 1.959963984540054, successes / n
    middle = (p + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * math.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
    return middle - half, middle + half


def calibration_error(margins: list[float]) -> float:
    rows = sorted((1 / (1 + math.exp(-abs(m))), 0.5 if m == 0 else float(m > 0)) for m in margins)
    count = min(10, len(rows))
    sizes = [len(rows) // count + (b < len(rows) % count) for b in range(count)]
    total = 0.0
    for size in sizes:
        part, rows = rows[:size], rows[size:]
        total += abs(sum(c for _, c in part) / size - sum(p for p, _ in part) / size) * size
    return total / len(margins)


def test_every_figure_equals_a_computation_by_hand(reward_model, table):
    margins = raw_margins(reward_model, table)
    wins = sum(m > 0 for m in margins)
    result = evaluate_reward_model(reward_model, table)
    assert (result.n, result.ties) == (57, 3)
    assert result.accuracy == pytest.approx((wins + 1.5) / 57)
    assert result.interval == pytest.approx((wilson(wins + 1, 57)[0], wilson(wins + 2, 57)[1]))
    mean = sum(margins) / 57
    deviation = math.sqrt(sum((m - mean) ** 2 for m in margins) / 56)
    assert result.mean_margin == pytest.approx(mean, abs=1e-6)
    assert result.margin_standard_error == pytest.approx(deviation / math.sqrt(57), abs=1e-6)
    assert result.log_loss == pytest.approx(sum(math.log(1 + math.exp(-m)) for m in margins) / 57, abs=1e-6)
    assert result.calibration_error == pytest.approx(calibration_error(margins), abs=1e-6)
    assert result.by == {}


def test_without_ties_the_interval_is_plain_wilson(reward_model, table):
    table = {name: values[3:] for name, values in table.items()}
    margins = raw_margins(reward_model, table)
    result = evaluate_reward_model(reward_model, table)
    assert result.interval == pytest.approx(wilson(sum(m > 0 for m in margins), 54))
    assert result.interval[0] < result.accuracy < result.interval[1]


def clustered_error(values: list[float], clusters: list) -> float:
    """The standard error of a mean of values of which those of a cluster are not independent."""
    mean = sum(values) / len(values)
    sums: dict = {}
    for value, cluster in zip(values, clusters, strict=True):
        sums[cluster] = sums.get(cluster, 0.0) + value - mean
    return math.sqrt(len(sums) / (len(sums) - 1) * sum(left**2 for left in sums.values())) / len(values)


@pytest.mark.parametrize("given", ["prompt", "request"])
def test_pairs_on_one_prompt_or_request_are_a_cluster(reward_model, table, given):
    clusters = [f"{number % 19}" for number in range(57)]
    result = evaluate_reward_model(reward_model, {**table, given: clusters})
    margins = raw_margins(reward_model, {**table, given: clusters})
    right = [0.5 if m == 0 else float(m > 0) for m in margins]
    assert result.accuracy == pytest.approx(sum(right) / 57)
    assert result.margin_standard_error == pytest.approx(clustered_error(margins, clusters), abs=1e-6)
    assert result.interval == share_interval(right, clusters)
    part = evaluate_reward_model(reward_model, {**table, given: clusters}, groups="level").by["level"]["2"]
    rows = [number for number in range(57) if number % 3]
    assert part.interval == share_interval([right[row] for row in rows], [clusters[row] for row in rows])


def test_normalisation_changes_the_mean_margin_only(reward_model, table):
    before = evaluate_reward_model(reward_model, table).as_dict()
    scaled = RewardModel(reward_model.model, reward_model.tokenizer, 64, gain=3.0, bias=7.0)
    after = evaluate_reward_model(scaled, table).as_dict()
    for name in ("mean_margin", "margin_standard_error"):
        assert after.pop(name) == pytest.approx(3 * before.pop(name))
    assert after == before


def test_groups_are_evaluated_apart(reward_model, table):
    result = evaluate_reward_model(reward_model, pa.table(table), groups=["source", "level"])
    assert {name: list(groups) for name, groups in result.by.items()} == {
        "source": ["a", "b", "null"],
        "level": ["1", "2"],
    }
    for groups in result.by.values():
        assert sum(group.n for group in groups.values()) == 57
        assert sum(group.ties for group in groups.values()) == 3
        assert sum(group.accuracy * group.n for group in groups.values()) / 57 == pytest.approx(result.accuracy)
    alone = evaluate_reward_model(reward_model, {name: values[1::3] for name, values in table.items()})
    for name, value in alone.as_dict().items():
        assert getattr(result.by["source"]["a"], name) == (pytest.approx(value, abs=1e-6) if value else value), name
    assert evaluate_reward_model(reward_model, table, groups="level").by == {"level": result.by["level"]}
    json.dumps(result.as_dict(), allow_nan=False)


def test_a_single_pair_has_no_standard_error(reward_model, table):
    result = evaluate_reward_model(reward_model, {name: values[5:6] for name, values in table.items()})
    assert (result.n, result.margin_standard_error) == (1, None)
    assert result.calibration_error == pytest.approx(
        calibration_error(raw_margins(reward_model, {n: v[5:6] for n, v in table.items()})), abs=1e-6
    )


def test_a_large_margin_does_not_overflow(reward_model, table):
    import copy

    import torch

    steep = copy.deepcopy(reward_model.model)
    with torch.no_grad():
        steep.score.weight.mul_(1e6)
    result = evaluate_reward_model(RewardModel(steep, reward_model.tokenizer, 64), table)
    assert math.isfinite(result.log_loss)
    assert result.calibration_error == pytest.approx(
        (54 - sum(m > 0 for m in raw_margins(reward_model, table))) / 57, abs=1e-3
    )


def test_an_unknown_group_is_refused(reward_model, table):
    with pytest.raises(DataError, match="no column 'generator', only 'prompt', 'chosen'"):
        evaluate_reward_model(reward_model, table, groups="generator")


def test_a_gain_is_that_of_pairs_clustered_by_request():
    """Of three requests of two pairs each, one gains both, one gains one, and one loses one."""

    def model(right):
        """One that is right on these of the six pairs."""

        def raw_scores(prompts, completions, progress=SILENT):
            return np.array([float((int(text[1:]) in right) == (text[0] == "c")) for text in completions])

        return SimpleNamespace(raw_scores=raw_scores)

    table = pa.table(
        {
            "prompt": [f"p{n}" for n in range(6)],
            "chosen": [f"c{n}" for n in range(6)],
            "rejected": [f"r{n}" for n in range(6)],
            "request": [f"q{n // 2}" for n in range(6)],
        }
    )
    found = accuracy_gain(model({2, 5}), model({0, 1, 2, 3}), table)
    step_N = np.array([1, 1, 0, 1, 0, -1])
    half = stats.t.ppf(0.975, 2) * standard_error(step_N, [0, 0, 1, 1, 2, 2])
    assert (found.mean, found.n) == (pytest.approx(1 / 3), 6)
    assert (found.low, found.high) == pytest.approx((1 / 3 - half, 1 / 3 + half))
    assert accuracy_gain(model({0}), model({1}), table.slice(0, 2)).low is None
