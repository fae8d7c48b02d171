"""The three links: when they hold, when they are broken, and when nobody can say."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from frft.diagnosis.links import moved, policy_to_evaluation, training_to_evaluation, training_to_policy
from frft.diagnosis.subject import Course, Scored
from frft.statistics import order_accuracy
from frft.statistics.intervals import share_interval

RNG = np.random.default_rng(0)


def accuracy(wins, n):
    return order_accuracy(np.where(np.arange(n) < wins, 1.0, -1.0), np.ones(n))


def scored(proxy, judge, prompts=None):
    proxy = np.asarray(proxy, float)
    prompts = prompts or [f"p{n}" for n in range(len(proxy))]
    return Scored(prompts, ["text"] * len(proxy), proxy, None if judge is None else np.asarray(judge, float))


@pytest.mark.parametrize(
    ("held_out", "on_policy", "state"),
    [
        ((650, 1000), (190, 300), "holds"),
        ((900, 1000), (190, 300), "holds"),
        ((700, 1000), (145, 300), "broken"),
        (None, (100, 300), "broken"),
        ((520, 1000), (150, 300), "unclear"),
        (None, (150, 300), "unclear"),
    ],
)
def test_training_to_policy(held_out, on_policy, state):
    link = training_to_policy(held_out and accuracy(*held_out), accuracy(*on_policy))
    assert link.state == state
    assert link.figure == pytest.approx(on_policy[0] / on_policy[1])
    assert f"{link.figure:.1%}" in link.verdict


def test_an_accuracy_that_is_lost_is_said_even_where_the_link_holds():
    assert "less often" in training_to_policy(accuracy(900, 1000), accuracy(190, 300)).verdict
    assert "as it does" in training_to_policy(accuracy(650, 1000), accuracy(190, 300)).verdict


def test_a_broken_link_says_which_of_the_two_was_shown():
    worse = training_to_policy(accuracy(720, 1000), accuracy(58, 100))
    assert worse.state == "broken"
    assert "not shown to be better than a coin" in worse.verdict
    assert "no better than a coin" in training_to_policy(None, accuracy(100, 300)).verdict


def test_nothing_is_made_of_pairs_that_nobody_judged():
    link = training_to_policy(accuracy(650, 1000), None)
    assert (link.state, link.figure, link.interval) == ("not measured", None, None)
    assert "65.0%" in link.verdict
    assert training_to_policy(None, order_accuracy([], [])).state == "not measured"


def test_movement_by_brute_force():
    before = scored([0, 0, 0, 0, 0], [0, 0, 0, 0, 0])
    after = scored([1, 1, 1, -1, 0], [1, -1, -1, 1, 1])
    found = moved(before, after)
    # Of the four prompts on which both moved, three disagree; on two of five the proxy rose and the judge fell.
    assert (found.disagreement.mean, found.disagreement.n) == (0.75, 4)
    assert (found.proxy_up_judge_down.mean, found.proxy_up_judge_down.n) == (0.4, 5)
    assert (found.proxy.estimate.mean, found.judge.estimate.mean) == pytest.approx((0.4, 0.2))
    assert found.correlation.mean == pytest.approx(stats.spearmanr([1, 1, 1, -1, 0], [1, -1, -1, 1, 1]).statistic)


def test_movement_is_of_the_means_of_common_prompts():
    before = scored([0, 2, 5], [0, 0, 0], ["p", "p", "q"])
    after = scored([3, 7], [1, 1], ["p", "r"])
    assert moved(before, after).proxy.estimate.mean == 2
    assert moved(before, scored([1], [1], ["r"])) is None
    assert moved(before, scored([1], None, ["p"])) is None


def test_wordings_of_one_request_are_no_new_proof():
    """Three wordings of each of 20 requests, which share their luck: errors are those of the requests' sums."""
    rng = np.random.default_rng(2)
    change_P = np.repeat(rng.normal(0.1, 1, 20), 3) + rng.normal(0, 0.1, 60)
    prompts, requests = [f"p{n}" for n in range(60)], [f"r{n // 3}" for n in range(60)]

    def of(change):
        return Scored(prompts, ["text"] * 60, change, change, requests)

    found = moved(of(np.zeros(60)), of(change_P))
    by_request = change_P.reshape(20, 3).mean(axis=1)
    half = stats.t.ppf(0.975, 19) * by_request.std(ddof=1) / np.sqrt(20)
    assert found.proxy.estimate.mean == pytest.approx(change_P.mean())
    assert found.proxy.estimate.interval == pytest.approx((change_P.mean() - half, change_P.mean() + half))
    assert found.proxy.p_rise == pytest.approx(stats.ttest_1samp(by_request, 0, alternative="greater").pvalue)
    assert found.judge == found.proxy
    up, alone = (moved(of(-change_P), of(each)).proxy.estimate for each in (np.zeros(60), change_P))
    assert up.high - up.low == pytest.approx(2 * half)
    assert alone.high - alone.low == pytest.approx(4 * half)


def test_shares_of_prompts_are_clustered_by_request_too():
    """Wordings of one request agree, but for a few that do not move: they are in one of the two shares alone."""
    proxy_P, judge_P = np.repeat([1, 1, 1, 1, -1, -1], 4), np.repeat([-1, 1, -1, 1, 1, -1], 4)
    still = [0, 1, 2, 9]
    proxy_P[still] = 0
    moves = np.delete(np.arange(24), still)
    prompts, requests = [f"p{n}" for n in range(24)], [f"r{n // 4}" for n in range(24)]

    def of(proxy, judge):
        return Scored(prompts, ["text"] * 24, proxy.astype(float), judge.astype(float), requests)

    found = moved(of(0 * proxy_P, 0 * judge_P), of(proxy_P, judge_P))
    apart = np.repeat([1, 0, 1, 0, 1, 0], 4)[moves]
    assert found.disagreement.mean == apart.mean()
    assert found.disagreement.interval == pytest.approx(share_interval(apart, [requests[row] for row in moves]))
    worse = np.repeat([1, 0, 1, 0, 0, 0], 4)
    worse[still] = 0
    assert found.proxy_up_judge_down.mean == worse.mean()
    assert found.proxy_up_judge_down.interval == pytest.approx(share_interval(worse, requests))


