"""What a run would do: its stages, which of them are there, and roughly what the rest would cost.

The experiment itself is walked through, with a runner that notes every stage that it is handed instead of building it.
Each stage then says for itself what it costs and how much memory it holds.
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
"""English under a byte-pair vocabulary of a few thousand to fifty thousand tokens has 3 to 4.5."""

SHARE_OF_PEAK = 0.5
"""Share of the measured matrix-product rate that whole stages reach; 0.4 to 0.6 in a run of `hh-small`."""

IN_RUN, IN_STORE, NOWHERE = "run", "store", "nowhere"
"""Where the artifact of a stage is when a plan is made."""

START_STAGE = "the start"
"""Name of the SFT model in a plan, where it stands beside the arms that are evaluated."""

LIBRARIES_BYTES = 350 * 2**20
"""What TRL, PEFT, datasets and sentence-transformers, imported when they are first needed, and the caches of the
arithmetic add to the process: 90 MiB after a first stage, 380 after many, measured with 2.7 million parameters."""

EMBEDDER_BYTES = 300 * 2**20
"""all-MiniLM-L6-v2, which stays loaded after its first use; a larger embedder takes more."""


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


@dataclass
class _Asked:
    """A stage, its artifact (without figures where it is not there yet), where that is, and the arms that need it."""

    stage: Stage
    artifact: Artifact
    place: str
    arms: list[str]


class _PlanningRunner:
    """Notes every stage that it is handed, finds what is there, and pretends that the rest will be."""

    def __init__(self, store: ArtifactStore) -> None:
        self.store = store
        self.asked: dict[str, _Asked] = {}
        self.arm = ""

    def __call__(self, stage: Stage) -> Artifact:
        given = (stage.kind, stage.inputs(), stage.build)
        nowhere = self.store.nowhere(*given)
        if nowhere.digest not in self.asked:
            # Whether its files are as they were is for the run to see.
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
        # Once loaded, an embedder stays in its process.
        held = process + (EMBEDDER_BYTES if embedded else 0)
        seconds = 0.0 if is_free else asked.stage.flops(workload) / rate
        memory = held + int(asked.stage.memory(workload))
        place = {"done": asked.place == IN_RUN, "stored": asked.place == IN_STORE}
        planned.append(PlannedStage(asked.artifact.path.name, asked.arms, seconds=seconds, memory=memory, **place))
    return planned


def _on_paper(stages: Stages) -> tuple[Stages, _PlanningRunner]:
    """The same stages with a runner that only plans: none of them is built."""
    runner = _PlanningRunner(stages.context.runner.store)
    return Stages(stages.context.with_runner(runner)), runner


def _workload(stages: Stages) -> Workload:
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
