"""One refresh of a reward model, stage by stage."""

from __future__ import annotations

from dataclasses import replace

from frft.reward.refresh import Refresh
from frft.reward.stages import FineTuningStage, GateStage, RefreshInputs, SelectionStage
from frft.selection import LogRatios
from frft.stages import Runner
from frft.store import Artifact


def make_refresh(given: RefreshInputs, run: Runner, log_ratios: LogRatios | Artifact | None = None) -> Refresh:
    """Select pairs, fine-tune the reward model on them, and ask the gate if there is one.

    What was made from equal inputs before is found, and not made again.

    Args:
        given: the models, the pairs and the settings.
        run: makes the stages.
        log_ratios: what the strategy `policy_ratio` ranks by, or the artifact that holds it.

    Raises:
        As `AlignedReward.refresh`.
    """
    selecting = SelectionStage(given, log_ratios)
    selection = run(selecting)
    refresh = Refresh(selection, run(FineTuningStage(given, selection, selecting.most_pairs())))
    if given.config.gate is None or given.gate_pairs is None:
        return refresh
    return replace(refresh, gate=run(GateStage(given, refresh, given.config.gate, given.gate_pairs)))
