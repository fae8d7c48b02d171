"""Over-optimisation: the proxy reward goes on rising while the gold reward falls (Gao et al. 2210.10760).

With d = sqrt(KL(pi || pi_SFT)), the gold reward of a policy follows R(d) = R0 + d (alpha - beta log d) under
reinforcement learning and R(d) = R0 + d (alpha - beta d) under best-of-n; it peaks at d* = exp(alpha / beta - 1) and at
d* = alpha / (2 beta).

Departure from the paper, which subtracts the initial policy's reward: here R0 is fitted, too, because an estimate of it
from one batch of rollouts would shift all other points.
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
        curve: "rl" or "best_of_n": the formula.
        alpha, beta: fitted coefficients, in units of reward over d.
        peak: d*, where the curve is highest; None where it has no peak (beta <= 0) or one out of reach.
        peak_interval: 95 % interval of d*: Fieller's interval of alpha / beta, exact for normal errors, through the
            formula of the peak. None where beta cannot be told from 0, since then d* may be anywhere, or nowhere.
        d: sqrt of the policy's present KL, the last one of the smoothed curve.
        n: number of points fitted.
        left_out: number of points left out because their KL estimate is below 0, so that they have no d.
        distance: d* - d: how far the peak is ahead, below 0 how far behind; None where there is no peak.
    """

    # `distance` is in files as well, but it is computed from the other fields when a file is read.
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
        """All fields as JSON-able values, for a results file."""
        return plain(self)


def fit_gao(gold: Numbers, kl: Numbers, curve: Curve = "rl") -> GaoFit | None:
    """Fit Gao's curve to T points by least squares.

    Args:
        gold: mean gold reward, or judge's score, of each point.
        kl: KL from SFT of each point, in nats a completion. It is taken as exact; noise in it flattens the curve.
        curve: the formula: reinforcement learning, or best-of-n.

    Returns:
        The fit; None where fewer than three points have a KL above 0.
    """
    gold_T, kl_T = np.asarray(gold, float), np.asarray(kl, float)
    usable = kl_T >= 0
    if (kl_T > 0).sum() < 3 or usable.sum() < 3:
        return None
    d_N = np.sqrt(kl_T[usable])
    bend_N = d_N * (np.log(np.where(d_N > 0, d_N, 1.0)) if curve == "rl" else d_N)
    columns_NC = np.stack([np.ones_like(d_N), d_N, -bend_N], axis=1)
    # The model is linear in (R0, alpha, beta). A pseudo-inverse, since the matrix is singular if all d are equal.
    inverse_CC = np.linalg.pinv(columns_NC.T @ columns_NC)
    fitted_C = inverse_CC @ columns_NC.T @ gold_T[usable]
    alpha, beta = (float(value) for value in fitted_C[1:])
    n, ratio = len(d_N), (alpha / beta if beta > 0 else np.inf)
    freedom = n - columns_NC.shape[1]
    interval = None
    if freedom > 0:
        # Covariance of (alpha, beta) = residual variance * (X^T X)^-1, for Fieller's interval of their ratio.
        left_N = gold_T[usable] - columns_NC @ fitted_C
        ends = ratio_interval(alpha, beta, inverse_CC[1:, 1:] * (left_N @ left_N) / freedom, freedom)
        if ends is not None and beta > 0 and ends[1] < FARTHEST:
            interval = _peak(ends[0], curve), _peak(ends[1], curve)
    now = float(np.sqrt(max(0.0, smoothed(kl_T)[-1])))
    peak = _peak(ratio, curve) if ratio < FARTHEST else None
    return GaoFit(curve, alpha, beta, peak, interval, now, n, int((~usable).sum()))


def gao_peak(gold: Numbers, kl: Numbers) -> float | None:
    """d* of the curve for reinforcement learning; None where it has no peak or cannot be fitted."""
    fit = fit_gao(gold, kl)
    return None if fit is None else fit.peak


def _peak(ratio: float, curve: Curve) -> float:
    """d* of the curve with this alpha / beta; 0 where it falls from the start."""
    return float(np.exp(ratio - 1)) if curve == "rl" else max(0.0, ratio / 2)
