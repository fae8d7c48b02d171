"""A user's own parts, scored by a real reward model."""

from __future__ import annotations

import json

import numpy as np
import pytest

from frft.diagnosis import diagnose, load_judge_scores, parts, subject_of_parts
from frft.errors import DataError, TooManyRejectedError
from frft.progress import SilentProgress
from frft.reward import RewardModel, evaluate_reward_model

PROMPTS = [f"\n\nHuman: Question {n}?\n\nAssistant:" for n in range(6)]
PAIRS = {
    "prompt": PROMPTS,
    "chosen": [f" Yes, number {n}." for n in range(6)],
    "rejected": [f" No {n}." for n in range(6)],
}
AFTER = (PROMPTS * 2, [f" Answer {n}, {n % 4}." for n in range(12)])
BEFORE = (PROMPTS, [f" Hm {n}." for n in range(6)])


class Told(SilentProgress):
    def __init__(self):
        self.lines = []

    def say(self, text):
        self.lines.append(text)


@pytest.fixture(scope="module")
def reward_model(tiny_lm_folder):
    model = RewardModel.load(tiny_lm_folder, seed=0, max_length=48)
    model.normalise(PROMPTS, PAIRS["chosen"])
    return model


@pytest.fixture
def scores_file(tmp_path):
    def write(*texts, score=lambda n: n % 5):
        rows = [(prompt, text) for prompts, written in texts for prompt, text in zip(prompts, written, strict=True)]
        path = tmp_path / "judge.jsonl"
        lines = [
            json.dumps({"prompt": prompt, "completion": text, "score": score(n)})
            for n, (prompt, text) in enumerate(rows)
        ]
        path.write_text("\n".join(lines) + "\n")
        return path

    return write


def test_everything_is_scored(reward_model, scores_file):
    subject = subject_of_parts(reward_model, PAIRS, AFTER, BEFORE, load_judge_scores(scores_file(AFTER, BEFORE)))
    assert subject.after.proxy_N == pytest.approx(reward_model.score(*AFTER))
    assert subject.after.judge_N == pytest.approx(np.arange(12) % 5)
    assert subject.before.judge_N == pytest.approx(np.arange(12, 18) % 5)
    known = evaluate_reward_model(reward_model, PAIRS)
    assert (subject.held_out.accuracy, subject.calibration_error) == (known.accuracy, known.calibration_error)
    found = diagnose(subject)
    assert found.links[0].figure == subject.after.on_policy().accuracy
    assert found.movement.proxy.estimate.n == 6


def test_without_before_and_judge(reward_model):
    subject = subject_of_parts(reward_model, PAIRS, AFTER)
    assert (subject.before, subject.after.judge_N) == (None, None)
    assert diagnose(subject).spread.within.n == 6


def test_cut_texts_are_told(tiny_lm_folder):
    short = RewardModel.load(tiny_lm_folder, seed=0, max_length=12)
    assert "12 tokens" in subject_of_parts(short, PAIRS, AFTER).unmeasured[0]


def test_several_scores_of_one_text_are_averaged(scores_file):
    one = (PROMPTS[:1], [" Yes."])
    assert load_judge_scores(scores_file(one, one, score=float)) == {(PROMPTS[0], " Yes."): 0.5}


def test_a_text_that_nobody_judged_is_refused(reward_model, scores_file):
    judge = load_judge_scores(scores_file(AFTER))
    with pytest.raises(DataError, match="lack 6 of 6 completions"):
        subject_of_parts(reward_model, PAIRS, AFTER, BEFORE, judge)


def test_what_can_be_refused_is_refused_before_anything_is_scored(reward_model, scores_file, monkeypatch):
    monkeypatch.setattr(parts, "evaluate_reward_model", lambda *args, **more: pytest.fail("it was scored"))
    with pytest.raises(DataError, match="lack 6 of 6"):
        subject_of_parts(reward_model, PAIRS, AFTER, BEFORE, load_judge_scores(scores_file(AFTER)))


