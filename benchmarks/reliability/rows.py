"""Malformed rows of preference data: accepted + rejected = read, no crash, no hang.

Each trial is a file of rows of one class of mutations, in random published forms and a random container, read by one of
the readers. Whatever a reader raises must be an error of frft's.
"""

from __future__ import annotations

import argparse
import json
import warnings
from pathlib import Path
from random import Random
from typing import Any

from benchmarks.reliability.apart import LIMITS, Ended, apart
from benchmarks.reliability.campaign import Outcome, Trial
from benchmarks.reliability.mutations import FORMS, MUTATIONS, Row

READERS = ("pool", "pool", "pool", "pool", "samples", "samples", "annotations", "annotations", "prompts", "scores")
"""The last two give no counts, or accept no bad row, and come seldom."""
_OTHERS = ("samples", "annotations", "alpaca-eval")
_OF_READERS = {"samples": ("samples",), "scores": ("samples",), "annotations": ("annotations", "alpaca-eval", "trl")}
"""Forms of the rows of each reader; all others read pairs."""
CONTAINERS = ("jsonl", "jsonl", "jsonl", "json", "csv", "parquet", "arrow")
"""Lines of JSON, which alone can hold any bytes, come most often."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """How many rows."""
    parser.add_argument("--rows", type=int, default=10_000, help="mutated rows, by all readers together")
    parser.add_argument("--rows-of-file", type=int, default=25, help="rows of each file")


def plan(given: argparse.Namespace) -> list[Trial]:
    """Files of rows of each class, as many as come to `--rows`."""
    files = -(-given.rows // given.rows_of_file)
    names = list(MUTATIONS)
    return [
        Trial(
            f"{number}",
            names[number % len(names)],
            {"mutation": names[number % len(names)], "rows": given.rows_of_file, "seed": [given.seed, number]},
        )
        for number in range(files)
    ]


def attempt(given: argparse.Namespace, trial: Trial, folder: Path) -> Outcome:
    """Write a file, and read it in a process of its own, which has a limit of time and memory."""
    del given
    # What is imported before a process is forked is not imported by each.
    import frft.diagnosis.parts
    import frft.evaluation
    import frft.preferences

    _ = frft
    what = trial.what
    chance = Random(str(what["seed"]))  # noqa: S311 - no secret depends on it
    ended = apart(lambda: read_mutated(what["mutation"], what["rows"], chance, folder), **LIMITS)
    return outcome_of(ended)


def outcome_of(ended: Ended) -> Outcome:
    """What a process that reads has found, as an outcome."""
    found: dict[str, Any] = ended.found if isinstance(ended.found, dict) else {}
    return Outcome(not ended.fault and not found.get("fault"), {**found, "process": ended.fault})


def read_mutated(mutation: str, rows: int, chance: Random, folder: Path) -> dict[str, Any]:
    """Write rows of a class of mutations to a file, read it, and say what came of it.

    Args:
        mutation: the class.
        rows: number of rows.
        chance: decides forms, mutations, container and reader.
        folder: a folder for the file.

    Returns:
        Figures; `fault` says what is wrong, None where nothing is.
    """
    from frft.errors import FrftError

    reader = chance.choice(READERS)
    forms = _OF_READERS.get(reader, [name for name in FORMS if name not in _OTHERS])
    lines: list[Row | bytes] = [MUTATIONS[mutation](FORMS[chance.choice(forms)], chance) for _ in range(rows)]
    # A row that can be used, since a file without one is refused as a whole, before counts are given.
    lines.append(FORMS[forms[0]])
    path, expected = write(folder, lines, chance)
    found: dict[str, Any] = {"reader": reader, "file": path.name, "rows": rows, "fault": None}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            report = read(reader, path)
        except FrftError as error:
            return {**found, "refused": f"{type(error).__name__}: {error}"[:300]}
        # Whatever else is raised is what the campaign looks for.
        except Exception as error:  # noqa: BLE001
            import traceback

            where = traceback.extract_tb(error.__traceback__)[-1]
            what = f"{type(error).__name__}: {str(error)[:300]} ({Path(where.filename).name}:{where.lineno})"
            return {**found, "fault": what}
    if report is None:
        return found
    counts = {"read": report.read, "accepted": report.accepted, "rejected": sum(report.rejected.values())}
    if counts["read"] != counts["accepted"] + counts["rejected"]:
        found["fault"] = "accepted and rejected do not add up to what was read"
    if expected is not None and counts["read"] != expected:
        found["fault"] = f"{counts['read']} rows were read of {expected}"
    return {**found, **counts}


def write(folder: Path, lines: list[Row | bytes], chance: Random) -> tuple[Path, int | None]:
    """Write rows in a random container that can hold them; returns the file, and how many rows it holds (None: any)."""
    import csv

    import pyarrow as pa
    import pyarrow.parquet as pq

    kind = chance.choice(CONTAINERS)
    rows = [line for line in lines if not isinstance(line, bytes)]
    if len(rows) < len(lines):
        kind = "jsonl"
    try:
        if kind in ("parquet", "arrow"):
            table = pa.Table.from_pylist(rows)
            if kind == "parquet":
                pq.write_table(table, folder / "rows.parquet")
            else:
                with pa.ipc.new_stream(str(folder / "rows.arrow"), table.schema) as stream:
                    stream.write_table(table)
            return folder / f"rows.{kind}", len(rows)
        if kind == "csv":
            names = list(dict.fromkeys(key for row in rows for key in row))
            with (folder / "rows.csv").open("w", newline="", encoding="utf-8", errors="surrogateescape") as text:
                writer = csv.DictWriter(text, names)
                writer.writeheader()
                writer.writerows(rows)
            return folder / "rows.csv", None
        if kind == "json":
            (folder / "rows.json").write_bytes(json.dumps(rows).encode())
            return folder / "rows.json", len(rows)
    # A container that cannot hold such rows: columns of several types, half a surrogate.
    except (pa.ArrowException, ValueError, TypeError, OverflowError):
        pass
    encoded = [
        line if isinstance(line, bytes) else json.dumps(line, ensure_ascii=False).encode("utf-8", "surrogatepass")
        for line in lines
    ]
    content = b"".join(line + b"\n" for line in encoded)
    (folder / "rows.jsonl").write_bytes(content)
    # UTF-16 at the beginning makes a file another one.
    plain = not content.startswith((b"\xff\xfe", b"\xfe\xff"))
    return folder / "rows.jsonl", sum(bool(line.strip()) for line in content.split(b"\n")) if plain else None


def read(reader: str, path: Path) -> Any:
    """Read a file by one of the readers; returns its report, None where it gives none."""
    from frft.diagnosis.parts import load_judge_scores
    from frft.evaluation import StoredAnnotations
    from frft.preferences import load_pool, load_prompts, load_samples

    if reader == "pool":
        pool = load_pool(str(path), max_rejected=1.0)
        if pool.table.num_rows != pool.report.accepted:
            raise AssertionError(f"{pool.table.num_rows} rows in the pool, {pool.report.accepted} accepted")
        return pool.report
    if reader == "samples":
        return load_samples(str(path), max_rejected=1.0).report
    if reader == "prompts":
        _ = load_prompts(str(path))
    elif reader == "annotations":
        return StoredAnnotations.load(str(path), max_rejected=1.0).report
    else:
        _ = load_judge_scores(str(path))
    return None
