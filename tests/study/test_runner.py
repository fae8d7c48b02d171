"""A small study for real: interrupted, resumed, with a cell that fails."""

from __future__ import annotations

import json
import multiprocessing
import os
import shutil
from importlib import import_module
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pytest

from frft.cli import main
from frft.config.sections import WorldConfig
from frft.errors import OutputError
from frft.progress import SILENT
from frft.reward import GateInfo
from frft.selection.weights import effective_sample_size
from frft.store import LAUNCHER_LOCK, read_sealed, sole_launcher
from frft.study import expected_seconds, load_study, run_study, to_do, worker_count
from frft.study.cell import _refresh, drawn, pairs_seen, run_cell
from frft.study.measured import MEASURES
from frft.worlds import World

from ..completed import completed
from .conftest import SMALL

pytestmark = pytest.mark.slow


def test_an_interruption_leaves_what_is_done_and_no_process(interrupted_study):
    _, there = interrupted_study
    assert there == ["centre-0.json"]
    assert not multiprocessing.active_children()


def test_what_is_done_is_not_done_again_and_the_rest_is(interrupted_study, small_study, finished_study):
    out, results = finished_study
    assert [cell.name for cell in to_do(small_study, out)] == ["broken-0"]
    assert (results.cells.wanted, results.cells.done) == (2, 1)


def test_a_cell_that_fails_is_shown_with_its_reason(finished_study):
    out, results = finished_study
    (line,) = results.cells.failed
    assert line.startswith("broken-0: SelectionError: ")
    assert "5000" in line
    assert "Traceback" in json.loads((out / "cells" / "broken-0.failed.json").read_text())["traceback"]
    assert line.split(": ", 1)[1].split("\n")[0][:40] in (out / "study.md").read_text()


