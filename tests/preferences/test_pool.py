from __future__ import annotations

import hashlib
import json
from collections import Counter

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from frft.errors import TooManyRejectedError, UsageError
from frft.preferences import load_pool

HH = "\n\nHuman: Hi\n\nAssistant:"
ASKED = [{"role": "user", "content": "Colour?"}]
RED, BLUE = ({"role": "assistant", "content": text} for text in ("Red.", "Blue."))
PLAIN = {"prompt": "p", "chosen": "c", "rejected": "r"}
DIALOGUE = {"chosen": f"{HH} Red.", "rejected": f"{HH} Blue."}
MESSAGES = {"chosen": [*ASKED, RED], "rejected": [*ASKED, BLUE]}
ULTRA = {"prompt": "Colour?", **MESSAGES, "score_chosen": 9, "score_rejected": 5}
NEMO = {"context": "Colour?", "completions": [{"rank": 0, "completion": "a"}, {"rank": 1, "completion": "b"}]}
SHAREGPT = {
    "conversations": [{"from": "human", "value": "Colour?"}],
    "chosen": {"from": "gpt", "value": "Red."},
    "rejected": {"from": "gpt", "value": "Blue."},
}
ALPACA = {"instruction": "Colour?", "input": "", "chosen": "Red.", "rejected": "Blue."}


def ranked(*ranks):
    return {
        **NEMO,
        "completions": [{"rank": rank, "completion": str(place)} for place, rank in enumerate(ranks)],
    }


