from __future__ import annotations

import os
from pathlib import Path

import pytest

from frft.cli.targets import check_file, check_new_folder, check_not_read, check_writable_folder, new_folder
from frft.errors import OutputError


@pytest.mark.parametrize("check", [check_file, check_writable_folder, check_new_folder])
def test_what_can_be_written_passes_and_nothing_is_left_there(check, tmp_path):
    check(tmp_path / "a" / "b" / "c")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("check", [check_file, check_writable_folder, check_new_folder])
@pytest.mark.parametrize("place", ["file/x", "file/x/y", "dangling/x", "n" * 300, "/proc/nope/x"])
def test_what_cannot_be_written_is_refused_at_once(check, place, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("file").touch()
    Path("dangling").symlink_to("nowhere")
    with pytest.raises(OutputError, match=f"{place} cannot be written"):
        check(Path(place))


def test_a_file_is_no_folder_and_no_device(tmp_path):
    with pytest.raises(OutputError, match="is a folder; name a file"):
        check_file(tmp_path)
    fifo = tmp_path / "pipe"
    os.mkfifo(fifo)
    with pytest.raises(OutputError, match="not a plain file"):
        check_file(fifo)
    with pytest.raises(OutputError, match="cannot be written"):
        check_writable_folder(fifo)


def test_what_is_read_is_not_overwritten(pairs_file, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for sources in ([pairs_file.name], [str(tmp_path)], ["*.jsonl"]):
        check_not_read([Path("out"), Path("export")], sources, split="train")
        with pytest.raises(OutputError, match=r"pairs\.jsonl is read"):
            check_not_read([Path("out"), pairs_file], sources, split="train")
    with pytest.raises(OutputError, match="written already"):
        check_not_read([Path("out"), tmp_path / "out"], [pairs_file.name], split="train")


def test_a_new_folder_is_new_or_empty_and_can_be_replaced(tmp_path, monkeypatch):
    out = tmp_path / "out"
    check_new_folder(out)
    out.mkdir()
    check_new_folder(out)
    monkeypatch.chdir(out)
    with pytest.raises(OutputError, match="current folder"):
        check_new_folder(Path())
    with pytest.raises(OutputError, match="mount point"):
        check_new_folder(Path("/"))
    link = tmp_path / "link"
    link.symlink_to(out)
    with pytest.raises(OutputError, match="a link"):
        check_new_folder(link)
    (out / "file").touch()
    for taken in (out, out / "file"):
        with pytest.raises(OutputError, match="not a new or empty folder"):
            check_new_folder(taken)


@pytest.mark.parametrize("there", [False, True])
def test_a_new_folder_appears_whole(there, tmp_path):
    out = tmp_path / "deep" / "out"
    rubbish = tmp_path / "deep" / "out.unfinished" / "of a process that was killed"
    rubbish.mkdir(parents=True)
    if there:
        out.mkdir()
    with new_folder(out) as unfinished:
        (unfinished / "model").touch()
        assert out.exists() == there
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["out"]
    assert [path.name for path in out.iterdir()] == ["model"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_what_was_not_finished_is_removed(error, tmp_path):
    def stop():
        with new_folder(tmp_path / "out") as unfinished:
            (unfinished / "model").touch()
            raise error

    with pytest.raises(error):
        stop()
    assert list(tmp_path.iterdir()) == []


def test_a_finished_folder_is_kept_where_it_cannot_be_moved(tmp_path):
    out = tmp_path / "out"

    def fill():
        with new_folder(out) as unfinished:
            (unfinished / "model").touch()
            out.mkdir()
            (out / "made by something else meanwhile").touch()

    with pytest.raises(OutputError, match=r"The finished files are in .*/out\.unfinished"):
        fill()
    assert (tmp_path / "out.unfinished" / "model").exists()


def test_a_folder_that_cannot_be_made_is_an_output_error(tmp_path):
    (tmp_path / "out.unfinished").touch()
    with pytest.raises(OutputError, match="cannot be made"), new_folder(tmp_path / "out"):
        pass
