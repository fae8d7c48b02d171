"""Questions for other software, and answers from there.

| form | a file of | question | answer |
|---|---|---|---|
| jsonl, csv | rows | `question`, `prompt`, `left`, `right` | `choice`, `labeller`, `when`, `seconds` |
| argilla | records, as `records.to_json` writes them | `id`, `fields` | `responses`: values and users of `choice` |
| | records, as `records.to_list(flatten=True)` gives them | | `choice.responses`, `.users` and `.status` |
| label-studio | tasks | `data` | `annotations`: a result of type choices or pairwise |
| | rows, as its exports JSON-MIN and CSV have them | `question` | `choice`, `annotator`, `created_at`, `lead_time` |
| pairs | preference pairs to train on; see `frft.labels.labelled_pairs` | | |

Whatever is exported to be labelled says as little as `frft label answer` shows: nothing of where texts are from, what a
question is for, or what it repeats. What is read back is matched by the question's id; a row's form is decided by that
row alone.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from frft.errors import DataError, printable
from frft.labels.queue import LabelQueue, QueueWriter
from frft.labels.rows import CHOICES, LabelAnswer, LabelQuestion, now
from frft.preferences.fields import RawFields, finite_number, is_blank
from frft.preferences.ingest import ingest
from frft.preferences.rejects import Reason, RowError, quoted
from frft.preferences.sources import find_sources
from frft.progress import SILENT, Progress
from frft.store import atomic_write

QUESTION_NAME = "choice"
"""Name of the question in Argilla and of the control in Label Studio."""
_COLUMNS = ("question", "prompt", "left", "right", "choice", "labeller", "when", "seconds")


@dataclass(frozen=True)
class ImportReport:
    """What became of the answers in a file: the counts add up to the answers that stand there.

    Attributes:
        added: answers that are in the file of labels now and were not before.
        known: answers that were there already.
        empty: rows, records or tasks without an answer.
    """

    added: int
    known: int
    empty: int

    def as_dict(self) -> dict[str, int]:
        """The counts as JSON-able values."""
        return dict(vars(self))


def export_questions(queue: LabelQueue, path: Path, form: str, *, open_for: str | None = None) -> int:
    """Write questions for other software; returns the number of questions.

    Args:
        queue: the file of labels.
        path: the file to write.
        form: jsonl, csv, argilla or label-studio.
        open_for: write only the questions that the labeller of this name has not answered; None: all. Then rows of
            jsonl and csv have the answers that there are, one row for each.
    """
    questions = list(queue.questions.values()) if open_for is None else queue.pending(open_for)
    answers: dict[str, list[LabelAnswer]] = {}
    if open_for is None:
        for answer in queue.answers():
            answers.setdefault(answer.question, []).append(answer)
    with atomic_write(path) as file:
        file.write(_WRITERS[form](questions, answers).encode())
    return len(questions)


def import_answers(
    queue: QueueWriter, path: Path, *, labeller: str | None = None, progress: Progress = SILENT
) -> ImportReport:
    """Add the answers in a file; all of them or, if one cannot be used, none.

    Args:
        queue: the file of labels.
        path: JSON Lines, JSON, CSV, ... with rows, records or tasks.
        labeller: name of the labeller of all answers; None: each says its own.
        progress: told the bytes read.

    Raises:
        UnreadableError: the file cannot be read.
        TooManyRejectedError: a row cannot be used; names its line.
        DataError: a labeller has two different answers to one question, in the file or with those there before.
    """
    found: list[tuple[str, LabelAnswer]] = []
    empty = 0

    def accept(row: Any, answers: list[LabelAnswer]) -> None:
        nonlocal empty
        empty += not answers
        found.extend((row.place, answer) for answer in answers)

    ingest(
        find_sources(str(path), split="train"),
        lambda row: _read(row, queue, labeller),
        accept,
        max_rejected=0.0,
        can_raise=False,
        columns="Rows have question and choice, records of Argilla id and responses, tasks of Label Studio data and "
        "annotations.",
        progress=progress,
    )
    new: dict[tuple[str, str], LabelAnswer] = {}
    known = 0
    for place, answer in found:
        key = (answer.labeller, answer.question)
        before = queue.answer_of(*key) or new.get(key)
        if before is None:
            new[key] = answer
        elif before.choice == answer.choice:
            known += 1
        else:
            raise DataError(
                f"{place}: {printable(answer.labeller)} says {answer.choice} to question {answer.question}, and has "
                f"said {before.choice} before. Nothing was added. Remove one of the two answers, or give another name "
                "of the labeller."
            )
    queue.add_answers(new.values())
    return ImportReport(len(new), known, empty)


def _own_rows(
    questions: Iterable[LabelQuestion], answers: Mapping[str, list[LabelAnswer]]
) -> Iterator[dict[str, object]]:
    for question in questions:
        texts = {"question": question.id, "prompt": question.prompt, "left": question.left, "right": question.right}
        for answer in answers.get(question.id, []):
            given = {name: getattr(answer, name) for name in ("choice", "labeller", "when", "seconds")}
            yield {**texts, **given}
        if not answers.get(question.id):
            yield {**texts, "choice": None, "labeller": None, "when": None, "seconds": None}


def _jsonl(questions: Iterable[LabelQuestion], answers: Mapping[str, list[LabelAnswer]]) -> str:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in _own_rows(questions, answers))


def _csv(questions: Iterable[LabelQuestion], answers: Mapping[str, list[LabelAnswer]]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, _COLUMNS)
    writer.writeheader()
    writer.writerows(_own_rows(questions, answers))
    return text.getvalue()


def _argilla(questions: Iterable[LabelQuestion], answers: Mapping[str, list[LabelAnswer]]) -> str:
    # Responses belong to users of the server that reads the file, which it knows by ids of its own.
    del answers
    records = [
        {"id": each.id, "fields": {"prompt": each.prompt, "left": each.left, "right": each.right}} for each in questions
    ]
    return json.dumps(records, ensure_ascii=False, indent=1)


def _label_studio(questions: Iterable[LabelQuestion], answers: Mapping[str, list[LabelAnswer]]) -> str:
    # As above: annotations belong to users of a server.
    del answers
    tasks = [
        {"data": {"question": each.id, "prompt": each.prompt, "left": each.left, "right": each.right}}
        for each in questions
    ]
    return json.dumps(tasks, ensure_ascii=False, indent=1)


_WRITERS: dict[str, Callable[[Iterable[LabelQuestion], Mapping[str, list[LabelAnswer]]], str]] = {
    "jsonl": _jsonl,
    "csv": _csv,
    "argilla": _argilla,
    "label-studio": _label_studio,
}


def _read(row: RawFields, queue: LabelQueue, labeller: str | None) -> tuple[str, list[LabelAnswer]]:
    """The name of a row's form, and its answers."""
    for form, fields, read in _READERS:
        if fields <= row.keys():
            return form, [_answer(queue, labeller, **given) for given in read(row)]
    raise RowError(
        Reason.UNKNOWN_FORMAT,
        f"fields {', '.join(map(quoted, row))}; answers have question and choice, id and responses, or data and "
        "annotations",
    )


