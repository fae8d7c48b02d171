"""What a run would do: its stages, which of them are there, and roughly what the rest would cost.

The experiment itself is walked through, with a store that notes every artifact that is asked for instead of making it.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from frft.config import RunConfig
from frft.experiment.loop import Arm, arm_names, run_arm
from frft.experiment.memory import MemoryModel, policy_on_meta
from frft.experiment.prepare import prepare, remarks
from frft.experiment.speed import flops_a_second
from frft.experiment.stages import Stages
from frft.models import choose_threads
from frft.progress import SILENT, Progress
from frft.store import ALONE, Artifact, ArtifactStore, Build, Peers, digest_of, open_store, peak_memory, plain_inputs
from frft.strategies import get_strategy

CHARACTERS_A_TOKEN = 3.5
"""English under a byte-pair vocabulary of a few thousand to fifty thousand tokens has 3 to 4.5."""

SHARE_OF_PEAK = 0.5
"""Share of the measured matrix-product rate that whole stages reach; 0.4 to 0.6 in a run of `hh-small`."""

IN_RUN, IN_STORE, NOWHERE = "run", "store", "nowhere"
"""Where the artifact of a stage is when a plan is made."""

START_STAGE = "the start"
"""What the plan calls the SFT model, which is evaluated beside the arms."""

EMBEDDER_PARAMETERS = 10_600_000
"""all-MiniLM-L6-v2 without its table of tokens; another embedder costs more or less in proportion."""


@dataclass(frozen=True)
class PlannedStage:
    """One stage of a plan.

    Attributes:
        name: its folder's name.
        arms: the arms that need it.
        done: whether it is there already.
        stored: whether it is in the shared store instead, from where it will be taken.
        seconds: about what it will take; 0 where it is done or stored.
        memory: bytes that its process will hold at most, predicted.
    """

    name: str
    arms: list[str]
    done: bool
    seconds: float
    memory: int
    stored: bool = False


class _PlanningStore(ArtifactStore):
    """Finds what is there, and pretends that the rest will be."""

    def __init__(self, store: ArtifactStore) -> None:
        super().__init__(store.root, shared=store.shared)
        self.asked: dict[str, tuple[Artifact, Mapping[str, Any], str, list[str]]] = {}
        self.arm = ""

    def make(
        self, kind: str, inputs: Mapping[str, Any], build: Build, *, scratch: str | None = None, peers: Peers = ALONE
    ) -> Artifact:
        del scratch, peers
        nowhere = self.nowhere(kind, inputs, build)
        digest = nowhere.digest
        if digest not in self.asked:
            # Whether its files are as they were is for the run to see.
            there = self.find(kind, inputs, build, verify=False)
            stored = self.in_shared_store(kind, inputs, build) if there is None else None
            place = IN_RUN if there else IN_STORE if stored else NOWHERE
            self.asked[digest] = (there or stored or nowhere, inputs, place, [])
        artifact, _, _, arms = self.asked[digest]
        if self.arm not in arms:
            arms.append(self.arm)
        return artifact


def plan_run(
    config: RunConfig,
    out: Path,
    progress: Progress = SILENT,
    *,
    checks: bool = True,
    store: str | Path | None = None,
) -> list[PlannedStage]:
    """The stages of `frft run` with this configuration and folder, in order. Nothing is written.

    Args:
        progress: told of the reading of data, and of what somebody should know before such a run.
        checks: see to it that `out` is a folder of `frft run`; others keep stages, too.
        store: the shared store, as `frft.store.open_store` takes it.

    Raises:
        OutputError: `out` holds something else.
        DataError: the preference data cannot be used.
    """
    artifacts = ArtifactStore(out / "stages", shared=open_store(store, progress.say))
    rows, stages = prepare(config, out, artifacts, progress, checks=checks)
    for remark in remarks(config, rows):
        progress.say(remark)
    return forecast(stages)


def planned_arms(stages: Stages) -> list[Arm]:
    """Every arm as it is and will be; looks that are still to come are taken to call for every refresh."""
    return [run_arm(_on_paper(stages)[0], name) for name in arm_names(stages.config)]


def forecast(stages: Stages) -> list[PlannedStage]:
    """What a run of these stages would do, in order."""
    stages, store = _on_paper(stages)
    vanilla = None
    for name in arm_names(stages.config):
        store.arm = name
        arm = run_arm(stages, name)
        vanilla = vanilla or arm
        _ = stages.evaluation(arm.policy, vanilla.policy, arm.reward)
    assert vanilla is not None
    store.arm = START_STAGE
    _ = stages.evaluation(stages.sft, vanilla.policy, vanilla.reward)
    pool = stages.splits.pool
    longest = max(len(text) for side in ("chosen", "rejected") for text in pool[side].to_pylist())
    texts = 2 * pool.num_rows + len(stages.splits.prompts)
    policy = policy_on_meta(stages.config.policy)
    parameters = policy.num_parameters()
    memory = MemoryModel(stages.config, policy, texts, longest / CHARACTERS_A_TOKEN, peak_memory())
    threads = choose_threads(parameters, stages.config.threads)
    rate = flops_a_second(threads) * SHARE_OF_PEAK
    peaks: dict[tuple[str, bool], int] = {}
    planned = []
    selections = {
        artifact.digest: inputs for artifact, inputs, _, _ in store.asked.values() if artifact.kind == "selection"
    }
    embedded: set[str] = set()
    for artifact, inputs, place, arms in store.asked.values():
        free = looks = False
        if artifact.kind in ("selection", "gate") and inputs["samples"] is not None:
            # The vectors of the pool and of a policy's samples are cached for all selections that look at them.
            samples = digest_of(plain_inputs(inputs["samples"]))
            free, looks = samples in embedded, True
            embedded.add(samples)
        elif artifact.kind == "embedded":
            looks = True
            embedded.add(artifact.digest)
        seconds = (
            0.0 if place != NOWHERE or free else _flops(stages, artifact.kind, inputs, parameters, selections) / rate
        )
        # What a selection loads to look at samples stays in its process.
        loaded = looks or (bool(embedded) and artifact.kind != "selection")
        key = artifact.kind, loaded
        if key not in peaks:
            peaks[key] = memory.peak(artifact.kind, embedder=loaded)
        planned.append(PlannedStage(artifact.path.name, arms, place == IN_RUN, seconds, peaks[key], place == IN_STORE))
    return planned


def _on_paper(stages: Stages) -> tuple[Stages, _PlanningStore]:
    """The same stages, of which none is run."""
    store = _PlanningStore(stages.store)
    stages = copy.copy(stages)
    stages.store = store
    return stages, store


def _flops(
    stages: Stages, kind: str, inputs: Mapping[str, Any], weights: int, selections: Mapping[str, Mapping[str, Any]]
) -> float:
    """Floating-point operations of a stage: 2 a weight and token forward, 4 more backward.

    Args:
        weights: of the policy, and about as many of a reward model.
        selections: what selections are made of, by the digest of the stage.
    """
    config, splits = stages.config, stages.splits
    sampling = config.ppo.sampling
    lengths = [min(len(prompt) / CHARACTERS_A_TOKEN, sampling.max_prompt_tokens) for prompt in splits.prompts]
    sequence = sum(lengths) / len(lengths) + sampling.max_new_tokens
    held_out: int = splits.evaluation.num_rows
    tokens: float
    if kind == "sft":
        tokens = 3 * splits.sft.num_rows * config.policy.sft.num_train_epochs * sequence
    elif kind in ("reward", "judge"):
        rows, model = (splits.pool, config.reward) if kind == "reward" else (splits.judge, config.judge_model)
        tokens = 2 * (3 * _pairs_seen(model.train.model_dump(), rows.num_rows) + held_out) * sequence
    elif kind == "refresh":
        pairs = _selected(selections[inputs["selection"].digest], splits.pool.num_rows)
        if inputs["replay"]:
            # What is replayed is others of the pool, as many as there are.
            pairs = min(pairs / (1 - inputs["replay"]["share"]), max(pairs, splits.pool.num_rows))
        tokens = 2 * (3 * _pairs_seen(inputs["training"]["train"], pairs) + held_out) * sequence
    elif kind == "selection":
        if inputs["samples"] is None:
            return 0.0
        tokens = 3 * splits.pool.num_rows * sampling.max_new_tokens * EMBEDDER_PARAMETERS / weights
    elif kind in ("labelled", "log_ratios"):
        return 0.0
    elif kind == "on_policy":
        tokens = 2 * len(stages.evaluation_prompts) * sequence
    elif kind == "look":
        # Two policies' two texts, by three reward models at most.
        tokens = 3 * 4 * config.monitor.prompts * sequence
    elif kind == "embedded":
        tokens = 2 * config.monitor.prompts * sampling.max_new_tokens * EMBEDDER_PARAMETERS / weights
    elif kind == "judged":
        tokens = (config.monitor.every or 0) * config.ppo.rollout_batch_size * sequence
    elif kind == "agreement":
        tokens = 4 * held_out * sequence
    elif kind == "gate":
        looked_at = min(inputs["gate"]["pairs"], held_out)
        tokens = 4 * looked_at * sequence + 2 * held_out * sampling.max_new_tokens * EMBEDDER_PARAMETERS / weights
    elif kind == "likelihoods":
        tokens = 2 * splits.pool.num_rows * sequence
    elif kind == "completions":
        tokens = inputs["count"] * sequence
    elif kind == config.algorithm:
        begin = max((step for step in stages.cuts if step < inputs["until_step"]), default=0)
        # Sampling, the look of the models at it, and forward and backward of what is trained in every pass.
        separate = kind == "ppo" and config.ppo.critic == "separate"
        epochs = config.ppo.num_ppo_epochs if kind == "ppo" else config.group.num_iterations
        passes = 1 + 2 + separate + epochs * (1 + separate) * 3
        tokens = passes * (inputs["until_step"] - begin) * config.ppo.rollout_batch_size * sequence
    elif kind == "evaluation":
        # The judge on two sides, the base and the arm's reward model, the policy and the SFT model.
        held_out_twice = 2 * held_out if config.data.world is not None else 0
        tokens = (7 * config.evaluation.max_prompts + held_out_twice) * sequence
    else:
        raise AssertionError(f"no plan knows what a stage {kind!r} costs")
    return 2 * weights * tokens


def _selected(inputs: Mapping[str, Any], pool: int) -> float:
    """Pairs that a selection keeps at most, out of so many, or out of pairs that are labelled for it."""
    selection = inputs["selection"]
    if isinstance(inputs["pool"], Artifact):
        return float(selection["size"])
    if get_strategy(selection["strategy"]).takes_all:
        return pool
    return float(selection["size"] if selection["take"] == "sample" else min(selection["size"], pool))


def _pairs_seen(train: Mapping[str, Any], pairs: float) -> float:
    """Pairs that go through a training on so many of them."""
    batch = train["per_device_train_batch_size"] * train["gradient_accumulation_steps"]
    return float(train["max_steps"] * batch if train["max_steps"] else pairs * train["num_train_epochs"])
