"""What the stages of a run say of themselves: the `info` of their manifests, which results files quote.

Those of selections, reward models and gates are `frft.reward.infos`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, NamedTuple

from frft.diagnosis import DiagnosisFigures, GaoFit, Link, Movement
from frft.diagnosis.verdict import RewardVerdict
from frft.errors import ArtifactError
from frft.evaluation.winrate import WinRate
from frft.models import TruncationCount
from frft.statistics import Estimate, OrderAccuracy
from frft.store import OMITTED, OpenValue, StoredValue


@dataclass(frozen=True, kw_only=True)
class SFTInfo(StoredValue):
    """The supervised fine-tuning (stage `sft`).

    Attributes:
        parameters: parameters of the policy.
        examples: prompts with a completion that were trained on.
        steps: optimizer steps.
        losses: training loss of every step in nats a token, before the step.
        truncated: sequences that had to be cut.
    """

    parameters: int
    examples: int
    steps: int
    losses: list[float]
    truncated: TruncationCount


class StepMetrics(OpenValue):
    """One step of training the policy: a rollout batch and the updates on it. A trainer may add figures of its own.

    Attributes:
        step: number of the step, from 1.
        score: mean score of the rollouts by the reward model, normalised.
        score_std: their standard deviation.
        score_clipped: share of the rollouts whose score was beyond reward_clip.
        reward: mean of what was maximised: the clipped score less the KL penalty, where that is in the reward.
        kl_sft_k1: KL divergence of the policy from the SFT model in nats a completion: mean of the log ratio (k1).
        kl_sft_k3: the same by the estimator k3, which is never below 0.
        kl_coef: coefficient of the KL penalty.
        response_tokens: mean length of the completions in tokens.
        has_eos: share of the completions that came to their end (EOS).
        explained_variance: share of the returns' variance that the critic explained; PPO alone.
        policy_loss: mean policy loss over the updates, each token counted alike.
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
        gold: mean gold reward of the rollouts, which no training saw; only in a world, and in results.json alone.
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
class GoldFigures(StoredValue):
    """The gold reward of all that a policy writes to the evaluation prompts, two completions each.

    Attributes:
        mean: mean gold reward.
        standard_error: of that mean, wordings of one request counted as a cluster; None: there is one request.
        std: standard deviation over completions.
        variance: mean over prompts of the variance within a prompt.
    """

    mean: float
    standard_error: float | None
    std: float
    variance: float


@dataclass(frozen=True)
class OwnTextAccuracy(OrderAccuracy, StoredValue):
    """How often a reward model orders a policy's two completions of a prompt as gold does (stage `on_policy`).

    Attributes:
        reward_variance: mean over prompts of the variance of the model's scores within a prompt, normalised.
        gold_variance: the same of the gold reward.
    """

    reward_variance: float
    gold_variance: float


@dataclass(frozen=True)
class PoolPairAccuracy(StoredValue):
    """How often a reward model orders held-out pairs, which no training saw, as two truths do.

    Attributes:
        gold: as the gold reward does.
        labels: as the pairs' labels do.
    """

    gold: OrderAccuracy
    labels: OrderAccuracy


class GoldEvaluation(NamedTuple):
    """What the gold reward of a world says of a policy and of its reward model; see `EvaluationInfo`."""

    gold: GoldFigures
    on_policy: OwnTextAccuracy
    off_policy: PoolPairAccuracy


@dataclass(frozen=True, kw_only=True)
class EvaluationInfo(StoredValue):
    """A policy on the evaluation prompts (stage `evaluation`).

    Attributes:
        win_rate: against vanilla, by the judge; None: this is vanilla itself, or the same artifact.
        judge_score: the judge's mean score; left out where it only compares, or is gold, which stands below.
        judge_truncated: texts that were cut for the judge; left out where it reads all texts whole.
        judge_counts: what else the judge counted for this stage: of a chat model, `questions` by their outcome and
            `cost`; left out where there is nothing.
        base_reward_score: mean score by the reward model that all arms start with.
        reward_variance: mean over prompts of the variance within a prompt of the scores by the arm's last reward model.
        gold: the gold reward; only in a world.
        on_policy: the arm's last reward model on the policy's own texts, by gold; only in a world.
        off_policy: the same model on pairs like the pool's; only in a world.
        kl_sft_k1: KL divergence from the SFT model in nats a completion: mean of the log ratio (k1).
        kl_sft_k3: the same by the estimator k3.
        response_tokens: mean length of the completions in tokens.
        has_eos: share of the completions that came to their end (EOS).
        distinct_completions: different completions over completions.
        written_truncated: evaluation prompts that were cut for the policy.
    """

    win_rate: WinRate | None
    judge_score: Annotated[float | None, OMITTED] = None
    judge_truncated: Annotated[TruncationCount | None, OMITTED] = None
    judge_counts: Annotated[dict[str, Any] | None, OMITTED] = None
    base_reward_score: float
    reward_variance: float
    gold: Annotated[GoldFigures | None, OMITTED] = None
    on_policy: Annotated[OwnTextAccuracy | None, OMITTED] = None
    off_policy: Annotated[PoolPairAccuracy | None, OMITTED] = None
    kl_sft_k1: float
    kl_sft_k3: float
    response_tokens: float
    has_eos: float
    distinct_completions: float
    written_truncated: TruncationCount

    @property
    def by_gold(self) -> GoldEvaluation:
        """What the gold reward says.

        Raises:
            ArtifactError: the evaluation is not of a world.
        """
        if self.gold is None or self.on_policy is None or self.off_policy is None:
            raise ArtifactError("An evaluation in a world lacks what the gold reward says of it. Run it again.")
        return GoldEvaluation(self.gold, self.on_policy, self.off_policy)


