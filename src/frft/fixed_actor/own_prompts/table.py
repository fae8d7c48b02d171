"""The table of actors on prompts of their own: accuracies and paired differences, with intervals by the bootstrap.

A replicate draws, with replacement, as many conversations of each domain as there are, and as many seeds, and takes all
tested pairs of a drawn conversation in all drawn seeds (the pigeonhole bootstrap of crossed factors; Owen 2007, which
errs on the wide side). Bounds are the 2.5 and 97.5 % points of the replicates. They speak of other conversations of the
same domains, and other divisions; the mean over actors of other conversations of these domains, not of other domains.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from frft.errors import UsageError, printable
from frft.fixed_actor.arms import ALL, REFERENCE
from frft.fixed_actor.cells import estimate_cell
from frft.fixed_actor.labels import LABEL_COLUMNS, LABELS_IN_WORDS, label_cells
from frft.fixed_actor.own_prompts.division import DomainActor
from frft.fixed_actor.own_prompts.rankings import PROMPT_DENSITY
from frft.fixed_actor.own_prompts.run import SelectionArm, read_held_out, read_own_prompts, shares_right
from frft.fixed_actor.table import AccuracyPage, TextGrid
from frft.results.fixed_actor import HeldOutPairs
from frft.statistics import Estimate
from frft.statistics.numbers import Floats

REPLICATES = 2000
COLUMNS = (
    "start",
    "strategy",
    "kept",
    "pairs",
    "of the domain",
    "accuracy",
    "less random",
    "less all",
    "less density_prompt",
)


@dataclass(frozen=True)
class OwnPromptsAccuracy:
    """One arm of one actor, or the mean over actors; accuracies 0 to 1.

    Attributes:
        arm: which.
        pairs: number of pairs trained on, mean over seeds and folds.
        own_share: share of these that are of the actor's domain.
        accuracy: accuracy on pairs as the actor's mixture has them.
        over_random: accuracy less that of as many random pairs from the same start; None for that arm itself, for arms
            without a size and for placebos.
        over_prompts: accuracy less that of as many pairs by density_prompt, which sees no text of the actor: what its
            texts add to knowing where it was asked; None as for `over_random`, and without that control.
        over_all: accuracy less that of the reward model of all pairs from the same start; None for that and placebos.
        selected: accuracy of a placebo on pairs of its own selection; None for other arms.
        gained: accuracy less that of the same arm without labels, of labels alone less that of the reward model of all
            pairs; None for arms without labels.
        over_random_labels: accuracy less that with as many labels of random pairs; None for these, and for arms without
            labels.
    """

    arm: SelectionArm
    pairs: float
    own_share: float
    accuracy: Estimate
    over_random: Estimate | None
    over_prompts: Estimate | None
    over_all: Estimate | None
    selected: float | None
    gained: Estimate | None = None
    over_random_labels: Estimate | None = None


@dataclass(frozen=True)
class OwnPromptsTable(AccuracyPage):
    """The accuracies of all arms of all actors, over the seeds that are finished.

    Attributes:
        actors: by the actor's label, a line for each arm; with several actors of one weight, "mean of ..." as well.
        conversations: conversations tested, by domain.
        pairs: pairs tested in each seed, by domain.
        samples: completions that selections were made by, mean over seeds and folds, by the actor's label.
        seeds: the finished seeds.
        folds: folds of a seed.
        left_out: lines of unfinished seeds.
    """

    actors: dict[str, list[OwnPromptsAccuracy]]
    conversations: dict[str, int]
    pairs: dict[str, int]
    samples: dict[str, float]
    seeds: list[int]
    folds: int
    left_out: int

    def parts(self) -> list[str | TextGrid]:
        """The page's paragraphs and tables, in order."""
        tested = ", ".join(
            f"`{_name(domain)}` ({self.pairs[domain]:,} pairs of {count:,} conversations)"
            for domain, count in self.conversations.items()
        )
        parts: list[str | TextGrid] = [
            f"Tested by {self.folds} folds in each of {len(self.seeds)} seeds: {tested}. Per cent and percentage "
            "points; 95 % intervals by the bootstrap over conversations within each domain, and seeds; not corrected "
            "for the number of arms.",
            "Kept: per cent of the pool. Controls see no text of the actor: random pairs; density_prompt and prompt "
            "clusters, by where it was asked alone; own domain, the domains themselves in the actor's proportions.",
        ]
        for actor, lines in self.actors.items():
            by = f", by {self.samples[actor]:,.0f} unlabelled completions" if actor in self.samples else ""
            parts += [
                f"Actor `{_name(actor)}`{by}:",
                TextGrid(
                    COLUMNS, [_cells(line) for line in lines if not line.arm.placebo and line.arm.labels is None], 2
                ),
            ]
            placebos = [
                [
                    line.arm.strategy,
                    f"{line.pairs:,.0f}",
                    share_cell(line.selected),
                    estimate_cell(line.accuracy),
                ]
                for line in lines
                if line.arm.placebo
            ]
            labels = [
                list(label_cells(arm, line.accuracy, line.gained, line.over_random_labels))
                for line in lines
                if (arm := line.arm.label_arm) is not None
            ]
            if labels:
                parts += [LABELS_IN_WORDS, TextGrid(LABEL_COLUMNS, labels, 3)]
            if placebos:
                parts += [
                    "Placebo: labels shuffled before the filter, from scratch. Above 50 on its own pairs is the "
                    "shortcut.",
                    TextGrid(["strategy", "pairs", "on its own selection", "on the actor's pairs"], placebos, 1),
                ]
        if self.left_out:
            parts.append(
                f"Unfinished: {self.left_out} lines are left out, of seeds that do not have all folds and arms yet."
            )
        return parts


