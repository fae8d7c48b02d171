"""Artifacts: folders that are whole when their manifest is there.

A stage takes artifacts and returns an artifact. Its folder is named after the digest of everything that it
depends on: its inputs, and the code that builds it (code.py). So equal inputs mean the same folder: arms of one
experiment share what they have in common, and a stopped run finds what it had finished, by one mechanism.

Several processes may use one folder. Whoever asks first for an artifact builds it under a lock; the others wait, and
then find it. A builder that dies frees its lock, and the next one builds. Several folders may have one shared store
beside them (shared.py): what is not in the folder is taken from there, and what is built is put there.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol, Self, TypeVar

from frft.errors import ArtifactError, check_type
from frft.store.code import code_of
from frft.store.files import digest_of, forget_memory, peak_memory
from frft.store.lock import locked
from frft.store.manifest import MANIFEST, list_files, read_manifest, verify_files, write_manifest
from frft.store.shared import SharedStore

LOCKS = ".locks"
"""Name of the folder of lock files, beside the artifacts."""
DIGEST_CHARACTERS = 12
"""Characters of the digest in a folder's name; the manifest holds the whole digest."""


class InfoKind(Protocol):
    """A typed form of what a kind of stage reports: a `StoredValue` or an `OpenValue`."""

    @classmethod
    def of(cls, value: object, where: str | Path) -> Self:
        """The typed form of `info`; raises `ArtifactError` where it does not fit."""


_Info = TypeVar("_Info", bound=InfoKind)


@dataclass(frozen=True)
class Artifact:
    """A finished folder.

    Attributes:
        path: the folder.
        kind: what sort of stage made it ("sft", "ppo", ...).
        digest: SHA-256 of the kind, the inputs, the parents' digests and the code that builds it.
        info: what the stage reported of itself (counts, metrics); JSON-able.
        seconds: wall-clock seconds that the stage took when it ran; of one that was resumed, the last part's.
        peak_memory: the most bytes that its process held while it ran.
    """

    path: Path
    kind: str
    digest: str
    info: dict[str, Any]
    seconds: float
    peak_memory: int

    def info_as(self, kind: type[_Info]) -> _Info:
        """What the stage reported, typed.

        Raises:
            ArtifactError: it has another form.
        """
        return kind.of(self.info, self.path / MANIFEST)


class Peers(Protocol):
    """The processes of one distributed training, all of which run the same code."""

    is_main: bool

    def agree(self, value: Any) -> Any:
        """The main process's value, in every process; all must call, and none goes on before all have."""


class _Alone:
    is_main = True

    def agree(self, value: Any) -> Any:
        return value


ALONE: Peers = _Alone()
"""A training in a single process."""

Build = Callable[[Path], Mapping[str, Any]]


@dataclass(frozen=True)
class _Wanted:
    """A request to `make`: everything that identifies an artifact, and how to build it."""

    kind: str
    inputs: Mapping[str, Any]
    build: Build

    @cached_property
    def contents(self) -> dict[str, Any]:
        """What the digest covers, JSON-able."""
        return {"kind": self.kind, "inputs": plain_inputs(self.inputs), "code": code_of(self.build)}

    @cached_property
    def digest(self) -> str:
        return digest_of(self.contents)

    @property
    def name(self) -> str:
        return f"{self.kind}-{self.digest[:DIGEST_CHARACTERS]}"


