"""Runs the cells of a study in processes of one thread each; a stopped study goes on with the cells that are left.

A process takes a whole seed and goes through its points, because cells of one seed share texts, embeddings and the SFT
model, which go when the seed is done: OUT/seeds/SEED. What a cell found stays: OUT/cells/POINT-SEED.json.
"""

from __future__ import annotations

import os
import shutil
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import Future
from pathlib import Path
from queue import Empty
from typing import Any

from frft import __version__
from frft.errors import OutputError
from frft.experiment.plan import plan_run
from frft.experiment.prepare import differences
from frft.experiment.processes import process_pool, start_method, without_interrupts
from frft.models import use_threads
from frft.progress import Progress, Task, duration
from frft.results.cell import CELL_ANEW, CellFailure
from frft.results.study import StudyResults
from frft.store import (
    LAUNCHER_LOCK,
    SharedStore,
    atomic_write,
    names_in,
    open_store,
    read_sealed,
    sole_launcher,
    write_sealed,
)
from frft.study.cell import digest, do_cell, failure_path, read_record, record_path, settings
from frft.study.config import Cell, Study, StudyConfig
from frft.study.curves import curves_picture
from frft.study.panels import panels_picture
from frft.study.picture import gains_picture
from frft.study.report import markdown
from frft.study.summary import summarise

_POLL_S = 0.2
"""Seconds to wait for a message of a worker before looking whether one has finished."""
TEXTS = ("pool_size", "categories", "sources", "pairs_within_source")
"""Dials of a world that change the texts of its pool; the others change labels, demonstrations or other prompts."""


def to_do(study: Study, out: Path, points: Sequence[str] = ()) -> list[Cell]:
    """The unfinished cells of these points; of all points where none are named.

    Raises:
        OutputError: `out` is no folder, holds something other than a study, or has a cell that was made by another
            version or with other settings.
    """
    if out.exists() and not out.is_dir():
        raise OutputError(f"--out {out} is a file. Name a folder.")
    if out.is_dir() and names_in(out) - {LAUNCHER_LOCK} and not (out / "cells").is_dir():
        raise OutputError(f"--out {out} is not empty and holds no study. Name a new folder.")
    left = []
    for cell in study.cells:
        record = read_record(out, cell)
        if record is None:
            if not points or cell.point in points:
                left.append(cell)
        elif record.digest != digest(cell):
            there = {"frft": record.frft, **record.settings}
            changed = differences(there, {"frft": __version__, **settings(cell)})
            raise OutputError(
                f"{record_path(out, cell)} was made by another version or with other settings "
                f"({'; '.join(changed[:3])}). Name a new folder, or repeat the old settings with the old version. To "
                "make its cells anew, delete them."
            )
    return left


def worker_count(config: StudyConfig, seeds: int) -> int:
    """Number of worker processes for so many seeds: one process takes a whole seed."""
    return max(1, min(config.workers or os.cpu_count() or 1, seeds))


def expected_seconds(study: Study, out: Path, left: Sequence[Cell], store: str | Path | None = None) -> float:
    """A rough estimate of how long the cells `left` take, in seconds of wall clock.

    It is the mean time of finished cells of the point with the same arms or, where it has none, the planned time of
    its stages. One seed stands for all. Stages and embedded texts that points share are counted once a seed.
    """
    measured: dict[tuple[str, ...], list[float]] = {}
    for cell in study.cells:
        record = read_record(out, cell)
        if record is not None:
            measured.setdefault(_kind(cell), []).append(record.seconds)
    shared: set[str] = set()
    total = 0.0
    for kind, count in Counter(map(_kind, left)).items():
        if kind in measured:
            total += count * sum(measured[kind]) / len(measured[kind])
            continue
        # The first seed, at every point alike, so that the points' stages have the same names where they share them.
        cell = next(each for each in study.cells if _kind(each) == kind)
        world = cell.config.data.world
        texts = f"texts of {None if world is None else [getattr(world, name) for name in TEXTS]}"
        for stage in plan_run(cell.config, out / "seeds" / str(cell.seed), checks=False, store=store):
            embeds = stage.name.startswith("selection-")
            if stage.name not in shared and not (embeds and texts in shared):
                total += count * stage.seconds
            shared.add(stage.name)
        shared.add(texts)
    return total / worker_count(study.config, len({cell.seed for cell in left}))


def _kind(cell: Cell) -> tuple[str, ...]:
    """What tells cells apart that take different times: the point and its arms, of which some seeds may have fewer."""
    return (cell.point, *cell.config.arms)


