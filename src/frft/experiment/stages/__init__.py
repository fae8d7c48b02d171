"""The stages of a run, one file for each: what it depends on, how it is built, what it costs and holds.

Each file ends with the function that asks for its artifact. `Stages` is what the loop and its callers take from them.
"""

from frft.experiment.stages.context import RunContext
from frft.experiment.stages.reward_model import reference_samples
from frft.experiment.stages.run_stages import Stages

__all__ = ["RunContext", "Stages", "reference_samples"]
