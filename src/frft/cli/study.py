"""`frft study`."""

from __future__ import annotations

import shlex
from pathlib import Path


def study_command(
    name: str,
    /,
    *overrides: str,
    out: Path,
    store: str | None = None,
    points: list[str] | None = None,
    dry_run: bool = False,
    json: bool = False,
) -> int:
    """Run a grid of small experiments in generated worlds, where the true reward is known, and test predictions.

    If it is stopped, the same command resumes after the finished cells. Exit status 1: cells failed.

    Parameters
    ----------
    name
        Name of the study (averaging, domains, labels), or the path of a YAML file of your own (docs/study.md).
    overrides
        Settings as key=value, with dotted keys: seeds=16 workers=4 base.ppo.total_steps=64 points.kl-low=null
    out
        The folder of the study.
    store
        Folder of the shared store of finished stages, or none. Default: the environment variable FRFT_STORE, or
        ~/.cache/frft/store.
    points
        Run only this point of the grid; may be given several times. Default: all points.
    dry_run
        Print what would run and roughly how long it takes; write nothing.
    json
        Print the results (or what would run) as JSON.
    """
    from frft import study as studies
    from frft.cli.output import print_json, print_table, print_text
    from frft.errors import UsageError
    from frft.progress import duration, for_terminal

    resolved = studies.load_study(name, overrides)
    chosen = points or []
    unknown = [point for point in chosen if point not in resolved.config.points]
    if unknown:
        raise UsageError(
            f"--points {', '.join(unknown)}: no such point; points are {', '.join(resolved.config.points)}"
        )
    if dry_run:
        left = studies.to_do(resolved, out, chosen)
        seconds = studies.expected_seconds(resolved, out, left, store)
        workers = studies.worker_count(resolved.config, len({cell.seed for cell in left}))
        if json:
            print_json(
                {
                    "cells": [cell.name for cell in left],
                    "workers": workers,
                    "seconds": round(seconds, 1),
                    "predictions_not_run": resolved.not_run(),
                }
            )
            return 0
        rows = []
        for point in resolved.config.points:
            cells = [cell for cell in left if cell.point == point]
            few = resolved.config.points[point].on_fewer_seeds
            fewer = "" if few is None else f" (the last {len(few.arms)} with the first {few.seeds} seeds alone)"
            arms = ", ".join(resolved.config.arms_at(point)) + fewer
            rows.append((point, ", ".join(str(cell.seed) for cell in cells) or "none", arms))
        print_table(("point", "seeds to run", "arms"), rows, texts=3)
        for prediction, missing in resolved.not_run().items():
            print_text(f"The prediction {prediction!r} will not be run: the study has no {missing}.")
        print_text(f"{len(left)} cells, {workers} at a time: very roughly {duration(seconds)} on this machine.")
        return 0
    words = ["frft", "study", name, *overrides, *(word for point in chosen for word in ("--points", point))]
    try:
        results = studies.run_study(
            resolved,
            out,
            for_terminal(),
            points=chosen,
            command=shlex.join([*words, "--out", str(out)]),
            store=store,
        )
    except BaseException as stop:
        stop.add_note("The same command goes on after the cells that are done.")
        raise
    failed = results.cells.failed
    if json:
        print_json(results.as_dict())
        return int(bool(failed))
    print_table(studies.OVERVIEW_COLUMNS, studies.overview(results))
    print_table(studies.VERDICT_COLUMNS, studies.verdicts(results), texts=2)
    for point, found in results.points.items():
        if labels := studies.label_rows(found):
            print_text(f"Fresh labels at {point}:")
            print_table(studies.LABELS_BOUGHT_COLUMNS, labels)
    if claim := studies.claim_line(results):
        print_text(claim)
    for line in failed:
        print_text(f"FAILED {line}")
    counts = results.cells
    print_text(f"{counts.done} of {counts.wanted} cells. All tables: {out / 'study.md'}; figures: {out / 'study.json'}")
    return int(bool(failed))
