"""Log-likelihoods of the pool's completions under policies, for the strategy `policy_ratio`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from frft.config.sections import RefreshConfig
from frft.experiment.policies import load_policy, policy_folder
from frft.experiment.stages.context import RunContext
from frft.experiment.stages.sft import sft_model
from frft.policy import log_likelihoods
from frft.results import LikelihoodsInfo, LogRatiosInfo, PairSidesCut
from frft.reward.refresh import LOG_RATIOS_FILE
from frft.selection import LogRatios
from frft.stages import Stage, Workload
from frft.store import Artifact

LIKELIHOODS = "likelihoods.npy"


@dataclass(frozen=True)
class LikelihoodsStage(Stage):
    """likelihoods.npy: log pi(y|x) of the pool's chosen (row 0) and rejected completions, in nats, float64 (2, N).

    Attributes:
        context: the run.
        policy: the policy pi.
        temperature: the logits are divided by it, as in sampling.
    """

    context: RunContext
    policy: Artifact
    temperature: float

    kind = "likelihoods"

    @property
    def _length(self) -> int:
        sampling = self.context.config.ppo.sampling
        return sampling.max_prompt_tokens + sampling.max_new_tokens

    def inputs(self) -> Mapping[str, Any]:
        rows = self.context.identities["pool"]
        return {"policy": self.policy, "rows": rows, "length": self._length, "temperature": self.temperature}

    def build(self, folder: Path) -> Mapping[str, Any]:
        pool = self.context.splits.pool
        tokenizer, model = load_policy(policy_folder(self.policy), trust_remote_code=self.context.trust)
        found, cut = [], []
        for side in ("chosen", "rejected"):
            sums, truncated = log_likelihoods(
                model,
                tokenizer,
                pool["prompt"].to_pylist(),
                pool[side].to_pylist(),
                max_length=self._length,
                temperature=self.temperature,
                progress=self.context.progress,
            )
            found.append(sums)
            cut.append(truncated)
        np.save(folder / LIKELIHOODS, np.stack(found), allow_pickle=False)
        return LikelihoodsInfo(PairSidesCut(*cut)).as_dict()

    def flops(self, workload: Workload) -> float:
        return workload.flops(2 * self.context.splits.pool.num_rows * workload.sequence)

    def memory(self, workload: Workload) -> float:
        return workload.policy_bytes + workload.measuring_bytes(self.context.config.ppo.sampling)


@dataclass(frozen=True)
class LogRatiosStage(Stage):
    """log_ratios.npy: log pi(y|x) - log pi_SFT(y|x) of the pool's completions in nats.

    Attributes:
        policy, sft: artifacts of `LikelihoodsStage` for the policy and the SFT model, over the same pairs.
    """

    policy: Artifact
    sft: Artifact

    kind = "log_ratios"

    def inputs(self) -> Mapping[str, Any]:
        return {"policy": self.policy, "sft": self.sft}

    def build(self, folder: Path) -> Mapping[str, Any]:
        own_2N, sft_2N = (np.load(each.path / LIKELIHOODS, allow_pickle=False) for each in (self.policy, self.sft))
        LogRatios(*(own_2N - sft_2N)).write(folder / LOG_RATIOS_FILE)
        return LogRatiosInfo().as_dict()

    def flops(self, workload: Workload) -> float:
        del workload
        return 0.0  # a difference of two arrays

    def memory(self, workload: Workload) -> float:
        del workload
        return 0.0


def log_ratios_of(context: RunContext, policy: Artifact, arm: RefreshConfig) -> Artifact:
    """Log-likelihood ratios of the pool's completions: `policy` against the SFT model, in nats."""
    sampling = arm.sampling or context.config.ppo.sampling
    own, sft = (
        context.make(LikelihoodsStage(context, model, sampling.temperature)) for model in (policy, sft_model(context))
    )
    return context.make(LogRatiosStage(own, sft))
