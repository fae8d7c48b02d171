from __future__ import annotations

import json

from frft.preferences import load_pool


def test_a_subset_has_the_rows_asked_for_in_that_order_and_keeps_the_report(write_lines, pair):
    pool = load_pool(write_lines(*(pair(number) for number in range(5))))
    part = pool.subset([3, 0])
    assert len(part) == 2
    assert part.table["prompt"].to_pylist() == ["Question 3?", "Question 0?"]
    assert part.report == pool.report
    assert len(pool.subset([])) == 0


def test_the_report_is_json_and_adds_up(write_lines, pair):
    rows = [pair(number) for number in range(4)] + [pair(0), pair(9, chosen="")]
    report = load_pool(write_lines(*rows), max_rejected=0.5).report
    as_dict = json.loads(json.dumps(report.as_dict()))
    assert as_dict["read"] == 6 == as_dict["accepted"] + sum(as_dict["rejected"].values())
    assert as_dict["rejected"] == {"empty field": 1}
    assert as_dict["duplicates"] == 1
    (file,) = as_dict["files"]
    assert (file["read"], file["accepted"], file["rejected"], file["forms"]) == (6, 5, 1, {"trl": 5})
