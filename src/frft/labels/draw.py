"""Picks pairs to have labelled, at random or by another rule, and makes questions of them.

The budget counts every label: training, test and repetitions. A random draw is spread over the prompts as evenly as
their numbers of pairs allow; other rules take no more pairs of any prompt than they need to. No pair is asked about
twice but as a repetition; a coin decides which completion is shown on the left.

Questions to test on are drawn at random under every rule, and the rule then chooses among the pairs of other
conversations: accuracy on pairs that were chosen for their difficulty would say nothing of any others. What an audit of
sources draws is in `audit_draw.py`.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from frft.config.sections import PickConfig
from frft.conversation import opening
from frft.errors import SelectionError, UsageError, quantity
from frft.labels.audit_draw import spread_over_sources
from frft.labels.candidates import LabelCandidate, LabelCandidates
from frft.labels.choosing import CandidateEvidence, Look, choose_pairs
from frft.labels.rows import PURPOSES, LabelQuestion, Purpose, question_id

REPEAT_DISTANCE = 10
"""Questions between a question and its repetition, at least, so that the answer is not just remembered; among fewer
than twice as many questions, half of them."""
AT_RANDOM = PickConfig()
"""The rule that draws at random."""


@dataclass(frozen=True)
class DrawnQuestions:
    """Questions in the order in which they are asked, and the account of the draw.

    Attributes:
        questions: the questions.
        counts: `read` completions or pairs, those left out by reason, pairs `asked_before`, `candidates` (pairs that
            could be drawn) and `prompts` with any; then the questions drawn, by purpose, and `questions`, all of them.
            Of a rule other than random: `looked_at`, `not_looked_at` (beyond the rule's largest number) and
            `test_conversations` (pairs of conversations that are tested on) add up to `candidates`; then the pairs
            `labelled` by now, where it reads those, and the texts of the pairs looked at that were read only in part
            (`CandidateEvidence.cut`).
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
                f"The share of test questions is {self.test:g} (--test-share) and that of repetitions {self.repeat:g} "
                "(--repeat-share). They must be at least 0 and together at most 1, and that of repetitions below 0.5: "
                "each repeats another question."
            )
        if self.purpose == "repeat" or (self.test and self.purpose != "train"):
            raise UsageError(
                f"Questions for the purpose {self.purpose!r} cannot be divided like that: test questions are set aside "
                "from training ones alone (--test-share), and repetitions have a share of their own (--repeat-share)."
            )


def draw_questions(
    candidates: LabelCandidates,
    budget: int,
    *,
    seed: int,
    shares: DrawShares = DrawShares(),
    rule: PickConfig = AT_RANDOM,
    look: Look | None = None,
    trained: Collection[str] = (),
) -> DrawnQuestions:
    """Pick pairs, and ask about them: random ones in a random order, others in the order in which they were chosen.

    Args:
        candidates: the pairs that could be labelled.
        budget: number of labels; fewer are drawn where there are fewer candidates.
        seed: random seed of all draws; another seed for another refresh.
        shares: what the labels are for.
        rule: how pairs to train on are chosen.
        look: finds what the rule reads; None for the rule random, which reads nothing.
        trained: conversations (`frft.conversation.opening`) that were trained on before, and are not tested on; there
            may be fewer questions to test on for it.

    Raises:
        UsageError: the budget is below 1, the rule may look at fewer pairs than it is to choose, or the labels are not
            for training and the rule is not random.
        SelectionError: there are no candidates, or the rule cannot choose among them.
    """
    if budget < 1:
        raise UsageError(f"The budget is {quantity(budget, 'label')} (--budget); it must be at least 1.")
    if rule.pick != "random" and shares.purpose != "train":
        raise UsageError(
            f"Labels for the purpose {shares.purpose!r} must be of pairs drawn at random; what is measured on pairs "
            f"chosen by {rule.pick} is true of such pairs alone. Pick them at random (--pick random)."
        )
    if not candidates.pairs:
        raise SelectionError(
            f"There is no pair to label in {quantity(candidates.read, 'row')}: {_reasons(candidates)}; "
            f"{quantity(candidates.asked_before, 'pair')} asked about before. A pair is two different completions of "
            "one prompt; give samples with two or more for each prompt."
        )
    rng = random.Random(seed)  # noqa: S311 - a draw, not a secret
    total = min(budget - round(budget * shares.repeat), candidates.pairs)
    if shares.purpose == "audit" and candidates.audits:
        drawn = spread_over_sources(candidates, total, rng)
    else:
        drawn = _spread(candidates, total, rng)
    rng.shuffle(drawn)
    testing = _test_prompts(drawn, round(budget * shares.test), rng, trained)
    looked: dict[str, int] = {}
    if rule.pick != "random":
        test = [pair for pair in drawn if pair.prompt in testing]
        chosen, looked = _chosen(rule, look, candidates, set(map(opening, testing)), total - len(test), rng)
        drawn = _mixed(chosen, test, rng)
    questions = _ask_about(drawn, testing, budget, rule.pick, rng, shares)
    purposes = [question.purpose for question in questions]
    counts: dict[str, int] = {"read": candidates.read, **candidates.left_out}
    counts["asked_before"] = candidates.asked_before
    counts |= {"candidates": candidates.pairs, "prompts": len(candidates.prompts), **looked}
    counts |= {name: purposes.count(name) for name in PURPOSES if name in {shares.purpose, "test", "repeat"}}
    counts["questions"] = len(questions)
    return DrawnQuestions(questions, counts)


