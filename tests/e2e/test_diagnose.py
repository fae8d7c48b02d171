"""`frft diagnose` on runs: on pairs, in a world, and under way."""

from __future__ import annotations

import json
import re
import shutil
from types import SimpleNamespace

import numpy as np
import pytest
import yaml

from frft.cli import main
from frft.config.sections import WorldConfig
from frft.experiment.diagnose import diagnose_run
from frft.experiment.diagnose_unfinished import _journals
from frft.results import RolloutRow, StepMetrics
from frft.reward import RewardModel
from frft.store import MANIFEST, append_rows, read_json, read_rows, read_sealed, write_json
from frft.worlds import World

from ..completed import completed
from .conftest import DIALS


@pytest.fixture(scope="session")
def run_in_a_world(settings_file, tmp_path_factory):
    """Of 16 steps, so that there is a trend to look at."""
    settings = yaml.safe_load(settings_file.read_text())
    settings["data"] = {"world": DIALS}
    settings["policy"]["scratch"]["vocab_size"] = 1024
    settings["ppo"] |= {"total_steps": 16, "sampling": {"max_prompt_tokens": 40, "max_new_tokens": 24}}
    settings["arms"]["ensemble"] = {"alpha": 0, "ensemble": 2}
    settings["refresh"] = {"max_samples": 40, "selection": {"size": 20, "test_size": 8, "threshold": -0.5}}
    folder = tmp_path_factory.mktemp("diagnosed")
    (folder / "world.yaml").write_text(yaml.safe_dump(settings))
    assert main(["run", str(folder / "world.yaml"), "--out", str(folder / "run")]) == 0
    return folder / "run"


@pytest.fixture
def copied(run_in_a_world, tmp_path):
    return shutil.copytree(run_in_a_world, tmp_path / "run", symlinks=True)


@pytest.fixture(scope="session")
def in_a_world(run_in_a_world):
    return diagnose_run(run_in_a_world)


def test_figures_are_those_of_the_run(in_a_world, run_in_a_world):
    """Accuracies and variance were computed by the run itself, in another way, from the same texts."""
    results = read_json(run_in_a_world / "results.json")
    assert in_a_world.finished
    assert [arm.name for arm in in_a_world.arms] == list(results["arms"])
    for arm in in_a_world.arms:
        known = results["arms"][arm.name]["evaluation"]
        link = arm.links[0]
        assert link.figure == pytest.approx(known["on_policy"]["accuracy"])
        assert link.interval == pytest.approx(known["on_policy"]["interval"])
        assert f"({known['off_policy']['gold']['accuracy']:.1%} on held-out pairs)" in link.verdict
        assert arm.spread.within.mean == pytest.approx(known["reward_variance"])
        assert arm.movement.judge.estimate.mean == pytest.approx(
            known["gold"]["mean"] - results["start"]["gold"]["mean"]
        )


@pytest.mark.parametrize(("name", "begin"), [("vanilla", 0), ("part1", 8)])
def test_the_course_is_that_of_the_run_since_its_last_refresh(in_a_world, run_in_a_world, name, begin):
    """The proxy before the refresh, after 8 of 16 steps, was another."""
    from scipy import stats

    steps = [row for row in read_rows(run_in_a_world / "metrics.jsonl") if row["arm"] == name and row["step"] > begin]
    arm = next(arm for arm in in_a_world.arms if arm.name == name)
    known = stats.spearmanr([row["score"] for row in steps], [row["gold"] for row in steps]).statistic
    assert arm.links[1].figure == pytest.approx(known)
    assert f"over {16 - begin} steps" in arm.links[1].measured


def test_overfitting_is_what_the_refresh_brought(in_a_world, run_in_a_world):
    """The model before it has seen the pool, and so the selection's test pairs."""
    results = read_json(run_in_a_world / "results.json")
    (refresh,) = results["arms"]["part1"]["refreshes"]
    model, base = refresh["reward_model"], results["base_reward"]
    alarms = next(arm for arm in in_a_world.arms if arm.name == "part1").alarms
    found = next(alarm for alarm in alarms if alarm.name == "reward model overfits its selection")
    elsewhere = model["held_out"]["accuracy"] - base["held_out"]["accuracy"]
    assert found.figure == pytest.approx(model["selected_test_gain"]["mean"] - elsewhere)


