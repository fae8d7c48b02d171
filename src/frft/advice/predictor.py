"""The probability that a refresh by FRFT will help: a logistic regression on three numbers of the evidence.

It is trained on worlds with a known gold reward and tested on other worlds, with other seeds. A world is one setting of
the dials; a seed gives the texts, the policy and the luck that all worlds have in common, so that cases which share
either are no proof of each other. The regularisation is strong, since there are few worlds, and was not tuned.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from importlib import resources
from pathlib import Path

import numpy as np
import numpy.typing as npt

from frft.advice.evidence import Evidence, MeasuredEvidence
from frft.errors import ArtifactError, DataError
from frft.statistics.intervals import CONFIDENCE_LEVEL
from frft.statistics.numbers import Floats
from frft.store import read_json, write_json

PREDICTOR_FORMAT = "frft predictor 1"
STRENGTH = 0.1
"""scikit-learn's C on standardised inputs: a prior of standard deviation 0.3 on each coefficient."""
PREDICTOR_RESAMPLES = 2000
"""Bootstrap resamples for the interval of the AUC."""

_Mask = npt.NDArray[np.bool_]


INPUTS: dict[str, Callable[[Evidence], MeasuredEvidence]] = {
    "auc": lambda evidence: MeasuredEvidence(evidence.auc, 0.0),
    "locality": lambda evidence: evidence.locality,
    "agreement": lambda evidence: evidence.agreement or MeasuredEvidence(0.0, None),
}
"""The predictor's inputs: whether there is something to select by; whether labels near the policy follow a rule of
their own; and whether that is nearer than the far ones' to what all annotators share, for biases of many cancel in the
pool. The error of the first is small beside what it differs by, and taken as 0."""


@dataclass(frozen=True)
class KnownExperiment:
    """One experiment with a known outcome.

    Attributes:
        world: a name or digest of the world's dials, the seed left out.
        seed: the seed of the world and of the run in it.
        evidence: what could be measured before the training.
        gain: mean gold reward of FRFT over the steps after the first refresh, less that of a refresh on as many random
            pairs.
    """

    world: str
    seed: int
    evidence: Evidence
    gain: float


@dataclass(frozen=True)
class PredictorTest:
    """How well a predictor does on worlds and seeds that it was not trained on.

    Attributes:
        worlds: number of different worlds.
        seeds: number of different seeds.
        cases: number of experiments.
        helped: experiments with a gain above 0.
        auc: how often a case that gained has a higher predicted probability than one that did not, 0 to 1; None: all
            gained, or none.
        auc_low, auc_high: 95 % percentile bootstrap interval of the AUC, from resampling whole worlds and whole seeds;
            None: in over half of the resamples all gained, or none.
        spearman: rank correlation of the probability and the gain; None: one of them is constant.
    """

    __test__ = False

    worlds: int
    seeds: int
    cases: int
    helped: int
    auc: float | None
    auc_low: float | None
    auc_high: float | None
    spearman: float | None

    def sentence(self) -> str:
        """The test's result in a sentence."""
        interval = f"95 % interval {_figure(self.auc_low)} to {_figure(self.auc_high)}; 0.5: a coin"
        return (
            f"AUC {_figure(self.auc)} ({interval}) on {self.cases} experiments in {self.worlds} worlds, with "
            f"{self.seeds} seeds in all; {self.helped} of them gained; rank correlation with the gain "
            f"{_figure(self.spearman)}"
        )


