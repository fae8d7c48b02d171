"""What a file of labels holds: who answered what, how fast, and how consistently."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from statistics import median
from typing import Any

from frft.conversation import opening
from frft.labels.agreed_pairs import queue_consensus
from frft.labels.agreement import LabelReliability, accuracy_from_agreement, krippendorff_alpha
from frft.labels.queue import LabelCounts, LabelQueue
from frft.labels.rows import PURPOSES, LabelAnswer, LabelQuestion
from frft.statistics.estimates import Estimate
from frft.statistics.intervals import wilson
from frft.store import plain

_SIDES = ("left", "right")
_SURE = 0.95
_OTHER_SIDE = {"left": "right", "right": "left", "tie": "tie", "skip": "skip"}


@dataclass(frozen=True)
class RepeatConsistency:
    """One labeller's answers to repetitions, skipped questions aside.

    Attributes:
        repeats: number of repetitions that were answered, and the question that they repeat as well.
        same: those among them with the same completion chosen, or a tie, both times.
        share: same / repeats.
        interval: Wilson's 95 % interval of the share.
        exchanged: those among `repeats` whose sides were exchanged.
        same_side: those among `exchanged` with the same side chosen both times: what the order alone explains.
        accuracy: accuracy that these answers imply, ties aside; an upper bound, because who always errs in the same way
            is consistent (`accuracy_from_agreement`). None: no repetition without ties.
    """

    repeats: int
    same: int
    share: float
    interval: tuple[float, float]
    exchanged: int
    same_side: int
    accuracy: Estimate | None


@dataclass(frozen=True)
class LabellerSummary:
    """One labeller's answers.

    Attributes:
        counts: questions by what became of them.
        left, right, tie: number of answers by side.
        undone: number of answers taken back.
        median_seconds: median time of an answer, in seconds; None: no time is known.
        consistency: answers to repetitions; None: none was answered.
        pool: answers left or right to pairs of a pool, repetitions aside.
        pool_agrees: those among them that chose what the pool calls chosen.
        tokens: tokens that the answers took; None: not counted.
        cost: what they cost; None: unknown.
    """

    counts: LabelCounts
    left: int
    right: int
    tie: int
    undone: int
    median_seconds: float | None
    consistency: RepeatConsistency | None
    pool: int
    pool_agrees: int
    tokens: int | None
    cost: float | None


@dataclass(frozen=True)
class PairAgreement:
    """Two labellers' answers to the same questions, repetitions, ties and skips aside.

    Attributes:
        first, second: their names.
        questions: number of questions that both answered left or right.
        agree: those among them with the same answer.
        both_tie: number of other questions that both called a tie.
        one_tie: number of other questions that one called a tie, and the other did not.
        accuracy: accuracy of each that this implies if they err independently of one another; an upper bound where they
            err alike. None: there are no such questions.
    """

    first: str
    second: str
    questions: int
    agree: int
    both_tie: int
    one_tie: int
    accuracy: Estimate | None


@dataclass(frozen=True)
class LabellerErrors:
    """How often one labeller is wrong, by the consensus of all.

    Attributes:
        accuracy: estimated rate of right answers, 0 to 1.
        where_left, where_right: estimated rates of wrong answers where the left, or the right, completion is better.
            Their difference is a preference for a side.
    """

    accuracy: float
    where_left: float
    where_right: float


@dataclass(frozen=True)
class ConsensusSummary:
    """What the labellers together say, and how often each is wrong, if they err independently of one another.

    The model of Dawid and Skene (`label_consensus`) of the answers left and right; repetitions, ties and skips aside.

    Attributes:
        questions: number of questions that somebody answered left or right.
        sure: those among them whose answer has a probability of 95 % or more.
        labellers: each labeller's error rates, by name.
    """

    questions: int
    sure: int
    labellers: dict[str, LabellerErrors]


@dataclass(frozen=True)
class LabellerAgreement:
    """How far labellers agree on the questions that two or more answered, repetitions and skips aside.

    Attributes:
        alpha: Krippendorff's alpha, a tie being an answer like others; conversations are resampled for its interval.
        pairs: every two labellers.
        consensus: error rates by the consensus; None for two labellers, of whom nobody knows which one errs.
    """

    alpha: LabelReliability
    pairs: list[PairAgreement]
    consensus: ConsensusSummary | None


@dataclass(frozen=True)
class QueueSummary:
    """A whole file of labels.

    Attributes:
        all: questions by what all labellers together did.
        purposes: number of questions by what they are for.
        steps: number of questions by the step of the policy that wrote the texts; only where a step is known.
        labellers: every labeller's answers, by name.
        agreement: agreement between labellers; None: no question was answered by two.
    """

    all: LabelCounts
    purposes: dict[str, int]
    steps: dict[int, int]
    labellers: dict[str, LabellerSummary]
    agreement: LabellerAgreement | None

    def as_dict(self) -> dict[str, Any]:
        """All fields as JSON-able values."""
        return plain(self)


def summarise_queue(queue: LabelQueue) -> QueueSummary:
    """Count the questions of a file of labels, and the answers of each labeller."""
    questions = list(queue.questions.values())
    purposes = Counter(question.purpose for question in questions)
    steps = Counter(question.step for question in questions if question.step is not None)
    return QueueSummary(
        all=queue.counts(),
        purposes={name: purposes[name] for name in PURPOSES if name in purposes},
        steps=dict(sorted(steps.items())),
        labellers={name: _summary(queue, name) for name in queue.labellers},
        agreement=labeller_agreement(queue),
    )


def labeller_agreement(queue: LabelQueue) -> LabellerAgreement | None:
    """How far labellers agree; None: no question was answered by two."""
    asked = [question for question in queue.questions.values() if question.repeats is None]
    names = queue.labellers
    answers = [[_choice(queue, name, question.id) for name in names] for question in asked]
    if not any(sum(choice is not None for choice in row) > 1 for row in answers):
        return None
    conversations = [opening(question.prompt) for question in asked]
    pairs = []
    for one, other in combinations(range(len(names)), 2):
        both = [
            (row[one] == row[other], conversation)
            for row, conversation in zip(answers, conversations, strict=True)
            if row[one] in _SIDES and row[other] in _SIDES
        ]
        agree = [each for each, _ in both]
        accuracy = accuracy_from_agreement(agree, [conversation for _, conversation in both]) if both else None
        ties = [(row[one], row[other]).count("tie") for row in answers if None not in (row[one], row[other])]
        pairs.append(
            PairAgreement(names[one], names[other], len(both), sum(agree), ties.count(2), ties.count(1), accuracy)
        )
    return LabellerAgreement(
        krippendorff_alpha(answers, queue.head.seed, conversations), pairs, _consensus(queue, names)
    )


def _consensus(queue: LabelQueue, names: Sequence[str]) -> ConsensusSummary | None:
    known = queue_consensus(queue, names)
    if known is None:
        return None
    asked, found = known
    sure_N = [max(p, 1 - p) >= _SURE for p in found.yes_N.tolist()]
    rates = zip(names, found.accuracies.tolist(), found.error_rates_L2.tolist(), strict=True)
    return ConsensusSummary(
        len(asked), sum(sure_N), {name: LabellerErrors(right, *wrong) for name, right, wrong in rates}
    )


def _choice(queue: LabelQueue, labeller: str, question: str) -> str | None:
    answer = queue.answer_of(labeller, question)
    return None if answer is None or answer.choice == "skip" else answer.choice


def repeat_consistency(queue: LabelQueue, labeller: str) -> RepeatConsistency | None:
    """How a labeller answered repetitions; None: it answered none whose original it answered, too."""
    found = _repeated(queue, labeller)
    if not found:
        return None
    told = repeated_choices(queue, labeller)
    same = sum((_OTHER_SIDE[first] if question.exchanged else first) == again for question, first, again in found)
    exchanged = [(first, again) for question, first, again in found if question.exchanged]
    return RepeatConsistency(
        repeats=len(found),
        same=same,
        share=same / len(found),
        interval=wilson(same, len(found)),
        exchanged=len(exchanged),
        same_side=sum(first == again != "tie" for first, again in exchanged),
        accuracy=accuracy_from_agreement(*map(list, zip(*told, strict=True))) if told else None,
    )


def _repeated(queue: LabelQueue, labeller: str) -> list[tuple[LabelQuestion, str, str]]:
    """The repetitions that a labeller answered, not skipped, with the answers to the original and to them."""
    found: list[tuple[LabelQuestion, str, str]] = []
    for answer in queue.answers(labeller):
        question = queue.questions[answer.question]
        before = None if question.repeats is None else queue.answer_of(labeller, question.repeats)
        if before is not None and "skip" not in (before.choice, answer.choice):
            found.append((question, before.choice, answer.choice))
    return found


def repeated_choices(queue: LabelQueue, labeller: str) -> list[tuple[bool, str]]:
    """For each repetition that a labeller answered without ties or skips: whether as before, and its conversation."""
    return [
        ((_OTHER_SIDE[first] if question.exchanged else first) == again, opening(question.prompt))
        for question, first, again in _repeated(queue, labeller)
        if "tie" not in (first, again)
    ]


def _summary(queue: LabelQueue, name: str) -> LabellerSummary:
    answers = queue.answers(name)
    chosen = Counter(answer.choice for answer in answers)
    seconds = [answer.seconds for answer in answers if answer.seconds is not None]
    of_pool = [each for answer in answers if (each := _pool_choices(queue, answer)) is not None]
    batches = [batch for batch in queue.batches if batch.labeller == name]
    tokens = [batch.tokens for batch in batches if batch.tokens is not None]
    costs = [batch.cost for batch in batches if batch.cost is not None]
    return LabellerSummary(
        counts=queue.counts(name),
        left=chosen["left"],
        right=chosen["right"],
        tie=chosen["tie"],
        undone=queue.undone[name],
        median_seconds=median(seconds) if seconds else None,
        consistency=repeat_consistency(queue, name),
        pool=len(of_pool),
        pool_agrees=sum(choice == known for choice, known in of_pool),
        tokens=sum(tokens) if batches and len(tokens) == len(batches) else None,
        cost=sum(costs) if batches and len(costs) == len(batches) else None,
    )


def _pool_choices(queue: LabelQueue, answer: LabelAnswer) -> tuple[str, str] | None:
    """The side that was chosen and the one that the pool calls chosen; None: there are not both."""
    question = queue.questions[answer.question]
    if question.pool_choice is None or question.repeats is not None or answer.choice not in _SIDES:
        return None
    return answer.choice, question.pool_choice
