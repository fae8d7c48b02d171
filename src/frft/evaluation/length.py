"""Length-controlled win rates: the win rate if both completions had the same length (AlpacaEval 2, 2404.04475)."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from frft.errors import DataError
from frft.evaluation.winrate import Comparison
from frft.statistics.intervals import CONFIDENCE_LEVEL, half_width

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]


@dataclass(frozen=True)
class LengthControlled:
    """A length-controlled win rate.

    Attributes:
        rate: predicted mean preference, 0 to 1, if both completions of every pair had the same length.
        interval: its 95 % interval, by the delta method on the log odds, cluster-robust with prompts as clusters.
        length_effect: phi, the log odds of winning for a length difference far above its standard deviation.
        longer: share of pairs in which the completion is longer than the baseline's. Near 0 or 1 the lengths do not
            overlap, and the rate is an extrapolation of the model.
        n, pairs: numbers of prompts and of pairs with a preference.
    """

    rate: float
    interval: tuple[float, float]
    length_effect: float
    longer: float
    n: int
    pairs: int

    def as_dict(self) -> dict[str, Any]:
        """All fields and the confidence level as JSON-able values, for a results file."""
        return {**asdict(self), "interval": list(self.interval), "level": CONFIDENCE_LEVEL}


def length_controlled(
    comparison: Comparison,
    lengths: Sequence[float],
    baseline_lengths: Sequence[float],
    difficulty: Sequence[float] | None = None,
) -> LengthControlled | None:
    """The win rate of N pairs without the effect of length, from the model

        logit P(first wins) = theta + phi tanh((l - l') / sd(l - l')) + psi gamma(x)

    (2404.04475, equation 1), fitted by maximum likelihood to preferences between 0 and 1; the rate is the mean
    prediction with the term of length set to 0. Departures: phi and psi have a standard normal prior, which keeps them
    finite, where AlpacaEval cross-validates a penalty; and no rows of a shortened baseline are added, a guard
    against models that game the length, so those come out higher here.

    Args:
        comparison: preferences of N pairs; pairs without one are left out.
        lengths, baseline_lengths: lengths of the two completions of each pair, in any unit (characters in the paper).
        difficulty: gamma of the prompt of each pair, from `prompt_difficulty`; None: without that term. It matters
            where the baseline wins nearly always.

    Returns:
        None where there is nothing to fit: all preferences or all length differences are equal.

    Raises:
        DataError: the numbers differ, or are not finite.
    """
    import numpy as np
    from scipy.special import expit
    from sklearn.linear_model import LogisticRegression

    known, y_N, difference_N = _known(comparison, lengths, baseline_lengths)
    if len(y_N) < 2 or np.ptp(y_N) == 0 or np.ptp(difference_N) == 0:
        return None
    features = [np.tanh(difference_N / difference_N.std(ddof=1))]
    if difficulty is not None:
        features.append(_finite("difficulties", difficulty, len(known))[known])
    X_NK = np.stack(features, axis=1)
    n, pairs = len(y_N), np.concatenate([X_NK, X_NK])
    model = LogisticRegression(C=1.0, solver="newton-cholesky", tol=1e-8, max_iter=1000)
    # The cross-entropy of a fractional preference: 0.7 is a win of weight 0.7 and a loss of weight 0.3. C = 1 is the
    # standard normal prior.
    model.fit(pairs, np.repeat([1, 0], n), sample_weight=np.concatenate([y_N, 1 - y_N]))

    design_NK = np.column_stack([np.ones(n), X_NK])
    beta_K = np.concatenate([model.intercept_, model.coef_[0]])
    counterfactual_NK = design_NK.copy()
    counterfactual_NK[:, 1] = 0.0
    predicted_N, equal_N = expit(design_NK @ beta_K), expit(counterfactual_NK @ beta_K)
    rate = float(equal_N.mean())

    prompts = [prompt for prompt, keep in zip(comparison.prompts, known, strict=True) if keep]
    number = {prompt: i for i, prompt in enumerate(dict.fromkeys(prompts))}
    # Sandwich variance of the coefficients, H^-1 (sum_p s_p s_p^T) H^-1, with H the curvature of the penalised loss and
    # s_p the gradient of prompt p's pairs; then the delta method for the rate.
    prior_KK = np.diag([0.0, *[1.0] * X_NK.shape[1]])
    curvature_KK = design_NK.T @ (design_NK * (predicted_N * (1 - predicted_N))[:, None]) + prior_KK
    score_PK = np.zeros((len(number), len(beta_K)))
    np.add.at(score_PK, [number[prompt] for prompt in prompts], design_NK * (y_N - predicted_N)[:, None])
    inverse_KK = np.linalg.inv(curvature_KK)
    gradient_K = (counterfactual_NK * (equal_N * (1 - equal_N))[:, None]).mean(axis=0)
    P, K = score_PK.shape
    small_sample = P / max(1, P - K)
    variance = small_sample * gradient_K @ inverse_KK @ score_PK.T @ score_PK @ inverse_KK @ gradient_K
    # On the log odds, d logit(rate) = d rate / (rate (1 - rate)), so that both bounds are in (0, 1).
    half = half_width(float(np.sqrt(variance)), max(1, P - K)) / (rate * (1 - rate))
    odds = np.log(rate / (1 - rate))
    return LengthControlled(
        rate=rate,
        interval=(float(expit(odds - half)), float(expit(odds + half))),
        length_effect=float(beta_K[1]),
        longer=float((difference_N > 0).mean()),
        n=P,
        pairs=n,
    )


def prompt_difficulty(
    comparisons: Sequence[Comparison], lengths: Sequence[Sequence[float]], baseline_lengths: Sequence[Sequence[float]]
) -> dict[Hashable, float]:
    """gamma of each prompt, the log odds by which arms do better on it than usual, from several against one baseline:

        logit P(arm m wins on x) = theta_m + phi tanh((l - l') / sd_m(l - l')) + gamma(x)

    with a standard normal prior on every coefficient; gamma is shifted to mean 0. AlpacaEval's own are fitted
    to all models of its leaderboard together. With few arms it says more about them than about the prompts.

    Args:
        comparisons: for each of M arms, its comparison with the baseline.
        lengths, baseline_lengths: for each arm, the lengths of the two completions of each pair.

    Raises:
        DataError: no comparison has a verdict, or numbers differ or are not finite.
    """
    import numpy as np
    from scipy import sparse
    from sklearn.linear_model import LogisticRegression

    y, tanh, arm, prompts = [], [], [], []
    for m, (comparison, own, other) in enumerate(zip(comparisons, lengths, baseline_lengths, strict=True)):
        known, y_N, difference_N = _known(comparison, own, other)
        spread = difference_N.std(ddof=1) if len(y_N) > 1 else 0.0
        y.append(y_N)
        tanh.append(np.tanh(difference_N / (spread or 1.0)))
        arm += [m] * len(y_N)
        prompts += [prompt for prompt, keep in zip(comparison.prompts, known, strict=True) if keep]
    if not prompts:
        raise DataError("No comparison has a verdict, so no prompt has a difficulty.")
    number = {prompt: i for i, prompt in enumerate(dict.fromkeys(prompts))}
    y_N, tanh_N, row_N = np.concatenate(y), np.concatenate(tanh), np.arange(len(prompts))
    M, P = len(comparisons), len(number)
    columns = np.concatenate([arm, np.full(len(row_N), M), M + 1 + np.array([number[prompt] for prompt in prompts])])
    values = np.concatenate([np.ones(len(row_N)), tanh_N, np.ones(len(row_N))])
    X = sparse.csr_matrix((values, (np.tile(row_N, 3), columns)), shape=(len(row_N), M + 1 + P))
    model = LogisticRegression(C=1.0, fit_intercept=False, tol=1e-6, max_iter=10_000)
    model.fit(sparse.vstack([X, X]).tocsr(), np.repeat([1, 0], len(y_N)), np.concatenate([y_N, 1 - y_N]))
    gamma_P = model.coef_[0][M + 1 :]
    return dict(zip(number, (gamma_P - gamma_P.mean()).tolist(), strict=True))


def _known(
    comparison: Comparison, lengths: Sequence[float], baseline_lengths: Sequence[float]
) -> tuple[NDArray[np.bool_], Floats, Floats]:
    """Which of N pairs have a preference, bool (N,); and the preferences and length differences of those."""
    import numpy as np

    number = len(comparison.preferences)
    own_N, other_N = (_finite("lengths", each, number) for each in (lengths, baseline_lengths))
    known = np.array([each is not None for each in comparison.preferences], bool)
    y_N = np.array([each for each in comparison.preferences if each is not None], float)
    return known, y_N, (own_N - other_N)[known]


def _finite(what: str, values: Sequence[float], number: int) -> Floats:
    import numpy as np

    array = np.asarray(values, float)
    if array.shape != (number,) or not np.isfinite(array).all():
        raise DataError(f"{what}: {array.size} given for {number} pairs; give one finite number for each.")
    return array
