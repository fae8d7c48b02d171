"""The audit of sources: error rates by counting paths, decisions by enumerating all answers, figures of docs."""

from __future__ import annotations

import math
from collections import defaultdict
from fractions import Fraction
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate, stats

from frft.errors import DataError
from frft.labels.sequential import (
    anytime_boundary,
    audit_boundary,
    audit_characteristics,
    audit_labels_needed,
    audit_sources,
    sequential_p_value,
)
from frft.statistics import Estimate

AGREE, DISAGREE = "agrees", "disagrees"
PAGE = (Path(__file__).resolve().parents[2] / "docs/labels-audit.md").read_text()


def crossing(inside, count: int, theta: Fraction = Fraction(1, 2)) -> Fraction:
    """The exact probability that a walk of `count` steps ever leaves the region where inside(n, s)."""
    still, crossed = {0: Fraction(1)}, Fraction(0)
    for n in range(1, count + 1):
        after = defaultdict(Fraction)
        for s, weight in still.items():
            after[s] += weight * (1 - theta)
            after[s + 1] += weight * theta
        crossed += sum(weight for s, weight in after.items() if not inside(n, s))
        still = {s: weight for s, weight in after.items() if inside(n, s)}
    return crossed


@pytest.mark.parametrize("sources", [1, 4])
@pytest.mark.parametrize("at_most", [25, 50, 100])
def test_the_level_is_kept_and_used(at_most, sources):
    level = 0.05 / sources
    boundary = audit_boundary(at_most, level)
    exact = crossing(lambda n, s: s < boundary[n - 1], at_most)
    assert 0.85 * level < exact <= level
    lowest = min((int(b) - n / 2) / n**0.25 for n, b in enumerate(boundary, 1) if b <= n)
    # With the statistic's next lower value as critical value, the level would be exceeded.
    values = sorted({(s - n / 2) / n**0.25 for n in range(1, at_most + 1) for s in range(n + 1)})
    next_lower = max(value for value in values if value < lowest - 1e-9)
    assert crossing(lambda n, s: (s - n / 2) / n**0.25 < next_lower - 1e-9, at_most) > level


def test_p_values_are_exact():
    # Among all 2^10 equally likely walks, P(p <= x) = x at every value x that p takes; before the end it is less.
    walks = list(product([False, True], repeat=10))
    p_N = np.array([sequential_p_value(walk, 10) for walk in walks])
    for x in np.unique(p_N):
        assert (p_N <= x + 1e-12).mean() == pytest.approx(x)
    early_N = np.array([sequential_p_value(walk[:6], 10) for walk in walks])
    assert (early_N >= p_N - 1e-12).all()


def test_characteristics_are_those_of_all_answers():
    # Every stream of eight answers, audited after each, labelling stopped at a decision or when none is possible.
    g, q = 0.2, 0.9
    theta = g * q + (1 - g) * (1 - q)
    chance, labels = defaultdict(float), 0.0
    for walk in product([AGREE, DISAGREE], repeat=8):
        for n in range(9):
            found = audit_sources({"a": walk[:n]}, q, at_most=8)["a"]
            if found.reason != "too few labels":
                break
        weight = theta ** walk.count(AGREE) * (1 - theta) ** walk.count(DISAGREE)
        chance[found.decision] += weight
        labels += weight * n
    exact = audit_characteristics(g, q, audit_boundary(8))
    assert (exact.use, exact.refuse, exact.unknown) == pytest.approx(
        (chance["use"], chance["refuse"], chance["unknown"]), abs=1e-12
    )
    assert exact.mean_labels == pytest.approx(labels)


