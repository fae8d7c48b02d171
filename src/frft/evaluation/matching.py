"""Match the completions of two arms by prompt."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Matched:
    """N pairs of completions of the same prompt.

    Attributes:
        prompts, first, second: prompt and completions of each pair, in the order of the first side.
        unmatched: number of completions of the first and of the second side without a partner.
    """

    prompts: list[str]
    first: list[str]
    second: list[str]
    unmatched: tuple[int, int]


def match(
    first_prompts: Sequence[str],
    first_completions: Sequence[str],
    second_prompts: Sequence[str],
    second_completions: Sequence[str],
) -> Matched:
    """Pair the k-th completion of a prompt on one side with the k-th completion of that prompt on the other.

    Prompts are compared without surrounding white space.

    Args:
        first_prompts, first_completions: prompts and completions of one arm; a prompt may occur several times.
        second_prompts, second_completions: those of the other arm.
    """
    waiting: defaultdict[str, list[str]] = defaultdict(list)
    for prompt, completion in zip(second_prompts, second_completions, strict=True):
        waiting[prompt.strip()].append(completion)
    for completions in waiting.values():
        completions.reverse()
    found = [
        (prompt, completion, waiting[prompt.strip()].pop())
        for prompt, completion in zip(first_prompts, first_completions, strict=True)
        if waiting.get(prompt.strip())
    ]
    prompts, first, second = ([each[side] for each in found] for side in range(3))
    return Matched(prompts, first, second, (len(first_completions) - len(found), len(second_completions) - len(found)))
