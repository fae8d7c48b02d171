"""Labellers that are made worse on purpose, and files of labels that a refresh has answered."""

from __future__ import annotations

from functools import partial

import pytest

from frft.errors import DataError, LabelsPendingError, OutputError, UsageError
from frft.labels import (
    DrawShares,
    FunctionLabeller,
    GivenLabel,
    LabelCost,
    LabelQuestion,
    NamedLabeller,
    NoisyLabeller,
    collect_labels,
    draw_questions,
    named_labeller,
    open_queue,
    policy_candidates,
    read_queue,
)
from frft.progress import SILENT


class Longer:
    """The longer text is better; equal ones tie. Gives no answer to a prompt that it cannot stand."""

    name = "longer"

    def __init__(self, cannot_stand: str = "") -> None:
        self.cannot_stand, self.asked = cannot_stand, 0

    def label(self, questions):
        self.asked += len(questions)
        return [self._of(question) for question in questions]

    def _of(self, question: LabelQuestion) -> GivenLabel | None:
        if question.prompt == self.cannot_stand:
            return None
        left, right = len(question.left), len(question.right)
        preference = 1.0 if left > right else 0.0 if left < right else 0.5
        return GivenLabel("left" if left > right else "right" if left < right else "tie", preference)

    def spent(self) -> LabelCost:
        return LabelCost()


def drawn(prompts: int, repeat: float = 0.0):
    texts = [(f"p{n}", f"{'a' * (n % 3)} short {n}") for n in range(prompts)]
    texts += [(f"p{n}", f"a text that is longer {n}") for n in range(prompts)]
    candidates = policy_candidates(*zip(*texts, strict=True))
    return draw_questions(candidates, prompts, seed=1, shares=DrawShares("train", 0.0, repeat))


def collect(path, questions, labeller):
    named = NamedLabeller("longer", "longer", None if labeller is None else lambda: labeller)
    return collect_labels(path, questions, named, pick="random", seed=1, budget=99, progress=SILENT)


def test_noise_exchanges_the_share_of_answers_that_it_says_and_always_the_same():
    questions = drawn(400).questions
    right = Longer().label(questions)
    noisy = NoisyLabeller(Longer(), 0.2, seed=3)
    answers = noisy.label(questions)
    exchanged = [one != other for one, other in zip(right, answers, strict=True)]
    assert 0.2 * 400 - 3 * 8 < sum(exchanged) < 0.2 * 400 + 3 * 8  # three standard deviations of a binomial
    assert answers == NoisyLabeller(Longer(), 0.2, seed=3).label(questions)
    assert answers != NoisyLabeller(Longer(), 0.2, seed=4).label(questions)
    assert noisy.name == "longer, right on 80%"
    other = {"left": "right", "right": "left"}
    for wrong, before, after in zip(exchanged, right, answers, strict=True):
        if wrong:
            assert (after.choice, after.preference) == (other[before.choice], 1 - before.preference)


def test_errors_on_repetitions_are_no_habit():
    questions = {each.id: each for each in drawn(300, repeat=0.4).questions}
    answers = dict(zip(questions, NoisyLabeller(Longer(), 0.4, seed=0).label(list(questions.values())), strict=True))
    pairs = [(answers[each.repeats], answers[each.id], each.exchanged) for each in questions.values() if each.repeats]
    other = {"left": "right", "right": "left"}
    same = [(other[first.choice] if exchanged else first.choice) == again.choice for first, again, exchanged in pairs]
    # Independent errors of 0.4 agree on 0.52; a habit would agree on all.
    assert 0.36 < sum(same) / len(same) < 0.68
    assert len(same) > 100


def test_a_file_of_people_waits_for_every_answer(tmp_path):
    path, questions = tmp_path / "labels" / "q.jsonl", drawn(6)
    with pytest.raises(LabelsPendingError, match=r"6 of 6 questions in .*q.jsonl wait .*frft label answer"):
        collect(path, questions, None)
    with open_queue(path) as queue:
        for question in questions.questions[:5]:
            queue.answer(question.id, "left", "ann")
    with pytest.raises(LabelsPendingError, match="1 of 6 questions"):
        collect(path, questions, None)
    with open_queue(path) as queue:
        queue.answer(questions.questions[5].id, "skip", "ann")
    assert [answer.labeller for answer in collect(path, questions, None).answers()] == ["ann"] * 6


