"""The order of training examples: at random, but with examples of similar length in a batch.

A batch is padded to its longest sequence. Drawn at random, nearly every batch of dialogues is as wide as
`max_length` (256), while they have 160 tokens on average: a third of the work would be on padding.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

BATCHES_SORTED_TOGETHER = 50
"""Number of batches whose examples are drawn at random and then sorted by length among themselves. A sort of all
examples would put the same ones together in every epoch."""


class SimilarLengths:
    """A sampler for a data loader: yields the N indices in a new order in every epoch, determined by the seed.

    Args:
        lengths: tokens of every example (of a pair: of its longer sequence), (N,).
        batch_size: number of consecutive indices in a batch.
        seed: seed of the order.
    """

    def __init__(self, lengths: Sequence[int], batch_size: int, seed: int) -> None:
        self._lengths_N = np.asarray(lengths)
        self._batch_size = batch_size
        self._rng = np.random.default_rng(seed)

    def __len__(self) -> int:
        return len(self._lengths_N)

    def __iter__(self) -> Iterator[int]:
        drawn_N = self._rng.permutation(len(self))
        # The incomplete batch comes last; anywhere else it would shift the boundaries of all batches after it.
        whole = len(self) - len(self) % self._batch_size
        batches: list[NDArray[np.int64]] = []
        for begin in range(0, whole, BATCHES_SORTED_TOGETHER * self._batch_size):
            together = drawn_N[begin : min(begin + BATCHES_SORTED_TOGETHER * self._batch_size, whole)]
            together = together[np.argsort(self._lengths_N[together], kind="stable")]
            batches.extend(together.reshape(-1, self._batch_size))
        for index in self._rng.permutation(len(batches)):
            yield from batches[index].tolist()
        yield from drawn_N[whole:].tolist()
