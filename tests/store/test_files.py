"""Files that are either whole or not there."""

import fcntl
import hashlib
import json
import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from frft.errors import ArtifactError
from frft.store import atomic_folder, atomic_write, digest_of, folder_digest, read_json, sha256_file, sweep, write_json


def test_a_file_appears_when_its_block_ends(tmp_path):
    path = tmp_path / "new" / "folder" / "file.bin"
    with atomic_write(path) as file:
        file.write(b"whole")
        assert not path.exists()
    assert path.read_bytes() == b"whole"
    assert [entry.name for entry in path.parent.iterdir()] == ["file.bin"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_an_exception_leaves_the_old_file_and_no_debris(tmp_path, error):
    path = tmp_path / "file.bin"
    path.write_bytes(b"old")

    def write():
        with atomic_write(path) as file:
            file.write(b"half of the ne")
            raise error

    with pytest.raises(error):
        write()
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_killed_writer_leaves_the_old_file(tmp_path):
    path = tmp_path / "file.bin"
    path.write_bytes(b"old")
    code = (
        "import os, sys, signal; from pathlib import Path; from frft.store import atomic_write\n"
        "with atomic_write(Path(sys.argv[1])) as file:\n"
        "    file.write(b'half'); file.flush(); os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(path)], check=False)
    assert done.returncode == -signal.SIGKILL
    assert path.read_bytes() == b"old"


WRITER = """
import os, sys, time
from pathlib import Path
from frft.store import atomic_write
with atomic_write(Path(sys.argv[1])) as file:
    (written,) = Path(sys.argv[1]).parent.glob(".*.tmp")
    print(written, flush=True)
    time.sleep(600)
"""


def test_what_a_killed_writer_left_is_swept_and_what_is_being_written_is_not(tmp_path):
    with subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path / "a.npy")], stdout=subprocess.PIPE) as writer:
        left = Path(writer.stdout.readline().decode().strip())
        try:
            assert sweep(tmp_path, others_at_work=True) == []
        finally:
            writer.kill()
    assert sweep(tmp_path, others_at_work=True) == [left]
    assert list(tmp_path.iterdir()) == []


def test_a_folder_which_carries_no_lock_is_swept_when_it_is_old(tmp_path):
    young, old = tmp_path / ".young.unfinished", tmp_path / ".old.unfinished"
    for folder in (young, old):
        folder.mkdir()
    os.utime(old, (1, 1))
    assert sweep(tmp_path, others_at_work=True) == [old]
    assert list(tmp_path.iterdir()) == [young]


def test_a_file_is_held_until_it_has_its_name(tmp_path, monkeypatch):
    replace, swept = Path.replace, []

    def swept_first(temporary, path):
        swept.append(sweep(tmp_path, others_at_work=True))
        return replace(temporary, path)

    monkeypatch.setattr(Path, "replace", swept_first)
    with atomic_write(tmp_path / "a.npy") as file:
        file.write(b"whole")
    assert swept == [[]]
    assert (tmp_path / "a.npy").read_bytes() == b"whole"


def test_a_file_that_is_swept_before_its_writer_holds_it_is_made_again(tmp_path, monkeypatch):
    lock, swept = fcntl.flock, []

    def late(descriptor, how):
        if not swept:
            monkeypatch.setattr(fcntl, "flock", lock)
            swept.extend(sweep(tmp_path, others_at_work=True))
        lock(descriptor, how)

    monkeypatch.setattr(fcntl, "flock", late)
    with atomic_write(tmp_path / "a.npy") as file:
        file.write(b"whole")
    assert len(swept) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["a.npy"]
    assert (tmp_path / "a.npy").read_bytes() == b"whole"


def test_permissions_are_those_of_any_other_file(tmp_path):
    before = os.umask(0o027)
    try:
        with atomic_write(tmp_path / "file.bin") as file:
            file.write(b"x")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "file.bin").stat().st_mode) == 0o640


def test_json_round_trips_any_text(tmp_path):
    value = {"text": 'é "quoted" \x1b[31m 日本', "numbers": [1, 2.5, None, True]}
    write_json(tmp_path / "value.json", value)
    assert read_json(tmp_path / "value.json") == value
    assert json.loads((tmp_path / "value.json").read_text(encoding="utf-8")) == value


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_json_refuses_what_is_not_json(tmp_path, number):
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "value.json", {"loss": number})
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(ValueError, match="not JSON compliant"):
        digest_of(number)


@pytest.mark.parametrize("content", [b"", b"{", b'{"a": 1', b"\xff\xfe", b"nonsense"])
def test_damaged_json_is_an_artifact_error(tmp_path, content):
    path = tmp_path / "value.json"
    path.write_bytes(content)
    with pytest.raises(ArtifactError, match=r"value\.json is not valid JSON"):
        read_json(path)


def test_missing_json_is_an_artifact_error(tmp_path):
    with pytest.raises(ArtifactError, match=r"gone\.json is missing"):
        read_json(tmp_path / "gone.json")


@settings(deadline=None)
@given(st.binary(max_size=100))
def test_file_digests_are_sha256(tmp_path_factory, data):
    path = tmp_path_factory.getbasetemp() / "data.bin"
    path.write_bytes(data)
    assert sha256_file(path) == hashlib.sha256(data).hexdigest()


def test_value_digests_are_sha256_of_canonical_json():
    value = {"b": [1, None], "a": "é"}
    assert digest_of(value) == hashlib.sha256('{"a":"é","b":[1,null]}'.encode()).hexdigest()
    assert digest_of(value) == digest_of({"a": "é", "b": (1, None)})
    assert digest_of(value) != digest_of({"b": [1, None], "a": "e"})
    assert digest_of(1) != digest_of("1")


def test_a_folders_digest_follows_names_and_contents_at_any_depth(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "weights").write_bytes(b"1")
    before = folder_digest(tmp_path)
    assert folder_digest(tmp_path) == before
    (tmp_path / "a" / "weights").write_bytes(b"2")
    changed = folder_digest(tmp_path)
    (tmp_path / "a" / "weights").rename(tmp_path / "a" / "others")
    assert len({before, changed, folder_digest(tmp_path)}) == 3


def test_a_folder_has_its_name_only_when_it_is_whole(tmp_path):
    def stopped():
        with atomic_folder(tmp_path / "checkpoint-1") as folder:
            (folder / "half.bin").write_bytes(b"half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stopped()
    assert not (tmp_path / "checkpoint-1").exists()
    with atomic_folder(tmp_path / "checkpoint-1") as folder:
        (folder / "deep").mkdir()
        (folder / "deep" / "weights.bin").write_bytes(b"whole")
        assert not (tmp_path / "checkpoint-1").exists()
    assert [path.relative_to(tmp_path).as_posix() for path in sorted(tmp_path.rglob("*"))] == [
        "checkpoint-1",
        "checkpoint-1/deep",
        "checkpoint-1/deep/weights.bin",
    ]
