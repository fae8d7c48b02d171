"""What a run would do: its stages, which of them are there, and roughly what the rest would cost.

The experiment itself is walked through, with a store that notes every artifact that is asked for instead of making it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from frft.config import RunConfig
from frft.experiment.loop import run_arm
from frft.experiment.run import prepare
from frft.experiment.stages import Stages
from frft.models import build_causal_lm, choose_threads, train_tokenizer, use_threads
from frft.models.loading import load_model_config
from frft.progress import SILENT, Progress
from frft.store import Artifact, ArtifactStore, digest_of, plain

CHARACTERS_A_TOKEN = 3.5
"""English under a byte-pair vocabulary of a few thousand to fifty thousand tokens has 3 to 4.5."""

SHARE_OF_PEAK = 0.5
"""Share of the measured matrix-product rate that whole stages reach; 0.4 to 0.6 in a run of `hh-small`."""

EMBEDDER_PARAMETERS = 10_600_000
"""all-MiniLM-L6-v2 without its table of tokens; another embedder costs more or less in proportion."""


@dataclass(frozen=True)
class PlannedStage:
    """One stage of a plan.

    Attributes:
        name: its folder's name.
        arms: the arms that need it.
        done: whether it is there already.
        seconds: about what it will take; 0 where it is done.
    """

    name: str
    arms: list[str]
    done: bool
    seconds: float


class _PlanningStore(ArtifactStore):
    """Finds what is there, and pretends that the rest will be."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.asked: dict[str, tuple[Artifact, Mapping[str, Any], bool, list[str]]] = {}
        self.arm = ""

    def make(self, kind: str, inputs: Mapping[str, Any], build: Callable[[Path], Mapping[str, Any]]) -> Artifact:
        del build
        digest = self._digest(kind, inputs)
        if digest not in self.asked:
            there = self.find(kind, inputs)
            artifact = there or Artifact(self.path_of(kind, inputs), kind, digest, {}, seconds=0.0, peak_memory=0)
            self.asked[digest] = (artifact, inputs, there is not None, [])
        artifact, _, _, arms = self.asked[digest]
        if self.arm not in arms:
            arms.append(self.arm)
        return artifact


def plan(config: RunConfig, out: Path, progress: Progress = SILENT) -> list[PlannedStage]:
    """The stages of `frft run` with this configuration and folder, in order. Nothing is written.

    Raises:
        OutputError: `out` holds something else.
        DataError: the preference data cannot be used.
    """
    store = _PlanningStore(out / "stages")
    _, stages = prepare(config, out, store, progress)
    baseline = None
    for name in sorted(config.arms, key=lambda name: name != "vanilla"):
        store.arm = name
        arm = run_arm(stages, name)
        baseline = baseline or arm.policy
        _ = stages.evaluation(arm.policy, baseline)
    rate = _flops_a_second(stages) * SHARE_OF_PEAK
    planned = []
    embedded: set[str] = set()
    for artifact, inputs, done, arms in store.asked.values():
        if artifact.kind == "selection":
            # The vectors of the pool and of a policy's samples are cached for all selections that look at them.
            samples = digest_of(plain(inputs["samples"]))
            free = inputs["samples"] is None or samples in embedded
            embedded.add(samples)
        else:
            free = False
        seconds = 0.0 if done or free else _flops(stages, artifact.kind, inputs) / rate
        planned.append(PlannedStage(artifact.path.name, arms, done, seconds))
    return planned


def _flops(stages: Stages, kind: str, inputs: Mapping[str, Any]) -> float:
    """Floating-point operations of a stage: 2 a weight and token forward, 4 more backward."""
    config, splits, weights = stages.config, stages.splits, _parameters(stages)
    sampling = config.ppo.sampling
    lengths = [min(len(prompt) / CHARACTERS_A_TOKEN, sampling.max_prompt_tokens) for prompt in splits.prompts]
    sequence = sum(lengths) / len(lengths) + sampling.max_new_tokens
    held_out: int = splits.evaluation.num_rows
    tokens: float
    if kind == "sft":
        tokens = 3 * splits.sft.num_rows * config.policy.sft.num_train_epochs * sequence
    elif kind in ("reward", "judge"):
        rows, model = (splits.pool, config.reward) if kind == "reward" else (splits.judge, config.judge)
        tokens = 2 * (3 * rows.num_rows * model.train.num_train_epochs + held_out) * sequence
    elif kind == "refresh":
        tokens = 2 * (3 * config.refresh.selection.size * config.refresh.num_train_epochs + held_out) * sequence
    elif kind == "selection":
        tokens = 3 * splits.pool.num_rows * sampling.max_new_tokens * EMBEDDER_PARAMETERS / weights
    elif kind == "completions":
        tokens = inputs["count"] * sequence
    elif kind == "ppo":
        begin = max((step for step in stages.checkpoints if step < inputs["until_step"]), default=0)
        # Sampling, the look of three models at it, and forward and backward of two models in every epoch.
        passes = 1 + 3 + config.ppo.num_ppo_epochs * 2 * 3
        tokens = passes * (inputs["until_step"] - begin) * config.ppo.rollout_batch_size * sequence
    else:
        tokens = 5 * config.evaluation.max_prompts * sequence
    return 2 * weights * tokens


def _parameters(stages: Stages) -> int:
    """Weights of the policy, counted on a model without memory."""
    import torch
    from transformers import AutoModelForCausalLM

    config = stages.config.policy
    with torch.device("meta"):
        if config.model_name_or_path is None:
            model = build_causal_lm(config.scratch, train_tokenizer(["a"], config.scratch), 0)
            # The tokenizer is not trained yet; a full vocabulary is the likely outcome.
            missing = config.scratch.vocab_size - model.config.vocab_size
            return int(model.num_parameters() + missing * config.scratch.hidden_size)
        trust = config.trust_remote_code
        model_config = load_model_config(config.model_name_or_path, trust_remote_code=trust)
        return int(AutoModelForCausalLM.from_config(model_config, trust_remote_code=trust).num_parameters())


def _flops_a_second(stages: Stages) -> float:
    """The matrix-product rate of this machine with the run's threads, measured in a fraction of a second."""
    import torch

    use_threads(choose_threads(_parameters(stages), stages.config.threads))
    device = "cuda" if torch.cuda.is_available() else "cpu"
    size = 4096 if device == "cuda" else 512
    matrix = torch.ones(size, size, device=device)
    (matrix @ matrix).sum().item()
    started, count = time.perf_counter(), 0
    while time.perf_counter() - started < 0.2:
        (matrix @ matrix)[0, 0].item()
        count += 1
    return count * 2 * size**3 / (time.perf_counter() - started)
