"""Artifacts: folders that are complete if and only if they hold a manifest, which is written last.

A stage takes artifacts and returns an artifact. Its folder is named after the digest of everything that it
depends on: its inputs, and the code that builds it (code.py). So equal inputs mean the same folder: arms of one
experiment share what they have in common, and a stopped run finds what it had finished, by one mechanism.

Several processes may use one folder. The first that asks for an artifact builds it under a lock; the others wait, and
then find it. The system frees the lock of a builder that dies, and the next process builds. Several folders may have
one shared store (shared.py): what is not in the folder is taken from there, and what is built is added to it.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol, Self, TypeVar

from frft.errors import ArtifactError, check_type
from frft.store.code import code_of
from frft.store.files import digest_of, forget_memory, named_in_errors, peak_memory, remove, sync_folder
from frft.store.lock import locked
from frft.store.manifest import MANIFEST, read_manifest, seal, verify_files
from frft.store.shared import SharedStore

LOCKS = ".locks"
"""Name of the folder of lock files, beside the artifacts."""
DIGEST_CHARACTERS = 12
"""Characters of the digest in a folder's name; the manifest holds the whole digest."""


class InfoKind(Protocol):
    """The type of what a kind of stage reports: a class derived from `StoredValue` or `OpenValue`."""

    @classmethod
    def of(cls, value: object, where: str | Path) -> Self:
        """`value` as this type; raises `ArtifactError`, naming `where` it was read, if it does not fit."""


_Info = TypeVar("_Info", bound=InfoKind)


@dataclass(frozen=True)
class Artifact:
    """The result of a finished stage: a folder and the figures in its manifest.

    Attributes:
        path: the folder.
        kind: kind of the stage that made it ("sft", "ppo", ...).
        digest: SHA-256 of the kind, the inputs with the parents' digests, and the code that builds it; hexadecimal.
        info: figures that the stage reported (counts, metrics), JSON-able; empty in a plan's placeholder.
        seconds: wall-clock seconds that the build took; of a build that was resumed, those since the last start.
        peak_memory: peak resident memory of the process during the build, in bytes.
    """

    path: Path
    kind: str
    digest: str
    info: dict[str, Any]
    seconds: float
    peak_memory: int

    def info_as(self, kind: type[_Info]) -> _Info:
        """`info` as the type `kind`.

        Raises:
            ArtifactError: a field is missing, unknown or of another type.
        """
        return kind.of(self.info, self.path / MANIFEST)


class Peers(Protocol):
    """The processes of one distributed training, all of which run the same code.

    Attributes:
        is_main: whether this is the main process, which decides and writes.
    """

    is_main: bool

    def agree(self, value: Any) -> Any:
        """Return the main process's `value` in every process. A barrier: all must call it, and wait for each other."""


class _Alone:
    is_main = True

    def agree(self, value: Any) -> Any:
        return value


ALONE: Peers = _Alone()
"""A training in a single process."""

Build = Callable[[Path], Mapping[str, Any]]
"""Fills the folder that it is given, and returns the figures to keep with it (JSON-able)."""