@dataclass(frozen=True)
class GoldView(StoredValue):
    """What a look would have said had the gold reward been its judge.

    Attributes:
        fired: alarms by name, and broken links.
        links: the links of objective mismatch.
        movement: how the policy moved, by proxy and gold; None: there is nothing to compare with.
        gao: Gao's curve of the gold reward; None: too few steps.
    """

    fired: list[str]
    links: list[Link]
    movement: Movement | None
    gao: GaoFit | None


@dataclass(frozen=True, kw_only=True)
class LookInfo(DiagnosisFigures, StoredValue):
    """A look at an arm while it is trained (stage `look`), against its last refresh or its start.

    Attributes:
        step: steps completed.
        drift: probability (AUC) that a classifier tells a text of now from one of then; 0.5: nothing has moved. None:
            not measured, or nothing was trained since.
        fired: alarms by name, and broken links.
        verdict: healthy, broken or undecided.
        decided_by: what the verdict rests on, a line each.
        by_gold: what the gold reward would have said; None: it is the judge, or there is none.
        judge_counts: what the judge counted for this look beside cut texts, as in an evaluation.
    """

    step: int
    drift: Estimate | None
    fired: list[str]
    verdict: RewardVerdict
    decided_by: list[str]
    by_gold: GoldView | None
    judge_counts: Annotated[dict[str, Any] | None, OMITTED] = None


@dataclass(frozen=True)
class JudgedInfo(StoredValue):
    """The judge's view of a segment's rollouts (stage `judged`).

    Attributes:
        means: mean score of each step's rollouts.
    """

    means: list[float]


@dataclass(frozen=True)
class AgreementInfo(OrderAccuracy, StoredValue):
    """How often an arm's reward orders held-out pairs as the judge does (stage `agreement`).

    Attributes:
        judge_counts: what the judge counted for it beside cut texts, as in an evaluation.
    """

    judge_counts: Annotated[dict[str, Any] | None, OMITTED] = None


@dataclass(frozen=True)
class CompletionsInfo(StoredValue):
    """What a policy wrote to a list of prompts (stage `completions`).

    Attributes:
        sequences: completions written.
        prompts_truncated: of these, how many are to a prompt that lost its beginning.
        completions_truncated: 0: what a policy writes ends at max_new_tokens, and is whole as it stands.
    """

    sequences: int
    prompts_truncated: int
    completions_truncated: int


@dataclass(frozen=True)
class EmbeddedInfo(StoredValue):
    """The vectors that a look compares (stage `embedded`).

    Attributes:
        texts: different texts.
    """

    texts: int


@dataclass(frozen=True)
class LabelledInfo(StoredValue):
    """Freshly labelled pairs of the policy's own texts (stage `labelled`).

    Attributes:
        pairs: how many.
    """

    pairs: int


@dataclass(frozen=True)
class PairSidesCut(StoredValue):
    """What was cut on either side of pairs.

    Attributes:
        chosen: prompts with chosen completions.
        rejected: prompts with rejected completions.
    """

    chosen: TruncationCount
    rejected: TruncationCount


@dataclass(frozen=True)
class LikelihoodsInfo(StoredValue):
    """Log-probabilities of the pool's completions under a policy (stage `likelihoods`).

    Attributes:
        truncated: what was cut of the pairs.
    """

    truncated: PairSidesCut


@dataclass(frozen=True)
class LogRatiosInfo(StoredValue):
    """Log-probability ratios of the pool's completions (stage `log_ratios`): all is in the file."""