@pytest.mark.parametrize(
    "damage",
    [lambda text: text[: len(text) // 2], lambda text: text.replace('"seconds": ', '"seconds": 1')],
    ids=["half", "edited"],
)
@pytest.mark.parametrize("name", ["centre-0.json", "broken-0.failed.json"])
def test_a_damaged_cell_is_named_and_runs_again_when_it_is_deleted(
    finished_study, small_overrides, tmp_path, name, damage, capsys
):
    out = tmp_path / "out"
    shutil.copytree(finished_study[0] / "cells", out / "cells")
    path = out / "cells" / name
    text = path.read_text()
    edited = damage(text) if "seconds" in text else damage(text.replace('"error": "', '"error": "un'))
    path.write_text(edited)
    arguments = ["study", "averaging", *small_overrides, "--points", "centre", "--out", str(out)]
    assert main(arguments) == 1
    said = " ".join(capsys.readouterr().err.split())
    assert f"{path} " in said
    assert "Delete it and run the same study again: this cell, and no other, is run anew." in said
    path.unlink()
    assert [cell.name for cell in to_do(load_study("averaging", small_overrides), out, ["centre"])] == (
        ["centre-0"] if name == "centre-0.json" else []
    )


def test_a_finished_cell_has_every_step_of_every_arm(finished_study, small_study):
    out, _ = finished_study
    record = json.loads((out / "cells" / "centre-0.json").read_text())
    config = small_study.cell("centre", 0).config
    assert list(record["arms"]) == ["vanilla", "random", "oracle"]
    for name, arm in record["arms"].items():
        assert {key: len(values) for key, values in arm["steps"].items()} == {"gold": 4, "kl": 4, "score": 4}
        assert arm["refreshed_after"] == ([] if name == "vanilla" else [2])
        assert np.isfinite(arm["evaluation"]["gold"]["mean"])
    for name in ("random", "oracle"):
        training = record["arms"][name]["refreshes"][0]["reward_model"]["training"]
        assert training["steps"] == config.refresh.max_steps
        assert "losses" not in training
    # Before the first refresh, all arms are one.
    first = [arm["steps"]["gold"][:2] for arm in record["arms"].values()]
    assert first[0] == first[1] == first[2]


def test_the_old_and_the_new_reward_model_read_what_the_policy_wrote_at_the_refresh(finished_study, small_study):
    record = json.loads((finished_study[0] / "cells" / "centre-0.json").read_text())
    random, oracle = (record["arms"][name]["refreshes"][0]["on_policy"] for name in ("random", "oracle"))
    # One policy and one reward model up to here, and two after it, on the same texts.
    assert random["before"] == oracle["before"]
    assert random["after"] != oracle["after"]
    assert len({each["gold_variance"] for each in (random["before"], random["after"], oracle["after"])}) == 1
    prompts = small_study.cell("centre", 0).config.data.world.evaluation_prompts
    for each in (*random.values(), *oracle.values()):
        assert each["n"] + each["without_order"] == prompts
        assert each["reward_variance"] > 0
    assert record["arms"]["vanilla"]["refreshes"] == []


def test_the_pairs_of_a_refresh_are_counted(finished_study):
    record = json.loads((finished_study[0] / "cells" / "centre-0.json").read_text())
    (refresh,) = record["arms"]["random"]["refreshes"]
    # Two steps of 32 over 16 selected pairs and 16 replayed ones: each is one pass.
    assert (refresh["drawn"], refresh["pairs_seen"]) == ({"distinct": 16, "effective": 16.0}, 64)


@pytest.mark.parametrize("gate", [None, completed(GateInfo, {"accepted": False})])
def test_what_a_gate_said_of_a_refresh_is_kept(finished_study, small_study, gate):
    """Gates look at embeddings, of which the small study has none: one that another has judged."""
    record = json.loads((finished_study[0] / "cells" / "centre-0.json").read_text())
    assert record["arms"]["random"]["refreshes"][0]["gate"] is None
    config = small_study.cell("centre", 0).config
    world = World(WorldConfig(domains=2))
    near, far = world.sources.names[:2]
    columns = {"chosen_source": [near, far, near, far], "domain": ["domain-0", "domain-1", "domain-0", "domain-0"]}
    pool = pa.table({"id": ["a", "b", "c", "d"], **columns})
    made = SimpleNamespace(
        selection=_said({}),
        reward_model=_said({"training": {"pairs": 2, "steps": 1}}),
        verdict=gate,
        labels=None,
        audit=None,
        read_selection=lambda: SimpleNamespace(train_ids=["a", "b", "d", "d"]),
    )
    context = SimpleNamespace(world=world, splits=SimpleNamespace(pool=pool))
    stages = SimpleNamespace(context=context, config=config)
    found = _refresh(stages, made, _said({}), _said({}))
    assert (found.gate, found.near_share, found.domain_share) == (gate, 0.25, 0.75)


def _said(figures: dict) -> SimpleNamespace:
    """A stage that says these figures of itself."""
    return SimpleNamespace(info_as=lambda kind: completed(kind, figures))


def test_drawn_pairs_count_by_kish():
    found = drawn(["a", "b", "a", "c", "a"])
    assert (found.distinct, found.effective) == (3, pytest.approx(effective_sample_size(np.log([3.0, 1, 1]))))


@pytest.mark.parametrize(("pairs", "steps", "batch"), [(500, 40, 32), (64, 5, 32), (3, 40, 32), (100, 1, 32)])
def test_pairs_seen_are_those_of_the_batches(pairs, steps, batch):
    left, seen = 0, 0
    for _ in range(steps):
        left = left or pairs
        seen += min(batch, left)
        left -= min(batch, left)
    assert pairs_seen(pairs, steps, batch) == seen


def test_the_share_of_the_near_source_is_known_of_pairs_of_the_pool_alone(finished_study):
    record = json.loads((finished_study[0] / "cells" / "centre-0.json").read_text())
    random, oracle = (record["arms"][name]["refreshes"][0]["near_share"] for name in ("random", "oracle"))
    assert 0 <= random <= 1
    assert oracle is None


def test_stages_go_when_a_cell_is_done_but_for_what_others_share(finished_study):
    out, _ = finished_study
    kinds = {path.name.split("-")[0] for path in (out / "seeds" / "0" / "stages").iterdir() if path.name[0] != "."}
    # The cell that failed keeps its own, to go on from.
    assert "sft" in kinds
    assert "evaluation" not in kinds


def test_nothing_left_to_do_writes_and_shows_the_results_again(finished_study, small_overrides, shown, fits, capsys):
    out, results = finished_study
    (out / "study.json").unlink()
    arguments = ["study", "averaging", *small_overrides, "--points", "centre", "--out", str(out)]
    assert main(arguments) == 1, "a cell failed"
    fits(shown)
    assert read_sealed(out / "study.json") == results.as_dict()
    printed = capsys.readouterr()
    assert "FAILED broken-0: SelectionError" in printed.out
    assert "2 of 2 cells are done, or not asked for" in printed.err
    assert main([*arguments, "--json"]) == 1
    assert json.loads(capsys.readouterr().out) == results.as_dict()


def test_a_dry_run_tells_time_by_what_was_measured_and_writes_nothing(finished_study, small_overrides, capsys):
    out, _ = finished_study
    before = sorted(out.rglob("*"))
    more = [*small_overrides, "seeds=3", "points.broken=null", "--out", str(out), "--dry-run"]
    assert main(["study", "averaging", *more, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    took = json.loads((out / "cells" / "centre-0.json").read_text())["seconds"]
    missing = found.pop("predictions_not_run")
    assert found == {"cells": ["centre-1", "centre-2"], "workers": 1, "seconds": pytest.approx(2 * took, abs=0.1)}
    assert missing["no bias"] == "oracle, random at lambda-0"
    assert not {"tells apart", "helps"} & set(missing)
    assert main(["study", "averaging", *more]) == 0
    printed = capsys.readouterr().out
    assert "2 cells, 1 at a time: very roughly" in printed
    assert "The prediction 'no bias' will not be run: the study has no oracle, random at lambda-0." in printed
    assert sorted(out.rglob("*")) == before


def test_cells_of_other_settings_are_not_mixed_in(finished_study, small_overrides):
    other = load_study("averaging", [*small_overrides, "base.ppo.kl_coef=0.5"])
    with pytest.raises(
        OutputError, match=r"centre-0\.json was made by another version .*settings \(ppo\.kl_coef: .*, 0\.5 now"
    ):
        to_do(other, finished_study[0])


def test_cells_of_another_version_are_not_mixed_in(finished_study, small_study, monkeypatch):
    for module in ("cell", "runner"):
        monkeypatch.setattr(f"frft.study.{module}.__version__", "99.0")
    with pytest.raises(
        OutputError, match=r"centre-0\.json was made by another version .*\(frft: '.*' there, '99\.0' now"
    ):
        to_do(small_study, finished_study[0])


def test_time_is_estimated_beside_finished_stages(finished_study, small_overrides, tmp_path, monkeypatch):
    # Of one speed: measured twice, that of a busy machine differs by more than a stage.
    monkeypatch.setattr(import_module("frft.experiment.plan"), "flops_a_second", lambda threads: 1e10)
    out = finished_study[0]
    assert any((out / "seeds" / "0" / "stages").glob("sft-*"))
    study = load_study("averaging", [*small_overrides, "points.late={changes: {ppo: {kl_coef: 0.5}}}"])
    left = to_do(study, out, ["late"])
    assert 0 < expected_seconds(study, out, left) < expected_seconds(study, tmp_path, left)


def test_a_second_start_in_a_folder_at_work_is_refused(small_study, small_overrides, tmp_path, capsys):
    with sole_launcher(tmp_path):
        arguments = ["study", "averaging", *small_overrides, "--out", str(tmp_path)]
        assert main(arguments) == 2
        assert f"--out {tmp_path}: process {os.getpid()} on " in capsys.readouterr().err
        assert [path.name for path in tmp_path.iterdir()] == [LAUNCHER_LOCK]
    (tmp_path / LAUNCHER_LOCK).touch()
    # The file of a lock that nobody holds is in nobody's way.
    assert to_do(small_study, tmp_path)


def test_a_folder_of_something_else_gets_no_lock(small_study, tmp_path):
    (tmp_path / "thesis.tex").write_text("")
    with pytest.raises(OutputError, match="holds no study"):
        run_study(small_study, tmp_path, SILENT, command="frft study averaging")
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_more_seeds_and_other_points_go_on_in_the_same_folder(finished_study, small_overrides):
    more = load_study("averaging", [*small_overrides, "seeds=2", "points.late={changes: {ppo: {kl_coef: 0.5}}}"])
    left = [cell.name for cell in to_do(more, finished_study[0])]
    assert left == ["centre-1", "broken-0", "broken-1", "late-0", "late-1"]
    assert [cell.name for cell in to_do(more, finished_study[0], ["late"])] == ["late-0", "late-1"]


def test_the_score_of_a_step_is_the_mean_over_its_rollouts(tmp_path):
    from frft.experiment.texts import score_by_step
    from frft.store import append_rows

    world = World()
    prompts = world.prompts(0, 6)
    completions = world.write(prompts, 0)
    rows = [
        {"step": step, "prompt": prompt, "completion": completion, "score": 0.0}
        for step, prompt, completion in zip([3, 3, 4, 4, 4, 5], prompts, completions, strict=True)
    ]
    append_rows(tmp_path / "rollouts.jsonl", rows)
    one_by_one = [float(world.gold([prompt], [text])[0]) for prompt, text in zip(prompts, completions, strict=True)]
    expected = [np.mean(one_by_one[:2]), np.mean(one_by_one[2:5]), one_by_one[5]]
    assert score_by_step(world.gold, tmp_path) == pytest.approx(dict(zip((3, 4, 5), expected, strict=True)))


def test_a_folder_of_something_else_is_refused(small_study, tmp_path):
    (tmp_path / "thesis.tex").write_text("")
    with pytest.raises(OutputError, match="holds no study"):
        to_do(small_study, tmp_path)
    with pytest.raises(OutputError, match="is a file"):
        to_do(small_study, tmp_path / "thesis.tex")


def test_no_more_workers_than_seeds(averaging):
    config = averaging.config.model_copy(update={"workers": 4})
    assert [worker_count(config, seeds) for seeds in (0, 2, 9)] == [1, 2, 4]


def test_predictions_and_panels_can_be_changed_when_cells_are_done(finished_study, small_overrides, tmp_path):
    out = tmp_path / "out"
    shutil.copytree(finished_study[0] / "cells", out / "cells")
    more = ["predictions.helps.margin=0.3", "panels.One={x: nothing, points: {centre: 0}}"]
    more += ["curves.One={point: centre, lines: {all: [oracle]}}"]
    study = load_study("averaging", [*small_overrides, *more])
    results = run_study(study, out, SILENT, points=["centre"], command="frft study averaging")
    assert {each.name: each.margin for each in results.predictions}["helps"] == 0.3
    assert "panels.svg" in (out / "study.md").read_text()
    assert (out / "panels.svg").read_text().count("<circle") == 1, "oracle alone: random is the control"
    assert "all (oracle has no labels)" in (out / "curves.svg").read_text()
    run_study(load_study("averaging", small_overrides), out, SILENT, points=["centre"], command="frft study averaging")
    assert not (out / "panels.svg").exists()
    assert not (out / "curves.svg").exists()


def test_a_cell_in_a_world_of_several_domains(tmp_path):
    alone = ["primary=own", "control=own", "ceiling=own", "everywhere=[vanilla, own]", "points.centre.more_arms=[]"]
    study = load_study("domains", [*(each for each in SMALL if each.startswith("base.")), *alone])
    record = run_cell(study.cell("centre", 0), tmp_path)
    for arm in record.arms.values():
        by_domain = arm.evaluation.by_domain
        assert list(by_domain) == ["domain-0", "domain-1"]
        # The policy is on the first domain, and so are the pairs of `off_policy`.
        assert by_domain["domain-0"] == arm.evaluation.off_policy != by_domain["domain-1"]
    assert [made.domain_share for made in record.arms["own"].refreshes] == [1.0]
    assert MEASURES["own_domain_gold"](record, "own") == record.arms["own"].evaluation.off_policy.gold.accuracy
