"""`frft label audit`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

from frft.errors import UsageError, printable, quantity

if TYPE_CHECKING:
    from frft.labels import AuditedSource, LabelAudit
    from frft.statistics import Estimate


def audit_sources_command(
    files: list[Path],
    /,
    *,
    labeller: str | None = None,
    labeller_accuracy: float | None = None,
    at_most: int | Literal["drawn", "none"] = "drawn",
    json: bool = False,
) -> None:
    """Decide which sources of a pool to use, by the answers to `frft label pick --purpose audit`.

    Use, refuse, or unknown: whether a source's labels are right more often than not, compared with a labeller who is.
    Over all sources together each of the two wrong decisions has a probability of at most 5 %, however often one looks.

    Parameters
    ----------
    files
        Files of `frft label pick --purpose audit`, in the order in which they were answered.
    labeller
        Whose answers count; needed where several have answered.
    labeller_accuracy
        Probability that the labeller is right, above 0.5 and at most 1. Default: estimated from the answers to hidden
        repetitions (--repeat-share), as an upper bound.
    at_most
        Largest number of labels of a source, fixed before the first answer: drawn, as many questions as there are about
        the source with most of them; a number, where more files are to come; none, no limit, which takes more labels.
    json
        Print JSON.
    """
    from frft.cli.output import print_json, print_table, print_text
    from frft.labels import audit_labels, read_queue
    from frft.progress import for_terminal

    if labeller_accuracy is not None and not 0.5 < labeller_accuracy <= 1:
        raise UsageError(
            f"--labeller-accuracy {labeller_accuracy:g}: an audit needs a labeller who is right more often than not, "
            "above 0.5 and at most 1."
        )
    if isinstance(at_most, int) and at_most < 1:
        raise UsageError(f"--at-most {at_most}: give at least 1, drawn or none.")
    progress = for_terminal()
    found = audit_labels(
        [read_queue(each, progress) for each in files],
        labeller=labeller,
        accuracy=labeller_accuracy,
        at_most=None if at_most == "none" else at_most,
    )
    if json:
        print_json({"files": [str(each) for each in files], **found.as_dict()})
        return
    print_text(_labeller_in_words(found))
    print_table(
        ("source", "decision", "agrees/not", "ties", "skips", "open", "right in"),
        [(printable(name), *_cells(each)) for name, each in found.sources.items()],
    )
    print_text(
        "Agrees/not: how often the labeller agrees with the source, and disagrees. Right in: the share of its "
        "labels that are right, with a 95 % interval, from these numbers and the labeller's accuracy."
    )
    for name, each in found.sources.items():
        print_text(f"{printable(name)} ({quantity(each.questions, 'question')}): {_why(each, found.at_most)}")
    print_text("Errors that source and labeller share are not seen: see docs/labels-audit.md.")


def _labeller_in_words(found: LabelAudit) -> str:
    who = printable(found.labeller)
    limit = "no limit" if found.at_most is None else f"at most {quantity(found.at_most, 'label')}"
    if found.accuracy_from == "given":
        return f"{who} is taken to be right in {100 * found.accuracy.mean:.0f} % of pairs. Of each source {limit}."
    repeats = quantity(found.repeats, "repetition")
    return (
        f"{who} is right in at most {_percent(found.accuracy)} of pairs, by {repeats}; less, if the "
        f"same errors come twice. Of each source {limit}."
    )


def _cells(each: AuditedSource) -> tuple[str, ...]:
    audit = each.audit
    numbers = map(str, (audit.ties, audit.skips, each.open))
    return (
        audit.decision,
        f"{audit.agreements}/{audit.disagreements}",
        *numbers,
        "–" if audit.with_gold is None else _percent(audit.with_gold),
    )


def _percent(share: Estimate) -> str:
    low, high = share.interval or (0.0, 1.0)
    return f"{100 * share.mean:.0f} % [{100 * low:.0f}, {100 * high:.0f}]"


def _rest(labels: int, at_most: int | None) -> str:
    """Why no further labels will tell."""
    if labels == at_most:
        return "no more were planned"
    return f"no answers to the others of at most {at_most} could; label no more of it"


def _why(each: AuditedSource, at_most: int | None) -> str:
    """The decision about a source, why, and what to do, as one or two sentences."""
    audit = each.audit
    labels = audit.agreements + audit.disagreements
    silent = f"{quantity(labels, 'label')} {'does' if labels == 1 else 'do'} not tell"
    said = {
        "significant": f"{audit.decision}. Its labels are right {'more' if audit.decision == 'use' else 'less'} often "
        f"than not (p = {min(audit.p_use, audit.p_refuse):.2g}, corrected for the number of sources).",
        "too few labels": f"unknown. {silent}.",
        "out of labels": f"unknown. {silent}, and {_rest(labels, at_most)}. Do not rely on it.",
        "contradictory": "unknown. First it was right too often, and then too seldom, or the reverse, for one source: "
        "look what it is made of.",
        "labeller": "unknown. The labeller may be no better than a coin; have somebody else label it.",
    }[audit.reason]
    if audit.reason == "too few labels":
        said += (
            f" {quantity(each.open, 'question')} still open."
            if each.open
            else " All its questions are answered; more pairs would have to be labelled."
        )
    return said + (f" Not used: {quantity(audit.unused, 'label')} beyond the largest number." if audit.unused else "")
