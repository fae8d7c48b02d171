"""Several processes started by `torchrun` or `accelerate launch`: their number, the main one, and how they agree."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any, TypeVar, cast

from frft.errors import FrftError
from frft.store import ALONE, Peers

_Found = TypeVar("_Found")

LAUNCH_VARIABLES = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "GROUP_RANK", "MASTER_ADDR", "MASTER_PORT")
LAUNCH_PREFIXES = ("ACCELERATE_", "FSDP_", "PARALLELISM_CONFIG_", "TORCHELASTIC_", "OMPI_COMM_", "PMI_", "MV2_COMM_")
"""Environment variables by which the launchers configure Accelerate and torch."""


def process_count() -> int:
    """Number of launched processes on all machines; 1 without a launcher."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def processes_here() -> int:
    """Number of launched processes on this machine; 1 without a launcher."""
    return int(os.environ.get("LOCAL_WORLD_SIZE", str(process_count())))


def is_main_process() -> bool:
    """Whether this is the main process, the one that prints and writes files."""
    return os.environ.get("RANK", "0") == "0"


class _LaunchedPeers:
    def __init__(self) -> None:
        import torch
        from accelerate import PartialState

        # Without `cpu=True`, Accelerate refuses a launch of several processes on a machine without accelerators.
        state = PartialState(cpu=not torch.accelerator.is_available())
        self.is_main: bool = state.is_main_process

    def agree(self, value: Any) -> Any:
        from accelerate.utils import broadcast_object_list

        box = [value if self.is_main else None]
        broadcast_object_list(box, from_process=0)
        return box[0]


def peers() -> Peers:
    """The group of launched processes; the first call connects them."""
    return ALONE if process_count() == 1 else _LaunchedPeers()


def decided_by_main(decide: Callable[[], _Found]) -> _Found:
    """What the main process alone finds out, in every process. A barrier: all must call it.

    Raises:
        FrftError: `decide` raised it in the main process; then it is raised in all.
    """
    group = peers()
    outcome: tuple[_Found | None, FrftError | None] = (None, None)
    if group.is_main:
        try:
            outcome = (decide(), None)
        except FrftError as error:
            outcome = (None, error)
    found, raised = group.agree(outcome)
    if raised is not None:
        raise raised
    return cast(_Found, found)


@contextmanager
def as_if_alone() -> Iterator[None]:
    """Run a block in which libraries see a single process without a launcher, with an Accelerate state of its own.

    The launcher's environment variables, Accelerate's process-wide state and the current CUDA device are restored
    afterwards.
    """
    import torch
    from accelerate.state import AcceleratorState, GradientState, PartialState

    # Accelerate keeps these as singletons (Borg pattern): all instances of a class share the dict `_shared_state`.
    states = (PartialState, AcceleratorState, GradientState)
    found = [dict(state._shared_state) for state in states]
    hidden = {
        name: value
        for name, value in os.environ.items()
        if name in LAUNCH_VARIABLES or name.startswith(LAUNCH_PREFIXES)
    }
    for name in hidden:
        del os.environ[name]
    for state in states:
        state._shared_state.clear()
    gpu = torch.cuda.is_available()
    try:
        with torch.cuda.device(torch.cuda.current_device()) if gpu else nullcontext():
            yield
    finally:
        # Variables that the block has set are removed, too: an Accelerator exports its own settings.
        for name in [name for name in os.environ if name in LAUNCH_VARIABLES or name.startswith(LAUNCH_PREFIXES)]:
            del os.environ[name]
        os.environ.update(hidden)
        for state, values in zip(states, found, strict=True):
            state._shared_state.clear()
            state._shared_state.update(values)
