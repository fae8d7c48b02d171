"""Select the pairs of a pool that lie where the policy writes (FRFT's filter, METHOD section 1).

    embed completions -> cosine with the policy's samples -> rank -> keep the first size + test_size -> split
                      or log density ratio, policy / pool         or draw them by weight

Departures from the authors' code: pairs that part2 keeps twice fall on one side of the split together (theirs
could train on a pair and test on it); where fewer pairs qualify than are wanted, what qualifies is split in
the same proportion.

The score of a pair by density or policy_ratio is the sum, not the mean, of its two completions' log ratios: the log
ratio of the pair, if its completions are independent given the prompt. The order is the same, and tau = 1 means this.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from frft.config.sections import SelectionConfig
from frft.config.sections.refresh import EMBEDDED
from frft.errors import SelectionError, UsageError
from frft.progress import SILENT, Progress
from frft.selection.controls import with_noise, with_shuffled_labels
from frft.selection.density import EmbeddedCompletions, density_ratios
from frft.selection.selection import (
    BELOW_CUT,
    BELOW_THRESHOLD,
    KEPT,
    NO_SAMPLE,
    NOT_DRAWN,
    OTHER_SOURCE,
    SCHEMA,
    SELECTION_FORMAT,
    Selection,
    table_counts,
)
from frft.selection.similarity import Vectors, match_nearest, match_prompt
from frft.selection.strategies import GATES, STRATEGIES, Candidates
from frft.selection.vectors import VectorCache
from frft.selection.weights import LogRatios, draw_rows, effective_sample_size, temper
from frft.statistics.numbers import Floats, Indices

_TextColumns = Mapping[str, Sequence[str]]
SOURCES = ("chosen_source", "rejected_source")
"""The columns that say who wrote the two completions of a pair."""
SOURCES_NAMED = 5
"""Sources that an error names, the most frequent first."""


@dataclass(frozen=True)
class _Evidence:
    """What is known of N pairs: two cosines and a log ratio, each NaN where it is not, shape (3, N)."""

    values_3N: Floats
    truncated: dict[str, int] = field(default_factory=lambda: {"chosen": 0, "rejected": 0, "samples": 0})
    density: dict[str, float] | None = None

    def dealt_out(self, rng: np.random.Generator) -> _Evidence:
        """The same, dealt out at random to the pairs of which something is known."""
        known = np.flatnonzero(~np.isnan(self.values_3N).all(axis=0))
        values_3N = self.values_3N.copy()
        values_3N[:, known] = self.values_3N[:, rng.permutation(known)]
        return replace(self, values_3N=values_3N)


def select(
    pool_table: pa.Table,
    sample_prompts: Sequence[str],
    sample_completions: Sequence[str],
    config: SelectionConfig,
    vectors: VectorCache,
    seed: int,
    progress: Progress = SILENT,
    *,
    log_ratios: LogRatios | None = None,
) -> Selection:
    """Keep `config.size + config.test_size` pairs of the pool by `config.strategy`.

    The result depends on the set of rows, not on their order. Completions alone are embedded, and prompts are
    compared, both without surrounding white space. A sample without text is counted and not compared. With
    `match: prompt`, only pairs and samples that share a prompt are embedded; for strategies that look at no
    embeddings nothing is, and their similarities are null.

    Args:
        pool_table: the pool, with string columns id (unique), prompt, chosen, rejected; for the strategy `source`
            also chosen_source and rejected_source.
        sample_prompts: prompts of S samples of the policy.
        sample_completions: what the policy wrote, one for each.
        config: the filter.
        vectors: where vectors come from.
        seed: decides the split, what is drawn, and what is shuffled.
        progress: told of embedding and comparing.
        log_ratios: what `policy_ratio`, and nothing else, ranks by; in the pool's order.

    Raises:
        SelectionError: no pairs, no samples, none of them usable, or no pair that qualifies.
        UsageError: the strategy is `none`, or the log ratios are missing, or there without need.
    """
    ids = _checked_ids(pool_table, sample_prompts, sample_completions)
    _check_log_ratios(config, log_ratios, len(ids))
    if config.shuffle_labels:
        pool_table = with_shuffled_labels(pool_table, seed)
    # Strategies break ties by position, so from here on row n is the row with the n-th smallest id.
    by_id = sorted(range(len(ids)), key=ids.__getitem__)
    pool = {name: _texts(pool_table[name].to_pylist(), by_id) for name in ("prompt", "chosen", "rejected")}
    samples = {"prompt": _texts(sample_prompts), "completion": _texts(sample_completions)}
    evidence = _Evidence(np.full((3, len(ids)), np.nan))
    if log_ratios is not None:
        evidence.values_3N[2] = (log_ratios.chosen_N + log_ratios.rejected_N)[by_id]
    elif config.strategy == "density":
        evidence = _tell_apart(pool, samples, config, vectors, seed, progress)
    elif config.strategy in EMBEDDED:
        evidence = _compare(pool, samples, config, vectors, seed, progress)
    if config.shuffle_embeddings:
        evidence = evidence.dealt_out(np.random.default_rng([seed, 5]))
    chosen_N, rejected_N, log_ratios_N = evidence.values_3N
    chance = np.random.default_rng([seed, 0])
    candidates = Candidates(chosen_N, rejected_N, config.threshold, config.duplicates, chance, log_ratios_N)
    if config.strategy == "source":
        candidates = replace(candidates, from_source=_from_source(pool_table, config.source)[by_id])
    ranked = STRATEGIES[config.strategy](candidates)
    wanted = len(ids) if config.strategy == "all" else config.size + config.test_size
    if not len(ranked):
        raise SelectionError(_nothing_qualifies(config, candidates, wanted))
    taken, weights = ranked[:wanted], None
    if config.take == "sample":
        tau = temper(log_ratios_N, config.size)
        taken = draw_rows(tau * log_ratios_N, wanted, chance)
        weights = {"tau": tau, "effective_sample_size": effective_sample_size(tau * log_ratios_N)}
    in_id_order = _table([ids[row] for row in by_id], evidence.values_3N, ranked, taken, config, seed)
    table = in_id_order.take(np.argsort(by_id))
    known_prompts = set(pool["prompt"])
    counts = {
        "samples": len(sample_prompts),
        "samples_of_pool_prompts": sum(prompt in known_prompts for prompt in samples["prompt"]),
        "samples_empty": sum(not completion for completion in samples["completion"]),
        "truncated": evidence.truncated,
        "qualifying": len(np.unique(ranked)),
        "wanted": wanted,
        **table_counts(table),
    }
    metadata = {
        "format": SELECTION_FORMAT,
        **config.model_dump(),
        "seed": seed,
        "embedder": vectors.embedder.digest if config.strategy in EMBEDDED else None,
        "density": evidence.density,
        "weights": weights,
        "counts": counts,
    }
    return Selection(table, metadata)


def _compare(
    pool: _TextColumns,
    samples: _TextColumns,
    config: SelectionConfig,
    vectors: VectorCache,
    seed: int,
    progress: Progress,
) -> _Evidence:
    """Cosines of chosen and rejected with the samples."""
    pairs, used = _comparable(pool["prompt"], samples["prompt"], samples["completion"], config.match)
    texts = {
        "chosen": [pool["chosen"][row] for row in pairs],
        "rejected": [pool["rejected"][row] for row in pairs],
        "samples": [samples["completion"][sample] for sample in used],
    }
    chosen_ND, rejected_ND, samples_SD = _embed(texts, config.noise, vectors, seed, progress)
    values_3N = np.full((3, len(pool["prompt"])), np.nan)
    if config.match == "nearest":
        values_3N[:2, pairs] = match_nearest(chosen_ND, rejected_ND, samples_SD, progress=progress)
    else:
        pair_prompts = [pool["prompt"][row] for row in pairs]
        used_prompts = [samples["prompt"][sample] for sample in used]
        values_3N[:2, pairs] = match_prompt(pair_prompts, chosen_ND, rejected_ND, used_prompts, samples_SD)
    return _Evidence(values_3N, {name: vectors.count_truncated(group) for name, group in texts.items()})


def _tell_apart(
    pool: _TextColumns,
    samples: _TextColumns,
    config: SelectionConfig,
    vectors: VectorCache,
    seed: int,
    progress: Progress,
) -> _Evidence:
    """Log density ratios of the pairs, the policy's samples to the pool's completions, whatever their prompts."""
    used = [s for s, sample in enumerate(samples["completion"]) if sample]
    texts = {
        "chosen": pool["chosen"],
        "rejected": pool["rejected"],
        "samples": [samples["completion"][sample] for sample in used],
    }
    chosen_ND, rejected_ND, samples_SD = _embed(texts, config.noise, vectors, seed, progress)
    try:
        ratios = density_ratios(
            EmbeddedCompletions(
                [*pool["prompt"], *pool["prompt"]],
                [*pool["chosen"], *pool["rejected"]],
                np.concatenate([chosen_ND, rejected_ND]),
            ),
            EmbeddedCompletions([samples["prompt"][sample] for sample in used], texts["samples"], samples_SD),
            seed,
            progress,
        )
    except SelectionError as error:
        raise SelectionError(f"{error} Or select by another strategy than density.") from None
    values_3N = np.full((3, len(chosen_ND)), np.nan)
    values_3N[2] = ratios.log_ratios_N.reshape(2, -1).sum(axis=0)
    truncated = {name: vectors.count_truncated(group) for name, group in texts.items()}
    density = {"auc": ratios.auc, "log_loss": ratios.log_loss, "strength": ratios.strength}
    return _Evidence(values_3N, truncated, density)


def _embed(
    texts: _TextColumns, noise: float, vectors: VectorCache, seed: int, progress: Progress
) -> tuple[Vectors, Vectors, Vectors]:
    """Vectors of the pairs' chosen and rejected and of the samples, noisy where that is asked for."""
    embed_pool(texts["chosen"], texts["rejected"], vectors, progress)
    every = [*texts["chosen"], *texts["rejected"], *texts["samples"]]
    embedded_D = vectors.get(every, progress)
    if noise:
        embedded_D = with_noise(embedded_D, every, noise, seed)
    pairs = len(texts["chosen"])
    chosen_ND, rejected_ND, samples_SD = np.split(embedded_D, [pairs, 2 * pairs])
    return chosen_ND, rejected_ND, samples_SD


