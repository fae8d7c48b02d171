"""`frft eval` as a person uses and misuses it."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from frft.cli import main
from frft.config.sections import WorldConfig
from frft.worlds import World, write_world


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """A small world's folder, and three files of what its sources write to its prompts."""
    folder = tmp_path_factory.mktemp("world")
    made = World(WorldConfig(pool_size=20, demonstrations=20, train_prompts=20, evaluation_prompts=60))
    write_world(made, folder)
    prompts = made.prompts(0, 60, "evaluation")
    files = []
    for source in range(3):
        path = folder / f"source-{source}.jsonl"
        rows = zip(prompts, made.write(prompts, source), strict=True)
        path.write_text("".join(json.dumps({"prompt": p, "completion": c}) + "\n" for p, c in rows))
        files.append(str(path))
    return made, folder, prompts, files


@pytest.fixture
def annotations(tmp_path):
    rows = [{"prompt": f"p{n}", "first": "good", "second": "bad", "preference": 1 if n < 9 else 0} for n in range(12)]
    for name, text in (("good.jsonl", "good"), ("bad.jsonl", "bad")):
        lines = (json.dumps({"prompt": f"p{n}", "completion": text}) for n in range(13))
        (tmp_path / name).write_text("\n".join(lines) + "\n")
    path = tmp_path / "annotations.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return [str(tmp_path / "good.jsonl"), str(tmp_path / "bad.jsonl"), "--judge", f"annotations:{path}"]


@pytest.mark.parametrize("options", [[], ["--prompt-key", "instruction", "--completion-key", "output"]])
def test_model_outputs_of_alpaca_eval_are_completions(annotations, tmp_path, capsys, options):
    for name in ("good", "bad"):
        rows = [{"instruction": f"p{n}", "output": name, "generator": name} for n in range(13)]
        (tmp_path / f"{name}.json").write_text(json.dumps(rows))
    files = [str(tmp_path / "good.json"), str(tmp_path / "bad.json")]
    assert main(["eval", "winrate", *annotations, "--json"]) == 0
    expected = json.loads(capsys.readouterr().out)["comparisons"][0]
    assert main(["eval", "winrate", *files, *annotations[2:], *options, "--json"]) == 0
    (found,) = json.loads(capsys.readouterr().out)["comparisons"]
    assert (found["rate"], found["n"]) == (expected["rate"], expected["n"]) == (0.75, 12)


