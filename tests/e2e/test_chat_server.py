"""A chat judge against a server that others wrote: `transformers serve` with a small model made here."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
import urllib.request

import pytest

pytest.importorskip("openai", reason="the extra `judge` is not installed")
pytest.importorskip("fastapi", reason="no server: transformers[serving] is not installed")
pytest.importorskip("uvicorn", reason="no server: transformers[serving] is not installed")

from frft.cli import main
from frft.config.sections import ScratchConfig
from frft.evaluation.chat_prompt import judge_messages
from frft.models import build_causal_lm, train_tokenizer

PAIRS = [(f"How do I learn {what}?", "Practise every day.", "No idea.") for what in ("chess", "cooking", "to sing")]
TEMPLATE = "{% for message in messages %}{{ message['content'] }}\n{% endfor %}"

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def model_folder(tmp_path_factory):
    """A model that learned to answer every question of a judge with [[A]]."""
    import torch

    questions = [judge_messages(*pair) for pair in PAIRS]
    questions += [judge_messages(prompt, second, first) for prompt, first, second in PAIRS]
    config = ScratchConfig(
        vocab_size=600, hidden_size=32, num_hidden_layers=1, num_attention_heads=2, max_position_embeddings=512
    )
    texts = [message["content"] for messages in questions for message in messages]
    tokenizer = train_tokenizer([*texts, *["[[A]]"] * 20], config)
    tokenizer.chat_template = TEMPLATE
    model = build_causal_lm(config, tokenizer, seed=0)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    reply = [*tokenizer.encode("[[A]]"), tokenizer.eos_token_id]
    for step in range(60):
        asked = tokenizer.apply_chat_template(questions[step % len(questions)], return_dict=False)
        ids = torch.tensor([asked + reply])
        labels = torch.tensor([[-100] * len(asked) + reply])
        model(input_ids=ids, attention_mask=torch.ones_like(ids), labels=labels).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    folder = tmp_path_factory.mktemp("served") / "first-place"
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def address(model_folder):
    """The base URL of a server of that model, and of no other."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    log = model_folder.with_name("log")
    command = [sys.executable, "-m", "transformers.cli.transformers", "serve", model_folder.name, "--device", "cpu",
               "--host", "127.0.0.1", "--port", str(port)]  # fmt: skip
    with log.open("wb") as out:
        server = subprocess.Popen(
            command, cwd=model_folder.parent, stdout=out, stderr=out, env={**os.environ, "NO_PROXY": "127.0.0.1"}
        )
    try:
        until = time.monotonic() + 120
        while True:
            assert server.poll() is None, log.read_text()
            assert time.monotonic() < until, log.read_text()
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5):
                    break
            except OSError:
                time.sleep(0.2)
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        server.kill()
        server.wait()


def test_a_local_server_judges(address, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    files = [tmp_path / "a.jsonl", tmp_path / "b.jsonl"]
    for side, file in enumerate(files, start=1):
        rows = [json.dumps({"prompt": pair[0], "completion": pair[side]}) for pair in PAIRS]
        file.write_text("\n".join(rows) + "\n")
    ask = ["eval", "winrate", *map(str, files), "--base-url", address, "--verdicts", str(tmp_path / "verdicts.jsonl"),
           "--price", "1", "5", "--json", "--judge"]  # fmt: skip

    assert main([*ask, "openai:first-place"]) == 0
    found = json.loads(capsys.readouterr().out)
    (pair,) = found["comparisons"]
    # A judge that always likes the first place is found out: each pair is a tie, and a flip.
    assert (pair["rate"], pair["ties"], pair["flips"]) == (0.5, 3, 3)
    counts = found["judge"]["questions"]
    assert (counts["judged"], counts["unparsable"], counts["failed"], counts["uncounted"]) == (6, 0, 0, 0)
    assert counts["prompt_tokens"] > 6 * 200
    assert found["judge"]["cost"] == pytest.approx((counts["prompt_tokens"] + 5 * counts["completion_tokens"]) / 1e6)

    assert main([*ask, "openai:first-place"]) == 0
    again = json.loads(capsys.readouterr().out)
    assert (again["judge"]["questions"]["cached"], again["judge"]["questions"]["judged"]) == (6, 0)
    assert again["comparisons"] == found["comparisons"]

    # One token is no verdict: counted, shown, and no rate is made of it.
    assert main([*ask, "openai:first-place", "--judge-request", '{"max_tokens": 1}']) == 2
    said = capsys.readouterr().err
    assert "3 of 3 questions have no verdict. One reply ends in '[['" in said
    assert "None of 3 pairs has a verdict" in said

    assert main([*ask, "openai:another"]) == 2
    assert "requested 'another'" in capsys.readouterr().err
