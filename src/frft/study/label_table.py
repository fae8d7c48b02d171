"""The table of what fresh labels cost and brought at a point, for the arms that asked for any."""

from __future__ import annotations

from frft.results.study import PointResults, StudyArm
from frft.study.formats import (
    NO_FIGURE,
    Rows,
    percent_estimate,
    plain_estimate,
    row_name,
    signed_estimate,
    whole_estimate,
)

LABELS_BOUGHT_COLUMNS = (
    "arm", "labels", "of audits", "of gates", "trained on", "passes", "right by gold", "used after audit, first",
    "last", "− vanilla", "per 100 labels", "recovery",
)  # fmt: skip
LABELS_BOUGHT_LEGEND = """\
- **labels**: fresh labels that all refreshes of the arm asked for together, in every use: training, test, repetitions,
  **audits** and **gates** (of `labels: gold`: all pairs of the policy's own texts that were given a label); **trained
  on**: how many different ones any refresh trained on, and **passes**: how often each of them went through the
  optimizer, all refreshes together; **right by gold**: share of the fresh labels to train and test on that the gold
  reward agrees with; **used after audit**: share of the pairs selected at the *first* and the *last* refresh whose
  labels the audit allowed; **per 100 labels**: the arm's gain in gold reward over vanilla for each 100 labels that it
  asked for, seed by seed.
"""


def label_rows(found: PointResults) -> Rows:
    """A row for each arm of a point with fresh labels, in the order of `LABELS_BOUGHT_COLUMNS`."""
    return [
        (
            row_name(found, name),
            *map(whole_estimate, (arm.labels, arm.audit_labels, arm.gate_labels, arm.distinct_labels)),
            NO_FIGURE if arm.label_passes is None else f"{arm.label_passes.mean:.1f}",
            percent_estimate(arm.labels_by_gold),
            *(percent_estimate(share, interval=False) for share in (arm.audit_used_first, arm.audit_used)),
            NO_FIGURE if arm.against_vanilla is None else signed_estimate(arm.against_vanilla.gold),
            signed_estimate(arm.gain_per_100_labels),
            plain_estimate(arm.recovery),
        )
        for name, arm in found.arms.items()
        if _has_labels(arm)
    ]


def _has_labels(arm: StudyArm) -> bool:
    return arm.distinct_labels is not None or (arm.labels is not None and arm.labels.mean > 0)
