"""What happens before the first stage, and whose folder it is."""

from __future__ import annotations

import json

import pytest

from frft.config import RunConfig
from frft.errors import ArtifactError, DataError, OutputError, UsageError
from frft.experiment.plan import plan_run
from frft.experiment.prepare import check_run_folder, claim, differences, place_for_rejects, prepare
from frft.progress import SILENT
from frft.store import MANIFEST, RESULTS_FORMAT, ArtifactStore, read_rows, read_sealed, write_json

ARMS = {"vanilla": {"alpha": 0}, "random": {"selection": {"strategy": "random"}}}


@pytest.fixture
def pairs(tmp_path):
    """40 pairs, and one that is none."""
    rows = [{"prompt": f"What is {n}?", "chosen": f"{n} it is.", "rejected": "No."} for n in range(40)]
    path = tmp_path / "pairs.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in [*rows, {**rows[0], "chosen": ""}]))
    return path


def settings(pairs, max_rejected=0.1, **more) -> RunConfig:
    return RunConfig.model_validate({"data": {"pairs": str(pairs), "max_rejected": max_rejected}, "arms": ARMS, **more})


def prepared(config, out, rejects=None):
    return prepare(config, out, ArtifactStore(out / "stages"), SILENT, rejects_path=rejects)


def test_the_first_start_keeps_the_rows_that_it_cannot_use(pairs, tmp_path):
    out = tmp_path / "out"
    with place_for_rejects(out) as rejects:
        rows, _ = prepared(settings(pairs), out, rejects)
    assert rows.report["rejected"] == {"empty field": 1}
    assert [row["line"] for row in read_rows(out / "rejects.jsonl")] == [41]


@pytest.mark.parametrize(
    ("selection", "column"),
    [
        ({"strategy": "source", "source": "a"}, "chosen_source"),
        ({"strategy": "column", "column": "domain", "value": "a"}, "domain"),
    ],
)
def test_pairs_without_the_column_that_a_strategy_reads_are_refused_at_once(pairs, tmp_path, selection, column):
    by_source = {"selection": selection}
    config = settings(pairs, arms={"vanilla": {"alpha": 0}, "own": by_source})
    with pytest.raises(DataError, match=rf"arms\.own: the strategy \w+ reads the column '{column}', which"):
        prepared(config, tmp_path / "out")
    unused = settings(pairs, arms={"vanilla": {"alpha": 0, **by_source}})
    assert prepared(unused, tmp_path / "out")


def test_where_too_many_are_rejected_they_are_kept_and_the_next_start_may_go_on(pairs, tmp_path):
    out = tmp_path / "out"
    with pytest.raises(DataError, match=r"All of them stand in .*rejects\.jsonl"), place_for_rejects(out) as rejects:
        prepared(settings(pairs, max_rejected=0), out, rejects)
    assert len(read_rows(out / "rejects.jsonl")) == 1
    check_run_folder(out, settings(pairs), "anything")


@pytest.mark.parametrize("existed", [False, True])
def test_without_rejected_rows_nothing_is_left(existed, tmp_path):
    out = tmp_path / "runs" / "new" / "out"
    if existed:
        out.mkdir(parents=True)
    with place_for_rejects(out) as rejects:
        rejects.write_text("")
    assert out.exists() == (tmp_path / "runs").exists() == existed
    assert not existed or not list(out.iterdir())


def test_nothing_is_written_where_something_else_lies(tmp_path):
    (tmp_path / "rejects.jsonl").write_text("mine")
    (tmp_path / "thesis.txt").write_text("mine")
    with place_for_rejects(tmp_path) as rejects:
        assert rejects is None
    with place_for_rejects(tmp_path / "thesis.txt") as rejects:
        assert rejects is None


def test_a_place_that_cannot_be_made_is_an_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot be written"), place_for_rejects(tmp_path / "file" / "out"):
        pass