def test_the_martingale_is_the_integral_and_stays_below():
    for walk in ([True] * 9, [True, False] * 6, [False] * 5, [True] * 30 + [False] * 3):
        highest = 0.0
        for n in range(1, len(walk) + 1):
            s = sum(walk[:n])
            value = integrate.quad(lambda t, n=n, s=s: 2 * (2 * t) ** s * (2 * (1 - t)) ** (n - s), 0.5, 1)[0]
            highest = max(highest, value)
        assert sequential_p_value(walk, None) == pytest.approx(min(1.0, 1 / highest))
    boundary = anytime_boundary(150)
    assert 0.03 < crossing(lambda n, s: s < boundary[n - 1], 150) < 0.05


def test_the_anytime_boundary_is_where_its_p_value_falls():
    boundary = anytime_boundary(30, 0.05)
    for n in (1, 5, 12, 30):
        fewest = int(boundary[n - 1])
        # Disagreements first: the martingale is largest at the end.
        for s in (fewest - 1, fewest):
            if s <= n:
                walk = [False] * (n - s) + [True] * s
                assert (sequential_p_value(walk, None) <= 0.05) == (s >= fewest)


@settings(max_examples=30, deadline=None)
@given(g=st.floats(0, 1), more=st.floats(0, 1), q=st.floats(0.51, 1))
def test_a_better_source_is_used_more_often(g, more, q):
    boundary = audit_boundary(20)
    low, high = sorted((g, more))
    first, second = audit_characteristics(low, q, boundary), audit_characteristics(high, q, boundary)
    assert first.use <= second.use + 1e-12
    assert first.refuse >= second.refuse - 1e-12
    mirrored = audit_characteristics(1 - low, q, boundary)
    assert (mirrored.use, mirrored.mean_labels) == pytest.approx((first.refuse, first.mean_labels))


@settings(max_examples=40, deadline=None)
@given(st.lists(st.sampled_from([AGREE, DISAGREE, "tie", "skip"]), max_size=30))
def test_ties_and_skips_are_counted_and_say_nothing(answers):
    found = audit_sources({"a": answers}, 0.8, at_most=20)["a"]
    telling = [answer for answer in answers if answer in (AGREE, DISAGREE)]
    without = audit_sources({"a": telling}, 0.8, at_most=20)["a"]
    assert (found.decision, found.p_use, found.p_refuse) == (without.decision, without.p_use, without.p_refuse)
    counted = (found.agreements, found.disagreements, found.ties, found.skips, found.unused)
    assert sum(counted) == len(answers)
    assert (found.ties, found.skips) == (answers.count("tie"), answers.count("skip"))
    assert found.unused == max(0, len(telling) - 20)
    # Exchanging agreement and disagreement exchanges use and refuse.
    other = {AGREE: DISAGREE, DISAGREE: AGREE}
    mirrored = audit_sources({"a": [other.get(answer, answer) for answer in answers]}, 0.8, at_most=20)["a"]
    assert (mirrored.p_use, mirrored.p_refuse) == (found.p_refuse, found.p_use)


def test_decisions_and_their_reasons():
    def of(answers, **settings):
        found = audit_sources({"a": answers}, **({"labeller": 0.8, "at_most": 25} | settings))["a"]
        return found.decision, found.reason

    assert of([AGREE] * 12) == ("use", "significant")
    assert of([DISAGREE] * 12) == ("refuse", "significant")
    assert of([DISAGREE] * 12, at_most=None) == ("refuse", "significant")
    assert of([]) == ("unknown", "too few labels")
    assert of([AGREE, DISAGREE] * 3) == ("unknown", "too few labels")
    assert of([AGREE, DISAGREE] * 10) == ("unknown", "out of labels")
    assert of([AGREE, DISAGREE] * 10, at_most=None) == ("unknown", "too few labels")
    assert of([AGREE] * 15 + [DISAGREE] * 60, at_most=100) == ("unknown", "contradictory")
    assert of([AGREE] * 12, labeller=Estimate(0.8, 0.5, 0.95, 10)) == ("unknown", "labeller")
    assert of([AGREE] * 12, labeller=Estimate(0.8, None, None, 1)) == ("unknown", "labeller")
    assert of([AGREE] * 12, labeller=Estimate(0.8, 0.51, 0.95, 30)) == ("use", "significant")


