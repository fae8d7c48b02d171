"""Refreshes whose questions people answer while training goes on: what they wait for, and when they were made.

A trainer does not stop for people. It asks at the scheduled step, trains on with the reward model that it has, and
makes the refresh after the first step at whose end all questions are answered, with the samples of when it asked.

When answers come is nothing that a seed decides, so the steps of refreshes are journalled in the folder of the labels.
A training that resumes from a checkpoint before such a step makes the refresh after the same step again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from uuid import uuid4

from frft.errors import SelectionError
from frft.labels import LabelCounts, policy_candidates, read_queue
from frft.models import decided_by_main
from frft.reward.samples import PolicySamples
from frft.reward.stages import AuditStage, GateStage, LabellingStage
from frft.stages import Runner, Stage
from frft.store import Artifact, ArtifactStore, ChainedJournal

JOURNAL_FILE = "refreshes.jsonl"
_REMEDY = (
    "Restore the file from a copy; or keep its first {sound} lines, which are sound: refreshes of the others are made "
    "when their questions are found answered, which may be at another step."
)


@dataclass(frozen=True)
class DeferredRefresh:
    """A refresh that waits for answers.

    Attributes:
        step: number of the trainer's steps after which it was asked for.
        samples: prompts and completions that all processes had observed by then.
        file: the file whose questions are to be answered; None: the journal says when the refresh is made.
    """

    step: int
    samples: tuple[tuple[str, str], ...]
    file: Path | None = None

    def policy_samples(self) -> PolicySamples:
        """The samples that the refresh is made with."""
        return PolicySamples.of([prompt for prompt, _ in self.samples], [text for _, text in self.samples])


class DeferredRefreshes:
    """The refresh of a training that waits for answers, if one does, and the steps of those that were made.

    Args:
        folder: where files of labels lie, and the journal.

    Attributes:
        waiting: the refresh that waits; None: none does.
        made: for every refresh that was made, the step at which it was asked for, and the step after which it was made.
    """

    def __init__(self, folder: Path) -> None:
        self.waiting: DeferredRefresh | None = None
        self.made: list[tuple[int, int]] = []
        self._folder = folder
        self._training = uuid4().hex
        # The file, its bytes and its time when it was last read, and questions were open.
        self._seen: tuple[Path, int, int] | None = None

    def begin(self) -> None:
        """Begin a new training, which waits for nothing; one that resumes calls `restore` afterwards."""
        # The name tells it from others with the same settings and workdir, whose answers came at other times.
        self.waiting, self.made, self._training = None, [], uuid4().hex

    def state(self) -> dict[str, Any]:
        """State for `restore`, as JSON-able values."""
        waiting = self.waiting
        return {
            "training": self._training,
            "made": [list(steps) for steps in self.made],
            "waiting": None
            if waiting is None
            else {
                "step": waiting.step,
                "samples": [list(each) for each in waiting.samples],
                "file": None if waiting.file is None else waiting.file.name,
            },
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Return to a saved state."""
        waiting = state["waiting"]
        self._training, self._seen = state["training"], None
        self.made = [(asked, made) for asked, made in state["made"]]
        self.waiting = None
        if waiting is not None:
            file = None if waiting["file"] is None else self._folder / waiting["file"]
            self.waiting = DeferredRefresh(
                waiting["step"], tuple((prompt, text) for prompt, text in waiting["samples"]), file
            )

    def ask(self, step: int, samples: Sequence[tuple[str, str]]) -> None:
        """Begin to wait for a refresh of these samples."""
        self.waiting = DeferredRefresh(step, tuple(samples))

    def wait_for(self, file: Path) -> LabelCounts:
        """Wait for the answers in a file; returns what is answered so far."""
        assert self.waiting is not None
        self.waiting = replace(self.waiting, file=file)
        return read_queue(file).counts()

    def journalled(self) -> int | None:
        """The step after which this training made the refresh that waits, before it was stopped; None: it did not.

        Raises:
            ArtifactError: the journal is damaged.
        """
        if self.waiting is None:
            return None
        asked = (self._training, self.waiting.step)
        found = (row["made"] for row in self._journal().rows if (row["training"], row["asked"]) == asked)
        return next(found, None)

    def is_due(self, step: int) -> bool:
        """Whether the refresh that waits is to be made after this step."""
        journalled = self.journalled()
        return self.is_answered() if journalled is None else step >= journalled

    def is_answered(self) -> bool:
        """Whether all questions that are waited for are answered. A file that has not changed is not read again."""
        file = None if self.waiting is None else self.waiting.file
        # A file that was taken away is written anew when the refresh is tried again.
        if file is None or not file.exists():
            return True
        found = file.stat()
        seen = (file, found.st_size, found.st_mtime_ns)
        if seen == self._seen:
            return False
        pending = read_queue(file).counts().pending
        self._seen = seen if pending else None
        return not pending

    def finish(self, step: int, *, writes: bool) -> None:
        """Note that the refresh that waited was made after this step; `writes`: in the journal, too."""
        assert self.waiting is not None
        asked = self.waiting.step
        if writes and asked != step and self.journalled() is None:
            self._journal().append({"training": self._training, "asked": asked, "made": step})
        self.made.append((asked, step))
        self.waiting = None

    def _journal(self) -> ChainedJournal:
        return ChainedJournal(self._folder / JOURNAL_FILE, _REMEDY)


class MainFirst:
    """A runner by which, of several processes, the main one finds out whether people have answered.

    If each looked for itself, an answer that comes between two looks would divide them.

    Args:
        runner: makes the stages.
    """

    def __init__(self, runner: Runner) -> None:
        self._runner = runner

    @property
    def store(self) -> ArtifactStore:
        """Where artifacts are kept."""
        return self._runner.store

    def __call__(self, stage: Stage) -> Artifact:
        """The artifact of a stage; an error of the main process that asks is raised in all."""
        if isinstance(stage, AuditStage | LabellingStage | GateStage):
            decided_by_main(lambda: self._runner(stage).digest)
        return self._runner(stage)


def check_has_pairs(samples: Sequence[tuple[str, str]]) -> None:
    """Check that there is something to label among prompts and completions.

    Raises:
        SelectionError: no two different completions have the same prompt.
    """
    found = policy_candidates([prompt for prompt, _ in samples], [text for _, text in samples])
    if not found.pairs:
        raise SelectionError(
            f"Among the {len(samples)} completions since the last refresh, no two different ones have the same prompt, "
            "so there is no pair to label. Let the trainer sample several for each prompt (num_generations of at least "
            "2), longer or at a higher temperature if they are all the same, and keep enough of them (max_samples)."
        )