def embed_pool(
    chosen: Sequence[str], rejected: Sequence[str], vectors: VectorCache, progress: Progress = SILENT
) -> None:
    """Have the vectors of a pool's completions in the cache, by themselves and in one order.

    What is embedded together is padded together, and that moves the last bits of vectors: whoever embeds the pool,
    first or in a selection, is to find the same.
    """
    vectors.get(sorted({text.strip() for text in (*chosen, *rejected)}), progress)


def _from_source(pool_table: pa.Table, source: str | None) -> npt.NDArray[np.bool_]:
    """Which of N pairs have both completions from `source`.

    Raises:
        SelectionError: the pool does not say where its completions come from, or none comes from there.
    """
    missing = [name for name in SOURCES if name not in pool_table.column_names]
    if missing:
        raise SelectionError(
            f"The pool has no column {missing[0]!r} to select by source. It has {', '.join(pool_table.column_names)}."
        )
    sources = list(zip(*(pool_table[name].to_pylist() for name in SOURCES), strict=True))
    both = [None if one != two or one is None else str(one) for one, two in sources]
    from_source_N = np.array([name == source for name in both], dtype=bool)
    if not from_source_N.any():
        there_are = Counter(name for name in both if name is not None).most_common(SOURCES_NAMED)
        named = ", ".join(f"{name!r} ({count} pairs)" for name, count in there_are) or "no source at all"
        raise SelectionError(f"No pair has both completions from {source!r}. The pool has both from {named}.")
    return from_source_N


