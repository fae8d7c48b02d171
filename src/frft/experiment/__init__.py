"""How a comparison is run: stages, arms, the FRFT loop, results."""

from frft.experiment.loop import Arm, run_arm
from frft.experiment.plan import PlannedStage, plan
from frft.experiment.results import COLUMNS, LEGEND, findings, memory_line, table
from frft.experiment.run import run
from frft.experiment.splits import Splits, split
from frft.experiment.stages import Stages

__all__ = [
    "COLUMNS",
    "LEGEND",
    "Arm",
    "PlannedStage",
    "Splits",
    "Stages",
    "findings",
    "memory_line",
    "plan",
    "run",
    "run_arm",
    "split",
    "table",
]
