from __future__ import annotations

import pytest

from frft.errors import DataError, TooManyRejectedError
from frft.preferences import load_pool, load_prompts, load_samples
from frft.progress import SilentProgress

ASKED = [{"role": "user", "content": "Colour?"}]
RED = {"role": "assistant", "content": "Red."}


def test_samples_are_text_or_messages(write_lines):
    path = write_lines(
        {"prompt": "Colour?", "completion": "Red."},
        {"prompt": ASKED, "completion": [RED]},
        {"prompt": ASKED, "completion": "Red."},
        {"prompt": "Colour?", "completion": [RED]},
    )
    samples = load_samples(path)
    dialogue = ("\n\nHuman: Colour?\n\nAssistant:", " Red.")
    assert list(zip(samples.prompts, samples.completions, strict=True)) == [("Colour?", "Red.")] + [dialogue] * 3
    assert len(samples) == 4
    assert samples.models == {}


def test_samples_of_one_model(write_lines):
    rows = [{"prompt": "p", "completion": str(number), "model": "ab"[number % 2]} for number in range(5)]
    path = write_lines(*rows)
    samples = load_samples(path, model="b")
    assert samples.completions == ["1", "3"]
    assert samples.models == {"a": 3, "b": 2}
    assert samples.report.read == samples.report.accepted == 5
    with pytest.raises(DataError, match=r"no samples of model 'c'\. Models in it: 'a', 'b'"):
        load_samples(path, model="c")
    with pytest.raises(DataError, match="there is no column `model`"):
        load_samples(write_lines({"prompt": "p", "completion": "c"}), model="c")


def test_models_may_be_numbers(shared_cases):
    path = shared_cases / "numeric-model-samples.jsonl"
    samples = load_samples(path, model="7")
    assert (len(samples), samples.models) == (12, {"7": 12})
    with pytest.raises(DataError, match=r"no samples of model '8'\. Models in it: '7'"):
        load_samples(path, model="8")


IN_OTHER_FORMS = {
    "columns of one's own": ({"question": "Colour?", "answer": "Red."}, "question", "answer", "Colour?", "Red."),
    "alpaca-eval's outputs": (
        {"instruction": "Colour?", "output": "Red.", "generator": "m"},
        None,
        None,
        "Colour?",
        "Red.",
    ),
    "the same by name": ({"instruction": "Colour?", "output": "Red."}, "instruction", "output", "Colour?", "Red."),
    "a system prompt": (
        {"system": "Be brief.", "prompt": "Colour?", "completion": " Red."},
        None,
        None,
        "\n\nSystem: Be brief.\n\nHuman: Colour?\n\nAssistant:",
        " Red.",
    ),
    "one message": (
        {"messages": ASKED, "completion": RED},
        None,
        None,
        "\n\nHuman: Colour?\n\nAssistant:",
        " Red.",
    ),
    "a whole conversation": (
        {"messages": [*ASKED, RED]},
        None,
        None,
        "\n\nHuman: Colour?\n\nAssistant:",
        " Red.",
    ),
    "a dialogue repeated": (
        {"prompt": "\n\nHuman: Hi\n\nAssistant:", "completion": "\n\nHuman: Hi\n\nAssistant: Red."},
        None,
        None,
        "\n\nHuman: Hi\n\nAssistant:",
        " Red.",
    ),
}


@pytest.mark.parametrize(
    ("row", "prompt_key", "completion_key", "prompt", "completion"), IN_OTHER_FORMS.values(), ids=IN_OTHER_FORMS
)
def test_samples_are_read_by_the_rules_of_pairs(write_lines, row, prompt_key, completion_key, prompt, completion):
    path = write_lines(row, {"prompt": "p", "completion": "c"} if prompt_key is None else row)
    samples = load_samples(path, prompt_key=prompt_key, completion_key=completion_key)
    assert (samples.prompts[0], samples.completions[0]) == (prompt, completion)