BROKEN_ROWS = {
    "cut off": (PLAIN, b'{"prompt": "p", "chosen"', "broken JSON"),
    "single quotes": (PLAIN, b"{'prompt': 'p'}", "broken JSON"),
    "Latin-1": (PLAIN, b'{"prompt": "\xe9", "chosen": "c", "rejected": "r"}', "bad encoding"),
    "a list": (PLAIN, b'["p", "c", "r"]', "not an object"),
    "a number": (PLAIN, b"12", "not an object"),
    "a key twice": (
        PLAIN,
        b'{"prompt": "p", "chosen": "c", "chosen": "d", "rejected": "r"}',
        "duplicate key",
    ),
    "no rejected": (PLAIN, {"prompt": "p", "chosen": "c"}, "missing field"),
    "rejected is null": (PLAIN, {**PLAIN, "rejected": None}, "empty field"),
    "no instruction": (ALPACA, {"input": "", "chosen": "c", "rejected": "r"}, "empty field"),
    "no conversations": (SHAREGPT, {**SHAREGPT, "conversations": None}, "empty field"),
    "no completion": (NEMO, {**NEMO, "completions": [{"rank": 0}, {"rank": 1}]}, "missing field"),
    "nothing known": (PLAIN, {"question": "q"}, "unknown format"),
    "empty chosen": (PLAIN, {**PLAIN, "chosen": ""}, "empty field"),
    "blank prompt": (PLAIN, {**PLAIN, "prompt": " \n"}, "empty field"),
    "empty answer": (DIALOGUE, {**DIALOGUE, "chosen": f"{HH} "}, "empty field"),
    "empty message": (MESSAGES, {**MESSAGES, "chosen": [*ASKED, {**RED, "content": ""}]}, "empty field"),
    "number for text": (PLAIN, {**PLAIN, "chosen": 7}, "wrong type"),
    "another question for text": (PLAIN, {**PLAIN, "rejected": [*ASKED, RED]}, "prompt not in the messages"),
    "text for messages": (MESSAGES, {**MESSAGES, "rejected": "Blue."}, "wrong type"),
    "completions no list": (NEMO, {**NEMO, "completions": {"rank": 0}}, "wrong type"),
    "history no list": (ALPACA, {**ALPACA, "history": [["only a question"]]}, "wrong type"),
    "both the same": (PLAIN, {**PLAIN, "rejected": "c"}, "chosen = rejected"),
    "same but for spaces": (PLAIN, {**PLAIN, "rejected": " c\n"}, "chosen = rejected"),
    "same dialogues": (DIALOGUE, {**DIALOGUE, "chosen": DIALOGUE["rejected"]}, "chosen = rejected"),
    "same messages": (MESSAGES, {**MESSAGES, "chosen": MESSAGES["rejected"]}, "chosen = rejected"),
    "other dialogue": (
        DIALOGUE,
        {**DIALOGUE, "chosen": "\n\nHuman: Yo\n\nAssistant: Red."},
        "no shared prompt",
    ),
    "no turn": (DIALOGUE, {**DIALOGUE, "chosen": "Red."}, "no shared prompt"),
    "nothing asked": (
        DIALOGUE,
        {"chosen": "\n\nAssistant: a", "rejected": "\n\nAssistant: b"},
        "no shared prompt",
    ),
    "dialogues part earlier": (
        DIALOGUE,
        {"chosen": f"{HH} a\n\nHuman: b\n\nAssistant: c", "rejected": f"{HH} d\n\nHuman: b\n\nAssistant: e"},
        "no shared prompt",
    ),
    "other question": (
        MESSAGES,
        {**MESSAGES, "chosen": [{"role": "user", "content": "x"}, RED]},
        "no shared prompt",
    ),
    "no question": (MESSAGES, {"chosen": [RED], "rejected": [BLUE]}, "no shared prompt"),
    "no messages": (MESSAGES, {**MESSAGES, "chosen": []}, "empty message list"),
    "no role": (MESSAGES, {**MESSAGES, "chosen": [*ASKED, {"content": "x"}]}, "bad message"),
    "no content": (MESSAGES, {**MESSAGES, "chosen": [*ASKED, {"role": "assistant"}]}, "bad message"),
    "unknown role": (SHAREGPT, {**SHAREGPT, "chosen": {"from": "observation", "value": "x"}}, "bad message"),
    "the user last": (
        MESSAGES,
        {**MESSAGES, "chosen": [*ASKED, *ASKED]},
        "last message not from the assistant",
    ),
    "the assistant twice": (
        MESSAGES,
        {"chosen": [*ASKED, RED, RED], "rejected": [*ASKED, RED, BLUE]},
        "prompt ends with the assistant",
    ),
    "another prompt": (ULTRA, {**ULTRA, "prompt": "Shape?"}, "prompt not in the messages"),
    "margin is a word": (PLAIN, {**PLAIN, "margin": "much"}, "margin not a finite number"),
    "margin is NaN": (PLAIN, {**PLAIN, "margin": float("nan")}, "margin not a finite number"),
    "margin below 0": (PLAIN, {**PLAIN, "margin": -1}, "negative margin"),
    "scores the wrong way": (ULTRA, {**ULTRA, "score_chosen": 1}, "negative margin"),
    "half a surrogate pair": (PLAIN, {**PLAIN, "chosen": "a\ud83d"}, "lone surrogate"),
    "half a pair elsewhere": (PLAIN, {**PLAIN, "source": "a\ud83d"}, "lone surrogate"),
    "NUL": (PLAIN, {**PLAIN, "rejected": "a\0b"}, "NUL character"),
    "one completion": (NEMO, ranked(0), "too few completions"),
    "equal ranks": (NEMO, ranked(1, 1, 1), "equal ranks"),
    "rank is a word": (NEMO, ranked(0, "last"), "rank not a finite number"),
    "no rank": (NEMO, ranked(0, None), "rank not a finite number"),
}


@pytest.mark.parametrize(("good", "broken", "reason"), BROKEN_ROWS.values(), ids=BROKEN_ROWS)
def test_a_broken_row_is_rejected_with_its_reason_and_spoils_no_other(write_lines, tmp_path, good, broken, reason):
    path = write_lines(good, broken, good)
    pool = load_pool(path, max_rejected=0.5, rejects_path=tmp_path / "rejects.jsonl")
    assert pool.report.rejected == {reason: 1}
    assert pool.report.accepted + sum(pool.report.rejected.values()) == pool.report.read == 3
    assert pool.table["origin_row"].to_pylist() == [1, 3]
    (rejected,) = (json.loads(line) for line in (tmp_path / "rejects.jsonl").read_text().splitlines())
    assert (rejected["file"], rejected["line"], rejected["reason"]) == (str(path), 2, reason)


def test_rows_of_no_known_format_name_the_keys_found_and_expected(write_lines):
    path = write_lines({"question": "q", "answers": []})
    with pytest.raises(TooManyRejectedError, match=r"unknown format: found the keys 'question', 'answers'; expected"):
        load_pool(path)


