"""Samples of a policy (prompts and completions) that a refresh selects by: given, or observed while scoring."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from frft.errors import UsageError
from frft.store import digest_of

Sample = tuple[int, str, str]
"""(number of the scoring call, from 0; prompt; completion)."""


@dataclass(frozen=True)
class PolicySamples:
    """Prompts and completions of a policy, loaded on demand.

    Attributes:
        identity: an artifact or a digest that determines the texts: equal identities mean equal texts.
        load: returns S prompts and S completions.
    """

    identity: Any
    load: Callable[[], tuple[Sequence[str], Sequence[str]]]

    @classmethod
    def of(cls, prompts: Sequence[str], completions: Sequence[str]) -> PolicySamples:
        """Samples that are in memory already; their identity is a digest of the texts.

        Raises:
            UsageError: the numbers of prompts and completions differ.
        """
        if len(prompts) != len(completions):
            raise UsageError(f"{len(prompts)} prompts but {len(completions)} completions; there must be one each.")
        texts = (list(prompts), list(completions))
        return cls(digest_of(texts), lambda: texts)


class ObservedSamples:
    """The newest completions that a reward has scored.

    Samples are ordered by the number of their scoring call and then by a hash of their text. So what is kept, and in
    which order, does not depend on how the completions of a step were divided among processes.

    Args:
        most: keep this many of the newest samples, over all processes; None keeps all.
    """

    def __init__(self, most: int | None) -> None:
        self.scorings = 0
        self._most = most
        self._samples: list[Sample] = []

    def add(self, prompts: Sequence[str], completions: Sequence[str]) -> None:
        """Add the prompts and completions of one scoring call."""
        self._samples += [(self.scorings, *texts) for texts in zip(prompts, completions, strict=True)]
        self.scorings += 1
        # Dropping samples takes a sort, so only when twice as many as needed have come together: O(log) per sample.
        if self._most is not None and len(self._samples) > 2 * self._most:
            self._samples = self._newest(self._samples)

    def everywhere(self) -> list[Sample]:
        """The newest samples of all processes, oldest first. Every process must call this; the samples are kept."""
        from torch import distributed

        if not (distributed.is_available() and distributed.is_initialized()):
            return self._newest(self._samples)
        parts: list[list[Sample]] = [[] for _ in range(distributed.get_world_size())]
        distributed.all_gather_object(parts, self._newest(self._samples))
        return self._newest([sample for part in parts for sample in part])

    @property
    def here(self) -> tuple[Sample, ...]:
        """The samples of this process."""
        return tuple(self._samples)

    def replace(self, samples: Sequence[Sample]) -> None:
        """Replace all samples by these."""
        self._samples = list(samples)

    def _newest(self, samples: Sequence[Sample]) -> list[Sample]:
        ordered = sorted(samples, key=_id)
        return ordered if self._most is None else ordered[-self._most :]


def _id(sample: Sample) -> tuple[int, str]:
    """Sort key of a sample: number of its scoring call, SHA-256 of its text."""
    scoring, prompt, completion = sample
    # The length keeps apart texts that differ only in where the prompt ends.
    return scoring, sha256(f"{len(prompt)} {prompt}{completion}".encode()).hexdigest()
