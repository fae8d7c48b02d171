"""Verdicts that are known to be right or wrong: shares by prompt, what is missing, what is refused."""

from __future__ import annotations

import json

import pytest

from frft.errors import DataError, TooManyRejectedError
from frft.labels.known_verdicts import KnownVerdicts


@pytest.fixture
def write_rows(tmp_path):
    def write(rows: list[dict]) -> str:
        path = tmp_path / "known.jsonl"
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        return str(path)

    return write


def row(prompt: str, verdicts: object, region: object = "a") -> dict:
    return {"prompt": prompt, "chosen": "good", "rejected": "bad", "region": region, "verdicts": verdicts}


def test_shares_are_of_prompts_and_missing_verdicts_are_counted(write_rows):
    file = write_rows(
        [
            row("1", {"Ann": [True, False], "Bob": True}),
            row("1", {"Ann": [True, True], "Bob": False}),
            row("2", {"Ann": [None, False], "Bob": None}),
            row("3", {"Ann": [None, None], "Bob": False}),
            row("1", {"Bob": True}, "b"),
            row("4", {"Ann": True, "Bob": True}, "b"),
        ],
    )
    found = KnownVerdicts.load(file, region_column="region")
    assert {name: list(regions) for name, regions in found.annotators.items()} == {"Ann": ["a", "b"], "Bob": ["a", "b"]}
    ann, bob = (found.annotators[name] for name in ("Ann", "Bob"))
    # Prompt 1: the mean of 1/2 and 1; prompt 2: one readable verdict; prompt 3: none.
    assert (ann["a"].right_P.tolist(), ann["a"].pairs, ann["a"].missing) == ([0.75, 0.0], 4, 3)
    assert (bob["a"].right_P.tolist(), bob["a"].pairs, bob["a"].missing) == ([0.5, 0.0], 4, 1)
    # Nobody asked Ann about a pair that does not name her.
    assert (ann["b"].right_P.tolist(), ann["b"].missing) == ([1.0], 1)
    whole = KnownVerdicts.load(file)
    assert list(whole.annotators["Bob"]) == ["all"]
    # Prompt 1 has three pairs there: right, wrong, right.
    assert sorted(whole.annotators["Bob"]["all"].right_P.tolist()) == pytest.approx([0, 2 / 3, 1])


@pytest.mark.parametrize(
    ("wrong", "complaint"),
    [
        (row("1", {"Ann": "yes"}), "the verdict of 'Ann' is 'yes'; it is true, false, null or a list"),
        (row("1", {"Ann": []}), "the verdict of 'Ann' is"),
        (row("1", {"Ann": 1}), "the verdict of 'Ann' is 1"),
        (row("1", True), "'verdicts' is True, not an object with a key per annotator"),
        (row("1", {}), "not an object with a key per annotator"),
        (row("1", {"Ann": True}, " "), "'region' names no region"),
        ({"prompt": "1", "region": "a"}, "missing field"),
        ({"prompt": "1", "verdicts": {"Ann": True}}, "--region-column"),
    ],
)
def test_rows_that_cannot_be_used(wrong, complaint, write_rows):
    file = write_rows([row("0", {"Ann": True}), wrong])
    with pytest.raises(TooManyRejectedError) as caught:
        KnownVerdicts.load(file, region_column="region")
    assert complaint in str(caught.value)
    assert KnownVerdicts.load(file, region_column="region", max_rejected=0.5).report.accepted == 1


def test_an_annotator_without_a_verdict_in_a_region(write_rows):
    file = write_rows([row("1", {"Ann": True, "Bob": True}), row("2", {"Ann": True, "Bob": None}, "b")])
    with pytest.raises(DataError, match="No verdict of 'Bob' in the region 'b' can be read"):
        KnownVerdicts.load(file, region_column="region")
