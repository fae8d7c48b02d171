"""Texts once each, and their frozen features."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from frft.fixed_actor.texts import Features, PairTexts

PAIRS = pa.table({"prompt": ["p", " p ", "q"], "chosen": ["a", "bb ", "a"], "rejected": ["bb", "a", "cccc"]})


def test_equal_texts_are_one_and_prompts_count():
    texts = PairTexts([PAIRS, PAIRS.slice(1, 1)])
    assert list(zip(texts.prompts, texts.completions, strict=True)) == [
        ("p", "a"),
        ("p", "bb"),
        ("q", "a"),
        ("q", "cccc"),
    ]
    np.testing.assert_array_equal(texts.rows(PAIRS), [[0, 1], [1, 0], [2, 3]])


def test_features_are_the_response_its_product_with_the_prompt_and_its_length(minilm_vectors):
    features = Features(PairTexts([PAIRS]), minilm_vectors)
    found = features.of(np.array([3, 1]))
    vectors = dict(zip("pqac", minilm_vectors.embedder.encode(["p", "q", "a", "cccc"]), strict=True))
    lengths = np.log1p([1, 2, 1, 4])
    assert found.shape == (2, features.width) == (2, 769)
    np.testing.assert_allclose(found[0, :384], vectors["c"] * 384**0.5, atol=1e-5)
    np.testing.assert_allclose(found[0, 384:768], vectors["c"] * vectors["q"] * 384, atol=1e-4)
    np.testing.assert_allclose(found[:, 768], ((lengths - lengths.mean()) / lengths.std())[[3, 1]], rtol=1e-6)
