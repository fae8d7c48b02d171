"""What is said of a policy's completions, by the gold reward and by a reward model."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from scipy import stats

from frft.config.sections import EvaluationConfig, WorldConfig
from frft.evaluation import GoldJudge
from frft.experiment.evaluation import against_gold, judged, ordered_as_gold, variance_under_policy
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
    found = judged(written(BOTH, ONE, ONE), written(ONE, ONE, ONE), world, EvaluationConfig())
    win = found.win_rate
    # Three pairs of samples of one prompt, of which one is won.
    assert (win.n, win.pairs, win.wins, win.flips) == (1, 3, 1, 0)
    assert win.rate == pytest.approx(2 / 3)
    assert judged(written(BOTH), None, world, EvaluationConfig()) == (None, None, None)


def test_wordings_of_one_request_are_one_prompt(world):
    prompts = ["\n\nHuman: Name two fruits.\n\nAssistant:", "\n\nHuman: I need two fruits.\n\nAssistant:"]
    both, none = (Completions(prompts, [text] * 2, [True] * 2, [[1]] * 2, TruncationCount(2)) for text in (BOTH, NONE))
    assert judged(both, none, world, EvaluationConfig()).win_rate.n == 1
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


def test_variance_under_the_policy():
    assert variance_under_policy(Scores(), written("ab", "abc"), written("abcd", "abc")) == pytest.approx((4 / 2) / 2)
