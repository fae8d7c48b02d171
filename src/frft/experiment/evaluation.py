"""Measures of a trained policy: win rate and mean score by the judge, and accuracy of its reward model."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
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
"""Most held-out pairs that a judge without scores is asked about: each takes two questions, which may cost money."""


class Scorer(Protocol):
    """Interface of a reward model or an ensemble of them."""

    def score(self, prompts: Sequence[str], completions: Sequence[str]) -> NDArray[np.float64]:
        """Scores of N completions, float64 (N,)."""


class JudgeFindings(NamedTuple):
    """What a judge says of a policy's completions.

    Attributes:
        win_rate: win rate against the baseline's completions; None: they are the baseline's own.
        score: mean score of the completions; None: the judge gives no scores, or is the gold reward, whose mean stands
            in `against_gold`.
        truncated: how many texts were cut for the judge; None: it reads all texts whole.
        counts: other counts that the judge keeps (replies, tokens, ...); None: it keeps none.
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
        written: the policy's completions.
        baseline: another policy's completions of the same prompts; None: no win rate is computed.
        judge: the judge.
        requests_of: maps prompts to request ids, the clusters of the interval; None: each prompt is its own cluster.
    """
    texts, rate = (written.prompts, written.completions), None
    if baseline is not None:
        comparison = compare(judge, *texts, baseline.completions)
        if requests_of is not None:
            comparison = replace(comparison, prompts=requests_of(written.prompts))
        rate = rate_of(comparison)
    # `against_gold` reports the mean gold reward, over twice as many completions.
    scorer = judge if isinstance(judge, ScoringJudge) and not isinstance(judge, GoldJudge) else None
    score = None if scorer is None else float(scorer.score(*texts).mean())
    truncated, counts = counted(judge)
    return JudgeFindings(rate, score, truncated, counts)


def counted(judge: Judge) -> tuple[TruncationCount | None, dict[str, Any] | None]:
    """A judge's counts: of texts that were cut for it (None: it cuts none), and all others (None: there are none)."""
    counts = dict(judge.counts())
    truncated = counts.pop("truncated", None)
    if truncated is not None:
        counts.pop("max_length", None)
        truncated = TruncationCount.of(truncated)
    return truncated, counts or None


def variance_under_policy(scorer: Scorer, written: Completions, again: Completions) -> float:
    """Within-prompt variance of a policy's scores: mean over prompts, from two independent completions of each.

    Of two draws a, b, the unbiased estimate is (a - b)^2 / 2.
    """
    first, second = (scorer.score(each.prompts, each.completions) for each in (written, again))
    return within_prompt_variance(first, second)


def ordered_as_gold(world: World, scorer: Scorer, written: Completions, again: Completions) -> OwnTextAccuracy:
    """How often a reward model orders two completions of a prompt as the gold reward does, and both variances.

    Prompts that word the same request share a cluster in the interval: their outcomes are not independent.
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
    """How often a scorer orders the two completions of pairs as a judge does; the pairs' labels are not used.

    A judge without scores is asked about at most COMPARED_PAIRS of them, spread evenly over the table, in both orders
    of presentation; pairs without a verdict are left out.
    """
    if isinstance(judge, ScoringJudge):
        return order_accuracy(score_margins(scorer.score, table), score_margins(judge.score, table), requests(table))
    step = -(-table.num_rows // COMPARED_PAIRS)
    table = table.take(list(range(0, table.num_rows, step)))
    asked = compare(judge, *(table[column].to_pylist() for column in ("prompt", "chosen", "rejected")))
    # A preference is in [0, 1], one half for a tie: less one half, its sign is the judge's order.
    known = [row for row, preference in enumerate(asked.preferences) if preference is not None]
    preferred = [preference - 0.5 for preference in asked.preferences if preference is not None]
    table = table.take(known)
    return order_accuracy(score_margins(scorer.score, table), preferred, requests(table))


def on_held_out_pairs(world: World, scorer: Scorer, held_out: pa.Table) -> PoolPairAccuracy:
    """How often a reward model orders labelled pairs that nothing was trained on as gold, and as their labels do."""
    margins, clusters = score_margins(scorer.score, held_out), requests(held_out)
    return PoolPairAccuracy(
        gold=order_accuracy(margins, score_margins(world.gold, held_out), clusters),
        labels=order_accuracy(margins, [1.0] * held_out.num_rows, clusters),
    )


def against_gold(
    world: World,
    scorer: Scorer,
    written: Completions,
    again: Completions,
    held_out: pa.Table,
    by_domain: Mapping[str, pa.Table] | None = None,
) -> GoldEvaluation:
    """Measure a policy, and the reward model that it was trained with last, by the gold reward.

    Args:
        world: the world that defines the gold reward.
        scorer: the reward model (or ensemble) that the policy was trained with last.
        written, again: two independent completions by the policy of each of the same prompts.
        held_out: labelled pairs that nothing was trained on.
        by_domain: more of these, of each domain by its name; None or empty: domains are not told apart.
    """
    import numpy as np

    gold, again_gold = (world.gold(each.prompts, each.completions) for each in (written, again))
    return GoldEvaluation(
        GoldFigures(
            mean=float((gold.mean() + again_gold.mean()) / 2),
            standard_error=standard_error((gold + again_gold) / 2, world.request_ids(written.prompts)),
            std=float(np.concatenate([gold, again_gold]).std()),
            variance=within_prompt_variance(gold, again_gold),
        ),
        ordered_as_gold(world, scorer, written, again),
        on_held_out_pairs(world, scorer, held_out),
        {name: on_held_out_pairs(world, scorer, pairs) for name, pairs in by_domain.items()} if by_domain else None,
    )
