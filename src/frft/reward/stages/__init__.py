"""The stages of one refresh of a reward model: select pairs, fine-tune on them, ask the gate."""

from frft.reward.stages.fine_tuning import FineTuningStage
from frft.reward.stages.gate import GateStage
from frft.reward.stages.inputs import RefreshInputs
from frft.reward.stages.selection import SelectionStage

__all__ = ["FineTuningStage", "GateStage", "RefreshInputs", "SelectionStage"]
