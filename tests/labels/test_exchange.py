"""Questions out, answers in: every form, nothing that a labeller must not know, all answers or none."""

from __future__ import annotations

import csv
import json

import pytest

from frft.errors import DataError, TooManyRejectedError
from frft.labels import (
    QueueHead,
    draw_questions,
    export_questions,
    import_answers,
    open_queue,
    policy_candidates,
    read_queue,
    write_queue,
)
from frft.labels.draw import DrawShares

CHOSEN = ("left", "right", "tie", "skip")
TEXTS = [(f"Prompt {n},\n\x1b\"quoted\"", f"=Answer {side} {n}\r\n") for n in range(6) for side in "ab"]  # fmt: skip


@pytest.fixture
def path(tmp_path):
    candidates = policy_candidates(*zip(*TEXTS, strict=True), policy="secret", step=77)
    drawn = draw_questions(candidates, 8, seed=0, shares=DrawShares(test=0.25, repeat=0.25))
    path = tmp_path / "queue.jsonl"
    write_queue(path, QueueHead(1, "2026-01-02T03:04:05+00:00", "random", 0, 8, {}, {}), drawn.questions)
    return path


def choices(path, labeller):
    return {answer.question: answer.choice for answer in read_queue(path).answers(labeller)}


def expected(path):
    return {name: CHOSEN[n % 4] for n, name in enumerate(read_queue(path).questions)}


def fill_rows(rows):
    return [{**row, "choice": CHOSEN[n % 4], "labeller": "Ann", "seconds": 2} for n, row in enumerate(rows)]


def fill_argilla(records):
    """As Argilla's `records.to_json` writes what a user has answered; discarded ones as its server does."""
    rest = {"metadata": {}, "suggestions": {}, "vectors": {}, "_server_id": "6f3e"}
    answered = []
    for n, record in enumerate(records):
        choice = CHOSEN[n % 4]
        response = {"value": choice, "user_id": "Ann"}
        if choice == "skip":
            response = {"value": None, "user_id": "Ann", "status": "discarded"}
        answered.append(
            {**record, "responses": {"choice": [response], "other": [{"value": 3, "user_id": "Ann"}]}, **rest}
        )
    return answered


def fill_label_studio(tasks):
    """As Label Studio exports tasks: ties by its tag Choices, sides by either tag, skipped tasks as cancelled."""
    done = []
    for n, task in enumerate(tasks):
        choice = CHOSEN[n % 4]
        value = {"type": "pairwise", "value": {"selected": choice}}
        if choice == "tie" or n > 3:
            value = {"type": "choices", "value": {"choices": [choice]}}
        other = {"from_name": "why", "to_name": "prompt", "type": "textarea", "value": {"text": ["shorter"]}}
        result = {"id": "x", "from_name": "choice", "to_name": "left,right", **value}
        annotation = {
            "id": n,
            "result": [] if choice == "skip" else [other, result],
            "was_cancelled": choice == "skip",
            "completed_by": {"id": 1, "email": "Ann"} if n % 2 else "Ann",
            "created_at": "2026-03-09T22:16:08.728353Z",
            "lead_time": 4.288,
        }
        done.append({"id": n + 1, **task, "annotations": [annotation], "predictions": []})
    return done


FORMS = {
    "jsonl": (lambda text: [json.loads(line) for line in text.splitlines()], fill_rows, "answers.jsonl"),
    "csv": (lambda text: list(csv.DictReader(text.splitlines(keepends=True))), fill_rows, "answers.csv"),
    "argilla": (json.loads, fill_argilla, "answers.json"),
    "label-studio": (json.loads, fill_label_studio, "answers.json"),
}


def filled(path, tmp_path, form):
    """A file of that form with everybody's questions answered by Ann."""
    read, fill, name = FORMS[form]
    asked, answered = tmp_path / f"asked-{name}", tmp_path / name
    assert export_questions(read_queue(path), asked, form) == 8
    text = asked.read_bytes().decode()
    # Nothing of the policy, of purposes, or of repetitions.
    assert not any(word in text for word in ("secret", "77", "repeat", "train", "test", "random"))
    rows = fill(read(text))
    if form == "csv":
        with answered.open("w", newline="") as file:
            writer = csv.DictWriter(file, rows[0])
            writer.writeheader()
            writer.writerows(rows)
    elif form == "jsonl":
        answered.write_text("".join(json.dumps(row) + "\n" for row in rows))
    else:
        answered.write_text(json.dumps(rows))
    return answered


