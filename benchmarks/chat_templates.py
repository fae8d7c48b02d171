"""Chat models: what frft reads and writes against Transformers alone, over the product of what people have.

Tiny models with random weights of twelve architectures, ten kinds of tokenizers, seven chat templates, padding sides
and batch sizes (`tests/zoo`; a part of it is among the tests). Scores are compared with the model's own tokenizer and
forward pass, one text at a time without padding; token sequences with the tokenizer's own template; greedy completions
with `generate()`.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.zoo.architectures import ARCHITECTURES
from tests.zoo.generation import GREEDY, written
from tests.zoo.matrix import FACTORS, Zoo, product_cells, sequences_of
from tests.zoo.tokenizers import FAMILIES

from benchmarks.results import machine, report

PRODUCT = ["template", "family", "side", "batch_size"]
"""What every architecture is combined with; of the other factors, a value is drawn for each cell."""
COLUMNS = {
    "compared": "{compared}",
    "of": "{name}",
    "cells": "{cells}",
    "sequences": "{sequences:,}",
    "wrong": "{wrong}",
    "largest difference": "{shown_difference}",
}


def main() -> None:
    """Compare, write results/chat_templates.*, and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--architectures", nargs="+", choices=ARCHITECTURES, default=ARCHITECTURES)
    parser.add_argument("--conversations", type=int, default=100_000, help="whose tokens are compared")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        zoo = Zoo(Path(folder))
        rows = [scores_of(zoo, architecture, options.seed) for architecture in options.architectures]
        rows += tokens_of(zoo, options.conversations, options.seed)
        rows += list(completions_of(Path(folder)))
    totals = {name: sum(row[name] for row in rows) for name in ("cells", "sequences", "wrong")}
    largest = max(row["difference"] for row in rows if row["difference"] is not None)
    drawn = ", ".join(name for name in FACTORS if name not in [*PRODUCT, "architecture"])
    notes = [
        f"{machine()}. Float32, tiny random models. In all: {totals['cells']} cells, "
        f"{totals['sequences']:,} sequences, {totals['wrong']} wrong; largest difference of two scores {largest:.1e}.",
        f"Scores: every possible combination of architecture, {', '.join(PRODUCT)}; drawn for each: {drawn}.",
    ]
    report("chat_templates", notes, [*rows], COLUMNS)


def scores_of(zoo: Zoo, architecture: str, seed: int) -> dict[str, Any]:
    """One row: an architecture's scores, over the product of the other factors."""
    outcomes = [
        zoo.outcome(cell, seed=seed + number)
        for number, cell in enumerate(product_cells(PRODUCT, seed, architecture=architecture))
    ]
    return _row(
        "scores",
        architecture,
        cells=len(outcomes),
        sequences=sum(each.sequences for each in outcomes),
        wrong=sum(each.wrong for each in outcomes),
        difference=max(max(each.difference, each.saved_difference) for each in outcomes),
        other_after_saving=sum(not each.reloaded for each in outcomes),
        least_spread=min(each.spread for each in outcomes),
    )


def tokens_of(zoo: Zoo, conversations: int, seed: int) -> Iterator[dict[str, Any]]:
    """A row for each kind of tokenizer: tokens of prompts and of whole conversations, of every template."""
    for family in FAMILIES:
        architecture = "qwen2" if family == "qwen2" else "gpt2"
        cells = list(product_cells(["template", "added"], seed, architecture=architecture, family=family))
        each = -(-conversations // len(FAMILIES) // len(cells))
        counted = [sequences_of(zoo.reference(cell), each, seed + number) for number, cell in enumerate(cells)]
        yield _row(
            "tokens",
            family,
            cells=len(cells),
            sequences=sum(counts.compared for counts in counted),
            wrong=sum(counts.wrong for counts in counted),
            straddled=sum(counts.straddled for counts in counted),
            checked_by_the_tokenizer_itself=sum(counts.own_compared for counts in counted),
            reference_wrong=sum(counts.own_wrong for counts in counted),
        )


def completions_of(folder: Path) -> Iterator[dict[str, Any]]:
    """A row for each policy: completions written greedily."""
    for case in GREEDY:
        place = folder / case.name
        place.mkdir()
        texts = written(case, place)
        pairs = list(zip(texts.frft, texts.transformers, strict=True))
        yield _row(
            "greedy", case.name, cells=1, sequences=len(pairs), wrong=sum(ours != theirs for ours, theirs in pairs)
        )


def _row(compared: str, name: str, *, difference: float | None = None, **counts: Any) -> dict[str, Any]:
    shown = "" if difference is None else f"{difference:.1e}"
    return {"compared": compared, "name": name, "difference": difference, "shown_difference": shown, **counts}


if __name__ == "__main__":
    main()