def test_a_refresh_is_looked_at_from_all_sides(in_a_world):
    looked = {arm.name: {alarm.name for alarm in arm.alarms} for arm in in_a_world.arms}
    of_a_refresh = {
        "scale of the reward grew",
        "selection too narrow: diversity",
        "selection too narrow: duplicates",
        "selection too narrow: one source",
        "selection shortcut",
        "reward model overfits its selection",
    }
    assert of_a_refresh <= looked["part1"]
    assert not of_a_refresh & looked["vanilla"]
    assert looked["vanilla"] >= {"reward model collapsed", "policy stuck", "over-optimisation"}
    # A random selection has looked at no vectors.
    assert of_a_refresh - looked["random"] == {"selection too narrow: diversity", "selection shortcut"}


def test_an_ensemble_is_a_reward_without_a_scale_of_its_own(in_a_world):
    arm = next(arm for arm in in_a_world.arms if arm.name == "ensemble")
    assert arm.spread_raw is None
    assert arm.calibration_error is None
    assert "reward model collapsed" not in {alarm.name for alarm in arm.alarms}
    assert any("ensemble" in line for line in arm.unmeasured)


def test_three_reward_models_do_not_tell_what_accuracy_is_worth(in_a_world):
    """The ensemble has no accuracy of its own."""
    assert in_a_world.across.state == "not measured"
    assert "here are 3" in in_a_world.across.verdict


def test_the_verb_prints_what_was_found(run_in_a_world, in_a_world, monkeypatch, capsys):
    status = main(["diagnose", str(run_in_a_world), "--json"])
    assert json.loads(capsys.readouterr().out) == json.loads(json.dumps(in_a_world.as_dict()))
    assert status == (1 if in_a_world.verdict == "broken" else 0)
    # The same diagnosis again would only take time.
    monkeypatch.setattr("frft.experiment.diagnose.diagnose_run", lambda *_: in_a_world)
    assert main(["diagnose", str(run_in_a_world), "--verbose"]) == status
    printed = capsys.readouterr().out
    for words in (
        "vanilla:",
        "part1:",
        "Over all arms",
        "selection shortcut",
        "Before normalisation",
        "self-similarity",
    ):
        assert words in printed


def test_on_pairs_the_judge_is_the_held_out_reward_model(finished_run):
    found = diagnose_run(finished_run)
    judge = RewardModel.load(finished_run / "judge", seed=0)
    results = read_json(finished_run / "results.json")
    for arm in found.arms:
        assert arm.links[0].figure is not None
        # The run has the judge's mean of the first of two completions; here are both.
        rows = read_rows(finished_run / "arms" / arm.name / "completions.jsonl")
        own = judge.score([row["prompt"] for row in rows], [row["completion"] for row in rows])
        assert results["arms"][arm.name]["evaluation"]["judge_score"] == pytest.approx(own.mean())
        assert np.isfinite(arm.movement.judge.estimate.mean)
        assert arm.links[1].figure is not None


@pytest.mark.parametrize(
    ("stage", "name"),
    [
        ("reward-*", "model.safetensors"),
        ("reward-*", "reward.json"),
        ("evaluation-*", "manifest.json"),
        ("completions-*", "completions.jsonl"),
    ],
)
def test_damage_in_what_a_diagnosis_reads_is_named(copied, stage, name, capsys):
    damaged = []
    for file in copied.glob(f"stages/{stage}/{name}"):
        content = bytearray(file.read_bytes())
        # A digit or a weight: what is read would still make sense.
        digits = [found.start() for found in re.finditer(rb"\d", content)]
        place = len(content) - 9 if name.endswith("safetensors") else digits[-1]
        content[place] ^= 1
        file.unlink()  # it may be one file with the store's
        file.write_bytes(content)
        damaged.append(str(file))
    assert damaged
    assert main(["diagnose", str(copied)]) == 2
    said = capsys.readouterr().err
    assert any(file in said for file in damaged)
    assert re.search("differs from the manifest|was changed after it was written", said)