@dataclass(frozen=True)
class LogisticModel:
    """P(gain > 0) = sigmoid(intercept + sum of coefficient * known * (input - mean) / scale).

    An input counts as far as it is known: by spread^2 / (spread^2 + error^2), where the spread is what remains of the
    inputs' standard deviation when their errors are taken off (empirical Bayes). One that is not known counts nothing.

    Attributes:
        means, scales: mean and standard deviation of each input in training.
        spreads: standard deviation of each input that remains without the inputs' errors; 0: it is all error.
        coefficients: what each input adds to the log odds, for a standard deviation.
        lows, highs: the smallest and the largest value of each input in training.
        intercept: the log odds where all inputs are at their means.
        worlds, cases, helped: worlds and experiments that it was trained on, and how many of these gained.
    """

    means: dict[str, float]
    scales: dict[str, float]
    spreads: dict[str, float]
    coefficients: dict[str, float]
    lows: dict[str, float]
    highs: dict[str, float]
    intercept: float
    worlds: int
    cases: int
    helped: int

    @classmethod
    def train(cls, cases: Sequence[KnownExperiment]) -> LogisticModel:
        """Fit the model to experiments with known outcomes.

        Raises:
            DataError: all experiments gained, or none did.
        """
        from sklearn.linear_model import LogisticRegression

        helped_N = _helped(cases)
        if helped_N.all() or not helped_N.any():
            raise DataError(
                f"Of the {len(cases)} cells to train on, {helped_N.sum()} gained; a predictor can be fitted only "
                "where some did and some did not. Let the study go on."
            )
        measured = [[measure(case.evidence) for measure in INPUTS.values()] for case in cases]
        x_NF = np.array([[each.mean for each in row] for row in measured])
        errors_NF = np.array([[np.nan if each.error is None else each.error for each in row] for row in measured])
        deviations_F = x_NF.std(axis=0)
        # An input that is the same in all cases teaches nothing; 1 only avoids a division by 0.
        scales_F = np.where(deviations_F, deviations_F, 1.0)
        # Mean squared standard error, where known. Var(measured) = Var(true) + error^2, so the spread below is the
        # deviation of the true values (0 where errors explain all of it).
        noise_F = np.nansum(errors_NF**2, axis=0) / np.maximum((~np.isnan(errors_NF)).sum(axis=0), 1)

        def by_input(values_F: Floats) -> dict[str, float]:
            return dict(zip(INPUTS, values_F.tolist(), strict=True))

        untrained = cls(
            means=by_input(x_NF.mean(axis=0)),
            scales=by_input(scales_F),
            spreads=by_input(np.sqrt(np.maximum(deviations_F**2 - noise_F, 0.0))),
            # 1, so that `terms` below are the inputs themselves, shrunk and standardised.
            coefficients=dict.fromkeys(INPUTS, 1.0),
            lows=by_input(x_NF.min(axis=0)),
            highs=by_input(x_NF.max(axis=0)),
            intercept=0.0,
            worlds=len({case.world for case in cases}),
            cases=len(cases),
            helped=int(helped_N.sum()),
        )
        terms_NF = np.array([list(untrained.terms(case.evidence).values()) for case in cases])
        fitted = LogisticRegression(C=STRENGTH).fit(terms_NF, helped_N)
        return replace(untrained, coefficients=by_input(fitted.coef_[0]), intercept=float(fitted.intercept_[0]))

    def terms(self, evidence: Evidence) -> dict[str, float]:
        """What each input adds to the log odds; beyond the range of the training cases, as much as that range's end."""
        return {name: self._term(name, measure(evidence)) for name, measure in INPUTS.items()}

    def _term(self, name: str, measured: MeasuredEvidence) -> float:
        spread, error = self.spreads[name], measured.error
        if error is None or not spread:
            return 0.0
        known = spread**2 / (spread**2 + error**2)
        value = min(max(measured.mean, self.lows[name]), self.highs[name])
        return self.coefficients[name] * known * (value - self.means[name]) / self.scales[name]

    def beyond(self, evidence: Evidence) -> list[str]:
        """Names of the inputs that lie outside the range of the training cases."""
        measured = {name: measure(evidence) for name, measure in INPUTS.items()}
        return [
            name
            for name, each in measured.items()
            if each.error is not None and not self.lows[name] <= each.mean <= self.highs[name]
        ]

    def probability(self, evidence: Evidence) -> float:
        """Probability that FRFT has more gold reward after the first refresh than a refresh on as many random pairs."""
        return float(1 / (1 + np.exp(-self.intercept - sum(self.terms(evidence).values()))))

    def test(self, cases: Sequence[KnownExperiment]) -> PredictorTest:
        """Test the model on cases of worlds and seeds that it was not trained on."""
        from scipy.stats import spearmanr

        probabilities_N = np.array([self.probability(case.evidence) for case in cases])
        gains_N, helped_N = np.array([case.gain for case in cases]), _helped(cases)
        constant = len(set(probabilities_N)) < 2 or len(set(gains_N)) < 2
        low, high = _interval(probabilities_N, helped_N, cases)
        return PredictorTest(
            worlds=len({case.world for case in cases}),
            seeds=len({case.seed for case in cases}),
            cases=len(cases),
            helped=int(helped_N.sum()),
            auc=_auc(probabilities_N, helped_N),
            auc_low=low,
            auc_high=high,
            spearman=None if constant else float(spearmanr(probabilities_N, gains_N).statistic),
        )


