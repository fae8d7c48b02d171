from __future__ import annotations

import json

import numpy as np
import pytest

from frft.preferences import describe_pool, load_pool


def test_counts_and_spreads_equal_those_counted_by_hand(write_lines):
    rows = [
        {"prompt": "aa", "chosen": "bbb", "rejected": "c", "annotator": "x", "margin": 1},
        {"prompt": "aa", "chosen": "c", "rejected": "bbb", "annotator": "x", "margin": 0.5},
        {"prompt": "aa", "chosen": "bbb", "rejected": "c", "annotator": "y"},
        {"prompt": "é" * 9, "chosen": "b", "rejected": "c", "annotator": None},
        {"prompt": "aaa", "chosen": "", "rejected": "c"},
    ]
    description = describe_pool(load_pool(write_lines(*rows), max_rejected=0.2))
    assert description.pairs == 4
    assert description.distinct_prompts == 2
    assert description.duplicates == 1
    assert description.contradictions == 1
    assert description.chosen_longer == 0.5
    assert description.equally_long == 0.25
    assert description.sources["annotator"].values == 2
    assert description.sources["annotator"].top == (("x", 2), ("y", 1))
    assert description.with_margin == 2
    assert description.margin is not None
    assert (description.margin.least, description.margin.greatest) == (0.5, 1.0)
    lengths = description.lengths["prompt"]
    assert (lengths.median, lengths.greatest) == (2, 9)
    assert lengths.p95 == pytest.approx(float(np.percentile([2, 2, 2, 9], 95)))
    as_dict = json.loads(json.dumps(description.as_dict()))
    assert as_dict["rejected"] == {"empty field": 1}
    assert as_dict["sources"]["annotator"]["top"] == {"x": 2, "y": 1}


def test_lines_say_everything_and_escape_what_a_terminal_might_obey(write_lines, tmp_path, pair):
    rows = [pair(number, annotator=f"a{number % 7}\x1b[31m\n", id=number, nested=[1]) for number in range(30)]
    write_lines(*rows, pair(99, chosen=" "), name="data/a.jsonl")
    (tmp_path / "data" / "notes\x07.txt").touch()
    pool = load_pool(tmp_path / "data", max_rejected=0.1, limit=20)
    lines = describe_pool(pool).lines()
    text = "\n".join(lines)
    assert all(line.isprintable() for line in lines)
    assert "rows: 31 read, 30 accepted, 1 rejected" in text
    assert "  1 row: empty field: 'chosen' is blank (" in text
    assert "20 of the accepted were drawn" in text
    assert r"notes\x07.txt: ending not known" in text
    assert r"\x1b[31m\n" in text
    assert "and 2 more" in text
    assert "column 'id' is kept as 'source_id'" in text
    assert "column 'nested' is left out: nested values in 30 rows" in text


def test_unused_completions_are_told(write_lines):
    completions = [{"rank": rank, "completion": f"answer {rank}"} for rank in range(5)]
    description = describe_pool(load_pool(write_lines({"context": "Colour?", "completions": completions})))
    assert "completions ranked between best and worst, in no pair: 3" in description.lines()
    assert description.margin is None
    assert description.as_dict()["unused_completions"] == 3


def test_columns_with_many_values_are_data(write_lines, pair):
    rows = [pair(number, key=f"k{number}", count=1) for number in range(201)]
    assert describe_pool(load_pool(write_lines(*rows))).sources == {}


def test_the_alpaca_eval_pool_against_pandas(shared_data):
    pool = load_pool(shared_data / "alpaca-eval" / "preferences.parquet", limit=5000)
    description, frame = describe_pool(pool), pool.table.to_pandas()
    labels = set(zip(frame["prompt"], frame["chosen"], frame["rejected"], strict=True))
    flipped = {(prompt, rejected, chosen) for prompt, chosen, rejected in labels}
    assert description.contradictions == len(labels & flipped) / 2
    assert description.duplicates == len(frame) - len(labels)
    assert description.distinct_prompts == frame["prompt"].nunique()
    assert description.chosen_longer == pytest.approx((frame["chosen"].str.len() > frame["rejected"].str.len()).mean())
    for name in ("chosen_source", "annotator", "domain"):
        top = description.sources[name].top
        assert [count for _, count in top] == frame[name].value_counts().tolist()[: len(top)]
        assert all(frame[name].eq(value).sum() == count for value, count in top)