def _chosen(
    rule: PickConfig, look: Look | None, candidates: LabelCandidates, held: set[str], size: int, rng: random.Random
) -> tuple[list[LabelCandidate], dict[str, int]]:
    """`size` pairs by a rule other than random, of conversations that are not held out, and the counts of its look."""
    if look is None:
        raise UsageError(f"The rule {rule.pick} chooses by what is known of the pairs; give `look`, which finds it.")
    open_pairs = candidates.outside(held)
    size = min(size, open_pairs.pairs)
    if rule.max_candidates < size:
        raise UsageError(
            f"The rule {rule.pick} is to choose {quantity(size, 'pair')}, but may look at {rule.max_candidates} alone "
            "(--max-candidates). Raise this far above the number of pairs to choose, or there is little to choose from."
        )
    looked = _spread(open_pairs, min(rule.max_candidates, open_pairs.pairs), rng) if size else []
    # There is nothing to choose where all is for the test.
    evidence = look(looked) if size else CandidateEvidence()
    rows = choose_pairs(rule, evidence, [pair.prompt for pair in looked], size).tolist() if size else []
    counts = {
        "looked_at": len(looked),
        "not_looked_at": open_pairs.pairs - len(looked),
        "test_conversations": candidates.pairs - open_pairs.pairs,
        **({} if evidence.labelled_margins_M is None else {"labelled": len(evidence.labelled_margins_M)}),
        **evidence.cut,
    }
    return [looked[row] for row in rows], counts


def _mixed(chosen: list[LabelCandidate], test: list[LabelCandidate], rng: random.Random) -> list[LabelCandidate]:
    """Both in their orders, the test ones at random places, so that a tired labeller is tired for both."""
    places = set(rng.sample(range(len(chosen) + len(test)), len(test)))
    rest, tested = iter(chosen), iter(test)
    return [next(tested) if place in places else next(rest) for place in range(len(chosen) + len(test))]


def _ask_about(
    chosen: Sequence[LabelCandidate], testing: set[str], budget: int, pick: str, rng: random.Random, shares: DrawShares
) -> list[LabelQuestion]:
    """Questions about chosen pairs in that order, with their purposes, sides and repetitions."""
    first = [
        _question(pair, "random" if test else pick, "test" if test else shares.purpose, exchanged=rng.random() < 0.5)
        for pair in chosen
        for test in [pair.prompt in testing]
    ]
    # Where there are fewer pairs than the budget asks for, repetitions keep their share of all.
    repeats = round(len(first) * shares.repeat / (1 - shares.repeat))
    return _with_repeats(first, min(repeats, budget - len(first)), rng)


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


def _test_prompts(
    chosen: Sequence[LabelCandidate], size: int, rng: random.Random, trained: Collection[str]
) -> set[str]:
    """Prompts with at most `size` of the pairs, whole conversations at a time, drawn at random among untrained ones."""
    conversations: defaultdict[str, list[str]] = defaultdict(list)
    for pair in chosen:
        conversations[opening(pair.prompt)].append(pair.prompt)
    order = [prompts for name, prompts in conversations.items() if name not in trained]
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
        pool_choice=None if not pair.labelled else "right" if exchanged else "left",
        policy=pair.policy,
        step=pair.step,
        sources={name: "left" if first != exchanged else "right" for name, first in pair.sources},
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