def _table(
    ids: Sequence[str], values_3N: Floats, ranked: Indices, taken: Indices, config: SelectionConfig, seed: int
) -> pa.Table:
    """The selection's rows: keep what is taken of what is ranked, split it, and say why of every row."""
    copies_N = np.bincount(taken, minlength=len(ids))
    _, first = np.unique(taken, return_index=True)
    kept = taken[np.sort(first)]
    rank_N = np.zeros(len(ids), dtype=np.int64)
    rank_N[kept] = np.arange(1, len(kept) + 1)
    split_N = np.full(len(ids), None, dtype=object)
    split_N[kept] = "train"
    split_N[_test_rows(kept, copies_N, config, np.random.default_rng([seed, 1]))] = "test"
    chosen_N, rejected_N, score_N = values_3N
    reason_N = np.full(len(ids), BELOW_THRESHOLD, dtype=object)
    reason_N[np.isnan(chosen_N)] = OTHER_SOURCE if config.strategy == "source" else NO_SAMPLE
    reason_N[ranked] = NOT_DRAWN if config.take == "sample" else BELOW_CUT
    reason_N[kept] = KEPT
    return pa.table(
        {
            "id": ids,
            "similarity_chosen": pa.array(chosen_N, mask=np.isnan(chosen_N)),
            "similarity_rejected": pa.array(rejected_N, mask=np.isnan(rejected_N)),
            "score": pa.array(score_N, mask=np.isnan(score_N)),
            "kept": rank_N > 0,
            "split": split_N,
            "rank": pa.array(rank_N, mask=rank_N == 0),
            "copies": copies_N,
            "reason": reason_N,
        },
        schema=SCHEMA,
    )


