"""Reading preference pairs from tables."""

from __future__ import annotations

import pyarrow as pa
import pytest

from frft.errors import DataError
from frft.reward.pairs import Pairs, column, margins, requests

TABLE = {
    "prompt": ["a", "b"],
    "chosen": ["c", "d"],
    "rejected": ["e", "f"],
    "margin": [1, 0.5],
    "source": ["x", None],
}


@pytest.mark.parametrize("table", [TABLE, pa.table(TABLE)], ids=["dict", "arrow"])
def test_a_table_is_arrow_or_a_dict_of_lists(table):
    assert Pairs.of(table) == Pairs(["a", "b"], ["c", "d"], ["e", "f"])
    assert margins(table) == [1.0, 0.5]
    assert column(table, "source") == ["x", None]


@pytest.mark.parametrize("kind", [dict, pa.table])
def test_a_request_is_its_prompt_unless_it_has_a_name(kind):
    assert requests(kind(TABLE)) == ["a", "b"]
    assert requests(kind({**TABLE, "request": ["r", "r"]})) == ["r", "r"]
    with pytest.raises(DataError, match=r"Row 1 \(counting from 0\): request must be text, not NoneType"):
        requests(kind({**TABLE, "request": ["r", None]}))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"chosen": ["c"]}, "'chosen' has 1 values, but there are 2 prompts"),
        ({"chosen": ["c", None]}, r"Row 1 \(counting from 0\): chosen must be text, not NoneType"),
        ({"prompt": [b"a", "b"]}, r"Row 0 .*prompt must be text, not bytes"),
        ({"prompt": [], "chosen": [], "rejected": []}, "no preference pairs"),
    ],
)
def test_unusable_texts_are_refused(change, message):
    with pytest.raises(DataError, match=message):
        Pairs.of({**TABLE, **change})


@pytest.mark.parametrize("missing", ["prompt", "chosen", "rejected"])
def test_a_missing_column_is_named(missing):
    table = {name: values for name, values in TABLE.items() if name != missing}
    with pytest.raises(DataError, match=f"no column '{missing}', only "):
        Pairs.of(table)


@pytest.mark.parametrize("value", [None, float("nan"), float("inf"), "1", True])
def test_a_margin_must_be_a_finite_number(value):
    with pytest.raises(DataError, match=r"Row 1 .*margin must be a finite number, not .*use_margin"):
        margins({**TABLE, "margin": [1.0, value]})