def test_answers_that_are_there_are_not_asked_for_again(tmp_path):
    path, questions = tmp_path / "q.jsonl", drawn(6)
    first = collect(path, questions, Longer())
    again = Longer()
    assert collect(path, questions, again).answers() == first.answers()
    assert again.asked == 0


def test_a_labeller_that_breaks_off_goes_on_where_it_was(tmp_path):
    path, questions = tmp_path / "q.jsonl", drawn(70)

    class Breaks(Longer):
        def label(self, asked):
            if self.asked + len(asked) > 40:
                raise UsageError("no more today")
            return super().label(asked)

    with pytest.raises(UsageError, match="no more today"):
        collect(path, questions, Breaks())
    kept = len(read_queue(path).answers())
    assert 0 < kept < 70
    second = Longer()
    assert len(collect(path, questions, second).answers()) == 70
    assert second.asked == 70 - kept


def test_a_question_without_a_reply_is_asked_twice_and_stays_open(tmp_path):
    labeller = Longer(cannot_stand="p3")
    queue = collect(tmp_path / "q.jsonl", drawn(6), labeller)
    assert queue.counts().pending == queue.counts().failed == 1
    assert labeller.asked == 7


def test_a_file_with_other_questions_is_no_file_of_this_refresh(tmp_path):
    collect(tmp_path / "q.jsonl", drawn(6), Longer())
    with pytest.raises(OutputError, match="holds other questions than this refresh asks"):
        collect(tmp_path / "q.jsonl", drawn(7), Longer())


def longer(prompts, first, second):
    return [None if one == other else float(len(one) > len(other)) for one, other in zip(first, second, strict=True)]


def made_within(text):
    def with_more_of_it(prompts, first, second):
        return [float(one.count(text) > other.count(text)) for one, other in zip(first, second, strict=True)]

    return with_more_of_it


def test_a_function_is_a_labeller_under_its_own_name(tmp_path):
    named = named_labeller(longer, tmp_path)
    assert (named.name, named.folder) == (f"{__name__}.longer", tmp_path)
    questions = drawn(30).questions
    assert named.open is not None
    assert [each.choice for each in named.open().label(questions)] == [
        each.choice for each in Longer().label(questions)
    ]
    assert named_labeller(named, tmp_path / "other") is named
    without = NamedLabeller("people", "people", None)
    assert named_labeller(without, tmp_path) == NamedLabeller("people", "people", None, tmp_path)
    labeller = Longer()
    own = named_labeller(labeller, tmp_path)
    assert own.open is not None
    assert (own.name, own.open()) == ("longer", labeller)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (lambda *texts: [], "a function without a name"),
        (partial(longer, ["p"]), r"functools.partial.*, a function without a name of its own"),
        (made_within("x"), "a function without a name of its own"),
        (FunctionLabeller(longer, "l").label, "a function without a name of its own"),
        (Longer, r"the class Longer, and not an object of it: give Longer\(...\)"),
        (FunctionLabeller(longer, ""), "The labeller's name is ''; it must be a text"),
        ("openai:gpt", "must be a labeller or a function .* got str: 'openai:gpt'"),
    ],
)
def test_who_cannot_be_known_again_is_no_labeller(given, message, tmp_path):
    with pytest.raises(UsageError, match=message):
        named_labeller(given, tmp_path)


def test_a_function_must_say_something_of_every_pair():
    questions = drawn(4).questions
    with pytest.raises(DataError, match="f gave 1 preferences for 4 pairs"):
        FunctionLabeller(lambda *_: [1.0], "f").label(questions)
    with pytest.raises(DataError, match="f gave the preference 2; it must be from 0"):
        FunctionLabeller(lambda *_: [2.0] * 4, "f").label(questions)
    assert FunctionLabeller(lambda *_: [None, 0.5, 1, 0], "f").label(questions) == [
        None,
        GivenLabel("tie", 0.5),
        GivenLabel("left", 1),
        GivenLabel("right", 0),
    ]
