"""Symptoms of over-optimisation in a policy's texts: length, refusals, hedging, repetition, loss of diversity.

They need neither a reward nor a judge. None of them is bad in itself; a change in training is what to look at.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from frft.statistics.estimates import Change, Estimate, estimate, paired_change

if TYPE_CHECKING:
    from numpy.typing import NDArray

REFUSALS = (
    "i cannot", "i can't", "i can not", "i'm unable", "i am unable", "i won't", "i will not", "i'm not able",
    "i am not able", "i must decline", "i'm sorry, but", "i am sorry, but", "as an ai", "against my guidelines",
)  # fmt: skip
"""Phrases with which refusals in English begin. A text that quotes one is counted, and a refusal in other words is
missed."""

HEDGES = (
    "maybe", "perhaps", "possibly", "it depends", "i'm not sure", "i am not sure", "i might be wrong", "i may be wrong",
    "i could be wrong", "it is possible that", "it's possible that", "some people", "generally speaking", "i think",
    "i'm no expert", "i am not an expert", "consult a professional",
)  # fmt: skip
"""Hedging phrases in English. Often they are appropriate, so only their change in training is informative."""

OPENING = 200
"""A refusal must begin within this many characters."""

N_GRAM = 3
"""Words of the n-grams of `repetition`."""


def is_refusal(completion: str) -> bool:
    """Whether the first 200 characters contain one of REFUSALS, regardless of case and of the form of apostrophes."""
    return _has(REFUSALS, completion[:OPENING])


def hedges(completion: str) -> bool:
    """Whether a completion contains one of HEDGES."""
    return _has(HEDGES, completion)


def words(completion: str) -> list[str]:
    """The words of a text in lower case, split at everything but letters and digits."""
    return re.findall(r"\w+", _plain(completion))


def repetition(completion: str, n: int = N_GRAM) -> float:
    """1 - distinct n-grams / n-grams of words, 0 to 1 (seq-rep-n, Welleck et al. 1908.04319); 0 without n-grams."""
    grams = _grams(words(completion), n)
    return 1 - len(set(grams)) / len(grams) if grams else 0.0


def distinct_n(completions: Sequence[str], n: int = 2, most: int | None = None) -> float | None:
    """distinct-n: distinct n-grams / n-grams of all completions together, 0 to 1 (Li et al. 1510.03055).

    Args:
        completions: the texts.
        n: words of an n-gram.
        most: count only the first `most` n-grams; None counts all. The share falls with the amount of text, so compare
            two sets of texts over equally many n-grams.

    Returns:
        The share; None where there are no n-grams.
    """
    grams = [gram for completion in completions for gram in _grams(words(completion), n)][:most]
    return len(set(grams)) / len(grams) if grams else None


def self_similarity(vectors_ND: NDArray[Any]) -> float | None:
    """Mean cosine over all pairs of N vectors of length 1, -1 to 1; None for fewer than two.

    Computed as (|sum of all|^2 - N) / (N (N - 1)), so that no N x N matrix is needed.
    """
    n = len(vectors_ND)
    if n < 2:
        return None
    total_D = np.asarray(vectors_ND, np.float64).sum(axis=0)
    return float((total_D @ total_D - n) / (n * (n - 1)))


@dataclass(frozen=True)
class Symptom:
    """One property of the policy's texts, before and after training.

    Attributes:
        name: what is measured: length, refusals, hedging, ...
        unit: unit of the figures.
        before: estimate for the texts from before training; None: there are none.
        after: estimate for the texts now.
        change: after - before, paired by prompt; None where there are no common prompts, or for diversity.
    """

    name: str
    unit: str
    before: Estimate | None
    after: Estimate
    change: Change | None

    def as_dict(self) -> dict[str, Any]:
        """All fields as JSON-able values, for a results file."""
        return asdict(self)


PER_TEXT: dict[str, tuple[str, Callable[[str], float]]] = {
    "length": ("words a completion", lambda text: float(len(words(text)))),
    "refusals": ("share of completions", lambda text: float(is_refusal(text))),
    "hedging": ("share of completions", lambda text: float(hedges(text))),
    "repetition": (f"share of {N_GRAM}-grams that repeat one of the same text", repetition),
    "empty": ("share of completions", lambda text: float(not text.strip())),
}


def measure_symptoms(
    prompts: Sequence[str],
    completions: Sequence[str],
    before_prompts: Sequence[str] = (),
    before_completions: Sequence[str] = (),
    embed: Callable[[Sequence[str]], NDArray[Any]] | None = None,
    request_of: Mapping[str, str] | None = None,
) -> list[Symptom]:
    """Measure every symptom in a policy's completions, and its change in training.

    Intervals are Student's over prompts, each of which counts once, with requests as clusters. Changes are over the
    prompts that have completions from before and now. Diversity is computed over all texts together and has no
    interval; for a fair comparison, it is that of the first texts of each side, equally many, and distinct-2 is over
    equally many words of each text and equally many 2-grams in all.

    Args:
        prompts, completions: N prompts and completions of the policy now.
        before_prompts, before_completions: prompts and completions from before training; empty: no comparison.
        embed: function from texts to vectors of length 1; None: self-similarity is not measured.
        request_of: request of each prompt; prompts with one request are a cluster. None: each prompt is on its own.
    """

    def requests(asked: Iterable[str]) -> list[str]:
        return [prompt if request_of is None else request_of.get(prompt, prompt) for prompt in asked]

    found = []
    for name, (unit, measure) in PER_TEXT.items():
        after, before = (
            by_prompt(texts, [measure(text) for text in written])
            for texts, written in ((prompts, completions), (before_prompts, before_completions))
        )
        both = [prompt for prompt in after if prompt in before]
        found.append(
            Symptom(
                name,
                unit,
                estimate(list(before.values()), requests(before)) if before else None,
                estimate(list(after.values()), requests(after)),
                paired_change([before[each] for each in both], [after[each] for each in both], requests(both))
                if both
                else None,
            )
        )
    # The share of distinct 2-grams falls with the length of texts and with their number, so both are made equal.
    most = min(len(completions), len(before_completions) or len(completions))
    sides = [[words(text) for text in texts[:most]] for texts in (completions, before_completions)]
    medians = [float(np.median([len(text) for text in side])) for side in sides if any(len(text) > 1 for text in side)]
    length = max(2, int(min(medians, default=2)))
    shortened = [[" ".join(text[:length]) for text in side] for side in sides]
    counts = [sum(len(_grams(words(text), 2)) for text in side) for side in shortened]
    fewest = min((count for count in counts if count), default=0)
    diverse = [distinct_n(side, most=fewest) for side in shortened]
    if diverse[0] is not None:
        start = None if diverse[1] is None else Estimate(diverse[1], None, None, most)
        unit = f"distinct share of {fewest} 2-grams"
        found.append(Symptom("distinct-2", unit, start, Estimate(diverse[0], None, None, most), None))
    if embed is not None:
        now, was = (
            self_similarity(embed(texts[:most])) if texts else None for texts in (completions, before_completions)
        )
        if now is not None:
            start = None if was is None else Estimate(was, None, None, most)
            unit = "mean cosine of two completions"
            found.append(Symptom("self-similarity", unit, start, Estimate(now, None, None, most), None))
    return found


def by_prompt(prompts: Sequence[str], values: Sequence[float] | NDArray[Any]) -> dict[str, float]:
    """The mean of the values of each prompt, in order of first appearance."""
    of: dict[str, list[float]] = {}
    for prompt, value in zip(prompts, values, strict=True):
        of.setdefault(prompt, []).append(float(value))
    return {prompt: sum(each) / len(each) for prompt, each in of.items()}


def _plain(text: str) -> str:
    return text.lower().replace("’", "'")


def _has(phrases: Sequence[str], text: str) -> bool:
    plain = _plain(text)
    return any(re.search(rf"(?<!\w){re.escape(phrase)}(?!\w)", plain) for phrase in phrases)


def _grams(tokens: Sequence[str], n: int) -> list[tuple[str, ...]]:
    return list(zip(*(tokens[start:] for start in range(n)), strict=False))
