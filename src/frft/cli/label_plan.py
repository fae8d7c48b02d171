"""`frft label plan`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from frft.errors import DataError, UsageError

if TYPE_CHECKING:
    from frft.labels.plan import PlannedLabels


def plan_command(
    *,
    labeller_accuracy: float,
    ties: float = 0.0,
    sources: int = 1,
    right: list[float] | None = None,
    gains: list[float] | None = None,
    disagreement: float = 0.3,
    json: bool = False,
) -> None:
    """How many labels an audit of sources and a gate take, for a labeller who is so often right.

    Parameters
    ----------
    labeller_accuracy
        Probability that a label other than a tie is right, above 0.5 and at most 1; at most what `frft label status`
        finds.
    ties
        Share of answers that are ties or skips, 0 to 1; they cost labels and tell nothing.
    sources
        Number of sources that are audited together.
    right
        Shares of right labels of a source to plan an audit for, 0 to 1. Default: 0.13, 0.3, 0.715, 0.9.
    gains
        Gains in accuracy of a new reward model to plan a gate for. Default: 0.02, 0.05, 0.1.
    disagreement
        Share of pairs on which the old and the new reward model disagree.
    json
        Print JSON.
    """
    from frft.cli.output import print_json, print_table, print_text
    from frft.labels.plan import MOST_AUDIT_LABELS, plan_labels
    from frft.store import plain

    try:
        plan = plan_labels(
            labeller_accuracy,
            ties,
            sources,
            right or (0.13, 0.3, 0.715, 0.9),
            gains or (0.02, 0.05, 0.1),
            disagreement,
        )
    except DataError as error:
        raise UsageError(str(error)) from None
    if json:
        print_json(plain(plan))
        return
    together = "a source" if plan.sources == 1 else f"{plan.sources} sources together"
    print_text(
        f"A labeller who is right in {100 * plan.labeller:g} % of the pairs, beside {100 * plan.ties:g} % ties, which "
        "are counted in. With so many labels the right answer has a probability of 80 %. An audit of "
        f"{together}, labels of each at most (–: more than {MOST_AUDIT_LABELS}, ties aside):"
    )
    print_table(("the source is right in", "labels"), _rows(plan.audits, "%"), texts=0)
    print_text(
        f"A gate, where the two reward models disagree on {100 * plan.disagreement:g} % of the pairs. Wrong labels "
        f"leave {100 * (2 * plan.labeller - 1):.0f} % of a gain:"
    )
    print_table(("gain in accuracy", "labels"), _rows(plan.gates, "points"), texts=0)


def _rows(planned: Sequence[PlannedLabels], unit: str) -> list[tuple[str, str]]:
    return [(f"{100 * each.size:g} {unit}", "–" if each.labels is None else f"{each.labels:,}") for each in planned]
