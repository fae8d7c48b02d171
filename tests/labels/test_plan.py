"""Budgets of labels, against exact probabilities of audits and simulated gates."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from frft.errors import DataError
from frft.labels.plan import plan_labels
from frft.labels.sequential import audit_boundary, audit_characteristics


def test_audits_reach_their_power_and_ties_are_paid_for():
    plan = plan_labels(0.9, right=(0.3, 0.9, 0.55), gains=())
    refused, used, close = (each.labels for each in plan.audits)
    assert close is None
    for count, right, decision in ((refused, 0.3, "refuse"), (used, 0.9, "use")):
        found = audit_characteristics(right, 0.9, audit_boundary(count))
        assert getattr(found, decision) >= 0.8
        assert getattr(audit_characteristics(right, 0.9, audit_boundary(count - 6)), decision) < 0.8
    dear = plan_labels(0.9, ties=0.5, right=(0.9,), gains=())
    assert dear.audits[0].labels == 2 * used
    assert plan_labels(0.9, sources=4, right=(0.9,), gains=()).audits[0].labels > used


def test_a_gate_with_as_many_labels_sees_the_gain():
    planned = plan_labels(0.8, right=(), gains=(0.15,), disagreement=0.25).gates[0].labels
    rng = np.random.default_rng(1)

    def power(count: int) -> float:
        # The better model is right where they disagree in 0.2 of all pairs, the other one in 0.05; labels are
        # exchanged with probability 0.2.
        difference = rng.choice([1, -1, 0], p=[0.2, 0.05, 0.75], size=(4000, count))
        seen = difference * np.where(rng.random((4000, count)) < 0.8, 1, -1)
        return float(((p := stats.ttest_1samp(seen, 0, axis=1)).pvalue < 0.05)[p.statistic > 0].sum() / 4000)

    assert power(planned) == pytest.approx(0.8, abs=0.025)
    perfect = plan_labels(1.0, right=(), gains=(0.15,), disagreement=0.25).gates[0].labels
    assert power(perfect) < 0.6


@pytest.mark.parametrize(
    ("changed", "complaint"),
    [
        ({"labeller": 0.5}, "more often than not"),
        ({"ties": 1.0}, "share of ties is 1.0 "),
        ({"sources": 0}, "0 sources"),
        ({"right": (0.5,)}, "not 0.5, a coin"),
        ({"right": (1.5,)}, "give 0 to 1"),
        ({"gains": (0.0,)}, "gain above 0"),
        ({"gains": (0.4,)}, "at most the disagreement"),
    ],
)
def test_plans_that_make_no_sense(changed, complaint):
    with pytest.raises(DataError, match=complaint):
        plan_labels(**({"labeller": 0.9, "right": (0.9,)} | changed))