@dataclass(frozen=True)
class _Wanted:
    """A request to `make`: everything that identifies an artifact, and how to build it."""

    kind: str
    inputs: Mapping[str, Any]
    build: Build

    @cached_property
    def contents(self) -> dict[str, Any]:
        """Everything that the digest covers (kind, inputs, code), JSON-able."""
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
        listener: called once for every artifact that is asked for, with the artifact and whether it was found (true)
            or built (false). None: nothing is called.
        on_wait: called with the name of an artifact that another process is building, before waiting for it.
        shared: the store that this folder shares with others; None: there is none.
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
        """A placeholder for the artifact that `make` returns for these arguments: its path and digest, without figures.

        Nothing is read or written; for plans.
        """
        wanted = _Wanted(kind, inputs, build)
        return Artifact(self.root / wanted.name, kind, wanted.digest, {}, seconds=0.0, peak_memory=0)

    def find(self, kind: str, inputs: Mapping[str, Any], build: Build, *, verify: bool = True) -> Artifact | None:
        """The finished artifact for these arguments in this folder; None: it is not built yet.

        An artifact that was built by an older version of the code of `build` has another digest, and is not found.

        Args:
            kind, inputs, build: as for `make`.
            verify: whether to compare the checksums of all files with the manifest, which reads them whole.

        Raises:
            ArtifactError: the manifest or, with `verify`, a file is damaged or was changed.
        """
        return self._find(_Wanted(kind, inputs, build), verify=verify)

    def _find(self, wanted: _Wanted, *, verify: bool = True) -> Artifact | None:
        found = self.read(wanted.name, verify=verify)
        if found is not None and found.digest != wanted.digest:
            raise ArtifactError(
                f"The manifest in {found.path} belongs to other inputs: its digest is {found.digest}, and that of the "
                f"stage is {wanted.digest}. Delete the folder and run again."
            )
        return found

    def read(self, name: str, *, verify: bool = True) -> Artifact | None:
        """The finished artifact in the folder `name`, whatever its inputs; None: there is none. Raises as `find`."""
        path = self.root / name
        if not (path / MANIFEST).exists():
            return None
        manifest = read_manifest(path)
        if verify:
            verify_files(path, manifest)
        return _artifact(path, manifest)

    def in_shared_store(self, kind: str, inputs: Mapping[str, Any], build: Build) -> Artifact | None:
        """The artifact that `make` would take from the shared store, with its future path; None: it is not there."""
        wanted = _Wanted(kind, inputs, build)
        manifest = None if self.shared is None else self.shared.look_up(wanted.name, wanted.digest)
        return None if manifest is None else _artifact(self.root / wanted.name, manifest)

    def make(
        self, kind: str, inputs: Mapping[str, Any], build: Build, *, scratch: str | None = None, peers: Peers = ALONE
    ) -> Artifact:
        """Return the artifact of `kind` with these inputs, taking it from the shared store or building it first.

        Args:
            kind: kind of the stage; the first part of the folder's name.
            inputs: everything that the result depends on: JSON-able values, and parent `Artifact`s.
            build: fills an empty folder and returns figures to keep with it (JSON-able). The module of frft in which
                it is defined, and what that imports, are part of the digest.
            scratch: glob pattern of the checkpoint folders from which a stopped build resumes. Where given, `build`
                gets the folder as a stopped build left it, instead of an empty one. Checkpoints are not part of the
                artifact; they are deleted once it is complete, not before, since hashing its files may take long.
                None: a stopped build starts again from an empty folder.
            peers: the processes that build it together: all of them call this method, and `build` if the main process
                does not find the artifact. The main process's return value of `build` is kept.

        Raises:
            ArtifactError: the artifact is damaged, or the processes do not share one folder.
        """
        wanted = _Wanted(kind, inputs, build)
        if wanted.digest not in self._checked:
            made = found = self._find(wanted) if peers.is_main else None
            if not peers.agree(found is not None):
                lock = locked(self.root / LOCKS / wanted.name, lambda: self._waits(wanted.name))
                with lock if peers.is_main else nullcontext():
                    # Look again: another process may have built it while this one waited for the lock.
                    found = self._find(wanted) if peers.is_main else None
                    if peers.agree(found is not None):
                        made = found
                    else:
                        found, made = self._take_or_build(wanted, scratch, peers)
            made = made or self._find(wanted)
            if made is None:
                raise ArtifactError(
                    f"{self.root / wanted.name} was made by the main process, and this process does not see it. Give "
                    "a distributed run a folder that all of its processes share."
                )
            if found is not None:
                self._delete_scratch(wanted, scratch)
            self._checked[wanted.digest] = made
            if self._listener is not None:
                self._listener(made, found is not None)
        return self._checked[wanted.digest]

    def _take_or_build(
        self, wanted: _Wanted, scratch: str | None, peers: Peers
    ) -> tuple[Artifact | None, Artifact | None]:
        """The artifact if it was taken from the shared store (else None), and the artifact, taken or built.

        Both are None in all processes but the main one.
        """
        path, shared = self.root / wanted.name, self.shared if peers.is_main else None
        # Every process takes the lock of its folder first and that of the store second: with one order, no two can
        # each wait for a lock that the other holds.
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
        remove(path)  # without a manifest (else it would have been found), so incomplete
        manifest = shared.take(path.name, digest, path)
        if manifest is None:
            return None
        # The leftovers of a build that was stopped in this folder are not needed any more.
        remove(_unfinished(path))
        return _artifact(path, manifest)

    def _build(self, wanted: _Wanted, scratch: str | None, peers: Peers) -> Artifact | None:
        """Build the artifact; returns it in the main process, and None in others, after all of them are done."""
        path = self.root / wanted.name
        unfinished = _unfinished(path)
        if peers.is_main:
            if scratch is None or unfinished.is_symlink():
                # A stage without checkpoints cannot resume, and its half-written files must not end up in the artifact.
                # A link was not left by a build, and what it points to must not be cleared.
                remove(unfinished)
            unfinished.mkdir(parents=True, exist_ok=True)
            (unfinished / MANIFEST).unlink(missing_ok=True)
        peers.agree(None)  # no process writes before the main one has prepared the folder
        started = time.monotonic()
        forget_memory()
        with named_in_errors(unfinished):
            built = wanted.build(unfinished)
        if peers.is_main:
            # Through JSON and back (tuples become lists, ...), so that a built artifact equals one that is read.
            info = json.loads(json.dumps(dict(built), allow_nan=False))
            content = {
                **wanted.contents,
                "digest": wanted.digest,
                "info": info,
                "seconds": round(time.monotonic() - started, 3),
                "peak_memory": peak_memory(),
            }
            # The manifest is the last file written, and the rename is atomic: a folder of this name with a manifest is
            # complete, whenever the process is killed.
            manifest = seal(unfinished, content, set(unfinished.iterdir()).difference(_matches(unfinished, scratch)))
            remove(path)
            unfinished.replace(path)
            sync_folder(path.parent)
            for folder in _matches(path, scratch):
                remove(folder)
        peers.agree(None)
        return _artifact(path, manifest) if peers.is_main else None

    def _delete_scratch(self, wanted: _Wanted, scratch: str | None) -> None:
        """Delete the checkpoints that a builder left which was killed after it had finished the artifact."""
        path = self.root / wanted.name
        if _matches(path, scratch):
            # A builder that is just deleting them itself holds the lock.
            with locked(self.root / LOCKS / wanted.name):
                for folder in _matches(path, scratch):
                    remove(folder)

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
    """`value` with every artifact in it, at any depth, replaced by its kind and digest; JSON-able."""
    if isinstance(value, Artifact):
        return {"artifact": value.kind, "digest": value.digest}
    if isinstance(value, Mapping):
        return {str(key): plain_inputs(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain_inputs(item) for item in value]
    return value
