"""The stages of one refresh of a reward model: select and audit pairs, have others labelled, train, ask the gate."""

from frft.reward.stages.audit import AuditStage
from frft.reward.stages.fine_tuning import FineTuningStage
from frft.reward.stages.gate import GateStage
from frft.reward.stages.inputs import RefreshInputs
from frft.reward.stages.labelling import Labelling, LabellingStage
from frft.reward.stages.selection import SelectionStage

__all__ = [
    "AuditStage",
    "FineTuningStage",
    "GateStage",
    "Labelling",
    "LabellingStage",
    "RefreshInputs",
    "SelectionStage",
]