def test_more_sources_need_more_labels_until_others_are_decided():
    some = [AGREE] * 9 + [DISAGREE] * 2
    alone = audit_sources({"a": some}, 0.8, 25)["a"]
    among = audit_sources({"a": some} | {name: [] for name in "bcd"}, 0.8, 25)["a"]
    assert alone.decision == "use"
    assert among.decision == "unknown"
    assert among.p_use == pytest.approx(4 * alone.p_use)
    relieved = audit_sources({"a": some} | {name: [AGREE] * 20 for name in "bcd"}, 0.8, 25)["a"]
    assert relieved.p_use == pytest.approx(alone.p_use)
    assert relieved.decision == "use"
    # The same of refusals.
    other = [DISAGREE] * 9 + [AGREE] * 2
    refused = audit_sources({"a": other} | {name: [] for name in "bcd"}, 0.8, 25)["a"]
    assert (refused.decision, refused.p_refuse) == ("unknown", pytest.approx(among.p_use))
    assert audit_sources({"a": other}, 0.8, 25)["a"].decision == "refuse"


def test_agreement_with_gold_is_corrected_for_the_labeller():
    answers = [AGREE] * 63 + [DISAGREE] * 37
    given = audit_sources({"a": answers}, 0.8, 100)["a"].with_gold
    # theta = 0.63 = 1/2 + 0.6 (g - 1/2)
    assert given.mean == pytest.approx(0.5 + 0.13 / 0.6)
    for agreements in (90, 63, 50, 20):
        answers = [AGREE] * agreements + [DISAGREE] * (100 - agreements)
        # With q = 1, g is theta; then g is 1/2 + (theta - 1/2) / (2 q - 1) at the worst q of the interval.
        theta = audit_sources({"a": answers}, 1.0, 100)["a"].with_gold
        unsure = audit_sources({"a": answers}, Estimate(0.8, 0.7, 0.9, 60), 100)["a"].with_gold
        corners = [0.5 + (t - 0.5) / (2 * q - 1) for t in theta.interval for q in (0.7, 0.9)]
        assert unsure.interval == pytest.approx((max(0.0, min(corners)), min(1.0, max(corners))))
    assert audit_sources({"a": [AGREE] * 5}, 0.8, 100)["a"].with_gold.high == 1.0
    assert audit_sources({"a": ["skip"]}, 0.8, 100)["a"].with_gold is None


def test_its_interval_holds_at_all_looks_at_once():
    def holds(theta):
        def inside(n, s):
            answers = [AGREE] * s + [DISAGREE] * (n - s)
            found = audit_sources({"a": answers}, 1.0)["a"].with_gold  # q = 1: g is theta
            return found.low <= theta <= found.high

        return inside

    for theta in (Fraction(1, 2), Fraction(7, 10)):
        assert 0 < crossing(holds(theta), 40, theta) < 0.05


def test_labels_needed():
    needed = audit_labels_needed(0.13, 0.8)
    power = [audit_characteristics(0.13, 0.8, audit_boundary(n)).refuse for n in (needed - 1, needed)]
    assert power[0] < 0.8 <= power[1]
    assert audit_labels_needed(0.715, 0.8, sources=4) > audit_labels_needed(0.715, 0.8) > needed
    assert audit_labels_needed(0.52, 0.8, limit=60) is None


def test_what_cannot_be_audited_is_refused():
    with pytest.raises(DataError, match="Answer 1 about source 'a' is 'yes'"):
        audit_sources({"a": [AGREE, "yes"]}, 0.8)
    for q in (0.5, 1.1, math.nan):
        with pytest.raises(DataError, match=r"above 0\.5"):
            audit_sources({"a": []}, q)
    with pytest.raises(DataError, match="at_most is 0"):
        audit_sources({"a": []}, 0.8, 0)
    with pytest.raises(DataError, match=r"3 labels .* at most 2\."):
        sequential_p_value([True] * 3, 2)
    # Two labels can never be significant, and no boundary is reached.
    assert audit_boundary(2).tolist() == [2, 3]