@pytest.mark.parametrize("form", FORMS)
def test_what_is_answered_elsewhere_comes_back_once(path, tmp_path, form):
    answers = filled(path, tmp_path, form)
    with open_queue(path) as queue:
        assert vars(import_answers(queue, answers)) == {"added": 8, "known": 0, "empty": 0}
        assert vars(import_answers(queue, answers)) == {"added": 0, "known": 8, "empty": 0}
        assert import_answers(queue, answers, labeller="Bob").added == 8
    assert choices(path, "Ann") == choices(path, "Bob") == expected(path)
    assert {answer.seconds for answer in read_queue(path).answers("Ann")} == {
        "argilla": {None}, "label-studio": {4.288}}.get(form, {2.0})  # fmt: skip
    if form == "label-studio":
        assert {answer.when for answer in read_queue(path).answers()} == {"2026-03-09T22:16:08+00:00"}


@pytest.mark.parametrize("form", FORMS)
def test_texts_leave_unchanged(path, tmp_path, form):
    export_questions(read_queue(path), tmp_path / "out", form)
    with (tmp_path / "out").open(newline="") as file:
        rows = FORMS[form][0](file.read())
    place = {"argilla": "fields", "label-studio": "data"}.get(form)
    texts = [row[place] if place else row for row in rows]
    questions = read_queue(path).questions.values()
    assert [(row["prompt"], row["left"], row["right"]) for row in texts] == [
        (each.prompt, each.left, each.right) for each in questions
    ]


@pytest.mark.parametrize("form", FORMS)
def test_questions_without_answers_are_counted(path, tmp_path, form):
    out = tmp_path / f"out.{form if form in ('jsonl', 'csv') else 'json'}"
    first = next(iter(read_queue(path).questions))
    with open_queue(path) as queue:
        queue.answer(first, "left", "Ann")
        assert export_questions(queue, out, form, open_for="Ann") == 7
        assert first not in out.read_text()
        if form in ("argilla", "label-studio"):
            rows = json.loads(out.read_text())
            responses = {"argilla": {"responses": {}}, "label-studio": {"annotations": []}}[form]
            out.write_text(json.dumps([{**row, **responses} for row in rows]))
        assert vars(import_answers(queue, out)) == {"added": 0, "known": 0, "empty": 7}


def test_argillas_flat_records_tell_drafts_and_discarded_responses(path, tmp_path):
    ids = list(read_queue(path).questions)
    parts = [f"choice.responses{part}" for part in ("", ".users", ".status")]
    responses = [
        (["left", "right"], ["a", "b"], ["submitted", "draft"]),
        (["tie"], ["a"], ["discarded"]),
        ([None], ["a"], ["discarded"]),
        (["right"], ["a"], [None]),
        (None, None, None),
    ]
    records = [
        {"id": each, "status": "pending", "_server_id": None, "left": "l", **dict(zip(parts, given, strict=True))}
        for each, given in zip(ids, responses, strict=False)
    ]
    # Of a file without any response, no record has these fields.
    nothing, answers = tmp_path / "nothing.json", tmp_path / "a.json"
    nothing.write_text(json.dumps([{"id": ids[0], "status": "pending", "_server_id": None, "left": "l"}]))
    answers.write_text(json.dumps(records))
    with open_queue(path) as queue:
        assert vars(import_answers(queue, nothing)) == {"added": 0, "known": 0, "empty": 1}
        assert vars(import_answers(queue, answers)) == {"added": 4, "known": 0, "empty": 1}
    assert choices(path, "a") == dict(zip(ids, ["left", "skip", "skip", "right"], strict=False))
    assert choices(path, "b") == {}


