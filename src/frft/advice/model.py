"""The probability that a selection by density helps: a logistic regression on a few numbers of the evidence.

It is trained on cases with a known outcome and tested on others. Cases that share a cluster (the dials of a world, the
texts of worlds, an actor) or a seed (texts, policy and luck that all clusters have in common) are no proof of each
other, so that intervals are by drawing whole clusters and seeds.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from frft.advice.evidence import Evidence, MeasuredEvidence
from frft.errors import DataError
from frft.statistics.intervals import CONFIDENCE_LEVEL
from frft.statistics.numbers import Floats

PREDICTOR_RESAMPLES = 2000
"""Bootstrap resamples for the interval of the AUC."""

_Mask = npt.NDArray[np.bool_]


INPUTS: dict[str, Callable[[Evidence], MeasuredEvidence]] = {
    "auc": lambda evidence: MeasuredEvidence(evidence.auc, 0.0),
    "locality": lambda evidence: evidence.locality,
    "agreement": lambda evidence: evidence.agreement or MeasuredEvidence(0.0, None),
    "transfer_gap": lambda evidence: evidence.transfer_gap,
}
"""What a predictor may look at: whether there is something to select by; whether labels near the policy follow a rule
of their own; whether that is nearer than the far ones' to what all annotators share, for biases of many cancel in the
pool; and whether near and far labels teach each other. The error of the first is small beside what it differs by,
and taken as 0."""


@dataclass(frozen=True)
class PredictedOutcome:
    """What a predictor predicts, and from what.

    Attributes:
        name: short name, in files.
        inputs: names of `INPUTS`.
        worth: a gain above this counts as help.
        strength: scikit-learn's C on standardised inputs, the variance of the prior on each coefficient.
        help: what help is, for "Probability that ...".
        case: what one case is, in the plural.
    """

    name: str
    inputs: tuple[str, ...]
    worth: float
    strength: float
    help: str
    case: str


PREDICTED_OUTCOMES = {
    each.name: each
    for each in (
        PredictedOutcome(
            "gold",
            ("auc", "locality", "agreement"),
            0.0,
            0.1,
            "FRFT has more gold reward after the first refresh than a refresh on as many random pairs",
            "runs in made-up worlds",
        ),
        PredictedOutcome(
            "accuracy",
            ("transfer_gap",),
            0.03,
            3.0,
            "on pairs like those your policy writes, a reward model fitted to the quarter of the pool nearest to it is "
            "right on at least 3 of 100 more than one fitted to a random quarter",
            "cases with a fixed policy",
        ),
    )
}
"""By name: the gold reward that a policy has after reinforcement learning (of `frft study`), and the accuracy of a
small reward model for a fixed policy (of `frft advise cases`). Of gold, the strength was not tuned; of accuracy, it and
the inputs are those with the smallest log loss on groups of the training cases left out (docs/advise.md)."""


@dataclass(frozen=True)
class KnownExperiment:
    """One experiment with a known outcome.

    Attributes:
        cluster: what it shares with others that are no proof of it: the dials of a world, the texts of worlds, or an
            actor.
        seed: the seed that it shares with others of other clusters.
        evidence: what could be measured before the training.
        gain: what the selection gained over as many random pairs, in the unit of the outcome: gold reward, or accuracy
            (-1 to 1).
    """

    cluster: str
    seed: int
    evidence: Evidence
    gain: float


@dataclass(frozen=True)
class PredictorTest:
    """How well a predictor does on cases that it was not trained on.

    Attributes:
        clusters: number of different clusters.
        seeds: number of different seeds.
        cases: number of experiments.
        helped: experiments with a gain above what is worth it.
        auc: how often a case that gained has a higher predicted probability than one that did not, 0 to 1; None: all
            gained, or none.
        auc_low, auc_high: 95 % percentile bootstrap interval of the AUC, from resampling whole clusters and seeds;
            None: in over half of the resamples all gained, or none.
        spearman: rank correlation of the probability and the gain; None: one of them is constant.
    """

    __test__ = False

    clusters: int
    seeds: int
    cases: int
    helped: int
    auc: float | None
    auc_low: float | None
    auc_high: float | None
    spearman: float | None

    def sentence(self) -> str:
        """The test's result in words."""
        seeds = f" and {self.seeds} seeds" if self.seeds > 1 else ""
        return (
            f"AUC {_figure(self.auc)} [{_figure(self.auc_low)}, {_figure(self.auc_high)}] on {self.cases} cases of "
            f"{self.clusters} clusters{seeds}, {self.helped} of which gained"
        )


