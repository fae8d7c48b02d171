"""What `frft label status` says of several labellers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from frft.errors import quantity

if TYPE_CHECKING:
    from frft.labels import LabellerAgreement
    from frft.statistics.estimates import Estimate


def percent_in_words(estimate: Estimate) -> str:
    """A share in per cent, with its interval."""
    low, high = estimate.interval or (estimate.mean, estimate.mean)
    return f"{100 * estimate.mean:.0f} % [{100 * low:.0f}, {100 * high:.0f}]"


def agreement_in_words(found: LabellerAgreement) -> list[str]:
    """Krippendorff's alpha, every two labellers' agreement, and each one's errors by the consensus, in sentences."""
    alpha = found.alpha
    value = "undefined, because all answers are the same"
    if alpha.alpha is not None:
        low, high = alpha.alpha.interval or (alpha.alpha.mean, alpha.alpha.mean)
        value = f"{alpha.alpha.mean:.2f} [{low:.2f}, {high:.2f}]"
    lines = [f"Krippendorff's alpha of {quantity(alpha.answers, 'answer')} to questions with two or more: {value}."]
    if alpha.single:
        lines.append(f"With fewer than two answers: {quantity(alpha.single, 'question')}.")
    if alpha.undefined_draws:
        draws = quantity(alpha.undefined_draws, "bootstrap sample")
        lines.append(f"Left out of the interval, for want of an alpha: {draws}.")
    for pair in found.pairs:
        ties = f"one calls {pair.one_tie} a tie, both {pair.both_tie}" if pair.one_tie or pair.both_tie else "no ties"
        asked = quantity(pair.questions, "question")
        line = f"{pair.first} and {pair.second} agree in {pair.agree} of {asked}; {ties}."
        if pair.accuracy is not None:
            line += (
                f" If they err independently, each is right in about {percent_in_words(pair.accuracy)} of those "
                "without ties; in fewer if they err alike."
            )
        lines.append(line)
    if (consensus := found.consensus) is not None:
        lines.append(
            f"By the consensus of all (Dawid and Skene), if all err independently: settled with 95 % or "
            f"more: {consensus.sure} of {quantity(consensus.questions, 'question')} with answers other than ties. "
            "Right, by the same consensus:"
        )
        lines += [
            f"{name}: {100 * each.accuracy:.1f} %; wrong where the left one is better {100 * each.where_left:.1f} %, "
            f"where the right one is {100 * each.where_right:.1f} %."
            for name, each in consensus.labellers.items()
        ]
    return lines
