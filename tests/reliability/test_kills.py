"""A short form of the campaign that kills (`python -m benchmarks.reliability kills`): a toy of a training.

It writes as a training of a policy does (a journal, checkpoints, an artifact, a sealed file), and imports nothing that
takes long.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from benchmarks.reliability import hook
from benchmarks.reliability.same import content_of, differences

TOY = """
import sys
from contextlib import contextmanager
from pathlib import Path

from frft.store import ArtifactStore, Journal, atomic_folder, read_json, remove, write_sealed
from frft.store import files

STEPS = 4

@contextmanager
def in_place(path):
    path.mkdir()
    yield path

checkpoint = in_place if sys.argv[2] == "in place" else atomic_folder

def train(folder):
    saved = sorted(folder.glob("kept-*"))
    step = int(saved[-1].name[-1]) if saved else 0
    rows = folder / "rows.jsonl"
    journal = Journal.resume(rows, read_json(saved[-1] / "mark.json"), "") if saved else Journal.create(rows)
    while step < STEPS:
        step += 1
        journal.append([{"step": step}])
        with checkpoint(folder / f"kept-{step}") as kept:
            files.write_json(kept / "mark.json", journal.mark())
        for older in saved:
            remove(older)
        saved = [folder / f"kept-{step}"]
    journal.verify("")
    return {"steps": step}

out = Path(sys.argv[1])
files.sweep(out)
made = ArtifactStore(out / "stages").make("toy", {}, train, scratch="kept-*")
write_sealed(out / "results.json", made.info)
"""


HOOK = Path(hook.__file__).parent


def train(out, how="atomic", hooked=HOOK, **told):
    """Run the toy to its end, or to its death: its exit status, and the end of what it said."""
    path = os.pathsep.join([str(hooked), os.environ.get("PYTHONPATH", "")])
    env = {**os.environ, "PYTHONPATH": path, "FRFT_HOOK": json.dumps({"below": str(out), **told})}
    command = [sys.executable, "-c", TOY, str(out), how]
    ended = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    return ended.returncode, ended.stderr[-500:]


def killed_and_run_again(folder, how, whole, kills):
    """What is wrong after each kill and another start, by the kill."""
    wrong = {}
    for number, kill in enumerate(kills):
        out = folder / f"{how}-{number}"
        assert train(out, how, **kill)[0] == -9, kill
        status, said = train(out, how, place="none")
        found = [said] if status else differences(content_of(out), whole)
        if found:
            wrong[json.dumps(kill)] = found
    return wrong


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The folder of an undisturbed training, and how often it came to each place."""
    folder = tmp_path_factory.mktemp("whole")
    assert train(folder / "out", trace=str(folder / "places")) == (0, "")
    return content_of(folder / "out"), Counter((folder / "places").read_text().splitlines())


def test_a_checkout_in_a_folder_with_the_name_of_the_package_has_the_same_places(whole, tmp_path):
    hooked = shutil.copytree(HOOK, tmp_path / "frft" / "hook")
    assert train(tmp_path / "out", hooked=hooked, trace=str(tmp_path / "places")) == (0, "")
    assert Counter((tmp_path / "places").read_text().splitlines()) == whole[1]


def test_killed_anywhere_and_run_again_is_the_same(whole, tmp_path):
    content, places = whole
    assert len(places) >= 20
    assert {"rows.jsonl", "manifest.json"} <= {Path(name).name for name in content}
    kinds = {place.split(" ")[0] for place in places}
    assert kinds == {"open", "fsync", "rename", "mkdir", "remove", "rmdir"}
    every = [{"place": place, "hit": hit} for place, count in sorted(places.items()) for hit in {1, count}]
    torn = [{**each, "half": True} for each in every if each["place"].startswith("fsync store")]
    # A part of them, each kind among it; the campaign takes all.
    tried = [*every[::5], *torn[::2]]
    assert not killed_and_run_again(tmp_path, "atomic", content, tried)


def test_a_disk_that_is_full_or_fails_anywhere_ends_it_and_run_again_it_is_the_same(whole, tmp_path):
    content, places = whole
    ended = []
    for number, (place, count) in enumerate(sorted(places.items())[::3]):
        error, hit = ("ENOSPC", 1) if number % 2 else ("EIO", count)
        out = tmp_path / str(number)
        status, said = train(out, place=place, hit=hit, error=error)
        # A folder that is there already need not be made.
        if status:
            assert {"ENOSPC": "No space left on device", "EIO": "Input/output error"}[error] in said
            ended.append(error)
        assert train(out, place="none") == (0, "")
        assert not differences(content_of(out), content), (place, error)
    assert len(ended) >= 4
    assert len(set(ended)) == 2


def test_with_checkpoints_that_are_written_in_place_it_is_not(whole, tmp_path):
    content, places = whole
    place = next(each for each in sorted(places) if each.startswith("rename store/files") and "mark" not in each)
    assert killed_and_run_again(tmp_path, "in place", content, [{"place": place, "hit": 1}])
