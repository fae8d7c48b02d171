"""The figures of a study against scipy and numbers by hand."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from frft.study.summary import summarise

from .conftest import typed

GAINS = {
    "random": (0.1, 0.2, 0.0, 0.15),
    "density": (0.5, 0.35, 0.6, 0.45),
    "oracle": (1.0, 0.9, 1.3, 1.1),
}


@pytest.fixture
def results(averaging, make_record):
    records = [
        make_record("centre", seed, {"vanilla": 0, **{arm: each[seed] for arm, each in GAINS.items()}}, gold=1 + seed)
        for seed in range(4)
    ]
    return summarise(averaging, typed(records), ["kappa-0-3: TrainingError: a loss is not finite"]).as_dict()


def test_cells_are_counted(averaging, results):
    assert results["cells"]["wanted"] == len(averaging.cells)
    assert results["cells"]["done"] == 4
    assert results["cells"]["failed"] == ["kappa-0-3: TrainingError: a loss is not finite"]
    assert list(results["points"]) == ["centre"]
    assert results["points"]["centre"]["seeds"] == [0, 1, 2, 3]


def test_every_arm_is_compared_with_vanilla_by_seed(results):
    arms = results["points"]["centre"]["arms"]
    raw = {name: stats.ttest_1samp(gains, 0).pvalue for name, gains in GAINS.items()}
    ordered = sorted(raw, key=raw.get)
    for name, gains in GAINS.items():
        found = arms[name]["against_vanilla"]
        assert found["gold"]["mean"] == pytest.approx(np.mean(gains))
        assert found["p"] == pytest.approx(raw[name])
        by_hand = max((3 - place) * raw[each] for place, each in enumerate(ordered[: ordered.index(name) + 1]))
        assert found["p_holm"] == pytest.approx(min(1, by_hand))
    assert arms["vanilla"]["against_vanilla"] is None


def test_and_with_the_control(results):
    arms = results["points"]["centre"]["arms"]
    difference = np.subtract(GAINS["density"], GAINS["random"])
    assert arms["density"]["against_control"]["gold"]["mean"] == pytest.approx(difference.mean())
    assert arms["density"]["against_control"]["p"] == pytest.approx(stats.ttest_1samp(difference, 0).pvalue)
    assert arms["random"]["against_control"] is None


def test_at_equal_kl_straight_lines_differ_by_their_slopes(results):
    # All arms end at KL 9, smoothed at step 15 of 16 (KL 8.4), with gold rising in proportion to KL.
    found = results["points"]["centre"]["arms"]["density"]["against_vanilla"]
    assert found["at_equal_kl"]["mean"] == pytest.approx(np.mean(GAINS["density"]) * 8.4 / 6.9)
    assert found["before_refresh"] == 0


def test_seeds_in_which_an_arm_was_at_equal_kl_before_anything_differed_are_counted(averaging, make_record):
    ends = {2: {"vanilla": np.arange(7, -1, -1), "other": np.arange(8, 16)}}
    ends[3] = {"vanilla": np.arange(8, 16), "other": np.arange(8, 24, 2)}
    records = []
    for seed, end in ends.items():
        record = make_record("centre", seed, dict.fromkeys(("vanilla", "random", "density", "oracle", "uwo"), 0))
        for name, arm in record["arms"].items():
            kl = [*range(8), *end["vanilla" if name == "vanilla" else "other"].tolist()]
            arm["steps"] = {"gold": list(range(16)), "kl": kl, "score": [0.0] * 16}
        # Another reward from the first step on.
        record["arms"]["uwo"]["steps"]["score"] = [0.1] * 16
        records.append(record)
    arms = summarise(averaging, typed(records), []).as_dict()["points"]["centre"]["arms"]
    # In the first seed, vanilla ends where the others were at their second step, and all of them until their eighth.
    assert arms["density"]["against_vanilla"]["before_refresh"] == 1
    assert arms["uwo"]["against_vanilla"]["before_refresh"] == 0
    assert arms["density"]["against_control"]["before_refresh"] == 2, "they are one"


def test_recovery_is_the_share_of_what_the_oracle_gains(results):
    arms = results["points"]["centre"]["arms"]
    share = np.mean(GAINS["density"]) / np.mean(GAINS["oracle"])
    found = arms["density"]["recovery"]
    assert found["mean"] == pytest.approx(share)
    assert found["low"] < share < found["high"]
    assert arms["oracle"]["recovery"]["low"] == pytest.approx(1)
    assert arms["vanilla"]["recovery"] is None


def test_no_recovery_where_the_oracle_gains_nothing_that_can_be_told(averaging, make_record):
    noise = (0.1, -0.2, 0.15, -0.05)
    gains = [{"vanilla": 0, "random": 0.1, "density": 0.2, "oracle": each} for each in noise]
    results = summarise(
        averaging, typed([make_record("centre", seed, each) for seed, each in enumerate(gains)]), []
    ).as_dict()
    assert results["points"]["centre"]["arms"]["density"]["recovery"] is None


def test_budgets_are_stated(averaging, results):
    config = averaging.cell("centre", 0).config
    budget = results["budget"]
    assert budget["ppo_steps"] == config.ppo.total_steps
    assert budget["completions_a_step"] == config.ppo.rollout_batch_size
    assert budget["base_steps"] == config.reward.train.max_steps
    assert list(budget["arms"]) == [*averaging.config.everywhere, *averaging.config.points["centre"].more_arms]
    assert budget["arms"]["vanilla"] == {"base_models": 1, "refreshes": 0, "refresh_steps": None, "init": None}
    assert budget["arms"]["uwo"]["base_models"] == 3
    assert budget["arms"]["static-random"]["refresh_steps"] == config.arm("static-random").max_steps
    assert budget["arms"]["density-sft"]["init"] == "sft"
    assert results["points"]["centre"]["base_reward"] == {"pairs": 6000, "steps": 188}


def test_vanillas_reward_model_is_the_one_before_the_controls_refresh(averaging, make_record):
    gains = {"vanilla": 0, "random": 0.1, "density": 0.2, "oracle": 1}
    records = [make_record("centre", seed, gains) for seed in (2, 3)]
    for record, before in zip(records, (0.5, 0.6), strict=True):
        record["arms"]["random"]["refreshes"][0]["on_policy"]["before"] |= {"accuracy": before, "reward_variance": 0.1}
    arms = summarise(averaging, typed(records), []).as_dict()["points"]["centre"]["arms"]
    found = {name: (arms[name]["on_policy"]["mean"], arms[name]["reward_variance"]["mean"]) for name in gains}
    assert found["vanilla"] == pytest.approx((0.55, 0.1))
    assert found["density"] == pytest.approx((0.65, 0.3))
    assert arms["vanilla"]["on_policy_final"]["mean"] == pytest.approx(0.6)


def test_peaks_beyond_what_was_observed_are_told_apart(results):
    # Gold in proportion to KL bends upwards: no peak at all.
    assert results["points"]["centre"]["arms"]["density"]["peak"] == {"median": None, "found": 0, "within": 0, "n": 4}


def test_no_recovery_of_a_loss(averaging, make_record):
    gains = [{"vanilla": 0, "random": 0.1, "density": -0.2, "oracle": -1 + each / 100} for each in range(4)]
    results = summarise(
        averaging, typed([make_record("centre", seed, each) for seed, each in enumerate(gains)]), []
    ).as_dict()
    assert results["points"]["centre"]["arms"]["density"]["recovery"] is None


def test_the_primary_is_also_corrected_over_the_points(averaging, make_record):
    gains = {"centre": (0.3, 0.4, 0.5), "lambda-0": (0.1, -0.1, 0.2), "kappa-0": (0.0, 0.2, 0.1)}
    records = [
        make_record(point, seed, {"vanilla": 0.0, "random": 0.0, "density": gain, "oracle": 1.0})
        for point, of_seeds in gains.items()
        for seed, gain in enumerate(of_seeds)
    ]
    points = summarise(averaging, typed(records), []).as_dict()["points"]
    raw = {point: stats.ttest_1samp(of_seeds, 0).pvalue for point, of_seeds in gains.items()}
    ordered = sorted(raw, key=raw.get)
    for point, found in points.items():
        by_hand = max((3 - place) * raw[each] for place, each in enumerate(ordered[: ordered.index(point) + 1]))
        assert found["arms"]["density"]["against_control"]["p_holm_over_points"] == pytest.approx(min(1, by_hand))
