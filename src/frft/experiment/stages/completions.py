"""Sample completions from a policy for given prompts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from frft.config.sections import SamplingConfig
from frft.experiment.policies import load_policy, policy_folder
from frft.experiment.stages.context import RunContext
from frft.experiment.texts import write_completions
from frft.policy import generate
from frft.results import CompletionsInfo
from frft.stages import Stage, Workload
from frft.stages.workload import SAMPLED_AT_ONCE
from frft.store import Artifact, digest_of


@dataclass(frozen=True)
class CompletionsStage(Stage):
    """completions.jsonl: one completion by a policy for each prompt.

    Attributes:
        context: the run.
        policy: the policy.
        prompts: the prompts.
        sampling: temperature, lengths and other settings of sampling.
        seed: seed of the sampling.
    """

    context: RunContext
    policy: Artifact
    prompts: list[str]
    sampling: SamplingConfig
    seed: int

    kind = "completions"

    def inputs(self) -> Mapping[str, Any]:
        return {
            "policy": self.policy,
            "prompts": digest_of(self.prompts),
            "count": len(self.prompts),
            "sampling": self.sampling.model_dump(),
            "seed": self.seed,
        }

    def build(self, folder: Path) -> Mapping[str, Any]:
        tokenizer, model = load_policy(policy_folder(self.policy), trust_remote_code=self.context.trust)
        written = generate(
            model, tokenizer, self.prompts, self.sampling, seed=self.seed, progress=self.context.progress
        )
        write_completions(folder, written)
        return CompletionsInfo.of(written.truncated.as_dict(), folder).as_dict()

    def flops(self, workload: Workload) -> float:
        return workload.flops(len(self.prompts) * workload.sequence)

    def memory(self, workload: Workload) -> float:
        # The arm's reward stays loaded after the training that precedes this stage in the same process.
        scoring = self.context.scoring_bytes(workload)
        sampling = workload.sampling_bytes(self.context.config.ppo.sampling, SAMPLED_AT_ONCE)
        return scoring + workload.policy_bytes + sampling


def completions_of(
    context: RunContext, policy: Artifact, prompts: list[str], sampling: SamplingConfig, *purpose: str
) -> Artifact:
    """Completions by `policy`, one for each prompt. Each `purpose` has a seed, and so a sample, of its own."""
    return context.make(CompletionsStage(context, policy, prompts, sampling, context.seed("completions", *purpose)))


def evaluation_completions(context: RunContext, policy: Artifact) -> tuple[Artifact, Artifact]:
    """Two independent completions of each evaluation prompt; win rates compare the first with other arms'."""
    given = (context, policy, context.evaluation_prompts, context.sampling)
    return completions_of(*given), completions_of(*given, "second")
