"""Make one refresh of a reward model: selection, audit, fresh labels, fine-tuning and gate, in this order."""

from __future__ import annotations

from dataclasses import replace

from frft.reward.refresh import Refresh
from frft.reward.stages import (
    AuditStage,
    FineTuningStage,
    GateStage,
    Labelling,
    LabellingStage,
    RefreshInputs,
    SelectionStage,
)
from frft.selection import LogRatios
from frft.stages import Runner
from frft.store import Artifact


def make_refresh(
    given: RefreshInputs,
    run: Runner,
    log_ratios: LogRatios | Artifact | None = None,
    labelling: Labelling | None = None,
) -> Refresh:
    """Select pairs, have others labelled, fine-tune the reward model on both, and ask the gate if there is one.

    A stage whose artifact was made from equal inputs before is read from the store.

    Args:
        given: models, pairs and settings of the refresh.
        run: makes a stage, or finds its artifact.
        log_ratios: log ratios that the strategy `policy_ratio` ranks by, or the artifact that holds them; None for
            every other strategy.
        labelling: what fresh labels are asked for; None: none.

    Raises:
        As `AlignedReward.refresh`.
    """
    selecting = SelectionStage(given, log_ratios)
    selection, audit, labels = run(selecting), None, None
    if labelling is not None:
        if given.config.gate is None or not given.config.gate.labels:
            # They asked nothing, and arms with and without them share labels.
            labelling = replace(labelling, gates=())
        audit = run(AuditStage(given, labelling, selection)) if labelling.config.audit else None
        labels = run(LabellingStage(given, labelling, audit))
        given = replace(given, fresh=(*labelling.kept, labels))
    model = run(FineTuningStage(given, selection, selecting.most_pairs(), audit))
    refresh = Refresh(selection, model, labels=labels, audit=audit)
    if given.config.gate is None or given.gate_pairs is None:
        return refresh
    return replace(refresh, gate=run(GateStage(given, refresh, given.config.gate, given.gate_pairs, labelling)))
