"""What a policy is measured by: what the judge says of it, and what its reward model makes of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Protocol

from frft.config.sections import EvaluationConfig
from frft.evaluation import GoldJudge, RewardJudge, compare, rate_of
from frft.policy import Completions
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


def judged(
    written: Completions,
    baseline: Completions | None,
    judge: RewardModel | World,
    config: EvaluationConfig,
) -> dict[str, Any]:
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
        compared = rate_of(comparison).as_dict()
    if isinstance(judge, World):
        return {"win_rate": compared}
    score = float(judge.score(*texts).mean())
    return {"win_rate": compared, "judge_score": score, "judge_truncated": judge.truncated.as_dict()}


def variance_under_policy(scorer: Scorer, written: Completions, again: Completions) -> float:
    """Mean over prompts of the variance of the scores of what a policy writes, from two completions of each."""
    first, second = (scorer.score(each.prompts, each.completions) for each in (written, again))
    return within_prompt_variance(first, second)


def ordered_as_gold(world: World, scorer: Scorer, written: Completions, again: Completions) -> dict[str, Any]:
    """How often a reward model orders two completions of a prompt as gold does, and how far apart both put them.

    Returns:
        The accuracy (see `OrderAccuracy`; wordings of one request are a cluster), `reward_variance` and
        `gold_variance`: mean variances within a prompt.
    """
    gold, again_gold = (world.gold(each.prompts, each.completions) for each in (written, again))
    score, again_score = (scorer.score(each.prompts, each.completions) for each in (written, again))
    return {
        **order_accuracy(score - again_score, gold - again_gold, world.request_ids(written.prompts)).as_dict(),
        "reward_variance": within_prompt_variance(score, again_score),
        "gold_variance": within_prompt_variance(gold, again_gold),
    }


def agreement(score: ScoreFunction, judge: ScoreFunction, table: pa.Table) -> OrderAccuracy:
    """How often scores order the two completions of labelled pairs as a judge does, whatever the labels say."""
    return order_accuracy(score_margins(score, table), score_margins(judge, table), requests(table))


def against_gold(
    world: World, scorer: Scorer, written: Completions, again: Completions, held_out: pa.Table
) -> dict[str, Any]:
    """A policy, and the reward model that it was trained with, by the gold reward.

    Args:
        world: whose gold reward counts.
        scorer: the reward model that the policy followed last.
        written, again: two independent completions of the policy to each of the same prompts.
        held_out: labelled pairs that no training saw.

    Returns:
        - `gold`: mean, its standard error (wordings of one request are a cluster), standard deviation and within-prompt
          variance of the gold reward of all that the policy writes.
        - `on_policy`: how often the reward model orders the policy's two completions as gold does.
        - `off_policy`: how often it orders the held-out pairs as `gold` does, and as their `labels` do.
    """
    import numpy as np

    gold, again_gold = (world.gold(each.prompts, each.completions) for each in (written, again))
    labels = order_accuracy(score_margins(scorer.score, held_out), [1.0] * held_out.num_rows, requests(held_out))
    return {
        "gold": {
            "mean": float((gold.mean() + again_gold.mean()) / 2),
            "standard_error": standard_error((gold + again_gold) / 2, world.request_ids(written.prompts)),
            "std": float(np.concatenate([gold, again_gold]).std()),
            "variance": within_prompt_variance(gold, again_gold),
        },
        "on_policy": ordered_as_gold(world, scorer, written, again),
        "off_policy": {
            "gold": agreement(scorer.score, world.gold, held_out).as_dict(),
            "labels": labels.as_dict(),
        },
    }
