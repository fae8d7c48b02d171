"""Predictions of the study `averaging`, as docs/study.md states them, and whether they held.

Gold reward is its mean over all steps after the first refresh.

Each names one statistic with a value for every seed, what it is expected to be, and a margin: the smallest size that
matters. The 95 % interval of its mean decides:

    above   held: wholly above 0.         not held: not above 0, and wholly below the margin
    below   held: wholly below 0.         not held: not below 0, and wholly above minus the margin
    none    held: wholly within +- margin.  not held: wholly above 0, or wholly below

and anything else is undecided: the seeds are too few to say.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from frft.config.model import VANILLA
from frft.results.study import Expected, Outcome, PredictionVerdict
from frft.statistics.estimates import Estimate, estimate, slope
from frft.study.config import StudyConfig
from frft.study.measured import NotMeasuredError, StudyMeasurements

GOLD_MARGIN = 0.1
"""A tenth of the standard deviation of the gold reward over a pool's completions, which is about 1."""
ACCURACY_MARGIN = 0.02
"""Two percentage points of accuracy."""
AVERAGING = ("lambda-0", "kappa-0", "kappa-half", "lambda-2", "centre")
"""Points that differ in lambda * kappa alone."""
CEILING = "tells apart"
"""The prediction on which all others depend: unless fresh gold labels help, the world cannot tell arms apart."""
CLAIM = (CEILING, "helps", "rises", "variance", "source")
"""The predictions that must all hold before an averaging effect is claimed."""


@dataclass(frozen=True)
class Prediction:
    """One statement, and the statistic that decides it.

    Attributes:
        name: a short name, by which the verdict is reported.
        statement: what is predicted, in a sentence.
        expected: whether the statistic is expected above 0, below 0, or at 0 (`none`).
        statistic: its value for every seed; raises NotMeasuredError where it was not measured.
        margin: the smallest size that matters, in the statistic's unit.
    """

    name: str
    statement: str
    expected: Expected
    statistic: Callable[[StudyMeasurements], Sequence[float]]
    margin: float = GOLD_MARGIN

    def verdict(self, measured: StudyMeasurements) -> PredictionVerdict:
        """The verdict on the prediction, by the rule at the top of this file."""

        def told(how: Outcome, found: Estimate | None, missing: str | None = None) -> PredictionVerdict:
            return PredictionVerdict(
                name=self.name,
                statement=self.statement,
                expected=self.expected,
                margin=self.margin,
                outcome=how,
                missing=missing,
                estimate=found,
            )

        try:
            found = estimate(self.statistic(measured))
        except NotMeasuredError as missing:
            return told("not run", None, str(missing))
        return told(outcome(found, self.expected, self.margin), found)


def outcome(found: Estimate, expected: Expected, margin: float) -> Outcome:
    """Whether a prediction held, by the rule at the top of this file."""
    if found.low is None or found.high is None:
        return "undecided"
    # Below 0 is above 0 for the mirrored interval.
    low, high = (-found.high, -found.low) if expected == "below" else (found.low, found.high)
    if expected == "none":
        if -margin < low and high < margin:
            return "held"
        return "not held" if low > 0 or high < 0 else "undecided"
    if low > 0:
        return "held"
    return "not held" if high < margin else "undecided"


