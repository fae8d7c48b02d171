"""What a stage is (its inputs, how it is built, its predicted FLOPs and memory), and the runner that builds stages."""

from frft.stages.runner import Runner, StageRunner
from frft.stages.stage import Stage
from frft.stages.workload import Workload, trained_pairs, training_passes

__all__ = ["Runner", "Stage", "StageRunner", "Workload", "trained_pairs", "training_passes"]
