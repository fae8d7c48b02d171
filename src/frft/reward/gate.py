"""The gate: whether a refreshed reward model may take the place of the current one.

A refreshed model is compared with the current one on the *unfiltered* held-out pairs nearest to what the policy writes:
where it is meant to be better, and on pairs whose labels the filter did not bias. The test is one of non-inferiority,
paired by pair (Piaggio et al. 2012): the refreshed model is accepted if the lower confidence bound of its accuracy less
the current one's is above minus the margin. The test cannot see labels that are wrong on purpose near the policy, since
the held-out pairs come from the same annotators as the pool.

With few pairs there may be none on which the two models differ; the standard error would be 0, and any model would
pass. So two pseudo-observations are added, one won and one lost (Bonett and Price 2012); where pairs are clustered by
request, two clusters of the mean size.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np

from frft.config.sections import GateConfig, SelectionConfig
from frft.errors import UsageError, quantity
from frft.progress import Progress
from frft.reward.alarm import Alarm
from frft.reward.infos import GateComparison, GateInfo, GateLabels
from frft.reward.model import RewardModel
from frft.reward.pairs import requests, score_margins
from frft.selection import VectorCache, select
from frft.statistics.intervals import standard_error

if TYPE_CHECKING:
    import pyarrow as pa

    from frft.reward.refresh import Refresh
    from frft.reward.samples import PolicySamples

Alarms = Callable[["Refresh", RewardModel, Sequence[str], Sequence[str]], list[Alarm]]
"""A function (refresh, its reward model, prompts, completions of the policy's samples) -> the alarms that fired;
`frft.diagnosis.refresh_alarms` is one."""


def check_gate(config: GateConfig | None, held_out: pa.Table | None, alarms: Alarms | None) -> None:
    """Check that a gate has held-out pairs, and alarms where its configuration asks for them; None: there is no gate.

    Raises:
        UsageError: one of them is missing.
    """
    if config is not None and held_out is None:
        raise UsageError(
            "gate compares reward models on unfiltered pairs that no training saw, and there are none: give "
            "gate_pairs, or held_out."
        )
    if config is not None and config.alarms and alarms is None:
        raise UsageError(
            "gate.alarms is true, but no alarms are given: give alarms=frft.refresh_alarms, or set gate.alarms: false."
        )


def examine(
    refresh: Refresh,
    current: RewardModel,
    after: RewardModel,
    samples: PolicySamples,
    held_out: pa.Table,
    config: GateConfig,
    vectors: VectorCache,
    alarms: Alarms | None,
    progress: Progress,
    by_labels: GateLabels | None = None,
) -> GateInfo:
    """Compare the refreshed reward model (`after`) with the current one, look for alarms, and decide.

    Where fresh labels have compared them, these decide, and the held-out pairs are reported alone.
    """
    prompts, completions = samples.load()
    pairs = nearest_pairs(held_out, prompts, completions, config.pairs, vectors)
    if pairs.num_rows < config.pairs:
        progress.say(
            f"The gate compares reward models on all {pairs.num_rows} held-out pairs, fewer than gate.pairs "
            f"({config.pairs}): so few may fail to show non-inferiority even of a model that did not change"
        )
    compared = no_worse(_right(current, pairs), _right(after, pairs), config, requests(pairs))
    fired = alarms(refresh, after, prompts, completions) if alarms is not None and config.alarms else []
    passes = compared.no_worse if by_labels is None else by_labels.passes
    return GateInfo(**asdict(compared), alarms=fired, accepted=passes and not fired, labels=by_labels)


def no_worse(
    before_N: np.ndarray[Any, Any],
    after_N: np.ndarray[Any, Any],
    config: GateConfig,
    requests_N: Sequence[Hashable] | None = None,
) -> GateComparison:
    """Test non-inferiority: the lower confidence bound of the accuracy gain must be above -margin.

    Args:
        before_N, after_N: outcomes of the current and of the refreshed model, 1 where the chosen completion of a pair
            scores higher, 1/2 for a tie, otherwise 0; shape (N,).
        config: `level`, the significance level of the one-sided test, and `margin`, the largest loss of accuracy that
            is accepted, in [0, 1].
        requests_N: cluster of each pair; None: all pairs are independent.
    """
    step_N = after_N - before_N
    bound = _lower_bound(step_N, range(len(step_N)) if requests_N is None else requests_N, config.level)
    return GateComparison(
        pairs=len(step_N),
        before=float(before_N.mean()),
        after=float(after_N.mean()),
        difference=float(step_N.mean()),
        bound=bound,
        no_worse=bound > -config.margin,
    )


def why_refused(gate: GateInfo) -> str:
    """The reasons for which a gate refused a reward model, as text; empty if it did not."""
    why = [f"alarm: {alarm.name}" for alarm in gate.alarms]
    if gate.labels is not None:
        if not gate.labels.passes:
            why.insert(0, _why_labels_refuse(gate.labels))
    elif not gate.no_worse:
        why.insert(
            0,
            f"not shown to be no worse: accuracy {gate.before:.1%} before, {gate.after:.1%} after on the "
            f"{gate.pairs} held-out pairs nearest the policy",
        )
    return "; ".join(why)


def _why_labels_refuse(found: GateLabels) -> str:
    shown = "shown to be worse" if found.verdict == "worse" else "not shown to be no worse"
    decided = found.better + found.worse
    text = (
        f"{shown}: the two models order {found.differ} of {found.looked_at} pairs of the policy's texts differently; "
        f"of {quantity(decided, 'label')} on these, {found.better} {'is' if found.better == 1 else 'are'} for it"
    )
    if found.verdict == "not shown" and found.asked >= found.differ:
        text += ", and there is no other to ask about: only texts to more prompts could show more"
    return text


def nearest_pairs(
    held_out: pa.Table,
    prompts: Sequence[str],
    completions: Sequence[str],
    number: int,
    vectors: VectorCache,
) -> pa.Table:
    """The `number` held-out pairs nearest to samples of the policy, by the sum of both cosines; all if fewer.

    Each completion is compared with the sample nearest to it, whatever its prompt.
    """
    nearest = SelectionConfig(strategy="part1", threshold=-1, match="nearest", size=number)
    return select(held_out, prompts, completions, nearest, vectors, 0).pairs(held_out, "train")


def _lower_bound(step_N: np.ndarray[Any, Any], clusters_N: Sequence[Hashable], level: float) -> float:
    """Lower confidence bound, at 1 - level, of the mean of N paired differences; -1 where there is one cluster."""
    from scipy.special import stdtrit

    clusters = len(set(clusters_N))
    if clusters < 2:
        # The variance between requests cannot be estimated from one, so nothing is shown: -1 is the lowest possible.
        return -1.0
    # Bonett and Price add one observation of +1 and one of -1. The units here are clusters, so the pseudo-observations
    # are clusters, too, of the mean size: two single pairs would add too little variance.
    size = math.ceil(len(step_N) / clusters)
    steps = np.concatenate([step_N, np.ones(size), -np.ones(size)])
    error = standard_error(steps, [*clusters_N, *[object()] * size, *[object()] * size])
    assert error is not None
    # Degrees of freedom: clusters + 2 pseudo-clusters - 1.
    return float(steps.mean() - stdtrit(clusters + 1, 1 - level) * error)


def _right(model: RewardModel, pairs: pa.Table) -> np.ndarray[Any, Any]:
    """1 where the model scores the chosen completion higher, 1/2 for a tie, otherwise 0; shape (N,)."""
    return np.asarray((np.sign(score_margins(model.raw_scores, pairs)) + 1) / 2)
