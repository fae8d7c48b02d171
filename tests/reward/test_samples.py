"""What a reward remembers: by id, whoever saw it and in whatever order."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from frft.reward.samples import ObservedSamples, PolicySamples

TEXTS = st.lists(st.tuples(st.text("ab", max_size=3), st.text("ab", max_size=3)), max_size=8)


@given(st.lists(TEXTS, max_size=4), st.integers(1, 10) | st.none(), st.integers(1, 3), st.randoms())
def test_what_is_kept_does_not_depend_on_who_saw_it(
    scorings: list[list[tuple[str, str]]], most: int | None, processes: int, rng: random.Random
):
    """Several processes with a share each, in any order, keep together what one keeps."""
    alone, shares = ObservedSamples(most), [ObservedSamples(most) for _ in range(processes)]
    for scoring in scorings:
        alone.add([prompt for prompt, _ in scoring], [completion for _, completion in scoring])
        shuffled = rng.sample(scoring, len(scoring))
        for index, share in enumerate(shares):
            mine = shuffled[index::processes]
            share.add([prompt for prompt, _ in mine], [completion for _, completion in mine])
    together = ObservedSamples(most)
    together.replace([sample for share in shares for sample in share.everywhere()])
    assert together.everywhere() == alone.everywhere()
    # The newest, as many as are wanted.
    seen = [(number, *texts) for number, scoring in enumerate(scorings) for texts in scoring]
    kept = alone.everywhere()
    assert len(kept) == (len(seen) if most is None else min(most, len(seen)))
    assert sorted(sample[0] for sample in kept) == sorted(sample[0] for sample in seen)[len(seen) - len(kept) :]


def test_equal_texts_have_equal_identities():
    one, same, other = (PolicySamples.of(["p"], [text]) for text in ("a", "a", "b"))
    assert one.identity == same.identity != other.identity
    assert one.load() == (["p"], ["a"])
