"""A reward model as judge."""

from __future__ import annotations

import pytest

from frft.evaluation import RewardJudge, counts_in_words
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


def test_what_a_judge_counted_in_words():
    questions = {"judged": 3, "prompt_tokens": 10}
    cut = {"sequences": 4, "prompts_truncated": 1, "completions_truncated": 2}
    assert counts_in_words({"questions": questions, "cost": 0.5}) == [
        "Questions: 3 judged, 10 prompt tokens.",
        "Cost: 0.5000.",
    ]
    assert counts_in_words({"annotated_pairs": 9, "without_verdict": 7}) == [
        "The annotations hold verdicts on 9 different pairs.",
        "7 annotations have no verdict (null), and count as none.",
    ]
    assert counts_in_words({"truncated": cut, "max_length": 64}) == [
        "Of 4 texts that the judge read, 1 lost the beginning of their prompt and 2 the end of their completion "
        "(longer than 64 tokens)."
    ]
    assert counts_in_words({"truncated": dict.fromkeys(cut, 0), "max_length": 64, "cost": None}) == []
