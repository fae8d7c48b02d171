"""Controls of a selection: shuffled labels (a placebo) and noisy embeddings.

A refresh with one of them shows how much of an effect is due to the labels, or to knowing where the policy writes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from frft.selection.similarity import Vectors


def with_shuffled_labels(pool_table: pa.Table, seed: int) -> pa.Table:
    """The pool of a placebo: chosen and rejected of each pair are exchanged with probability 1/2.

    The labels then carry no information, so any accuracy above 1/2 on pairs filtered from this pool is due to the
    selection shortcut (METHOD section 1). Columns about one of the two completions are exchanged with it: those of one
    type whose names differ only in "chosen" and "rejected", such as `chosen_source` and `rejected_source`. Whether a
    pair is exchanged depends on the seed and on the rank of its id, not on the order of the rows.

    Args:
        pool_table: N pairs, with columns id, chosen, rejected.
        seed: seed of the exchanges.

    Returns:
        The table with the same rows and columns.
    """
    ids = pool_table["id"].to_pylist()
    exchanged_N = np.zeros(len(ids), dtype=bool)
    exchanged_N[sorted(range(len(ids)), key=ids.__getitem__)] = np.random.default_rng([seed, 2]).random(len(ids)) < 0.5
    return with_exchanged_labels(pool_table, exchanged_N)


def with_exchanged_labels(pool_table: pa.Table, exchanged_N: npt.NDArray[np.bool_]) -> pa.Table:
    """The same pairs with chosen and rejected exchanged in some, and columns about one of the two with it.

    Args:
        pool_table: N pairs.
        exchanged_N: which to exchange.
    """
    mask = pa.array(exchanged_N)
    table = pool_table
    for name in pool_table.column_names:
        other = name.replace("chosen", "rejected", 1)
        if other == name or other not in pool_table.column_names:
            continue
        one, two = pool_table[name].combine_chunks(), pool_table[other].combine_chunks()
        if one.type == two.type:
            for column, values in ((name, pc.if_else(mask, two, one)), (other, pc.if_else(mask, one, two))):
                table = table.set_column(table.column_names.index(column), column, values)
    return table


def with_noise(vectors_ND: Vectors, texts: Sequence[str], noise: float, seed: int) -> Vectors:
    """Embeddings with noise, as of a worse embedder: v + noise * z, scaled to length 1, with z Gaussian, E|z|^2 = 1.

    Equal texts get equal noise, since any embedder gives equal texts equal vectors. The cosine of a text's noisy and
    clean vectors is about 1 / sqrt(1 + noise^2).

    Args:
        vectors_ND: embeddings of length 1.
        texts: the N texts embedded.
        noise: ratio of the noise's length to the vector's, >= 0.
        seed: seed of the noise.
    """
    noisy_ND = np.empty_like(vectors_ND)
    of_text: dict[str, int] = {}
    for row, text in enumerate(texts):
        first = of_text.setdefault(text, row)
        if first < row:
            noisy_ND[row] = noisy_ND[first]
            continue
        # Seeded by the text's hash, so that the noise does not depend on which other texts are embedded with it.
        rng = np.random.default_rng([seed, 3, int.from_bytes(hashlib.sha256(text.encode()).digest()[:16])])
        size = vectors_ND.shape[1]
        vector_D = vectors_ND[row] + noise / np.sqrt(size) * rng.standard_normal(size)
        noisy_ND[row] = vector_D / np.linalg.norm(vector_D)
    return noisy_ND
