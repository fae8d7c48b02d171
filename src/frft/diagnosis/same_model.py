"""Whether two folders hold one reward model: what differs between them, and by how much their scores do."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from frft.diagnosis.check_figures import Measured
from frft.diagnosis.fitness import Finding
from frft.reward import RewardModel
from frft.statistics import Estimate, spearman

NOT_COMPARED = frozenset({"model", "template", "reading"})


@dataclass(frozen=True)
class SameModel:
    """Two folders, compared on N texts.

    Attributes:
        other: the second folder.
        texts: texts that both scored.
        other_tokens: texts that are other tokens to the second.
        differs: what differs between the two: its name, and what it is in the first and in the second.
        raw_difference: largest absolute difference of the models' outputs.
        difference: largest absolute difference of scores, gain * output + bias.
        tolerance: the largest difference of outputs that is rounding.
        rank_correlation: Spearman's, of their outputs; None where there are too few texts, or one gives all the same.
    """

    other: str
    texts: int
    other_tokens: int
    differs: dict[str, tuple[str, str]]
    raw_difference: float
    difference: float
    tolerance: float
    rank_correlation: Estimate | None

    def as_dict(self) -> dict[str, Any]:
        """All fields as JSON-able values."""
        return asdict(self)


def compare_models(measured: tuple[Measured, Measured], scorers: tuple[RewardModel, RewardModel]) -> SameModel:
    """Compare two reward models on the texts that both have been measured on.

    Args:
        measured: measurements of the two, on the same texts.
        scorers: the two.
    """
    import numpy as np

    facts = [each.facts for each in measured]
    first, second = (asdict(each) for each in facts)
    differs = {
        name: (_said(first[name]), _said(second[name]))
        for name in first
        if name not in NOT_COMPARED and first[name] != second[name]
    }
    vocabularies = [set(each.tokenizer.get_vocab().items()) for each in scorers]
    if vocabularies[0] != vocabularies[1]:
        both = len(vocabularies[0] & vocabularies[1])
        one, two = (f"{len(each)} tokens, {both} of them in both" for each in vocabularies)
        differs["vocabulary"] = one, two
    rows = np.flatnonzero(np.isfinite(measured[0].scores) & np.isfinite(measured[1].scores)).tolist()
    texts = [[column[row] for row in rows] for column in measured[0].texts]
    ids = [each.token_ids(*texts) for each in scorers]
    raw = [each.scores[rows] for each in measured]
    scores = [fact.gain * outputs + fact.bias for fact, outputs in zip(facts, raw, strict=True)]
    return SameModel(
        other=facts[1].model,
        texts=len(rows),
        other_tokens=sum(a != b for a, b in zip(*ids, strict=True)),
        differs=differs,
        raw_difference=float(np.abs(raw[0] - raw[1]).max(initial=0.0)),
        difference=float(np.abs(scores[0] - scores[1]).max(initial=0.0)),
        tolerance=max(each.agreement.tolerance for each in measured),
        rank_correlation=spearman(*raw),
    )


def findings_of_comparison(same: SameModel) -> list[Finding]:
    """What two folders of one model should not differ in."""
    found = []
    named = ", ".join(same.differs) or "nothing that the files say"
    if same.raw_difference > same.tolerance:
        found.append(
            Finding(
                "another model",
                True,
                f"{same.other} gives other scores: outputs differ by up to {same.raw_difference:.3g}, where "
                f"{same.tolerance:.1g} would be rounding; what differs: {named}",
                "Score by one of the two only. Where they should be one, save the second again from the first.",
            )
        )
    elif same.differs:
        found.append(
            Finding(
                "the folders differ",
                False,
                f"outputs of {same.other} are the same up to rounding, scores differ by up to {same.difference:.3g}; "
                f"what differs: {named}",
                "Gain and bias change the scale of scores, and with it the meaning of a KL coefficient; a shorter "
                "longest sequence cuts texts; another template or vocabulary reads other texts otherwise.",
            )
        )
    return found


def _said(value: Any) -> str:
    if isinstance(value, dict):
        return str(value.get("described", value))
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