def _answer(
    queue: LabelQueue,
    labeller: str | None,
    question: object,
    choice: object,
    own: object,
    when: object,
    seconds: object,
) -> LabelAnswer:
    if not isinstance(question, str) or question not in queue.questions:
        raise RowError(Reason.WRONG_TYPE, f"no question of this file of labels has the id {quoted(question)}")
    if choice not in CHOICES:
        raise RowError(Reason.WRONG_TYPE, f"the answer is {quoted(choice)}; it is one of {', '.join(CHOICES)}")
    name = labeller if labeller is not None else "" if is_blank(own) else str(own)
    if not name:
        raise RowError(Reason.MISSING_FIELD, "the answer has no labeller; name one for all by --labeller")
    return LabelAnswer(question, choice, name, _time(when), _seconds(seconds), 0)


def _own(row: RawFields) -> Iterator[dict[str, object]]:
    if not is_blank(row["choice"]):
        yield {
            "question": row["question"],
            "choice": row["choice"],
            "own": row.get("labeller"),
            "when": row.get("when"),
            "seconds": row.get("seconds"),
        }


def _of_argilla(row: RawFields) -> Iterator[dict[str, object]]:
    for response in _objects(_object(row["responses"], "responses").get(QUESTION_NAME) or [], QUESTION_NAME):
        yield from _response(row["id"], response.get("value"), response.get("user_id"), response.get("status"))


