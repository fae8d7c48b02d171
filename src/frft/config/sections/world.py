"""The dials of a preference world; see docs/worlds.md."""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from frft.config.sections.base import Section


class WorldConfig(Section):
    """A preference world: who writes, who judges, and where the policy starts."""

    seed: int = Field(default=0, ge=0)
    """Random seed of the whole world."""
    pool_size: int = Field(default=20_000, gt=0)
    """Preference pairs in the pool."""
    demonstrations: int = Field(default=10_000, gt=0)
    """Prompts with a completion, to train the SFT model on."""
    train_prompts: int = Field(default=2_000, gt=0)
    """Prompts that `frft world make` writes for reinforcement learning elsewhere; a run has those of its pool."""
    evaluation_prompts: int = Field(default=500, gt=0)
    """Prompts for evaluation."""
    held_out_pairs: int = Field(default=1_000, gt=0)
    """Held-out pairs to test reward models on, and as many for gates; at least as many as `evaluation_prompts`. With
    1000, the 95 % interval of an accuracy is at most 6.2 points wide."""
    categories: int = Field(default=12, ge=3, le=12)
    """Categories of items that requests are about; with fewer, smaller models learn what is asked for."""
    sources: int = Field(default=6, ge=1, le=41)
    """Number of generators of completions, each with its own style and quality."""
    annotators: int = Field(default=6, ge=1, le=41)
    """Number of annotators; source s is followed by annotator number s modulo `annotators`."""
    lambda_: float = Field(default=1.0, ge=0)
    """Weight of an annotator's bias beside the gold reward; both have a standard deviation of about 1."""
    kappa: float = Field(default=1.0, ge=0, le=1)
    """Coupling: the probability that a pair is judged by the annotator that follows its source, not by any."""
    temperature: float = Field(default=1.0, ge=0)
    """Annotator noise: labels are drawn by Bradley-Terry from differences of utility over it; 0 is none."""
    pairs_within_source: bool = True
    """Whether both completions of a pair come from one source; =false: from two."""
    near_policy: int = Field(default=0, ge=0)
    """The source that writes the demonstrations, from 0: where the policy starts."""
    near_lambda: float | None = Field(default=None, ge=0)
    """Lambda of the annotator that follows `near_policy`, where it is not that of the others; 0 makes it a gold one."""
    anti_gold: bool = False
    """Whether the bias of that annotator is against the gold reward; above lambda 1 its labels are, too."""
    drift: float = Field(default=0.0, ge=0, le=1)
    """Share of the demonstrations in a style that no source has."""

    @property
    def near_annotator(self) -> int:
        """The annotator that follows the source which writes the demonstrations."""
        return self.near_policy % self.annotators

    def weight(self, annotator: int) -> float:
        """The weight of an annotator's bias."""
        near = annotator == self.near_annotator and self.near_lambda is not None
        return self.near_lambda if near and self.near_lambda is not None else self.lambda_

    @model_validator(mode="after")
    def _is_possible(self) -> Self:
        if self.near_policy >= self.sources:
            raise ValueError(
                f"near_policy ({self.near_policy}) must be below sources ({self.sources}): they count from 0"
            )
        if self.sources == 1 and not self.pairs_within_source:
            raise ValueError("pairs_within_source: false needs at least two sources")
        if self.kappa == 1 and self.annotators > self.sources:
            raise ValueError(
                f"annotators ({self.annotators}) are more than sources ({self.sources}), and with kappa 1 the rest of "
                "them would judge nothing; lower annotators or kappa"
            )
        if self.anti_gold and self.weight(self.near_annotator) == 0:
            raise ValueError("anti_gold means nothing to an annotator without bias; raise lambda_ or near_lambda")
        return self
