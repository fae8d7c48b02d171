"""Density ratios log p_policy(y) / p_pool(y) of a pool's completions, by classification (Sugiyama et al. 2012, ch. 4).

A logistic regression tells the policy's completions from the pool's by their embedding and log length. By Bayes' rule,

    log p_policy(y) / p_pool(y) = log odds of "the policy's" given y - log odds of the classes in the training set

as far as the ratio is log-linear in these features. The classifiers are cross-fitted: the one that judges a text has
seen neither this text under any prompt nor other texts written to its prompt; otherwise the topics of the policy's
prompts would count as its style. The regularisation minimises the log loss on unseen texts, since an over-fitted
classifier overstates ratios. If a share pi of the pool is written as the policy writes, no ratio exceeds 1 / pi, which
a linear function cannot express, so `calibrate` bends it by three parameters fitted to unseen texts.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from frft.errors import SelectionError
from frft.progress import SILENT, Progress
from frft.selection.similarity import Vectors
from frft.statistics.numbers import Floats

DENSITY_FOLDS = 5
LOGISTIC_STRENGTHS = tuple(10 ** (half / 2) for half in range(-10, 1))
"""Candidates for the inverse strength of the L2 regularisation (scikit-learn's C), 1e-5 to 1 in half decades."""
AT_MOST = 20_000
"""Maximum number of training texts per class; more are sampled down, which changes the classes' log odds, and these
are subtracted."""


@dataclass(frozen=True)
class DensityRatios:
    """Log density ratios of a pool's texts, and the quality of the classifier behind them.

    Attributes:
        log_ratios_N: log p_policy / p_pool of N texts of the pool, in nats.
        auc: area under the ROC curve on unseen texts, 0 to 1. At 0.5 the policy's texts cannot be told from the pool's,
            and a selection by the ratio is no better than a random one.
        log_loss: mean log loss on unseen texts after calibration, in nats.
        strength: the regularisation that was chosen, from `LOGISTIC_STRENGTHS`.
    """

    log_ratios_N: Floats
    auc: float
    log_loss: float
    strength: float


@dataclass(frozen=True)
class EmbeddedCompletions:
    """N completions with their prompts and embeddings.

    Attributes:
        prompts: the prompts, N.
        texts: the completions, N.
        vectors_ND: embeddings of the completions, float32 (N, D).
    """

    prompts: Sequence[str]
    texts: Sequence[str]
    vectors_ND: Vectors


def density_ratios(
    pool: EmbeddedCompletions, samples: EmbeddedCompletions, seed: int, progress: Progress = SILENT
) -> DensityRatios:
    """Log density ratios of N texts of the pool; they depend on the texts, not on their order.

    Args:
        pool: completions of the pool, N.
        samples: completions of the policy.
        seed: seed of the folds, and of the training texts where there are more than `AT_MOST` per class.
        progress: receives the number of classifiers trained.

    Raises:
        SelectionError: too few different prompts, or texts, for cross-fitting.
    """
    fit = cross_fit(pool, samples, seed, progress)
    logits_CM, is_policy_M, classifiers = fit.logits_CM, fit.is_policy_M, fit.classifiers
    best = fit.best
    log_odds_M = np.array([classifier.log_odds for classifier in classifiers])[fit.fold_M]
    bend, log_loss = calibrate(logits_CM[best] - log_odds_M, is_policy_M, log_odds_M)

    # Each different text once: equal texts get equal ratios, to the bit.
    first_of = {text: row for row, text in reversed(list(enumerate(pool.texts)))}
    ratio_of: dict[str, float] = {}
    for fold, classifier in enumerate(classifiers):
        texts = [text for text in sorted(first_of) if fit.fold_of[text] == fold]
        features = _features(pool, [first_of[text] for text in texts])
        ratio_of.update(zip(texts, bend(classifier.logits(features)[best] - classifier.log_odds), strict=True))
    from sklearn.metrics import roc_auc_score

    return DensityRatios(
        np.array([ratio_of[text] for text in pool.texts]),
        float(roc_auc_score(is_policy_M, logits_CM[best])),
        log_loss,
        LOGISTIC_STRENGTHS[best],
    )


@dataclass(frozen=True)
class CrossFit:
    """Cross-fitted classifiers of M texts of the policy and the pool: none has seen the texts that it judges.

    Attributes:
        logits_CM: log odds of "the policy's" at each of the C `LOGISTIC_STRENGTHS`.
        is_policy_M: true classes, 1 for the policy's texts and 0 for the pool's.
        prompts_M: prompts of the texts.
        fold_M: index of the classifier that judged each text.
        fold_of: index of the classifier for each different text, those not among the M (beyond `AT_MOST`) included.
        classifiers: one for each of the `DENSITY_FOLDS` folds, trained on the others.
    """

    logits_CM: Floats
    is_policy_M: npt.NDArray[np.int64]
    prompts_M: Sequence[str]
    fold_M: npt.NDArray[np.int64]
    fold_of: dict[str, int]
    classifiers: list[_Classifiers]

    @property
    def best(self) -> int:
        """Index of the regularisation strength with the lowest held-out log loss."""
        # The log loss of a logit z is log(1 + e^-z) for the policy's texts and log(1 + e^z) for the pool's.
        return int(np.logaddexp(0, np.where(self.is_policy_M == 1, -self.logits_CM, self.logits_CM)).mean(1).argmin())


def cross_fit(
    pool: EmbeddedCompletions,
    samples: EmbeddedCompletions,
    seed: int,
    progress: Progress = SILENT,
    *,
    by_text: bool = True,
) -> CrossFit:
    """Train and apply cross-fitted classifiers of the policy's completions against the pool's.

    Args:
        pool, samples, seed, progress: as in `density_ratios`.
        by_text: hold out a text under all of its prompts at once, so that no classifier has memorised it. False: hold
            out each text with its own prompt alone, as where repeating one text is a difference to be found.

    Raises:
        SelectionError: as `density_ratios`.
    """
    rng = np.random.default_rng([seed, 4])
    fold_of_prompt = _folds(pool, samples, rng)
    # A text that stands under several prompts is held out with the first of them.
    written = sorted({*zip(pool.texts, pool.prompts, strict=True), *zip(samples.texts, samples.prompts, strict=True)})
    fold_of = {text: fold_of_prompt[prompt] for text, prompt in reversed(written)}
    rows = [(side, _by_text(side, rng)) for side in (samples, pool)]
    x_MF = np.concatenate([_features(side, own) for side, own in rows])
    is_policy_M = np.repeat([1, 0], [len(own) for _, own in rows])
    prompts_M = [side.prompts[row] for side, own in rows for row in own]
    prompt_fold_M = np.array([fold_of_prompt[prompt] for prompt in prompts_M])
    text_fold_M = np.array([fold_of[side.texts[row]] for side, own in rows for row in own])
    fold_M = text_fold_M if by_text else prompt_fold_M
    logits_CM, classifiers = np.empty((len(LOGISTIC_STRENGTHS), len(x_MF))), []
    with progress.task("Telling the policy's completions from the others", total=DENSITY_FOLDS) as task:
        for fold in range(DENSITY_FOLDS):
            unseen_M = fold_M == fold
            seen_M = ~unseen_M & (prompt_fold_M != fold)
            if len(set(is_policy_M[seen_M])) < 2:
                raise SelectionError(
                    "The samples, or the completions of the pool, are too few or too much alike to hold some out and "
                    "learn from the others. Give more, or more varied ones."
                )
            classifiers.append(_Classifiers.train(x_MF[seen_M], is_policy_M[seen_M]))
            logits_CM[:, unseen_M] = classifiers[-1].logits(x_MF[unseen_M])
            task.advance(1)
    return CrossFit(logits_CM, is_policy_M, prompts_M, fold_M, fold_of, classifiers)


def calibrate(
    log_ratios_M: Floats, is_policy_M: npt.NDArray[np.int64], log_odds_M: Floats
) -> tuple[Callable[[Floats], Floats], float]:
    """Fit the increasing function r -> a + b r - log(1 + e^(c + b r)) of log ratios that minimises the log loss.

    With e^c near 0 it is the line of Platt scaling. Where p_pool = pi p_policy + (1 - pi) q, and log p_policy / q is
    linear, it is exact, with a - c = log 1 / pi the largest log ratio. It keeps the order of the ratios.

    Args:
        log_ratios_M: log ratios of M texts by a linear classifier that has not seen them, in nats.
        is_policy_M: true classes, 1 for the policy's texts and 0 for the pool's.
        log_odds_M: log odds of the classes in the training set of each text's classifier.

    Returns:
        The function, and the mean log loss with it, in nats.
    """
    from scipy.optimize import minimize

    def bend(abc: Floats, log_ratios: Floats) -> Floats:
        rise = abc[1] * log_ratios
        bent: Floats = abc[0] + rise - np.logaddexp(0, abc[2] + rise)
        return bent

    def loss(abc: Floats) -> float:
        logits_M = bend(abc, log_ratios_M) + log_odds_M
        return float(np.logaddexp(0, np.where(is_policy_M == 1, -logits_M, logits_M)).mean())

    # From near the identity (a = 0, b = 1, e^c = 0.02). The lower bound of b keeps the function increasing.
    found = minimize(loss, [0.0, 1.0, -4.0], method="L-BFGS-B", bounds=[(-20, 20), (0.01, 10), (-20, 20)])
    return (lambda log_ratios: bend(found.x, log_ratios)), float(found.fun)


@dataclass(frozen=True)
class _Classifiers:
    """Logistic regressions on one set of texts, one for each of the C `LOGISTIC_STRENGTHS`, on F features."""

    coefficients_CF: Floats
    intercepts_C: Floats
    log_odds: float

    @classmethod
    def train(cls, x_MF: Floats, is_policy_M: npt.NDArray[Any]) -> _Classifiers:
        from sklearn.linear_model import LogisticRegression
        from sklearn.preprocessing import StandardScaler

        scaler = StandardScaler()
        scaled_MF = scaler.fit_transform(x_MF)
        # From strong to weak regularisation, each fit starting from the previous one, whose optimum is near.
        model, coefficients, intercepts = LogisticRegression(warm_start=True, max_iter=10_000), [], []
        for strength in LOGISTIC_STRENGTHS:
            model.set_params(C=strength).fit(scaled_MF, is_policy_M)
            # w (x - m) / s + b = (w / s) x + b - (w / s) m: the scaling is folded into the coefficients.
            coefficients.append(model.coef_[0] / scaler.scale_)
            intercepts.append(model.intercept_[0] - coefficients[-1] @ scaler.mean_)
        policies = int(is_policy_M.sum())
        log_odds = float(np.log(policies / (len(is_policy_M) - policies)))
        return cls(np.stack(coefficients), np.array(intercepts), log_odds)

    def logits(self, x_MF: Floats) -> Floats:
        """Log odds of "the policy's" for M texts at every strength, shape (C, M)."""
        logits_CM: Floats = self.coefficients_CF @ x_MF.T + self.intercepts_C[:, None]
        return logits_CM


def _features(completions: EmbeddedCompletions, rows: Sequence[int]) -> Floats:
    """Embedding and log length in characters of these M rows, shape (M, D + 1)."""
    lengths_M = np.array([len(completions.texts[row]) for row in rows])
    return np.column_stack([completions.vectors_ND[rows].astype(np.float64), np.log1p(lengths_M)])


def _by_text(completions: EmbeddedCompletions, rng: np.random.Generator) -> list[int]:
    """Rows to train on, sorted by text and prompt, so that the result does not depend on the order of the rows."""
    written = list(zip(completions.texts, completions.prompts, strict=True))
    rows = sorted(range(len(written)), key=written.__getitem__)
    if len(rows) <= AT_MOST:
        return rows
    return [rows[place] for place in np.sort(rng.choice(len(rows), AT_MOST, replace=False))]


def _folds(pool: EmbeddedCompletions, samples: EmbeddedCompletions, rng: np.random.Generator) -> dict[str, int]:
    """The fold in which each prompt is held out, stratified: prompts of the policy, and prompts of the pool alone."""
    sampled = set(samples.prompts)
    for what, prompts in (("samples of the policy", sampled), ("pairs of the pool", set(pool.prompts))):
        if len(prompts) < DENSITY_FOLDS:
            number = "a single prompt" if len(prompts) == 1 else f"{len(prompts)} different prompts"
            raise SelectionError(
                f"The {what} are on {number}; a density ratio needs at least {DENSITY_FOLDS}, better hundreds. "
                "Give more."
            )
    return {
        prompt: int(place) % DENSITY_FOLDS
        for group in (sampled, set(pool.prompts) - sampled)
        for prompt, place in zip(sorted(group), rng.permutation(len(group)), strict=True)
    }