@pytest.mark.parametrize("levels", [None, 2])
@pytest.mark.parametrize("skill", [0.6, 0.75])
def test_what_two_draws_of_one_policy_show_is_said_beside_it(skill, levels):
    """A policy that did not change, a reward model that orders so many pairs rightly, a judge with ties or none."""
    rng, n = np.random.default_rng(3), 20_000
    judge_2N = rng.normal(size=(2, n)) if levels is None else rng.integers(levels, size=(2, n)).astype(float)
    order_N = np.sign(judge_2N[1] - judge_2N[0])
    proxy_N = np.where(rng.random(n) < skill, 1, -1) * np.where(order_N, order_N, 1)
    found = moved(scored(np.zeros(n), judge_2N[0]), scored(proxy_N, judge_2N[1]))
    by_chance = found.proxy_up_judge_down.mean
    assert by_chance == pytest.approx((1 - skill) / 2 * (1 if levels is None else 1 / 2), abs=0.01)
    link = policy_to_evaluation(None, found, order_accuracy(proxy_N, order_N))
    said = float(link.verdict.split("one policy: about ")[1].split("%")[0])
    assert said == pytest.approx(100 * by_chance, abs=1)


def test_still_policies_agree():
    same = scored([1, 2], [1, 2])
    found = moved(same, same)
    assert (found.disagreement, found.correlation, found.proxy_up_judge_down.mean) == (None, None, 0.0)


@pytest.mark.parametrize(("sign", "state"), [(1, "holds"), (-1, "broken"), (0, "unclear")])
def test_policy_to_evaluation_over_steps(sign, state):
    proxy = np.linspace(0, 1, 30)
    noise = np.random.default_rng(1).normal(0, 0.2, 30)
    link = policy_to_evaluation(Course(proxy, proxy, sign * proxy + noise, 1.0), None)
    assert link.state == state
    assert link.figure == pytest.approx(stats.spearmanr(proxy, sign * proxy + noise).statistic)
    assert "30 steps" in link.measured


def test_policy_to_evaluation_over_prompts():
    before = scored(np.zeros(60), np.zeros(60))
    change = RNG.normal(size=60)
    link = policy_to_evaluation(None, moved(before, scored(change, change + RNG.normal(size=60))))
    assert link.state == "holds"
    assert "60 prompts" in link.measured


def test_a_proxy_that_rose_while_the_judge_fell_breaks_the_link():
    """Whatever the correlation over prompts: it is the means that training moved."""
    before = scored(np.zeros(60), np.zeros(60))
    change = RNG.normal(size=60)
    link = policy_to_evaluation(None, moved(before, scored(change + 1, change - 1)))
    assert (link.state, link.figure) == ("broken", pytest.approx(1))
    assert link.verdict.startswith("The proxy rose, and the judge fell.")
    assert "so did the judge" not in link.verdict


def test_means_that_part_break_the_link_without_a_correlation_too():
    """The judge fell by the same on all prompts."""
    before = scored(np.zeros(60), np.zeros(60))
    link = policy_to_evaluation(None, moved(before, scored(1 + RNG.normal(0, 0.1, 60), -np.ones(60))))
    assert (link.state, link.figure, link.interval) == ("broken", None, None)


def test_a_judge_that_compares_says_how_much_it_prefers_what_is_new():
    before, after = scored(np.zeros(6), None), scored([1, 1, 1, -1, 0, 1], None)
    assert moved(before, after) is None
    after = Scored([*after.prompts, "new"], [*after.completions, "text"], np.append(after.proxy_N, 9.0))
    preferred = {"p0": 0.5, "p1": -0.5, "p2": -0.5, "p3": 0.5, "p4": 0.0, "unknown": 0.5, "new": 0.5}
    found = moved(before, after, preferred)
    assert (found.judge.estimate.mean, found.judge.estimate.n) == (0.0, 5)
    assert (found.disagreement.mean, found.disagreement.n) == (0.75, 4)
    assert found.proxy.estimate.mean == pytest.approx(0.4)


def test_policy_to_evaluation_without_a_judge():
    assert policy_to_evaluation(Course(np.ones(9), np.ones(9), None, 1.0), None).state == "not measured"
    assert policy_to_evaluation(None, None).state == "not measured"


@pytest.mark.parametrize(("sign", "state"), [(1, "holds"), (-1, "broken")])
def test_training_to_evaluation(sign, state):
    accuracies = np.linspace(0.55, 0.7, 8)
    link = training_to_evaluation(accuracies, sign * accuracies)
    assert (link.state, link.figure) == (state, pytest.approx(sign))


def test_training_to_evaluation_takes_several_reward_models():
    link = training_to_evaluation([0.6, 0.7, 0.8], [1, 2, 3])
    assert link.state == "not measured"
    assert "here are 3" in link.verdict
    assert training_to_evaluation([0.6, 0.7, 0.5, 0.65], [1, 2, 3, 1.5]).state == "not measured"
    assert training_to_evaluation([0.6, 0.7, 0.5, 0.65, 0.55], [1, 2, 3, 1.5, 1]).state == "unclear"
