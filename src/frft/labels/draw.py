"""Draws pairs to have labelled at random, the control of every other rule, and makes questions of pairs.

The budget counts every label: training, test and repetitions. It is spread over the prompts as evenly as their numbers
of pairs allow. No pair is asked about twice but as a repetition; a coin decides which completion is shown on the left.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from frft.conversation import opening
from frft.errors import SelectionError, UsageError
from frft.labels.candidates import LabelCandidate, LabelCandidates
from frft.labels.rows import PURPOSES, LabelQuestion, Purpose, question_id

REPEAT_DISTANCE = 10
"""Questions between a question and its repetition, at least, so that the answer is not just remembered; among fewer
than twice as many questions, half of them."""


@dataclass(frozen=True)
class DrawnQuestions:
    """Questions in the order in which they are asked, and the account of the draw.

    Attributes:
        questions: the questions.
        counts: `read` completions or pairs, those left out by reason, pairs `asked_before`, `candidates` (pairs that
            could be drawn) and `prompts` with any; then the questions drawn, by purpose, and `questions`, all of them.
    """

    questions: list[LabelQuestion]
    counts: dict[str, int]


@dataclass(frozen=True)
class DrawShares:
    """How a budget of labels is divided.

    Attributes:
        purpose: purpose of the questions that are neither for a test nor repetitions.
        test: share of the budget for questions to test on, 0 to 1. All questions of a conversation have one purpose, so
            there may be a few fewer.
        repeat: share of the budget for repetitions, 0 to below 1/2.

    Raises:
        UsageError: a share is out of range, or test questions are asked for besides others that are for a test.
    """

    purpose: Purpose = "train"
    test: float = 0.0
    repeat: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.test <= 1 or not 0 <= self.repeat < 0.5 or self.test + self.repeat > 1:
            raise UsageError(
                f"The share of test questions is {self.test:g} and that of repetitions {self.repeat:g}. They must be "
                "at least 0 and together at most 1, and that of repetitions below 0.5: each repeats another question."
            )
        if self.purpose == "repeat" or (self.test and self.purpose != "train"):
            raise UsageError(
                f"Questions for the purpose {self.purpose!r} cannot be divided like that: test questions are set aside "
                "from training ones alone, and repetitions have a share of their own."
            )


def draw_questions(
    candidates: LabelCandidates, budget: int, *, seed: int, shares: DrawShares = DrawShares()
) -> DrawnQuestions:
    """Draw pairs at random, and ask about them.

    Args:
        candidates: the pairs that could be labelled.
        budget: number of labels; fewer are drawn where there are fewer candidates.
        seed: random seed of all draws; another seed for another refresh.
        shares: what the labels are for.

    Raises:
        UsageError: the budget is below 1.
        SelectionError: there are no candidates.
    """
    if budget < 1:
        raise UsageError(f"The budget is {budget} labels; it must be at least 1.")
    if not candidates.pairs:
        raise SelectionError(
            f"There is no pair to label among the {candidates.read} rows: {_reasons(candidates)}; "
            f"{candidates.asked_before} pairs were asked about before. A pair is two different completions of one "
            "prompt; give samples with two or more for each prompt."
        )
    rng = random.Random(seed)  # noqa: S311 - a draw, not a secret
    drawn = _spread(candidates, min(budget - round(budget * shares.repeat), candidates.pairs), rng)
    rng.shuffle(drawn)
    return ask_about(drawn, candidates, budget, pick="random", rng=rng, shares=shares)


def ask_about(
    chosen: Sequence[LabelCandidate],
    candidates: LabelCandidates,
    budget: int,
    *,
    pick: str,
    rng: random.Random,
    shares: DrawShares,
) -> DrawnQuestions:
    """Make questions of chosen pairs, with their purposes, sides and repetitions.

    Args:
        chosen: the pairs, in the order in which they are asked about.
        candidates: what they were chosen from.
        budget: number of labels that were asked for.
        pick: name of the rule that chose them.
        rng: decides sides, purposes and repetitions.
        shares: what the labels are for.
    """
    testing = _test_prompts(chosen, round(budget * shares.test), rng)
    first = [
        _question(pair, pick, "test" if pair.prompt in testing else shares.purpose, exchanged=rng.random() < 0.5)
        for pair in chosen
    ]
    # Where there are fewer pairs than the budget asks for, repetitions keep their share of all.
    repeats = round(len(first) * shares.repeat / (1 - shares.repeat))
    questions = _with_repeats(first, min(repeats, budget - len(first)), rng)
    purposes = [question.purpose for question in questions]
    counts: dict[str, int] = {"read": candidates.read, **candidates.left_out}
    counts["asked_before"] = candidates.asked_before
    counts |= {"candidates": candidates.pairs, "prompts": len(candidates.prompts)}
    counts |= {name: purposes.count(name) for name in PURPOSES if name in {shares.purpose, "test", "repeat"}}
    counts["questions"] = len(questions)
    return DrawnQuestions(questions, counts)


def _reasons(candidates: LabelCandidates) -> str:
    return ", ".join(f"{count} {reason.replace('_', ' ')}" for reason, count in candidates.left_out.items())


def _spread(candidates: LabelCandidates, size: int, rng: random.Random) -> list[LabelCandidate]:
    """`size` pairs, of every prompt as many as of every other one that has so many."""
    open_prompts = list(candidates.prompts)
    rng.shuffle(open_prompts)
    places: defaultdict[int, int] = defaultdict(int)
    remaining, level = size, 0
    while remaining:
        # One more pair of each prompt that has one left; of only some prompts, drawn at random, in the last round.
        open_prompts = [each for each in open_prompts if len(each) > level]
        for each in open_prompts[:remaining]:
            places[id(each)] += 1
        remaining -= min(remaining, len(open_prompts))
        level += 1
    return [
        each.pair(number)
        for each in candidates.prompts
        if places[id(each)]
        for number in rng.sample(range(len(each)), places[id(each)])
    ]


def _test_prompts(chosen: Sequence[LabelCandidate], size: int, rng: random.Random) -> set[str]:
    """Prompts with at most `size` of the pairs, whole conversations at a time, drawn at random."""
    conversations: defaultdict[str, list[str]] = defaultdict(list)
    for pair in chosen:
        conversations[opening(pair.prompt)].append(pair.prompt)
    order = list(conversations.values())
    rng.shuffle(order)
    taken: set[str] = set()
    for prompts in order:
        if len(prompts) <= size:
            taken.update(prompts)
            size -= len(prompts)
    return taken


def _question(pair: LabelCandidate, pick: str, purpose: Purpose, *, exchanged: bool) -> LabelQuestion:
    left, right = (pair.second, pair.first) if exchanged else (pair.first, pair.second)
    return LabelQuestion(
        id=question_id(pair.prompt, left, right),
        prompt=pair.prompt,
        left=left,
        right=right,
        pick=pick,
        purpose=purpose,
        pair=pair.pair,
        pool_choice=None if pair.pair is None else "right" if exchanged else "left",
        policy=pair.policy,
        step=pair.step,
    )


def _repeated(question: LabelQuestion, *, exchanged: bool) -> LabelQuestion:
    left, right = (question.right, question.left) if exchanged else (question.left, question.right)
    pool_choice = question.pool_choice
    if exchanged and pool_choice is not None:
        pool_choice = "right" if pool_choice == "left" else "left"
    return LabelQuestion(
        id=question_id(question.prompt, left, right, question.id),
        prompt=question.prompt,
        left=left,
        right=right,
        pick=question.pick,
        purpose="repeat",
        pair=question.pair,
        pool_choice=pool_choice,
        policy=question.policy,
        step=question.step,
        repeats=question.id,
        exchanged=exchanged,
    )


def _with_repeats(first: list[LabelQuestion], repeats: int, rng: random.Random) -> list[LabelQuestion]:
    """The questions with that many repetitions among them, each at least REPEAT_DISTANCE after what it repeats."""
    distance = min(REPEAT_DISTANCE, len(first) // 2)
    early = range(len(first) - distance)
    placed: list[tuple[float, LabelQuestion]] = [(float(n), question) for n, question in enumerate(first)]
    for n in rng.sample(early, min(repeats, len(early))):
        place = rng.uniform(n + distance, len(first))
        placed.append((place, _repeated(first[n], exchanged=rng.random() < 0.5)))
    return [question for _, question in sorted(placed, key=lambda each: each[0])]
