"""Runners: they find or build the artifacts of stages."""

from __future__ import annotations

from typing import Protocol

from frft.stages.stage import Stage
from frft.stopping import asked_to_end, end_now
from frft.store import Artifact, ArtifactStore


class Runner(Protocol):
    """Interface for executing stages: `StageRunner` builds them, a plan only lists them.

    Attributes:
        store: where their artifacts are found.
    """

    @property
    def store(self) -> ArtifactStore: ...

    def __call__(self, stage: Stage) -> Artifact:
        """The artifact of a stage; a runner that only plans returns a placeholder without files."""


class StageRunner:
    """Finds the artifacts of stages in a store, and builds those that are missing.

    Args:
        store: where artifacts are kept.
    """

    def __init__(self, store: ArtifactStore) -> None:
        self.store = store

    def __call__(self, stage: Stage) -> Artifact:
        """The artifact of a stage; raises what building it raises, and `ArtifactError` as `ArtifactStore.make`.

        Where a signal told this process to end during the last step of a training, this is the place to end: the stage
        is finished.
        """
        made = self.store.make(stage.kind, stage.inputs(), stage.build, scratch=stage.scratch, peers=stage.peers)
        end_now(asked_to_end())
        return made
