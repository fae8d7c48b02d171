"""Readers of anybody's files: malformed rows, altered files of frft's own, hostile ones.

The whole of it is `python -m benchmarks.reliability rows`, `contents`, `hostile`; here are parts, and what once failed.
"""

from __future__ import annotations

import json
import os
import pickle
import signal
import tempfile
import time
from pathlib import Path

import pytest
from benchmarks.reliability.apart import apart
from benchmarks.reliability.hostile import meet
from benchmarks.reliability.hostile_files import CANARY, FILES, damaged_table
from benchmarks.reliability.mutations import FORMS, MUTATIONS
from benchmarks.reliability.own_files import KINDS, read_altered
from benchmarks.reliability.rows import read_mutated
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from frft.errors import ArtifactError, ConfigError, FrftError, UnreadableError

QUICK = settings(max_examples=60, deadline=None, database=None, suppress_health_check=list(HealthCheck))


@QUICK
@given(st.sampled_from(sorted(MUTATIONS)), st.randoms(use_true_random=False))
def test_malformed_rows_are_accepted_or_rejected_and_counts_add_up(mutation, chance):
    with tempfile.TemporaryDirectory() as folder:
        found = read_mutated(mutation, 5, chance, Path(folder))
    assert found["fault"] is None, found


def test_there_are_forty_classes_of_mutations_of_all_forms():
    assert len(MUTATIONS) >= 40
    assert len(FORMS) >= 14


@QUICK
@given(st.sampled_from(sorted(KINDS)), st.randoms(use_true_random=False))
def test_files_of_our_own_with_another_content_are_read_or_refused(kind, chance):
    with tempfile.TemporaryDirectory() as folder:
        found = read_altered(kind, chance, Path(folder), 3)
    assert found["fault"] is None, found


LISTING = ("a manifest", "a manifest beside a file", "a manifest below a folder", "results.json")
LISTED = {"bytes": 1, "sha256": "x"}


@pytest.mark.parametrize(
    "files",
    [None, -1, "x", [], {"weights.bin": None}, {"weights.bin": [1]}, {"weights.bin": {"bytes": 1}},
     {"weights.bin": {"sha256": "x"}}, {"weights.bin": {"bytes": "1", "sha256": "x"}}, {"../x": LISTED},
     {"/dev/zero": LISTED}, {"a\0b": LISTED}],
    ids=repr,
)  # fmt: skip
@pytest.mark.parametrize("kind", LISTING)
def test_a_list_of_files_that_is_none_is_an_error_that_names_the_file(kind, files, tmp_path):
    """What a checksum covers can still be something else: these were tracebacks, or read files elsewhere."""
    from frft.results.verification import verify
    from frft.store import stamped

    make, _, read = KINDS[kind]
    path = make(tmp_path)
    content = {key: value for key, value in json.loads(path.read_text()).items() if key != "sha256"}
    path.write_text(json.dumps(stamped({**content, "files": files})))
    if "below" in kind:
        found = verify([tmp_path])
        assert [damage.path for damage in found.damaged] == [str(path)]
        return
    with pytest.raises(ArtifactError, match=path.name):
        read(path)


@pytest.mark.parametrize("value", ["NaN", "-Infinity", "1e999", '"\\ud83d"', "[" * 20_000, "9" * 5000])
@pytest.mark.parametrize("kind", ["labels", "a chained journal", "a journal", "results.json", "reward.json"])
def test_what_no_writer_lets_through_is_no_json_of_ours(kind, value, tmp_path):
    """Numbers that are not finite and half surrogates raised errors of `json` and of encodings."""
    make, _, read = KINDS[kind]
    path = make(tmp_path)
    whole = path.read_text()
    first, comma, rest = whole.partition(",")
    path.write_text(f'{first}, "more": {value}{comma}{rest}')
    with pytest.raises(FrftError, match=path.name):
        read(path)


def test_a_pair_of_surrogates_is_one_character(tmp_path):
    from frft.store import read_json

    (tmp_path / "a.json").write_text('{"a": "\\ud83d\\ude00"}')
    assert read_json(tmp_path / "a.json") == {"a": "\U0001f600"}


def test_a_number_of_thousands_of_digits_in_a_configuration(tmp_path):
    from frft.config import load_config

    (tmp_path / "mine.yaml").write_text(f"seed: 0x{'f' * 5000}\n")
    with pytest.raises(ConfigError, match=r"mine\.yaml.*too large"):
        load_config(str(tmp_path / "mine.yaml"))


def test_arrow_data_whose_offsets_point_elsewhere_is_refused(tmp_path):
    """Arrow itself would read beyond its memory: a SystemError, a MemoryError, or a crash."""
    import numpy as np
    import pyarrow as pa

    from frft.preferences import load_pool

    offsets = pa.py_buffer(np.array([0, 2**30, 1], dtype=np.int32).tobytes())
    broken = pa.StringArray.from_buffers(2, offsets, pa.py_buffer(b"abcd"))
    text = pa.array(["p", "q"])
    table = pa.table({"prompt": text, "chosen": text, "rejected": broken})
    with pa.ipc.new_stream(str(tmp_path / "rows.arrow"), table.schema) as stream:
        stream.write_table(table)
    with pytest.raises(UnreadableError, match=r"rows\.arrow"):
        load_pool(str(tmp_path / "rows.arrow"), max_rejected=1.0)


HEAVY = {"a chat template that never ends", "gzip of one long row", "parquet of gigabytes", "code of an embedder",
         "pickled vectors", "pickled weights of an embedder"}  # fmt: skip
"""Those that take seconds to make or to refuse: in the campaign alone."""
NOT_READ = {"a folder that holds itself", "a manifest that lists a file outside", "a pipe for a manifest",
            "code of a tokenizer"}  # fmt: skip
"""What is hostile in these is left aside, or reported as damage, and the rest is read."""


@pytest.mark.parametrize("name", sorted({*FILES} - HEAVY))
def test_a_hostile_file_is_refused_and_its_code_does_not_run(name, tmp_path):
    outcome = meet(FILES[name][1], tmp_path)
    assert outcome.held, outcome.found
    assert bool(outcome.found["found"]["refused"]) == (name not in NOT_READ), outcome.found


def test_damaged_tables_are_read_or_refused(tmp_path):
    from random import Random

    for seed in range(3):
        (tmp_path / str(seed)).mkdir()
        outcome = meet(lambda folder, seed=seed: damaged_table(folder, Random(seed)), tmp_path / str(seed))
        assert outcome.held, outcome.found


def test_the_campaign_sees_code_that_runs_and_readers_that_hang(tmp_path):
    from benchmarks.reliability.hostile_files import _Opens

    outcome = meet(lambda folder: pickle.loads(pickle.dumps(_Opens(folder))), tmp_path)
    assert not outcome.held
    assert (tmp_path / CANARY).exists()
    works = {
        "hangs": lambda: time.sleep(60),
        "ZeroDivisionError": lambda: 1 / 0,
        "MemoryError": lambda: bytearray(2**30),
        "signal": lambda: os.kill(os.getpid(), signal.SIGKILL),
    }
    for said, work in works.items():
        ended = apart(work, seconds=0.5, memory=2**28)
        assert said in ended.fault
    assert apart(lambda: [1], seconds=30, memory=2**28).found == [1]
