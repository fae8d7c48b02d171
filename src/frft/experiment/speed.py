"""Measure how fast this machine multiplies matrices, in a fraction of a second."""

from __future__ import annotations

import threading
import time

MEASURED_S = 0.2
"""Seconds for which each caller multiplies."""


def flops_a_second(threads: int, callers: int = 1, *, rows: int = 512, width: int = 512) -> float:
    """FLOPs a second in products (rows, width) x (width, 4 width), the largest of a transformer block (its MLP).

    Args:
        threads: number of torch's threads for each caller.
        callers: number of independent products at the same time; the result is their total rate. They run in threads
            of Python, which release the interpreter's lock during a product, and so stand for as many processes.
        rows, width: tokens in a batch, and hidden size.
    """
    import torch

    device = "cuda" if torch.cuda.is_available() else "cpu"
    before = torch.get_num_threads()
    found: list[float] = []

    def work() -> None:
        # torch keeps this number for each thread of Python; the main thread's is restored below.
        torch.set_num_threads(threads)
        left, right = torch.ones(rows, width, device=device), torch.ones(width, 4 * width, device=device)
        # A first product allocates and warms up; `item` waits for the result, which a GPU computes asynchronously.
        (left @ right)[0, 0].item()
        ready.wait()
        started, count = time.perf_counter(), 0
        while time.perf_counter() - started < MEASURED_S:
            (left @ right)[0, 0].item()
            count += 1
        # A product of (m, k) and (k, n) takes 2 m k n operations.
        found.append(count * 2 * rows * width * 4 * width / (time.perf_counter() - started))

    ready = threading.Barrier(callers)
    working = [threading.Thread(target=work) for _ in range(callers)]
    try:
        for each in working:
            each.start()
        for each in working:
            each.join()
    finally:
        torch.set_num_threads(before)
    return sum(found)
