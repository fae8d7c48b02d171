"""Any judge as a labeller (`frft.labels.Labeller`)."""

from __future__ import annotations

from collections.abc import Sequence

from frft.evaluation.judge import Judge
from frft.labels import GivenLabel, LabelCost, LabelQuestion, given_label


class JudgeLabeller:
    """A judge that is asked about each pair once, in the order in which its sides are shown.

    Win rates ask in both orders; labels do not, because a coin has decided the order, and a second question would cost
    as much as another label. Hidden repetitions with exchanged sides measure what the order does to a judge.

    Args:
        judge: the judge. No answer (None) stays none.
        name: name under which its answers are kept.
    """

    def __init__(self, judge: Judge, name: str) -> None:
        self.judge, self.name = judge, name

    def label(self, questions: Sequence[LabelQuestion]) -> list[GivenLabel | None]:
        """left where the judge's preference is above 1/2, right where it is below, else a tie.

        Raises:
            DataError: a preference is not between 0 and 1.
        """
        preferences = self.judge.prefer(
            [question.prompt for question in questions],
            [question.left for question in questions],
            [question.right for question in questions],
        )
        return [None if each is None else given_label(float(each), self.name) for each in preferences]

    def spent(self) -> LabelCost:
        """Tokens and cost, of a judge that counts them; no tokens where the endpoint gave none for some replies."""
        counts = self.judge.counts()
        questions = counts.get("questions")
        if questions is None or questions["uncounted"]:
            return LabelCost()
        return LabelCost(questions["prompt_tokens"] + questions["completion_tokens"], counts["cost"])
