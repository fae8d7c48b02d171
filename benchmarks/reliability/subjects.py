"""One of each kind of thing that frft writes and reads back, made once by the commands that make them.

world/  labels.jsonl  model/  run/ (two refreshes, with labels)  stopped/ (the same, in its training)  store/
study/  bench/  cases/  verdicts.jsonl  refreshes/  samples.jsonl.unfinished  predictor.json  tiny.yaml
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from benchmarks.reliability.same import digest_of_code
from frft.progress import SilentProgress, Task

_SETTINGS = """
data:
  world:
    {lambda_: 2, near_lambda: 0, categories: 4, pool_size: 120, demonstrations: 60, evaluation_prompts: 30,
     held_out_pairs: 60}
policy:
  scratch:
    {vocab_size: 600, hidden_size: 32, num_hidden_layers: 1, num_attention_heads: 2, max_position_embeddings: 160}
  sft: {max_steps: 4, max_length: 128}
reward: {train: {max_length: 128, max_steps: 4, learning_rate: 1.0e-3}, normalise_samples: 32}
ppo:
  total_steps: 5
  save_steps: 1
  rollout_batch_size: 8
  mini_batch_size: 8
  num_ppo_epochs: 1
  sampling: {max_prompt_tokens: 64, max_new_tokens: 12}
refresh:
  {alpha: 2, at_steps: [1, 3], max_steps: 3, selection: {strategy: part1, threshold: -0.5, size: 20, test_size: 8}}
arms:
  vanilla: {alpha: 0, at_steps: null}
  labelled: {labels: {from: gold, budget: 20, noise: 0.1, share: 0.5}}
  ratio: {alpha: 1, at_steps: [1], selection: {strategy: policy_ratio, take: sample, size: 20, test_size: 0}}
workers: 1
evaluation: {max_prompts: 10}
"""
_STUDY = """
seeds: 1
first_seed: 0
workers: 1
base: {}
primary: labelled
control: random
ceiling: ratio
everywhere: [vanilla, labelled, random, ratio]
arms: {}
points: {centre: {}}
predictions: {}
"""
STOPPED_AFTER = 2
"""Steps after which the training of `stopped/` is interrupted."""


def make_subjects(folder: Path) -> Path:
    """All of them in `folder`; made once, which takes about a minute."""
    if (folder / "whole").is_dir():
        if (folder / "whole" / "code.txt").read_text() != digest_of_code():
            # Its run would not be gone on with: stages are named after the code that makes them.
            raise RuntimeError(f"{folder} was made by other code. Name a new folder.")
        return folder / "whole"
    made = folder / "unfinished"
    made.mkdir(parents=True, exist_ok=True)
    with _quiet(made):
        _make(made)
    (made / "code.txt").write_text(digest_of_code())
    made.rename(folder / "whole")
    return folder / "whole"


@cache
def embedder() -> Any:
    """The sentence embedder of runs, whose model is loaded once."""
    from frft.selection import Embedder

    return Embedder()


def frft(*words: str | Path) -> int:
    """Run a command in this process; returns its exit status."""
    from frft.cli import main

    return main([str(word) for word in words])


@contextmanager
def _quiet(folder: Path) -> Iterator[None]:
    """Nothing on standard output, and no cache of the user's."""
    before = {name: os.environ.get(name) for name in ("XDG_CACHE_HOME", "FRFT_STORE")}
    os.environ |= {"XDG_CACHE_HOME": str(folder / "cache"), "FRFT_STORE": "none"}
    try:
        with Path(os.devnull).open("w") as nowhere, redirect_stdout(nowhere):
            yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


class _Interrupting(SilentProgress):
    """Ctrl-C after so many steps of a policy's training."""

    @contextmanager
    def task(self, description: str, total: int) -> Iterator[Task]:
        with super().task(description, total) as task:
            yield _Steps() if description.startswith("training the policy") else task


class _Steps:
    """Counts the steps of a training."""

    def __init__(self) -> None:
        self.done = 0

    def advance(self, amount: int = 1, note: str = "") -> None:  # noqa: ARG002
        self.done += amount
        if self.done == STOPPED_AFTER:
            raise KeyboardInterrupt


