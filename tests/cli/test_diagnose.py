"""`frft diagnose` on a user's own parts, and what it refuses. Runs: see tests/e2e/test_diagnose.py."""

from __future__ import annotations

import json

import pytest

from frft.cli import main
from frft.reward import RewardModel

from .conftest import PROMPT


@pytest.fixture(scope="module")
def reward_model(tiny_lm_folder, tmp_path_factory):
    folder = tmp_path_factory.mktemp("reward")
    RewardModel.load(tiny_lm_folder, seed=0, max_length=64).save(folder)
    return str(folder)


@pytest.fixture
def parts(reward_model, pairs_file, samples_file):
    return ["--reward-model", reward_model, "--pairs", str(pairs_file), "--completions", str(samples_file)]


MINE = ["--reward-model", "m", "--pairs", "p", "--completions", "c"]


def judged(write_rows, score):
    rows = [{"prompt": PROMPT, "completion": f" Mix water {n}.", "score": score(n)} for n in range(8)]
    return str(write_rows("judge.jsonl", rows))


def test_without_a_judge_links_are_not_measured(many, capsys):
    parts = many(1)[:-2]
    assert main(["diagnose", *parts]) == 0
    short = capsys.readouterr().out
    assert short.startswith("Verdict: undecided. Nothing broken was found, but not enough was measured to say more.")
    assert "not measured: policy training <-> evaluation" in short
    assert main(["diagnose", *parts, "-v"]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith(short.split("Links, alarms")[0])
    assert "over-optimisation: nobody judged enough of what the policy wrote" in printed
    assert "Its calibration error on held-out pairs" in printed


def test_json_says_the_same_as_the_exit_status(parts, write_rows, samples_file, capsys):
    status = main(["diagnose", *parts, "--judge-scores", judged(write_rows, float), "--json"])
    found = json.loads(capsys.readouterr().out)
    assert status == (1 if found["verdict"] == "broken" else 0)
    assert found["across"]["state"] == "not measured"
    assert {link["name"] for link in found["links"]} == {
        "reward-model training <-> policy training",
        "policy training <-> evaluation",
    }


@pytest.fixture
def many(write_rows, parts):
    """Forty completions of twenty prompts, and scores that are those of the reward model, or their opposite."""
    rows = [{"prompt": f"{PROMPT} {n % 20}", "completion": f" Take {n} eggs and mix."} for n in range(40)]
    parts[-1] = str(write_rows("many.jsonl", rows))
    scores = RewardModel.load(parts[1], seed=0).score(*([row[side] for row in rows] for side in rows[0]))

    def judged(sign):
        scored = [{**row, "score": float(sign * score)} for row, score in zip(rows, scores, strict=True)]
        return [*parts, "--judge-scores", str(write_rows("judge.jsonl", scored))]

    return judged


@pytest.mark.parametrize(("sign", "status", "said"), [(1, 0, "undecided"), (-1, 1, "broken")])
def test_a_broken_link_alone_is_exit_status_1(many, sign, status, said, capsys):
    """A judge that likes what the reward model dislikes."""
    assert main(["diagnose", *many(sign), "--verbose"]) == status
    printed = capsys.readouterr().out
    assert printed.startswith(f"Verdict: {said}. ")
    assert f"the policy  {said}: " in printed
    assert ("broken link: reward-model training <-> policy training" in printed.splitlines()[0]) == (sign < 0)
    assert "FIRED" not in printed
    assert ("no better than a coin" in printed) == (sign < 0)


def test_another_reward_model_judges(parts, many, tmp_path, tiny_lm_folder, capsys):
    many(1)
    other = tmp_path / "judge"
    RewardModel.load(tiny_lm_folder, seed=1, max_length=64).save(other)
    main(["diagnose", *parts, "--judge", f"rm:{other}", "--json"])
    found = json.loads(capsys.readouterr().out)
    models = [RewardModel.load(folder, seed=0) for folder in (parts[1], other)]
    rows = [(f"{PROMPT} {n % 20}", f" Take {n} eggs and mix.") for n in range(40)]
    by_hand = [
        [model.score([prompt] * 2, [rows[n][1], rows[n + 20][1]]) for n, (prompt, _) in enumerate(rows[:20])]
        for model in models
    ]
    right = [(one[0] > one[1]) == (two[0] > two[1]) for one, two in zip(*by_hand, strict=True)]
    assert found["links"][0]["figure"] == pytest.approx(sum(right) / 20)
    assert found["judge"]["name"] == f"rm:{other}"
    main(["diagnose", *parts, "--judge", f"rm:{other}", "--judge-max-length", "8"])
    assert f"Of {found['judge']['truncated']['sequences']} texts that the judge read" in capsys.readouterr().out


def test_blank_completions_are_a_symptom(parts, write_rows, capsys):
    rows = [{"prompt": PROMPT, "completion": " Mix." * (n % 4)} for n in range(8)]
    parts[-1] = str(write_rows("blank.jsonl", rows))
    main(["diagnose", *parts, "--json"])
    symptoms = {each["name"]: each for each in json.loads(capsys.readouterr().out)["symptoms"]}
    assert symptoms["empty"]["after"]["mean"] == 0.25


def test_a_crash_is_no_verdict_either(parts, monkeypatch, capsys):
    import frft.diagnosis

    monkeypatch.setattr(frft.diagnosis, "diagnose", lambda *args: 1 / 0)
    assert main(["diagnose", *parts]) == 2
    assert "ZeroDivisionError" in capsys.readouterr().err


def test_an_alarm_is_exit_status_1(parts, write_rows, capsys):
    """A reward model whose scores all lie within a hundredth has collapsed."""
    model = RewardModel.load(parts[1], seed=0)
    model.model.score.weight.data *= 1e-6
    model.save(write_rows("unused", []).parent / "flat")
    parts[1] = str(write_rows("unused", []).parent / "flat")
    assert main(["diagnose", *parts]) == 1
    printed = capsys.readouterr().out
    assert printed.startswith("Verdict: broken. alarm: reward model collapsed")
    assert "Train it again" in printed


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "--reward-model, --pairs, --completions missing"),
        (["--pairs", "x"], "--reward-model, --completions missing"),
        ([".", "--pairs", "x"], "leave out --pairs"),
        ([".", "--judge-scores", "x"], "leave out --judge-scores"),
        (["."], "holds no run"),
        ([".", "--judge", "rm:x"], "leave out --judge,"),
        ([*MINE, "--arm", "x"], "and no run is given"),
        ([*MINE, "--judge", "rm:m"], "the reward model that is to be judged"),
        ([*MINE, "--judge", "rm:./m"], "the reward model that is to be judged"),
        ([".", "--tie-margin", "1"], "--tie-margin says more about --judge, which is not given"),
        ([*MINE, "--judge", "rm:x", "--judge-scores", "y"], "are two judges"),
        ([*MINE, "--tie-margin", "1"], "--tie-margin says more about --judge, which is not given"),
        ([*MINE, "--judge", "people"], "it must be one of gold:WORLD_FOLDER"),
    ],
)
def test_requests_that_cannot_be_met(arguments, message, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["diagnose", *arguments]) == 2
    assert message in capsys.readouterr().err


def test_judge_scores_that_lack_a_text(parts, write_rows, capsys):
    file = write_rows("judge.jsonl", [{"prompt": PROMPT, "completion": " Mix water 0.", "score": 1}])
    assert main(["diagnose", *parts, "--judge-scores", str(file)]) == 2
    assert "lack 7 of 8 completions" in capsys.readouterr().err


def test_a_model_that_is_not_there_is_no_verdict_on_a_reward(parts, tmp_path, capsys):
    parts[1] = str(tmp_path / "nosuch")
    assert main(["diagnose", *parts, "--max-length", "64"]) == 2
    assert "nosuch" in capsys.readouterr().err
