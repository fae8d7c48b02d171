from __future__ import annotations

import json
from contextlib import contextmanager

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from frft.errors import DataError, TooManyRejectedError, UnreadableError
from frft.preferences.fields import field_of
from frft.preferences.ingest import ingest
from frft.preferences.pool import load_pool
from frft.preferences.rejects import Reason, RowError, Tally
from frft.preferences.sources import find_sources
from frft.progress import SilentProgress


def odd_is_bad(row):
    if row["a"] % 2:
        raise RowError(Reason.WRONG_TYPE, "odd")
    return "even", row["a"]


def run(path, accept=lambda row, value: None, **options):
    options = {"max_rejected": 1.0, "columns": "Call it a.", **options}
    return ingest(find_sources(path), odd_is_bad, accept, **options)


def test_rows_are_accepted_in_order_or_rejected_and_both_are_counted_by_file(write_lines, tmp_path):
    write_lines('{"a": 0}', '{"a": 1}', "broken", '{"a": 2}', name="data/a.jsonl")
    write_lines('{"a": 4}', '{"a": 5}', name="data/b.jsonl")
    accepted = []
    report = run(tmp_path / "data", lambda row, value: accepted.append((row.number, value)))
    assert accepted == [(1, 0), (4, 2), (1, 4)]
    assert (report.read, report.accepted) == (6, 3)
    assert report.rejected == {"wrong type": 2, "broken JSON": 1}
    assert [(file.read, file.accepted) for file in report.files] == [(4, 2), (2, 1)]


def test_the_rejects_file_is_there_even_where_there_are_too_many(write_lines, tmp_path):
    path, rejects = write_lines('{"a": 0}', '{"a": 1}', "x" * 3000), tmp_path / "out" / "rejects.jsonl"
    with pytest.raises(
        TooManyRejectedError, match=r"wrong type: odd \(.*, line 2\)\n(.|\n)*All of them stand in .*rejects.jsonl"
    ):
        run(path, max_rejected=0.5, rejects_path=rejects)
    first, second = (json.loads(line) for line in rejects.read_text().splitlines())
    assert first["file"] == second["file"] == str(path)
    assert (first["line"], first["reason"], first["detail"], first["text"]) == (
        2,
        "wrong type",
        "odd",
        '{"a": 1}',
    )
    assert (second["line"], second["reason"], second["characters_cut"]) == (3, "broken JSON", 2000)


@pytest.mark.parametrize(
    ("rows", "max_rejected", "can_raise", "advice"),
    [
        (['{"a": 1}'], 1.0, True, "Repair the rows, or give another file."),
        (['{"a": 0}', '{"a": 1}'], 0.0, False, "Repair or remove these rows."),
        (['{"a": null}'], 0.1, True, "Repair the rows, or give another file."),
        (
            ['{"a": 0}', '{"a": 1}'],
            0.0,
            True,
            "Repair or remove these rows, or raise max_rejected "
            "(--max-rejected; in a configuration data.max_rejected).",
        ),
        (['{"b": 1}'], 0.1, True, "Call it a."),
        (['{"a": 0}', '{"b": 1}'], 0.0, False, "Call it a. Repair or remove these rows."),
    ],
    ids=["all broken", "none allowed", "empty", "too many", "all misnamed", "one misnamed"],
)
def test_the_advice_is_one_that_can_help(write_lines, rows, max_rejected, can_raise, advice):
    def parse(row):
        return odd_is_bad({"a": field_of(row, "a")})

    with pytest.raises(TooManyRejectedError) as caught:
        ingest(
            find_sources(write_lines(*rows)),
            parse,
            lambda row, value: None,
            max_rejected=max_rejected,
            can_raise=can_raise,
            columns="Call it a.",
        )
    assert str(caught.value).splitlines()[-1] == advice


def test_without_rejects_the_rejects_file_is_empty(write_lines, tmp_path):
    run(write_lines('{"a": 0}'), rejects_path=tmp_path / "rejects.jsonl")
    assert (tmp_path / "rejects.jsonl").read_text() == ""


def test_a_source_that_fails_leaves_no_rejects_file(write_lines, tmp_path):
    write_lines('{"a": 1}', name="data/a.jsonl")
    write_lines(name="data/b.jsonl")
    with pytest.raises(UnreadableError, match=r"b\.jsonl is empty"):
        run(tmp_path / "data", rejects_path=tmp_path / "rejects.jsonl")
    assert not (tmp_path / "rejects.jsonl").exists()


def test_a_link_to_nothing_is_an_error_that_names_it(tmp_path):
    (tmp_path / "a.jsonl").symlink_to(tmp_path / "gone.jsonl")
    with pytest.raises(UnreadableError, match=r"a\.jsonl does not exist any more"):
        run([tmp_path.as_posix()])


def test_a_row_that_gets_lost_is_an_error(write_lines, monkeypatch):
    monkeypatch.setattr(Tally, "reject", lambda self, *arguments: None)
    with pytest.raises(DataError, match="2 rows were read, but 1 accepted and 0 rejected"):
        run(write_lines('{"a": 0}', '{"a": 1}'))


def test_what_is_left_out_is_told(write_lines, tmp_path):
    write_lines('{"a": 0}', '{"a": 1}', "broken", '{"a": 3}', name="data/a.jsonl")
    progress, told = SilentProgress(), []
    progress.say = told.append
    run(tmp_path / "data", rejects_path=tmp_path / "rejects.jsonl", progress=progress)
    (line,) = told
    assert line.endswith(
        f"a.jsonl: 3 of 4 rows left out (broken JSON: 1, wrong type: 2); they stand in {tmp_path / 'rejects.jsonl'}"
    )
    run(write_lines('{"a": 0}', name="b.jsonl"), progress=progress)
    assert told == [line]


def test_progress_is_told_every_byte(write_lines):
    class Recorder:
        def __init__(self):
            self.total = self.done = 0

        @contextmanager
        def task(self, description, total):
            self.total = total
            yield self

        def advance(self, amount=1, note=""):
            assert amount >= 0
            self.done += amount

        def say(self, text):
            raise AssertionError(text)

    path, progress = write_lines(*('{"a": 2}' for _ in range(1200))), Recorder()
    run(path, progress=progress)
    assert progress.total == progress.done == path.stat().st_size


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda children: st.lists(children, max_size=3) | st.dictionaries(st.text(), children, max_size=3),
    max_leaves=5,
)
message_lists = st.lists(
    st.fixed_dictionaries({"role": st.sampled_from(["user", "assistant", "x"]), "content": json_values}),
    max_size=3,
)
fields = st.sampled_from(
    ["prompt", "chosen", "rejected", "margin", "instruction", "conversations", "context", "completions", "id"]
)
objects = st.dictionaries(fields, st.text(max_size=4) | message_lists | json_values, max_size=6)
lines = st.binary(max_size=30) | (objects | json_values).map(lambda value: json.dumps(value).encode())


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(lines, min_size=1, max_size=12))
def test_accepted_and_rejected_make_read_for_arbitrary_lines(write_lines, rows):
    good = b'{"prompt": "p", "chosen": "c", "rejected": "r"}'
    path = write_lines(good, *rows)
    expected = sum(bool(line.strip()) for line in path.read_bytes().split(b"\n"))
    try:
        pool = load_pool(path, max_rejected=1.0)
    except TooManyRejectedError as error:
        if f"{expected} of {expected} rows" not in str(error):
            raise
        return
    report = pool.report
    assert report.read == expected == report.accepted + sum(report.rejected.values())
    assert len(pool) == report.accepted
    assert len(set(pool.table["id"].to_pylist())) == len(pool)
