"""What a strategy is: how it ranks the pairs of a pool, and the properties that the rest of the code goes by.

Numpy is imported within functions: the configuration imports this file, and `frft --help` the configuration.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from frft.statistics.numbers import Floats, Indices

PairEvidence: TypeAlias = Literal[
    "cosines", "density ratio", "prompt density ratio", "joint density ratio", "policy ratio", "nearest source"
]
"""What the filter computes of each pair before a strategy ranks it. `cosines`: cosine similarities of its two
completions with the policy's samples; `density ratio`: how much likelier they are among the samples than in the pool,
by a classifier of their embeddings; `prompt density ratio`: the same of the prompt alone; `joint density ratio`: of
prompt and completion together; `policy ratio`: how much likelier under the policy than under the SFT model. `nearest
source`: no figure of a pair, but the source that the policy's texts before its training are most often taken for."""


@dataclass(frozen=True, kw_only=True)
class Candidates:
    """The N pairs that a strategy ranks, in ascending order of their ids.

    Attributes:
        similarity_chosen: cosines of the chosen completions with the policy's samples, shape (N,); NaN where the
            policy wrote nothing to compare a pair with, and for strategies that do not read cosines.
        similarity_rejected: the cosines of the rejected completions.
        log_ratios: log of the density ratio or policy ratio of each pair, shape (N,); NaN for strategies that read
            neither.
        rng: generator for all random draws, so that a selection can be repeated.
        columns: by name, the N values of each column of the pool that the strategy names.
        source: setting `selection.source`; None: not set.
        column, value: settings `selection.column`, a key of `columns`, and `selection.value`; None: not set.
        threshold: setting `selection.threshold`, a cosine.
        duplicates: setting `selection.duplicates`: whether a pair that a strategy ranks twice is kept once or twice.
    """

    similarity_chosen: Floats
    similarity_rejected: Floats
    log_ratios: Floats
    rng: np.random.Generator
    columns: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    source: str | None = None
    column: str | None = None
    value: str | None = None
    threshold: float = 0.0
    duplicates: Literal["once", "twice"] = "once"

    def __len__(self) -> int:
        """The number of candidates, N."""
        return len(self.similarity_chosen)

    @property
    def compared(self) -> npt.NDArray[np.bool_]:
        """Which pairs have cosines, bool (N,)."""
        import numpy as np

        return ~(np.isnan(self.similarity_chosen) | np.isnan(self.similarity_rejected))


@dataclass(frozen=True, kw_only=True)
class ThresholdRule:
    """A threshold on the cosines of a pair, which it must pass to qualify.

    Attributes:
        value: maps the chosen and the rejected cosines of N pairs to the N values that are compared with the threshold.
        named: that value in words: "the smaller of its two cosines".
        relation: "exceeds": the value must be above the threshold; "reaches": it may equal it.
    """

    value: Callable[[Floats, Floats], Floats]
    named: str
    relation: Literal["exceeds", "reaches"]

    def passes(self, pool: Candidates) -> npt.NDArray[np.bool_]:
        """Which pairs qualify, bool (N,); one without cosines does not, since comparisons with NaN are false."""
        value_N = self.value(pool.similarity_chosen, pool.similarity_rejected)
        return value_N > pool.threshold if self.relation == "exceeds" else value_N >= pool.threshold


Rank: TypeAlias = "Callable[[Candidates], Indices]"
"""Maps N candidates to the indices (0 to N - 1) of those that qualify, best first. Of pairs that tie, the one with the
smaller index should come first."""


@dataclass(frozen=True, kw_only=True)
class Strategy:
    """One way to choose the pairs of a pool that a reward model is refreshed on.

    Attributes:
        name: its name in settings (`selection.strategy`).
        description: one line for help and documentation.
        rank: its rank function; None: it selects no pairs at all.
        reads: what the filter computes for it; None: nothing, and no text is embedded.
        columns: names of the pool's columns that it needs besides the texts; `Candidates.columns` holds their values.
        threshold: the threshold rule that `rank` applies; None: it has none.
        unqualified: the reason that is reported for every pair that `rank` leaves out.
        needs_source: whether `selection.source` must be given.
        needs_column: whether `selection.column`, which it then reads, and `selection.value` must be given.
        takes_all: whether every pair that qualifies is kept, whatever `selection.size` is.

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
    needs_column: bool = False
    takes_all: bool = False

    def __post_init__(self) -> None:
        read = (self.reads, self.columns, self.threshold, self.needs_source, self.needs_column, self.takes_all)
        if self.rank is None and any(read):
            raise ValueError(f"the strategy {self.name} has no rank function, so there is nothing that it could read")
        if self.threshold is not None and self.reads != "cosines":
            raise ValueError(f"the strategy {self.name} has a threshold for cosines, but reads none (reads='cosines')")

    @property
    def selects(self) -> bool:
        """Whether it selects pairs at all; `none` does not."""
        return self.rank is not None

    @property
    def chooses(self) -> bool:
        """Whether it keeps only `selection.size` pairs where more qualify; `all` and `none` do not."""
        return self.selects and not self.takes_all

    @property
    def embeds(self) -> bool:
        """Whether it needs embeddings, of the pairs' texts and of the policy's samples or their prompts."""
        return self.reads == "cosines" or self.tells_apart

    @property
    def tells_apart(self) -> bool:
        """Whether a classifier tells texts of the policy from those of the pool: of completions, prompts, or both."""
        return self.reads in ("density ratio", "prompt density ratio", "joint density ratio")

    @property
    def names_source(self) -> bool:
        """Whether the filter names the source to select, by texts that the policy wrote before its training."""
        return self.reads == "nearest source"

    @property
    def matches_prompts(self) -> bool:
        """Whether `selection.match` applies: compare pairs with samples of their own prompt, or of any."""
        return self.reads == "cosines"

    @property
    def has_ratios(self) -> bool:
        """Whether every pair has a log ratio of its own, by which pairs can be drawn (`take: sample`).

        Not by the joint density ratio: the sum over both completions counts their prompt twice.
        """
        return self.reads in ("density ratio", "prompt density ratio", "policy ratio")

    @property
    def needs_models(self) -> bool:
        """Whether the policy and the SFT model themselves are needed, not only what the policy wrote."""
        return self.reads == "policy ratio"

    @property
    def ranks_by_samples_alone(self) -> bool:
        """Whether a pool and samples are all that it needs, as in `frft bench fixed-actor`: no models, no column."""
        return self.chooses and not (self.needs_models or self.needs_source or self.needs_column)


def best_first(score_N: Floats, qualifies_N: npt.NDArray[np.bool_]) -> Indices:
    """Indices of the rows that qualify, by descending score; ties in ascending order of the index.

    Args:
        score_N: scores, (N,).
        qualifies_N: which rows qualify, bool (N,).
    """
    import numpy as np

    rows = np.flatnonzero(qualifies_N)
    return rows[np.argsort(-score_N[rows], kind="stable")]
