"""Select the pairs of a pool that lie where the policy writes (FRFT's filter, METHOD section 1).

    embed completions -> cosine with the policy's samples -> rank -> keep the first size + test_size -> split
                      or log density ratio, policy / pool         or draw them by weight

Without test pairs (`test_size`, 0 unless it is asked for) nothing is split: the first `size` are all trained on.

Departures from the authors' code: pairs that part2 keeps twice fall on one side of the split together (theirs
could train on a pair and test on it); where fewer pairs qualify than are wanted, what qualifies is split in
the same proportion.

The score of a pair by density or policy_ratio is the sum, not the mean, of its two completions' log ratios: the log
ratio of the pair, if its completions are independent given the prompt. The order is the same, and tau = 1 means this.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from frft.config.sections import SelectionConfig
from frft.errors import SelectionError, UsageError
from frft.preferences import Pool
from frft.progress import SILENT, Progress
from frft.selection.controls import with_noise, with_shuffled_labels
from frft.selection.density import EmbeddedCompletions, density_ratios
from frft.selection.selection import (
    BELOW_CUT,
    KEPT,
    NO_SAMPLE,
    NOT_DRAWN,
    SCHEMA,
    SELECTION_FORMAT,
    Selection,
    table_counts,
)
from frft.selection.similarity import Vectors, match_nearest, match_prompt
from frft.selection.thresholds import nothing_qualifies
from frft.selection.vectors import VectorCache
from frft.selection.weights import LogRatios, draw_rows, effective_sample_size, temper
from frft.statistics.numbers import Floats, Indices
from frft.strategies import Candidates, Strategy, get_strategy, strategy_origin

_TextColumns = Mapping[str, Sequence[str]]


@dataclass(frozen=True)
class _Evidence:
    """What is known of N pairs: two cosines and a log ratio, each NaN where it is not, shape (3, N)."""

    values_3N: Floats
    truncated: dict[str, int] = field(default_factory=lambda: {"chosen": 0, "rejected": 0, "samples": 0})
    density: dict[str, float] | None = None

    def dealt_out(self, rng: np.random.Generator) -> _Evidence:
        """The same evidence, permuted at random among the pairs that have any: a control."""
        known = np.flatnonzero(~np.isnan(self.values_3N).all(axis=0))
        values_3N = self.values_3N.copy()
        values_3N[:, known] = self.values_3N[:, rng.permutation(known)]
        return replace(self, values_3N=values_3N)


def select(
    pool_table: pa.Table | Pool,
    sample_prompts: Sequence[str],
    sample_completions: Sequence[str],
    config: SelectionConfig,
    vectors: VectorCache,
    seed: int,
    progress: Progress = SILENT,
    *,
    log_ratios: LogRatios | None = None,
) -> Selection:
    """Keep the `config.size` best pairs of the pool by `config.strategy`, best first in `Selection.train_ids`.

    With a `config.test_size`, so many more are kept, and the test pairs are drawn at random from all that are.

    The result depends on the set of rows, not on their order. Completions alone are embedded, and prompts are
    compared, both without surrounding white space. A sample without text is counted and not compared. With
    `match: prompt`, only pairs and samples that share a prompt are embedded; for strategies that look at no
    embeddings nothing is, and their similarities are null.

    Args:
        pool_table: the pool, as `load_pool` returns it; or a table with string columns id (unique), prompt, chosen,
            rejected, and the columns that the strategy needs (`source`: chosen_source and rejected_source).
        sample_prompts: prompts of S samples of the policy.
        sample_completions: what the policy wrote, one for each.
        config: the filter.
        vectors: where vectors come from.
        seed: decides the split, what is drawn, and what is shuffled.
        progress: told of embedding and comparing.
        log_ratios: what `policy_ratio`, and nothing else, ranks by; in the pool's order.

    Raises:
        SelectionError: no pairs, no samples, none of them usable, a column is missing, or no pair qualifies.
        UsageError: the strategy selects nothing (`none`), or the log ratios are missing, or there without need.
    """
    strategy = get_strategy(config.strategy)
    pool_table = pool_table.table if isinstance(pool_table, Pool) else pool_table
    ids = _checked_ids(pool_table, sample_prompts, sample_completions)
    _check_log_ratios(strategy, log_ratios, len(ids))
    _check_columns(pool_table, strategy)
    if config.shuffle_labels:
        pool_table = with_shuffled_labels(pool_table, seed)
    # Strategies break ties by position, so from here on row n is the row with the n-th smallest id.
    by_id = sorted(range(len(ids)), key=ids.__getitem__)
    pool = {name: _texts(pool_table[name].to_pylist(), by_id) for name in ("prompt", "chosen", "rejected")}
    samples = {"prompt": _texts(sample_prompts), "completion": _texts(sample_completions)}
    evidence = _Evidence(np.full((3, len(ids)), np.nan))
    if log_ratios is not None:
        evidence.values_3N[2] = (log_ratios.chosen_N + log_ratios.rejected_N)[by_id]
    elif strategy.reads == "density ratio":
        evidence = _tell_apart(pool, samples, config, vectors, seed, progress)
    elif strategy.reads == "cosines":
        evidence = _compare(pool, samples, config, vectors, seed, progress)
    if config.shuffle_embeddings:
        evidence = evidence.dealt_out(np.random.default_rng([seed, 5]))
    chosen_N, rejected_N, log_ratios_N = evidence.values_3N
    candidates = Candidates(
        similarity_chosen=chosen_N,
        similarity_rejected=rejected_N,
        log_ratios=log_ratios_N,
        rng=np.random.default_rng([seed, 0]),
        columns={name: pool_table[name].take(by_id).to_pylist() for name in strategy.columns},
        source=config.source,
        threshold=config.threshold,
        duplicates=config.duplicates,
    )
    ranked = _ranked(strategy, candidates)
    wanted = len(ids) if strategy.takes_all else config.places
    if not len(ranked):
        raise SelectionError(nothing_qualifies(strategy, candidates, wanted))
    taken, weights = ranked[:wanted], None
    if config.take == "sample":
        # By id, so that the draws do not depend on how the strategy ranked.
        rows = np.unique(ranked)
        tau = temper(log_ratios_N[rows], config.size)
        taken = rows[draw_rows(tau * log_ratios_N[rows], wanted, candidates.rng)]
        weights = {"tau": tau, "effective_sample_size": effective_sample_size(tau * log_ratios_N[rows])}
    in_id_order = _table([ids[row] for row in by_id], evidence.values_3N, ranked, taken, strategy, config, seed)
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
        "test_size": config.test_size or 0,
        "seed": seed,
        "embedder": vectors.embedder.digest if strategy.embeds else None,
        "density": evidence.density,
        "weights": weights,
        "counts": counts,
    }
    if origin := strategy_origin(strategy.name):
        metadata["strategy_origin"] = origin
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
    """Log density ratios of the pairs, p(policy's samples) / p(pool's completions), across prompts."""
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
        raise SelectionError(f"{error} Or select by another strategy than {config.strategy}.") from None
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
    """Embed a pool's completions into the cache, without other texts and in a fixed order.

    What is embedded together is padded together, and that moves the last bits of vectors: whoever embeds the pool,
    first or in a selection, is to find the same.
    """
    vectors.get(sorted({text.strip() for text in (*chosen, *rejected)}), progress)


def _ranked(strategy: Strategy, candidates: Candidates) -> Indices:
    """The rows that qualify, best first; whatever a strategy returns, they are rows of the pool.

    Raises:
        SelectionError: they are not.
    """
    assert strategy.rank is not None
    ranked = np.asarray(strategy.rank(candidates))
    if ranked.ndim == 1 and not ranked.size:
        return np.empty(0, dtype=np.intp)
    is_rows = ranked.ndim == 1 and np.issubdtype(ranked.dtype, np.integer)
    if not is_rows or ranked.min() < 0 or ranked.max() >= len(candidates):
        raise SelectionError(
            f"The strategy {strategy.name} must rank rows of the pool, numbers from 0 to {len(candidates) - 1} in one "
            f"dimension, but returned {ranked.dtype} of shape {ranked.shape}"
            + (f" from {ranked.min()} to {ranked.max()}." if is_rows else ".")
        )
    return ranked.astype(np.intp)


def _table(
    ids: Sequence[str],
    values_3N: Floats,
    ranked: Indices,
    taken: Indices,
    strategy: Strategy,
    config: SelectionConfig,
    seed: int,
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
    reason_N = np.full(len(ids), strategy.unqualified, dtype=object)
    if strategy.reads == "cosines":
        reason_N[np.isnan(chosen_N)] = NO_SAMPLE
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


def _check_columns(pool_table: pa.Table, strategy: Strategy) -> None:
    missing = [name for name in strategy.columns if name not in pool_table.column_names]
    if missing:
        raise SelectionError(
            f"The pool has no column {missing[0]!r}, which the strategy {strategy.name} reads. It has "
            f"{', '.join(pool_table.column_names)}."
        )


def _check_log_ratios(strategy: Strategy, log_ratios: LogRatios | None, pairs: int) -> None:
    name = strategy.name
    if not strategy.selects:
        raise UsageError(
            f"The strategy {name} selects no pairs: the reward model stays as it is. There is nothing to do."
        )
    if strategy.needs_models != (log_ratios is not None):
        raise UsageError(
            f"The strategy {name} ranks by log_ratios, which take the policy and the SFT model: give them."
            if log_ratios is None
            else f"log_ratios are given, but the strategy {name} does not look at them."
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
    taken, wanted = int(copies_N[kept].sum()), config.places
    places = config.test_places if taken >= wanted else round(taken * config.test_places / wanted)
    test = []
    # The last row always trains: a selection that leaves nothing to train on is none.
    for row in rng.permutation(kept)[:-1]:
        if copies_N[row] <= places:
            places -= copies_N[row]
            test.append(int(row))
    return test
