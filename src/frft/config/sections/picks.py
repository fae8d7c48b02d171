"""The rule by which pairs are chosen to be labelled."""

from __future__ import annotations

from typing import Literal, Self, TypeAlias

from pydantic import Field, model_validator

from frft.config.sections.base import Section

PickName: TypeAlias = Literal["random", "disagreement", "gap", "d_optimal", "representative"]
"""Names of the rules."""
_READ_BY = {"quantile": ("gap",), "prior_precision": ("disagreement", "d_optimal")}
"""Settings that only some rules read."""


class PickConfig(Section):
    """Which of the candidate pairs are labelled."""

    pick: PickName = "random"
    """How pairs are chosen: at random, the control of every other rule; by the disagreement of several reward models
    about which completion is better, or one model's uncertainty of it (Laplace's method in its last layer); by a gap
    between the two scores that is neither small nor large; d_optimal, pairs that together tell most about the last
    layer's weights beside those labelled so far; representative, pairs that together lie near all of the policy's
    texts."""
    quantile: float = Field(default=0.5, ge=0, le=1)
    """gap: the quantile of all candidates' gaps that the chosen ones are near; 0 for the smallest gaps, 1 for the
    largest."""
    prior_precision: float = Field(default=1.0, gt=0)
    """disagreement of one model, d_optimal: 1 / the variance that a typical candidate's difference of scores has before
    any label. The larger, the less the pairs labelled so far count."""
    max_candidates: int = Field(default=2000, gt=0)
    """Largest number of pairs that a rule other than random looks at, drawn at random and spread over the prompts: the
    policy's texts have as many pairs as any two completions of a prompt make."""

    @property
    def reads_models(self) -> bool:
        """Whether the rule reads what reward models say of the candidates."""
        return self.pick in ("disagreement", "gap", "d_optimal")

    @property
    def embeds(self) -> bool:
        """Whether the rule reads embeddings of the candidates and of the policy's texts."""
        return self.pick == "representative"

    def read_settings(self, models: int) -> dict[str, float]:
        """The settings that this choice reads, by name.

        Args:
            models: number of reward models.
        """
        if self.pick == "random":
            return {}
        names = [name for name, rules in _READ_BY.items() if self.pick in rules]
        if self.pick == "disagreement" and models > 1:
            names.remove("prior_precision")
        return {name: getattr(self, name) for name in [*names, "max_candidates"]}

    @model_validator(mode="after")
    def _means_something(self) -> Self:
        for name, rules in _READ_BY.items():
            value = getattr(self, name)
            if value != type(self).model_fields[name].default and self.pick not in rules:
                raise ValueError(f"{name}: {value:g} is read with pick: {' or '.join(rules)} alone; leave it out")
        if self.max_candidates != type(self).model_fields["max_candidates"].default and self.pick == "random":
            raise ValueError("max_candidates: is for rules other than random, which looks at none; leave it out")
        return self