def test_completions_that_begin_with_their_prompt_are_told(write_lines):
    said = []

    class Listening(SilentProgress):
        def say(self, line):
            said.append(line)

    question = "Which colour is the sky?"
    rows = [{"prompt": question, "completion": f"{question} {n}"} for n in range(3)] + [
        {"prompt": "p", "completion": "c"}
    ]
    samples = load_samples(write_lines(*rows), progress=Listening())
    assert samples.completions[0] == f"{question} 0"
    (line,) = said
    assert "3 of 4 completions begin with their whole prompt" in line


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"prompt": "p"}, "missing field"),
        ({"completion": "c"}, "missing field"),
        ({"prompt": "p", "completion": " "}, "empty field"),
        ({"prompt": "p", "completion": 7}, "wrong type"),
        ({"prompt": "p", "completion": "\0c"}, "NUL character"),
        ({"prompt": [], "completion": "c"}, "empty message list"),
        ({"prompt": [*ASKED, RED], "completion": "c"}, "prompt ends with the assistant"),
        ({"prompt": ASKED, "completion": ASKED}, "last message not from the assistant"),
        ({"prompt": ASKED, "completion": [*ASKED, *ASKED, RED]}, "bad message"),
        ("broken", "broken JSON"),
    ],
)
def test_broken_samples_are_rejected_with_their_reason(write_lines, row, reason):
    samples = load_samples(write_lines({"prompt": "p", "completion": "c"}, row), max_rejected=0.5)
    assert samples.report.rejected == {reason: 1}
    assert len(samples) == samples.report.accepted == 1


def test_whatever_a_policy_writes_is_taken_where_it_counts(write_lines):
    rows = [{"prompt": "p", "completion": " "}, {"prompt": ASKED, "completion": [{**RED, "content": ""}]}]
    rows.append({"prompt": "p", "completion": "a\0b"})
    samples = load_samples(write_lines(*rows, {"prompt": "p", "completion": None}), blank=True, max_rejected=0.5)
    assert samples.completions == [" ", " ", "a\0b"]
    assert samples.report.rejected == {"empty field": 1}


def test_too_many_broken_samples_are_an_error(write_lines):
    with pytest.raises(TooManyRejectedError, match=r"missing field: 'completion' is missing.*, line 2\)"):
        load_samples(write_lines({"prompt": "p", "completion": "c"}, {"prompt": "p"}))


@pytest.mark.parametrize(
    ("row", "missing"),
    [
        ({"prompt": "p", "response": "c"}, "'completion' is missing; found the keys 'prompt', 'response'"),
        (
            {"asked": "p", "answer": "c"},
            "'prompt' and 'completion' are missing; found the keys 'asked', 'answer'",
        ),
        ({}, "'prompt' and 'completion' are missing; found the keys (none)"),
    ],
)
def test_samples_with_other_columns_are_an_error_that_names_both(write_lines, row, missing):
    with pytest.raises(TooManyRejectedError) as caught:
        load_samples(write_lines(row, row))
    assert f"2 rows: missing field: {missing} (" in str(caught.value)
    assert "prompt_key and completion_key" in str(caught.value).splitlines()[-1]


def test_prompts_with_another_column_too(write_lines):
    with pytest.raises(TooManyRejectedError, match=r"found the keys 'text' .*\nRename the column to prompt\.$"):
        load_prompts(write_lines({"text": "p"}))


def test_prompts_are_texts_as_in_the_pool(write_lines):
    path = write_lines({"prompt": "Colour?", "x": 1}, {"prompt": ASKED}, {"prompt": "Colour?"})
    assert load_prompts(path) == ["Colour?", "\n\nHuman: Colour?\n\nAssistant:", "Colour?"]


def test_every_prompt_must_be_usable(write_lines):
    rows = [{"prompt": f"p{number}"} for number in range(999)]
    with pytest.raises(TooManyRejectedError, match="1 of 1000 rows"):
        load_prompts(write_lines(*rows, {"prompt": ""}))


def test_real_samples_lie_on_prompts_of_the_real_pool(shared_data):
    folder = shared_data / "alpaca-eval"
    samples = load_samples(folder / "policy-samples.jsonl.gz", model="phi-2-sft")
    assert len(samples) == 673
    assert sum(samples.models.values()) == samples.report.read == 4019
    pool = load_pool(folder / "preferences.parquet", limit=5000)
    known = set(load_prompts(folder / "helpful-instructions.jsonl.gz"))
    assert len(known) == 678
    assert set(samples.prompts) <= known
    assert set(pool.table["prompt"].to_pylist()) <= known


def test_prompts_in_other_forms(write_lines):
    path = write_lines({"question": "Colour?"}, {"messages": ASKED}, {"instruction": "Name one.", "input": "a colour"})
    assert load_prompts(path) == ["Colour?", "\n\nHuman: Colour?\n\nAssistant:", "Name one.\na colour"]
    assert load_prompts(write_lines({"prompt": "x", "text": "Colour?"}), prompt_key="text") == ["Colour?"]
