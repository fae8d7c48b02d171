"""Labellers that tests of fresh labels share: they prefer "like", and count what they are asked."""

from __future__ import annotations

from frft.labels import GivenLabel, LabelCost


class Kinder:
    """The text with more of "like" in it is better; with `tie`, none ever is.

    Attributes:
        asked: number of questions that it has been asked.
    """

    name = "kinder"

    def __init__(self, *, tie: bool = False) -> None:
        self.asked, self.tie = 0, tie

    def label(self, questions):
        self.asked += len(questions)
        return [self._of(each.left.count("like"), each.right.count("like")) for each in questions]

    def _of(self, left: int, right: int) -> GivenLabel:
        return GivenLabel("tie" if self.tie or left == right else "left" if left > right else "right")

    def spent(self) -> LabelCost:
        return LabelCost()


class Metered(Kinder):
    """Takes 10 tokens an answer, which cost 0.5."""

    name = "metered"

    def spent(self) -> LabelCost:
        return LabelCost(10 * self.asked, 0.5 * self.asked)
