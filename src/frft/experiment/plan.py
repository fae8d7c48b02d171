"""Plan a run: its stages, which of them are finished, and estimates of the time and memory of the rest.

The code of the experiment itself runs, with a runner that records every stage instead of building it. Each stage then
predicts its own FLOPs and memory.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from frft.config import RunConfig
from frft.experiment.loop import Arm, arm_names, run_arm
from frft.experiment.prepare import prepare, remarks
from frft.experiment.speed import flops_a_second
from frft.experiment.stages import Stages
from frft.models import choose_threads
from frft.progress import SILENT, Progress
from frft.stages import Stage, Workload
from frft.store import Artifact, ArtifactStore, open_store, peak_memory

CHARACTERS_A_TOKEN = 3.5
"""Characters per token, to turn lengths of texts into tokens without a tokenizer. English under a byte-pair vocabulary
of a few thousand to fifty thousand tokens has 3 to 4.5."""

SHARE_OF_PEAK = 0.5
"""Fraction of the measured FLOPs a second of a matrix product that whole stages reach; 0.4 to 0.6 in a run of
`hh-small`."""

IN_RUN, IN_STORE, NOWHERE = "run", "store", "nowhere"
"""Where a plan finds the artifact of a stage: in the run's folder, in the shared store, or nowhere."""

START_STAGE = "the start"
"""Stands for the SFT model among the names of arms in a plan: it is evaluated like an arm."""

LIBRARIES_BYTES = 350 * 2**20
"""What TRL, PEFT, datasets and sentence-transformers, imported when they are first needed, and the caches of the
arithmetic add to the process: 90 MiB after a first stage, 380 after many, measured with 2.7 million parameters."""

EMBEDDER_BYTES = 300 * 2**20
"""Memory of the embedder all-MiniLM-L6-v2, which stays loaded after its first use; a larger embedder takes more."""


@dataclass(frozen=True)
class PlannedStage:
    """One stage of a plan.

    Attributes:
        name: name of its folder under `stages/`.
        arms: names of the arms that need it.
        done: whether it is finished in the run's folder.
        stored: whether it is not, but is in the shared store, from where the run will take it.
        seconds: predicted wall-clock seconds of building it; 0 where it is done or stored, or where an earlier stage of
            the plan embeds the same texts.
        memory: predicted peak memory of the process that builds it, in bytes.
    """

    name: str
    arms: list[str]
    done: bool
    seconds: float
    memory: int
    stored: bool = False


@dataclass
class _Asked:
    """A recorded stage: its artifact (a placeholder where none is finished), its place, and the arms that need it."""

    stage: Stage
    artifact: Artifact
    place: str
    arms: list[str]


class _PlanningRunner:
    """Records every stage that it is called with; returns its finished artifact or, where there is none, a placeholder.

    Attributes:
        store: where finished artifacts are looked for.
        asked: the recorded stages in order, by the digest of their artifacts.
        arm: name of the arm that is being planned; the caller sets it.
    """

    def __init__(self, store: ArtifactStore) -> None:
        self.store = store
        self.asked: dict[str, _Asked] = {}
        self.arm = ""

    def __call__(self, stage: Stage) -> Artifact:
        given = (stage.kind, stage.inputs(), stage.build)
        nowhere = self.store.nowhere(*given)
        if nowhere.digest not in self.asked:
            # Hashing large models takes long; the run itself verifies the files when it takes them.
            there = self.store.find(*given, verify=False)
            stored = self.store.in_shared_store(*given) if there is None else None
            place = IN_RUN if there else IN_STORE if stored else NOWHERE
            self.asked[nowhere.digest] = _Asked(stage, there or stored or nowhere, place, [])
        asked = self.asked[nowhere.digest]
        if self.arm not in asked.arms:
            asked.arms.append(self.arm)
        return asked.artifact


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
        config: the run.
        out: folder of the run; it need not exist.
        progress: reports the reading of data, and remarks about the configuration.
        checks: whether `out` must be new, empty or a folder of this run. False for other commands that keep stages.
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
    """Every arm as the plan runs it, in order; looks that are still to come are taken to call for every refresh."""
    return [run_arm(_on_paper(stages)[0], name) for name in arm_names(stages.config)]


def forecast(stages: Stages) -> list[PlannedStage]:
    """The plan of a run: every stage that it asks for, in order, with predicted time and memory."""
    stages, runner = _on_paper(stages)
    vanilla = None
    for name in arm_names(stages.config):
        runner.arm = name
        arm = run_arm(stages, name)
        vanilla = vanilla or arm
        _ = stages.evaluation(arm.policy, vanilla.policy, arm.reward)
    assert vanilla is not None
    runner.arm = START_STAGE
    _ = stages.evaluation(stages.sft, vanilla.policy, vanilla.reward)
    workload = _workload(stages)
    rate = flops_a_second(choose_threads(workload.parameters, stages.config.threads)) * SHARE_OF_PEAK
    process = peak_memory() + LIBRARIES_BYTES
    embedded: set[str] = set()
    planned = []
    for asked in runner.asked.values():
        texts = asked.stage.embeds()
        is_free = asked.place != NOWHERE or texts in embedded
        embedded.update([texts] if texts else [])
        # The embedder stays loaded after its first use, so that all later stages of the process hold it, too.
        held = process + (EMBEDDER_BYTES if embedded else 0)
        seconds = 0.0 if is_free else asked.stage.flops(workload) / rate
        memory = held + int(asked.stage.memory(workload))
        place = {"done": asked.place == IN_RUN, "stored": asked.place == IN_STORE}
        planned.append(PlannedStage(asked.artifact.path.name, asked.arms, seconds=seconds, memory=memory, **place))
    return planned


def _on_paper(stages: Stages) -> tuple[Stages, _PlanningRunner]:
    """The same stages with a runner that only records them, and that runner."""
    runner = _PlanningRunner(stages.context.runner.store)
    return Stages(stages.context.with_runner(runner)), runner


def _workload(stages: Stages) -> Workload:
    """The sizes from which stages predict their cost: mean and longest lengths of the run's texts, in tokens."""
    splits, sampling = stages.context.splits, stages.config.ppo.sampling
    lengths = [min(len(prompt) / CHARACTERS_A_TOKEN, sampling.max_prompt_tokens) for prompt in splits.prompts]
    longest = max(len(text) for side in ("chosen", "rejected") for text in splits.pool[side].to_pylist())
    return Workload(
        stages.config.policy,
        sequence=sum(lengths) / len(lengths) + sampling.max_new_tokens,
        completion=sampling.max_new_tokens,
        texts=2 * splits.pool.num_rows + len(splits.prompts),
        longest_text=longest / CHARACTERS_A_TOKEN,
    )