class ArtifactStore:
    """A folder of artifacts, addressed by what they depend on.

    Args:
        root: the folder.
        listener: called once for every artifact that is asked for, with whether it was there already.
        on_wait: called with the name of an artifact that another process is building, before waiting for it.
        shared: the store that this folder shares with others; None: it shares nothing.
    """

    def __init__(
        self,
        root: str | Path,
        listener: Callable[[Artifact, bool], None] | None = None,
        on_wait: Callable[[str], None] | None = None,
        shared: SharedStore | None = None,
    ) -> None:
        check_type("root", root, (str, Path), "Give the folder in which artifacts are kept.")
        self.root, self.shared = Path(root), shared
        self._listener, self._on_wait = listener, on_wait
        self._checked: dict[str, Artifact] = {}

    def nowhere(self, kind: str, inputs: Mapping[str, Any], build: Build) -> Artifact:
        """What `make` would be asked for with the same arguments, as an artifact of which nothing is there yet."""
        wanted = _Wanted(kind, inputs, build)
        return Artifact(self.root / wanted.name, kind, wanted.digest, {}, seconds=0.0, peak_memory=0)

    def find(self, kind: str, inputs: Mapping[str, Any], build: Build, *, verify: bool = True) -> Artifact | None:
        """The finished artifact of `kind` with these inputs in this folder, built by what `build` is now, or None.

        Raises:
            ArtifactError: a folder is there, but its manifest is none or was changed; or, looked at to `verify`, files
                differ.
        """
        return self._find(_Wanted(kind, inputs, build), verify=verify)

    def _find(self, wanted: _Wanted, *, verify: bool = True) -> Artifact | None:
        found = self.read(wanted.name, verify=verify)
        if found is not None and found.digest != wanted.digest:
            raise ArtifactError(f"{found.path} belongs to other inputs than its name says. Delete it and run again.")
        return found

    def read(self, name: str, *, verify: bool = True) -> Artifact | None:
        """The finished artifact in the folder of this name, whatever it was made from, or None; raises as `find`."""
        path = self.root / name
        if not (path / MANIFEST).exists():
            return None
        manifest = read_manifest(path)
        if verify:
            verify_files(path, manifest)
        return _artifact(path, manifest)

    def in_shared_store(self, kind: str, inputs: Mapping[str, Any], build: Build) -> Artifact | None:
        """The artifact that `make` would take from the shared store, with the path that it would get, or None."""
        wanted = _Wanted(kind, inputs, build)
        manifest = None if self.shared is None else self.shared.look_up(wanted.name, wanted.digest)
        return None if manifest is None else _artifact(self.root / wanted.name, manifest)

    def make(
        self, kind: str, inputs: Mapping[str, Any], build: Build, *, scratch: str | None = None, peers: Peers = ALONE
    ) -> Artifact:
        """Return the artifact of `kind` with these inputs, taking it from the shared store or building it first.

        Args:
            kind: the sort of stage; the first part of the folder's name.
            inputs: everything that the result depends on: JSON-able values, and parent `Artifact`s.
            build: fills an empty folder and returns what is worth knowing about it (JSON-able). The module of frft in
                which it is defined, and what that imports, are part of the digest.
            scratch: names (a glob pattern) of folders from which a build that was stopped goes on. Where given, `build`
                gets the folder as such a build has left it, instead of an empty one. They are no part of the artifact
                and are deleted when it is there, not before: hashing a large one takes long.
            peers: the processes that build it together, where it takes several: all of them call this, and `build`
                where the main process does not find the artifact. What the main process's `build` returns counts.

        Raises:
            ArtifactError: what is there is damaged, or the folder is not the same one for all peers.
        """
        wanted = _Wanted(kind, inputs, build)
        if wanted.digest not in self._checked:
            made = found = self._find(wanted) if peers.is_main else None
            if not peers.agree(found is not None):
                lock = locked(self.root / LOCKS / wanted.name, lambda: self._waits(wanted.name))
                with lock if peers.is_main else nullcontext():
                    # While this process waited, another may have made it.
                    found = self._find(wanted) if peers.is_main else None
                    if peers.agree(found is not None):
                        made = found
                    else:
                        found, made = self._take_or_build(wanted, scratch, peers)
            made = made or self._find(wanted)
            if made is None:
                raise ArtifactError(
                    f"{self.root / wanted.name} was made by the main process, and this one does not see it. All "
                    "processes of a distributed run must write to one folder that they share."
                )
            self._checked[wanted.digest] = made
            if self._listener is not None:
                self._listener(made, found is not None)
        return self._checked[wanted.digest]

    def _take_or_build(
        self, wanted: _Wanted, scratch: str | None, peers: Peers
    ) -> tuple[Artifact | None, Artifact | None]:
        """What was taken from the shared store, and what is there now; None in all processes but the main one."""
        path, shared = self.root / wanted.name, self.shared if peers.is_main else None
        # Always after the lock of this folder, so that no two processes can each wait for what the other holds.
        with nullcontext() if shared is None else shared.lock(wanted.name, lambda: self._waits(wanted.name)):
            taken = None if shared is None else self._take(shared, path, wanted.digest)
            if peers.agree(taken is not None):
                return taken, taken
            made = self._build(wanted, scratch, peers)
            if shared is not None:
                shared.put(path)
            return None, made

    @staticmethod
    def _take(shared: SharedStore, path: Path, digest: str) -> Artifact | None:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists():  # without a manifest: nothing that could be used
            shutil.rmtree(path)
        manifest = shared.take(path.name, digest, path)
        if manifest is None:
            return None
        # A build of it that was stopped here has nothing to go on to.
        shutil.rmtree(_unfinished(path), ignore_errors=True)
        return _artifact(path, manifest)

    def _build(self, wanted: _Wanted, scratch: str | None, peers: Peers) -> Artifact | None:
        """Build it, and return it in the main process; when this returns in any of them, it is there."""
        path = self.root / wanted.name
        unfinished = _unfinished(path)
        if peers.is_main:
            if scratch is None:
                # What a stage that was stopped leaves behind holds nothing that can be trusted.
                shutil.rmtree(unfinished, ignore_errors=True)
            unfinished.mkdir(parents=True, exist_ok=True)
            (unfinished / MANIFEST).unlink(missing_ok=True)
        peers.agree(None)
        started = time.monotonic()
        forget_memory()
        built = wanted.build(unfinished)
        if peers.is_main:
            # As it will be read back: a stage that was found must not differ from one that was built.
            info = json.loads(json.dumps(dict(built), allow_nan=False))
            manifest = {
                **wanted.contents,
                "digest": wanted.digest,
                "info": info,
                "seconds": round(time.monotonic() - started, 3),
                "peak_memory": peak_memory(),
                "files": list_files(unfinished, apart_from=set(_matches(unfinished, scratch))),
            }
            # Written last, and before the folder has its name: an existing manifest means a whole artifact.
            write_manifest(unfinished, manifest)
            shutil.rmtree(path, ignore_errors=True)
            unfinished.replace(path)
            for folder in _matches(path, scratch):
                shutil.rmtree(folder)
        peers.agree(None)
        return _artifact(path, manifest) if peers.is_main else None

    def _waits(self, name: str) -> None:
        if self._on_wait is not None:
            self._on_wait(name)


def _unfinished(path: Path) -> Path:
    return path.with_name(f"{path.name}.unfinished")


def _artifact(path: Path, manifest: Mapping[str, Any]) -> Artifact:
    return Artifact(path, *(manifest[name] for name in ("kind", "digest", "info", "seconds", "peak_memory")))


def _matches(folder: Path, pattern: str | None) -> list[Path]:
    return [] if pattern is None else list(folder.glob(pattern))


def plain_inputs(value: Any) -> Any:
    """`value` with every artifact in it replaced by its kind and digest."""
    if isinstance(value, Artifact):
        return {"artifact": value.kind, "digest": value.digest}
    if isinstance(value, Mapping):
        return {str(key): plain_inputs(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain_inputs(item) for item in value]
    return value
