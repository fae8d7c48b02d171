"""What a stage is: its inputs, how it is built, what it costs and holds; and what makes stages into artifacts."""

from frft.stages.runner import Runner, StageRunner
from frft.stages.stage import Stage
from frft.stages.workload import Workload, trained_pairs

__all__ = ["Runner", "Stage", "StageRunner", "Workload", "trained_pairs"]
