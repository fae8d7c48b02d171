"""Stored verdicts in every published form."""

from __future__ import annotations

import json

import pyarrow.parquet as pq
import pytest

from frft.errors import TooManyRejectedError, UnreadableError
from frft.evaluation import StoredAnnotations, win_rate


@pytest.fixture
def load(tmp_path):
    def load(rows, name="annotations.jsonl", **more):
        path = tmp_path / name
        text = json.dumps(rows) if name.endswith(".json") else "".join(json.dumps(row) + "\n" for row in rows)
        path.write_text(text)
        return StoredAnnotations.load(path, **more)

    return load


def talk(*turns):
    return [{"role": ("user", "assistant")[n % 2], "content": text} for n, text in enumerate(turns)]


def test_frfts_own_form_in_either_order(load):
    judge = load(
        [
            {"prompt": "p", "first": "a", "second": "b", "preference": 0.8},
            {"prompt": "q", "first": "d", "second": "c", "preference": 1},
            {"prompt": "r", "first": "a", "second": "b", "preference": None},
        ]
    )
    assert judge.prefer(["p", "q", "r", "p"], ["a", "d", "a", "a"], ["b", "c", "b", "x"]) == [0.8, 1.0, None, None]
    assert judge.prefer(["p", "q"], ["b", "c"], ["a", "d"]) == pytest.approx([0.2, 0.0])
    assert (judge.pairs, judge.without_verdict) == (2, 1)
    assert judge.report.files[0].forms == {"frft": 3}


def test_equal_texts_are_a_tie_that_nobody_need_judge(load):
    judge = load([{"prompt": "p", "first": "a", "second": "b", "preference": 0.8}])
    assert judge.prefer(["p", "q"], ["c", "d "], ["c", "d"]) == [0.5, 0.5]


def test_alpaca_evals_form(load):
    row = {"instruction": "p", "output_1": "a", "generator_1": "x", "generator_2": "y"}
    rows = [{**row, "output_2": text, "preference": value} for text, value in
            [("b", 1), ("c", 2.0), ("d", 1.5), ("e", 0), ("f", 1.25), ("g", None)]]  # fmt: skip
    judge = load(rows, "annotations.json")
    assert judge.prefer(["p"] * 6, ["a"] * 6, list("bcdefg")) == [1.0, 0.0, 0.5, 0.5, 0.75, None]


def test_the_arenas_form(load):
    rows = [
        {"conversation_a": talk("q", "yes"), "conversation_b": talk("q", text), "winner": winner, "model_a": "x"}
        for text, winner in [("no", "model_a"), ("maybe", "model_b"), ("well", "tie"), ("hm", "tie (bothbad)")]
    ]
    judge = load(rows)
    prompt = "\n\nHuman: q\n\nAssistant:"
    assert judge.prefer([prompt] * 4, ["yes"] * 4, ["no", "maybe", "well", "hm"]) == [1.0, 0.0, 0.5, 0.5]
    assert judge.prefer([prompt], [" no"], [" yes"]) == [0.0]


def test_preference_pairs_are_annotations(load):
    judge = load([{"prompt": "p", "chosen": "a", "rejected": "b"}, {"prompt": "p", "chosen": "c", "rejected": "b"}])
    assert judge.prefer(["p", "p"], ["b", "c"], ["a", "b"]) == [0.0, 1.0]


def test_several_annotators_are_averaged(load):
    judge = load(
        [{"prompt": "p", "chosen": "a", "rejected": "b"}] * 2 + [{"prompt": "p", "chosen": "b", "rejected": "a"}]
    )
    assert judge.prefer(["p"], ["a"], ["b"]) == [pytest.approx(2 / 3)]
    assert judge.pairs == 1


