"""`frft bench audit`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from frft.cli.label import Annotating, AnnotationOptions
from frft.errors import UsageError

if TYPE_CHECKING:
    from frft.labels.audit_trials import AnnotatorTrials, AuditTrials, RegionTrials
    from frft.labels.sequential import AuditCharacteristics


def audit_command(
    file: str,
    /,
    *,
    labeller_accuracy: float,
    at_most: int = 100,
    orders: int = 1000,
    region_column: str | None = None,
    reading: Annotating = AnnotationOptions(),
    seed: int = 0,
    json: bool = False,
) -> None:
    """How many labels does it take to accept or refuse annotators whose verdicts are known to be right or wrong?

    Their pairs are put in random orders, and a simulated labeller, whose errors are independent, labels them one by one
    until the audit of sources (docs/labels-audit.md) decides.

    Parameters
    ----------
    file
        Rows of a prompt and `verdicts`, an object that says of every annotator whether it was right: true, false, null
        (not read), or a list of these. A file, a folder, or the id of a data set on the Hub.
    labeller_accuracy
        Probability that the labeller is right, above 0.5 and at most 1.
    at_most
        Largest number of labels in each region of an annotator; as many as the region has prompts, if these are fewer.
    orders
        Number of random orders of the pairs.
    region_column
        The column that says the region of a pair; an annotator is audited in each. Default: all pairs are one region.
    reading
        How to read the file.
    seed
        Seed of the orders and of the labeller's errors.
    json
        Print JSON.
    """
    from frft.cli.output import print_json, print_table, print_text
    from frft.labels.audit_trials import audit_trials
    from frft.labels.known_verdicts import KnownVerdicts
    from frft.progress import for_terminal
    from frft.store import plain

    if not 0.5 < labeller_accuracy <= 1:
        raise UsageError(
            f"--labeller-accuracy {labeller_accuracy}: an audit needs a labeller who is right more often than not, "
            "above 0.5 and at most 1."
        )
    for name, value in (("at-most", at_most), ("orders", orders)):
        if value < 1:
            raise UsageError(f"--{name} {value}: give at least 1.")
    progress = for_terminal()
    verdicts = KnownVerdicts.load(
        file,
        region_column=region_column,
        split=reading.split,
        max_rejected=reading.max_rejected,
        progress=progress,
    )
    trials = audit_trials(verdicts, labeller_accuracy, at_most, orders, seed, progress)
    if json:
        print_json({"file": file, "read": verdicts.report.read, "accepted": verdicts.report.accepted, **plain(trials)})
        return
    print_text(_beginning(trials, verdicts.report.accepted))
    print_table(
        ("annotator", "region", "pairs", "right", "use", "refuse", "unknown", "labels"),
        [
            (name, region, str(each.pairs), _percent(each.right), *_cells(each.together))
            for name, found in trials.annotators.items()
            for region, each in found.regions.items()
            if each.together is not None
        ],
        texts=2,
    )
    print_text(
        "Each region alone, without correction, and (all): the pairs of all regions as one. Last three columns: exact "
        "figures for independent pairs of which the annotator is right in as many. Pairs of a file are drawn without "
        "replacement, so that agreements vary less, and errors are rarer."
    )
    print_table(
        ("annotator", "region", "use", "refuse", "labels", "exact use", "exact refuse", "exact labels"),
        [
            (name, region, *_short(each.alone), *_short(each.independent))
            for name, found in trials.annotators.items()
            for region, each in _with_pooled(found)
        ],
        texts=2,
    )
    print_text(
        "Wrong decisions: orders in which an annotator is used in any region where it is right in at most half of the "
        "pairs, or refused in any where it is right in at least half, in per cent; at most 5.0 each is promised. –: "
        "there is no such region. Labels: of all regions together."
    )
    print_table(
        ("annotator", "wrong use", "wrong refusal", "labels"),
        [
            (name, _percent(found.wrong_use), _percent(found.wrong_refusal), f"{found.mean_labels:.0f}")
            for name, found in trials.annotators.items()
        ],
    )
    for name, found in trials.annotators.items():
        missing = {region: each.missing for region, each in found.regions.items() if each.missing}
        if missing:
            where = ", ".join(f"{region} ({count})" for region, count in missing.items())
            print_text(f"{sum(missing.values())} verdicts of {name} could not be read, and are left out: {where}.")


def _beginning(trials: AuditTrials, pairs: int) -> str:
    regions = {region for found in trials.annotators.values() for region in found.regions}
    return (
        f"{pairs} pairs, {len(trials.annotators)} annotators, {len(regions)} regions. A labeller who is right with "
        f"probability {trials.labeller:g} labels one pair of each prompt, at most {trials.at_most} in each region, in "
        f"{trials.orders} random orders. All regions of an annotator are audited together (Holm's correction): share "
        "of its verdicts that are right, share of the orders that end in each decision, in per cent, and mean number "
        "of labels."
    )


def _with_pooled(found: AnnotatorTrials) -> list[tuple[str, RegionTrials]]:
    return [*found.regions.items(), *([] if found.pooled is None else [("(all)", found.pooled)])]


def _cells(shares: AuditCharacteristics) -> tuple[str, ...]:
    return *map(_percent, (shares.use, shares.refuse, shares.unknown)), f"{shares.mean_labels:.0f}"


def _short(shares: AuditCharacteristics) -> tuple[str, ...]:
    return _percent(shares.use), _percent(shares.refuse), f"{shares.mean_labels:.0f}"


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{100 * share:.1f}"
