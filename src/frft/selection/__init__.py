"""Which preference pairs lie where the policy writes: embeddings, similarity or density ratio, strategies, controls."""

from frft.config.sections.refresh import EMBEDDED
from frft.selection.controls import with_shuffled_labels
from frft.selection.embedder import Embedder
from frft.selection.filter import SOURCES, embed_pool, select
from frft.selection.selection import Selection
from frft.selection.similarity import match_nearest, match_prompt
from frft.selection.strategies import STRATEGIES, Candidates
from frft.selection.vectors import VectorCache
from frft.selection.weights import LogRatios

__all__ = [
    "EMBEDDED",
    "SOURCES",
    "STRATEGIES",
    "Candidates",
    "Embedder",
    "LogRatios",
    "Selection",
    "VectorCache",
    "embed_pool",
    "match_nearest",
    "match_prompt",
    "select",
    "with_shuffled_labels",
]