@dataclass(frozen=True)
class LogisticModel:
    """P(gain > worth) = sigmoid(intercept + sum of coefficient * known * (input - mean) / scale).

    An input counts as far as it is known: by spread^2 / (spread^2 + error^2), where the spread is what remains of the
    inputs' standard deviation when their errors are taken off (empirical Bayes). One that is not known counts nothing.

    Attributes:
        means, scales: mean and standard deviation of each input in training.
        spreads: standard deviation of each input that remains without the inputs' errors; 0: it is all error.
        coefficients: what each input adds to the log odds, for a standard deviation.
        lows, highs: the smallest and the largest value of each input in training.
        intercept: the log odds where all inputs are at their means.
        clusters, cases, helped: clusters and experiments that it was trained on, and how many of these gained.
        outcome: name of what it predicts, one of `PREDICTED_OUTCOMES`.
    """

    means: dict[str, float]
    scales: dict[str, float]
    spreads: dict[str, float]
    coefficients: dict[str, float]
    lows: dict[str, float]
    highs: dict[str, float]
    intercept: float
    clusters: int
    cases: int
    helped: int
    outcome: str

    @classmethod
    def train(cls, cases: Sequence[KnownExperiment], outcome: PredictedOutcome) -> LogisticModel:
        """Fit the model to experiments with known outcomes.

        Raises:
            DataError: all experiments gained, or none did.
        """
        from sklearn.linear_model import LogisticRegression

        helped_N = _helped(cases, outcome.worth)
        if helped_N.all() or not helped_N.any():
            raise DataError(
                f"Of the {len(cases)} cases to train on, {helped_N.sum()} gained; a predictor can be fitted only "
                "where some did and some did not. Give more cases, or let the study go on."
            )
        inputs = [INPUTS[name] for name in outcome.inputs]
        measured = [[measure(case.evidence) for measure in inputs] for case in cases]
        x_NF = np.array([[each.mean for each in row] for row in measured])
        errors_NF = np.array([[np.nan if each.error is None else each.error for each in row] for row in measured])
        deviations_F = x_NF.std(axis=0)
        # An input that is the same in all cases teaches nothing; 1 only avoids a division by 0.
        scales_F = np.where(deviations_F, deviations_F, 1.0)
        # Mean squared standard error, where known. Var(measured) = Var(true) + error^2, so the spread below is the
        # deviation of the true values (0 where errors explain all of it).
        noise_F = np.nansum(errors_NF**2, axis=0) / np.maximum((~np.isnan(errors_NF)).sum(axis=0), 1)

        def by_input(values_F: Floats) -> dict[str, float]:
            return dict(zip(outcome.inputs, values_F.tolist(), strict=True))

        untrained = cls(
            means=by_input(x_NF.mean(axis=0)),
            scales=by_input(scales_F),
            spreads=by_input(np.sqrt(np.maximum(deviations_F**2 - noise_F, 0.0))),
            # 1, so that `terms` below are the inputs themselves, shrunk and standardised.
            coefficients=dict.fromkeys(outcome.inputs, 1.0),
            lows=by_input(x_NF.min(axis=0)),
            highs=by_input(x_NF.max(axis=0)),
            intercept=0.0,
            clusters=len({case.cluster for case in cases}),
            cases=len(cases),
            helped=int(helped_N.sum()),
            outcome=outcome.name,
        )
        terms_NF = np.array([list(untrained.terms(case.evidence).values()) for case in cases])
        fitted = LogisticRegression(C=outcome.strength).fit(terms_NF, helped_N)
        return replace(untrained, coefficients=by_input(fitted.coef_[0]), intercept=float(fitted.intercept_[0]))

    def terms(self, evidence: Evidence) -> dict[str, float]:
        """What each input adds to the log odds; beyond the range of the training cases, as much as that range's end."""
        return {name: self._term(name, INPUTS[name](evidence)) for name in self.coefficients}

    def _term(self, name: str, measured: MeasuredEvidence) -> float:
        spread, error = self.spreads[name], measured.error
        if error is None or not spread:
            return 0.0
        known = spread**2 / (spread**2 + error**2)
        value = min(max(measured.mean, self.lows[name]), self.highs[name])
        return self.coefficients[name] * known * (value - self.means[name]) / self.scales[name]

    def beyond(self, evidence: Evidence) -> list[str]:
        """Names of the inputs that lie outside the range of the training cases."""
        measured = {name: INPUTS[name](evidence) for name in self.coefficients}
        return [
            name
            for name, each in measured.items()
            if each.error is not None and not self.lows[name] <= each.mean <= self.highs[name]
        ]

    def probability(self, evidence: Evidence) -> float:
        """Probability of help, as `outcome` defines it."""
        return float(1 / (1 + np.exp(-self.intercept - sum(self.terms(evidence).values()))))

    def test(self, cases: Sequence[KnownExperiment]) -> PredictorTest:
        """Test the model on cases that it was not trained on."""
        from scipy.stats import spearmanr

        probabilities_N = np.array([self.probability(case.evidence) for case in cases])
        gains_N, helped_N = (
            np.array([case.gain for case in cases]),
            _helped(cases, PREDICTED_OUTCOMES[self.outcome].worth),
        )
        constant = len(set(probabilities_N)) < 2 or len(set(gains_N)) < 2
        low, high = _interval(probabilities_N, helped_N, cases)
        return PredictorTest(
            clusters=len({case.cluster for case in cases}),
            seeds=len({case.seed for case in cases}),
            cases=len(cases),
            helped=int(helped_N.sum()),
            auc=_auc(probabilities_N, helped_N),
            auc_low=low,
            auc_high=high,
            spearman=None if constant else float(spearmanr(probabilities_N, gains_N).statistic),
        )


