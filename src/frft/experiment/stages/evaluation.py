"""Evaluate a policy at the end of its training: win rate, scores, KL from SFT, accuracy of its reward model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from frft.evaluation.judge_names import NamedJudge
from frft.experiment.evaluation import against_gold, judged, variance_under_policy
from frft.experiment.policies import load_policy, policy_folder
from frft.experiment.stages.completions import evaluation_completions
from frft.experiment.stages.context import RunContext
from frft.experiment.stages.judges import judge_of
from frft.experiment.stages.reward_model import base_reward_model
from frft.experiment.stages.scoring import load_reward, scored_by
from frft.experiment.stages.sft import sft_model
from frft.experiment.texts import read_completions
from frft.policy import Completions, measure_divergence
from frft.policy.divergence import Divergence
from frft.results import EvaluationInfo
from frft.reward import AlignedReward, FrozenEnsembleReward
from frft.stages import Stage, Workload
from frft.store import Artifact


@dataclass(frozen=True)
class EvaluationStage(Stage):
    """No files; the figures of a policy (`EvaluationInfo`).

    Attributes:
        context: the run.
        policy: the policy that is evaluated.
        own, second: two independent completions by it of each evaluation prompt.
        baseline: the completions that win rates compare `own` with; the same artifact for vanilla itself.
        judge: the judge.
        reward: the reward that the policy was trained with.
        base_reward: the reward model that all arms start with.
        sft: the SFT model.
    """

    context: RunContext
    policy: Artifact
    own: Artifact
    second: Artifact
    baseline: Artifact
    judge: NamedJudge
    reward: AlignedReward | FrozenEnsembleReward
    base_reward: Artifact
    sft: Artifact

    kind = "evaluation"

    def inputs(self) -> Mapping[str, Any]:
        context = self.context
        return {
            "own": self.own,
            "second": self.second,
            "baseline": self.baseline,
            "judge": self.judge.identity,
            **scored_by(self.reward),
            "base_reward": self.base_reward,
            "held_out": None if context.world is None else context.identities["evaluation"],
            # Without a key where there is one domain, as before there were several.
            **({"by_domain": dict(context.domain_identities)} if context.domain_identities else {}),
            "sft": self.sft,
            "tie_margin": context.config.evaluation.tie_margin,
        }

    def build(self, folder: Path) -> Mapping[str, Any]:
        del folder
        context, world = self.context, self.context.world
        written, again = read_completions(self.own), read_completions(self.second)
        against = None if self.own.digest == self.baseline.digest else read_completions(self.baseline)
        found = judged(written, against, self.judge.open(), None if world is None else world.request_ids)
        base = load_reward(context, self.base_reward).score(written.prompts, written.completions)
        variance, gold = variance_under_policy(self.reward.model, written, again), None
        if world is not None:
            gold = against_gold(
                world, self.reward.model, written, again, context.splits.evaluation, context.splits.by_domain
            )
        moved, count = self._divergence(written), len(written.prompts)
        return EvaluationInfo(
            win_rate=found.win_rate,
            judge_score=found.score,
            judge_truncated=found.truncated,
            judge_counts=found.counts,
            base_reward_score=float(base.mean()),
            reward_variance=variance,
            gold=None if gold is None else gold.gold,
            on_policy=None if gold is None else gold.on_policy,
            off_policy=None if gold is None else gold.off_policy,
            by_domain=None if gold is None else gold.by_domain,
            kl_sft_k1=moved.k1,
            kl_sft_k3=moved.k3,
            response_tokens=sum(map(len, written.tokens)) / count,
            has_eos=sum(written.has_eos) / count,
            distinct_completions=len(set(written.completions)) / count,
            written_truncated=written.truncated,
        ).as_dict()

    def flops(self, workload: Workload) -> float:
        # 7 passes over the evaluation prompts: the judge over both sides of each comparison (2), the base reward model
        # over the first completions (1), the arm's over both (2), the policy and the SFT model for the KL (2).
        config = self.context.config
        tables = [self.context.splits.evaluation, *self.context.splits.by_domain.values()]
        held_out_twice = 2 * sum(each.num_rows for each in tables) if config.data.world is not None else 0
        return workload.flops((7 * config.evaluation.max_prompts + held_out_twice) * workload.sequence)

    def memory(self, workload: Workload) -> float:
        # The base reward model, the arm's, and a trained judge, are loaded at the same time.
        config = self.context.config
        judges = workload.classifier_bytes(config.reward) + self.context.scoring_bytes(workload)
        if isinstance(self.judge.identity, Artifact):
            judges += workload.classifier_bytes(config.judge_model)
        return judges + 2 * workload.policy_bytes + workload.measuring_bytes(self.context.sampling)

    def _divergence(self, written: Completions) -> Divergence:
        """The policy's KL divergence from the SFT model, estimated on its own completions, in nats a completion."""
        context = self.context
        tokenizer, model = load_policy(policy_folder(self.policy), trust_remote_code=context.trust)
        return measure_divergence(
            model,
            load_policy(policy_folder(self.sft), trust_remote_code=context.trust)[1],
            tokenizer,
            written,
            temperature=context.sampling.temperature,
            max_prompt_tokens=context.sampling.max_prompt_tokens,
            progress=context.progress,
        )


def evaluation_of(
    context: RunContext, policy: Artifact, baseline: Artifact, reward: AlignedReward | FrozenEnsembleReward
) -> Artifact:
    """Evaluate `policy`, trained with `reward`, against `baseline` (vanilla's policy); vanilla has no win rate."""
    own, second = evaluation_completions(context, policy)
    other, _ = evaluation_completions(context, baseline)
    judge, base = judge_of(context), base_reward_model(context)
    return context.make(EvaluationStage(context, policy, own, second, other, judge, reward, base, sft_model(context)))
