"""One training of a comparison, as the two sides are told of it. Needs the standard library alone."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Job:
    """What both sides are to do.

    Attributes:
        start: folder with `policy/`, `reward/` and `start.json`.
        out: where `steps.jsonl` and a folder `policy-<step>/` of every `save_every` steps go.
        micro_batch: sequences of a forward and backward pass, where the side divides its batch by their number.
        learning_rate: of policy and critic; falls linearly to 0.
    """

    start: str
    out: str
    seed: int
    steps: int
    save_every: int
    micro_batch: int
    batch: int = 64
    epochs: int = 4
    new_tokens: int = 32
    prompt_tokens: int = 64
    learning_rate: float = 5e-5
    kl_coef: float = 0.02
    adam_epsilon: float = 1e-5

    def save(self, path: Path) -> None:
        """Write it for `load`."""
        path.write_text(json.dumps(asdict(self)))

    @classmethod
    def load(cls, path: str) -> Job:
        """Read what `save` wrote."""
        return cls(**json.loads(Path(path).read_text()))

    @property
    def prompts(self) -> list[str]:
        """What to train on."""
        prompts: list[str] = json.loads((Path(self.start) / "start.json").read_text())["prompts"]
        return prompts


class StepLog:
    """Writes how long each step took, in seconds of the clock and of the CPU; saving the policy does not count."""

    def __init__(self, job: Job, save_policy: Callable[[Path], None]) -> None:
        self.job, self.save_policy = job, save_policy
        self.done = 0
        self._begin()

    def _begin(self) -> None:
        self._clock, self._cpu = time.perf_counter(), time.process_time()

    def step_done(self, metrics: dict[str, Any]) -> None:
        """To be called when a step ends."""
        seconds, cpu = time.perf_counter() - self._clock, time.process_time() - self._cpu
        self.done += 1
        out = Path(self.job.out)
        with (out / "steps.jsonl").open("a") as lines:
            lines.write(json.dumps({"step": self.done, "seconds": seconds, "cpu_seconds": cpu, **metrics}) + "\n")
        if self.done % self.job.save_every == 0:
            self.save_policy(out / f"policy-{self.done}")
        self._begin()
