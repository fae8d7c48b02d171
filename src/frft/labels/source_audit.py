"""The audit of a pool's sources by the answers in files of labels."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from frft.conversation import opening
from frft.errors import DataError, UsageError, printable
from frft.labels.agreement import accuracy_from_agreement
from frft.labels.queue import LabelQueue
from frft.labels.rows import LabelAnswer, LabelQuestion
from frft.labels.sequential import AuditAnswer, SourceAudit, audit_sources
from frft.labels.summary import repeated_choices
from frft.statistics.estimates import Estimate
from frft.store import plain


@dataclass(frozen=True)
class AuditedSource:
    """A source, and what the labels say of it.

    Attributes:
        audit: the decision, and what it follows from.
        questions: number of questions about its pairs.
        open: those among them that the labeller has not answered.
    """

    audit: SourceAudit
    questions: int
    open: int


@dataclass(frozen=True)
class LabelAudit:
    """What one labeller's answers say of the sources of a pool.

    Attributes:
        labeller: name of the labeller.
        accuracy: probability that the labeller is right; an estimate from repetitions has its interval, and is an upper
            bound, because who always errs in the same way is consistent.
        accuracy_from: whether it was given or estimated from `repeats`.
        repeats: number of repetitions that it was estimated from, 0 where it was given.
        at_most: largest number of labels of a source that the test is calibrated for; None: no limit.
        sources: the sources by name.
    """

    labeller: str
    accuracy: Estimate
    accuracy_from: Literal["given", "repeats"]
    repeats: int
    at_most: int | None
    sources: dict[str, AuditedSource]

    def as_dict(self) -> dict[str, Any]:
        """All fields as JSON-able values."""
        return plain(self)


def audit_labels(
    queues: Sequence[LabelQueue],
    *,
    labeller: str | None = None,
    accuracy: float | None = None,
    at_most: int | Literal["drawn"] | None = "drawn",
) -> LabelAudit:
    """Decide for each source whether to use it, by the answers to questions that were drawn for an audit.

    Args:
        queues: files of labels, in the order in which they were answered.
        labeller: whose answers count; None: the only labeller's.
        accuracy: probability that the labeller is right; None: estimated from the answers to repetitions, as an upper
            bound.
        at_most: largest number of labels of a source, which must have been fixed before the first one: `drawn`, as many
            questions as there are about the source with most of them; None: no limit.

    Raises:
        UsageError: it cannot be told whose answers count.
        DataError: there are no questions for an audit, two about a source are of one conversation, or the accuracy is
            neither given nor can be estimated, or is not above 1/2.
    """
    questions = [
        {question.id: question for question in queue.questions.values() if question.purpose == "audit"}
        for queue in queues
    ]
    names = list(dict.fromkeys(name for each in questions for asked in each.values() for name in asked.sources))
    if not names:
        raise DataError(
            "There are no questions for an audit of sources here. Draw some: `frft label pick --purpose audit --pairs "
            "POOL --by COLUMN`."
        )
    _check_independent(asked for each in questions for asked in each.values())
    who = _labeller(queues, labeller)
    q, repeats = (accuracy, 0) if accuracy is not None else _from_repeats(queues, who)
    answers = [
        (asked[answer.question], answer)
        for queue, asked in zip(queues, questions, strict=True)
        for answer in queue.answers(who)
        if answer.question in asked
    ]
    drawn = {name: sum(name in asked.sources for each in questions for asked in each.values()) for name in names}
    limit = max(drawn.values()) if at_most == "drawn" else at_most
    found = audit_sources({name: _answers_about(name, answers) for name in names}, q, limit)
    return LabelAudit(
        labeller=who,
        accuracy=q if isinstance(q, Estimate) else Estimate(q, None, None, 0),
        accuracy_from="given" if accuracy is not None else "repeats",
        repeats=repeats,
        at_most=limit,
        sources={
            name: AuditedSource(audit, drawn[name], drawn[name] - len(_answers_about(name, answers)))
            for name, audit in found.items()
        },
    )


def _check_independent(questions: Iterable[LabelQuestion]) -> None:
    known: set[tuple[str, str]] = set()
    for question in questions:
        for name in question.sources:
            key = (name, opening(question.prompt))
            if key in known:
                raise DataError(
                    f"Two questions about {printable(name)} are of one conversation (question {question.id}), so that "
                    "their answers are not independent. Draw later files with the earlier ones left out (`frft label "
                    "pick --not-in`), and audit only such files together."
                )
            known.add(key)


def _labeller(queues: Sequence[LabelQueue], given: str | None) -> str:
    """Whose answers count."""
    names = list(dict.fromkeys(name for queue in queues for name in queue.labellers))
    known = ", ".join(map(printable, names))
    if not names:
        raise DataError("Nobody has answered yet. Use `frft label answer` or `frft label ask`.")
    if given is not None and given not in names:
        raise UsageError(f"--labeller: nobody here is called {printable(given)}. There are: {known}.")
    if given is None and len(names) > 1:
        raise UsageError(f"Several have labelled: {known}. Name the one whose answers count: --labeller NAME.")
    return given or names[0]


def _from_repeats(queues: Sequence[LabelQueue], labeller: str) -> tuple[Estimate, int]:
    told = [each for queue in queues for each in repeated_choices(queue, labeller)]
    if not told:
        raise DataError(
            f"How often is {printable(labeller)} right? There are no answers to repetitions to estimate it from. Give "
            "it, above 0.5 and at most 1 (--labeller-accuracy), or have repetitions drawn (`frft label pick "
            "--repeat-share`)."
        )
    return accuracy_from_agreement([same for same, _ in told], [conversation for _, conversation in told]), len(told)


def _answers_about(source: str, answers: Sequence[tuple[LabelQuestion, LabelAnswer]]) -> list[AuditAnswer]:
    found: list[AuditAnswer] = []
    for question, answer in answers:
        if source in question.sources:
            if answer.choice in ("tie", "skip"):
                found.append("tie" if answer.choice == "tie" else "skip")
            else:
                found.append("agrees" if answer.choice == question.sources[source] else "disagrees")
    return found
