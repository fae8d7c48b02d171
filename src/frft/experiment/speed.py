"""How fast this machine multiplies matrices, measured in fractions of a second."""

from __future__ import annotations

import threading
import time

MEASURED_S = 0.2


def flops_a_second(threads: int, callers: int = 1, *, rows: int = 512, width: int = 512) -> float:
    """Floating-point operations a second in products (rows, width) x (width, 4 width), the largest of a transformer.

    Args:
        threads: of torch, for each caller.
        callers: how many multiply at the same time, each by itself. They are threads of Python, which a product
            releases, so they stand for as many processes.
        rows, width: tokens and hidden size.
    """
    import torch

    device = "cuda" if torch.cuda.is_available() else "cpu"
    before = torch.get_num_threads()
    found: list[float] = []

    def work() -> None:
        # What a thread of Python sets holds for its own products.
        torch.set_num_threads(threads)
        left, right = torch.ones(rows, width, device=device), torch.ones(width, 4 * width, device=device)
        (left @ right)[0, 0].item()
        ready.wait()
        started, count = time.perf_counter(), 0
        while time.perf_counter() - started < MEASURED_S:
            (left @ right)[0, 0].item()
            count += 1
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
