"""How a comparison is run: stages, arms, the FRFT loop, results."""

from frft.experiment.findings import interpret, memory_line
from frft.experiment.loop import Arm, run_arm
from frft.experiment.picture import draw_picture
from frft.experiment.plan import PlannedStage, plan_run
from frft.experiment.runner import run
from frft.experiment.splits import Splits, split, world_splits
from frft.experiment.stages import Stages
from frft.experiment.table import columns, legend, results_table

__all__ = [
    "Arm",
    "PlannedStage",
    "Splits",
    "Stages",
    "columns",
    "draw_picture",
    "interpret",
    "legend",
    "memory_line",
    "plan_run",
    "results_table",
    "run",
    "run_arm",
    "split",
    "world_splits",
]
