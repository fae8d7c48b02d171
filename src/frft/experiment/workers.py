"""Worker processes: independent arms of one experiment at the same time.

A small model gains nothing from a second thread, but a second process can train a second arm. Workers run the same code
as a single process, over the same store, whose locks see to it that shared stages are built once. When they are done,
all stages are finished, and the caller goes through the experiment as if it had found them so. Results do not depend on
the number of workers.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from functools import cached_property
from itertools import count
from pathlib import Path
from queue import Empty
from typing import Any

from frft.config import RunConfig
from frft.config.sections import RefreshConfig
from frft.errors import LabelsPendingError, UsageError, raise_pending
from frft.experiment.loop import arm_names, run_arm
from frft.experiment.plan import PlannedStage
from frft.experiment.prepare import prepare
from frft.experiment.processes import process_pool, start_method, without_interrupts
from frft.experiment.speed import flops_a_second
from frft.experiment.stages import Stages
from frft.models import choose_threads, process_count
from frft.progress import Progress, Task, duration
from frft.results import Workers
from frft.selection import embed_pool
from frft.stages.memory import machine_memory, policy_on_meta
from frft.store import Artifact, ArtifactStore, SharedStore
from frft.strategies import get_strategy

_POLL_S = 0.1
"""Seconds to wait for a message of a worker before looking whether tasks are done."""
JUDGE, POOL = "judge", "pool"
"""Labels of the two tasks that are not arms: train the judge, embed the pool."""

START_S = 20.0
"""Predicted seconds that workers must save to be worth starting: importing the libraries takes each a few."""

WORTH = 1.2
"""Smallest ratio of the workers' total matrix-product rate to a single process's at which workers are used."""

MEMORY_SHARE = 0.8
"""The most of the machine's memory that workers may be predicted to use together."""