def test_an_uneven_row_of_csv_is_a_rejection_too(tmp_path):
    path = tmp_path / "pairs.csv"
    path.write_text("prompt,chosen,rejected,margin\np,c,r,\np,c\nq,c,r,0.5\n")
    pool = load_pool(path, max_rejected=0.5)
    assert pool.report.rejected == {"uneven row": 1}
    assert pool.table["prompt"].to_pylist() == ["p", "q"]
    assert pool.table["margin"].to_pylist() == [None, 0.5]


def test_too_many_rejected_rows_are_an_error_that_says_where_the_first_stand(write_lines, pair):
    path = write_lines(*(pair(number, chosen="") for number in range(12)), *(pair(n) for n in range(100)))
    with pytest.raises(TooManyRejectedError) as caught:
        load_pool(path)
    message = str(caught.value)
    assert "12 of 112 rows (10.71%) cannot be used; at most 1.00% may be (max_rejected):" in message
    assert f"  12 rows: empty field: 'chosen' is blank ({path}, line 1, line 2, line 3, ...)\n" in message
    assert "key" not in message


def test_columns_of_other_names_are_an_error_that_names_the_options(write_lines):
    path = write_lines(*({"q": f"p {n}", "good": "yes", "bad": "no"} for n in range(12)))
    with pytest.raises(TooManyRejectedError) as caught:
        load_pool(path)
    message = str(caught.value)
    assert message.count("unknown format: found the keys 'q', 'good', 'bad'") == 1
    assert "--chosen-key" in message
    assert "data.chosen_key" in message
    assert "--max-rejected" not in message


def test_the_table_keeps_the_datas_own_columns(write_lines):
    path = write_lines(
        {**ULTRA, "prompt_id": "a", "id": 5, "messages": []}, {**ULTRA, "score_chosen": 10, "prompt_id": None}
    )
    pool = load_pool(path)
    assert pool.table.schema == pa.schema(
        {
            "id": pa.string(),
            "prompt": pa.string(),
            "chosen": pa.string(),
            "rejected": pa.string(),
            "margin": pa.float64(),
            "score_chosen": pa.int64(),
            "score_rejected": pa.int64(),
            "prompt_id": pa.string(),
            "source_id": pa.int64(),
            "origin_file": pa.string(),
            "origin_row": pa.int64(),
        }
    )
    first = pool.table.slice(0, 1).to_pylist()[0]
    assert first["prompt"] == "\n\nHuman: Colour?\n\nAssistant:"
    assert (first["chosen"], first["rejected"]) == (" Red.", " Blue.")
    assert pool.table["margin"].to_pylist() == [4.0, 5.0]
    assert pool.report.renamed_columns == {"id": "source_id"}
    assert pool.report.left_out_columns == {"messages": 1}


def test_ids_are_content_hashes_and_repeated_rows_are_kept(write_lines, pair):
    pool = load_pool(write_lines(PLAIN, pair(1), PLAIN, {**PLAIN, "source": "other"}))
    content = hashlib.sha256(b"p\0c\0r").hexdigest()[:16]
    ids = pool.table["id"].to_pylist()
    assert [ids[0], ids[2], ids[3]] == [content, f"{content}-2", f"{content}-3"]
    assert pool.report.duplicates == 2


def test_unusual_column_names(write_lines):
    path = write_lines({"q": "p", "good": "c", "bad": "r", "source": "s"}, {"q": "p", "good": "c"})
    pool = load_pool(path, prompt_key="q", chosen_key="good", rejected_key="bad", max_rejected=0.5)
    (row,) = pool.table.to_pylist()
    assert (row["prompt"], row["chosen"], row["rejected"], row["source"]) == ("p", "c", "r", "s")
    assert pool.report.files[0].forms == {"openrlhf (trl)": 1}
    assert pool.report.rejected == {"missing field": 1}


