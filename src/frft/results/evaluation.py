"""Figures of the evaluation of a policy, and of a reward model on the policy's completions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, NamedTuple

from frft.errors import ArtifactError
from frft.evaluation.winrate import WinRate
from frft.models import TruncationCount
from frft.statistics import OrderAccuracy
from frft.store import OMITTED, StoredValue


@dataclass(frozen=True)
class GoldFigures(StoredValue):
    """The gold reward of a policy's completions of the evaluation prompts, two completions each.

    Attributes:
        mean: mean gold reward.
        standard_error: standard error of that mean, clustered by request (prompts may word the same request); None:
            there is only one request.
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
        gold_variance: mean over prompts of the variance of the gold reward within a prompt.
    """

    reward_variance: float
    gold_variance: float


@dataclass(frozen=True)
class PoolPairAccuracy(StoredValue):
    """Accuracy of a reward model on held-out pairs, which no model was trained on, by two references.

    Attributes:
        gold: how often it orders the completions as the gold reward does.
        labels: how often it orders them as the labels do.
    """

    gold: OrderAccuracy
    labels: OrderAccuracy


class GoldEvaluation(NamedTuple):
    """The figures of an evaluation that a world's gold reward gives; see `EvaluationInfo`."""

    gold: GoldFigures
    on_policy: OwnTextAccuracy
    off_policy: PoolPairAccuracy
    by_domain: dict[str, PoolPairAccuracy] | None = None


@dataclass(frozen=True, kw_only=True)
class EvaluationInfo(StoredValue):
    """A policy on the evaluation prompts (stage `evaluation`).

    Attributes:
        win_rate: win rate against vanilla, by the judge; None: this is vanilla itself, or the same artifact.
        judge_score: the judge's mean score; left out where the judge gives no scores, or is the gold reward (`gold`).
        judge_truncated: texts that were cut for the judge; left out where it reads all texts whole.
        judge_counts: other counts of the judge for this stage: for a chat model, `questions` by their outcome and
            `cost`; left out where there are none.
        base_reward_score: mean score by the reward model that all arms start with.
        reward_variance: mean over prompts of the variance within a prompt of the scores by the arm's last reward model.
        gold: the gold reward; only in a world.
        on_policy: accuracy of the arm's last reward model on the policy's own completions, by gold; only in a world.
        off_policy: accuracy of that model on held-out pairs on prompts like the policy's; only in a world.
        by_domain: accuracy of that model on held-out pairs of each domain, by the domain's name, whether the policy is
            on it or not; only in a world of several domains.
        kl_sft_k1: KL divergence from the SFT model in nats a completion: mean of the log ratio (k1).
        kl_sft_k3: the same divergence by the estimator k3, which is never below 0.
        response_tokens: mean length of the completions in tokens.
        has_eos: share of the completions that ended with EOS; the others were cut off.
        distinct_completions: number of different completions divided by the number of completions.
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
    by_domain: Annotated[dict[str, PoolPairAccuracy] | None, OMITTED] = None
    kl_sft_k1: float
    kl_sft_k3: float
    response_tokens: float
    has_eos: float
    distinct_completions: float
    written_truncated: TruncationCount

    @property
    def by_gold(self) -> GoldEvaluation:
        """The figures by the gold reward.

        Raises:
            ArtifactError: there are none, because the evaluation is not in a world.
        """
        if self.gold is None or self.on_policy is None or self.off_policy is None:
            raise ArtifactError("An evaluation in a world lacks its figures by the gold reward. Run it again.")
        return GoldEvaluation(self.gold, self.on_policy, self.off_policy, self.by_domain)
