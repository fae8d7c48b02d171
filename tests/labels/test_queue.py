"""Files of labels: what was written comes back, counts add up, one writer at a time, and no contradiction gets in."""

from __future__ import annotations

import subprocess
import sys

import pytest

from frft.errors import ArtifactError, OutputError, UsageError
from frft.labels import (
    AskedBatch,
    LabelAnswer,
    QueueHead,
    draw_questions,
    open_queue,
    policy_candidates,
    read_queue,
    write_queue,
)
from frft.labels.draw import DrawShares

HEAD = QueueHead(1, "2026-01-02T03:04:05+00:00", "random", 3, 6, {"samples": ["s.jsonl"]}, {"read": 12})
SHARES = DrawShares(repeat=1 / 3)


@pytest.fixture
def path(tmp_path):
    texts = [(f"Question {n}?", f"Answer {side} {n}.\x1b") for n in range(6) for side in "ab"]
    drawn = draw_questions(policy_candidates(*zip(*texts, strict=True), step=20), 6, seed=3, shares=SHARES)
    write_queue(tmp_path / "queue.jsonl", HEAD, drawn.questions)
    return tmp_path / "queue.jsonl"


def judged(question, choice, preference):
    return LabelAnswer(question, choice, "rm:x", "2026-01-02T03:04:06+00:00", None, 0, preference)


def adds_up(queue):
    for name in (None, *queue.labellers):
        counts = queue.counts(name)
        assert counts.answered + counts.skipped + counts.pending == counts.questions == len(queue.questions)
        assert counts.failed <= counts.pending
    return queue


def test_what_is_written_comes_back(path):
    with open_queue(path) as queue:
        names = list(queue.questions)
        assert len(names) == 6
        assert sum(question.purpose == "repeat" for question in queue.questions.values()) == 2
        queue.answer(names[0], "left", "Ann", seconds=2.5)
        queue.answer(names[1], "skip", "Ann")
        queue.answer(names[0], "tie", "Bob")
        batch = AskedBatch("rm:x", "2026-01-02T03:04:06+00:00", 3, [names[5]], 90, 0.25)
        queue.add_answers([judged(names[0], "right", 0.25), judged(names[2], "left", 0.75)], batch)
        assert [each.id for each in queue.pending("Ann")] == names[2:]
        assert queue.undo("Ann").question == names[1]
        assert queue.undo("Cid") is None
        queue.answer(names[1], "right", "Ann")
        held = adds_up(queue)
    found = adds_up(read_queue(path))
    assert (found.head, list(found.questions.values())) == (HEAD, list(held.questions.values()))
    assert found.answers() == held.answers()
    assert found.batches == [batch]
    assert found.labellers == ["rm:x", "Ann", "Bob"]
    assert {name: vars(found.counts(name)) for name in ("Ann", "rm:x", None)} == {
        "Ann": {"questions": 6, "answered": 2, "skipped": 0, "pending": 4, "failed": 0},
        "rm:x": {"questions": 6, "answered": 2, "skipped": 0, "pending": 4, "failed": 1},
        None: {"questions": 6, "answered": 3, "skipped": 0, "pending": 3, "failed": 1},
    }
    assert [(each.position, each.choice) for each in found.answers("Ann")] == [(0, "left"), (2, "right")]
    assert found.undone == {"Ann": 1}
    with open_queue(path) as queue:
        queue.answer(names[5], "left", "rm:x")
        assert adds_up(queue).counts("rm:x").failed == 0


def test_a_contradiction_does_not_reach_the_file(path):
    with open_queue(path) as queue:
        first = next(iter(queue.questions.values()))
        queue.answer(first.id, "left", "Ann")
        before = path.read_bytes()
        for wrong in (
            lambda: queue.answer(first.id, "right", "Ann"),
            lambda: queue.answer("0" * 16, "right", "Ann"),
            lambda: queue.answer(first.id, "both", "Bob"),
            lambda: queue.ask([first]),
        ):
            with pytest.raises(UsageError):
                wrong()
        assert path.read_bytes() == before
        # Of several rows, those before the one that is refused are in the file, as they are in memory.
        batch = AskedBatch("rm:x", "2026-01-02T03:04:06+00:00", 1, [], None, None)
        with pytest.raises(UsageError):
            queue.add_answers([judged(first.id, "left", 1.0), judged(first.id, "left", 1.0)], batch)
        queue.answer(list(queue.questions)[1], "left", "Ann")
        answers = queue.answers()
    assert read_queue(path).answers() == answers


def test_a_file_that_contradicts_itself_is_refused_by_line(path):
    from frft.labels.rows import as_row
    from frft.store.chained import append_chained, read_chained

    answer = LabelAnswer("0" * 16, "left", "Ann", "2026-01-02T03:04:06+00:00", None, 0)
    for row, said in (
        (as_row(answer), "line 8: there is no question"),
        ({"row": "new"}, "unknown kind of row 'new'"),
        ({**as_row(answer), "more": 1}, "line 8"),
        ({**as_row(answer), "choice": "both"}, "line 8"),
    ):
        whole = path.read_bytes()
        append_chained(path, [row], read_chained(path).last)
        with pytest.raises(ArtifactError, match=said):
            read_queue(path)
        path.write_bytes(whole)


def test_other_files_and_formats_are_refused(path, tmp_path):
    from frft.store.chained import write_chained

    for row, said in (({"row": "labels", "format": 2}, "format 2"), ({"prompt": "p"}, "no file of labels")):
        write_chained(tmp_path / "other", [row])
        with pytest.raises(ArtifactError, match=said):
            read_queue(tmp_path / "other")
    with pytest.raises(OutputError, match="never overwritten"):
        write_queue(path, HEAD, [])


def test_a_second_writer_is_refused_and_readers_are_not(path):
    program = f"""
from pathlib import Path
from frft.labels import open_queue, read_queue
print(len(read_queue(Path({str(path)!r})).questions))
try:
    with open_queue(Path({str(path)!r})):
        print("open")
except Exception as error:
    print(error)
"""
    with open_queue(path):
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("6\n")
    assert "another process is writing" in done.stdout
    with open_queue(path):
        pass


def test_half_a_row_is_dropped_with_a_word(path):
    with open_queue(path) as queue:
        first, second, *_ = queue.questions
        queue.answer(first, "left", "Ann")
        queue.answer(second, "left", "Ann")
    path.write_bytes(path.read_bytes()[:-9])
    told = []

    class Told:
        def say(self, text):
            told.append(text)

    assert [each.question for each in read_queue(path, Told()).answers("Ann")] == [first]
    assert "half a row" in told[0]
    with open_queue(path) as queue:
        queue.answer(second, "right", "Ann")
    assert [each.choice for each in read_queue(path).answers("Ann")] == ["left", "right"]
