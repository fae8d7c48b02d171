"""What the machine refuses is a sentence, whoever's code comes upon it."""

from __future__ import annotations

import errno
import resource
from contextlib import contextmanager

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from safetensors.torch import save_file

from frft.cli import main
from frft.cli.failures import refusal
from frft.store import append_rows, atomic_write, named_in_errors, write_json

LARGE = 100_000


@contextmanager
def files_up_to(size):
    """No file may grow beyond so many bytes: a real error of the system in every write, in any language."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def into_open_file(path):
    with atomic_write(path) as file:
        torch.save({"weights": torch.zeros(LARGE)}, file)


WRITERS = {
    "atomic": lambda path: write_json(path, ["x"] * LARGE),
    "appended": lambda path: append_rows(path, [{"text": "x" * LARGE}]),
    "safetensors": lambda path: save_file({"weights": torch.zeros(LARGE)}, path),
    "torch": lambda path: torch.save({"weights": torch.zeros(LARGE)}, path),
    "torch, into an open file": into_open_file,
    "numpy": lambda path: np.save(path, np.zeros(LARGE)),
    "parquet": lambda path: pq.write_table(pa.table({"text": [str(n) for n in range(LARGE)]}), path),
}


@pytest.mark.parametrize("name", WRITERS)
def test_a_file_that_cannot_grow_is_a_sentence(name, tmp_path):
    path = tmp_path / "written.npy"
    with files_up_to(20_000), pytest.raises(Exception) as caught:
        WRITERS[name](path)
    said = refusal(caught.value)
    assert said is not None
    assert "Most often the disk is full" in said if name in ("torch", "numpy") else "larger than is allowed" in said
    if name in ("atomic", "appended", "torch, into an open file"):
        assert said.startswith(str(path))


@pytest.mark.parametrize("name", WRITERS)
def test_whatever_writes_into_a_stage_the_folder_or_the_file_is_named(name, tmp_path):
    with files_up_to(20_000), pytest.raises(Exception) as caught, named_in_errors(tmp_path):
        WRITERS[name](tmp_path / "written.npy")
    assert name == "torch" or str(refusal(caught.value)).startswith(str(tmp_path))


def test_a_command_says_it_and_ends_with_status_1(tmp_path, capsys):
    with files_up_to(20_000):
        assert main(["world", "make", "--out", str(tmp_path / "world"), "--pool-size", "500"]) == 1
    said = capsys.readouterr().err
    assert said.startswith(f"frft: {tmp_path}")
    assert "the file would be larger than is allowed" in said
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "error",
    [MemoryError(), RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried ..."),
     torch.OutOfMemoryError("CUDA out of memory."), OSError(errno.ENOMEM, "Cannot allocate memory")],
    ids=lambda each: type(each).__name__,
)  # fmt: skip
def test_memory_that_ran_out(error):
    error.add_note("The same command goes on where this one stopped.")
    said = refusal(error)
    assert said is not None
    assert said.startswith("memory ran out.")
    assert said.endswith("The same command goes on where this one stopped.")


def test_threads_that_cannot_be_started_are_a_sentence_also_from_a_library_that_panics(monkeypatch, capsys):
    class Panic(BaseException):
        """What a library in Rust raises."""

    def panics(*_):
        raise Panic('ThreadPoolBuildError { kind: IOError(Os { code: 11, kind: WouldBlock, message: "Resource" }) }')

    monkeypatch.setattr("frft.results.verification.verify", panics)
    assert main(["verify", "."]) == 1
    assert capsys.readouterr().err.startswith("frft: no new thread or process could be started")
    assert str(refusal(RuntimeError("can't start new thread"))).startswith("no new thread")


def test_what_tensors_need_and_the_machine_has_not():
    with pytest.raises(RuntimeError) as caught:
        torch.empty(1 << 60, dtype=torch.uint8)
    assert "memory ran out" in str(refusal(caught.value))


def test_an_error_behind_another_counts():
    error = ValueError("cannot be read")
    error.__cause__ = OSError(errno.EIO, "Input/output error", "/somewhere/weights")
    assert str(refusal(error)).startswith("/somewhere/weights cannot be read or written: the disk fails")


def test_a_mistake_in_the_code_stays_a_traceback():
    for error in (
        ValueError("x"),
        KeyError("x"),
        FileNotFoundError(errno.ENOENT, "No such file", "x"),
        RuntimeError("x"),
    ):
        assert refusal(error) is None


KINDS = {
    "a long name": "x" * 300,
    "a loop of links": "loop",
    "a file as a folder": "file/below",
    "what may not be written": "/sys/kernel/no",
}
PATHS = {
    "run": ["run", "demo", "--out", "{}/out"],
    "configuration": ["run", "{}/a.yaml", "--out", "out"],
    "data": ["data", "{}/pairs.jsonl"],
    "diagnosis": ["diagnose", "{}"],
    "verification": ["verify", "{}"],
    "world": ["world", "make", "--out", "{}/world"],
    "described": ["world", "describe", "{}"],
    "labels": ["label", "status", "{}.jsonl"],
    "study": ["study", "averaging", "--out", "{}"],
    "scores": ["reward", "score", "--model", "{}", "--samples", "{}.jsonl", "--out", "{}.parquet"],
    "benchmark": ["bench", "fixed-actor", "--out", "{}"],
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", PATHS)
def test_a_path_that_cannot_be_is_a_sentence(name, kind, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "file").write_text("")
    status = main([word.format(KINDS[kind]) for word in PATHS[name]])
    said = capsys.readouterr().err
    assert status in (1, 2), said
    assert said.startswith("frft: ")
    assert "Traceback" not in said
