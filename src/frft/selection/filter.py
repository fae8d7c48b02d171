"""Select the pairs of a pool that lie where the policy writes (FRFT's filter, METHOD section 1).

    embed completions -> cosine with the policy's samples -> rank -> keep the first size + test_size -> split
                      or log density ratio, policy / pool         or draw them by weight

Without test pairs (`test_size`, 0 by default) there is no split: all of the first `size` pairs are trained on.

Departures from the authors' code: both copies of a pair that part2 keeps twice fall on the same side of the split
(theirs could train on a pair and test on it); where fewer pairs qualify than are wanted, they are split in the same
proportion.

The score of a pair by density or policy_ratio is the sum, not the mean, of its two completions' log ratios: the log
ratio of the pair if its completions are independent given the prompt. The order is the same, and the importance weight
exp(tau * score) is then the pair's density ratio at tau = 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from frft.config.sections import SelectionConfig
from frft.errors import SelectionError, UsageError
from frft.preferences import Pool
from frft.progress import SILENT, Progress
from frft.selection.controls import with_shuffled_labels
from frft.selection.evidence import RankingEvidence, compare_completions, tell_apart
from frft.selection.mixture import PromptClusters
from frft.selection.pair_space import pair_clusters
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
from frft.selection.sources import nearest_source
from frft.selection.thresholds import nothing_qualifies
from frft.selection.vectors import VectorCache
from frft.selection.weights import LogRatios, draw_rows, effective_sample_size, temper
from frft.statistics.numbers import Floats, Indices
from frft.strategies import Candidates, Strategy, get_strategy, strategy_origin
from frft.strategies.built_in import SOURCES


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
    start: tuple[Sequence[str], Sequence[str]] | None = None,
) -> Selection:
    """Select the `config.size` best pairs of the pool by `config.strategy`, best first in `Selection.train_ids`.

    With a `config.test_size`, size + test_size pairs are kept, and the test pairs are drawn at random from these.

    The result depends on the set of rows, not on their order. Completions are embedded, and prompts for strategies
    that read them; all are stripped of surrounding white space. A sample without text is counted and not compared. With
    `match: prompt`, only pairs and samples that share a prompt are embedded; for strategies that read no embeddings
    nothing is embedded, and similarities are null.

    With `clusters`, the ranked pairs are taken in the proportions that the samples' prompts have among clusters of
    prompts, which are embedded for it.

    Args:
        pool_table: the pool, as `load_pool` returns it; or a table with string columns id (unique), prompt, chosen,
            rejected, and the columns that the strategy needs (`config.columns`).
        sample_prompts: prompts of S samples of the policy.
        sample_completions: completions of the policy, S.
        config: the strategy and its settings.
        vectors: cache of embeddings.
        seed: seed of the split, of pairs drawn by weight, and of shuffled labels or embeddings.
        progress: receives the progress of embedding and comparing.
        log_ratios: log ratios of the policy and the SFT model, in the pool's order, for `policy_ratio`; None for every
            other strategy.
        start: prompts and completions of the policy before its training, for `near_source`; None: the samples are
            these.

    Raises:
        SelectionError: there are no pairs, no samples, or no usable ones; a column is missing; or no pair qualifies.
        UsageError: the strategy selects nothing (`none`); or log ratios are missing, or given for a strategy that does
            not read them.
    """
    strategy = get_strategy(config.strategy)
    pool_table = pool_table.table if isinstance(pool_table, Pool) else pool_table
    ids = _checked_ids(pool_table, sample_prompts, sample_completions)
    _check_log_ratios(strategy, log_ratios, len(ids))
    _check_columns(pool_table, config)
    if config.shuffle_labels:
        pool_table = with_shuffled_labels(pool_table, seed)
    # Strategies break ties by position, so from here on row n is the row with the n-th smallest id.
    by_id = sorted(range(len(ids)), key=ids.__getitem__)
    pool = {name: _texts(pool_table[name].to_pylist(), by_id) for name in ("prompt", "chosen", "rejected")}
    samples = {"prompt": _texts(sample_prompts), "completion": _texts(sample_completions)}
    evidence = RankingEvidence(np.full((3, len(ids)), np.nan))
    if log_ratios is not None:
        evidence.values_3N[2] = (log_ratios.chosen_N + log_ratios.rejected_N)[by_id]
    elif strategy.tells_apart:
        evidence = tell_apart(pool, samples, config, strategy.reads, vectors, seed, progress)
    elif strategy.reads == "cosines":
        evidence = compare_completions(pool, samples, config, vectors, seed, progress)
    columns = {name: pool_table[name].take(by_id).to_pylist() for name in config.columns}
    found = None
    if config.source_clusters is not None:
        clustered = pair_clusters(pool["chosen"], pool["rejected"], config.source_clusters, seed % 2**32)
        columns |= dict.fromkeys(SOURCES, clustered)
    if strategy.names_source:
        written = samples["completion"] if start is None else _texts(start[1])
        now = () if start is None else samples["completion"]
        found = nearest_source(
            [*pool["prompt"], *pool["prompt"]],
            [*pool["chosen"], *pool["rejected"]],
            [source for name in SOURCES for source in columns[name]],
            written,
            seed,
            now=now,
        )
    if config.shuffle_embeddings:
        evidence = evidence.dealt_out(np.random.default_rng([seed, 5]))
    chosen_N, rejected_N, log_ratios_N = evidence.values_3N
    candidates = Candidates(
        similarity_chosen=chosen_N,
        similarity_rejected=rejected_N,
        log_ratios=log_ratios_N,
        rng=np.random.default_rng([seed, 0]),
        columns=columns,
        source=config.source if found is None else found.name,
        column=config.column,
        value=config.value,
        threshold=config.threshold,
        duplicates=config.duplicates,
    )
    ranked = _ranked(strategy, candidates)
    wanted = len(ids) if strategy.takes_all else config.places
    if not len(ranked):
        raise SelectionError(nothing_qualifies(strategy, candidates, wanted))
    clusters = None
    if config.clusters is not None:
        asked = [prompt for prompt, text in zip(samples["prompt"], samples["completion"], strict=True) if text]
        if not asked:
            raise SelectionError(
                f"There is no policy sample with text ({len(sample_prompts)} given), so the policy's mixture of "
                "prompts is unknown. Give samples, or leave out clusters."
            )
        clusters = PromptClusters(pool["prompt"], asked, config.clusters, vectors, seed % 2**32, progress)
        ranked = clusters.in_proportion(ranked)
    taken, weights = ranked[:wanted], None
    if config.take == "sample":
        # Sorted, so that the draws do not depend on the order in which the strategy ranked.
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
        "embedder": vectors.embedder.digest if strategy.embeds or clusters is not None else None,
        "density": evidence.density,
        "weights": weights,
        "nearest_source": None if found is None else asdict(found),
        "mixture_distance": None if clusters is None else clusters.distance(taken),
        "counts": counts,
    }
    if origin := strategy_origin(strategy.name):
        metadata["strategy_origin"] = origin
    return Selection(table, metadata)


def select_nothing(pool_table: pa.Table, config: SelectionConfig, seed: int) -> Selection:
    """The selection of the strategy `none`: no pair is kept, since a refresh trains on fresh labels alone.

    Args:
        pool_table: the pool, as `select` takes it.
        config: settings whose strategy selects nothing.
        seed: recorded with it; nothing is drawn.

    Raises:
        SelectionError: the pool has no pairs, or no unique ids.
    """
    strategy = get_strategy(config.strategy)
    ids = _checked_ids(pool_table, [], [])
    nowhere = np.empty(0, dtype=np.intp)
    table = _table(ids, np.full((3, len(ids)), np.nan), nowhere, nowhere, strategy, config, seed)
    counts = {
        **dict.fromkeys(("samples", "samples_of_pool_prompts", "samples_empty", "qualifying", "wanted"), 0),
        "truncated": {},
        **table_counts(table),
    }
    return Selection(
        table,
        {
            "format": SELECTION_FORMAT,
            **config.model_dump(),
            "test_size": 0,
            "seed": seed,
            **dict.fromkeys(("embedder", "density", "weights", "nearest_source", "mixture_distance")),
            "counts": counts,
        },
    )


def _ranked(strategy: Strategy, candidates: Candidates) -> Indices:
    """The rows that the strategy ranks, best first; `SelectionError` if what it returned are not rows of the pool."""
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
    """The selection's table: for each row whether it is kept, in which split, at which rank, how often, and why."""
    copies_N = np.bincount(taken, minlength=len(ids))
    # A row taken twice has the rank of its first occurrence.
    _, first = np.unique(taken, return_index=True)
    kept = taken[np.sort(first)]
    rank_N = np.zeros(len(ids), dtype=np.int64)
    rank_N[kept] = np.arange(1, len(kept) + 1)
    split_N = np.full(len(ids), None, dtype=object)
    split_N[kept] = "train"
    split_N[_test_rows(kept, copies_N, config, np.random.default_rng([seed, 1]))] = "test"
    chosen_N, rejected_N, score_N = values_3N
    # From the weakest reason to the strongest: later lines overwrite earlier ones.
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
    """Texts without surrounding white space, at `rows` in that order; None: all of them."""
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


