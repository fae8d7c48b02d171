"""The machine: accelerators, CPU threads, memory."""

from __future__ import annotations

import os
import statistics
import time
from pathlib import Path
from typing import Any

from frft.doctor.health import HealthCheck
from frft.store import readable_bytes

LEAST_MEMORY = 2 * 2**30
"""Bytes that should be available: a process with all libraries and a small model takes 1.5 GiB."""
SLOWER = 1.15
"""Several threads count as slower than one where they take this many times as long; less is noise."""
ROUNDS, PRODUCTS = 5, 40
"""Times that threads are measured, in turn, and products each time: a tenth of a second in all."""
SHAPE = (256, 96, 384)
"""Rows, inputs and outputs of a product as a small model's layer has them."""
_NVIDIA = Path("/proc/driver/nvidia")
_MEMORY_LIMITS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))


def check_devices() -> HealthCheck:
    """Which devices models run on, and whether a GPU computes what the CPU does."""
    import torch

    mps = torch.backends.mps.is_available()
    figures: dict[str, Any] = {"torch": torch.__version__, "cuda": [], "mps": mps}
    if torch.cuda.is_available():
        parts = []
        for index in range(torch.cuda.device_count()):
            free, total = torch.cuda.mem_get_info(index)
            name, right = torch.cuda.get_device_name(index), _computes(index)
            figures["cuda"].append({"name": name, "free": free, "total": total, "computes": right})
            state = "" if right else ", which computes something else than the CPU"
            parts.append(f"{name} ({readable_bytes(free)} of {readable_bytes(total)} free){state}")
        found = f"CUDA {torch.version.cuda} by torch {torch.__version__}: {'; '.join(parts)}"
        if not all(device["computes"] for device in figures["cuda"]):
            advice = "Install the driver and the torch that fit each other, or set CUDA_VISIBLE_DEVICES to the others."
            return HealthCheck("devices", "failed", found, advice, figures)
        return HealthCheck("devices", "ok", found, None, figures)
    found = f"no CUDA device by torch {torch.__version__}: models run on the CPU"
    if mps:
        found += "; the GPU of this Mac (MPS) is not used"
    if _NVIDIA.exists() and os.environ.get("CUDA_VISIBLE_DEVICES") != "":
        advice = "There is an NVIDIA driver: install a torch that was built for its CUDA version (pytorch.org)."
        return HealthCheck("devices", "warning", found, advice, figures)
    return HealthCheck("devices", "ok", found, None, figures)


def check_threads() -> HealthCheck:
    """CPU threads against the cores that this process may use, and whether more of them make a small product faster."""
    import torch

    cores, threads = usable_cores(), torch.get_num_threads()
    figures: dict[str, Any] = {"cores": cores, "threads": threads}
    found = f"{threads} threads (torch) on {cores} cores"
    if threads > cores:
        advice = f"Threads wait for each other. Set OMP_NUM_THREADS={cores}, or 1 for small models."
        return HealthCheck("threads", "warning", found, advice, figures)
    if threads == 1:
        return HealthCheck("threads", "ok", found, None, figures)
    ratio = round(_time_of_several(threads), 2)
    found += f"; a small product takes {ratio:.2f} times as long as with one thread"
    figures["ratio_to_one_thread"] = ratio
    if ratio < SLOWER:
        return HealthCheck("threads", "ok", found, None, figures)
    advice = (
        "Small models are slower with several threads. `frft run` chooses by size itself (one below 50 million "
        "parameters); for other commands and your own scripts, set OMP_NUM_THREADS=1."
    )
    return HealthCheck("threads", "warning", found, advice, figures)


def check_memory() -> HealthCheck:
    """Memory that is available to this process, a container's limit included."""
    import psutil

    memory = psutil.virtual_memory()
    limit = _memory_limit()
    total = memory.total if limit is None else min(memory.total, limit)
    used = psutil.Process().memory_info().rss if limit is not None else 0
    available = memory.available if limit is None else min(memory.available, max(0, limit - used))
    found = f"{readable_bytes(available)} of {readable_bytes(total)} are available"
    figures = {"available": available, "total": total}
    if available >= LEAST_MEMORY:
        return HealthCheck("memory", "ok", found, None, figures)
    advice = (
        "One process of a small model takes 1.5 GiB. End other programs, set workers=1, or take a machine with more; "
        "`frft run CONFIG --out OUT --dry-run` says what each stage needs."
    )
    return HealthCheck("memory", "warning", found, advice, figures)


def usable_cores() -> int:
    """Number of cores that this process may use: those of the machine, or fewer by its affinity."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def _time_of_several(threads: int) -> float:
    """How many times as long a small product takes with these threads as with one: the median of several rounds."""
    import torch

    rows, inputs, outputs = SHAPE
    left, right = torch.ones(rows, inputs), torch.ones(inputs, outputs)

    def seconds(count: int) -> float:
        torch.set_num_threads(count)
        left @ right  # the first product after a change starts the threads
        began = time.perf_counter()
        for _ in range(PRODUCTS):
            left @ right
        return time.perf_counter() - began

    try:
        return statistics.median(seconds(threads) / seconds(1) for _ in range(ROUNDS))
    finally:
        torch.set_num_threads(threads)


def _computes(index: int) -> bool:
    """Whether a GPU's product is that of the CPU, within rounding."""
    import torch

    generator = torch.Generator().manual_seed(0)
    left, right = (torch.randn(64, 64, generator=generator) for _ in range(2))
    device = f"cuda:{index}"
    return bool(torch.allclose((left.to(device) @ right.to(device)).cpu(), left @ right, rtol=1e-2, atol=1e-1))


def _memory_limit() -> int | None:
    """The container's limit in bytes; None: there is none."""
    for path in _MEMORY_LIMITS:
        try:
            text = path.read_text().strip()
        except OSError:
            continue
        # Without a limit: "max", or, in the older form, a number beyond all memories.
        return int(text) if text.isdecimal() and int(text) < 2**60 else None
    return None
