"""A reward model as judge."""

from __future__ import annotations

import pytest

from frft.evaluation import RewardJudge
from frft.reward import RewardModel


@pytest.fixture(scope="module")
def model(tiny_lm_folder):
    return RewardModel.load(tiny_lm_folder, seed=0, max_length=64)


def test_the_higher_score_wins_and_equal_texts_tie(model):
    prompts, texts = ["\n\nHuman: Hi\n\nAssistant:"] * 3, [" yes", " no, never", " perhaps later"]
    scores = model(prompts, texts)
    judged = RewardJudge(model).prefer(prompts, texts, [texts[1], texts[1], texts[0]])
    assert judged == [float(scores[0] > scores[1]), 0.5, float(scores[2] > scores[0])]


def test_scores_within_the_margin_tie(model):
    prompts, first, second = ["p"], [" yes"], [" no"]
    gap = abs(model(prompts, first)[0] - model(prompts, second)[0])
    assert RewardJudge(model, tie_margin=gap * 1.01).prefer(prompts, first, second) == [0.5]
    assert RewardJudge(model, tie_margin=gap * 0.99).prefer(prompts, first, second) != [0.5]
