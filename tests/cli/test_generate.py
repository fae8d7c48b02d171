"""`frft generate` and `frft reward score` as a person uses and misuses them."""

from __future__ import annotations

import json

import pytest

from frft.cli import main
from frft.config.sections import SamplingConfig
from frft.models import load_causal_lm, load_tokenizer
from frft.policy import generate

LENGTHS = ("--max-new-tokens", "6", "--max-prompt-tokens", "24")
PROMPTS = [f"Question {n % 5}?" for n in range(8)]


def rows_of(path):
    return [json.loads(line) for line in path.read_text().split("\n")[:-1]]


@pytest.fixture
def prompts_file(write_rows):
    return write_rows("prompts.jsonl", [{"prompt": prompt} for prompt in PROMPTS])


@pytest.fixture
def run(tiny_lm_folder, tmp_path, capsys):
    """Run the command, as one line of words; returns its exit status and what it printed."""

    def command(words, *more):
        lengths = () if "--max-new-tokens" in words else LENGTHS
        status = main(["generate", "--policy", str(tiny_lm_folder), *lengths, *words.split(), *map(str, more)])
        return status, capsys.readouterr()

    return command


def test_each_different_prompt_is_written_to_once_and_repeats_are_said(run, prompts_file, tiny_lm_folder, tmp_path):
    out = tmp_path / "samples.jsonl"
    status, printed = run("--seed 3 --prompts", prompts_file, "--out", out)
    assert status == 0
    assert "Wrote" in printed.out
    assert "3 of 8 prompts repeat an earlier one, and are not written to again." in printed.out
    tokenizer = load_tokenizer(tiny_lm_folder)
    sampling = SamplingConfig(max_new_tokens=6, max_prompt_tokens=24)
    by_hand = generate(load_causal_lm(tiny_lm_folder, tokenizer), tokenizer, PROMPTS[:5], sampling, seed=3)
    assert [row["prompt"] for row in rows_of(out)] == PROMPTS[:5]
    assert [row["completion"] for row in rows_of(out)] == by_hand.completions
    assert f"{by_hand.has_eos.count(False)} completions had not ended after 6 tokens." in printed.out


def test_counts_add_up_in_json(run, prompts_file, tmp_path):
    out = tmp_path / "samples.jsonl"
    status, printed = run("--limit 3 --per-prompt 2 --json --prompts", prompts_file, "--out", out)
    assert status == 0
    counts = json.loads(printed.out)
    assert (counts["prompts"], counts["repeated_prompts"], counts["prompts_written_to"]) == (8, 3, 3)
    rows = rows_of(out)
    assert counts["completions"] == len(rows) == 6
    assert [row["prompt"] for row in rows[::2]] == [row["prompt"] for row in rows[1::2]]
    status, printed = run("--limit 3 --prompts", prompts_file, "--out", out)
    assert "2 different prompts were left out by --limit." in printed.out


def test_the_prompts_of_pairs_in_any_form(run, pairs_file, pairs, tmp_path):
    out = tmp_path / "samples.jsonl"
    # HH-RLHF's pairs have no column prompt; the prompt is what both dialogues begin with.
    assert "prompt" not in pairs[0]
    status, printed = run("--prompts-of", pairs_file, "--out", out)
    assert status == 0
    assert "23 of 24 prompts repeat" in printed.out
    assert [row["prompt"] for row in rows_of(out)] == ["\n\nHuman: How do I bake bread?\n\nAssistant:"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("", "Give --prompts FILE, or --prompts-of PAIRS"),
        ("--prompts prompts.jsonl --prompts-of prompts.jsonl", "and not both"),
        ("--prompts prompts.jsonl --chosen-key better", "--chosen-key says how preference pairs are read"),
        ("--prompts prompts.jsonl --limit 0", "--limit is 0"),
        ("--prompts prompts.jsonl --per-prompt 0", "--per-prompt is 0"),
        ("--prompts prompts.jsonl --temperature 0", "--temperature"),
        ("--prompts prompts.jsonl --max-new-tokens 999", "has only 128 positions"),
    ],
)
@pytest.mark.usefixtures("prompts_file")
def test_what_cannot_be_is_refused_and_nothing_is_left(run, words, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    status, printed = run(words, "--out", "samples.jsonl")
    assert status in (1, 2)
    assert message in " ".join(printed.err.split())
    assert [path.name for path in tmp_path.iterdir()] == ["prompts.jsonl"]


def test_the_file_that_is_read_is_not_written_over(run, prompts_file):
    before = prompts_file.read_bytes()
    status, printed = run("--prompts", prompts_file, "--out", prompts_file)
    assert status == 2
    assert "Name another file" in printed.err
    assert prompts_file.read_bytes() == before


def test_an_interruption_keeps_what_is_written_and_says_so(run, prompts_file, tmp_path, monkeypatch):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    out = tmp_path / "samples.jsonl"
    with monkeypatch.context() as patched:
        patched.setattr("frft.policy.sample_file.generate", interrupted)
        status, printed = run("--prompts", prompts_file, "--out", out)
    assert status == 130
    assert "Finished completions are kept, and the same command goes on" in " ".join(printed.err.split())
    assert not out.exists()
    assert run("--prompts", prompts_file, "--out", out)[0] == 0
    assert len(rows_of(out)) == 5
