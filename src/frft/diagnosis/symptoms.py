"""What over-optimised policies look like: length, refusals, hedging, repetition, loss of diversity.

Symptoms need no reward and no judge. None of them is bad as such; what counts is that it changed in training.
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
"""How a refusal in English begins. A text that quotes one counts; a refusal in other words does not."""

HEDGES = (
    "maybe", "perhaps", "possibly", "it depends", "i'm not sure", "i am not sure", "i might be wrong", "i may be wrong",
    "i could be wrong", "it is possible that", "it's possible that", "some people", "generally speaking", "i think",
    "i'm no expert", "i am not an expert", "consult a professional",
)  # fmt: skip
"""Words of an English writer who does not commit. `perhaps` is often the honest word: only the change tells."""

OPENING = 200
"""Characters in which a refusal must begin: who refuses does so at once."""

N_GRAM = 3


def is_refusal(completion: str) -> bool:
    """Whether one of REFUSALS stands in the first 200 characters, whatever its case and apostrophes."""
    return _has(REFUSALS, completion[:OPENING])


def hedges(completion: str) -> bool:
    """Whether one of HEDGES stands in a completion."""
    return _has(HEDGES, completion)


def words(completion: str) -> list[str]:
    """The words of a text in lower case, split at everything but letters and digits."""
    return re.findall(r"\w+", _plain(completion))


def repetition(completion: str, n: int = N_GRAM) -> float:
    """1 - distinct n-grams / n-grams of words, 0 to 1 (seq-rep-n, Welleck et al. 1908.04319); 0 where there is none."""
    grams = _grams(words(completion), n)
    return 1 - len(set(grams)) / len(grams) if grams else 0.0


def distinct_n(completions: Sequence[str], n: int = 2, most: int | None = None) -> float | None:
    """Distinct n-grams / n-grams of all completions together (Li et al. 1510.03055); None where there is none.

    Args:
        completions: all together.
        n: words of a gram.
        most: count the first so many n-grams. The share falls with the amount of text, so that longer completions look
            less diverse: compare it of equally many. None: all.
    """
    grams = [gram for completion in completions for gram in _grams(words(completion), n)][:most]
    return len(set(grams)) / len(grams) if grams else None


def self_similarity(vectors_ND: NDArray[Any]) -> float | None:
    """Mean cosine of all pairs of N different vectors of length 1; None below two.

    (|sum of all|^2 - N) / (N (N - 1)), so that no N x N matrix is needed.
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
        unit: of its figures.
        before: None: there is nothing to compare with.
        after: the figure.
        change: after - before, paired by prompt; None where it cannot be estimated.
    """

    name: str
    unit: str
    before: Estimate | None
    after: Estimate
    change: Change | None

    def as_dict(self) -> dict[str, Any]:
        """For a results file."""
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
    """Every symptom of what a policy writes. Intervals are Student's over prompts, each of which counts once.

    Args:
        request_of: what each prompt asks for; those that ask for the same are a cluster. None: each is on its own.
        prompts, completions: N of them.
        before_prompts, before_completions: of the policy before training; none: nothing to compare with. Changes are of
            the prompts that are in both. Diversity is that of the first texts of either, as many as both have, taken
            together, and has no interval; distinct-2 is of as many words of each text, and of as many 2-grams in all.
        embed: makes vectors of length 1; none: self-similarity is not measured.
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
    # Diversity falls with the amount of text, in a text and over all of them.
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
