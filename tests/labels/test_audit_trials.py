"""Simulated audits, against `audit_sources` label by label, exact probabilities, and all orders of a small file."""

from __future__ import annotations

import math
from itertools import combinations

import numpy as np
import pytest

from frft.errors import DataError
from frft.labels.audit_trials import audit_orders, audit_trials
from frft.labels.known_verdicts import KnownVerdicts, RegionVerdicts
from frft.labels.sequential import audit_boundary, audit_characteristics, audit_sources
from frft.preferences import ReadReport

NOTHING_READ = ReadReport(0, 0, {}, (), {})
WORDS = {1: "use", -1: "refuse", 0: "unknown"}


def known(**regions) -> KnownVerdicts:
    return KnownVerdicts(
        {"Ann": {name: RegionVerdicts(np.array(right_P), len(right_P), 0) for name, right_P in regions.items()}},
        NOTHING_READ,
    )


def asked_one_by_one(agrees: dict[str, list[bool]]) -> dict[str, tuple[str, int]]:
    """Decision and number of labels, by asking `audit_sources` again after every round of labels."""
    most = {name: len(told) for name, told in agrees.items()}
    answers: dict[str, list] = {name: [] for name in agrees}
    found, open_ = audit_sources(answers, 0.8, most), set(agrees)
    while open_:
        for name in open_:
            answers[name].append("agrees" if agrees[name][len(answers[name])] else "disagrees")
        found = audit_sources(answers, 0.8, most)
        open_ = {name for name in open_ if found[name].reason == "too few labels"}
    return {name: (found[name].decision, len(answers[name])) for name in agrees}


def test_every_order_is_decided_as_by_the_audit_after_every_label():
    rng = np.random.default_rng(5)
    sizes, theta = {"a": 30, "b": 12, "c": 30, "d": 21}, {"a": 0.85, "b": 0.5, "c": 0.25, "d": 0.7}
    agrees = {name: rng.random((40, size)) < theta[name] for name, size in sizes.items()}
    decided, labels = audit_orders(agrees)
    seen = set()
    for order in range(40):
        expected = asked_one_by_one({name: each[order].tolist() for name, each in agrees.items()})
        found = {name: (WORDS[int(decided[name][order])], int(labels[name][order])) for name in agrees}
        assert found == expected
        seen |= {decision for decision, _ in found.values()}
    assert seen == {"use", "refuse", "unknown"}


def test_one_source_is_decided_with_the_exact_probabilities_of_independent_pairs():
    # Of 4,000 prompts, 40 drawn without replacement are as good as independent.
    right = [1.0] * 2_600 + [0.0] * 1_200 + [0.5] * 200
    found = audit_trials(known(only=right), 0.8, 40, 4_000).annotators["Ann"]
    exact = audit_characteristics(0.675, 0.8, audit_boundary(40))
    only = found.regions["only"]
    assert only.independent == exact
    assert only.right == pytest.approx(0.675)
    assert found.pooled is None
    for share, probability in ((only.alone.use, exact.use), (only.alone.refuse, exact.refuse)):
        assert abs(share - probability) < 4 * math.sqrt(probability * (1 - probability) / 4_000) + 1e-3
    assert only.alone.mean_labels == pytest.approx(exact.mean_labels, abs=0.6)
    # Alone, there is nothing to correct for.
    assert only.together == only.alone


def test_a_small_file_is_drawn_without_replacement():
    # A perfect labeller: which decision is reached depends on the order alone, and all orders are equally likely.
    boundary = audit_boundary(12)

    def decision(wrong: tuple[int, ...]) -> str:
        right = 0
        for n in range(1, 13):
            right += n - 1 not in wrong
            if right >= boundary[n - 1]:
                return "use"
            if n - right >= boundary[n - 1]:
                return "refuse"
        return "unknown"

    outcomes = [decision(wrong) for wrong in combinations(range(12), 3)]
    use = outcomes.count("use") / len(outcomes)
    found = audit_trials(known(only=[1.0] * 9 + [0.0] * 3), 1.0, 12, 20_000).annotators["Ann"].regions["only"]
    assert 0 < use < 1
    assert abs(found.alone.use - use) < 4 * math.sqrt(use * (1 - use) / 20_000)
    # Of independent pairs, far more than three may be wrong.
    assert outcomes.count("refuse") == 0 == found.alone.refuse < found.independent.refuse


def test_errors_of_all_regions_together_are_within_their_level():
    coins = {f"r{n}": [1.0] * 500 + [0.0] * 500 for n in range(5)}
    found = audit_trials(known(**coins, good=[1.0] * 300), 0.8, 60, 2_000).annotators["Ann"]
    # At exactly one half both decisions are wrong.
    assert 0.02 < found.wrong_use < 0.05 + 4 * math.sqrt(0.05 * 0.95 / 2_000)
    assert 0.02 < found.wrong_refusal < 0.05 + 4 * math.sqrt(0.05 * 0.95 / 2_000)
    alone = [found.regions[name].alone.use for name in coins]
    assert 0.15 < 1 - math.prod(1 - share for share in alone) < 0.3, "without correction, errors would add up"
    assert found.pooled.pairs == 5_300
    assert found.mean_labels == pytest.approx(sum(each.together.mean_labels for each in found.regions.values()))
    good = audit_trials(known(good=[1.0] * 300), 0.8, 60, 10).annotators["Ann"]
    assert (good.wrong_use, good.wrong_refusal) == (None, 0.0)


@pytest.mark.parametrize(
    ("changed", "complaint"),
    [({"labeller": 0.5}, "more often than not"), ({"at_most": 0}, "at_most is 0"), ({"orders": 0}, "orders is 0")],
)
def test_trials_that_make_no_sense(changed, complaint):
    with pytest.raises(DataError, match=complaint):
        audit_trials(known(a=[1.0]), **({"labeller": 0.8, "at_most": 5, "orders": 5} | changed))
