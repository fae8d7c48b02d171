"""A stage: one step of an experiment that takes artifacts and leaves an artifact.

Everything that is known about a stage stands in its class: its name, what it depends on, how it is built, what it costs
and how much memory it holds. A run asks it to build (`StageRunner`); a plan asks the same object what it would cost. A
class that leaves one of these out cannot be instantiated, so there is no stage that a plan knows nothing about.

    class Wordcount(Stage):
        kind = "wordcount"

        def __init__(self, completions: Artifact) -> None:
            self.completions = completions

        def inputs(self):
            return {"completions": self.completions}

        def build(self, folder):
            ...  # fill the folder
            return {"words": 7}

        def flops(self, workload):
            return 0.0

        def memory(self, workload):
            return 0.0

    artifact = runner(Wordcount(completions))
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from frft.stages.workload import Workload
from frft.store import ALONE, Peers


class Stage(ABC):
    """One step of a run, whose result is kept and found again by a digest of its inputs and code.

    Attributes:
        kind: name of this kind of stage, the first part of its folder's name ("sft", "completions", ...).
        scratch: glob pattern of the checkpoint folders from which a build that was stopped resumes; None: it starts
            again from an empty folder. See `ArtifactStore.make`.
    """

    scratch: ClassVar[str | None] = None

    @property
    @abstractmethod
    def kind(self) -> str: ...

    @property
    def peers(self) -> Peers:
        """The processes that build it together; for most stages, a single one builds it."""
        return ALONE

    @abstractmethod
    def inputs(self) -> Mapping[str, Any]:
        """Everything that the result depends on: JSON-able values and parent artifacts.

        Stages of one kind with equal inputs (and code) have one artifact.
        """

    @abstractmethod
    def build(self, folder: Path) -> Mapping[str, Any]:
        """Fill an empty folder, and return the figures to keep with it (JSON-able).

        All that takes time happens in here, so that a plan, which never calls it, walks through a run at once.
        """

    @abstractmethod
    def flops(self, workload: Workload) -> float:
        """Predicted number of floating-point operations of `build`."""

    @abstractmethod
    def memory(self, workload: Workload) -> float:
        """Predicted peak memory of `build` in bytes, beyond that of the bare process and a loaded embedder."""

    def embeds(self) -> str | None:
        """A digest of the texts that it embeds; None: it uses no embedder.

        Vectors are cached: of several stages that embed the same texts, a plan counts the time of the first alone.
        """
        return None
