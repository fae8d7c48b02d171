"""What the evaluation of a policy says of itself, and of a reward model on its texts."""

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