def choose_workers(stages: Stages, planned: Sequence[PlannedStage]) -> Workers:
    """The number of worker processes, and why: as configured, or as many as this machine is measured to gain from.

    Args:
        stages: the run.
        planned: its plan, whose time and memory decide.

    Raises:
        UsageError: the configuration asks for several under a launcher, whose processes train each arm together.
    """
    import torch

    config, cores = stages.config, os.cpu_count() or 1
    if process_count() > 1:
        if (config.workers or 1) > 1:
            raise UsageError(
                f"workers is {config.workers}, but {process_count()} processes were launched to train each arm "
                "together. Leave workers out, or start without a launcher."
            )
        return Workers(1, "the launched processes train each arm together", {})
    tasks = len(config.arms) + _waits_for_judge(config)
    if config.workers is not None:
        return Workers(min(config.workers, tasks), "as configured", {})
    if torch.cuda.is_available():
        return Workers(1, "arms share the GPU one after the other", {})
    policy = policy_on_meta(config.policy)
    threads = choose_threads(policy.num_parameters(), config.threads)
    peak = max(stage.memory for stage in planned)
    fitting = int(MEMORY_SHARE * machine_memory() / peak)
    most = min(cores // threads, tasks, fitting)
    seconds = sum(stage.seconds for stage in planned)
    if most < 2:
        return Workers(1, f"{threads} of {cores} cores and {peak / 2**30:.1f} GiB each leave no room for another", {})
    if seconds * (1 - 1 / most) < START_S:
        return Workers(1, "there is little to do", {})
    # Measured, not assumed: cores share memory bandwidth and clock, so n processes are rarely n times as fast.
    shape = {"rows": config.ppo.forward_batch_tokens, "width": policy.config.get_text_config().hidden_size}
    ways = {(1, threads), (1, cores), (most, threads)}
    rates = {way: flops_a_second(way[1], way[0], **shape) for way in sorted(ways)}
    speedups = {f"{n} x {t}": round(rate / rates[1, threads], 2) for (n, t), rate in rates.items()}
    gained = speedups[f"{most} x {threads}"]
    if gained < WORTH:
        return Workers(1, f"{most} processes would be only {gained:.1f} times as fast", speedups)
    return Workers(most, f"together {gained:.1f} times as fast as one", speedups)


def work_in_parallel(
    config: RunConfig, out: Path, workers: int, progress: Progress, shared: SharedStore | None = None
) -> None:
    """Build all stages of an experiment in `out` with several processes, reporting each that is built.

    Args:
        config: the run.
        out: its folder.
        workers: number of processes.
        progress: shows the workers' progress.
        shared: the store that runs share; None: none.

    Raises:
        FrftError: a stage raised it, or a worker was killed; all others are stopped first.
        LabelsPendingError: arms wait for labels; all others are finished first.
    """
    # Vanilla first, because all others wait for it at their end; evaluations last, because they wait for arms.
    vanilla, *others = arm_names(config)
    tasks: list[tuple[Callable[[Stages, str], None], str]] = [(_train, vanilla)]
    if any(_looks_at_whole_pool(config.arm(name)) for name in config.arms):
        # It takes no model of the run, so it fills the time in which all other tasks wait for the SFT model.
        tasks.append((_embed, POOL))
    if _waits_for_judge(config):
        tasks.append((_judge, JUDGE))
    tasks += [(_train, name) for name in others]
    tasks += [(_evaluate, name) for name in (vanilla, *others)]
    messages = start_method().Queue()
    screen = _Screen(progress)
    waiting: list[LabelsPendingError] = []
    with process_pool(workers, _begin, (config, out, shared, messages)) as executor:
        try:
            with without_interrupts():
                pending = [executor.submit(_do, task, name) for task, name in tasks]
            while pending:
                screen.show_next(messages)
                for done in [future for future in pending if future.done()]:
                    pending.remove(done)
                    try:
                        done.result()  # raises what the task raised
                    except LabelsPendingError as error:
                        waiting.append(error)
            while screen.show_next(messages):
                pass
        except BaseException:
            screen.clear()
            raise
    raise_pending(waiting)


def _waits_for_judge(config: RunConfig) -> bool:
    """Whether a judge is to be trained, which nothing needs before the win rates: a task of its own.

    In a world, a judge is trained only for looks, and the first look asks for it.
    """
    return config.data.world is None and config.trains_judge


def _looks_at_whole_pool(arm: RefreshConfig) -> bool:
    """Whether an arm's selection embeds all pairs of the pool: not where only pairs of sampled prompts are compared."""
    strategy = get_strategy(arm.selection.strategy)
    if not arm.alpha or not strategy.embeds:
        return False
    by_prompt = arm.selection.match == "prompt" and strategy.matches_prompts
    return not by_prompt or arm.max_samples is None


class _Worker:
    """State that a worker process keeps between tasks."""

    def __init__(self, config: RunConfig, out: Path, shared: SharedStore | None, messages: Any) -> None:
        self.progress = _SentProgress(messages)
        self._shared = None if shared is None else shared.saying(self.progress.say)
        self._config, self._out = config, out

    @cached_property
    def stages(self) -> Stages:
        store = ArtifactStore(self._out / "stages", self._note, self._waits, self._shared)
        return prepare(self._config, self._out, store, self.progress, checks=False)[1]

    def _note(self, artifact: Artifact, reused: bool) -> None:
        if not reused:
            self.progress.say(f"  {artifact.path.name}  {duration(artifact.seconds)}")

    def _waits(self, name: str) -> None:
        self.progress.say(f"  {self.progress.label}: waiting for {name}, which another process builds")


_worker: _Worker


def _begin(config: RunConfig, out: Path, shared: SharedStore | None, messages: Any) -> None:
    global _worker
    _worker = _Worker(config, out, shared, messages)


def _do(task: Callable[[Stages, str], None], name: str) -> None:
    """Run a task in this worker process, labelling its progress with `name`."""
    _worker.progress.label = name
    task(_worker.stages, name)


def _train(stages: Stages, name: str) -> None:
    _ = stages.evaluation_completions(run_arm(stages, name).policy)


def _embed(stages: Stages, name: str) -> None:
    del name
    chosen, rejected = (stages.context.splits.pool[side].to_pylist() for side in ("chosen", "rejected"))
    embed_pool(chosen, rejected, stages.context.vectors, stages.context.progress)


def _judge(stages: Stages, name: str) -> None:
    del name
    # A judge that is not built on the SFT model would never ask for it, and it sets the number of threads.
    _ = stages.sft
    _ = stages.judge


def _evaluate(stages: Stages, name: str) -> None:
    arm, vanilla = run_arm(stages, name), run_arm(stages, arm_names(stages.config)[0])
    _ = stages.evaluation(arm.policy, vanilla.policy, arm.reward)
    if name == vanilla.name:
        _ = stages.evaluation(stages.sft, vanilla.policy, vanilla.reward)


class _SentProgress:
    """Progress in a worker, sent as messages through a queue to the process that displays it (`_Screen`).

    Attributes:
        label: name of the current task, put before the description of each piece of work.
    """

    def __init__(self, messages: Any) -> None:
        self.label = ""
        self._messages = messages
        self._numbers = count()

    @contextmanager
    def task(self, description: str, total: int) -> Iterator[Task]:
        key = (os.getpid(), next(self._numbers))
        messages = self._messages

        class SentTask:
            def advance(self, amount: int = 1, note: str = "") -> None:
                messages.put(("advance", key, amount, note))

        messages.put(("open", key, f"{self.label}: {description}", total))
        # No `finally`: work that fails never closes its task, so that the screen does not report it as done.
        yield SentTask()
        messages.put(("close", key))

    def say(self, text: str) -> None:
        self._messages.put(("say", text))


class _Screen:
    """Displays the progress messages that workers send through `_SentProgress`."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._open: dict[Any, tuple[AbstractContextManager[Task], Task]] = {}

    def show_next(self, messages: Any) -> bool:
        """Show one message, waiting a moment for it; returns whether one came."""
        try:
            kind, *values = messages.get(timeout=_POLL_S)
        except Empty:
            return False
        if kind == "say":
            self._progress.say(*values)
        elif kind == "open":
            key, description, total = values
            task = self._progress.task(description, total)
            self._open[key] = (task, task.__enter__())
        elif kind == "advance":
            key, amount, note = values
            self._open[key][1].advance(amount, note)
        else:
            self._open.pop(values[0])[0].__exit__(None, None, None)
        return True

    def clear(self) -> None:
        """Remove all open tasks without reporting them as done, by ending each with an exception."""
        stopped = InterruptedError()
        for task, _ in self._open.values():
            with suppress(InterruptedError):
                task.__exit__(InterruptedError, stopped, None)
