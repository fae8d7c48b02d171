"""What a policy is measured by: what the judge says of it, and what its reward model makes of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple, Protocol

from frft.config.sections import EvaluationConfig
from frft.evaluation import GoldJudge, RewardJudge, compare, rate_of
from frft.evaluation.winrate import WinRate
from frft.models import TruncationCount
from frft.policy import Completions
from frft.results import GoldEvaluation, GoldFigures, OwnTextAccuracy, PoolPairAccuracy
from frft.reward import RewardModel, requests, score_margins
from frft.statistics import OrderAccuracy, order_accuracy, within_prompt_variance
from frft.statistics.intervals import standard_error
from frft.worlds import World

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray


ScoreFunction = Callable[[Sequence[str], Sequence[str]], "NDArray[np.float64]"]


class Scorer(Protocol):
    """A reward model, or several as one."""

    def score(self, prompts: Sequence[str], completions: Sequence[str]) -> NDArray[np.float64]:
        """Scores of N completions, float64 (N,)."""


class JudgeFindings(NamedTuple):
    """What a judge says of a policy's completions.

    Attributes:
        win_rate: against a baseline; None: there is none.
        score: its mean score; None: the gold reward judges.
        truncated: what was cut for it; None: the gold reward judges.
    """

    win_rate: WinRate | None
    score: float | None
    truncated: TruncationCount | None


def judged(
    written: Completions,
    baseline: Completions | None,
    judge: RewardModel | World,
    config: EvaluationConfig,
) -> JudgeFindings:
    """What the judge says of a policy's completions: their win rate against a baseline's, and their mean score.

    Args:
        written: the completions.
        baseline: the baseline's, to the same prompts; none: these are the baseline's own, and have no win rate.
        judge: a reward model, or a world, whose gold reward then judges.
        config: tie margin.
    """
    texts = (written.prompts, written.completions)
    compared = None
    if baseline is not None:
        how = GoldJudge(judge) if isinstance(judge, World) else RewardJudge(judge, config.tie_margin)
        comparison = compare(how, *texts, baseline.completions)
        if isinstance(judge, World):
            # A world has fewer requests than wordings of them.
            comparison = replace(comparison, prompts=judge.request_ids(written.prompts))
        compared = rate_of(comparison)
    if isinstance(judge, World):
        return JudgeFindings(compared, None, None)
    score = float(judge.score(*texts).mean())
    return JudgeFindings(compared, score, judge.truncated)


def variance_under_policy(scorer: Scorer, written: Completions, again: Completions) -> float:
    """Mean over prompts of the variance of the scores of what a policy writes, from two completions of each."""
    first, second = (scorer.score(each.prompts, each.completions) for each in (written, again))
    return within_prompt_variance(first, second)


def ordered_as_gold(world: World, scorer: Scorer, written: Completions, again: Completions) -> OwnTextAccuracy:
    """How often a reward model orders two completions of a prompt as gold does, and how far apart both put them.

    Wordings of one request are a cluster.
    """
    gold, again_gold = (world.gold(each.prompts, each.completions) for each in (written, again))
    score, again_score = (scorer.score(each.prompts, each.completions) for each in (written, again))
    accuracy = order_accuracy(score - again_score, gold - again_gold, world.request_ids(written.prompts))
    return OwnTextAccuracy(
        **vars(accuracy),
        reward_variance=within_prompt_variance(score, again_score),
        gold_variance=within_prompt_variance(gold, again_gold),
    )


def agreement(score: ScoreFunction, judge: ScoreFunction, table: pa.Table) -> OrderAccuracy:
    """How often scores order the two completions of labelled pairs as a judge does, whatever the labels say."""
    return order_accuracy(score_margins(score, table), score_margins(judge, table), requests(table))


def against_gold(
    world: World, scorer: Scorer, written: Completions, again: Completions, held_out: pa.Table
) -> GoldEvaluation:
    """A policy, and the reward model that it was trained with, by the gold reward.

    Args:
        world: whose gold reward counts.
        scorer: the reward model that the policy followed last.
        written, again: two independent completions of the policy to each of the same prompts.
        held_out: labelled pairs that no training saw.
    """
    import numpy as np

    gold, again_gold = (world.gold(each.prompts, each.completions) for each in (written, again))
    labels = order_accuracy(score_margins(scorer.score, held_out), [1.0] * held_out.num_rows, requests(held_out))
    return GoldEvaluation(
        GoldFigures(
            mean=float((gold.mean() + again_gold.mean()) / 2),
            standard_error=standard_error((gold + again_gold) / 2, world.request_ids(written.prompts)),
            std=float(np.concatenate([gold, again_gold]).std()),
            variance=within_prompt_variance(gold, again_gold),
        ),
        ordered_as_gold(world, scorer, written, again),
        PoolPairAccuracy(gold=agreement(scorer.score, world.gold, held_out), labels=labels),
    )
