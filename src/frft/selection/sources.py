"""Which source of the pool writes like the policy: a classifier of the sources' texts, asked about the policy's.

Scoring policies differ between the sources of a pool and not between single texts, so a whole source is named. What a
policy writes *before* its training is asked about: in training it moves away from all sources.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from frft.conversation import opening
from frft.errors import SelectionError
from frft.statistics.intervals import wilson

FEWEST_TEXTS = 30
"""Texts of a source without which it is no candidate: its style could not be learned, nor tested on held-out texts."""
MOST_TEXTS = 20_000
"""Texts that the classifier is fitted to; of more, as many of each source are drawn at random."""
FOLDS = 3
"""Parts of the prompts; the texts on each are classified by what was fitted to the others."""
OUTSIDE = 0.5
"""A policy is outside all sources where it is taken for the nearest one less than half as often as that source's own
held-out texts are."""


STYLE_TOKENS = r"(?u)\w+|[^\w\s]"
"""A word, or a mark of punctuation, by which styles differ as well. Blank texts have none."""


@dataclass(frozen=True)
class NearestSource:
    """The source whose texts the policy's are most often taken for.

    Attributes:
        name: the source.
        shares: for each source, the share of the policy's texts that the classifier takes for it; they sum to 1.
        recalls: for each source, the share of its own held-out texts that are taken for it: what a policy that is this
            source would have.
        outside: whether the policy is outside all sources: the upper end of the 95 % interval of its share is below
            half of the source's recall.
        left_out: sources with fewer than 30 texts, and how many they have: never named.
        texts: texts of the pool that the classifier was fitted to.
        samples: texts of the policy that it was asked about.
        share_now: the share of the policy's present texts that are taken for it; None: none were given.
    """

    name: str
    shares: dict[str, float]
    recalls: dict[str, float]
    outside: bool
    left_out: dict[str, int]
    texts: int
    samples: int
    share_now: float | None


def nearest_source(
    prompts: Sequence[str],
    texts: Sequence[str],
    sources: Sequence[str | None],
    samples: Sequence[str],
    seed: int,
    *,
    now: Sequence[str] = (),
) -> NearestSource:
    """Name the source of N texts that S samples are most often taken for.

    A logistic regression on TF-IDF of words, marks and pairs of them, in which all sources weigh the same.

    Args:
        prompts: the prompt of each text, N; texts on one conversation are held out together.
        texts: the texts of the sources, N.
        sources: who wrote each, N; None: unknown. Unknown and blank texts are not used.
        samples: the policy's texts before its training, S, at least one that is not blank.
        seed: seed of the draw where there are more than 20,000 texts.
        now: the policy's present texts, for whether it still writes like its source.

    Raises:
        SelectionError: there are no samples with text, fewer than two sources with enough texts, or too few prompts.
    """
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GroupKFold, cross_val_predict
    from sklearn.pipeline import make_pipeline

    asked = [text for text in samples if text.strip()]
    if not asked:
        raise SelectionError(
            f"There is no text of the policy before its training to name its source by ({len(samples)} given). Give "
            "samples of it."
        )
    sources = [source if text.strip() else None for source, text in zip(sources, texts, strict=True)]
    counts = Counter(source for source in sources if source is not None)
    known = nameable_sources(sources, texts)
    if len(known) < 2:
        raise SelectionError(
            f"The pool has {len(known)} sources with at least {FEWEST_TEXTS} texts, of {len(counts)} in all; to name "
            "the nearest one takes two. Choose a strategy that needs no sources."
        )
    rows = _drawn(sources, known, np.random.default_rng(seed))
    of_source = np.array([sources[row] for row in rows], dtype=object)
    own_texts, openings = [texts[row] for row in rows], [opening(prompts[row]) for row in rows]
    classifier = make_pipeline(
        TfidfVectorizer(token_pattern=STYLE_TOKENS, ngram_range=(1, 2), sublinear_tf=True),
        LogisticRegression(C=10, class_weight="balanced", max_iter=1000),
    )
    number = min(FOLDS, len(set(openings)))
    folds = list(GroupKFold(number).split(own_texts, groups=openings)) if number > 1 else []
    if not folds or any(len(set(of_source[learned])) < 2 for learned, _ in folds):
        raise SelectionError(
            f"Sources are told apart on prompts that the classifier has not seen, and the pool's {len(known)} sources "
            f"({', '.join(sorted(known)[:3])}{', ...' if len(known) > 3 else ''}) have {len(set(openings))} prompts "
            "together, too few to hold some out. Give more pairs, or choose a strategy that needs no sources."
        )
    held_out = cross_val_predict(classifier, own_texts, of_source, cv=folds)
    classifier.fit(own_texts, of_source)
    taken = Counter(classifier.predict(asked).tolist())
    # Of sources that are named equally often, the first by name.
    name = min(sorted(known), key=lambda source: -taken[source])
    recalls = {source: float(np.mean(held_out[of_source == source] == source)) for source in sorted(known)}
    present = [text for text in now if text.strip()]
    return NearestSource(
        name=name,
        shares={source: taken[source] / len(asked) for source in sorted(known)},
        recalls=recalls,
        outside=wilson(taken[name], len(asked))[1] < OUTSIDE * recalls[name],
        left_out={source: count for source, count in sorted(counts.items()) if source not in known},
        texts=len(rows),
        samples=len(asked),
        share_now=float(np.mean(classifier.predict(present) == name)) if present else None,
    )


def nameable_sources(sources: Sequence[str | None], texts: Sequence[str]) -> dict[str, int]:
    """The sources that `nearest_source` can name, with at least 30 texts that are not blank, and how many they have.

    Args:
        sources: who wrote each text, N; None: unknown.
        texts: the texts, N.
    """
    written = (source for source, text in zip(sources, texts, strict=True) if source is not None and text.strip())
    return {source: count for source, count in Counter(written).items() if count >= FEWEST_TEXTS}


def _drawn(sources: Sequence[str | None], known: dict[str, int], rng: np.random.Generator) -> list[int]:
    """Rows of the known sources; where there are too many, as many of each as there is room for, drawn at random."""
    most = max(FEWEST_TEXTS, MOST_TEXTS // len(known))
    rows: list[int] = []
    for source in sorted(known):
        own = np.flatnonzero([each == source for each in sources])
        rows += (own if len(own) <= most or sum(known.values()) <= MOST_TEXTS else rng.permutation(own)[:most]).tolist()
    return sorted(rows)