@pytest.mark.parametrize("verb", ["reward eval", "eval winrate"])
def test_other_readers_of_weights_name_damage_too(copied, run_in_a_world, verb, capsys, tmp_path):
    (weights,) = {file.resolve() for file in copied.glob("arms/vanilla/reward_model/model.safetensors")}
    completions = [str(run_in_a_world / "arms" / "vanilla" / f"completions{which}.jsonl") for which in ("", "-2")]
    rows = [{"prompt": "p", "chosen": f" yes {n}", "rejected": f" no {n}"} for n in range(20)]
    (tmp_path / "pairs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    model = str(copied / "arms" / "vanilla" / "reward_model")
    command = {
        "reward eval": ["reward", "eval", "--model", model, "--pairs", str(tmp_path / "pairs.jsonl")],
        "eval winrate": ["eval", "winrate", *completions, "--judge", f"rm:{model}"],
    }[verb]
    assert main(command) == 0
    content = bytearray(weights.read_bytes())
    content[-9] ^= 1
    weights.unlink()
    weights.write_bytes(content)
    capsys.readouterr()
    assert main(command) == 1
    assert f"{weights} differs from the manifest" in capsys.readouterr().err


def test_under_way(copied, in_a_world):
    """As a run that was stopped before its last segment was whole: the journal ends in the middle of a line."""
    last = read_json(copied / "results.json")["arms"]["part1"]["stages"][-1]
    (copied / "results.json").unlink()
    stage = (copied / "stages" / last).rename(copied / "stages" / f"{last}.unfinished")
    (stage / "manifest.json").unlink()
    # One journal is a step ahead of the other, and broken off in the one after that.
    ahead = read_rows(stage / "metrics.jsonl")[-1] | {"step": 17}
    with (stage / "metrics.jsonl").open("a") as file:
        file.write(json.dumps(ahead) + '\n{"step": 18, "sco')
    found = diagnose_run(copied)
    assert not found.finished
    arms = {arm.name: arm for arm in found.arms}
    assert set(arms) == {"vanilla", "random", "part1", "ensemble"}
    finished = {arm.name: arm for arm in in_a_world.arms}
    for name, arm in arms.items():
        assert arm.links[1].figure == pytest.approx(finished[name].links[1].figure)
        assert any("under way" in line for line in arm.unmeasured)
    # What the policy wrote in the last five of 16 steps, by the gold reward.
    rows = [row for row in read_rows(stage / "rollouts.jsonl") if row["step"] > 11]
    assert arms["part1"].symptoms[0].after.n == len({row["prompt"] for row in rows})


def make_older(out):
    """A run's folder as versions wrote it that had no format numbers and no checksums of what they record."""
    for path, names in [
        (out / "run.json", ["format", "frft"]),
        (out / "results.json", ["format"]),
        *((manifest, ["format", "sha256", "code"]) for manifest in out.glob("stages/*/manifest.json")),
    ]:
        found = read_json(path) if path.name == MANIFEST else read_sealed(path)
        write_json(path, {name: value for name, value in found.items() if name not in names})


def test_a_run_of_an_older_version_is_read_and_said_to_be_unverified(copied, in_a_world, monkeypatch, capsys):
    make_older(copied)
    made = diagnose_run(copied)
    found, expected = (json.loads(json.dumps(each.as_dict())) for each in (made, in_a_world))
    assert not found.pop("verified")
    assert expected.pop("verified")
    assert found == expected
    with monkeypatch.context() as patch:
        patch.setattr("frft.experiment.diagnose.diagnose_run", lambda *_: made)
        main(["diagnose", str(copied)])
    assert "Unverified: the run was made by an older version of frft" in capsys.readouterr().out
    # Nor is it gone on with, or found where it was not finished.
    assert main(["run", str(copied / "config.yaml"), "--out", str(copied)]) == 2
    assert "older version of frft (run.json has no format number" in capsys.readouterr().err
    (copied / "results.json").unlink()
    assert main(["diagnose", str(copied)]) == 2
    assert "Finish it with that version" in capsys.readouterr().err


def test_a_run_under_way_of_other_code_is_told_from_one_that_has_not_begun(copied, capsys):
    (copied / "results.json").unlink()
    for stage in (copied / "stages").glob("ppo-*"):
        stage.rename(stage.with_name(f"ppo-{stage.name[-12:][::-1]}"))
    assert main(["diagnose", str(copied)]) == 2
    assert "another state of frft's code" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("done", "accepted", "left"),
    [
        (8, [True, True], [7, 8]),
        # Stopped where the second refresh is due.
        (6, [True, True], [4, 5, 6]),
        (7, [True, True], [7]),
        (8, [True, False], [4, 5, 6, 7, 8]),
        (8, [False, False], [1, 2, 3, 4, 5, 6, 7, 8]),
    ],
)
def test_journals_are_read_since_the_last_refresh(tmp_path, done, accepted, left):
    """Of refreshes after steps 3 and 6; of a plan there is a second one, too."""
    for name, kind in {"metrics.jsonl": StepMetrics, "rollouts.jsonl": RolloutRow}.items():
        append_rows(tmp_path / name, [completed(kind, {"step": step + 1}).as_dict() for step in range(done)])
    refreshes = [SimpleNamespace(accepted=each) for each in accepted]
    segments = [SimpleNamespace(path=tmp_path)]
    arm = SimpleNamespace(segments=segments, refreshed_after=[3, 6], refreshes=refreshes, restarted_after=[])
    assert [[row.step for row in rows] for rows in _journals(arm)] == [left, left]


