from __future__ import annotations

import gzip
import json

import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from frft.errors import DataError, OutputError
from frft.preferences import export_form, export_rows, load_pool, render_dialogue

ODD = '{ "rejected":"r",  "prompt" : "\\u0070 7", "chosen":"\\ud83d\\ude00", "nested": [1] , "x": 1.50}'


def ids(pool, *rows):
    table = pool.table["id"].to_pylist()
    return [table[row] for row in rows]


def test_lines_are_copied_letter_for_letter_in_the_order_they_were_read(write_lines, tmp_path, pair):
    lines = [json.dumps(pair(number)) for number in range(6)]
    write_lines("\ufeff" + lines[0], lines[1] + "\r", "", ODD, name="data/a.jsonl")
    write_lines(*lines[2:], lines[0], name="data/b.jsonl")
    pool = load_pool(tmp_path / "data")
    out = tmp_path / "kept.jsonl"
    assert export_rows(pool, ids(pool, 7, 2, 0, 4), out) == 4
    assert out.read_text().split("\n") == [lines[0], ODD, lines[3], lines[0], ""]
    assert load_pool(out).table["prompt"].to_pylist() == ["Question 0?", "p 7", "Question 3?", "Question 0?"]


def test_every_row_of_a_compressed_file_comes_back(shared_data, tmp_path):
    path = shared_data / "hh-rlhf" / "helpful-base.jsonl.gz"
    pool = load_pool(path)
    assert export_rows(pool, pool.table["id"].to_pylist(), tmp_path / "kept.jsonl") == len(pool)
    kept = (tmp_path / "kept.jsonl").read_bytes().splitlines(keepends=True)
    originals = gzip.decompress(path.read_bytes()).splitlines(keepends=True)
    assert kept == [originals[row - 1] for row in pool.table["origin_row"].to_pylist()]


@pytest.mark.parametrize("name", ["pairs.csv", "pairs.json", "pairs.parquet"])
def test_rows_of_other_files_become_json_with_the_same_content(write_lines, tmp_path, pair, name):
    rows = [{**pair(number), "note": "é"} for number in range(4)]
    source = load_pool(write_lines(*rows))
    path = tmp_path / name
    if name.endswith("csv"):
        path.write_text("prompt,chosen,rejected,note\n" + "".join(",".join(row.values()) + "\n" for row in rows))
    elif name.endswith("json"):
        path.write_text(json.dumps(rows, indent=2))
    else:
        pq.write_table(source.table.select(list(rows[0])), path)
    pool = load_pool(path)
    export_rows(pool, ids(source, 1, 3), tmp_path / "kept.jsonl")
    assert [json.loads(line) for line in (tmp_path / "kept.jsonl").read_text().splitlines()] == rows[1::2]


def test_a_source_that_changed_is_an_error_and_leaves_no_file(write_lines, tmp_path, pair):
    path = write_lines(pair(0), pair(1))
    pool = load_pool(path)
    path.write_bytes(path.read_bytes().replace(b"Yes", b"yes"))
    with pytest.raises(DataError, match=r"pairs.jsonl has changed since"):
        export_rows(pool, ids(pool, 0), tmp_path / "kept.jsonl")
    assert not (tmp_path / "kept.jsonl").exists()


def test_ids_that_are_not_in_the_pool_are_an_error(write_lines, tmp_path, pair):
    pool = load_pool(write_lines(pair(0)))
    with pytest.raises(DataError, match="1 of 2 ids are not in the pool, 'nowhere' for one"):
        export_rows(pool, [*ids(pool, 0), "nowhere"], tmp_path / "kept.jsonl")


def test_a_source_is_not_overwritten(write_lines, pair):
    path = write_lines(pair(0))
    before = path.read_bytes()
    pool = load_pool(path)
    with pytest.raises(OutputError, match="one of the files"):
        export_rows(pool, ids(pool, 0), path)
    assert path.read_bytes() == before


def test_rows_of_a_hub_data_set_are_its_rows(monkeypatch, tmp_path, pair):
    import datasets

    rows = [pair(number, nested=[number]) for number in range(3)]
    served = [datasets.Dataset.from_list(rows)]
    monkeypatch.setattr(datasets, "load_dataset", lambda repository, split: served[-1])
    pool = load_pool("owner/name")
    assert export_rows(pool, ids(pool, 2), tmp_path / "kept.jsonl") == 1
    assert json.loads((tmp_path / "kept.jsonl").read_text()) == rows[2]
    served.append(datasets.Dataset.from_list(rows[1:]))
    with pytest.raises(DataError, match="has changed since"):
        export_rows(pool, ids(pool, 2), tmp_path / "kept.jsonl")


def test_an_export_of_several_forms_has_one_and_is_read_back_the_same(shared_cases, tmp_path):
    files = [shared_cases / f"mixed-pool-{which}.jsonl" for which in "ab"]
    pool = load_pool(files)
    assert [list(file.forms) for file in pool.report.files] == [["trl-implicit"], ["llama-factory"]]
    assert "Name a capital, number 0." in pool.table["prompt"].to_pylist()
    assert export_form(pool) == "trl"
    kept = tmp_path / "kept.jsonl"
    assert export_rows(pool, ids(pool, *range(10)), kept) == 10
    again = load_pool(kept)
    assert again.report.forms == {"trl": 10}
    columns = ["id", "prompt", "chosen", "rejected"]
    assert again.table.select(columns).equals(pool.table.select(columns).slice(0, 10))
    one = tmp_path / "one.jsonl"
    one.write_text("".join(file.read_text() for file in files))
    assert load_pool(one).table.select(columns).equals(pool.table.select(columns))


