"""The gate: whether a refreshed reward model may take the place of the current one.

A refresh is judged where it is meant to help and by what it has not been filtered by: on *unfiltered* held-out pairs
nearest to what the policy writes. Its accuracy there must not be shown to be possibly lower than the current model's
by more than a margin: a test of non-inferiority, paired by pair (Piaggio et al. 2012). What the test cannot see is
labels that are wrong on purpose near the policy: held-out pairs come from the same people as the pool.

Few pairs often hold no loss at all, and a spread of 0 would prove anything. So the bound is that of the pairs and two
that are made up, one won and one lost (Bonett and Price 2012); where pairs come in clusters (on one request), of two
clusters of the mean size.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np

from frft.config.sections import GateConfig, SelectionConfig
from frft.errors import UsageError
from frft.progress import Progress
from frft.reward.alarm import Alarm
from frft.reward.infos import GateComparison, GateInfo
from frft.reward.model import RewardModel
from frft.reward.pairs import requests, score_margins
from frft.selection import VectorCache, select
from frft.statistics.intervals import standard_error

if TYPE_CHECKING:
    import pyarrow as pa

    from frft.reward.refresh import Refresh
    from frft.reward.samples import PolicySamples

Alarms = Callable[["Refresh", RewardModel, Sequence[str], Sequence[str]], list[Alarm]]
"""Alarms that a refresh raises; from the refresh, its model, and the prompts and completions of the policy's
samples. `frft.diagnosis.refresh_alarms` is one."""


def check_gate(config: GateConfig | None, held_out: pa.Table | None, alarms: Alarms | None) -> None:
    """Raise `UsageError` unless a gate has what it asks for."""
    if config is not None and held_out is None:
        raise UsageError(
            "gate compares reward models on unfiltered pairs that no training saw: give gate_pairs, or held_out."
        )
    if config is not None and config.alarms and alarms is None:
        raise UsageError("gate asks for alarms: give alarms=frft.refresh_alarms, or set gate.alarms: false.")


def examine(
    refresh: Refresh,
    current: RewardModel,
    samples: PolicySamples,
    held_out: pa.Table,
    config: GateConfig,
    vectors: VectorCache,
    alarms: Alarms | None,
    progress: Progress,
    trust_remote_code: bool,
) -> GateInfo:
    """What the gate says of a refresh: the comparison's figures, the alarms that fired, and whether it is accepted."""
    prompts, completions = samples.load()
    after = RewardModel.load(refresh.reward_model.path, seed=0, trust_remote_code=trust_remote_code)
    pairs = nearest_pairs(held_out, prompts, completions, config.pairs, vectors)
    if pairs.num_rows < config.pairs:
        progress.say(
            f"The gate compares reward models on {pairs.num_rows} held-out pairs, which is all there are, not on "
            f"{config.pairs} (gate.pairs): so few may fail to show that there is no harm, even where nothing changes"
        )
    compared = no_worse(_right(current, pairs), _right(after, pairs), config, requests(pairs))
    fired = alarms(refresh, after, prompts, completions) if alarms is not None and config.alarms else []
    found = {**asdict(compared), "alarms": fired, "accepted": compared.no_worse and not fired}
    return GateInfo.of(found, "What the gate found")


def no_worse(
    before_N: np.ndarray[Any, Any],
    after_N: np.ndarray[Any, Any],
    config: GateConfig,
    requests_N: Sequence[Hashable] | None = None,
) -> GateComparison:
    """Test non-inferiority: the lower confidence bound of the accuracy gain must be above -margin.

    Args:
        before_N, after_N: 1 where a model orders the pair rightly, 1/2 for a tie, 0 otherwise; shape (N,).
        config: confidence level and margin.
        requests_N: pairs with an equal value form a cluster; None: all pairs are independent.
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
    """Why a gate kept a reward model aside."""
    why = [f"alarm: {alarm.name}" for alarm in gate.alarms]
    if not gate.no_worse:
        why.insert(
            0,
            f"not shown to be no worse: accuracy {gate.before:.1%} before, {gate.after:.1%} after on the "
            f"{gate.pairs} held-out pairs nearest the policy",
        )
    return "; ".join(why)


def nearest_pairs(
    held_out: pa.Table,
    prompts: Sequence[str],
    completions: Sequence[str],
    number: int,
    vectors: VectorCache,
) -> pa.Table:
    """The pairs whose completions are nearest to samples of the policy, by the sum of both cosines; all if fewer."""
    nearest = SelectionConfig(strategy="part1", threshold=-1, match="nearest", size=number)
    return select(held_out, prompts, completions, nearest, vectors, 0).pairs(held_out, "train")


def _lower_bound(step_N: np.ndarray[Any, Any], clusters_N: Sequence[Hashable], level: float) -> float:
    from scipy.special import stdtrit

    clusters = len(set(clusters_N))
    if clusters < 2:
        # Nothing is known about other requests, and nothing shown.
        return -1.0
    # A single pair would be too light beside clusters, of which few can be without a loss, too.
    size = math.ceil(len(step_N) / clusters)
    steps = np.concatenate([step_N, np.ones(size), -np.ones(size)])
    error = standard_error(steps, [*clusters_N, *[object()] * size, *[object()] * size])
    assert error is not None
    return float(steps.mean() - stdtrit(clusters + 1, 1 - level) * error)


def _right(model: RewardModel, pairs: pa.Table) -> np.ndarray[Any, Any]:
    return np.asarray((np.sign(score_margins(model.raw_scores, pairs)) + 1) / 2)
