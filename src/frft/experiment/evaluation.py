"""What a policy is measured by: what the judge says of it, and what its reward model makes of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from frft.evaluation import GoldJudge, Judge, ScoringJudge, compare, rate_of
from frft.evaluation.winrate import WinRate
from frft.models import TruncationCount
from frft.policy import Completions
from frft.results import GoldEvaluation, GoldFigures, OwnTextAccuracy, PoolPairAccuracy
from frft.reward import requests, score_margins
from frft.statistics import OrderAccuracy, order_accuracy, within_prompt_variance
from frft.statistics.intervals import standard_error
from frft.worlds import World

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray


RequestsOf = Callable[[Sequence[str]], Sequence[str]]
"""Maps N prompts to the ids of their requests; prompts that word the same request share an id."""

COMPARED_PAIRS = 500
"""Held-out pairs that a judge is asked about which only compares: each is two questions, which may cost money."""


class Scorer(Protocol):
    """Interface of a reward model or an ensemble of them."""

    def score(self, prompts: Sequence[str], completions: Sequence[str]) -> NDArray[np.float64]:
        """Scores of N completions, float64 (N,)."""


class JudgeFindings(NamedTuple):
    """What a judge says of a policy's completions.

    Attributes:
        win_rate: against a baseline; None: there is none.
        score: its mean score; None: it gives no scores, or is the gold reward (see `against_gold`).
        truncated: what was cut for it; None: it reads all texts whole.
        counts: what else it counted; None: nothing.
    """

    win_rate: WinRate | None
    score: float | None
    truncated: TruncationCount | None
    counts: dict[str, Any] | None


def judged(
    written: Completions, baseline: Completions | None, judge: Judge, requests_of: RequestsOf | None = None
) -> JudgeFindings:
    """What a judge says of a policy's completions: their win rate against a baseline's, and their mean score.

    Args:
        written: the completions.
        baseline: the baseline's, to the same prompts; none: these are the baseline's own, and have no win rate.
        judge: who decides.
        requests_of: what prompts ask for, where several may ask for one thing; none: each prompt for its own.
    """
    texts, rate = (written.prompts, written.completions), None
    if baseline is not None:
        comparison = compare(judge, *texts, baseline.completions)
        if requests_of is not None:
            comparison = replace(comparison, prompts=requests_of(written.prompts))
        rate = rate_of(comparison)
    # The mean gold reward has a place of its own, over twice as many texts.
    scorer = judge if isinstance(judge, ScoringJudge) and not isinstance(judge, GoldJudge) else None
    score = None if scorer is None else float(scorer.score(*texts).mean())
    truncated, counts = counted(judge)
    return JudgeFindings(rate, score, truncated, counts)


def counted(judge: Judge) -> tuple[TruncationCount | None, dict[str, Any] | None]:
    """What a judge has counted: texts that were cut for it, and everything else; None: nothing."""
    counts = dict(judge.counts())
    truncated = counts.pop("truncated", None)
    if truncated is not None:
        counts.pop("max_length", None)
        truncated = TruncationCount.of(truncated)
    return truncated, counts or None


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


def agreement(scorer: Scorer, judge: Judge, table: pa.Table) -> OrderAccuracy:
    """How often scores order the two completions of labelled pairs as a judge does, whatever the labels say.

    A judge that only compares is asked about at most COMPARED_PAIRS of them, evenly over the table, in both orders;
    pairs without a verdict are left out.
    """
    if isinstance(judge, ScoringJudge):
        return order_accuracy(score_margins(scorer.score, table), score_margins(judge.score, table), requests(table))
    step = -(-table.num_rows // COMPARED_PAIRS)
    table = table.take(list(range(0, table.num_rows, step)))
    asked = compare(judge, *(table[column].to_pylist() for column in ("prompt", "chosen", "rejected")))
    known = [row for row, preference in enumerate(asked.preferences) if preference is not None]
    preferred = [preference - 0.5 for preference in asked.preferences if preference is not None]
    table = table.take(known)
    return order_accuracy(score_margins(scorer.score, table), preferred, requests(table))


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
        PoolPairAccuracy(gold=agreement(scorer, GoldJudge(world), held_out), labels=labels),
    )
