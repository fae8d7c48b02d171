"""The self-test: the smallest run there is, stopped in the middle, gone on with, and verified."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from frft.config import RunConfig
from frft.doctor.health import HealthCheck
from frft.doctor.hub_access import check_embedder
from frft.errors import FrftError
from frft.progress import SilentProgress, Task

STEPS, STOP_AFTER = 4, 3
"""PPO steps of each arm, and the step of the first arm after which the run is stopped; the refresh of the second arm
comes after its second step, before which both are one training."""
_LEFT = ["4", "3", "4"]
"""Steps that are trained when the run goes on: the last one of the first arm, and two of the second."""
_TRAIN = {"num_train_epochs": 1, "max_length": 64, "per_device_train_batch_size": 16, "learning_rate": 1e-3}
_SELECTION = {"size": 16, "test_size": 4, "threshold": -1.0}


class _StopHereError(KeyboardInterrupt):
    """What stops the run, as Ctrl-C would."""


class _Watched(SilentProgress):
    """Notes which steps are trained, and stops the run after one of them.

    Args:
        stop_after: the step; None: never.
    """

    def __init__(self, stop_after: int | None) -> None:
        self.trained: list[str] = []
        self._stop_after = stop_after

    @contextmanager
    def task(self, description: str, total: int) -> Iterator[Task]:
        with super().task(description, total) as silent:
            if not description.startswith("training the policy"):
                yield silent
                return
            first = int(description.rpartition("steps ")[2].split()[0])
            yield _Step(self, first)

    def step_done(self, step: int) -> None:
        """A step was trained, and its checkpoint is on disk."""
        self.trained.append(str(step))
        if step == self._stop_after:
            raise _StopHereError


class _Step:
    def __init__(self, watched: _Watched, first: int) -> None:
        self._watched, self._next = watched, first

    def advance(self, amount: int = 1, note: str = "") -> None:
        del note
        self._next += amount
        self._watched.step_done(self._next - 1)


def check_run() -> HealthCheck:
    """Select, refresh, train by PPO, stop, go on and verify, in a folder that is deleted afterwards.

    Raises:
        FrftError: a stage of the run failed.
    """
    from frft.experiment import run
    from frft.results import RunResults
    from frft.results.verification import verify

    by_similarity = check_embedder().figures["folder"] is not None
    strategy = "part1" if by_similarity else "random"
    config = _smallest(strategy)
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="frft-doctor-", ignore_cleanup_errors=True) as made:
        out, before, after = Path(made) / "run", _Watched(STOP_AFTER), _Watched(None)
        try:
            run(config, out, before, store="none")
        except _StopHereError:
            pass
        else:
            raise FrftError(f"The run was not stopped after step {STOP_AFTER}.")
        results = run(config, out, after, store="none")
        verified = verify([out])
    seconds = time.monotonic() - began
    refreshes = sum(len(arm.refreshes) for arm in results.arms.values()) if isinstance(results, RunResults) else 0
    figures = {
        "strategy": strategy,
        "refreshes": refreshes,
        "stopped_after": STOP_AFTER,
        "steps_after": after.trained,
        "files_verified": verified.files,
        "damaged": len(verified.damaged),
        "seconds": round(seconds, 1),
    }
    found = (
        f"a run in a made-up world, pairs by {strategy}, {refreshes} refresh; stopped after step {STOP_AFTER}, gone "
        f"on with for steps {', '.join(after.trained)}; {verified.files} files verified, {len(verified.damaged)} "
        f"damaged; {seconds:.1f} s"
    )
    if refreshes != 1 or after.trained != _LEFT or verified.damaged:
        wrong = "; ".join(each.message for each in verified.damaged[:3])
        advice = f"This must not happen on any machine: report it with this line. {wrong}".rstrip()
        return HealthCheck("self-test", "failed", found, advice, figures)
    return HealthCheck("self-test", "ok", found, None, figures)


def _smallest(strategy: str) -> RunConfig:
    """The smallest run with everything in it: one arm with one refresh, whose figures say nothing."""
    model = {"train": _TRAIN, "normalise_samples": 16}
    sampling = {"max_prompt_tokens": 40, "max_new_tokens": 8}
    ppo = {"total_steps": STEPS, "rollout_batch_size": 4, "mini_batch_size": 4, "num_ppo_epochs": 1, "save_steps": 1}
    world = {"pool_size": 48, "demonstrations": 48, "evaluation_prompts": 8, "held_out_pairs": 16, "categories": 6}
    scratch = {"vocab_size": 512, "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    return RunConfig.model_validate(
        {
            "data": {"world": world},
            "policy": {"scratch": {**scratch, "max_position_embeddings": 128}, "sft": _TRAIN},
            "reward": model,
            "judge": model,
            "ppo": {**ppo, "sampling": sampling},
            "refresh": {"max_samples": 16, "selection": {**_SELECTION, "match": "nearest", "strategy": strategy}},
            "arms": {"vanilla": {"alpha": 0}, "refreshed": {"alpha": 1}},
            "evaluation": {"max_prompts": 8, "sampling": sampling},
            "workers": 1,
        }
    )