def test_a_plan_writes_nothing(pairs, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    assert plan_run(settings(pairs), out)
    assert not list(out.iterdir())


def test_a_tracker_may_be_switched_on_when_a_run_goes_on(pairs, tmp_path):
    """Of a run that was begun before this was possible: its file says which tracker it had."""
    out = tmp_path / "out"
    rows, _ = prepared(settings(pairs), out)
    claim(out, settings(pairs), rows)
    assert "report_to" in read_sealed(out / "run.json")["config"]
    (out / "stages" / "sft-1").mkdir(parents=True)
    (out / "stages" / "sft-1" / MANIFEST).write_text("{}")
    check_run_folder(out, settings(pairs, report_to="tensorboard", workers=2, ppo={"save_steps": 3}), rows.identity)
    with pytest.raises(OutputError, match=r"another configuration \(seed: 0 there, 1 now"):
        check_run_folder(out, settings(pairs, seed=1), rows.identity)


@pytest.fixture
def begun(pairs, tmp_path):
    """The folder of a run with a finished stage, and the identity of its pairs."""
    out = tmp_path / "out"
    rows, _ = prepared(settings(pairs), out)
    claim(out, settings(pairs), rows)
    (out / "stages" / "sft-1").mkdir(parents=True)
    (out / "stages" / "sft-1" / MANIFEST).write_text("{}")
    check_run_folder(out, settings(pairs), rows.identity)
    return out, rows.identity


def test_a_run_of_an_older_version_is_not_gone_on_with(begun, pairs):
    """Before there were format numbers, run.json held these two keys and no more."""
    out, identity = begun
    found = read_sealed(out / "run.json")
    assert found["format"] == RESULTS_FORMAT
    write_json(out / "run.json", {name: found[name] for name in ("config", "pairs")})
    with pytest.raises(OutputError, match=r"older version of frft \(run.json has no format number.*Name a new folder"):
        check_run_folder(out, settings(pairs), identity)
    # Where nothing was finished, nothing is lost.
    (out / "stages" / "sft-1" / MANIFEST).unlink()
    check_run_folder(out, settings(pairs), identity)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"format": RESULTS_FORMAT + 1, "frft": "9.1"}, UsageError, r"Use the version that wrote it \(9.1\)"),
        ({"format": "new"}, ArtifactError, "not a format number"),
        ({"config": None}, ArtifactError, "lacks the keys config and pairs"),
    ],
)
def test_a_run_of_a_newer_version_or_an_edited_one_is_named(begun, pairs, change, error, message):
    out, identity = begun
    found = {**read_sealed(out / "run.json"), **change}
    write_json(out / "run.json", {name: value for name, value in found.items() if value is not None})
    with pytest.raises(error, match=message):
        check_run_folder(out, settings(pairs), identity)


def test_a_folder_by_the_name_of_nothing_changes_nothing(pairs, tmp_path, monkeypatch):
    """The policy is made from nothing, whatever lies where the command is given."""
    before = [stage.name for stage in plan_run(settings(pairs), tmp_path / "out")]
    (tmp_path / "scratch").mkdir()
    (tmp_path / "scratch" / "notes.txt").write_text("mine")
    monkeypatch.chdir(tmp_path)
    assert [stage.name for stage in plan_run(settings(pairs), tmp_path / "out")] == before


def test_the_files_of_a_model_are_read_once_in_a_run(pairs, tiny_lm_folder, tmp_path, monkeypatch):
    from frft.reward import identity

    read = []
    whole = identity.folder_digest
    monkeypatch.setattr(identity, "folder_digest", lambda folder: read.append(folder) or whole(folder))
    config = settings(pairs, policy={"model_name_or_path": str(tiny_lm_folder)})
    assert plan_run(config, tmp_path / "out")
    assert len(read) == 1


def test_differences_name_the_nested_key():
    assert differences({"a": {"b": 1, "c": 2}}, {"a": {"b": 1, "c": 3, "d": 4}}) == [
        "a.c: 2 there, 3 now",
        "a.d: None there, 4 now",
    ]
