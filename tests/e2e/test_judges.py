"""`frft run` with judges of a name: who compares the arms changes no training, and nothing is asked twice."""

from __future__ import annotations

import json

import pytest

from frft.cli import main
from frft.store import read_json, read_rows

from ..permissions import closed

ARMS = "arms={vanilla: {alpha: 0}, random: {selection: {strategy: random}}}"


@pytest.fixture(scope="module")
def start(pairs_file, settings_file, tmp_path_factory):
    """Starts two arms of the small experiment; stages that another test has made are taken from a store."""
    root = tmp_path_factory.mktemp("judged")

    def begin(name: str, *more: str, status: int = 0):
        command = ["run", str(settings_file), f"data.pairs={pairs_file}", ARMS, *more, "--store", str(root / "store")]
        assert main([*command, "--out", str(root / name)]) == status
        return root / name

    return begin


def longer(messages) -> str:
    """The verdict of somebody who likes the longer answer."""
    text = messages[-1]["content"]
    mark = text.split(" ", 1)[0]
    first, second = (len(part.split("\n", 1)[1].strip()) for part in text.split(f"{mark} ")[2:4])
    return "[[A]]" if first > second else "[[B]]" if first < second else "[[TIE]]"


def test_a_chat_model_compares_the_arms_and_is_asked_once(start, endpoint, finished_run, capsys):
    chat = ["evaluation.judge=openai:m", f"evaluation.base_url={endpoint.url}", "evaluation.price=[2, 10]"]
    chat += ["evaluation.concurrency=1", "evaluation.judge_request={seed: 1}"]
    endpoint.answer = lambda messages: (
        longer(messages) if len(endpoint.requests) < 6 else endpoint.error(401, f"Bad key {endpoint.keys[-1]}")
    )
    out = start("chat", *chat, status=1)
    assert "refuses: AuthenticationError" in " ".join(capsys.readouterr().err.split())
    endpoint.answer = longer
    assert start("chat", *chat) == out
    printed = " ".join(capsys.readouterr().out.split())

    # One was refused, and asked again; no other was.
    asked = [json.dumps(request) for request in endpoint.requests]
    assert len(set(asked)) == len(asked) - 1
    assert all(request["seed"] == 1 for request in endpoint.requests)
    results = read_json(out / "results.json")
    replies = len(set(asked))
    judge = results["judge"]
    assert (judge["name"], judge["replies"]["judged"], judge["replies"]["prompt_tokens"]) == (
        "openai:m",
        replies,
        100 * replies,
    )
    assert judge["replies"]["cost"] == pytest.approx(replies * (100 * 2 + 7 * 10) / 1e6)
    assert f"It gave {replies} replies to this run" in printed
    assert "openai:m compares and gives no scores" in printed

    # The win rate by hand.
    vanilla, random = (
        {row["prompt"]: len(row["completion"].strip()) for row in read_rows(out / "arms" / name / "completions.jsonl")}
        for name in ("vanilla", "random")
    )
    wins = [1.0 if random[p] > vanilla[p] else 0.5 if random[p] == vanilla[p] else 0.0 for p in vanilla]
    evaluation = results["arms"]["random"]["evaluation"]
    assert evaluation["win_rate"]["rate"] == pytest.approx(sum(wins) / len(wins))
    assert "judge_score" not in evaluation
    assert evaluation["judge_counts"]["questions"]["judged"] > 0

    # The training is that of a run with a judge of its own, and no judge was trained.
    trained = read_json(finished_run / "results.json")
    assert results["arms"]["random"]["stages"] == trained["arms"]["random"]["stages"]
    assert not (out / "judge").exists()
    assert not any(stage["kind"] == "judge" for stage in results["stages"])

    # Whoever starts it again, or diagnoses it twice, asks and pays nothing more; and the key stands nowhere.
    start("chat", *chat)
    assert len(endpoint.requests) == len(asked)
    capsys.readouterr()
    assert main(["diagnose", str(out), "--json"]) in (0, 1)
    found = json.loads(capsys.readouterr().out)
    assert any("compares texts and gives no scores" in line for line in found["arms"]["random"]["unmeasured"])
    # 60 held-out pairs are judged as `longer` says, against which the reward model is held.
    assert found["arms"]["random"]["off_policy"]["n"] > 0
    diagnosed = len(endpoint.requests)
    assert diagnosed > len(asked)
    assert main(["diagnose", str(out)]) in (0, 1)
    assert len(endpoint.requests) == diagnosed
    files = [file for file in out.rglob("*") if file.is_file()]
    assert not [file for file in files if b"sk-secret" in file.read_bytes()]

    # Where the replies that it lacks cannot be kept, nothing is asked, and what to do is said.
    (out / "verdicts.jsonl").unlink()
    (out / "verdicts.jsonl.lock").unlink(missing_ok=True)
    capsys.readouterr()
    with closed(out):
        assert main(["diagnose", str(out), "--json"]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert "verdicts.jsonl.lock cannot be read or written: there is no permission" in said.err
    assert f"diagnose a copy elsewhere: cp -r {out} COPY." in said.err
    assert len(endpoint.requests) == diagnosed


def test_a_chat_model_looks_at_an_arm(start, endpoint):
    endpoint.answer = longer
    chat = ["evaluation.judge=openai:m", f"evaluation.base_url={endpoint.url}"]
    out = start("looks", *chat, "monitor.every=4", "monitor.prompts=20")
    results = read_json(out / "results.json")
    first, last = results["arms"]["random"]["looks"]
    assert "judge" not in {stage["kind"] for stage in results["stages"]}
    assert first["judge_counts"]["questions"]["judged"] > 0
    assert last["movement"]["judge"]["estimate"]["n"] == 20
    assert last["gao"] is None, "no scores of steps"


def test_a_reward_model_with_a_name_judges_as_the_one_trained_in_the_run(start, finished_run, capsys):
    out = start("rm", f"evaluation.judge=rm:{finished_run / 'judge'}")
    assert "judge its mean score" in " ".join(capsys.readouterr().out.split())
    named, trained = (read_json(folder / "results.json") for folder in (out, finished_run))
    for name in ("vanilla", "random"):
        for figure in ("win_rate", "judge_score", "judge_truncated"):
            assert named["arms"][name]["evaluation"][figure] == trained["arms"][name]["evaluation"][figure]


@pytest.mark.parametrize(
    ("settings", "status", "message"),
    [
        (["evaluation.judge=nobody:x"], 2, "evaluation.judge is 'nobody:x'; it must be one of gold:WORLD_FOLDER"),
        (["evaluation.judge=rm:/no/such/model"], 1, "/no/such/model"),
        (["arms.random.labels={from: judge, judge: 'rm:/no/such/model', budget: 4}"], 1, "/no/such/model"),
        (["evaluation.judge=openai:m", "evaluation.base_url=localhost"], 2, "The base URL 'localhost'"),
        (["evaluation.judge=openai:m", "evaluation.judge_request=7"], 2, "evaluation.judge_request"),
    ],
)
def test_a_judge_that_cannot_judge_is_refused_before_the_training(settings, status, message, endpoint, start, capsys):
    start("refused", *settings, status=status)
    said = " ".join(capsys.readouterr().err.split())
    assert message in said
    assert "sft-" not in said