@dataclass(frozen=True)
class Predictor:
    """A fitted model, and how well it predicted worlds and seeds that it had not seen.

    Attributes:
        embedder: digest of the embedder that the evidence was measured with.
        model: trained on one half of the worlds, with one half of the seeds.
        test: the test of `model` on the other half of the worlds with the other half of the seeds.
        exchanged: the test of a second model with the halves exchanged: trained where `model` is tested, and tested
            where it was trained.
    """

    embedder: str
    model: LogisticModel
    test: PredictorTest
    exchanged: PredictorTest

    @property
    def beats_a_coin(self) -> bool:
        """Whether the whole interval of the AUC is above 1/2, in both tests."""
        return all(test.auc_low is not None and test.auc_low > 0.5 for test in (self.test, self.exchanged))

    def write(self, path: Path) -> None:
        """Write the predictor to a JSON file."""
        write_json(path, {"format": PREDICTOR_FORMAT, **asdict(self)})

    @classmethod
    def read(cls, path: Path) -> Predictor:
        """Read a predictor that `write` wrote.

        Raises:
            ArtifactError: the file is missing, or is no predictor of this format and with these inputs.
        """
        values = read_json(path)
        try:
            if values["format"] != PREDICTOR_FORMAT or set(values["model"]["coefficients"]) != set(INPUTS):
                raise KeyError("format")
            tests = (PredictorTest(**values[name]) for name in ("test", "exchanged"))
            return cls(values["embedder"], LogisticModel(**values["model"]), *tests)
        except (KeyError, TypeError):
            raise ArtifactError(f"{path} is no predictor of this version. Make it with `frft advise fit`.") from None


def packaged_predictor() -> Predictor | None:
    """The predictor that comes with the package; None where the package holds none."""
    with resources.as_file(resources.files(__package__) / "predictor.json") as path:
        return Predictor.read(path) if path.exists() else None


def fit_predictor(cases: Sequence[KnownExperiment], embedder: str) -> Predictor:
    """Train on every second world with every second seed, sorted, and test on the other worlds with the other seeds.

    Cases that share a world or a seed are not independent, so those with one of ours and one of theirs are left out.

    Raises:
        DataError: there are fewer than four worlds or seeds, or all cases of a half gained, or none did.
    """
    worlds, seeds = sorted({case.world for case in cases}), sorted({case.seed for case in cases})
    for found, what in ((worlds, "different worlds"), (seeds, "different seeds")):
        if len(found) < 4:
            raise DataError(
                f"There are finished cells of {len(found)} {what}; to train on some and test on others takes at least "
                "4. Let the study go on."
            )
    # Sorted, so that the order in which cells were finished decides nothing, not even the last digit.
    ordered = sorted(cases, key=lambda case: (case.world, case.seed, case.gain))
    ours, theirs = (
        [case for case in ordered if case.world in worlds[start::2] and case.seed in seeds[start::2]]
        for start in (0, 1)
    )
    model, other = LogisticModel.train(ours), LogisticModel.train(theirs)
    return Predictor(embedder, model, model.test(theirs), other.test(ours))


def _helped(cases: Sequence[KnownExperiment]) -> _Mask:
    return np.array([case.gain > 0 for case in cases])


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

    Worlds and seeds are resampled, not cases: cases that share either are not independent. A case stands in a resample
    as often as its world was drawn times as often as its seed was (Owen 2007, the pigeonhole bootstrap).
    """
    rng = np.random.default_rng(0)
    world_N, seed_N = (
        np.unique([getattr(case, name) for case in cases], return_inverse=True)[1] for name in ("world", "seed")
    )
    worlds, seeds = int(world_N.max()) + 1, int(seed_N.max()) + 1
    aucs = []
    for _ in range(PREDICTOR_RESAMPLES):
        copies_W, copies_S = (np.bincount(rng.integers(n, size=n), minlength=n) for n in (worlds, seeds))
        rows = np.repeat(np.arange(len(cases)), copies_W[world_N] * copies_S[seed_N])
        aucs.append(_auc(probabilities_N[rows], helped_N[rows]))
    found = [auc for auc in aucs if auc is not None]
    if len(found) < PREDICTOR_RESAMPLES / 2:
        return None, None
    low, high = np.quantile(found, [(1 - CONFIDENCE_LEVEL) / 2, (1 + CONFIDENCE_LEVEL) / 2])
    return float(low), float(high)


def _figure(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.2f}"
