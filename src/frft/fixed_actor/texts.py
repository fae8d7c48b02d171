"""Every different (prompt, completion) of a benchmark, and its features from the frozen embedder."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from frft.progress import SILENT, Progress
from frft.selection import VectorCache
from frft.statistics.numbers import Indices

if TYPE_CHECKING:
    import pyarrow as pa


class PairTexts:
    """The M different (prompt, completion) in some tables of pairs, in the order of their first appearance.

    Attributes:
        prompts, completions: the texts, (M,), without surrounding white space.
    """

    def __init__(self, tables: Iterable[pa.Table]) -> None:
        self._row_of: dict[tuple[str, str], int] = {}
        for table in tables:
            for side in ("chosen", "rejected"):
                for text in _stripped(table, side):
                    self._row_of.setdefault(text, len(self._row_of))
        self.prompts = [prompt for prompt, _ in self._row_of]
        self.completions = [completion for _, completion in self._row_of]

    def __len__(self) -> int:
        return len(self._row_of)

    def rows(self, table: pa.Table) -> Indices:
        """The rows of the chosen and the rejected completions of N pairs among the M texts, shape (N, 2)."""
        sides = [[self._row_of[text] for text in _stripped(table, side)] for side in ("chosen", "rejected")]
        return np.array(sides, dtype=np.intp).T


class Features:
    """Frozen features of M texts (METHOD section 7): response, prompt x response, length.

    `of(rows)` gives (B, 2 D + 1) float32: the completion's unit vector and its product with the prompt's, both scaled
    to a mean square of about 1, and the logarithm of the completion's characters, standardised over all texts.
    """

    def __init__(self, texts: PairTexts, vectors: VectorCache, progress: Progress = SILENT) -> None:
        distinct = list(dict.fromkeys(texts.prompts))
        number = {prompt: n for n, prompt in enumerate(distinct)}
        self._prompt_of_M = np.array([number[prompt] for prompt in texts.prompts])
        self._prompts_D = vectors.get(distinct, progress)
        self._responses_MD = vectors.get(texts.completions, progress)
        lengths_M = np.log1p([len(completion) for completion in texts.completions])
        # Texts of equal length have no deviation to divide by.
        self._lengths_M = ((lengths_M - lengths_M.mean()) / (lengths_M.std() or 1.0)).astype(np.float32)
        self.width = 2 * self._responses_MD.shape[1] + 1

    def of(self, rows_B: Indices) -> npt.NDArray[np.float32]:
        """Features of these texts, shape (B, width)."""
        responses_BD = self._responses_MD[rows_B]
        dimension = responses_BD.shape[1]
        products_BD = responses_BD * self._prompts_D[self._prompt_of_M[rows_B]]
        lengths_B1 = self._lengths_M[rows_B, None]
        # The entries of a unit vector have mean square 1 / D, the products of two about 1 / D^2.
        features: Any = np.concatenate(
            [np.sqrt(dimension) * responses_BD, dimension * products_BD, lengths_B1], axis=1, dtype=np.float32
        )
        return features  # type: ignore[no-any-return]


def _stripped(table: pa.Table, side: str) -> list[tuple[str, str]]:
    texts = (table[name].to_pylist() for name in ("prompt", side))
    return [(prompt.strip(), completion.strip()) for prompt, completion in zip(*texts, strict=True)]
