"""Figures that the stages of a run report: the `info` of their manifests, which results files quote.

Those of selections, reward models and gates are in `frft.reward.infos`, of evaluations in evaluation.py, of looks in
looks.py. They are apart because a stage depends on all code that it imports: those files import judges and diagnoses,
and an edit there must not make SFT or PPO anew.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

from frft.models import TruncationCount
from frft.statistics import OrderAccuracy
from frft.store import OMITTED, OpenValue, StoredValue


@dataclass(frozen=True, kw_only=True)
class SFTInfo(StoredValue):
    """The supervised fine-tuning (stage `sft`).

    Attributes:
        parameters: parameters of the policy.
        chat_template: how the policy reads conversations: "plain" (HH-RLHF text), "none" (contents alone), or the
            digest of its chat template.
        examples: prompts with a completion that were trained on.
        steps: optimizer steps.
        losses: training loss of every step in nats a token, before the step.
        truncated: sequences that had to be cut.
    """

    parameters: int
    chat_template: str = "plain"
    examples: int
    steps: int
    losses: list[float]
    truncated: TruncationCount


class StepMetrics(OpenValue):
    """One step of training the policy: a rollout batch and the updates on it. A trainer may add figures of its own.

    Attributes:
        step: number of the step, from 1.
        score: mean score of the rollouts by the reward model, normalised; with reward_shaping: par, their mean PAR.
        score_std: standard deviation of those scores.
        score_clipped: share of the rollouts whose score was beyond reward_clip.
        reward: mean of what was maximised: the clipped score less the KL penalty, where that is in the reward.
        kl_sft_k1: KL divergence of the policy from the SFT model in nats a completion: mean of the log ratio (k1).
        kl_sft_k3: the same divergence by the estimator k3, which is never below 0.
        kl_coef: coefficient of the KL penalty.
        response_tokens: mean length of the completions in tokens.
        has_eos: share of the completions that ended with EOS; the others were cut off.
        explained_variance: share of the returns' variance that the critic explained; PPO alone.
        policy_loss: mean policy loss over the updates, every token with equal weight.
        value_loss: mean loss of the critic; PPO alone.
        entropy: mean entropy of the policy in nats a token.
        approx_kl: mean KL divergence of the updated policy from the one that wrote the rollouts, in nats a token.
        clip_fraction: share of the tokens whose probability ratio was clipped.
        grad_norm_policy: mean norm of the policy's gradient before clipping.
        grad_norm_critic: mean norm of the critic's gradient before clipping; PPO alone.
        updates: optimizer steps; 0 where target_kl stopped the first: then there are no losses.
        seconds_rollout: seconds in which the rollouts were written and scored.
        seconds_update: seconds of the updates.
        tokens_per_second: response tokens over the seconds of the step.
        gold: mean gold reward of the rollouts, which training does not use; only in a world, and in results.json alone.
    """

    step: int
    score: float
    score_std: float
    score_clipped: float
    reward: float
    kl_sft_k1: float
    kl_sft_k3: float
    kl_coef: float
    response_tokens: float
    has_eos: float
    explained_variance: Annotated[float | None, OMITTED] = None
    policy_loss: Annotated[float | None, OMITTED] = None
    value_loss: Annotated[float | None, OMITTED] = None
    entropy: Annotated[float | None, OMITTED] = None
    approx_kl: Annotated[float | None, OMITTED] = None
    clip_fraction: Annotated[float | None, OMITTED] = None
    grad_norm_policy: Annotated[float | None, OMITTED] = None
    grad_norm_critic: Annotated[float | None, OMITTED] = None
    updates: int
    seconds_rollout: float
    seconds_update: float
    tokens_per_second: float
    gold: Annotated[float | None, OMITTED] = None


@dataclass(frozen=True)
class SegmentInfo(StoredValue):
    """A segment of an arm's training (stages `ppo`, `rloo` and `grpo`).

    Attributes:
        last: metrics of its last step.
        rollouts_truncated: prompts that were cut for the policy.
        scoring_truncated: texts that were cut for the reward model.
    """

    last: StepMetrics
    rollouts_truncated: TruncationCount
    scoring_truncated: TruncationCount


@dataclass(frozen=True)
class JudgedInfo(StoredValue):
    """The judge's scores of a segment's rollouts (stage `judged`).

    Attributes:
        means: the judge's mean score of each step's rollouts, in order of the steps.
    """

    means: list[float]


@dataclass(frozen=True)
class AgreementInfo(OrderAccuracy, StoredValue):
    """How often an arm's reward orders held-out pairs as the judge does (stage `agreement`).

    Attributes:
        judge_counts: other counts of the judge for this stage, as in `EvaluationInfo`; left out where there are none.
    """

    judge_counts: Annotated[dict[str, Any] | None, OMITTED] = None


@dataclass(frozen=True)
class CompletionsInfo(StoredValue):
    """Completions by a policy of a list of prompts (stage `completions`).

    Attributes:
        sequences: number of completions.
        prompts_truncated: number of those whose prompt lost its beginning.
        completions_truncated: always 0: sampling ends at max_new_tokens, and cuts nothing that was sampled.
    """

    sequences: int
    prompts_truncated: int
    completions_truncated: int


@dataclass(frozen=True)
class EmbeddedInfo(StoredValue):
    """The embeddings that a look compares (stage `embedded`).

    Attributes:
        texts: number of different texts.
    """

    texts: int


@dataclass(frozen=True)
class LabelledInfo(StoredValue):
    """Freshly labelled pairs of the policy's own texts (stage `labelled`).

    Attributes:
        pairs: number of pairs.
    """

    pairs: int


@dataclass(frozen=True)
class PairSidesCut(StoredValue):
    """Counts of cut texts on either side of pairs.

    Attributes:
        chosen: counts for prompts with their chosen completions.
        rejected: counts for prompts with their rejected completions.
    """

    chosen: TruncationCount
    rejected: TruncationCount


@dataclass(frozen=True)
class LikelihoodsInfo(StoredValue):
    """Log-probabilities of the pool's completions under a policy (stage `likelihoods`).

    Attributes:
        truncated: counts of the pairs' texts that were cut.
    """

    truncated: PairSidesCut


@dataclass(frozen=True)
class LogRatiosInfo(StoredValue):
    """Log-probability ratios of the pool's completions (stage `log_ratios`), which are in the stage's file."""