def read_own_prompts_table(out: Path) -> OwnPromptsTable:
    """The table of a folder of results, over its finished seeds.

    Raises:
        UsageError: no seed has all folds and arms of all actors.
    """
    lines, held_out = read_own_prompts(out), read_held_out(out)
    actors = list(dict.fromkeys(DomainActor(line.actor, line.weight) for line in lines))
    arms = list(dict.fromkeys(SelectionArm.of(line) for line in lines))
    cells = {
        (line.seed, line.fold, DomainActor(line.actor, line.weight), SelectionArm.of(line)): line for line in lines
    }
    folds = 1 + max((line.fold for line in lines), default=-1)
    seeds = [
        seed
        for seed in sorted({line.seed for line in lines})
        if all((seed, fold, actor, arm) in cells for fold in range(folds) for actor in actors for arm in arms)
        # Only of a whole seed do the folds test every conversation.
        and _is_whole(seed, folds, held_out)
    ]
    if not seeds:
        raise UsageError(
            f"{out} holds no finished seed (it has {len(lines)} lines). Give --pairs to go on with the benchmark."
        )
    resampled = _Resampled(seeds, folds, held_out)

    def values(actor: DomainActor, arm: SelectionArm) -> Floats:
        return resampled.accuracy(
            actor, [[cells[seed, fold, actor, arm].right for fold in range(folds)] for seed in seeds]
        )

    def mean_of(figures: Sequence[float]) -> float:
        return float(np.mean(figures))

    accuracies = {(actor, arm): values(actor, arm) for actor in actors for arm in arms}
    groups: dict[str, list[DomainActor]] = {actor.label: [actor] for actor in actors}
    for weight in dict.fromkeys(actor.weight for actor in actors):
        same = [actor for actor in actors if actor.weight == weight]
        if len(same) > 1:
            groups["mean of " + ", ".join(actor.label for actor in same)] = same

    def line_of(group: Sequence[DomainActor], arm: SelectionArm) -> OwnPromptsAccuracy:
        own = [cells[seed, fold, actor, arm] for seed in seeds for fold in range(folds) for actor in group]
        domains = {name for actor in group for name, share in actor.shares(resampled.pairs).items() if share}
        count = sum(resampled.conversations[name] for name in domains)
        found = {each: np.mean([accuracies[actor, each] for actor in group], axis=0) for each in arms}

        def over(reference: SelectionArm) -> Estimate | None:
            is_there = reference in arms and reference != arm and not arm.placebo
            return resampled.estimate(found[arm] - found[reference], count) if is_there else None

        sized = arm.share is not None and arm.labels is None
        selected = [line.selected_accuracy for line in own if line.selected_accuracy is not None]
        return OwnPromptsAccuracy(
            arm,
            mean_of([line.pairs for line in own]),
            mean_of([line.own_share for line in own]),
            resampled.estimate(found[arm], count),
            over(SelectionArm(arm.start, REFERENCE, arm.share)) if sized else None,
            over(SelectionArm(arm.start, PROMPT_DENSITY, arm.share)) if sized else None,
            over(SelectionArm(arm.start, ALL)),
            mean_of(selected) if selected else None,
            over(arm.without_labels) if arm.labels is not None else None,
            over(replace(arm, pick="random")) if arm.labels is not None else None,
        )

    return OwnPromptsTable(
        {label: [line_of(group, arm) for arm in arms] for label, group in groups.items()},
        resampled.conversations,
        resampled.pairs,
        {
            actor.label: mean_of([cells[seed, fold, actor, arms[0]].samples for seed in seeds for fold in range(folds)])
            for actor in actors
        },
        seeds,
        folds,
        len(lines) - len(seeds) * folds * len(actors) * len(arms),
    )


