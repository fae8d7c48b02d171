"""Whether a refresh by FRFT will help, as a logistic regression on three numbers of the evidence says it.

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
"""Of the interval."""

_Mask = npt.NDArray[np.bool_]


INPUTS: dict[str, Callable[[Evidence], MeasuredEvidence]] = {
    "auc": lambda evidence: MeasuredEvidence(evidence.auc, 0.0),
    "locality": lambda evidence: evidence.locality,
    "agreement": lambda evidence: evidence.agreement or MeasuredEvidence(0.0, None),
}
"""What the predictor looks at: whether there is something to select by; whether labels near the policy follow a rule of
their own; and whether that is nearer than the far ones' to what all annotators share, for biases of many cancel in the
pool. The error of the first is small beside what it differs by, and taken as 0."""


@dataclass(frozen=True)
class KnownExperiment:
    """One experiment with a known outcome.

    Attributes:
        world: what the dials are, without the seed.
        seed: of the world and of what was run in it.
        evidence: what could be seen before.
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
        worlds: how many.
        seeds: how many.
        cases: how many.
        helped: of those, with a gain above 0.
        auc: how often a case that gained has a higher probability than one that did not; None: all gained, or none.
        auc_low, auc_high: percentile interval of 95 %, by drawing whole worlds and whole seeds with replacement; None:
            in over half of the draws all gained, or none.
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
        """The same for a person."""
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
        spreads: see above.
        coefficients: of the log odds.
        lows, highs: the smallest and the largest value of each input in training.
        intercept: of the log odds.
        worlds, cases, helped: what it was trained on; `helped` of the cases gained.
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
        """Fit it to these cases.

        Raises:
            DataError: all of them gained, or none did.
        """
        from sklearn.linear_model import LogisticRegression

        helped_N = _helped(cases)
        if helped_N.all() or not helped_N.any():
            raise DataError(
                f"Of the {len(cases)} cells to train on, {helped_N.sum()} gained: nothing to tell apart. Let the study "
                "go on."
            )
        measured = [[measure(case.evidence) for measure in INPUTS.values()] for case in cases]
        x_NF = np.array([[each.mean for each in row] for row in measured])
        errors_NF = np.array([[np.nan if each.error is None else each.error for each in row] for row in measured])
        deviations_F = x_NF.std(axis=0)
        # Of an input that is the same in all cases nothing is learnt, whatever it is divided by.
        scales_F = np.where(deviations_F, deviations_F, 1.0)
        noise_F = np.nansum(errors_NF**2, axis=0) / np.maximum((~np.isnan(errors_NF)).sum(axis=0), 1)

        def by_input(values_F: Floats) -> dict[str, float]:
            return dict(zip(INPUTS, values_F.tolist(), strict=True))

        untrained = cls(
            means=by_input(x_NF.mean(axis=0)),
            scales=by_input(scales_F),
            spreads=by_input(np.sqrt(np.maximum(deviations_F**2 - noise_F, 0.0))),
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
        """What each input adds to the log odds. One beyond all that it was trained on counts as the last of those."""
        return {name: self._term(name, measure(evidence)) for name, measure in INPUTS.items()}

    def _term(self, name: str, measured: MeasuredEvidence) -> float:
        spread, error = self.spreads[name], measured.error
        if error is None or not spread:
            return 0.0
        known = spread**2 / (spread**2 + error**2)
        value = min(max(measured.mean, self.lows[name]), self.highs[name])
        return self.coefficients[name] * known * (value - self.means[name]) / self.scales[name]

    def beyond(self, evidence: Evidence) -> list[str]:
        """Inputs that lie beyond all that it was trained on."""
        measured = {name: measure(evidence) for name, measure in INPUTS.items()}
        return [
            name
            for name, each in measured.items()
            if each.error is not None and not self.lows[name] <= each.mean <= self.highs[name]
        ]

    def probability(self, evidence: Evidence) -> float:
        """That FRFT has more gold reward after the first refresh than a refresh on as many random pairs."""
        return float(1 / (1 + np.exp(-self.intercept - sum(self.terms(evidence).values()))))

    def test(self, cases: Sequence[KnownExperiment]) -> PredictorTest:
        """How well it does on cases of other worlds and seeds."""
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
    """A model, and how well it does.

    Attributes:
        embedder: digest of the embedder that the evidence was measured with.
        model: trained on one half of the worlds, with one half of the seeds.
        test: of the model, on the other half of both.
        exchanged: of a model that was trained on those cases, on the first ones.
    """

    embedder: str
    model: LogisticModel
    test: PredictorTest
    exchanged: PredictorTest

    @property
    def beats_a_coin(self) -> bool:
        """Whether the whole interval of the AUC is above 1/2, in both directions."""
        return all(test.auc_low is not None and test.auc_low > 0.5 for test in (self.test, self.exchanged))

    def write(self, path: Path) -> None:
        """To a JSON file."""
        write_json(path, {"format": PREDICTOR_FORMAT, **asdict(self)})

    @classmethod
    def read(cls, path: Path) -> Predictor:
        """What `write` wrote.

        Raises:
            ArtifactError: the file is missing, or no predictor of this version.
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
    """The one that comes with the package, or None where none was fitted."""
    with resources.as_file(resources.files(__package__) / "predictor.json") as path:
        return Predictor.read(path) if path.exists() else None


def fit_predictor(cases: Sequence[KnownExperiment], embedder: str) -> Predictor:
    """Train on every second world with every second seed, in their order, and test on the others with the others.

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
    """Mann and Whitney's statistic, a tie counting half; None where all gained, or none."""
    from scipy.stats import rankdata

    ones, zeros = int(helped_N.sum()), int((~helped_N).sum())
    if not ones or not zeros:
        return None
    return float((rankdata(probabilities_N)[helped_N].sum() - ones * (ones + 1) / 2) / (ones * zeros))


def _interval(
    probabilities_N: Floats, helped_N: _Mask, cases: Sequence[KnownExperiment]
) -> tuple[float | None, float | None]:
    """Of the AUC, by drawing worlds and seeds: cases that share one have much in common, and are no new proof."""
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
