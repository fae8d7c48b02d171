"""Where results go: JSON lines and a Markdown table in benchmarks/results/, and the terminal."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent / "results"


def machine() -> str:
    """What was measured on, in a line."""
    import torch

    processor = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        fields = dict(line.split(":", 1) for line in info.read_text().splitlines() if ":" in line)
        processor = fields.get("model name\t", processor).strip()
    if torch.cuda.is_available():
        processor = torch.cuda.get_device_name()
    return f"{processor}, {os.cpu_count()} cores; torch {torch.__version__}"


def report(name: str, notes: Sequence[str], rows: Sequence[Mapping[str, Any]], columns: Mapping[str, str]) -> None:
    """Write rows of numbers as results/<name>.jsonl, and a table of them as results/<name>.md, and print the table.

    Args:
        name: of the benchmark.
        notes: what to know about the numbers, a line each.
        rows: all that was measured.
        columns: heading of each column -> how to format a row ("{seconds:.2f}").
    """
    from rich.console import Console

    lines = [" | ".join(columns), " | ".join("---" for _ in columns)]
    lines += [" | ".join(form.format(**row) for form in columns.values()) for row in rows]
    table = "\n".join(f"| {line} |" for line in lines)
    text = "\n\n".join([f"# {name}", "\n".join(notes), table]) + "\n"
    FOLDER.mkdir(exist_ok=True)
    (FOLDER / f"{name}.md").write_text(text)
    (FOLDER / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    Console(soft_wrap=True, highlight=False, markup=False).print(text)