def _check_columns(pool_table: pa.Table, config: SelectionConfig) -> None:
    missing = [name for name in config.columns if name not in pool_table.column_names]
    if missing:
        raise SelectionError(
            f"The pool has no column {missing[0]!r}, which the strategy {config.strategy} reads. It has "
            f"{', '.join(pool_table.column_names)}."
        )


def _check_log_ratios(strategy: Strategy, log_ratios: LogRatios | None, pairs: int) -> None:
    name = strategy.name
    if not strategy.selects:
        raise UsageError(
            f"The strategy {name} selects no pairs: it leaves the reward model as it is. Choose another strategy."
        )
    if strategy.needs_models != (log_ratios is not None):
        raise UsageError(
            f"The strategy {name} ranks by log_ratios of the policy and the SFT model, and none are given: give them."
            if log_ratios is None
            else f"log_ratios are given, but the strategy {name} does not read them. Leave them out."
        )
    if log_ratios is not None and len(log_ratios.chosen_N) != pairs:
        raise SelectionError(
            f"There are log ratios of {len(log_ratios.chosen_N)} pairs, but {pairs} pairs in the pool."
        )


def _test_rows(
    kept: Indices, copies_N: npt.NDArray[np.intp], config: SelectionConfig, rng: np.random.Generator
) -> list[int]:
    """Draw test rows at random from the kept ones: `test_size` places, or the same share of fewer places taken."""
    taken, wanted = int(copies_N[kept].sum()), config.places
    places = config.test_places if taken >= wanted else round(taken * config.test_places / wanted)
    test = []
    # The last row always trains: a selection that leaves nothing to train on is none.
    for row in rng.permutation(kept)[:-1]:
        # All copies of a row go to one split; a row with more copies than places are left is skipped.
        if copies_N[row] <= places:
            places -= copies_N[row]
            test.append(int(row))
    return test
