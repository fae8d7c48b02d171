"""Judges as labellers: what is asked, what is kept, what it cost, and what a budget stops."""

from __future__ import annotations

import pytest

from frft.errors import DataError, ModelError, UsageError
from frft.evaluation import ChatJudge, JudgeLabeller, StoredAnnotations
from frft.labels import (
    LabelBudget,
    QueueHead,
    ask_labeller,
    draw_questions,
    open_queue,
    policy_candidates,
    read_queue,
    write_queue,
)

TEXTS = [(f"Question {n}?", f"Answer {side} {n}.") for n in range(40) for side in "ab"]


@pytest.fixture
def path(tmp_path):
    drawn = draw_questions(policy_candidates(*zip(*TEXTS, strict=True)), 40, seed=0)
    head = QueueHead(1, "2026-01-02T03:04:05+00:00", "random", 0, 40, {}, {})
    write_queue(tmp_path / "queue.jsonl", head, drawn.questions)
    return tmp_path / "queue.jsonl"


@pytest.fixture
def chat(endpoint):
    """A chat judge that prefers a to b, at 15 tokens a question (as the endpoint counts them)."""

    def answer(messages):
        text = messages[-1]["content"]
        return "[[A]]" if text.index("Answer a") < text.index("Answer b") else "[[B]]"

    endpoint.answer = answer
    return lambda **more: JudgeLabeller(
        ChatJudge("m", base_url=endpoint.url, price=(1e6, 0.0), tries=1, **more), "openai:m"
    )


def prefers_a(queue, name):
    return {getattr(queue.questions[answer.question], answer.choice)[:8] for answer in queue.answers(name)}


def test_a_judge_answers_all_and_the_second_time_nothing_is_left(path, chat, endpoint):
    with open_queue(path) as queue:
        report = ask_labeller(queue, chat())
        assert (report.answered, report.failed, report.stopped) == (40, 0, None)
        assert ask_labeller(queue, chat()).answered == 0
    found = read_queue(path)
    assert prefers_a(found, "openai:m") == {"Answer a"}
    assert {answer.preference for answer in found.answers()} == {0.0, 1.0}
    assert len(endpoint.requests) == 40
    usage = endpoint.completion("")["usage"]
    assert sum(batch.tokens for batch in found.batches) == 40 * (usage["prompt_tokens"] + usage["completion_tokens"])
    assert sum(batch.cost for batch in found.batches) == pytest.approx(40 * usage["prompt_tokens"])


@pytest.mark.parametrize("unit", ["labels", "tokens", "cost"])
def test_a_budget_counts_earlier_runs_and_is_kept(path, chat, endpoint, unit):
    usage = endpoint.completion("")["usage"]
    each = {"labels": 1, "tokens": sum(usage[name] for name in ("prompt_tokens", "completion_tokens")),
            "cost": usage["prompt_tokens"]}[unit]  # fmt: skip
    with open_queue(path) as queue:
        for budget, answered in ((7, 7), (20, 13), (20, 0)):
            report = ask_labeller(queue, chat(), LabelBudget(**{unit: budget * each}))
            assert (report.answered, report.stopped) == (answered, unit)
    assert len(endpoint.requests) == 20


def test_failed_questions_have_no_label_are_counted_and_asked_again(path, chat, endpoint):
    good = endpoint.answer
    endpoint.answer = lambda messages: "I cannot say." if "Question 7?" in messages[-1]["content"] else good(messages)
    with open_queue(path) as queue:
        report = ask_labeller(queue, chat())
        assert (report.answered, report.failed) == (39, 1)
        assert vars(queue.counts("openai:m")) == {
            "questions": 40, "answered": 39, "skipped": 0, "pending": 1, "failed": 1}  # fmt: skip
        endpoint.answer = good
        assert ask_labeller(queue, chat()).answered == 1
    assert read_queue(path).counts("openai:m").failed == 0


def test_what_a_judge_took_before_it_broke_down_is_counted(path, chat, endpoint):
    good, asked = endpoint.answer, []

    def breaks(messages):
        asked.append(1)
        return good(messages) if len(asked) <= 33 else (401, {"error": {"message": "no"}}, {})

    endpoint.answer = breaks
    with open_queue(path) as queue, pytest.raises(ModelError):
        ask_labeller(queue, chat(concurrency=1))
    found = read_queue(path)
    assert len(found.answers()) == 32
    usage = endpoint.completion("")["usage"]
    assert sum(batch.tokens for batch in found.batches) == 33 * (usage["prompt_tokens"] + usage["completion_tokens"])


def test_a_budget_that_a_judge_does_not_count_is_refused(path, chat, endpoint):
    judge = JudgeLabeller(StoredAnnotations([]), "annotations:x")
    with open_queue(path) as queue, pytest.raises(UsageError, match="budget is in tokens"):
        ask_labeller(queue, judge, LabelBudget(tokens=5))
    with pytest.raises(UsageError, match="above 0"):
        LabelBudget(cost=0.0)
    assert read_queue(path).answers() == []


def test_ties_and_missing_verdicts_stay_what_they_are(path):
    verdicts = [("Question 1?", "Answer a 1.", "Answer b 1.", 0.5), ("Question 2?", "Answer b 2.", "Answer a 2.", 0.9)]
    with open_queue(path) as queue:
        report = ask_labeller(queue, JudgeLabeller(StoredAnnotations(verdicts), "kept"))
        assert (report.answered, report.failed) == (2, 38)
        by_prompt = {queue.questions[each.question].prompt: each for each in queue.answers("kept")}
        assert by_prompt["Question 1?"].choice == "tie"
        second = by_prompt["Question 2?"]
        assert getattr(queue.questions[second.question], second.choice) == "Answer b 2."
        with pytest.raises(DataError, match="preference 2"):
            ask_labeller(queue, JudgeLabeller(Wrong(), "wrong"))


class Wrong:
    description = "wrong"

    def prefer(self, prompts, first, second):
        return [2.0] * len(prompts)

    def counts(self):
        return {}
