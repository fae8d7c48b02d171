"""Over-optimisation: the proxy reward goes on rising while what it stands for falls (Gao et al. 2210.10760).

With d = sqrt(KL(pi || pi_SFT)), the gold reward of a policy follows R(d) = R0 + d (alpha - beta log d) under
reinforcement learning and R(d) = R0 + d (alpha - beta d) under best-of-n; it peaks at d* = exp(alpha / beta - 1) and at
d* = alpha / (2 beta).

Departure from the paper, which measures from the first policy's own reward: R0 is fitted too, because one batch of
rollouts is a poor estimate of what everything else is measured from.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from pydantic import ConfigDict, computed_field

from frft.statistics.estimates import ratio_interval, smoothed
from frft.statistics.numbers import Numbers
from frft.store import plain

Curve = Literal["rl", "best_of_n"]
FARTHEST = 100.0
"""Upper bound of alpha / beta. Beyond it, the peak exp(alpha / beta - 1) is out of reach or overflows a float."""


@dataclass(frozen=True)
class GaoFit:
    """A fitted curve of gold reward over d = sqrt(KL in nats).

    Attributes:
        curve: its kind.
        alpha, beta: its coefficients, in units of reward over d.
        peak: d*; None where the curve has none (beta <= 0).
        peak_interval: 95 %: Fieller's interval of alpha / beta, which is exact for normal errors, put through the
            formula of the peak. None where beta cannot be told from 0: every d* is possible then, up to none at all.
        d: where the policy is now: the root of the last KL of the smoothed curve.
        n: steps that were fitted.
        left_out: points whose KL estimate was below 0, which have no d.
        distance: d* - d: how far the peak is ahead; below 0, how far behind; None where there is no peak.
    """

    # The distance is written, and computed again when a file is read.
    __pydantic_config__ = ConfigDict(extra="ignore")

    curve: Curve
    alpha: float
    beta: float
    peak: float | None
    peak_interval: tuple[float, float] | None
    d: float
    n: int
    left_out: int

    @computed_field  # type: ignore[prop-decorator]
    @property
    def distance(self) -> float | None:
        """d* - d, in square roots of nats: positive before the peak, negative beyond it."""
        return None if self.peak is None else self.peak - self.d

    @property
    def passed(self) -> bool:
        """Whether the policy is beyond the whole interval of the peak."""
        return self.peak_interval is not None and self.d > self.peak_interval[1]

    def as_dict(self) -> dict[str, Any]:
        """For a results file."""
        return plain(self)


def fit_gao(gold: Numbers, kl: Numbers, curve: Curve = "rl") -> GaoFit | None:
    """Least squares over T points.

    Args:
        gold: mean gold reward, or a judge's score, of each.
        kl: KL from SFT of each, in nats a completion. It counts as known: noise in it flattens the curve.
        curve: which formula.

    Returns:
        None: fewer than three points are away from KL 0.
    """
    gold_T, kl_T = np.asarray(gold, float), np.asarray(kl, float)
    usable = kl_T >= 0
    if (kl_T > 0).sum() < 3 or usable.sum() < 3:
        return None
    d_N = np.sqrt(kl_T[usable])
    bend_N = d_N * (np.log(np.where(d_N > 0, d_N, 1.0)) if curve == "rl" else d_N)
    columns_NC = np.stack([np.ones_like(d_N), d_N, -bend_N], axis=1)
    # The pseudo-inverse bears points that all lie at one d.
    inverse_CC = np.linalg.pinv(columns_NC.T @ columns_NC)
    fitted_C = inverse_CC @ columns_NC.T @ gold_T[usable]
    alpha, beta = (float(value) for value in fitted_C[1:])
    n, ratio = len(d_N), (alpha / beta if beta > 0 else np.inf)
    freedom = n - columns_NC.shape[1]
    interval = None
    if freedom > 0:
        left_N = gold_T[usable] - columns_NC @ fitted_C
        ends = ratio_interval(alpha, beta, inverse_CC[1:, 1:] * (left_N @ left_N) / freedom, freedom)
        if ends is not None and beta > 0 and ends[1] < FARTHEST:
            interval = _peak(ends[0], curve), _peak(ends[1], curve)
    now = float(np.sqrt(max(0.0, smoothed(kl_T)[-1])))
    peak = _peak(ratio, curve) if ratio < FARTHEST else None
    return GaoFit(curve, alpha, beta, peak, interval, now, n, int((~usable).sum()))


def gao_peak(gold: Numbers, kl: Numbers) -> float | None:
    """d* of reinforcement learning; None where there is none, or it cannot be fitted."""
    fit = fit_gao(gold, kl)
    return None if fit is None else fit.peak


def _peak(ratio: float, curve: Curve) -> float:
    """Where the curve with this alpha / beta is highest; 0: from the start on it falls."""
    return float(np.exp(ratio - 1)) if curve == "rl" else max(0.0, ratio / 2)
