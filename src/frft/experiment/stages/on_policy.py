"""In a world: the accuracy of a reward model on a policy's own completions, by the gold reward."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from frft.experiment.evaluation import ordered_as_gold
from frft.experiment.stages.completions import evaluation_completions
from frft.experiment.stages.context import RunContext
from frft.experiment.stages.scoring import load_reward
from frft.experiment.texts import read_completions
from frft.stages import Stage, Workload
from frft.store import Artifact


@dataclass(frozen=True)
class OnPolicyStage(Stage):
    """No files; how often a reward model orders two completions of a prompt as the gold reward (`OwnTextAccuracy`).

    Attributes:
        context: the run.
        reward_model: the reward model.
        written, again: two independent completions by a policy of each evaluation prompt.
    """

    context: RunContext
    reward_model: Artifact
    written: Artifact
    again: Artifact

    kind = "on_policy"

    def inputs(self) -> Mapping[str, Any]:
        return {"reward": self.reward_model, "written": self.written, "again": self.again}

    def build(self, folder: Path) -> Mapping[str, Any]:
        del folder
        assert self.context.world is not None
        texts = (read_completions(self.written), read_completions(self.again))
        return ordered_as_gold(self.context.world, load_reward(self.context, self.reward_model), *texts).as_dict()

    def flops(self, workload: Workload) -> float:
        return workload.flops(
            2 * len(self.context.evaluation_prompts) * workload.read_tokens(self.context.config.reward)
        )

    def memory(self, workload: Workload) -> float:
        return workload.classifier_bytes(self.context.config.reward)


def on_policy_accuracy(context: RunContext, policy: Artifact, reward_model: Artifact) -> Artifact:
    """The accuracy of a reward model on two completions by `policy` of each evaluation prompt."""
    return context.make(OnPolicyStage(context, reward_model, *evaluation_completions(context, policy)))