def test_the_gold_reward_judges(world, capsys):
    made, folder, prompts, files = world
    assert main(["eval", "winrate", *files[:2], "--judge", f"gold:{folder}", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    (pair,) = found["comparisons"]
    gold = [made.gold(prompts, made.write(prompts, source)) for source in range(2)]
    by_hand = (gold[0] > gold[1]) + 0.5 * (gold[0] == gold[1])
    assert (pair["n"], pair["unjudged"], pair["unmatched"]) == (60, 0, {"first": 0, "second": 0})
    assert pair["rate"] == pytest.approx(by_hand.mean())
    assert pair["p_holm"] == pair["p_value"]
    assert found["ranking"] == []


def test_blank_answers_are_judged(world, tmp_path, capsys):
    _, folder, prompts, files = world
    silent = tmp_path / "silent.jsonl"
    silent.write_text("".join(json.dumps({"prompt": prompt, "completion": ""}) + "\n" for prompt in prompts))
    assert main(["eval", "winrate", files[0], str(silent), "--judge", f"gold:{folder}", "--json"]) == 0
    (pair,) = json.loads(capsys.readouterr().out)["comparisons"]
    assert (pair["n"], pair["unmatched"]) == (60, {"first": 0, "second": 0})


def test_what_shares_no_prompt_is_refused_before_anything_is_judged(world, tmp_path, capsys, monkeypatch):
    made, folder, _, files = world
    monkeypatch.setattr(type(made), "gold", lambda *args: pytest.fail("it was judged"))
    other = tmp_path / "other.jsonl"
    other.write_text('{"prompt": "another thing", "completion": "yes"}\n')
    assert main(["eval", "winrate", *files[:2], str(other), "--judge", f"gold:{folder}"]) == 2
    message = " ".join(capsys.readouterr().err.split())
    assert "share no prompt" in message
    assert "that of the other 'another thing'" in message


@pytest.fixture
def verdicts(tmp_path):
    """Three files on n prompts, and so many wins of each over the next, the third being the first's next."""

    def write(n, wins):
        texts = ["a", "b", "c"]
        for text in texts:
            rows = [{"prompt": f"p{k}", "completion": text} for k in range(n)]
            (tmp_path / f"{text}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        judged = [
            {"prompt": f"p{k}", "first": texts[at], "second": texts[(at + 1) % 3], "preference": int(k < won)}
            for at, won in enumerate(wins)
            for k in range(n)
        ]
        (tmp_path / "verdicts.jsonl").write_text("".join(json.dumps(row) + "\n" for row in judged))
        return [str(tmp_path / f"{text}.jsonl") for text in texts], f"annotations:{tmp_path / 'verdicts.jsonl'}"

    return write


def test_one_of_several_comparisons_is_decided_by_holm(verdicts, capsys):
    """38 of 60 against a half would be apart at 5 % if nothing else were compared."""
    files, judge = verdicts(60, [38, 30, 30])
    assert main(["eval", "winrate", *files, "--judge", judge]) == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert "undecided after correction for 3 comparisons (p 0.11 by Holm)" in printed
    assert main(["eval", "winrate", *files[:2], "--judge", judge]) == 0
    assert "undecided" not in capsys.readouterr().out


def test_a_few_prompts_that_all_agree_are_too_few(verdicts, capsys):
    files, judge = verdicts(2, [2, 2, 2])
    assert main(["eval", "winrate", *files[:2], "--judge", judge]) == 0
    printed = capsys.readouterr().out
    assert "undecided; 2 prompts, which all agree, are too few to tell" in printed
    assert "could settle" not in printed


def test_three_files_are_ranked(world, capsys):
    _, folder, _, files = world
    assert main(["eval", "winrate", *files, "--judge", f"gold:{folder}"]) == 0
    printed = capsys.readouterr().out
    assert "strength" in printed
    assert main(["eval", "winrate", *files, "--judge", f"gold:{folder}", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert len(found["comparisons"]) == 3
    assert {each["arm"] for each in found["ranking"]} == set(files)
    assert all(pair["p_holm"] >= pair["p_value"] for pair in found["comparisons"])


def test_stored_annotations_and_what_is_missing(annotations, capsys):
    assert main(["eval", "winrate", *annotations]) == 0
    printed = capsys.readouterr().out
    assert "75.0 %" in printed
    assert "1 pairs have no verdict in both orders" in printed
    assert "prompts would show" in printed


def test_a_reward_model_judges(tiny_lm_folder, annotations, tmp_path, capsys):
    from frft.reward import RewardModel

    folder = tmp_path / "rm"
    RewardModel.load(tiny_lm_folder, seed=0, max_length=64).save(folder)
    assert main(["eval", "winrate", *annotations[:2], "--judge", f"rm:{folder}", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    cut = found["judge"]["truncated"]
    assert cut["sequences"] > 0
    assert found["comparisons"][0]["n"] == 13
    assert main(["eval", "winrate", *annotations[:2], "--judge", f"rm:{folder}"]) == 0
    assert "texts that the judge read" not in capsys.readouterr().out
    assert main(["eval", "winrate", *annotations[:2], "--judge", f"rm:{folder}", "--judge-max-length", "3"]) == 0
    assert f"Of {cut['sequences']} texts that the judge read" in capsys.readouterr().out


def test_a_judge_that_does_not_say_its_length_is_told_by_the_option_of_this_command(
    silent_lm_folder, annotations, capsys
):
    assert main(["eval", "winrate", *annotations[:2], "--judge", f"rm:{silent_lm_folder}"]) == 1
    complaint = capsys.readouterr().err
    assert "--judge-max-length" in complaint
    assert " --max-length" not in complaint


def test_a_chat_model_judges_and_is_asked_once(annotations, tmp_path, capsys, monkeypatch):
    pytest.importorskip("openai", reason="the extra `judge` is not installed")
    requests = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            requests.append(json.loads(self.rfile.read(int(self.headers["content-length"]))))
            content = requests[-1]["messages"][1]["content"]
            reply = "[[A]]" if content.index("good") < content.index("bad") else "[[B]]"
            reply = "I cannot say." if requests[-1]["model"] == "mute" else reply
            body = {
                "choices": [{"message": {"content": reply}}],
                "usage": {"prompt_tokens": 10, "completion_tokens": 2},
            }
            data = json.dumps(body).encode()
            self.send_response(200)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *args):
            pass

    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        arguments = ["eval", "winrate", *annotations[:2], "--judge", "openai:m", "--json",
                     "--base-url", f"http://127.0.0.1:{server.server_port}/v1", "--price", "1", "5",
                     "--verdicts", str(tmp_path / "kept" / "verdicts.jsonl"),
                     "--judge-request", '{"max_tokens": 5}']  # fmt: skip
        try:
            assert main(arguments) == 0
            first = capsys.readouterr().out
            assert main(arguments) == 0
            again = capsys.readouterr().out
            # What was asked and paid for is told, too, where nothing came of it.
            assert main(["openai:mute" if each == "openai:m" else each for each in arguments]) == 2
            failed = capsys.readouterr().err
        finally:
            server.shutdown()
            thread.join()
    assert len(requests) == 52
    assert requests[0]["max_tokens"] == 5
    assert "None of 13 pairs has a verdict" in failed
    assert "Questions: " in failed
    assert "Cost: 0.0005" in failed
    found, again = json.loads(first), json.loads(again)
    assert found["judge"]["questions"]["judged"] == again["judge"]["questions"]["cached"] == 26
    assert found["judge"]["cost"] == pytest.approx((260 * 1 + 52 * 5) / 1e6)
    assert found["comparisons"] == again["comparisons"]
    assert found["comparisons"][0]["rate"] == 1.0
    assert "sk-secret" not in first


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "two files of completions"),
        (["good.jsonl"], "two files of completions"),
        (["good.jsonl", "good.jsonl"], "given twice"),
        (["good.jsonl", "bad.jsonl", "--judge", "oracle:x"], "it must be one of gold:WORLD_FOLDER"),
        (["good.jsonl", "bad.jsonl", "--judge", "gold:"], "it must be one of gold:WORLD_FOLDER"),
        (["good.jsonl", "bad.jsonl", "--tie-margin", "1"], "--tie-margin: the judge is annotations:"),
        (["good.jsonl", "bad.jsonl", "--base-url", "http://x"], "--base-url: the judge is annotations:"),
        (["good.jsonl", "bad.jsonl", "--judge", "openai:m", "--judge-request", "[]"], "must be a JSON object"),
        (["good.jsonl", "bad.jsonl", "--judge", "openai:m", "--concurrency", "0"], "--concurrency"),
        (["good.jsonl", "other.jsonl"], "share no prompt"),
        (["good.jsonl", "missing.jsonl"], "missing.jsonl"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_wrong_request_is_status_2(arguments, said, annotations, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "other.jsonl").write_text('{"prompt": "x", "completion": "y"}\n')
    judge = [] if "--judge" in arguments else annotations[2:]
    assert main(["eval", "winrate", *arguments, *judge]) == 2
    assert said in capsys.readouterr().err


def test_no_verdict_at_all_is_status_2(annotations, tmp_path, capsys):
    (tmp_path / "annotations.jsonl").write_text('{"prompt": "x", "first": "a", "second": "b", "preference": 1}\n')
    assert main(["eval", "winrate", *annotations]) == 2
    assert "None of 13 pairs has a verdict" in capsys.readouterr().err


def test_help_imports_nothing_heavy():
    code = """if True:
        import sys
        from frft.cli import main
        main(["eval", "winrate", "--help"])
        print([name for name in ("numpy", "scipy", "pyarrow", "torch", "openai") if name in sys.modules])"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