def _make(made: Path) -> None:
    from frft.config import load_config
    from frft.experiment.runner import run

    settings, pairs = made / "tiny.yaml", made / "world" / "pairs.jsonl"
    settings.write_text(_SETTINGS)
    world = ["--lambda", "2", "--categories", "4", "--pool-size", "200"]
    rows = ["--demonstrations", "40", "--train-prompts", "30", "--evaluation-prompts", "20"]
    _made("world", made, "world", "make", *world, *rows)
    _made("results.json", made / "run", "run", settings, "--store", made / "store", out=made / "run")
    # With no refresh before its last step, one segment has several steps, and a checkpoint between them.
    changed = ["refresh.at_steps=[4]", "refresh.alpha=1", "arms.ratio.at_steps=[4]", "arms.vanilla.at_steps=null"]
    if not list(made.glob("stopped/stages/*.unfinished/checkpoint-*")):
        with _until_interrupted():
            run(load_config(str(settings), changed), made / "stopped", _Interrupting(), store="none")
    _study(made)
    reward_model = next((made / "run" / "stages").glob("reward-*"))
    trained = ["--train.max-steps", "2", "--train.max-length", "128"]
    _made("model", made, "reward", "train", "--pairs", pairs, "--model-name-or-path", reward_model, *trained)
    _made("labels.jsonl", made, "label", "pick", "--pairs", pairs, "--budget", "8")
    arms = ["--actor", "exclaiming", "--strategies", "density", "--sizes", "20", "--seeds", "1", "--train", "linear"]
    _made("bench", made, "bench", "fixed-actor", "--pairs", pairs, *arms)
    _made(
        "cases",
        made,
        "advise",
        "cases",
        "--pairs",
        pairs,
        "--actor",
        "exclaiming",
        "--family",
        "made up",
        "--seeds",
        "3",
    )
    _journals(made)


def _made(name: str, folder: Path, *words: str | Path, out: Path | None = None) -> None:
    """Run a command, unless what it makes is there."""
    if not (folder / name).exists() and (status := frft(*words, "--out", out or folder / name)):
        raise RuntimeError(f"{name} was not made: exit status {status}")


def _study(made: Path) -> None:
    study: dict[str, Any] = yaml.safe_load(_STUDY)
    tiny: dict[str, Any] = yaml.safe_load(_SETTINGS)
    study["arms"] = tiny.pop("arms") | {"random": {"selection": {"strategy": "random"}}}
    del tiny["workers"]
    study["base"] = tiny
    (made / "study.yaml").write_text(yaml.safe_dump(study))
    _made("study.json", made / "study", "study", made / "study.yaml", "--store", "none", out=made / "study")


def _journals(made: Path) -> None:
    """What takes a server, people or hours to come about, written as its writers do."""
    from frft.labels import open_queue
    from frft.reward.deferred import DeferredRefreshes
    from frft.store import ChainedJournal

    with open_queue(made / "labels.jsonl") as queue:
        for question in list(queue.questions.values())[:5]:
            queue.answer(question.id, "left", "ann")
    verdicts = ChainedJournal(made / "verdicts.jsonl")
    samples = ChainedJournal(made / "samples.jsonl.unfinished")
    samples.append({"unfinished": "frft samples, version 1", "seed": 1})
    refreshes = DeferredRefreshes(made / "refreshes")
    for number in range(4):
        row = {
            "key": f"{number:064x}",
            "preference": number / 4,
            "model": "m",
            "tokens": [9, number],
            "reply_end": "é [[A]]",
        }
        verdicts.append(row)
        samples.append({"prompt": f"Why {number}?", "completion": "Because.", "has_eos": number % 2 == 0})
        refreshes.ask(2 * number, [])
        refreshes.finish(2 * number + 1, writes=True)
    from frft import advice

    shutil.copy(Path(advice.__file__).with_name("predictor.json"), made / "predictor.json")
    (made / "config").mkdir()
    for file in (made / "tiny.yaml", made / "run" / "run.json"):
        shutil.copy(file, made / "config" / file.name)


@contextmanager
def _until_interrupted() -> Iterator[None]:
    try:
        yield
    except KeyboardInterrupt:
        return
    raise RuntimeError("the training was not interrupted")