def _of_argilla_flat(row: RawFields) -> Iterator[dict[str, object]]:
    """The record of which each part of its responses is a list; None in each stands for no responses."""
    names = [f"{QUESTION_NAME}.responses{part}" for part in ("", ".users", ".status")]
    values, users, status = (row.get(name) or [] for name in names)
    if not (isinstance(values, list) and isinstance(users, list) and isinstance(status, list)):
        raise RowError(Reason.WRONG_TYPE, f"{', '.join(map(quoted, names))} are not lists")
    if not len(values) == len(users) == len(status):
        raise RowError(
            Reason.MISSING_FIELD,
            f"{', '.join(map(quoted, names))} have {len(values)}, {len(users)} and {len(status)} entries, not one each "
            "for every response",
        )
    for response in zip(values, users, status, strict=True):
        yield from _response(row["id"], *response)


def _response(question: object, value: object, user: object, status: object) -> Iterator[dict[str, object]]:
    """The answer in a response of Argilla's. A draft is none yet."""
    discarded = status == "discarded"
    if status != "draft" and (discarded or not is_blank(value)):
        choice = "skip" if discarded else value
        yield {"question": question, "choice": choice, "own": user, "when": None, "seconds": None}


def _of_label_studio_rows(row: RawFields) -> Iterator[dict[str, object]]:
    # An annotation without a choice has none of these fields in JSON-MIN, and an empty one in CSV.
    if not is_blank(choice := row.get(QUESTION_NAME)):
        yield {
            "question": row["question"],
            "choice": choice,
            "own": row["annotator"],
            "when": row.get("created_at"),
            "seconds": row.get("lead_time"),
        }


def _of_label_studio(row: RawFields) -> Iterator[dict[str, object]]:
    question = _object(row["data"], "data").get("question")
    for annotation in _objects(row["annotations"], "annotations"):
        results = _objects(annotation.get("result") or [], "result")
        chosen = [_chosen(each) for each in results if each.get("from_name") == QUESTION_NAME]
        if len(chosen) > 1:
            raise RowError(Reason.WRONG_TYPE, f"an annotation has {len(chosen)} results named {QUESTION_NAME!r}")
        if annotation.get("was_cancelled"):
            chosen = ["skip"]
        by = annotation.get("completed_by")
        for choice in chosen:
            yield {
                "question": question,
                "choice": choice,
                "own": by.get("email") or by.get("id") if isinstance(by, dict) else by,
                "when": annotation.get("created_at"),
                "seconds": annotation.get("lead_time"),
            }


def _chosen(result: Mapping[str, Any]) -> object:
    """The choice in a result of Label Studio's: of its tag Choices or Pairwise."""
    value = _object(result.get("value"), "value")
    if result.get("type") == "pairwise":
        return value.get("selected")
    choices = value.get("choices")
    return choices[0] if isinstance(choices, list) and len(choices) == 1 else choices


_READERS: tuple[tuple[str, set[str], Callable[[RawFields], Iterator[dict[str, object]]]], ...] = (
    ("label-studio", {"question", "annotator", "annotation_id"}, _of_label_studio_rows),
    ("frft", {"question", "choice"}, _own),
    ("argilla", {"id", "responses"}, _of_argilla),
    ("argilla", {"id", f"{QUESTION_NAME}.responses"}, _of_argilla_flat),
    # A file of which no record has a response.
    ("argilla", {"id", "status", "_server_id"}, _of_argilla_flat),
    ("label-studio", {"data", "annotations"}, _of_label_studio),
)


def _object(value: object, name: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise RowError(Reason.WRONG_TYPE, f"{name!r} is {quoted(value)}, not an object")
    return value


def _objects(value: object, name: str) -> list[dict[str, Any]]:
    if not isinstance(value, list):
        raise RowError(Reason.WRONG_TYPE, f"{name!r} is {quoted(value)}, not a list")
    return [_object(each, name) for each in value]


def _time(value: object) -> str:
    if is_blank(value):
        return now()
    try:
        when = datetime.fromisoformat(str(value))
    except ValueError:
        raise RowError(Reason.WRONG_TYPE, f"{quoted(value)} is no time in ISO 8601") from None
    # A time without a zone is taken for UTC.
    return (when if when.tzinfo else when.replace(tzinfo=UTC)).astimezone(UTC).isoformat(timespec="seconds")


def _seconds(value: object) -> float | None:
    if is_blank(value):
        return None
    seconds = finite_number(value, "seconds", Reason.WRONG_TYPE)
    if seconds < 0:
        raise RowError(Reason.WRONG_TYPE, f"'seconds' is {quoted(value)}, below 0")
    return seconds
