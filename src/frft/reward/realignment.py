"""One realignment of a reward model, stage by stage."""

from __future__ import annotations

from dataclasses import replace

from frft.reward.refresh import Refresh
from frft.reward.stages import FineTuningStage, GateStage, Realignment, SelectionStage
from frft.selection import LogRatios
from frft.stages import Runner
from frft.store import Artifact


def realign(how: Realignment, run: Runner, log_ratios: LogRatios | Artifact | None = None) -> Refresh:
    """Select pairs, fine-tune the reward model on them, and ask the gate if there is one.

    What was made from equal inputs before is found, and not made again.

    Args:
        how: the models, the pairs and the settings.
        run: makes the stages.
        log_ratios: what the strategy `policy_ratio` ranks by, or the artifact that holds it.

    Raises:
        As `AlignedReward.refresh`.
    """
    selecting = SelectionStage(how, log_ratios)
    selection = run(selecting)
    refresh = Refresh(selection, run(FineTuningStage(how, selection, selecting.most_pairs())))
    if how.config.gate is None or how.gate_pairs is None:
        return refresh
    return replace(refresh, gate=run(GateStage(how, refresh, how.config.gate, how.gate_pairs)))
