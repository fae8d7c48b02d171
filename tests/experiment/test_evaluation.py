"""What is said of a policy's completions, by the gold reward and by a reward model."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from scipy import stats

from frft.config.sections import WorldConfig
from frft.evaluation import GoldJudge
from frft.experiment.evaluation import (
    COMPARED_PAIRS,
    against_gold,
    agreement,
    judged,
    ordered_as_gold,
    variance_under_policy,
)
from frft.models import TruncationCount
from frft.policy import Completions
from frft.statistics.intervals import wilson
from frft.worlds import World

PROMPT = "\n\nHuman: Please name two fruits.\n\nAssistant:"
BOTH, ONE, NONE = " an apple and a pear.", " an apple.", " I do not know."
"""Gold rewards by hand: all of what is asked (3), half of it (1.5), nothing of it (0 and less)."""


class Scores:
    """A reward model that goes by the length of a text."""

    def score(self, prompts, completions):
        return np.array([float(len(text)) for text in completions])


@pytest.fixture(scope="module")
def world() -> World:
    return World(WorldConfig(pool_size=50))


def written(*texts: str) -> Completions:
    count = len(texts)
    return Completions([PROMPT] * count, list(texts), [True] * count, [[1]] * count, TruncationCount(count))


def test_the_gold_reward_judges(world):
    gold = GoldJudge(world)
    found = judged(written(BOTH, ONE, ONE), written(ONE, ONE, ONE), gold, world.request_ids)
    win = found.win_rate
    # Three pairs of samples of one prompt, of which one is won.
    assert (win.n, win.pairs, win.wins, win.flips) == (1, 3, 1, 0)
    assert win.rate == pytest.approx(2 / 3)
    assert judged(written(BOTH), None, gold) == (None, None, None, None)


def test_wordings_of_one_request_are_one_prompt(world):
    prompts = ["\n\nHuman: Name two fruits.\n\nAssistant:", "\n\nHuman: I need two fruits.\n\nAssistant:"]
    both, none = (Completions(prompts, [text] * 2, [True] * 2, [[1]] * 2, TruncationCount(2)) for text in (BOTH, NONE))
    assert judged(both, none, GoldJudge(world), world.request_ids).win_rate.n == 1
    assert judged(both, none, GoldJudge(world)).win_rate.n == 2
    found = ordered_as_gold(world, Scores(), both, none)
    assert (found.accuracy, found.n) == (1.0, 2)
    # Two right pairs of one request are worth one.
    assert found.interval == wilson(1, 1)
    pairs = pa.table({"prompt": prompts, "chosen": [BOTH] * 2, "rejected": [ONE] * 2, "request": ["fruits"] * 2})
    found = against_gold(world, Scores(), both, none, pairs)
    off_policy = found.off_policy
    assert off_policy.gold.interval == off_policy.labels.interval == wilson(1, 1)


def test_a_policy_by_gold(world):
    gold = dict(zip((BOTH, ONE, NONE), world.gold([PROMPT] * 3, [BOTH, ONE, NONE]), strict=True))
    assert (gold[BOTH], gold[ONE]) == pytest.approx((3.0, 1.5))
    assert gold[NONE] <= 0
    first, second = written(BOTH, ONE, NONE, ONE), written(ONE, BOTH, ONE, ONE)
    found = against_gold(world, Scores(), first, second, world.pairs(0, 200, "evaluation"))
    every = [3, 1.5, gold[NONE], 1.5, 1.5, 3, 1.5, 1.5]
    assert found.gold.mean == pytest.approx(sum(every) / 8)
    assert found.gold.std == pytest.approx(np.std(every))
    assert found.gold.standard_error is None, "one request"
    assert found.gold.variance == pytest.approx((1.5**2 + 1.5**2 + (1.5 - gold[NONE]) ** 2) / 2 / 4)
    # By length, both pairs of an apple are right; "I do not know." is longer than "an apple."; the last has no order.
    assert (found.on_policy.accuracy, found.on_policy.n) == (pytest.approx(2 / 3), 3)
    assert found.on_policy.without_order == 1


def test_the_error_of_gold_is_that_of_requests(world):
    prompts = world.prompts(0, 300, "evaluation")
    first, second = (
        Completions(prompts, world.write(prompts, 0, seed), [True] * 300, [[1]] * 300, TruncationCount(300))
        for seed in (0, 1)
    )
    found = against_gold(world, Scores(), first, second, world.pairs(0, 20, "evaluation")).gold
    gold = (world.gold(prompts, first.completions) + world.gold(prompts, second.completions)) / 2
    assert len(set(world.request_ids(prompts))) == 300
    assert found.standard_error == pytest.approx(stats.sem(gold))
    twice = [
        Completions(prompts * 2, each.completions * 2, [True] * 600, [[1]] * 600, TruncationCount(600))
        for each in (first, second)
    ]
    again = against_gold(world, Scores(), *twice, world.pairs(0, 20, "evaluation")).gold
    assert again.standard_error == pytest.approx(found.standard_error)


def test_a_reward_model_off_policy(world):
    pairs = world.pairs(0, 400, "evaluation")
    found = against_gold(world, Scores(), written(BOTH), written(ONE), pairs).off_policy
    rows = pairs.to_pylist()
    longer = [np.sign(len(row["chosen"]) - len(row["rejected"])) for row in rows]
    assert found.labels.accuracy == pytest.approx(np.mean([(1 + sign) / 2 for sign in longer]))
    better = [GoldJudge(world).prefer([row["prompt"]], [row["chosen"]], [row["rejected"]])[0] for row in rows]
    right = [(1 + sign * (2 * gold - 1)) / 2 for sign, gold in zip(longer, better, strict=True) if gold != 0.5]
    assert found.gold.accuracy == pytest.approx(np.mean(right))
    assert found.gold.without_order == sum(gold == 0.5 for gold in better)


def test_a_reward_model_in_each_domain(world):
    several = World(WorldConfig(domains=2, domain_taste=0.9))
    by_domain = {name: several.pairs(0, 300, "evaluation", domain) for domain, name in enumerate(several.domains)}
    prompts = several.prompts(0, 20)
    texts = Completions(prompts, several.write(prompts, 0), [True] * 20, [[1]] * 20, TruncationCount(20))

    class Gold:
        """A scorer that orders the first domain's completions as gold does, and the other's the other way round."""

        def score(self, prompts, completions):
            sign = np.where(several.domains_of(prompts) == 0, 1.0, -1.0)
            return sign * several.gold(prompts, completions)

    found = against_gold(several, Gold(), texts, texts, by_domain["domain-0"], by_domain)
    assert {name: each.gold.accuracy for name, each in found.by_domain.items()} == {"domain-0": 1.0, "domain-1": 0.0}
    first, other = (each.labels.accuracy for each in found.by_domain.values())
    assert other < 0.5 < first
    assert found.off_policy == found.by_domain["domain-0"]
    pairs = world.pairs(0, 20, "evaluation")
    assert against_gold(world, Scores(), written(BOTH), written(ONE), pairs).by_domain is None


def test_variance_under_the_policy():
    assert variance_under_policy(Scores(), written("ab", "abc"), written("abcd", "abc")) == pytest.approx((4 / 2) / 2)


class Compares:
    """A judge that gives no scores: the longer text is the better, and it says nothing of texts that end in a dot."""

    description = "whoever likes length"

    def __init__(self):
        self.asked = 0

    def prefer(self, prompts, first, second):
        self.asked += len(prompts)
        return [
            None if one.endswith(".") or two.endswith(".") else (1 + np.sign(len(one) - len(two))) / 2
            for one, two in zip(first, second, strict=True)
        ]

    def counts(self):
        return {"questions": {"judged": self.asked}}


def test_a_judge_without_scores_compares_and_no_score_is_made_up():
    found = judged(written("abc", "ab", "a."), written("ab", "ab", "a"), Compares())
    assert (found.win_rate.pairs, found.win_rate.unjudged) == (2, 1)
    assert found.win_rate.rate == pytest.approx((1 + 0.5) / 2)
    assert found.score is None
    assert found.counts == {"questions": {"judged": 6}}


def test_a_reward_model_is_held_against_a_judge_without_scores():
    rows = [("aa", "b"), ("a", "bb"), ("aaa.", "b"), ("aa", "bb")]
    columns = {
        "prompt": ["p", "q", "r", "s"],
        **dict(zip(("chosen", "rejected"), zip(*rows, strict=True), strict=True)),
    }

    class Shortness:
        def score(self, prompts, completions):
            return -np.array([float(len(text)) for text in completions])

    table = pa.table(columns)
    found = agreement(Shortness(), Compares(), table)
    # Of two pairs with an order it gets both wrong; one has no verdict, one no order.
    assert (found.accuracy, found.n, found.without_order) == (0.0, 2, 1)
    assert agreement(Scores(), Compares(), table).accuracy == 1.0


def test_a_judge_without_scores_is_not_asked_about_thousands_of_pairs():
    n = 3 * COMPARED_PAIRS + 1
    judge = Compares()
    table = pa.table({"prompt": [str(i) for i in range(n)], "chosen": ["aa"] * n, "rejected": ["b"] * n})
    found = agreement(Scores(), judge, table)
    assert 0.7 * COMPARED_PAIRS < found.n <= COMPARED_PAIRS
    assert judge.asked == 2 * found.n