def _texts(texts: Sequence[Any], rows: Sequence[int] | None = None) -> list[str]:
    """These texts (those of `rows`, in that order) without surrounding white space."""
    return [texts[row].strip() for row in (range(len(texts)) if rows is None else rows)]


def _checked_ids(pool_table: pa.Table, sample_prompts: Sequence[str], sample_completions: Sequence[str]) -> list[str]:
    if len(sample_prompts) != len(sample_completions):
        raise SelectionError(
            f"There are {len(sample_prompts)} sample prompts but {len(sample_completions)} completions."
        )
    if not pool_table.num_rows:
        raise SelectionError("The pool holds no pairs to select from.")
    for name in ("id", "prompt", "chosen", "rejected"):
        if name not in pool_table.column_names or pool_table[name].null_count:
            raise SelectionError(f"The pool must have a column {name!r} without nulls.")
    ids = [str(id_) for id_ in pool_table["id"].to_pylist()]
    if len(set(ids)) < len(ids):
        raise SelectionError(f"The ids of the pool must be unique; {len(ids) - len(set(ids))} are repeated.")
    return ids


def _check_log_ratios(config: SelectionConfig, log_ratios: LogRatios | None, pairs: int) -> None:
    if config.strategy == "none":
        raise UsageError("The strategy none selects no pairs: the reward model stays as it is. There is nothing to do.")
    if (config.strategy == "policy_ratio") != (log_ratios is not None):
        raise UsageError(
            "The strategy policy_ratio ranks by log_ratios, which take the policy and the SFT model: give them."
            if log_ratios is None
            else f"log_ratios are given, but the strategy {config.strategy} does not look at them."
        )
    if log_ratios is not None and len(log_ratios.chosen_N) != pairs:
        raise SelectionError(
            f"There are log ratios of {len(log_ratios.chosen_N)} pairs, but {pairs} pairs in the pool."
        )


def _comparable(
    prompts: Sequence[str], sample_prompts: Sequence[str], samples: Sequence[str], match: str
) -> tuple[list[int], list[int]]:
    """The rows of the pool, and the samples, that have something to be compared with."""
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


def _test_rows(
    kept: Indices, copies_N: npt.NDArray[np.intp], config: SelectionConfig, rng: np.random.Generator
) -> list[int]:
    """Draw the test rows from the kept: `test_size` places, or its share of what there is if that is less."""
    taken, wanted = int(copies_N[kept].sum()), config.size + config.test_size
    places = config.test_size if taken >= wanted else round(taken * config.test_size / wanted)
    test = []
    # The last row always trains: a selection that leaves nothing to train on is none.
    for row in rng.permutation(kept)[:-1]:
        if copies_N[row] <= places:
            places -= copies_N[row]
            test.append(int(row))
    return test


def sufficient_threshold(strategy: str, chosen_N: Floats, rejected_N: Floats, wanted: int) -> tuple[float, int]:
    """A threshold, to four places, with which `wanted` pairs qualify for part1 or either, and how many at least do.

    Args:
        strategy: one of the two.
        chosen_N, rejected_N: cosines of N pairs; NaN: no sample, so no threshold lets the pair in.
        wanted: pairs; where fewer have cosines, the threshold is for all of them.
    """
    value_N = GATES[strategy](chosen_N, rejected_N)
    values = np.sort(value_N[~np.isnan(value_N)])
    pairs = min(wanted, len(values))
    # Rounded down to four places and strictly below, since part1 wants the threshold exceeded.
    return max((np.ceil(values[-pairs] * 1e4) - 1) / 1e4, -1.0), pairs


def _nothing_qualifies(config: SelectionConfig, candidates: Candidates, wanted: int) -> str:
    cosines = candidates.similarity_chosen, candidates.similarity_rejected
    value_N: Floats = GATES[config.strategy](*cosines)
    values = value_N[~np.isnan(value_N)]
    least, median, high, most = np.quantile(values, [0, 0.5, 0.9, 1])
    enough, enough_for = sufficient_threshold(config.strategy, *cosines, wanted)
    which, relation = ("smaller", "exceeds") if config.strategy == "part1" else ("larger", "reaches")
    return (
        f"No pair qualifies for {config.strategy}: the {which} of its two cosines {relation} "
        f"{config.threshold} in none of the {len(values)} pairs with a sample. It lies between {least:.4f} "
        f"and {most:.4f}; median {median:.4f}, 90 % below {high:.4f}. With a threshold of {enough:.4f} at "
        f"least {enough_for} pairs qualify ({wanted} are wanted)."
    )
