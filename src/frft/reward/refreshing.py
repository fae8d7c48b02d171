"""Make one refresh of a reward model: selection, fine-tuning and gate, in this order."""

from __future__ import annotations

from dataclasses import replace

from frft.reward.refresh import Refresh
from frft.reward.stages import FineTuningStage, GateStage, RefreshInputs, SelectionStage
from frft.selection import LogRatios
from frft.stages import Runner
from frft.store import Artifact


def make_refresh(given: RefreshInputs, run: Runner, log_ratios: LogRatios | Artifact | None = None) -> Refresh:
    """Select pairs, fine-tune the reward model on them, and ask the gate if there is one.

    A stage whose artifact was made from equal inputs before is read from the store.

    Args:
        given: models, pairs and settings of the refresh.
        run: makes a stage, or finds its artifact.
        log_ratios: log ratios that the strategy `policy_ratio` ranks by, or the artifact that holds them; None for
            every other strategy.

    Raises:
        As `AlignedReward.refresh`.
    """
    selecting = SelectionStage(given, log_ratios)
    selection = run(selecting)
    refresh = Refresh(selection, run(FineTuningStage(given, selection, selecting.most_pairs())))
    if given.config.gate is None or given.gate_pairs is None:
        return refresh
    return replace(refresh, gate=run(GateStage(given, refresh, given.config.gate, given.gate_pairs)))
