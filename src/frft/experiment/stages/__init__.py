"""The stages of a run, one file for each: its inputs, how it is built, and its predicted FLOPs and memory.

Each file ends with the function that gathers the stage's parents and returns its artifact. `Stages` is the interface of
all of them for the loop and its callers.
"""

from frft.experiment.stages.context import RunContext
from frft.experiment.stages.reward_model import check_reading, reference_samples
from frft.experiment.stages.run_stages import Stages

__all__ = ["RunContext", "Stages", "check_reading", "reference_samples"]