def fixed_sample(count: int, theta: float, level: float) -> tuple[float, float]:
    """Probabilities of use and refuse of the one-sided exact binomial tests of `count` labels."""
    fewest = next(s for s in range(count + 2) if stats.binom.sf(s - 1, count, 0.5) <= level)
    return stats.binom.sf(fewest - 1, count, theta), stats.binom.cdf(count - fewest, count, theta)


AGREEMENTS = (0.13, 0.5, 0.57, 0.6, 0.715, 0.9)


def audit_table(sources: int) -> list[str]:
    rows = []
    for g in AGREEMENTS:
        theta, cells = 0.5 + 0.6 * (g - 0.5), []
        for at_most in (25, 50, 100):
            found = audit_characteristics(g, 0.8, audit_boundary(at_most, 0.05 / sources))
            use, refuse = fixed_sample(at_most, theta, 0.05 / sources)
            cells.append(f"{found.use:.2f} / {found.refuse:.2f} / {found.unknown:.2f}, {found.mean_labels:.0f}")
            cells.append(f"{use:.2f} / {refuse:.2f}")
        rows.append(f"| {g} ({theta:.3f}) | " + " | ".join(cells) + " |")
    return rows


@pytest.mark.parametrize("sources", [1, 4])
def test_the_tables_of_the_page(sources):
    missing = [row for row in audit_table(sources) if row not in PAGE]
    assert not missing, "docs/labels-audit.md should have:\n" + "\n".join(missing)


def test_what_the_page_says_beside_its_tables():
    anytime = []
    for g in AGREEMENTS:
        found = audit_characteristics(g, 0.8, anytime_boundary(100))
        anytime.append(f"{found.use:.2f} / {found.refuse:.2f}, {found.mean_labels:.0f}")
    needed = [
        f"| {g} | " + " | ".join(str(audit_labels_needed(g, q, sources=k)) for q in (0.8, 0.9) for k in (1, 4)) + " |"
        for g in (0.13, 0.3, 0.715, 0.9)
    ]
    missing = [row for row in ["| no limit | " + " | ".join(anytime) + " |", *needed] if row not in PAGE]
    assert not missing, "docs/labels-audit.md should have:\n" + "\n".join(missing)


def test_shared_errors_of_the_page():
    # The correlation with which a source right in 45 % and a labeller right in 80 % agree in half of the pairs.
    g, q = 0.45, 0.8
    spread = math.sqrt(g * (1 - g) * q * (1 - q))
    rho = 0.3 * (1 - 2 * g) / spread / 2
    both_right = g * q + rho * spread
    assert both_right + (1 - g - q + both_right) == pytest.approx(0.5)
    assert f"a correlation of {rho:.3f}" in PAGE


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1))
def test_agreement_with_a_labeller_is_near_that_with_gold(right):
    # Whatever the errors share: pairs (source right, labeller right), who agree where both are right or both wrong.
    agreement, g = np.mean([source == labeller for source, labeller in right]), np.mean([source for source, _ in right])
    assert abs(agreement - g) <= 1 - np.mean([labeller for _, labeller in right]) + 1e-12


def test_the_fixed_sample_figures_of_the_pilot():
    found = [fixed_sample(n, 0.5 + 0.6 * (0.13 - 0.5), 0.05)[1] for n in (25, 50, 100)]
    assert found == pytest.approx([0.60, 0.92, 1.00], abs=0.01)
    found = [fixed_sample(n, 0.5 + 0.6 * (0.715 - 0.5), 0.05)[0] for n in (25, 50, 100)]
    assert found == pytest.approx([0.23, 0.50, 0.82], abs=0.01)