def predictions(config: StudyConfig) -> list[Prediction]:
    """All predictions of the study, with its primary arm as FRFT and its control as the refresh on random pairs."""
    frft, control = config.primary, config.control

    def gain(point: str) -> Callable[[StudyMeasurements], Sequence[float]]:
        return lambda measured: measured.gains(point, frft, control)

    def shortcut(arm: str) -> Callable[[StudyMeasurements], Sequence[float]]:
        return lambda measured: _own_test(measured, "centre", arm)

    more = f"{frft} has more gold reward than {control}, a refresh on as many random pairs,"
    same = f"{frft} has the gold reward of {control}"
    return [
        Prediction(
            CEILING,
            f"At `centre`, {config.ceiling} (fresh gold labels) has more gold reward than vanilla. If not, the "
            "world cannot tell arms apart, and nothing else here means anything.",
            "above",
            lambda measured: measured.gains("centre", config.ceiling, VANILLA),
        ),
        Prediction("helps", f"At `centre`, {more} because the annotator near the policy is.", "above", gain("centre")),
        Prediction(
            "labels",
            f"At `centre`, {frft} has more gold reward than with coin-flip labels (`placebo-density`): its labels "
            f"matter. Of a gain over {control} this says nothing unless there is one (`helps`).",
            "above",
            lambda measured: measured.gains("centre", frft, "placebo-density"),
        ),
        Prediction(
            "capacity",
            f"The gain of {frft} over {control} is larger with the small reward model (`rm-small`) than at `centre`.",
            "above",
            lambda measured: _between_points(measured, "rm-small", "centre", frft, control),
        ),
        Prediction(
            "no bias", f"Without biases (`lambda-0`), {same}: there is nothing to align.", "none", gain("lambda-0")
        ),
        Prediction(
            "no coupling", f"Where style says nothing of the annotator (`kappa-0`), {same}.", "none", gain("kappa-0")
        ),
        Prediction(
            "no eyes",
            f"At `centre`, with embeddings dealt out at random (`shuffled`), {frft} has the gold reward of {control}.",
            "none",
            lambda measured: measured.gains("centre", "shuffled", control),
        ),
        Prediction(
            "no drift",
            f"Where the KL penalty holds the policy where it starts (`kl-high`), {same}.",
            "none",
            gain("kl-high"),
        ),
        Prediction(
            "outside",
            f"Where the policy starts outside all sources (`outside`), {same}: no annotator is near.",
            "none",
            gain("outside"),
        ),
        Prediction(
            "harms",
            f"Where the annotator near the policy is against gold (`anti-gold`), {frft} has less gold reward "
            f"than {control}.",
            "below",
            gain("anti-gold"),
        ),
        Prediction(
            "symmetric",
            f"Where all annotators are equally far from gold (`symmetric`), {frft} has less gold reward than "
            f"{control}: biases of many cancel in the average, that of one does not.",
            "below",
            gain("symmetric"),
        ),
        *(
            Prediction(
                f"shortcut {part}",
                f"Trained from SFT on coin-flip labels, a reward model that never saw a true label beats a coin on the "
                f"test rows that part {part} selected (`placebo{part}`).",
                "above",
                shortcut(f"placebo{part}"),
                ACCURACY_MARGIN,
            )
            for part in (3, 4)
        ),
        Prediction(
            "rises",
            f"The gain of {frft} over {control} rises with lambda * kappa (slope over {', '.join(AVERAGING)}).",
            "above",
            lambda measured: _slopes(measured, frft, control, "gold"),
            # lambda * kappa goes from 0 to 4, so this slope makes a difference of GOLD_MARGIN between the ends.
            GOLD_MARGIN / 4,
        ),
        Prediction(
            "variance",
            "So does the normalised reward variance of the reward model after the refresh, under the policy at the "
            f"refresh, of {frft} over {control}.",
            "above",
            lambda measured: _slopes(measured, frft, control, "reward_variance"),
            0.01,
        ),
        Prediction(
            "source",
            f"At `centre`, pairs of the policy's own source (`source`) gain at least as much as {frft}, or less than "
            f"{GOLD_MARGIN} less (the statistic is their difference plus {GOLD_MARGIN}, which is its margin).",
            "above",
            lambda measured: [each + GOLD_MARGIN for each in measured.gains("centre", "source", frft)],
            margin=0.0,
        ),
    ]


def averaging_is_claimed(verdicts: Sequence[PredictionVerdict]) -> bool:
    """Whether all predictions held that `CLAIM` names, so that an averaging effect can be claimed."""
    held = {verdict.name for verdict in verdicts if verdict.outcome == "held"}
    return held.issuperset(CLAIM)


def _own_test(measured: StudyMeasurements, point: str, arm: str) -> list[float]:
    """Accuracy of an arm on the test rows of its own selection less 1/2, one value for each seed."""
    seeds = measured.seeds(point)
    if len(seeds) < 2 or arm not in measured.arms(point):
        raise NotMeasuredError(f"{arm} at {point}")
    accuracies = [each for each in measured.values(point, arm, "own_test", seeds) if each is not None]
    if len(accuracies) < len(seeds):
        raise NotMeasuredError(f"test rows of {arm} at {point}")
    return [accuracy - 0.5 for accuracy in accuracies]


def _between_points(measured: StudyMeasurements, point: str, other: str, arm: str, control: str) -> list[float]:
    """The gain of `arm` over `control` at one point less that at another, one value for each seed that both have."""
    seeds = measured.seeds(point, other)
    own, others = (measured.gains(name, arm, control, seeds=seeds) for name in (point, other))
    return [first - second for first, second in zip(own, others, strict=True)]


def _slopes(measured: StudyMeasurements, arm: str, control: str, measure: str) -> list[float]:
    """The least-squares slope of the gain of `arm` over `control` in lambda * kappa, one for each seed."""
    seeds = measured.seeds(*AVERAGING)
    gains = [measured.gains(point, arm, control, measure, seeds) for point in AVERAGING]
    coupling = []
    for point in AVERAGING:
        world = measured.cells(point)[0].world
        coupling.append(world.lambda_ * world.kappa)
    return [slope(coupling, of_seed) for of_seed in zip(*gains, strict=True)]
