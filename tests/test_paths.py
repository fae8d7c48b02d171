"""A path that does not exist: what lies near it, and whether its name can be one on the Hub."""

from __future__ import annotations

from pathlib import Path

import pytest

import frft
from frft.advice import Predictor
from frft.cli import main
from frft.config.layers import source_layers
from frft.experiment.diagnose import diagnose_run
from frft.labels import read_queue
from frft.models.chat import identified
from frft.paths import did_you_mean, is_below_a_folder, near_paths, only_a_path
from frft.preferences import load_pool, load_samples
from frft.results.verification import verify
from frft.worlds import World


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A working directory with a few files and folders."""
    monkeypatch.chdir(tmp_path)
    for name in (
        "data/pairs.jsonl.gz",
        "data/held-out.parquet",
        "data/pairs.txt",
        "runs/hh/run.json",
        "world/world.json",
        "labels.jsonl",
        "predictor.json",
        "chat.jinja",
        "mine.yaml",
    ):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return tmp_path


@pytest.mark.parametrize(
    ("named", "near"),
    [
        # The same name with another ending, of those that are more alike first.
        ("data/pairs.jsonl", ["data/pairs.jsonl.gz", "data/pairs.txt"]),
        ("data/pairs.csv", ["data/pairs.txt", "data/pairs.jsonl.gz"]),
        ("data/Pairs", ["data/pairs.txt", "data/pairs.jsonl.gz"]),
        ("data/held_out.parquet", ["data/held-out.parquet"]),
        # In a folder that is mistyped itself.
        ("dta/held-out.parquet", ["data/held-out.parquet"]),
        ("dta/held-out.csv", ["data/held-out.parquet"]),
        ("rnus/hh", ["runs/hh"]),
        ("rnus/h/run.json", ["runs/hh/run.json"]),
        ("./wrld", ["world"]),
        # Endings alone make no two names alike.
        ("data/zebra.jsonl.gz", []),
        ("nowhere/at/all", []),
        ("labels.jsonl/x", []),
    ],
)
def test_what_lies_near(named, near, here):
    assert [str(each) for each in near_paths(Path(named))] == near
    assert near_paths(here / named) == [here / each for each in near]


def test_a_home_that_was_quoted_is_offered_alone(here, monkeypatch):
    monkeypatch.setenv("HOME", str(here))
    assert near_paths(Path("~"), Path.is_dir) == [here]


def test_only_what_is_wanted_is_offered(here):
    assert near_paths(Path("labels"), Path.is_dir) == []
    assert near_paths(Path("data/pairs"), lambda path: path.suffix == ".gz") == [Path("data/pairs.jsonl.gz")]


def test_a_file_in_place_of_a_folder_is_no_error(here):
    assert did_you_mean("labels.jsonl/a/b") == ""


@pytest.mark.parametrize("name", ["gpt2", "owner/name", "Qwen/Qwen2.5-0.5B", "_a/b-c"])
def test_names_that_the_hub_can_have(name, here):
    assert not only_a_path(name)
    assert not is_below_a_folder(name)


@pytest.mark.parametrize("name", ["./gpt2", "../a", "/a/b", "a/b/c", "a/", "~/a", ".hidden", "a b", "runs\\hh"])
def test_names_that_only_a_path_can_have(name):
    assert only_a_path(name)


def test_below_a_folder(here):
    assert is_below_a_folder("runs/zz")
    assert not is_below_a_folder("runs")
    assert not is_below_a_folder("labels.jsonl/zz")


@pytest.mark.parametrize(
    ("read", "named", "near"),
    [
        (load_pool, "data/pairs.jsonl", "data/pairs.jsonl.gz"),
        (load_pool, "dat", "data"),
        (load_pool, "dta/*.gz", "data"),
        (load_samples, "data/pairs.parquet", "data/pairs.jsonl.gz"),
        (lambda name: read_queue(Path(name)), "lables.jsonl", "labels.jsonl"),
        (lambda name: diagnose_run(Path(name)), "runs/hhh", "runs/hh"),
        (lambda name: verify([Path(name)]), "run/hh", "runs/hh"),
        (lambda name: World.load(Path(name)), "wolrd", "world"),
        (lambda name: Predictor.read(Path(name)), "preditcor.json", "predictor.json"),
        (lambda name: identified({"chat_template": name}), "chta.jinja", "chat.jinja"),
        (source_layers, "mien.yaml", "mine.yaml"),
    ],
)
def test_every_reader_says_what_lies_near(read, named, near, here):
    with pytest.raises(frft.FrftError) as caught:
        read(named)
    assert f" Did you mean {near!r}?" in str(caught.value)


@pytest.mark.parametrize("json", [[], ["--json"]])
@pytest.mark.parametrize(
    ("arguments", "near", "status"),
    [
        (["data", "dta/pairs.jsonl"], "data/pairs.jsonl.gz", 2),
        (["label", "audit", "lables.jsonl"], "labels.jsonl", 2),
        (["advise", "--pairs", "dta/pairs.jsonl", "--samples", "data/pairs.jsonl"], "data/pairs.jsonl.gz", 2),
        (["eval", "winrate", "a=data/pairs.jsonl", "b=data/pairs.jsonl", "--judge", "gold:wrld"], "world", 1),
        (["diagnose", "runs/hhh"], "runs/hh", 2),
        (["advise", "fit", "--study", "rnus", "--out", "new.json"], "runs", 2),
        (["advise", "fit", "--cases", "dta", "--test", "data", "--out", "new.json"], "data", 2),
        (["world", "describe", "wrld"], "world", 1),
    ],
)
def test_commands_say_it(arguments, near, status, json, here, capsys):
    assert main([*arguments, *json]) == status
    printed = capsys.readouterr()
    assert printed.out == ""
    assert f"Did you mean {near!r}?" in printed.err
