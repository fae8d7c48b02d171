"""Labellers of a refresh: named now and opened when they are asked; and one whose answers are made worse on purpose."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeAlias

from frft.errors import DataError, UsageError
from frft.labels.asking import GivenLabel, LabelCost, Labeller
from frft.labels.rows import Choice, LabelQuestion

_OTHER: dict[Choice, Choice] = {"left": "right", "right": "left", "tie": "tie", "skip": "skip"}


@dataclass(frozen=True)
class NamedLabeller:
    """A labeller that has been named but not opened yet, so that a plan loads nothing.

    Attributes:
        name: the name in reports.
        identity: everything that determines the answers, JSON-able or an artifact; labels of equal questions by
            labellers of equal identity are asked for once.
        open: makes the labeller; None: a file of questions is answered by others (`frft label`), and waited for.
        folder: where files of labels are kept apart from what a stopped build leaves, because answers are dear: they
            take a person's time, or cost money; None: they are not.
    """

    name: str
    identity: Any
    open: Callable[[], Labeller] | None
    folder: Path | None = None


PreferenceFunction: TypeAlias = Callable[[Sequence[str], Sequence[str], Sequence[str]], Sequence[float | None]]
"""A function (prompts, first completions, second completions) -> preferences for the first, 0 to 1; None: no verdict.
`Judge.prefer` is one."""


class FunctionLabeller:
    """A function that compares texts as a labeller; it is asked in the order in which a coin has put the two sides.

    Args:
        prefer: the function.
        name: name under which its answers are kept.
    """

    def __init__(self, prefer: PreferenceFunction, name: str) -> None:
        self.prefer, self.name = prefer, name

    def label(self, questions: Sequence[LabelQuestion]) -> list[GivenLabel | None]:
        """left where the preference is above 1/2, right where it is below, else a tie.

        Raises:
            DataError: there is not one preference for each question, or one is not from 0 to 1.
        """
        found = list(
            self.prefer(
                [question.prompt for question in questions],
                [question.left for question in questions],
                [question.right for question in questions],
            )
        )
        if len(found) != len(questions):
            raise DataError(
                f"{self.name} gave {len(found)} preferences for {len(questions)} pairs; it must give one for each, "
                "None where it has no verdict."
            )
        return [None if each is None else given_label(float(each), self.name) for each in found]

    def spent(self) -> LabelCost:
        """Nothing that is known."""
        return LabelCost()


def given_label(preference: float, labeller: str) -> GivenLabel:
    """A preference for the left side, 0 to 1, as a label: left above 1/2, right below, else a tie.

    Raises:
        DataError: it is not from 0 to 1.
    """
    if not 0 <= preference <= 1:
        raise DataError(
            f"{labeller} gave the preference {preference:g}; it must be from 0 (the right side is better) to 1 (the "
            "left one is). Correct the judge."
        )
    return GivenLabel("left" if preference > 0.5 else "right" if preference < 0.5 else "tie", preference)


def named_labeller(given: NamedLabeller | Labeller | PreferenceFunction, folder: Path) -> NamedLabeller:
    """A labeller as it is given to `AlignedReward`, with a name by which its answers are known again.

    Two labellers of one name are taken for the same: give another name to one that judges otherwise.

    Args:
        given: a named labeller; a labeller, which has a name; or a function, whose name is its qualified one.
        folder: where files of labels are kept, unless `given` says so itself.

    Raises:
        UsageError: it is none of these, or its name does not tell it from others.
    """
    if isinstance(given, NamedLabeller):
        return given if given.folder is not None else replace(given, folder=folder)
    if isinstance(given, type):
        raise UsageError(
            f"labeller is the class {given.__name__}, and not an object of it: give {given.__name__}(...)."
        )
    if all(hasattr(given, name) for name in ("name", "label", "spent")):
        labeller: Any = given
        if not isinstance(labeller.name, str) or not labeller.name:
            raise UsageError(
                f"The labeller's name is {labeller.name!r:.60}; it must be a text by which its answers are known again."
            )
        return NamedLabeller(labeller.name, {"labeller": labeller.name}, lambda: labeller, folder)
    if not callable(given):
        raise UsageError(
            f"labeller must be a labeller or a function of prompts, first and second completions, got "
            f"{type(given).__name__}: {given!r:.60}. Of a judge, give frft.FunctionLabeller(judge.prefer, NAME)."
        )
    function: Any = given
    name = f"{getattr(function, '__module__', '')}.{getattr(function, '__qualname__', '')}".strip(".")
    # What is made at run time (within a function, or of an object) can judge otherwise under the same name.
    bound = getattr(function, "__self__", None) is not None
    if not getattr(function, "__qualname__", "") or "<lambda>" in name or "<locals>" in name or bound:
        raise UsageError(
            f"labeller is {function!r:.60}, a function without a name of its own, by which its answers are known "
            "again. Define it by `def` at the top of a file, or give frft.FunctionLabeller(function, NAME)."
        )
    return NamedLabeller(name, {"labeller": name}, lambda: FunctionLabeller(function, name), folder)


class NoisyLabeller:
    """A labeller with each answer's sides exchanged with a probability, for experiments with worse labellers.

    Repetitions are exchanged independently of what they repeat, as errors that are not a habit would be. Ties stay.

    Args:
        labeller: who answers.
        noise: the probability, 0 to 0.5. A labeller who is always right is then right with 1 - noise.
        seed: decides, together with a question's id, whether its answer is exchanged.
    """

    def __init__(self, labeller: Labeller, noise: float, seed: int) -> None:
        self.labeller, self.noise, self.seed = labeller, noise, seed
        self.name = f"{labeller.name}, right on {1 - noise:.0%}"

    def label(self, questions: Sequence[LabelQuestion]) -> list[GivenLabel | None]:
        """The labeller's answers, some of them exchanged."""
        return [
            None if label is None else self._exchanged(label) if self._errs_on(question) else label
            for question, label in zip(questions, self.labeller.label(questions), strict=True)
        ]

    def spent(self) -> LabelCost:
        """What the answers took."""
        return self.labeller.spent()

    def _errs_on(self, question: LabelQuestion) -> bool:
        return random.Random(f"{self.seed} {question.id}").random() < self.noise  # noqa: S311 - a draw, not a secret

    def _exchanged(self, label: GivenLabel) -> GivenLabel:
        preference = None if label.preference is None else 1 - label.preference
        return replace(label, choice=_OTHER[label.choice], preference=preference)
