"""Which preference pairs lie where the policy writes: embeddings, similarity or density ratio, controls."""

from frft.selection.controls import with_exchanged_labels, with_shuffled_labels
from frft.selection.embedder import Embedder
from frft.selection.evidence import embed_pool
from frft.selection.filter import select, select_nothing
from frft.selection.selection import Selection
from frft.selection.similarity import match_nearest, match_prompt
from frft.selection.vectors import VectorCache
from frft.selection.weights import LogRatios

__all__ = [
    "Embedder",
    "LogRatios",
    "Selection",
    "VectorCache",
    "embed_pool",
    "match_nearest",
    "match_prompt",
    "select",
    "select_nothing",
    "with_exchanged_labels",
    "with_shuffled_labels",
]