def test_csv_has_only_text(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("prompt,first,second,preference\np,a,b,0.25\nq,a,b,\n")
    judge = StoredAnnotations.load(path)
    assert judge.prefer(["p", "q"], ["a", "a"], ["b", "b"]) == [0.25, None]


GOOD = {"prompt": "p", "first": "a", "second": "b", "preference": 1}
ALPACA = {"instruction": "p", "output_1": "a", "output_2": "b", "preference": 1}
ARENA = {"conversation_a": talk("q", "x"), "conversation_b": talk("q", "y"), "winner": "tie"}


@pytest.mark.parametrize(
    ("good", "change", "said"),
    [
        (GOOD, {"preference": 1.5}, "from 0 to 1"),
        (GOOD, {"preference": "x"}, "not a number"),
        (GOOD, {"preference": True}, "from 0 to 1"),
        (GOOD, {"preference": "nan"}, "from 0 to 1"),
        (GOOD, {"first": " "}, "blank"),
        (ALPACA, {"preference": 0.5}, "or 0 for a tie"),
        (ALPACA, {"preference": 3}, "from 0 to 2"),
        (ALPACA, {"output_1": None}, "null"),
        (ARENA, {"winner": "both"}, "one of model_a"),
        (ARENA, {"winner": ["tie"]}, "one of model_a"),
        (ARENA, {"conversation_b": talk("other", "y")}, "differ in more than their last"),
        (ARENA, {"conversation_a": talk("q")}, "ends with a message from the user"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_row_that_cannot_be_used_is_counted_with_its_reason(load, good, change, said):
    with pytest.raises(TooManyRejectedError, match=said):
        load([good] * 3 + [{**good, **change}])
    judge = load([good] * 3 + [{**good, **change}], max_rejected=0.5)
    assert (judge.report.accepted, sum(judge.report.rejected.values())) == (3, 1)


def test_what_are_no_annotations(load, tmp_path):
    with pytest.raises(TooManyRejectedError, match="annotations have frft: first, preference, prompt, second"):
        load([{"prompt": "p", "completion": "c"}])
    with pytest.raises(UnreadableError):
        StoredAnnotations.load(tmp_path / "missing.jsonl")


def test_real_annotations_as_a_judge(shared_data):
    """One model against text-davinci-003 by GPT-4, counted by hand from the same file."""
    path = shared_data / "alpaca-eval" / "preferences.parquet"
    rows = [row for row in pq.read_table(path).to_pylist() if row["annotator"] == "gpt4-vs-davinci003"]
    wins, games = {}, {}
    for row in rows:
        for side, other, won in (("chosen", "rejected", 1), ("rejected", "chosen", 0)):
            if row[f"{other}_source"] == "text_davinci_003":
                model = row[f"{side}_source"]
                wins[model] = wins.get(model, 0) + won
                games.setdefault(model, []).append((row["prompt"], row[side], row[other]))
    model = max(games, key=lambda name: len(games[name]))
    judge = StoredAnnotations([(row["prompt"], row["chosen"], row["rejected"], 1.0) for row in rows])
    result = win_rate(judge, *zip(*games[model], strict=True))
    assert result.n > 100
    # The order in which a pair was shown is not told.
    assert (result.unjudged, result.flips) == (0, None)
    assert result.rate == pytest.approx(wins[model] / len(games[model]), abs=1e-9)


def test_every_row_is_read_by_its_own_form(load):
    """Two rows of one form and one of another: the majority decides nothing."""
    rows = [
        {"prompt": "p", "first": "a", "second": "b", "preference": 1},
        {"prompt": "q", "first": "a", "second": "b", "preference": 0},
        {"instruction": "name a fruit", "chosen": "apple, say", "rejected": "apple pie"},
        {"instruction": "r", "output_1": "a", "output_2": "b", "preference": 1.25},
    ]
    judge = load(rows)
    assert judge.report.files[0].forms == {"frft": 2, "llama-factory": 1, "alpaca-eval": 1}
    prompts = ["p", "q", "name a fruit", "r"]
    assert judge.prefer(prompts, ["a", "a", "apple pie", "a"], ["b", "b", "apple, say", "b"]) == [1.0, 0.0, 0.0, 0.75]


def test_annotations_give_prompts_and_completions_as_pairs_do(load):
    row = {"system": "Be brief.", "prompt": talk("q"), "preference": 1}
    judge = load([{**row, "first": talk("q", "a")[1], "second": "b"}])
    assert judge.prefer(["\n\nSystem: Be brief.\n\nHuman: q\n\nAssistant:"], ["a"], ["b"]) == [1.0]
