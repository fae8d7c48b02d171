"""Which preference pairs lie where the policy writes: embeddings, cosine similarity, strategies."""

from frft.selection.embedder import Embedder
from frft.selection.select import select
from frft.selection.selection import Selection
from frft.selection.similarity import match_nearest, match_prompt
from frft.selection.strategies import STRATEGIES, WITHOUT_SIMILARITIES, Candidates, Strategy
from frft.selection.vectors import VectorCache

__all__ = [
    "STRATEGIES",
    "WITHOUT_SIMILARITIES",
    "Candidates",
    "Embedder",
    "Selection",
    "Strategy",
    "VectorCache",
    "match_nearest",
    "match_prompt",
    "select",
]