def _helped(cases: Sequence[KnownExperiment], worth: float) -> _Mask:
    return np.array([case.gain > worth for case in cases])


def _auc(probabilities_N: Floats, helped_N: _Mask) -> float | None:
    """AUC = (R - n1 (n1 + 1) / 2) / (n1 n0), R the rank sum of those that gained (Mann & Whitney 1947).

    A tie counts half; None where all gained, or none.
    """
    from scipy.stats import rankdata

    ones, zeros = int(helped_N.sum()), int((~helped_N).sum())
    if not ones or not zeros:
        return None
    return float((rankdata(probabilities_N)[helped_N].sum() - ones * (ones + 1) / 2) / (ones * zeros))


def _interval(
    probabilities_N: Floats, helped_N: _Mask, cases: Sequence[KnownExperiment]
) -> tuple[float | None, float | None]:
    """95 % percentile bootstrap interval of the AUC.

    Clusters and seeds are resampled, not cases: cases that share either are not independent. A case stands in a
    resample as often as its cluster was drawn times as often as its seed was (Owen 2007, the pigeonhole bootstrap).
    """
    rng = np.random.default_rng(0)
    cluster_N, seed_N = (
        np.unique([getattr(case, name) for case in cases], return_inverse=True)[1] for name in ("cluster", "seed")
    )
    clusters, seeds = int(cluster_N.max()) + 1, int(seed_N.max()) + 1
    aucs = []
    for _ in range(PREDICTOR_RESAMPLES):
        copies_C, copies_S = (np.bincount(rng.integers(n, size=n), minlength=n) for n in (clusters, seeds))
        rows = np.repeat(np.arange(len(cases)), copies_C[cluster_N] * copies_S[seed_N])
        aucs.append(_auc(probabilities_N[rows], helped_N[rows]))
    found = [auc for auc in aucs if auc is not None]
    if len(found) < PREDICTOR_RESAMPLES / 2:
        return None, None
    low, high = np.quantile(found, [(1 - CONFIDENCE_LEVEL) / 2, (1 + CONFIDENCE_LEVEL) / 2])
    return float(low), float(high)


def _figure(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.2f}"
