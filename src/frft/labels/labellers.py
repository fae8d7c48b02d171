"""Labellers of a refresh: named now and opened when they are asked; and one whose answers are made worse on purpose."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

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
