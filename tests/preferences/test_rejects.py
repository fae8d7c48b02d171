from __future__ import annotations

import io
import json

import pytest

from frft.errors import DataError, TooManyRejectedError, printable
from frft.preferences.rejects import TEXT_CHARACTERS, Reason, RowError, Tally, quoted

ERROR = RowError(Reason.EMPTY_FIELD, "'chosen' is blank")


def test_rejected_rows_are_written_with_place_reason_and_the_beginning_of_their_text():
    file = io.BytesIO()
    tally = Tally(file)
    tally.reject("a.jsonl", 7, "a.jsonl, line 7", "x" * (TEXT_CHARACTERS + 5), ERROR)
    tally.reject("a.jsonl", 8, "a.jsonl, line 8", "lone \ud800 surrogate", ERROR)
    first, second = (json.loads(line) for line in file.getvalue().splitlines())
    assert first == {
        "file": "a.jsonl",
        "line": 7,
        "reason": "empty field",
        "detail": "'chosen' is blank",
        "text": "x" * TEXT_CHARACTERS,
        "characters_cut": 5,
    }
    assert second["text"] == "lone \ud800 surrogate"
    assert second["characters_cut"] == 0


def test_a_lost_row_is_an_error():
    tally = Tally()
    tally.read, tally.accepted = 3, 1
    tally.reject("a", 1, "a, line 1", "", ERROR)
    with pytest.raises(DataError, match="3 rows were read, but 1 accepted and 1 rejected"):
        tally.check_sum()
    tally.accepted = 2
    tally.check_sum()


@pytest.mark.parametrize(("allowed", "fails"), [(0.28, True), (0.29, False), (0.3, False)])
def test_the_share_that_is_allowed_includes_its_bound(allowed, fails):
    tally = Tally()
    tally.read, tally.accepted = 100, 71
    for row in range(29):
        tally.reject("a", row, f"a, line {row}", "", ERROR)
    if not fails:
        tally.check_share(allowed, "hint")
        return
    with pytest.raises(TooManyRejectedError) as caught:
        tally.check_share(allowed, "hint")
    message = str(caught.value)
    assert message.splitlines() == [
        "29 of 100 rows (29.00%) cannot be used; at most 28.00% may be (max_rejected):",
        "  29 rows: empty field: 'chosen' is blank (a, line 0, line 1, line 2, ...)",
        "hint",
    ]


def test_rejections_are_summed_up_by_what_is_wrong():
    tally = Tally()
    tally.read = 7
    wrong = [RowError(Reason.WRONG_TYPE, f"'chosen' is {n}") for n in (1, 2, 2, 3, 4, 5)]
    for row, error in enumerate([RowError(Reason.BROKEN_JSON, "no object"), *wrong]):
        file = ("a", "\x1b")[row % 2]
        tally.reject(file, row, f"{file}, line {row}", "", error)
    with pytest.raises(TooManyRejectedError) as caught:
        tally.check_share(1.0, "hint")
    assert str(caught.value).splitlines()[1:-1] == [
        "  1 row: wrong type: 'chosen' is 1 (\\x1b, line 1)",
        "  2 rows: wrong type: 'chosen' is 2 (a, line 2; \\x1b, line 3)",
        "  1 row: wrong type: 'chosen' is 3 (a, line 4)",
        "  2 rows: wrong type, in other ways",
        "  1 row: broken JSON: no object (a, line 0)",
    ]


def test_no_accepted_row_is_an_error_whatever_is_allowed():
    tally = Tally()
    tally.read = 1
    tally.reject("a", 1, "a, line 1", "", ERROR)
    with pytest.raises(TooManyRejectedError, match="none is left"):
        tally.check_share(1.0, "")


def test_messages_show_hostile_values_cut_and_escaped():
    assert quoted("a\x1b[31m\n\u202eb") == r"'a\x1b[31m\n\u202eb'"
    assert quoted("x" * 1000) == f"'{'x' * 60}'..."
    assert quoted(10**100) == "1" + "0" * 59 + "..."
    assert quoted([1, 2]) == "a list of 2"
    assert quoted({}) == "an object of 0"
    assert printable("é\t\x1b]0;x\x07\ud800") == r"é\t\x1b]0;x\x07\ud800"