# What no form holds: NUL, halves of surrogate pairs. Marks of turns are HH-RLHF's own and part its dialogues.
WORDS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=30)
TEXTS = WORDS.filter(lambda text: text.strip() and "\n\n" not in text)
CONTENTS = st.lists(TEXTS, min_size=1, max_size=3)


def user(text):
    return {"role": "user", "content": text}


def assistant(text):
    return {"role": "assistant", "content": text}


def dialogue(texts, system):
    """The messages of a conversation in which user and assistant take turns."""
    turns = [(user, assistant)[place % 2](text) for place, text in enumerate(texts)]
    return ([{"role": "system", "content": system}] if system else []) + turns


def sharegpt(messages):
    return [{"from": message["role"], "value": message["content"]} for message in messages]


MADE = {
    "trl": lambda p, c, r, s: {"prompt": p[-1]["content"], "chosen": c, "rejected": r, "system": s},
    "trl-messages": lambda p, c, r, s: {"prompt": p, "chosen": [assistant(c)], "rejected": [assistant(r)]},
    "trl-implicit": lambda p, c, r, s: {"chosen": f"{p[-1]['content']} {c}", "rejected": f"{p[-1]['content']} {r}"},
    "trl-implicit-messages": lambda p, c, r, s: {"chosen": [*p, assistant(c)], "rejected": [*p, assistant(r)]},
    "hh-rlhf": lambda p, c, r, s: {
        "chosen": f"{render_dialogue(p)} {c}",
        "rejected": f"{render_dialogue(p)} {r}",
        "margin": 1.5,
    },
    "ultrafeedback": lambda p, c, r, s: {
        "prompt": p[-1]["content"],
        "chosen": [p[-1], assistant(c)],
        "rejected": [p[-1], assistant(r)],
        "score_chosen": 9.0,
        "score_rejected": 6.5,
    },
    "rm-static": lambda p, c, r, s: {"prompt": p[-1]["content"], "response": c, "chosen": c, "rejected": r},
    "llama-factory": lambda p, c, r, s: {
        "instruction": p[-1]["content"],
        "input": c,
        "history": [["q", "a"]],
        "chosen": c,
        "rejected": r,
        "system": s,
    },
    "llama-factory-sharegpt": lambda p, c, r, s: {"conversations": sharegpt(p), "chosen": c, "rejected": assistant(r)},
    "llama-factory-v1": lambda p, c, r, s: {
        f"{side}_messages": [
            {**message, "content": [{"type": "text", "value": message["content"]}]} for message in [*p, assistant(text)]
        ]
        for side, text in (("chosen", c), ("rejected", r))
    },
    "axolotl": lambda p, c, r, s: {"messages": p, "chosen": assistant(c), "rejected": assistant(r)},
    "orca": lambda p, c, r, s: {"system": s, "question": p[-1]["content"], "chosen": c, "rejected": r},
    "argilla": lambda p, c, r, s: {"instruction": p[-1]["content"], "chosen_response": c, "rejected_response": r},
    "medicalgpt": lambda p, c, r, s: {
        "question": p[-1]["content"],
        "response_chosen": c,
        "response_rejected": r,
        "history": [],
    },
    "nemo": lambda p, c, r, s: {
        "context": p,
        "completions": [{"rank": 1, "completion": r}, {"rank": 0, "completion": [assistant(c)]}],
    },
}
FIELDS = ("id", "prompt", "chosen", "rejected", "margin")


def pairs_of(pool):
    columns = [pool.table[name].to_pylist() if name in pool.table.column_names else None for name in FIELDS]
    return list(zip(*[column or [None] * len(pool) for column in columns], strict=True))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rows=st.lists(
        st.tuples(st.sampled_from(sorted(MADE)), CONTENTS, TEXTS, TEXTS, st.sampled_from(["", "Be brief."])),
        min_size=1,
        max_size=8,
    )
)
def test_every_form_is_read_back_from_an_export_alone_and_in_any_company(write_lines, tmp_path, rows):
    made = [
        MADE[form](dialogue([*texts, "?"] if len(texts) % 2 == 0 else texts, system), chosen, rejected, system)
        for form, texts, chosen, rejected, system in rows
    ]
    path = write_lines(*made)
    whole = load_pool(path, max_rejected=None)
    alone = [
        pair[1:] for row in made for pair in pairs_of(load_pool(write_lines(row, name="one.jsonl"), max_rejected=None))
    ]
    # A row means the same in any company; and what is read is what was meant, in all forms of messages and text.
    assert [pair[1:] for pair in pairs_of(whole)] == alone
    if not len(whole):
        return
    kept = tmp_path / "kept.jsonl"
    assert export_rows(whole, whole.table["id"].to_pylist(), kept) == len(whole)
    again = load_pool(kept)
    assert pairs_of(again) == pairs_of(whole)
    # What tells rm-static from trl is a column of the data, which an export keeps.
    assert len(again.report.forms.keys() - {"rm-static"}) <= 1


@pytest.mark.parametrize("form", MADE)
def test_the_makers_of_forms_make_them(write_lines, form):
    """What the property above is about: every form occurs, is recognised, and holds the texts it was made from."""
    pool = load_pool(write_lines(MADE[form](dialogue(["Which colour?"], "Be brief."), "Red.", "Blue.", "Be brief.")))
    assert pool.report.forms == {form: 1}
    (row,) = pool.table.to_pylist()
    assert "Which colour?" in row["prompt"]
    assert (row["chosen"].strip(), row["rejected"].strip()) == ("Red.", "Blue.")
