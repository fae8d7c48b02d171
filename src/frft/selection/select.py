"""Select the pairs of a pool that lie where the policy writes (FRFT's filter, METHOD section 1).

    embed completions -> cosine with the policy's samples -> rank -> keep the first size + test_size -> split

Departures from the authors' code: pairs that part2 keeps twice fall on one side of the split together (theirs
could train on a pair and test on it); where fewer pairs qualify than are wanted, what qualifies is split in
the same proportion.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from frft.config.sections import SelectionConfig
from frft.errors import SelectionError
from frft.progress import SILENT, Progress
from frft.selection.selection import (
    BELOW_CUT,
    BELOW_THRESHOLD,
    FORMAT,
    KEPT,
    NO_SAMPLE,
    SCHEMA,
    Selection,
    table_counts,
)
from frft.selection.similarity import Floats, Rows, match_nearest, match_prompt
from frft.selection.strategies import GATES, STRATEGIES, WITHOUT_SIMILARITIES, Candidates
from frft.selection.vectors import VectorCache

Texts = Mapping[str, Sequence[str]]


def select(
    pool_table: pa.Table,
    sample_prompts: Sequence[str],
    sample_completions: Sequence[str],
    config: SelectionConfig,
    vectors: VectorCache,
    seed: int,
    progress: Progress = SILENT,
) -> Selection:
    """Keep `config.size + config.test_size` pairs of the pool by `config.strategy`.

    The result depends on the set of rows, not on their order. Completions alone are embedded, and prompts are
    compared, both without surrounding white space. A sample without text is counted and not compared. With
    `match: prompt`, only pairs and samples that share a prompt are embedded; for the strategies `random` and
    `all` nothing is, and their similarities are null.

    Args:
        pool_table: the pool, with string columns id (unique), prompt, chosen, rejected.
        sample_prompts: prompts of S samples of the policy.
        sample_completions: what the policy wrote, one for each.
        config: the filter.
        vectors: where vectors come from.
        seed: decides the split, and what `random` draws.
        progress: told of embedding and comparing.

    Raises:
        SelectionError: no pairs, no samples, none of them usable, or no pair that qualifies.
    """
    ids = _checked_ids(pool_table, sample_prompts, sample_completions)
    # Strategies break ties by position, so from here on row n is the row with the n-th smallest id.
    by_id = sorted(range(len(ids)), key=ids.__getitem__)
    pool = {name: _texts(pool_table[name].to_pylist(), by_id) for name in ("prompt", "chosen", "rejected")}
    samples = {"prompt": _texts(sample_prompts), "completion": _texts(sample_completions)}
    blind = config.strategy in WITHOUT_SIMILARITIES
    if blind:
        similarities_2N, truncated = (
            np.full((2, len(ids)), np.nan),
            {"chosen": 0, "rejected": 0, "samples": 0},
        )
    else:
        similarities_2N, truncated = _compare(pool, samples, config.match, vectors, progress)
    chance = np.random.default_rng([seed, 0])
    candidates = Candidates(similarities_2N[0], similarities_2N[1], config.threshold, config.duplicates, chance)
    ranked = STRATEGIES[config.strategy](candidates)
    wanted = len(ids) if config.strategy == "all" else config.size + config.test_size
    if not len(ranked):
        raise SelectionError(_nothing_qualifies(config, candidates, wanted))
    in_id_order = _table([ids[row] for row in by_id], similarities_2N, ranked, wanted, config, seed)
    table = in_id_order.take(np.argsort(by_id))
    known_prompts = set(pool["prompt"])
    counts = {
        "samples": len(sample_prompts),
        "samples_of_pool_prompts": sum(prompt in known_prompts for prompt in samples["prompt"]),
        "samples_empty": sum(not completion for completion in samples["completion"]),
        "truncated": truncated,
        "qualifying": len(np.unique(ranked)),
        "wanted": wanted,
        **table_counts(table),
    }
    embedder = None if blind else vectors.embedder.digest
    metadata = {"format": FORMAT, **config.model_dump(), "seed": seed, "embedder": embedder, "counts": counts}
    return Selection(table, metadata)


def _compare(
    pool: Texts, samples: Texts, match: str, vectors: VectorCache, progress: Progress
) -> tuple[Floats, dict[str, int]]:
    """Cosines of chosen and rejected with the samples, shape (2, N), NaN: no sample; truncated texts."""
    pairs, used = _comparable(pool["prompt"], samples["prompt"], samples["completion"], match)
    texts = {
        "chosen": [pool["chosen"][row] for row in pairs],
        "rejected": [pool["rejected"][row] for row in pairs],
        "samples": [samples["completion"][sample] for sample in used],
    }
    embedded_D = vectors.get([text for group in texts.values() for text in group], progress)
    chosen_ND, rejected_ND, samples_SD = np.split(embedded_D, [len(pairs), 2 * len(pairs)])
    similarities_2N = np.full((2, len(pool["prompt"])), np.nan)
    if match == "nearest":
        similarities_2N[:, pairs] = match_nearest(chosen_ND, rejected_ND, samples_SD, progress=progress)
    else:
        pair_prompts = [pool["prompt"][row] for row in pairs]
        used_prompts = [samples["prompt"][sample] for sample in used]
        similarities_2N[:, pairs] = match_prompt(pair_prompts, chosen_ND, rejected_ND, used_prompts, samples_SD)
    return similarities_2N, {name: vectors.count_truncated(group) for name, group in texts.items()}


def _table(
    ids: Sequence[str],
    similarities_2N: Floats,
    ranked: Rows,
    wanted: int,
    config: SelectionConfig,
    seed: int,
) -> pa.Table:
    """The selection's rows: keep the first `wanted` of `ranked`, split them, and say why of every row."""
    taken = ranked[:wanted]
    copies_N = np.bincount(taken, minlength=len(ids))
    _, first = np.unique(taken, return_index=True)
    kept = taken[np.sort(first)]
    rank_N = np.zeros(len(ids), dtype=np.int64)
    rank_N[kept] = np.arange(1, len(kept) + 1)
    split_N = np.full(len(ids), None, dtype=object)
    split_N[kept] = "train"
    split_N[_test_rows(kept, copies_N, config, np.random.default_rng([seed, 1]))] = "test"
    reason_N = np.full(len(ids), BELOW_THRESHOLD, dtype=object)
    reason_N[np.isnan(similarities_2N[0])] = NO_SAMPLE
    reason_N[ranked] = BELOW_CUT
    reason_N[kept] = KEPT
    chosen_N, rejected_N = similarities_2N
    return pa.table(
        {
            "id": ids,
            "similarity_chosen": pa.array(chosen_N, mask=np.isnan(chosen_N)),
            "similarity_rejected": pa.array(rejected_N, mask=np.isnan(rejected_N)),
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
            "its own prompts, or set match: nearest to compare each pair with its nearest sample."
        )
    return pairs, [s for s in written if sample_prompts[s] in in_pool]


def _test_rows(
    kept: Rows, copies_N: npt.NDArray[np.intp], config: SelectionConfig, rng: np.random.Generator
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


def _nothing_qualifies(config: SelectionConfig, candidates: Candidates, wanted: int) -> str:
    value_N: Floats = GATES[config.strategy](candidates.similarity_chosen, candidates.similarity_rejected)
    values = np.sort(value_N[~np.isnan(value_N)])
    least, median, high, most = np.quantile(values, [0, 0.5, 0.9, 1])
    # Rounded down to four places and strictly below, since part1 wants the threshold exceeded.
    enough = max((np.ceil(values[-min(wanted, len(values))] * 1e4) - 1) / 1e4, -1.0)
    which, relation = ("smaller", "exceeds") if config.strategy == "part1" else ("larger", "reaches")
    enough_for = min(wanted, len(values))
    return (
        f"No pair qualifies for {config.strategy}: the {which} of its two cosines {relation} "
        f"{config.threshold} in none of the {len(values)} pairs with a sample. It lies between {least:.4f} "
        f"and {most:.4f}; median {median:.4f}, 90 % below {high:.4f}. With a threshold of {enough:.4f} at "
        f"least {enough_for} pairs qualify ({wanted} are wanted)."
    )
