"""What a policy writes for given prompts."""

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
    """completions.jsonl, one completion for each prompt.

    Attributes:
        context: the run.
        policy: what writes.
        prompts: what it answers.
        sampling: how.
        seed: of the sampling.
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
        # What the arm scores with stays loaded after its training.
        scoring = self.context.scoring_bytes(workload)
        sampling = workload.sampling_bytes(self.context.config.ppo.sampling, SAMPLED_AT_ONCE)
        return scoring + workload.policy_bytes + sampling


def completions_of(
    context: RunContext, policy: Artifact, prompts: list[str], sampling: SamplingConfig, *purpose: str
) -> Artifact:
    """What `policy` writes for these prompts; `purpose` is part of the seed, so that there can be several of each."""
    return context.make(CompletionsStage(context, policy, prompts, sampling, context.seed("completions", *purpose)))


def evaluation_completions(context: RunContext, policy: Artifact) -> tuple[Artifact, Artifact]:
    """What a policy writes for the evaluation prompts, twice; the first is what is compared with other arms."""
    given = (context, policy, context.evaluation_prompts, context.sampling)
    return completions_of(*given), completions_of(*given, "second")
