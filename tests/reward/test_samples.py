"""What a reward remembers: by id, whoever saw it and in whatever order."""

from __future__ import annotations

import gc
import random
import weakref

from hypothesis import given
from hypothesis import strategies as st

from frft.reward import samples
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


def test_remembering_costs_no_more_the_longer_it_goes_on(monkeypatch):
    """Putting in order is left to who reads; what is forgotten is really gone."""

    class Text(str):  # to a plain str there is no weak reference
        pass

    ordered, inner = [], samples._id
    monkeypatch.setattr(samples, "_id", lambda sample: ordered.append(sample) or inner(sample))
    everything, newest, alive = ObservedSamples(None), ObservedSamples(10), []
    for number in range(100):
        text = Text(f"answer {number}")
        alive.append(weakref.ref(text))
        newest.add(["p"] * 2, [text, "other"])
        everything.add(["p"], ["text"])
        ordered_by_newest, text = len(ordered), None
    assert ordered_by_newest <= 3 * 200
    ordered.clear()
    gc.collect()
    assert sum(text() is not None for text in alive) <= 10
    assert len(everything.everywhere()) == 100
    assert len(newest.everywhere()) == 10


def test_equal_texts_have_equal_identities():
    one, same, other = (PolicySamples.of(["p"], [text]) for text in ("a", "a", "b"))
    assert one.identity == same.identity != other.identity
    assert one.load() == (["p"], ["a"])