class _Resampled:
    """Accuracies over all tested pairs (first), and over REPLICATES resamples of conversations and seeds."""

    def __init__(self, seeds: Sequence[int], folds: int, held_out: dict[tuple[int, int], HeldOutPairs]) -> None:
        domains = sorted({name for seed in seeds for fold in range(folds) for name in held_out[seed, fold].domains})
        rng = np.random.default_rng(0)
        # One draw for all arms and actors, so that differences are paired. The first row is the data as they are.
        self._seed_weights_RS = _draws(len(seeds), rng)
        self._places: dict[str, list[tuple[Floats, Any]]] = {}
        self._weights: dict[str, Floats] = {}
        self._counts: dict[str, Floats] = {}
        self.conversations: dict[str, int] = {}
        self.pairs: dict[str, int] = {}
        for name in domains:
            per_seed = []
            for seed in seeds:
                rows = [held_out[seed, fold] for fold in range(folds)]
                own_M = np.array([each == name for row in rows for each in row.domains])
                numbers_M = np.array([number for row in rows for number in row.conversations])
                per_seed.append((own_M, numbers_M[own_M]))
            known = np.unique(np.concatenate([numbers for _, numbers in per_seed]))
            self._places[name] = [(own_M, np.searchsorted(known, numbers)) for own_M, numbers in per_seed]
            self._weights[name] = _draws(len(known), rng)
            self._counts[name] = np.stack(
                [np.bincount(places, minlength=len(known)) for _, places in self._places[name]], axis=1
            ).astype(float)
            self.conversations[name], self.pairs[name] = len(known), len(per_seed[0][1])

    def accuracy(self, actor: DomainActor, right: Sequence[Sequence[str]]) -> Floats:
        """The actor's accuracy (1 + REPLICATES,), from the outcomes of each seed and fold."""
        shares, total_R = actor.shares(self.pairs), np.zeros(1 + REPLICATES)
        for name, share in shares.items():
            if not share:
                continue
            columns = []
            for texts, (own_M, places) in zip(right, self._places[name], strict=True):
                right_M = np.concatenate([shares_right(text) for text in texts])
                columns.append(np.bincount(places, right_M[own_M], minlength=self.conversations[name]))
            sums_CS, counts_CS = np.stack(columns, axis=1), self._counts[name]
            weights_RC = self._weights[name]
            right_R = ((weights_RC @ sums_CS) * self._seed_weights_RS).sum(axis=1)
            total_R += share * right_R / ((weights_RC @ counts_CS) * self._seed_weights_RS).sum(axis=1)
        return total_R

    def estimate(self, values_R: Floats, count: int) -> Estimate:
        """The estimate of a figure from `count` conversations, from its value (first) and its replicates."""
        low, high = np.quantile(values_R[1:], [0.025, 0.975])
        return Estimate(float(values_R[0]), float(low), float(high), count)


def _draws(count: int, rng: np.random.Generator) -> Floats:
    """How often each of `count` units is drawn: once each in the first row, then in REPLICATES resamples."""
    drawn_RC = rng.multinomial(count, np.full(count, 1 / count), size=REPLICATES)
    return np.concatenate([np.ones((1, count)), drawn_RC]).astype(np.float64)


def _is_whole(seed: int, folds: int, held_out: dict[tuple[int, int], HeldOutPairs]) -> bool:
    return all((seed, fold) in held_out for fold in range(folds))


def _cells(line: OwnPromptsAccuracy) -> list[str]:
    return [
        line.arm.start,
        line.arm.strategy,
        "all" if line.arm.share is None else f"{line.arm.share:g} %",
        f"{line.pairs:,.0f}",
        share_cell(line.own_share),
        estimate_cell(line.accuracy),
        estimate_cell(line.over_random, "+"),
        estimate_cell(line.over_all, "+"),
        estimate_cell(line.over_prompts, "+"),
    ]


def share_cell(value: float | None) -> str:
    """A share in per cent, without its sign; a dash for None."""
    return "–" if value is None else f"{100 * value:.1f}"


def _name(text: str) -> str:
    """A name from data as it can stand in code, in which it is no markup."""
    return printable(text).replace("`", "'")
