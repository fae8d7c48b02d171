"""Sources of a pool that does not name them: clusters of pairs by what their two completions have in common.

A text by itself says little about who wrote it: most of what it says, and how it happens to say it, varies from one
text of a source to the next. Where both completions of a pair come from one source, as is assumed here, what one of
them has is the source's only as far as the other has it, too. The directions in which the two sides of pairs vary
together are the leading eigenvectors of their symmetrised cross-covariance

    C = E[(x - mean)(y - mean)^T + (y - mean)(x - mean)^T] / 2

with x and y the vectors of the two completions: what varies from text to text independently drops out on average.
This is the covariance between groups in an analysis of variance with two texts to a group. What both sides have from
their common prompt stays in it: in a pool in which that varies more than style does, clusters are topics.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from frft.errors import SelectionError
from frft.selection.sources import STYLE_TOKENS
from frft.statistics.numbers import Floats

DIRECTIONS = 10
"""Directions that k-means works in, those in which the two sides vary together the most."""
REDUCED = 200
"""Dimensions to which TF-IDF vectors are reduced before, so that the cross-covariance is a small matrix."""
FEWEST_TEXTS_WITH = 5
"""Texts in which a word or mark must occur to count; rarer ones tell sources apart by accident."""


def pair_clusters(chosen: Sequence[str], rejected: Sequence[str], count: int, seed: int) -> list[str]:
    """The cluster of each of N pairs, "cluster 1" to "cluster K", in place of the name of its source.

    TF-IDF of words and marks, reduced by a truncated SVD, then `shared_directions`, then k-means. Exchanging chosen and
    rejected changes nothing beyond rounding.

    Args:
        chosen: the chosen completions, N.
        rejected: the rejected completions of the same pairs.
        count: number of clusters, K.
        seed: seed of the SVD and of the first centres.

    Raises:
        SelectionError: the pairs are too few or too much alike for K clusters.
    """
    from sklearn.cluster import KMeans
    from sklearn.decomposition import TruncatedSVD
    from sklearn.feature_extraction.text import TfidfVectorizer

    vectorizer = TfidfVectorizer(token_pattern=STYLE_TOKENS, sublinear_tf=True, min_df=FEWEST_TEXTS_WITH)
    too_alike = (
        f"The {len(chosen)} pairs of the pool cannot be put into {count} clusters: too few of their words and marks "
        "differ between pairs. Set a smaller selection.source_clusters, or choose a strategy that needs no sources."
    )
    try:
        vectors_MW = vectorizer.fit_transform([*chosen, *rejected])
    except ValueError:  # no word or mark is in enough texts
        raise SelectionError(too_alike) from None
    if min(vectors_MW.shape) > REDUCED:
        vectors_MD = TruncatedSVD(REDUCED, random_state=seed).fit_transform(vectors_MW)
    else:
        vectors_MD = vectors_MW.toarray()
    points_NS = shared_directions(vectors_MD[: len(chosen)], vectors_MD[len(chosen) :])
    if len(np.unique(points_NS.round(9), axis=0)) < count:
        raise SelectionError(too_alike)
    labels: list[int] = KMeans(count, n_init=10, random_state=seed).fit_predict(points_NS).tolist()
    return [f"cluster {label + 1}" for label in labels]


def shared_directions(first_ND: Floats, second_ND: Floats, most: int = DIRECTIONS) -> Floats:
    """The means of both sides of N pairs, in the directions in which the two sides vary together: float64 (N, S).

    Args:
        first_ND: vectors of the one completion of each pair.
        second_ND: vectors of the other.
        most: maximum number of directions; fewer where the sides vary together in fewer.
    """
    mean_D = (first_ND.mean(axis=0) + second_ND.mean(axis=0)) / 2
    first_ND, second_ND = first_ND - mean_D, second_ND - mean_D
    cross_DD = first_ND.T @ second_ND / len(first_ND)
    shared_S, directions_DS = np.linalg.eigh((cross_DD + cross_DD.T) / 2)
    leading = [column for column in np.argsort(-shared_S)[:most] if shared_S[column] > 0]
    return np.asarray((first_ND + second_ND) / 2 @ directions_DS[:, leading], dtype=np.float64)
