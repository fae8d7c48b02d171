"""What makes stages into artifacts."""

from __future__ import annotations

from typing import Protocol

from frft.stages.stage import Stage
from frft.store import Artifact, ArtifactStore


class Runner(Protocol):
    """Anything that stages can be handed to: `StageRunner`, or a plan, which notes them and builds none.

    Attributes:
        store: where their artifacts are found.
    """

    @property
    def store(self) -> ArtifactStore: ...

    def __call__(self, stage: Stage) -> Artifact:
        """The artifact of a stage."""


class StageRunner:
    """Finds the artifacts of stages in a store, and builds those that are missing.

    Args:
        store: where artifacts are kept.
    """

    def __init__(self, store: ArtifactStore) -> None:
        self.store = store

    def __call__(self, stage: Stage) -> Artifact:
        """The artifact of a stage; raises what building it raises, and `ArtifactError` as `ArtifactStore.make`."""
        return self.store.make(stage.kind, stage.inputs(), stage.build, scratch=stage.scratch, peers=stage.peers)
