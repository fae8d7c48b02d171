"""Whether labels near the policy follow another rule than those of the whole pool, by what can be seen in texts.

A Bradley-Terry model on the difference of two completions' embeddings, and of their log lengths,

    P(chosen > rejected) = sigmoid(w . d)           for every pair: the pooled fit
    P(chosen > rejected) = sigmoid((w + z v) . d)   where a pair has z of the policy, 0 to 1: the local fit

is fitted by penalised likelihood, |w|^2 / 2C + |v|^2 / (2 C s^2): v is a correction that few near pairs cannot pull far
from 0, where the local fit is the pooled one. C is chosen by the log loss of all pairs, and s by that of the near ones,
that are held out within what is trained on; and every figure is of pairs, and prompts, that neither the fit nor the
choice has seen (nested cross-validation; Varma & Simon 2006). Where s = 0 is chosen, locality gains exactly nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt

from frft.errors import SelectionError
from frft.progress import SILENT, Progress
from frft.statistics.numbers import Floats

LOCALITY_FOLDS = 5
RIDGE_STRENGTHS = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)
"""Candidates for C (larger: a weaker penalty), for features with a mean square of 1."""
CORRECTIONS = (0.0, 0.5, 1.0, 2.0, 4.0)
"""Candidates for s; 0: the local fit is the pooled one."""

_Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class HeldOutLogOdds:
    """Log odds of the published labels of N pairs, each by fits that have seen neither the pair nor its prompt.

    Attributes:
        pooled_N: by the pooled fit.
        local_N: by the local fit.
        correction: the mean over the folds of the s that was chosen.
    """

    pooled_N: Floats
    local_N: Floats
    correction: float


def held_out(
    steps_NF: Floats,
    nearness_N: Floats,
    near_N: _Mask,
    prompts: Sequence[str],
    seed: int,
    progress: Progress = SILENT,
) -> HeldOutLogOdds:
    """Cross-validated pooled and local fits.

    Args:
        steps_NF: F features of the chosen completions of N pairs, less those of the rejected ones.
        nearness_N: z of each pair, 0 (nothing of the policy) to 1.
        near_N: true at the near pairs, by whose held-out log loss s is chosen.
        prompts: the prompt of each pair; the pairs of one prompt are in one fold.
        seed: decides which fold each prompt is in.

    Raises:
        SelectionError: there are too few different prompts to hold some out.
    """
    fold_N = prompt_folds(prompts, seed)
    x_NF = scaled(steps_NF)
    start_of: dict[frozenset[int], Floats] = {}

    @cache
    def logits(left_out: frozenset[int], strength: float, correction: float) -> Floats:
        """Log odds of all N pairs, by a fit on the folds that are not left out."""
        seen_N = ~np.isin(fold_N, list(left_out))
        z_N = correction * nearness_N
        # The problem is convex, so the start decides nothing but the time: the last solution on the same pairs is near.
        start_2F = start_of.get(left_out, np.zeros((2, x_NF.shape[1])))
        start_of[left_out] = w_2F = _fit(x_NF[seen_N], z_N[seen_N], strength, start_2F)
        return _logits(x_NF, z_N, w_2F)

    def inner_loss(outer: int, strength: float, correction: float, counted_N: _Mask) -> float:
        """Log loss in nats, summed over the folds other than `outer`, each predicted by a fit on the remaining ones.

        A fit without folds a and b serves twice, for outer fold a and for b: hence the set as the key of the cache.
        """
        total = 0.0
        for inner in set(range(LOCALITY_FOLDS)) - {outer}:
            rows = counted_N & (fold_N == inner)
            total += float(np.logaddexp(0, -logits(frozenset({outer, inner}), strength, correction)[rows]).sum())
        return total

    pooled_N, local_N, chosen = np.empty(len(fold_N)), np.empty(len(fold_N)), []
    all_N = np.ones(len(fold_N), dtype=bool)
    with progress.task("Fitting the labels, near the policy and in the whole pool", LOCALITY_FOLDS) as task:
        for outer in range(LOCALITY_FOLDS):
            # Of equal losses argmin takes the first: the stronger penalty, and the smaller correction.
            losses = [inner_loss(outer, each, 0.0, all_N) for each in RIDGE_STRENGTHS]
            strength = RIDGE_STRENGTHS[int(np.argmin(losses))]
            losses = [inner_loss(outer, strength, each, near_N) for each in CORRECTIONS]
            correction = CORRECTIONS[int(np.argmin(losses))]
            rows = fold_N == outer
            pooled_N[rows] = logits(frozenset({outer}), strength, 0.0)[rows]
            local_N[rows] = logits(frozenset({outer}), strength, correction)[rows]
            chosen.append(correction)
            task.advance(1)
    return HeldOutLogOdds(pooled_N, local_N, float(np.mean(chosen)))


def scaled(steps_NF: Floats) -> Floats:
    """The features of N pairs with a mean square of 1 each; those that are 0 everywhere stay so."""
    # Not centred: a pair with its completions exchanged must have the opposite step.
    scale_F = np.sqrt((steps_NF**2).mean(axis=0))
    x_NF: Floats = steps_NF / np.where(scale_F, scale_F, 1.0)
    return x_NF


def prompt_folds(prompts: Sequence[str], seed: int) -> npt.NDArray[np.int64]:
    """The fold, 0 to LOCALITY_FOLDS - 1, in which each pair is held out together with all pairs of its prompt.

    Raises:
        SelectionError: there are too few different prompts to hold some out.
    """
    different = sorted(set(prompts))
    if len(different) < LOCALITY_FOLDS:
        raise SelectionError(
            f"The pairs are on {len(different)} different prompts; to hold some out takes at least {LOCALITY_FOLDS}, "
            "better hundreds. Give more pairs."
        )
    places = np.random.default_rng([seed, 6]).permutation(len(different))
    fold_of = {prompt: int(place) % LOCALITY_FOLDS for prompt, place in zip(different, places, strict=True)}
    return np.array([fold_of[prompt] for prompt in prompts])


def _logits(x_NF: Floats, z_N: Floats, w_2F: Floats) -> Floats:
    steps_2N = w_2F @ x_NF.T
    logits_N: Floats = steps_2N[0] + z_N * steps_2N[1]
    return logits_N


def _fit(x_NF: Floats, z_N: Floats, strength: float, start_2F: Floats) -> Floats:
    """(w, v / s) of the penalised fit, shape (2, F), from z that is multiplied by s already.

    (s z) (v / s) = z v and |v / s|^2 / 2C = |v|^2 / (2 C s^2), so one penalty serves both rows.
    """
    from scipy.optimize import minimize

    def loss(flat: Floats) -> tuple[float, Floats]:
        w_2F = flat.reshape(2, -1)
        logits_N = _logits(x_NF, z_N, w_2F)
        # sigmoid(-x) = exp(-log(1 + exp(x))), without overflow; it is minus the slope of log(1 + exp(-x)).
        wrong_N = np.exp(-np.logaddexp(0, logits_N))
        gradient_2F = -np.stack([wrong_N, wrong_N * z_N]) @ x_NF + w_2F / strength
        return float(np.logaddexp(0, -logits_N).sum() + flat @ flat / (2 * strength)), gradient_2F.ravel()

    found = minimize(loss, start_2F.ravel(), jac=True, method="L-BFGS-B", options={"maxiter": 1000})
    w_2F: Floats = found.x.reshape(2, -1)
    return w_2F