@pytest.mark.parametrize(
    "responses",
    [("left", ["a"], ["submitted"]), (["left", "right"], ["a", "b"], ["submitted"]), (["left"], None, ["submitted"])],
)
def test_flat_responses_that_do_not_belong_together_are_refused(path, tmp_path, responses):
    parts = [f"choice.responses{part}" for part in ("", ".users", ".status")]
    record = {"id": next(iter(read_queue(path).questions)), **dict(zip(parts, responses, strict=True))}
    (tmp_path / "a.json").write_text(json.dumps([record]))
    with open_queue(path) as queue, pytest.raises(TooManyRejectedError, match=r"choice\.responses\.users"):
        import_answers(queue, tmp_path / "a.json")


@pytest.mark.parametrize("form", ["json", "csv"])
def test_label_studios_rows_say_who_answered_when(path, tmp_path, form):
    """Its exports JSON-MIN and CSV: a row for each annotation, with the data of the task and the choice."""
    first, second, third, *_ = read_queue(path).questions
    rows = [
        {"question": question, "prompt": "p", "left": "l", "right": "r", "id": number, **choice, "annotator": annotator,
         "annotation_id": 10 * number + annotator, "created_at": "2026-03-09T22:16:08.728353Z",
         "updated_at": "2026-03-10T22:16:08.728353Z", "lead_time": 4.288}
        for number, question, annotator, choice in [
            (1, first, 1, {"choice": "left"}), (1, first, 2, {"choice": "tie"}), (2, second, 1, {"choice": "right"}),
            (3, third, 1, {} if form == "json" else {"choice": ""}),
        ]
    ]  # fmt: skip
    answers = tmp_path / f"result.{form}"
    with answers.open("w", newline="") as file:
        if form == "json":
            json.dump(rows, file)
        else:
            writer = csv.DictWriter(file, rows[0])
            writer.writeheader()
            writer.writerows(rows)
    with open_queue(path) as queue:
        assert vars(import_answers(queue, answers)) == {"added": 3, "known": 0, "empty": 1}
    assert choices(path, "1") == {first: "left", second: "right"}
    assert choices(path, "2") == {first: "tie"}
    assert {(each.when, each.seconds) for each in read_queue(path).answers()} == {("2026-03-09T22:16:08+00:00", 4.288)}


GOOD = {"choice": "left", "labeller": "Ann"}


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"question": "0" * 16}, "no question of this file"),
        ({"choice": "both"}, "it is one of left, right, tie, skip"),
        ({"labeller": None}, "has no labeller"),
        ({"seconds": "soon"}, "seconds"),
        ({"seconds": -1}, "below 0"),
        ({"when": "yesterday"}, "no time in ISO 8601"),
        ({"question": None, "choice": "left"}, "no question"),
    ],
)
def test_a_row_that_cannot_be_used_is_named_and_nothing_is_added(path, tmp_path, wrong, said):
    first, second, *_ = read_queue(path).questions
    rows = [{"question": first, **GOOD}, {"question": second, **GOOD, **wrong}]
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    before = path.read_bytes()
    with open_queue(path) as queue, pytest.raises(TooManyRejectedError, match=said) as raised:
        import_answers(queue, tmp_path / "a.jsonl")
    assert "line 2" in str(raised.value)
    assert path.read_bytes() == before


@pytest.mark.parametrize("row", [{"prompt": "p"}, {"id": 1, "responses": []}, {"data": 3, "annotations": []},
                                 {"data": {}, "annotations": [3]}])  # fmt: skip
def test_rows_of_no_form_are_refused(path, tmp_path, row):
    (tmp_path / "a.jsonl").write_text(json.dumps(row) + "\n")
    with open_queue(path) as queue, pytest.raises(TooManyRejectedError):
        import_answers(queue, tmp_path / "a.jsonl")


def test_two_answers_of_one_labeller_are_refused(path, tmp_path):
    first, *_ = read_queue(path).questions
    rows = [{"question": first, "labeller": "Ann", "choice": choice} for choice in ("left", "right")]
    (tmp_path / "both.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "one.jsonl").write_text(json.dumps(rows[0]) + "\n")
    with open_queue(path) as queue:
        with pytest.raises(DataError, match="line 2: Ann says right"):
            import_answers(queue, tmp_path / "both.jsonl")
        queue.answer(first, "tie", "Ann")
        with pytest.raises(DataError, match="has said tie before"):
            import_answers(queue, tmp_path / "one.jsonl")