def test_a_limit_draws_rows_at_random_and_leaves_their_order_and_ids(write_lines, pair):
    path = write_lines(*(pair(number) for number in range(200)))
    whole = load_pool(path)
    parts = [load_pool(path, limit=50, seed=seed) for seed in (0, 0, 1)]
    for part in parts:
        rows = part.table["origin_row"].to_pylist()
        assert len(rows) == len(set(rows)) == 50 == part.report.drawn
        assert rows == sorted(rows)
        assert part.report.accepted == 200
        assert part.table.to_pylist() == whole.subset([row - 1 for row in rows]).table.to_pylist()
    assert parts[0].table.equals(parts[1].table)
    assert not parts[0].table.equals(parts[2].table)
    assert load_pool(path, limit=200).report.drawn is None
    with pytest.raises(UsageError, match="limit is 0"):
        load_pool(path, limit=0)


def test_a_hub_data_set_becomes_a_pool(monkeypatch):
    import datasets

    rows = datasets.Dataset.from_list([DIALOGUE, DIALOGUE])
    monkeypatch.setattr(datasets, "load_dataset", lambda repository, split: rows)
    pool = load_pool("owner/name", split="test")
    assert pool.table["prompt"].to_pylist() == [HH, HH]
    assert pool.table["origin_file"].to_pylist() == ["hf://datasets/owner/name (test)"] * 2


def test_hh_rlhf_itself(shared_data):
    pool = load_pool(shared_data / "hh-rlhf")
    assert (pool.report.read, pool.report.accepted) == (3600, 3594)
    assert [list(file.forms) for file in pool.report.files] == [["hh-rlhf"]] * 2
    import gzip

    lines = {
        file.source.name: gzip.decompress(file.source.path.read_bytes()).split(b"\n") for file in pool.report.files
    }
    for row in pool.table.to_pylist():
        original = json.loads(lines[row["origin_file"]][row["origin_row"] - 1])
        assert row["prompt"].endswith("\n\nAssistant:")
        assert row["prompt"] + row["chosen"] == original["chosen"]
        assert row["prompt"] + row["rejected"] == original["rejected"]
        assert row["chosen"].startswith(" ")


def test_the_alpaca_eval_pool_itself(shared_data):
    path = shared_data / "alpaca-eval" / "preferences.parquet"
    pool = load_pool(path)
    raw = pq.read_table(path).to_pandas()
    same = raw["chosen"].str.strip() == raw["rejected"].str.strip()
    assert pool.report.read == len(raw) == 76_000
    assert pool.report.rejected == {"chosen = rejected": int(same.sum())}
    kept = raw[~same].reset_index(drop=True)
    assert pool.report.duplicates == int(kept.duplicated(["prompt", "chosen", "rejected"]).sum())
    for column in raw.columns:
        assert pool.table[column].to_pylist() == kept[column].tolist()
    assert Counter(pool.table["origin_row"].to_pylist()) == Counter((raw.index[~same] + 1).tolist())


def test_a_system_prompt_beside_the_question_is_part_of_the_prompt(shared_cases):
    path = shared_cases / "system-beside-question.jsonl"
    for options in ({}, {"prompt_key": "question"}):
        pool = load_pool(path, **options)
        assert pool.table["prompt"].to_pylist()[0] == (
            "\n\nSystem: You are pirate 0.\n\nHuman: name a fruit 0\n\nAssistant:"
        )
        assert "system" not in pool.table.column_names


@pytest.mark.parametrize("name", ["conversations-and-texts", "messages-and-one-message-each"])
def test_messages_beside_texts_and_single_messages(shared_cases, name):
    pool = load_pool(shared_cases / f"{name}.jsonl")
    assert pool.table["prompt"].to_pylist()[1] == "\n\nHuman: name a fruit 1\n\nAssistant:"
    assert (pool.table["chosen"][0].as_py(), pool.table["rejected"][0].as_py()) == (" apple", " stone")


def test_prompts_taken_off_the_completions_are_counted(write_lines, pair):
    question = "Which colour is the sky?"
    repeated = {"prompt": question, "chosen": f"{question} Blue.", "rejected": f"{question} Red."}
    pool = load_pool(write_lines(pair(), repeated))
    assert pool.report.repeated_prompts == 1
    assert pool.table["chosen"].to_pylist() == [" Yes.", " Blue."]


def test_a_pool_may_be_empty_where_all_rows_may_be_unusable(write_lines):
    pool = load_pool(write_lines({"x": 1}), max_rejected=None)
    assert len(pool) == 0
    assert not pool.report.is_usable(1.0)
    assert pool.table.column_names[:4] == ["id", "prompt", "chosen", "rejected"]
