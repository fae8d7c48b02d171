"""The folder of a training's state between two steps: the files of its trainer, sealed by a manifest that covers them.

The manifest holds what the trainer says of the state (steps done, the KL coefficient, ...) and what the caller keeps
with it, under the same checksum.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from frft.errors import ArtifactError
from frft.store import MANIFEST, read_manifest, seal, verify_files

_REMEDY = (
    "Delete {folder} and run the same command again: the steps since the state before it (an earlier stage, or the "
    "start) are done again, with the same outcome."
)


@dataclass(frozen=True)
class TrainingState:
    """What the manifest of a training's state says.

    Attributes:
        algorithm: of the trainer that saved it ("ppo", "rloo", "grpo").
        scalars: the trainer's own values, JSON-able.
        along: the caller's values, JSON-able.
    """

    algorithm: str
    scalars: Mapping[str, Any]
    along: Mapping[str, Any]

    def seal(self, folder: Path, parts: Collection[Path]) -> None:
        """Write the manifest of a folder that holds all files of the state; waits until everything is on disk.

        Args:
            folder: the folder; it may hold other files.
            parts: the files and folders in it that are the state.
        """
        content = {"algorithm": self.algorithm, "scalars": dict(self.scalars), "along": dict(self.along)}
        _ = seal(folder, content, parts)


def read_training_state(folder: Path, algorithm: str) -> TrainingState:
    """Verify every byte of a saved state and return what its manifest says; the trainer reads the files.

    Raises:
        ArtifactError: there is none, it was damaged, or it is that of another algorithm.
    """
    name = algorithm.upper()
    if not (folder / MANIFEST).is_file():
        raise ArtifactError(
            f"{folder} holds no state of a training by {name}, or one of an early version of frft: it has no "
            f"{MANIFEST} to verify it by. Name the folder that `save` was given, or train anew. In a run: "
            f"{_REMEDY.format(folder=folder)}"
        )
    manifest = read_manifest(folder, fields={"algorithm", "scalars", "along", "files"}, remedy=_REMEDY)
    verify_files(folder, manifest, remedy=_REMEDY)
    if manifest["algorithm"] != algorithm:
        raise ArtifactError(
            f"{folder} holds the state of a training by {manifest['algorithm'].upper()}, and this one is by {name}. "
            "Name the folder of another training, or train by the same algorithm."
        )
    return TrainingState(algorithm, manifest["scalars"], manifest["along"])
