"""A fitted predictor, how well it did on cases that it had not seen, and whether that is enough for a verdict."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib import resources
from pathlib import Path

from frft.advice.model import PREDICTED_OUTCOMES, KnownExperiment, LogisticModel, PredictedOutcome, PredictorTest
from frft.errors import ArtifactError, DataError, UnreadableError
from frft.paths import did_you_mean
from frft.store import read_sealed, write_sealed

PREDICTOR_FORMAT = "frft predictor 2"
SHOWN = 0.7
"""The interval of the AUC must lie above this in every test. A coin has 0.5; at 0.7 a case in which a refresh helps is
ranked above one in which it does not 7 times in 10, and a verdict is right often enough to be worth reading."""
_FIT_AGAIN = "Make it with `frft advise fit`."
FEWEST_CLUSTERS = 10
"""Clusters that a test takes. Of fewer, resamples are few and too much alike, so that the percentile interval is too
narrow (Cameron, Gelbach and Miller 2008 see it at 5 and at 10)."""


@dataclass(frozen=True)
class Predictor:
    """A fitted model, and how well it predicted cases that it had not seen.

    Attributes:
        embedder: digest of the embedder that the evidence was measured with.
        model: the model that gives the probability.
        tests: by the name of what was tested on; a verdict is given only if it passes all.
        others: tests of models that were trained on other cases of the same kind, for comparison; none decides.
    """

    embedder: str
    model: LogisticModel
    tests: dict[str, PredictorTest]
    others: dict[str, PredictorTest]

    @property
    def outcome(self) -> PredictedOutcome:
        """What it predicts."""
        return PREDICTED_OUTCOMES[self.model.outcome]

    @property
    def failed(self) -> dict[str, str]:
        """Why each test that was not passed was not, by its name."""
        found = {}
        for name, test in self.tests.items():
            if test.auc_low is None or test.auc_low <= SHOWN:
                found[name] = f"the interval of its AUC does not lie above {SHOWN}"
            elif test.clusters < FEWEST_CLUSTERS:
                found[name] = f"it rests on {test.clusters} clusters, and an interval takes {FEWEST_CLUSTERS}"
        return found

    @property
    def is_shown(self) -> bool:
        """Whether it passed all tests, of which there is at least one."""
        return bool(self.tests) and not self.failed

    def write(self, path: Path) -> None:
        """Write the predictor to a JSON file."""
        write_sealed(path, {"format": PREDICTOR_FORMAT, **asdict(self)})

    @classmethod
    def read(cls, path: Path) -> Predictor:
        """Read a predictor that `write` wrote.

        Raises:
            UnreadableError: there is no such file.
            ArtifactError: the file was changed after it was written, or is no predictor of this format and with these
                inputs.
        """
        if not path.exists():
            raise UnreadableError(f"{path} does not exist.{did_you_mean(path)} `frft advise fit` makes such a file.")
        values = read_sealed(path, _FIT_AGAIN)
        try:
            model = LogisticModel(**values["model"])
            if values["format"] != PREDICTOR_FORMAT or set(model.coefficients) != set(
                PREDICTED_OUTCOMES[model.outcome].inputs
            ):
                raise KeyError("format")
            tests, others = (
                {name: PredictorTest(**test) for name, test in values[each].items()} for each in ("tests", "others")
            )
            return cls(values["embedder"], model, tests, others)
        except (AttributeError, KeyError, TypeError):
            raise ArtifactError(f"{path} is no predictor of this version. {_FIT_AGAIN}") from None


def packaged_predictor() -> Predictor | None:
    """The predictor that comes with the package; None where the package holds none."""
    with resources.as_file(resources.files(__package__) / "predictor.json") as path:
        return Predictor.read(path) if path.exists() else None


def fit_predictor(cases: Sequence[KnownExperiment], embedder: str) -> Predictor:
    """For gold: train on every second cluster with every second seed, sorted; test on the others, and vice versa.

    Cases that share a cluster or a seed are not independent, so those with one of ours and one of theirs are left out.

    Raises:
        DataError: there are fewer than four clusters or seeds, or all cases of a half gained, or none did.
    """
    clusters, seeds = sorted({case.cluster for case in cases}), sorted({case.seed for case in cases})
    for found, what in ((clusters, "different worlds"), (seeds, "different seeds")):
        if len(found) < 4:
            raise DataError(
                f"There are finished cells of {len(found)} {what}; to train on some and test on others takes at least "
                "4. Let the study go on."
            )
    ordered = _in_order(cases)
    ours, theirs = (
        [case for case in ordered if case.cluster in clusters[start::2] and case.seed in seeds[start::2]]
        for start in (0, 1)
    )
    outcome = PREDICTED_OUTCOMES["gold"]
    model, other = LogisticModel.train(ours, outcome), LogisticModel.train(theirs, outcome)
    return Predictor(
        embedder,
        model,
        {"other worlds, other seeds": model.test(theirs), "the halves exchanged": other.test(ours)},
        {},
    )


def fit_with_tests(
    trained: Sequence[KnownExperiment],
    tested: Mapping[str, Sequence[KnownExperiment]],
    families: Mapping[str, Sequence[KnownExperiment]],
    embedder: str,
) -> Predictor:
    """For accuracy: train on some cases, and test on others.

    Args:
        trained: cases to train on.
        tested: by name, cases of other clusters, on each of which the model must pass.
        families: by name, all cases by the kind of data. A model trained on all kinds but one is tested on that one,
            where some gained there and some did not, for comparison.
        embedder: digest of the embedder of the evidence.

    Raises:
        DataError: a test shares a cluster with the training, all cases to train on gained, or none did.
    """
    outcome, clusters = PREDICTED_OUTCOMES["accuracy"], {case.cluster for case in trained}
    for name, cases in tested.items():
        if shared := clusters.intersection(case.cluster for case in cases):
            raise DataError(
                f"The test {name!r} and the training share {len(shared)} clusters, for one {min(shared)!r}, so that it "
                "would test what was trained on. Give cases of other worlds, seeds or actors."
            )
    model = LogisticModel.train(_in_order(trained), outcome)
    others = {}
    if len(families) > 1:
        for name, cases in families.items():
            rest = [case for other, each in families.items() if other != name for case in each]
            others[f"{name}, trained on all other kinds"] = LogisticModel.train(_in_order(rest), outcome).test(cases)
    return Predictor(embedder, model, {name: model.test(cases) for name, cases in tested.items()}, others)


def _in_order(cases: Sequence[KnownExperiment]) -> list[KnownExperiment]:
    """Sorted, so that the order in which cases were finished decides nothing, not even the last digit."""
    return sorted(cases, key=lambda case: (case.cluster, case.seed, case.gain))
