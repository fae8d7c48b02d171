"""The gate: whether a refreshed reward model may take the place of the current one.

A refresh is judged where it is meant to help and by what it has not been filtered by: on *unfiltered* held-out pairs
nearest to what the policy writes. Its accuracy there must not be shown to be possibly lower than the current model's
by more than a margin: a test of non-inferiority, paired by pair (Piaggio et al. 2012). What the test cannot see is
labels that are wrong on purpose near the policy: held-out pairs come from the same people as the pool.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from frft.config.sections import GateConfig, SelectionConfig
from frft.errors import UsageError
from frft.reward.model import RewardModel
from frft.reward.pairs import requests
from frft.selection import VectorCache, select
from frft.uncertainty import standard_error

if TYPE_CHECKING:
    import pyarrow as pa

    from frft.reward.refresh import Refresh
    from frft.reward.samples import PolicySamples

Alarms = Callable[["Refresh", RewardModel, Sequence[str], Sequence[str]], list[dict[str, Any]]]
"""Alarms that a refresh raises, JSON-able; from the refresh, its model, and the prompts and completions of the policy's
samples. `frft.diagnosis.refresh_alarms` is one."""


@dataclass(frozen=True)
class Comparison:
    """Two reward models on the same N pairs.

    Attributes:
        pairs: N.
        before, after: their accuracies; a tie counts one half.
        difference: after - before.
        bound: lower end of the difference's one-sided interval: Student's t on the paired differences, pairs on one
            request being a cluster; -1 where all are on one.
        no_worse: whether `bound` is above minus the margin.
    """

    pairs: int
    before: float
    after: float
    difference: float
    bound: float
    no_worse: bool


def check_gate(config: GateConfig | None, held_out: pa.Table | None, alarms: Alarms | None) -> None:
    """Raise `UsageError` unless a gate has what it asks for."""
    if config is not None and held_out is None:
        raise UsageError(
            "gate compares reward models on unfiltered pairs that no training saw: give them by `held_out`."
        )
    if config is not None and config.alarms and alarms is None:
        raise UsageError("gate asks for alarms: give alarms=frft.diagnosis.refresh_alarms, or set gate.alarms: false.")


def examine(
    refresh: Refresh,
    current: RewardModel,
    samples: PolicySamples,
    held_out: pa.Table,
    config: GateConfig,
    vectors: VectorCache,
    alarms: Alarms | None,
    trust_remote_code: bool,
) -> dict[str, Any]:
    """What the gate says of a refresh: the comparison's figures, `alarms` that fired, and whether it is `accepted`."""
    prompts, completions = samples.load()
    after = RewardModel.load(refresh.reward_model.path, seed=0, trust_remote_code=trust_remote_code)
    pairs = nearest_pairs(held_out, prompts, completions, config.pairs, vectors)
    compared = no_worse(_right(current, pairs), _right(after, pairs), config, requests(pairs))
    fired = alarms(refresh, after, prompts, completions) if alarms is not None and config.alarms else []
    return {**asdict(compared), "alarms": fired, "accepted": compared.no_worse and not fired}


def no_worse(
    before_N: np.ndarray[Any, Any],
    after_N: np.ndarray[Any, Any],
    config: GateConfig,
    requests_N: Sequence[Hashable] | None = None,
) -> Comparison:
    """The same from N pairs of 0 (wrong), 1/2 (a tie) and 1 (right); pairs on one request are a cluster."""
    from scipy import stats

    step_N = after_N - before_N
    difference, error = float(step_N.mean()), standard_error(step_N, requests_N)
    clusters = len(step_N) if requests_N is None else len(set(requests_N))
    # All on one request: nothing is known about others, and nothing shown.
    bound = -1.0 if error is None else difference - float(stats.t.ppf(1 - config.level, clusters - 1)) * error
    return Comparison(
        len(step_N), float(before_N.mean()), float(after_N.mean()), difference, bound, bool(bound > -config.margin)
    )


def nearest_pairs(
    held_out: pa.Table,
    prompts: Sequence[str],
    completions: Sequence[str],
    number: int,
    vectors: VectorCache,
) -> pa.Table:
    """The pairs whose completions are nearest to samples of the policy, by the sum of both cosines; all if fewer."""
    nearest = SelectionConfig(strategy="part1", threshold=-1, match="nearest", size=number, test_size=0)
    return select(held_out, prompts, completions, nearest, vectors, 0).pairs(held_out, "train")


def _right(model: RewardModel, pairs: pa.Table) -> np.ndarray[Any, Any]:
    prompts, chosen, rejected = (pairs[name].to_pylist() for name in ("prompt", "chosen", "rejected"))
    # In one call, so that equal completions get exactly equal scores.
    raw = model.raw_scores([*prompts, *prompts], [*chosen, *rejected])
    return np.asarray((np.sign(raw[: len(prompts)] - raw[len(prompts) :]) + 1) / 2)
