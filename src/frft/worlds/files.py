"""A world as files: preference pairs in a published form, prompts, demonstrations, and the dials that made them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa

from frft.progress import SILENT, Progress
from frft.store import atomic_write, seal, write_json
from frft.worlds.world import CHUNK, WORLD_FILE, World


def write_world(world: World, folder: Path, progress: Progress = SILENT) -> dict[str, int]:
    """Write a world's files into a folder, and manifest.json last: if it is there, the others are whole.

    Rows are made and written in portions, so that memory does not grow with the pool.

    Returns:
        Rows by file name.

        - `pairs.jsonl`: prompt, chosen, rejected, chosen_source, rejected_source, annotator
        - `demonstrations.jsonl`: prompt, completion, source
        - `train.jsonl`, `evaluation.jsonl`: prompt
    """
    config = world.config
    files: dict[str, tuple[int, Callable[[int, int], pa.Table]]] = {
        "pairs.jsonl": (config.pool_size, lambda start, stop: world.pairs(start, stop).drop_columns("id")),
        "demonstrations.jsonl": (config.demonstrations, world.demonstrations),
        "train.jsonl": (config.train_prompts, lambda start, stop: _prompts(world, start, stop, "train")),
        "evaluation.jsonl": (config.evaluation_prompts, lambda start, stop: _prompts(world, start, stop, "evaluation")),
    }
    with progress.task("Making the world (rows)", total=sum(rows for rows, _ in files.values())) as task:
        for name, (rows, make) in files.items():
            with atomic_write(folder / name) as file:
                for start in range(0, rows, CHUNK):
                    stop = min(start + CHUNK, rows)
                    file.write(_lines(make(start, stop)))
                    task.advance(stop - start)
    write_json(folder / WORLD_FILE, config.model_dump())
    _ = seal(folder, {}, [folder / name for name in (*files, WORLD_FILE)])
    return {name: rows for name, (rows, _) in files.items()}


def _prompts(world: World, start: int, stop: int, purpose: str) -> pa.Table:
    return pa.table({"prompt": world.prompts(start, stop, purpose)})


def _lines(table: pa.Table) -> bytes:
    rows: list[dict[str, Any]] = table.to_pylist()
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()
