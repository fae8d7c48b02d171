"""How a comparison is run: stages, arms, the FRFT loop, results."""

from frft.experiment.findings import interpret, memory_line
from frft.experiment.loop import Arm, run_arm
from frft.experiment.over_seeds import interpret_seeds, seeds_columns, seeds_legend, seeds_table
from frft.experiment.picture import draw_picture
from frft.experiment.plan import PlannedStage, plan_run
from frft.experiment.runner import run
from frft.experiment.seeds import plan_seeds, read_seeds, run_seeds
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
    "interpret_seeds",
    "legend",
    "memory_line",
    "plan_run",
    "plan_seeds",
    "read_seeds",
    "results_table",
    "run",
    "run_arm",
    "run_seeds",
    "seeds_columns",
    "seeds_legend",
    "seeds_table",
    "split",
    "world_splits",
]
