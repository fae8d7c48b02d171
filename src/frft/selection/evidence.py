"""What the filter ranks pairs by: cosines with the policy's samples, or log density ratios of their texts.

A density ratio is that of the completions, of the prompts, or of both together. By the prompts alone no text of the
policy is read, only where it was asked to write: a control that tells how much of a selection is telling topics apart.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from frft.config.sections import SelectionConfig
from frft.conversation import opening
from frft.errors import SelectionError
from frft.progress import SILENT, Progress
from frft.selection.controls import with_noise
from frft.selection.density import EmbeddedCompletions, density_ratios
from frft.selection.similarity import Vectors, match_nearest, match_prompt
from frft.selection.vectors import VectorCache
from frft.statistics.numbers import Floats
from frft.strategies.strategy import PairEvidence

TextColumns = Mapping[str, Sequence[str]]


@dataclass(frozen=True)
class RankingEvidence:
    """What N pairs are ranked by: cosines of chosen and rejected and log ratios (nats), NaN where not computed.

    `truncated` counts the texts longer than the embedder's window; `density` is None without a classifier.
    """

    values_3N: Floats
    truncated: dict[str, int] = field(default_factory=lambda: {"chosen": 0, "rejected": 0, "samples": 0})
    density: dict[str, float] | None = None

    def dealt_out(self, rng: np.random.Generator) -> RankingEvidence:
        """A control: the evidence permuted at random among the pairs that have any."""
        known = np.flatnonzero(~np.isnan(self.values_3N).all(axis=0))
        values_3N = self.values_3N.copy()
        values_3N[:, known] = self.values_3N[:, rng.permutation(known)]
        return replace(self, values_3N=values_3N)


def compare_completions(
    pool: TextColumns,
    samples: TextColumns,
    config: SelectionConfig,
    vectors: VectorCache,
    seed: int,
    progress: Progress,
) -> RankingEvidence:
    """Cosines of chosen and rejected completions with the samples."""
    rows, written = _comparable(pool["prompt"], samples["prompt"], samples["completion"], config.match)
    pairs, used = _take(pool, rows), _take(samples, written)
    (chosen_ND, rejected_ND, samples_SD), truncated = _embed(pairs, used, config.noise, vectors, seed, progress)
    values_3N = np.full((3, len(pool["prompt"])), np.nan)
    if config.match == "nearest":
        values_3N[:2, rows] = match_nearest(chosen_ND, rejected_ND, samples_SD, progress=progress)
    else:
        values_3N[:2, rows] = match_prompt(pairs["prompt"], chosen_ND, rejected_ND, used["prompt"], samples_SD)
    return RankingEvidence(values_3N, truncated)


def tell_apart(
    pool: TextColumns,
    samples: TextColumns,
    config: SelectionConfig,
    reads: PairEvidence | None,
    vectors: VectorCache,
    seed: int,
    progress: Progress,
) -> RankingEvidence:
    """Log density ratios of the pairs, log p(policy's samples) / p(pool), of the texts that `reads` names."""
    used = _take(samples, [s for s, sample in enumerate(samples["completion"]) if sample])
    texts_of = {"prompt density ratio": _prompts, "joint density ratio": _joint}.get(str(reads), _completions)
    of_pool, of_samples, truncated = texts_of(pool, used, config.noise, vectors, seed, progress)
    try:
        ratios = density_ratios(of_pool, of_samples, seed, progress)
    except SelectionError as error:
        raise SelectionError(f"{error} Or select by another strategy than {config.strategy}.") from None
    values_3N = np.full((3, len(pool["prompt"])), np.nan)
    # The ratios of all chosen, then of all rejected completions: their sum is the pair's. A prompt has a single one.
    values_3N[2] = ratios.log_ratios_N.reshape(-1, len(pool["prompt"])).sum(axis=0)
    density = {"auc": ratios.auc, "log_loss": ratios.log_loss, "strength": ratios.strength}
    return RankingEvidence(values_3N, truncated, density)


_Sides = tuple[EmbeddedCompletions, EmbeddedCompletions, dict[str, int]]
"""Texts of the pool, texts of the samples, and how many were longer than the embedder's window."""


def _completions(
    pool: TextColumns, samples: TextColumns, noise: float, vectors: VectorCache, seed: int, progress: Progress
) -> _Sides:
    """All chosen, then all rejected completions."""
    (chosen_ND, rejected_ND, samples_SD), truncated = _embed(pool, samples, noise, vectors, seed, progress)
    of_pool = EmbeddedCompletions(
        [*pool["prompt"], *pool["prompt"]],
        [*pool["chosen"], *pool["rejected"]],
        np.concatenate([chosen_ND, rejected_ND]),
    )
    return of_pool, EmbeddedCompletions(samples["prompt"], samples["completion"], samples_SD), truncated


def _prompts(
    pool: TextColumns, samples: TextColumns, noise: float, vectors: VectorCache, seed: int, progress: Progress
) -> _Sides:
    """The prompt of each pair, and each different prompt of the samples. Conversations are held out as a whole."""
    asked = list(dict.fromkeys(samples["prompt"]))
    pool_ND, asked_SD, cut = _embed_prompts(pool["prompt"], asked, noise, vectors, seed, progress)
    sides = [
        EmbeddedCompletions([opening(prompt) for prompt in prompts], prompts, vectors_ND)
        for prompts, vectors_ND in ((pool["prompt"], pool_ND), (asked, asked_SD))
    ]
    return sides[0], sides[1], {"chosen": 0, "rejected": 0, "samples": 0, "prompts": cut}


def _joint(
    pool: TextColumns, samples: TextColumns, noise: float, vectors: VectorCache, seed: int, progress: Progress
) -> _Sides:
    """All prompts with their chosen, then all with their rejected completions; conversations are held out whole."""
    of_pool, of_samples, truncated = _completions(pool, samples, noise, vectors, seed, progress)
    pool_ND, asked_SD, cut = _embed_prompts(pool["prompt"], samples["prompt"], noise, vectors, seed, progress)
    sides = [
        EmbeddedCompletions(
            [opening(prompt) for prompt in side.prompts],
            # The completion alone would be one text under all of its prompts.
            [f"{prompt}\n\n{text}" for prompt, text in zip(side.prompts, side.texts, strict=True)],
            np.column_stack([asked_ND, side.vectors_ND, np.log1p([len(text) for text in side.texts])]),
        )
        for side, asked_ND in ((of_pool, np.concatenate([pool_ND, pool_ND])), (of_samples, asked_SD))
    ]
    return sides[0], sides[1], {**truncated, "prompts": cut}


def _embed_prompts(
    pool: Sequence[str], asked: Sequence[str], noise: float, vectors: VectorCache, seed: int, progress: Progress
) -> tuple[Vectors, Vectors, int]:
    """Vectors of the pool's and of the samples' prompts, and how many of the different ones exceed the window."""
    vectors.get(sorted(set(pool)), progress)
    every = [*pool, *asked]
    embedded_D = vectors.get(every, progress)
    if noise:
        embedded_D = with_noise(embedded_D, every, noise, seed)
    return embedded_D[: len(pool)], embedded_D[len(pool) :], vectors.count_truncated(sorted(set(every)))


def _take(columns: TextColumns, rows: Sequence[int]) -> dict[str, list[str]]:
    """These rows of all columns."""
    return {name: [values[row] for row in rows] for name, values in columns.items()}


def _embed(
    pairs: TextColumns, samples: TextColumns, noise: float, vectors: VectorCache, seed: int, progress: Progress
) -> tuple[tuple[Vectors, Vectors, Vectors], dict[str, int]]:
    """Vectors of chosen, rejected and samples, with `noise` added; and how many texts exceed the embedder's window."""
    embed_pool(pairs["chosen"], pairs["rejected"], vectors, progress)
    texts = {"chosen": pairs["chosen"], "rejected": pairs["rejected"], "samples": samples["completion"]}
    every = [text for side in texts.values() for text in side]
    embedded_D = vectors.get(every, progress)
    if noise:
        embedded_D = with_noise(embedded_D, every, noise, seed)
    count = len(pairs["chosen"])
    chosen_ND, rejected_ND, samples_SD = np.split(embedded_D, [count, 2 * count])
    truncated = {side: vectors.count_truncated(side_texts) for side, side_texts in texts.items()}
    return (chosen_ND, rejected_ND, samples_SD), truncated


def embed_pool(
    chosen: Sequence[str], rejected: Sequence[str], vectors: VectorCache, progress: Progress = SILENT
) -> None:
    """Embed a pool's completions into the cache, without other texts and in a fixed order.

    Texts that are embedded together are padded together, which changes the last bits of their vectors. In a fixed
    grouping, the pool gets the same vectors whether it is embedded in advance or by a selection.
    """
    vectors.get(sorted({text.strip() for text in (*chosen, *rejected)}), progress)


def _comparable(
    prompts: Sequence[str], sample_prompts: Sequence[str], samples: Sequence[str], match: str
) -> tuple[list[int], list[int]]:
    """Rows of the pool, and indices of the samples, that are compared: those on a common prompt, or all with text."""
    written = [s for s, sample in enumerate(samples) if sample]
    if not written:
        raise SelectionError(f"There is no policy sample with text to compare with ({len(samples)} given).")
    if match == "nearest":
        return list(range(len(prompts))), written
    sampled, in_pool = {sample_prompts[s] for s in written}, set(prompts)
    pairs = [n for n, prompt in enumerate(prompts) if prompt in sampled]
    if not pairs:
        raise SelectionError(
            f"None of the {len(written)} policy samples has a prompt of the pool. Sample completions of "
            "its own prompts, or set match: nearest (--match nearest) to compare each pair with its nearest sample."
        )
    return pairs, [s for s in written if sample_prompts[s] in in_pool]