class LongerOrFirst:
    """Prefers the longer text, or where both are as long, what it is shown first; of question 0 it says nothing."""

    def __init__(self):
        self.asked = []

    def prefer(self, prompts, first, second):
        self.asked.append(len(prompts))
        return [
            None if "Question 0" in prompt else float(len(one) >= len(two))
            for prompt, one, two in zip(prompts, first, second, strict=True)
        ]


def test_a_judge_that_compares_is_asked_in_both_orders(reward_model):
    judge = LongerOrFirst()
    # Its second completion is longer to questions 1 and 2, shorter to 3, and as long to the others.
    lengths = [3, 3, 3, 4, 3, 3, 3, 4, 4, 3, 3, 3]
    after = (PROMPTS * 2, [f" {'x' * length}{n % 6}" for n, length in enumerate(lengths)])
    # Of the four that have a verdict and a partner here, one is longer and one as long as what is written now.
    before = ([f"{prompt} " for prompt in PROMPTS[:5]], [" y", " y", " yyyyyyyy", " xxxx3", " y"])
    subject = subject_of_parts(reward_model, PAIRS, after, before, judge)
    assert judge.asked == [6, 6, 5, 5]
    assert subject.after.preferred == {(1, 7): -0.5, (2, 8): -0.5, (3, 9): 0.5, (4, 10): 0.0, (5, 11): 0.0}
    assert subject.after_preferred == dict(zip(PROMPTS[1:5], (0.5, -0.5, 0.0, 0.5), strict=True))
    assert [line for line in subject.unmeasured if "whole texts" not in line] == [
        "1 of 6 pairs of the policy's own texts: the judge has no verdict in both orders",
        "1 completions from before and after training: they have no verdict in both orders",
        "7 completions from before and after training: they have no partner",
    ]
    found = diagnose(subject)
    assert (found.on_policy.n, found.on_policy.without_order) == (3, 2)
    # The prompts of the two sides differ in a blank at the end.
    assert found.movement.judge.estimate.mean == 0.125


def test_a_judge_of_single_completions_has_nothing_to_compare(reward_model):
    judge = LongerOrFirst()
    found = diagnose(subject_of_parts(reward_model, PAIRS, BEFORE, None, judge))
    assert judge.asked == []
    assert "No prompt has two completions" in found.links[0].verdict


def test_scores_are_read_as_completions_are(tmp_path):
    """Message lists, text without letters, and numbers that are text, as in CSV."""
    lines = [
        {
            "prompt": [{"role": "user", "content": "Q?"}],
            "completion": [{"role": "assistant", "content": "A."}],
            "score": 1,
        },
        {"prompt": "p", "completion": "", "score": "-0.5"},
    ]
    (tmp_path / "scores.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    scores = load_judge_scores(tmp_path / "scores.jsonl")
    assert scores == {("\n\nHuman: Q?\n\nAssistant:", " A."): 1.0, ("p", ""): -0.5}
    (tmp_path / "scores.csv").write_text("prompt,completion,score\np,c,0.25\n")
    assert load_judge_scores(tmp_path / "scores.csv") == {("p", "c"): 0.25}


def test_what_is_done_with_scores_is_told(reward_model, scores_file):
    told = Told()
    scores = load_judge_scores(scores_file(AFTER, AFTER, BEFORE), progress=told)
    assert "30 scores of 18 different texts" in told.lines[-1]
    subject_of_parts(reward_model, PAIRS, AFTER, None, scores, progress=told)
    assert "6 of the judge's 18 texts are not among the completions" in told.lines[-1]


def test_columns_by_other_names_are_named(tmp_path):
    path = tmp_path / "scores.jsonl"
    path.write_text('{"prompt": "p", "completion": "c", "rating": 3}\n')
    with pytest.raises(
        TooManyRejectedError, match=r"'score' is missing; found the keys 'prompt', 'completion', 'rating'"
    ):
        load_judge_scores(path)


@pytest.mark.parametrize("score", ["good", None, True, float("inf"), 10**400])
def test_a_score_that_is_no_number_is_refused(scores_file, score):
    with pytest.raises(TooManyRejectedError):
        load_judge_scores(scores_file(AFTER, score=lambda n: score))
