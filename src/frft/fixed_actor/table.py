"""The table of the results: means over actors and seeds, differences paired by actor and seed, and their intervals.

Actors and seeds are crossed: both are drawn, from the actors that one could meet and from the divisions that one could
make, so both are sources of variance. With A actors, S seeds and the mean squares of a two-way layout,

    Var(mean) = (MS_actors + MS_seeds - MS_residual) / (A S)

is unbiased for var_a / A + var_s / S + var_as / (A S) (Searle, Casella & McCulloch, Variance Components, 4.3); it is
not taken below that of the residual alone. The interval is Student's, with Satterthwaite's degrees of freedom, at least
min(A, S) - 1. It is about other actors and divisions of *these* data, not about other data: the halves of
different seeds overlap, and what the prompts of a pool have in common is the same in all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from frft.errors import UsageError, printable
from frft.fixed_actor.arms import BASE, GUESSES, REFERENCE, HeadArm
from frft.fixed_actor.cells import estimate_cell
from frft.fixed_actor.labels import LABEL_COLUMNS, LABELS_IN_WORDS, label_cells
from frft.fixed_actor.run import read_results
from frft.results.fixed_actor import HeadLine
from frft.statistics import Estimate, crossed_estimate
from frft.statistics.numbers import Floats

TABLE_COLUMNS = (
    "start",
    "strategy",
    "pairs",
    "balanced",
    "accuracy",
    "less random",
    "less all",
    "less continued on all",
)


@dataclass(frozen=True)
class ArmAccuracy:
    """One arm: its accuracies on the actors' test pairs (0 to 1), and its balanced accuracy less that of other arms.

    Attributes:
        arm: which.
        pairs: number of pairs trained on, mean over actors and seeds.
        balanced: mean of the accuracies where the actor is chosen and where it is rejected.
        accuracy: accuracy over all test pairs alike.
        over_random: balanced accuracy less that of as many random pairs from the same start; None for that arm itself,
            for placebos, and where there is no such arm.
        over_all: balanced accuracy less that of the reward model of all pairs; None for that arm and for placebos.
        over_continued: balanced accuracy less that of continuing on all pairs; None unless the arm continues.
        selected: accuracy of a placebo on pairs of its own selection; None for other arms.
        gained: balanced accuracy less that of the same arm without labels, of labels alone less that of the reward
            model of all pairs; None for arms without labels.
        over_random_labels: balanced accuracy less that with as many labels of random pairs; None for these, and for
            arms without labels.
    """

    arm: HeadArm
    pairs: float
    balanced: Estimate
    accuracy: Estimate
    over_random: Estimate | None
    over_all: Estimate | None
    over_continued: Estimate | None
    selected: Estimate | None
    gained: Estimate | None = None
    over_random_labels: Estimate | None = None


@dataclass(frozen=True)
class TextGrid:
    """A table of text cells: the first `texts` columns hold words, aligned left, the others figures, aligned right."""

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    texts: int

    def markdown(self) -> str:
        """The table in Markdown."""
        rule = ["---" if n < self.texts else "---:" for n in range(len(self.columns))]
        return "\n".join(
            "| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |"
            for row in (self.columns, rule, *self.rows)
        )


@dataclass(frozen=True)
class AccuracyPage:
    """A page of accuracies: paragraphs and tables, for a terminal, for Markdown, and as JSON-able values."""

    def parts(self) -> list[str | TextGrid]:
        """The page's paragraphs and tables, in order."""
        raise NotImplementedError

    def as_dict(self) -> dict[str, Any]:
        """All fields as JSON-able values."""
        return asdict(self)

    def markdown(self) -> str:
        """All parts as one page in Markdown."""
        return "\n\n".join(part if isinstance(part, str) else part.markdown() for part in self.parts()) + "\n"


