"""A file of completions: what `generate` writes, part by part, whatever stopped it."""

from __future__ import annotations

import json

import pytest

from frft.config.sections import SamplingConfig
from frft.errors import DataError, ModelError, UsageError
from frft.models import load_causal_lm
from frft.policy import generate, sample_file, write_samples
from frft.policy.sample_file import unfinished_file

PROMPTS = [f"Question {n}{' and so on' * (n % 3)}?" for n in range(11)]
SAMPLING = SamplingConfig(max_new_tokens=6, max_prompt_tokens=12)


@pytest.fixture(scope="module")
def policy(tiny_lm_folder, tiny_tokenizer):
    return load_causal_lm(tiny_lm_folder, tiny_tokenizer)


@pytest.fixture
def write(policy, tiny_tokenizer, tmp_path, monkeypatch):
    """Write the completions into samples.jsonl, four in a part."""
    monkeypatch.setattr(sample_file, "PART_ROWS", 4)

    def write_to(out="samples.jsonl", prompts=PROMPTS, sampling=SAMPLING, seed=5, **given):
        given.setdefault("identity", "a policy")
        return write_samples(policy, tiny_tokenizer, prompts, sampling, tmp_path / out, seed=seed, **given)

    return write_to


class Said(list):
    """A Progress that notes what is said."""

    def say(self, text):
        self.append(text)

    def task(self, description, total):
        return sample_file.SILENT.task(description, total)


@pytest.fixture
def stop_after(monkeypatch):
    """Press Ctrl-C, so to speak, when so many parts have been written."""

    def stop(parts):
        left = iter(range(parts))

        def stopped(*args, **given):
            if next(left, None) is None:
                raise KeyboardInterrupt
            return generate(*args, **given)

        monkeypatch.setattr(sample_file, "generate", stopped)

    return stop


def test_the_file_holds_what_generate_writes_at_once(write, policy, tiny_tokenizer, tmp_path):
    counts = write()
    whole = generate(policy, tiny_tokenizer, PROMPTS, SAMPLING, seed=5)
    rows = [json.loads(line) for line in (tmp_path / "samples.jsonl").read_text().split("\n")[:-1]]
    assert [row["prompt"] for row in rows] == PROMPTS
    assert [row["completion"] for row in rows] == whole.completions
    assert [row["has_eos"] for row in rows] == whole.has_eos
    assert counts.as_dict() == {
        "completions": 11,
        "resumed": 0,
        "without_eos": whole.has_eos.count(False),
        "empty": sum(not text.strip() for text in whole.completions),
        "prompts_truncated": whole.truncated.prompts,
    }
    assert counts.prompts_truncated > 0
    assert [path.name for path in tmp_path.iterdir()] == ["samples.jsonl"]


def test_a_prompt_that_occurs_twice_gets_two_completions(write, tmp_path):
    write(prompts=["Why?"] * 8)
    texts = {json.loads(line)["completion"] for line in (tmp_path / "samples.jsonl").read_text().split("\n")[:-1]}
    assert len(texts) > 1


@pytest.mark.parametrize("parts", [0, 1, 2])
def test_what_was_stopped_goes_on_to_the_same_bytes(write, stop_after, tmp_path, monkeypatch, parts):
    write("at-once.jsonl")
    stop_after(parts)
    with pytest.raises(KeyboardInterrupt):
        write()
    assert not (tmp_path / "samples.jsonl").exists()
    # A line that was cut off in the middle was never finished.
    with unfinished_file(tmp_path / "samples.jsonl").open("ab") as file:
        file.write(b'{"prompt": "half of')
    monkeypatch.setattr(sample_file, "generate", generate)
    said = Said()
    assert write(progress=said).resumed == 4 * parts
    assert said == ([f"Going on after the {4 * parts} completions in {tmp_path}/samples.jsonl.unfinished."])
    assert (tmp_path / "samples.jsonl").read_bytes() == (tmp_path / "at-once.jsonl").read_bytes()
    assert not unfinished_file(tmp_path / "samples.jsonl").exists()


@pytest.mark.parametrize(
    "change",
    [
        {"seed": 6},
        {"prompts": PROMPTS[:-1]},
        {"identity": {"files": "others"}},
        {"sampling": SAMPLING.model_copy(update={"top_k": 2})},
    ],
    ids=str,
)
def test_a_part_of_another_file_is_begun_anew_and_said(write, stop_after, tmp_path, monkeypatch, change):
    stop_after(1)
    with pytest.raises(KeyboardInterrupt):
        write()
    monkeypatch.setattr(sample_file, "generate", generate)
    said = Said()
    assert write(progress=said, **change).resumed == 0
    assert len(said) == 1
    assert "was written with another policy, prompts or settings" in said[0]
    write("anew.jsonl", **change)
    assert (tmp_path / "samples.jsonl").read_bytes() == (tmp_path / "anew.jsonl").read_bytes()


def test_a_file_that_holds_something_else_is_begun_anew(write, tmp_path):
    unfinished_file(tmp_path / "samples.jsonl").write_text("no JSON\n")
    assert write().completions == 11


def test_an_edited_completion_is_not_taken_over(write, stop_after, tmp_path, monkeypatch):
    stop_after(1)
    with pytest.raises(KeyboardInterrupt):
        write()
    monkeypatch.setattr(sample_file, "generate", generate)
    path = unfinished_file(tmp_path / "samples.jsonl")
    edited = path.read_bytes().replace(b"Question 2", b"Question 7")
    assert edited != path.read_bytes()
    path.write_bytes(edited)
    said = Said()
    assert write(progress=said).resumed == 0
    assert len(said) == 1
    assert "samples.jsonl.unfinished, line 4: damaged" in said[0]
    assert "All of its completions are made again." in said[0]
    write("anew.jsonl")
    assert (tmp_path / "samples.jsonl").read_bytes() == (tmp_path / "anew.jsonl").read_bytes()


def test_what_cannot_be_written_to_is_found_before_anything_is_written(write, tmp_path):
    with pytest.raises(DataError, match=r"Prompt 10 of 11 .* has no tokens"):
        write(prompts=[*PROMPTS[:-1], ""])
    with pytest.raises(UsageError, match="no prompts"):
        write(prompts=[])
    with pytest.raises(ModelError, match="has only 128 positions"):
        write(sampling=SamplingConfig())
    assert list(tmp_path.iterdir()) == []