def test_before_the_first_step_there_is_nothing_to_say(copied, capsys):
    (copied / "results.json").unlink()
    for stage in (copied / "stages").glob("ppo-*"):
        shutil.rmtree(stage)
    assert main(["diagnose", str(copied)]) == 2
    assert "has not begun to train" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["results.json", "run.json", "arms/part1/selection-1.parquet"])
def test_what_a_run_shows_is_verified(copied, name, capsys):
    path = copied / name
    content = path.read_bytes()
    # A digit of the seed that is written in a selection's metadata, or in the configuration.
    at = content.index(b'"seed": ') + len(b'"seed": ')
    path.unlink()  # it may share its bytes with others
    path.write_bytes(content[:at] + b"7" + content[at + 1 :])
    assert main(["diagnose", str(copied)]) == 2
    said = " ".join(capsys.readouterr().err.split())
    assert str(path) in said
    assert ("Name a new folder" if name == "run.json" else "Run the same command again") in said


def test_without_its_pairs_a_run_tells_the_rest(copied):
    """A setting that this version does not know: the pairs cannot be made again, the world can."""
    results = read_sealed(copied / "results.json")
    results["config"]["refresh"]["forgotten"] = 1
    write_json(copied / "results.json", results)
    arm = next(arm for arm in diagnose_run(copied).arms if arm.name == "part1")
    assert arm.links[0].figure is not None
    assert "another version of frft (refresh.forgotten" in arm.unmeasured[0]
    assert "selection shortcut" in {alarm.name for alarm in arm.alarms}
    assert "selection too narrow: one source" not in {alarm.name for alarm in arm.alarms}


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (
            lambda run, results: results["config"]["data"]["world"].update(forgotten=1),
            "gold reward this version cannot compute",
        ),
        (
            lambda run, results: results["arms"]["vanilla"].update(evaluation_stage="evaluation-0"),
            "which rebuilds what is missing",
        ),
        (
            lambda run, results: [results.pop(name) for name in ("format", "start_stage")],
            "written by an older version of frft",
        ),
        (lambda run, results: results.update(format=99), "has format 99"),
        (lambda run, results: results["arms"]["vanilla"].pop("looks"), "arms.vanilla.looks: Field required"),
    ],
)
def test_runs_that_cannot_be_read(copied, spoil, message, capsys):
    results = read_sealed(copied / "results.json")
    spoil(copied, results)
    write_json(copied / "results.json", results)
    assert main(["diagnose", str(copied)]) == 2
    assert message in " ".join(capsys.readouterr().err.split())


def test_gold_is_that_of_the_world(in_a_world, run_in_a_world):
    """The judge's mean over what vanilla writes, from the texts in its folder, one of two of each prompt."""
    rows = read_rows(run_in_a_world / "arms" / "vanilla" / "completions.jsonl")
    gold = World(WorldConfig(**DIALS)).gold([row["prompt"] for row in rows], [row["completion"] for row in rows])
    known = read_json(run_in_a_world / "results.json")
    movement = in_a_world.arms[0].movement.judge.estimate
    after = movement.mean + known["start"]["gold"]["mean"]
    assert after == pytest.approx(gold.mean(), abs=3 * gold.std() / np.sqrt(len(gold)))


def test_the_verdict_comes_first_and_details_of_an_arm_when_asked(
    run_in_a_world, in_a_world, shown, fits, monkeypatch, capsys
):
    # The same diagnosis four times would only take time.
    monkeypatch.setattr("frft.experiment.diagnose.diagnose_run", lambda *_: in_a_world)
    main(["diagnose", str(run_in_a_world)])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith(f"Verdict: {in_a_world.verdict}. ")
    for line, arm in zip(lines[1:], in_a_world.arms, strict=False):
        assert line.split()[:2] == [arm.name, f"{arm.verdict}:"]
    # What is wrong is named in the first line, with the arms of which it was found.
    for ground, arms in in_a_world.grounds:
        assert f"{ground.found} ({', '.join(arms)})" in lines[0]
    assert len(lines) < 30
    main(["diagnose", str(run_in_a_world), "--arm", "part1"])
    printed = capsys.readouterr().out
    part1 = next(arm for arm in in_a_world.arms if arm.name == "part1")
    assert f"\npart1: {part1.verdict}\n" in printed
    assert "\nvanilla: " not in printed
    fits(shown)
    main(["diagnose", str(run_in_a_world), "--arm", "part1", "--json"])
    assert list(json.loads(capsys.readouterr().out)["arms"]) == ["part1"]
    assert main(["diagnose", str(run_in_a_world), "--arm", "prat1"]) == 2
    assert "its arms are vanilla, ensemble, part1, random" in " ".join(capsys.readouterr().err.split())