@dataclass(frozen=True)
class AccuracyTable(AccuracyPage):
    """The accuracies of all arms, over the seeds for which every actor has every arm.

    Attributes:
        lines: one for each arm.
        actors: for each actor by name, the number of different sources that it is tested against, in the seed with the
            most; None where the pairs do not name their sources.
        seeds: the finished seeds, which the table is about.
        test_pairs: mean number of test pairs of an actor in a seed.
        left_out: lines of unfinished seeds.
    """

    lines: list[ArmAccuracy]
    actors: dict[str, int | None]
    seeds: list[int]
    test_pairs: float
    left_out: int

    def parts(self) -> list[str | TextGrid]:
        """The page's paragraphs and tables, in order."""
        rows = [_cells(line) for line in self.lines if not line.arm.placebo and line.arm.labels is None]
        placebos = [
            [
                line.arm.strategy,
                f"{line.pairs:,.0f}",
                estimate_cell(line.selected),
                estimate_cell(line.balanced),
            ]
            for line in self.lines
            if line.arm.placebo
        ]
        # As code, in which a name from data is no markup.
        names = ", ".join(
            f"`{printable(name).replace('`', chr(39))}`" + (f" against {count} sources" if count else "")
            for name, count in self.actors.items()
        )
        parts: list[str | TextGrid] = [
            f"{len(self.actors)} actors ({names}), {len(self.seeds)} seeds, {self.test_pairs:,.0f} "
            "test pairs an actor and seed. Per cent and percentage points; 95 % intervals over actors and seeds, which "
            "divide the same prompts.",
            "Balanced: the mean of the accuracies where the actor's completion is chosen and where it is rejected; a "
            "guess that is the same for all pairs has 50. Differences are of it. The constants read no text: who wins "
            "most of the actor's training pairs, in all or against this opponent.",
            TextGrid(TABLE_COLUMNS, rows, 2),
        ]
        labels = [
            list(label_cells(arm, line.balanced, line.gained, line.over_random_labels))
            for line in self.lines
            if (arm := line.arm.label_arm) is not None
        ]
        if labels:
            parts += [LABELS_IN_WORDS, TextGrid(LABEL_COLUMNS, labels, 3)]
        if placebos:
            parts += [
                "Placebo: labels shuffled before the filter, from scratch. Above 50 on its own pairs is the shortcut.",
                TextGrid(["strategy", "pairs", "on its own selection", "on the actor's pairs, balanced"], placebos, 1),
            ]
        if self.left_out:
            parts.append(
                f"Unfinished: {self.left_out} lines are left out, of seeds that not every actor and arm has yet."
            )
        return parts


BALANCED: Callable[[HeadLine], float | None] = lambda line: line.balanced_accuracy  # noqa: E731


def read_table(out: Path) -> AccuracyTable:
    """The table of a folder of results, over its finished seeds.

    Raises:
        UsageError: there is no seed for which every actor has every arm.
    """
    rows = read_results(out)
    actors = sorted({row.actor for row in rows})
    arms = list(dict.fromkeys(HeadArm.of(row) for row in rows))
    cells = {(HeadArm.of(row), row.actor, row.seed): row for row in rows}
    # Whole seeds only: in a part of one, arms would be compared on different actors.
    seeds = [
        seed
        for seed in sorted({row.seed for row in rows})
        if all((arm, actor, seed) in cells for arm in arms for actor in actors)
    ]
    if not seeds:
        raise UsageError(
            f"{out} holds no finished seed (it has {len(rows)} lines). Give --pairs to go on with the benchmark."
        )

    def values(arm: HeadArm, figure: Callable[[HeadLine], float | None] = BALANCED) -> Floats:
        return np.array([[figure(cells[arm, actor, seed]) for seed in seeds] for actor in actors], dtype=np.float64)

    def over(arm: HeadArm, reference: HeadArm) -> Estimate | None:
        is_there = reference in arms and reference != arm and not arm.placebo
        return crossed_estimate(values(arm) - values(reference)) if is_there else None

    lines = [
        ArmAccuracy(
            arm,
            float(values(arm, lambda line: line.pairs).mean()),
            crossed_estimate(values(arm)),
            crossed_estimate(values(arm, lambda line: line.accuracy)),
            over(arm, HeadArm(arm.start, REFERENCE, arm.size)) if arm.labels is None else None,
            over(arm, BASE),
            over(arm, HeadArm("continue", BASE.strategy)) if arm.start == "continue" else None,
            crossed_estimate(values(arm, lambda line: line.selected_accuracy)) if arm.placebo else None,
            over(arm, arm.without_labels) if arm.labels is not None else None,
            over(arm, replace(arm, pick="random")) if arm.labels is not None else None,
        )
        for arm in arms
    ]
    test_pairs = float(values(BASE, lambda line: line.test_pairs).mean())
    opponents = {
        actor: max(filter(None, (cells[BASE, actor, seed].opponents for seed in seeds)), default=None)
        for actor in actors
    }
    return AccuracyTable(lines, opponents, seeds, test_pairs, len(rows) - len(arms) * len(actors) * len(seeds))


def _cells(line: ArmAccuracy) -> list[str]:
    differences = (line.over_random, line.over_all, line.over_continued)
    return [
        "–" if line.arm in GUESSES else line.arm.start,
        line.arm.strategy,
        f"{line.pairs:,.0f}",
        estimate_cell(line.balanced),
        estimate_cell(line.accuracy),
        *(estimate_cell(each, "+") for each in differences),
    ]
