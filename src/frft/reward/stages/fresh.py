"""The pairs with fresh labels that a refresh trains and tests on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from frft.config.sections import LabelsConfig
from frft.config.sections.labels import REPEATS
from frft.errors import SelectionError
from frft.models import seed_for
from frft.reward.infos import LabelsInfo
from frft.reward.refresh import PAIRS_FILE
from frft.reward.stages.inputs import RefreshInputs
from frft.store import Artifact

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class FreshLabels:
    """Fresh labels of a refresh and of the earlier ones that it uses again.

    Attributes:
        train: the pairs to train on, each once: columns as `frft.labels.LabelledAnswers.table`.
        test: the pairs to test on, those of this refresh alone.
        error_of: how often the labeller of each training pair errs, by the loss; None: labels are taken for right.
        errors: the same by labeller.
        earlier: number of training pairs that earlier refreshes asked for.
        share: the share of all pairs trained on that they make up, above 0 and below 1; None, or less than each once
            makes: each once.
        seed: draws those that are taken once more than the rest.
    """

    train: pa.Table
    test: pa.Table
    error_of: list[float] | None
    errors: dict[str, float] | None
    earlier: int
    share: float | None
    seed: int

    def beside(self, others: pa.Table) -> tuple[pa.Table, list[float] | None]:
        """Other pairs and these together, some of these several times where `share` asks for it.

        Returns:
            The pairs, and how often the label of each is wrong by the loss: that of the others never. None: all labels
            are taken for right.
        """
        count = self.train.num_rows
        # x fresh rows beside n others make up the share s = x / (n + x), so x = n s / (1 - s).
        share = self.share or 0.0
        wanted = max(count, round(others.num_rows * share / (1 - share)))
        once_more = np.random.default_rng(self.seed).choice(count, wanted % count, replace=False)
        rows = [*list(range(count)) * (wanted // count), *sorted(once_more.tolist())]
        errors = self.error_of and [*[0.0] * others.num_rows, *(self.error_of[row] for row in rows)]
        return together(others, self.train.take(np.array(rows, dtype=np.int64))), errors


def fresh_labels(of: RefreshInputs) -> FreshLabels | None:
    """The fresh labels of a refresh; None: it has none.

    Raises:
        SelectionError: error rates are to be estimated from repetitions, and they do not tell.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    if not of.fresh:
        return None
    assert of.config.fresh is not None
    errors = _errors(of.config.fresh, of.fresh)
    tables = [pq.read_table(each.path / PAIRS_FILE) for each in of.fresh]
    train = pa.concat_tables([_with_purpose(table, "train") for table in tables])
    return FreshLabels(
        train=train,
        test=_with_purpose(tables[-1], "test"),
        error_of=None if errors is None else [errors[name] for name in train["labeller"].to_pylist()],
        errors=errors,
        earlier=train.num_rows - of.fresh[-1].info_as(LabelsInfo).train,
        share=of.config.fresh.share,
        seed=seed_for(of.seed, "fresh", of.number),
    )


def fresh_rows(labels: float, selected: float, share: float | None, replay: float) -> float:
    """Number of rows that fresh labels come to, each taken at least once.

    Args:
        labels: number of different labels.
        selected: number of selected pairs beside them.
        share: their share of all rows (`labels.share`); None: each once.
        replay: share of all rows that is replayed.
    """
    # With n selected pairs, all T rows are n + share T + replay T, so T = n / (1 - share - replay).
    wanted = selected * share / (1 - share - replay) if share and selected else 0.0
    return max(labels, wanted)


def together(first: pa.Table, second: pa.Table) -> pa.Table:
    """The pairs of both tables in one, with the columns that both have."""
    import pyarrow as pa

    columns = [name for name in first.column_names if name in second.column_names]
    return pa.concat_tables([first.select(columns), second.select(columns)])


def _with_purpose(table: pa.Table, purpose: str) -> pa.Table:
    rows = [row for row, found in enumerate(table["purpose"].to_pylist()) if found == purpose]
    return table.take(np.array(rows, dtype=np.int64))


def _errors(config: LabelsConfig, labels: Sequence[Artifact]) -> dict[str, float] | None:
    """How often each labeller errs; the latest estimate counts."""
    if config.error is None:
        return None
    found: dict[str, float] = {}
    for made in labels:
        for name, answers in made.info_as(LabelsInfo).labellers.items():
            if config.error != REPEATS:
                found[name] = float(config.error)
                continue
            accuracy = None if answers.consistency is None else answers.consistency.accuracy
            if accuracy is None or accuracy.mean <= 0.5:
                raise SelectionError(
                    f"labels.error: {REPEATS}: how often {name} errs cannot be told from its answers to repetitions "
                    f"({0 if answers.consistency is None else answers.consistency.repeats} of them, or no better than "
                    "a coin). Raise labels.repeat_share, or give labels.error a number."
                )
            found[name] = 1 - accuracy.mean
    return found
