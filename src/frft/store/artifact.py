"""Artifacts: folders that are whole when their manifest is there.

A stage takes artifacts and returns an artifact. Its folder is named after the digest of everything that it
depends on, so that equal inputs mean the same folder: arms of one experiment share what they have in common,
and a stopped run finds what it had finished, by one mechanism.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from frft import __version__
from frft.errors import ArtifactError
from frft.store.files import digest_of, peak_memory, read_json, sha256_file, write_json

MANIFEST = "manifest.json"
DIGEST_CHARACTERS = 12
"""How much of a digest is used in a folder's name; the whole digest stands in the manifest."""
FIELDS = {"kind", "digest", "inputs", "info", "seconds", "peak_memory", "files"}


@dataclass(frozen=True)
class Artifact:
    """A finished folder.

    Attributes:
        path: the folder.
        kind: what sort of stage made it ("sft", "ppo", ...).
        digest: SHA-256 of frft's version, the kind, the inputs and the parents' digests.
        info: what the stage reported of itself (counts, metrics); JSON-able.
        seconds: wall-clock seconds that the stage took when it ran.
        peak_memory: the most bytes that its process had held when it was done.
    """

    path: Path
    kind: str
    digest: str
    info: dict[str, Any]
    seconds: float
    peak_memory: int


class ArtifactStore:
    """A folder of artifacts, addressed by what they depend on.

    Args:
        root: the folder.
        listener: called once for every artifact that is asked for, with whether it was there already.
    """

    def __init__(self, root: Path, listener: Callable[[Artifact, bool], None] | None = None) -> None:
        self.root = root
        self._listener = listener
        self._checked: dict[str, Artifact] = {}

    def path_of(self, kind: str, inputs: Mapping[str, Any]) -> Path:
        """Where the artifact of `kind` with these inputs lies, whether or not it is there yet."""
        return self.root / f"{kind}-{self._digest(kind, inputs)[:DIGEST_CHARACTERS]}"

    def find(self, kind: str, inputs: Mapping[str, Any]) -> Artifact | None:
        """The finished artifact of `kind` with these inputs, or None.

        Raises:
            ArtifactError: a folder is there but files in it differ from its manifest.
        """
        path = self.path_of(kind, inputs)
        if not (path / MANIFEST).exists():
            return None
        manifest = read_json(path / MANIFEST)
        if not isinstance(manifest, dict) or not manifest.keys() >= FIELDS:
            raise ArtifactError(f"{path / MANIFEST} is not a manifest. Delete the folder {path} and run again.")
        if manifest["digest"] != self._digest(kind, inputs):
            raise ArtifactError(f"{path} belongs to other inputs than its name says. Delete it and run again.")
        for name, recorded in manifest["files"].items():
            file = path / name
            if (
                not file.is_file()
                or file.stat().st_size != recorded["bytes"]
                or sha256_file(file) != recorded["sha256"]
            ):
                raise ArtifactError(
                    f"{file} differs from the manifest written with it (damaged, edited or cut short). "
                    f"Delete the folder {path} and run again to make it anew."
                )
        return _artifact(path, manifest)

    def make(self, kind: str, inputs: Mapping[str, Any], build: Callable[[Path], Mapping[str, Any]]) -> Artifact:
        """Return the artifact of `kind` with these inputs, building it first if it is not there.

        Args:
            kind: the sort of stage; the first part of the folder's name.
            inputs: everything that the result depends on: JSON-able values, and parent `Artifact`s.
            build: fills an empty folder and returns what is worth knowing about it (JSON-able).

        Raises:
            ArtifactError: what is there is damaged.
        """
        digest = self._digest(kind, inputs)
        if digest not in self._checked:
            found = self.find(kind, inputs)
            self._checked[digest] = found or self._build(kind, inputs, build)
            if self._listener is not None:
                self._listener(self._checked[digest], found is not None)
        return self._checked[digest]

    def _build(self, kind: str, inputs: Mapping[str, Any], build: Callable[[Path], Mapping[str, Any]]) -> Artifact:
        path = self.path_of(kind, inputs)
        # A stage that was stopped leaves its unfinished folder behind; it holds nothing that can be trusted.
        unfinished = path.with_name(f"{path.name}.unfinished")
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(parents=True)
        started = time.monotonic()
        # As it will be read back: a stage that was found must not differ from one that was built.
        info = json.loads(json.dumps(dict(build(unfinished)), allow_nan=False))
        files = {
            file.relative_to(unfinished).as_posix(): {
                "bytes": file.stat().st_size,
                "sha256": sha256_file(file),
            }
            for file in sorted(unfinished.rglob("*"))
            if file.is_file()
        }
        manifest = {
            "kind": kind,
            "digest": self._digest(kind, inputs),
            "inputs": plain(inputs),
            "info": info,
            "seconds": round(time.monotonic() - started, 3),
            "peak_memory": peak_memory(),
            "files": files,
        }
        shutil.rmtree(path, ignore_errors=True)
        unfinished.replace(path)
        # Written last: an existing manifest means a whole artifact.
        write_json(path / MANIFEST, manifest)
        return _artifact(path, manifest)

    @staticmethod
    def _digest(kind: str, inputs: Mapping[str, Any]) -> str:
        # What another version of frft made with the same inputs is not the same.
        return digest_of({"frft": __version__, "kind": kind, "inputs": plain(inputs)})


def _artifact(path: Path, manifest: dict[str, Any]) -> Artifact:
    return Artifact(path, *(manifest[name] for name in ("kind", "digest", "info", "seconds", "peak_memory")))


def plain(value: Any) -> Any:
    """`value` with every artifact in it replaced by its kind and digest."""
    if isinstance(value, Artifact):
        return {"artifact": value.kind, "digest": value.digest}
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value