def run_cells(
    cells: Sequence[Cell], out: Path, workers: int, progress: Progress, shared: SharedStore | None = None
) -> None:
    """Run cells, those of a seed one after the other in one process.

    A cell that fails leaves the reason in its file, and the others go on.

    Raises:
        FrftError: a process was killed. Finished cells stay, as they do when this is interrupted.
    """
    by_seed: dict[int, list[Cell]] = {}
    for cell in cells:
        by_seed.setdefault(cell.seed, []).append(cell)
    (out / "cells").mkdir(parents=True, exist_ok=True)
    messages = start_method().Queue()
    # A library that was imported before OMP_NUM_THREADS is set takes all cores, so it is set for the processes to come.
    before = os.environ.get("OMP_NUM_THREADS")
    os.environ["OMP_NUM_THREADS"] = "1"
    try:
        with (
            process_pool(workers, _begin, (messages, shared)) as executor,
            progress.task("cells", len(cells)) as task,
        ):
            with without_interrupts():
                pending = [executor.submit(_do_seed, out, own) for own in by_seed.values()]
            while pending:
                _show(messages, task, progress)
                pending = _unfinished(pending)
            # Messages of the last cells may still be on their way when the processes are done.
            while _show(messages, task, progress):
                pass
    finally:
        os.environ.pop("OMP_NUM_THREADS")
        if before is not None:
            os.environ["OMP_NUM_THREADS"] = before


def _unfinished(futures: Sequence[Future[None]]) -> list[Future[None]]:
    """The futures that are still running; raises what a finished one raised."""
    left = []
    for future in futures:
        if future.done():
            future.result()
        else:
            left.append(future)
    return left


def _show(messages: Any, task: Task, progress: Progress) -> bool:
    """Show one message of a worker, waiting a moment for it; returns whether one came."""
    try:
        name, seconds, error = messages.get(timeout=_POLL_S)
    except Empty:
        return False
    if seconds is None:
        progress.say(name)
        return True
    task.advance(1, name)
    if error is None:
        progress.say(f"  {name}  {duration(seconds)}")
    else:
        progress.say(f"  {name}  FAILED after {duration(seconds)}: {error}")
    return True


_messages: Any
_shared: SharedStore | None


def _begin(messages: Any, shared: SharedStore | None) -> None:
    """Prepare a worker process. A queue can only be handed to it when it starts, so it is kept in a global."""
    global _messages, _shared
    # Where the libraries were imported before this study began, OMP_NUM_THREADS came too late.
    use_threads(1)
    _messages = messages
    _shared = None if shared is None else shared.saying(lambda text: messages.put((text, None, None)))


def _do_seed(out: Path, cells: Sequence[Cell]) -> None:
    """Run the cells of one seed in this worker process. Its stages stay where a cell failed, for the next try."""
    failures = 0
    for cell in cells:
        started = time.monotonic()
        error = do_cell(out, cell, _shared)
        failures += error is not None
        _messages.put((cell.name, time.monotonic() - started, error))
    if not failures:
        shutil.rmtree(out / "seeds" / str(cells[0].seed))


def run_study(
    study: Study,
    out: Path,
    progress: Progress,
    *,
    points: Sequence[str] = (),
    command: str,
    store: str | Path | None = None,
) -> StudyResults:
    """Run the unfinished cells of a study, and write and return the results of all finished ones.

    OUT/cells/POINT-SEED.json   the record of a cell; OUT/cells/POINT-SEED.failed.json: why it failed
    OUT/study.json              every figure
    OUT/study.md, gains.svg     the same figures as a page and a picture
    OUT/panels.svg, curves.svg  pictures of the study's panels and curves, where it has any
    OUT/seeds/                  work in progress

    Args:
        study: the study.
        out: its folder; empty, new, or that of the same study, be it with fewer points or seeds.
        progress: told of every cell.
        points: run cells of these points only; those of others that are done are in the results all the same.
        command: the command line that made the results, for the page.
        store: folder of the store that runs share, as `frft.experiment.run` takes it.

    Raises:
        OutputError: OUT holds something else, or cells that were made by another version or with other settings, or
            another process is at work there.
        FrftError: a process was killed.
    """

    # Before the lock, so that nothing is written to a folder of something else.
    _ = to_do(study, out, points)
    with sole_launcher(out):
        return _run(study, out, progress, points, command, open_store(store, progress.say))


def _run(
    study: Study, out: Path, progress: Progress, points: Sequence[str], command: str, shared: SharedStore | None
) -> StudyResults:
    left = to_do(study, out, points)
    done = len(study.cells) - len(left)
    if done:
        progress.say(f"{done} of {len(study.cells)} cells are done, or not asked for")
    if left:
        run_cells(left, out, worker_count(study.config, len({cell.seed for cell in left})), progress, shared)
    records = [record for cell in study.cells if (record := read_record(out, cell)) is not None]
    failures = [
        CellFailure.of(read_sealed(path, CELL_ANEW), path)
        for cell in study.cells
        if (path := failure_path(out, cell)).exists()
    ]
    results = summarise(study, records, [f"{each.cell}: {each.error}" for each in failures])
    write_sealed(out / "study.json", results.as_dict())
    files = {
        "study.md": markdown(results, command),
        "gains.svg": gains_picture(results),
        "panels.svg": panels_picture(results),
        "curves.svg": curves_picture(results),
    }
    for name, text in files.items():
        if text is None:
            # The study may have had panels or curves before.
            (out / name).unlink(missing_ok=True)
            continue
        with atomic_write(out / name) as file:
            file.write(text.encode())
    return results
