"""What a strategy is: how it ranks the pairs of a pool, and what the rest of the code has to know of it.

Numpy is imported where it is used, because the configuration asks strategies what they are, and `frft --help` reads it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from frft.statistics.numbers import Floats, Indices

PairEvidence: TypeAlias = Literal["cosines", "density ratio", "policy ratio"]
"""What the filter works out about a pair before a strategy ranks it. `cosines`: of its two completions with the
policy's samples; `density ratio`: how much likelier they are among the samples than in the pool, by a classifier of
their embeddings; `policy ratio`: how much likelier the policy finds them than the SFT model."""


@dataclass(frozen=True, kw_only=True)
class Candidates:
    """The N pairs that a strategy ranks, in ascending order of their ids.

    Attributes:
        similarity_chosen: cosines of the chosen completions with the policy's samples, shape (N,); NaN where the
            policy wrote nothing to compare a pair with, and for strategies that do not read cosines.
        similarity_rejected: the cosines of the rejected completions.
        log_ratios: log of how much likelier each pair is under the policy, shape (N,); NaN for strategies that read no
            ratio.
        columns: the values of the pool's columns that the strategy names, N each.
        source: the source that the settings ask for (`selection.source`).
        threshold: the cosine that the settings ask for (`selection.threshold`).
        duplicates: whether a pair that a strategy would take twice is taken once or twice (`selection.duplicates`).
        rng: the only source of random numbers, so that a selection can be repeated.
    """

    similarity_chosen: Floats
    similarity_rejected: Floats
    log_ratios: Floats
    rng: np.random.Generator
    columns: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    source: str | None = None
    threshold: float = 0.0
    duplicates: Literal["once", "twice"] = "once"

    def __len__(self) -> int:
        """The number of candidates, N."""
        return len(self.similarity_chosen)

    @property
    def compared(self) -> npt.NDArray[np.bool_]:
        """Which pairs have cosines."""
        import numpy as np

        return ~(np.isnan(self.similarity_chosen) | np.isnan(self.similarity_rejected))


@dataclass(frozen=True, kw_only=True)
class ThresholdRule:
    """What a pair's cosines must pass to qualify.

    Attributes:
        value: from the chosen and the rejected cosines of N pairs, the N values that are held against the threshold.
        named: what that value is, in words: "the smaller of its two cosines".
        relation: whether the value must be above the threshold, or may equal it.
    """

    value: Callable[[Floats, Floats], Floats]
    named: str
    relation: Literal["exceeds", "reaches"]

    def passes(self, pool: Candidates) -> npt.NDArray[np.bool_]:
        """Which pairs qualify; none without cosines does."""
        value_N = self.value(pool.similarity_chosen, pool.similarity_rejected)
        return value_N > pool.threshold if self.relation == "exceeds" else value_N >= pool.threshold


Rank: TypeAlias = "Callable[[Candidates], Indices]"
"""From N candidates to the rows (0 to N - 1) of those that qualify, best first. Of pairs that tie, the one that stands
first in the pool should come first."""


@dataclass(frozen=True, kw_only=True)
class Strategy:
    """One way to choose the pairs of a pool that a reward model is refreshed on.

    Attributes:
        name: what the settings call it.
        description: one line for help and documentation.
        rank: how it ranks; None: it selects no pairs at all.
        reads: what is worked out for it. Nothing is embedded or compared for strategies that read none of it.
        columns: the pool's columns that it needs, besides the texts; `Candidates.columns` holds them.
        threshold: what cosines must pass to qualify, where `rank` asks for that.
        unqualified: why a pair does not qualify, said of every pair that `rank` leaves out.
        needs_source: whether `selection.source` must be given.
        takes_all: every pair that qualifies is taken, however many are asked for.

    Raises:
        ValueError: the attributes contradict each other.
    """

    name: str
    description: str
    rank: Rank | None
    reads: PairEvidence | None = None
    columns: tuple[str, ...] = ()
    threshold: ThresholdRule | None = None
    unqualified: str = "does not qualify"
    needs_source: bool = False
    takes_all: bool = False

    def __post_init__(self) -> None:
        if self.rank is None and (self.reads or self.columns or self.threshold or self.needs_source or self.takes_all):
            raise ValueError(f"the strategy {self.name} has no rank function, so there is nothing that it could read")
        if self.threshold is not None and self.reads != "cosines":
            raise ValueError(f"the strategy {self.name} has a threshold for cosines, but reads none (reads='cosines')")

    @property
    def selects(self) -> bool:
        """Whether it selects pairs at all; `none` does not."""
        return self.rank is not None

    @property
    def chooses(self) -> bool:
        """Whether it leaves pairs out where fewer are asked for than qualify."""
        return self.selects and not self.takes_all

    @property
    def embeds(self) -> bool:
        """Whether it looks at embeddings of the completions and the policy's samples."""
        return self.reads in ("cosines", "density ratio")

    @property
    def matches_prompts(self) -> bool:
        """Whether `selection.match` matters: pairs are compared with samples of their own prompt, or with any."""
        return self.reads == "cosines"

    @property
    def has_ratios(self) -> bool:
        """Whether every pair has a log ratio, by which pairs can be drawn (`take: sample`)."""
        return self.reads in ("density ratio", "policy ratio")

    @property
    def needs_models(self) -> bool:
        """Whether the policy and the SFT model themselves are needed, not only what the policy wrote."""
        return self.reads == "policy ratio"

    @property
    def ranks_by_samples_alone(self) -> bool:
        """Whether it ranks by a pool and samples without further settings, as `frft bench fixed-actor` has it do."""
        return self.chooses and not self.needs_models and not self.needs_source


def best_first(score_N: Floats, qualifies_N: npt.NDArray[np.bool_]) -> Indices:
    """The rows that qualify by falling score; of rows that tie, the first one first."""
    import numpy as np

    rows = np.flatnonzero(qualifies_N)
    return rows[np.argsort(-score_N[rows], kind="stable")]
