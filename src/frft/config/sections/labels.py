"""Fresh labels of a refresh: who gives them, how many, and of which pairs."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from frft.config.sections.base import Section
from frft.config.sections.picks import PickConfig

REPEATS = "repeats"
"""`labels.error`: estimate it from the answers to hidden repetitions."""


class LabelsConfig(PickConfig):
    """Fresh labels of the policy's own texts, on which a refresh trains beside the pairs that it selects.

    A pair is two completions of one prompt by the policy as it is at the refresh. `selection.strategy: none` trains on
    fresh labels alone.
    """

    newer = frozenset({"budget_tokens", "budget_cost"})

    from_: Literal["gold", "judge", "queue", "self"] = Field(alias="from")
    """Who gives them: the gold reward of a world; the judge that `judge` names; whoever answers a file of questions
    (`frft label answer`, `ask`, `import`), for which the run waits; or, as a control, the reward model itself, which
    learns nothing from it but to be surer (SAVE, 2605.30888, grades so; `pick: gap` with `quantile: 1` drops what is
    ambiguous)."""
    budget: int = Field(gt=0)
    """Labels that one refresh may ask for, all of them counted: training, test, repetitions and the audit."""
    budget_tokens: int | None = Field(default=None, gt=0)
    """Tokens of requests and replies that one refresh may take from: judge, for training, test, repetitions, audit and
    gate together; none: no limit. Kept by estimate, so that the last questions may take a little more."""
    budget_cost: float | None = Field(default=None, gt=0)
    """The same in cost, by `evaluation.price`."""
    judge: str | None = Field(default=None, min_length=1)
    """The judge for `from: judge`, named as evaluation.judge is; none: the one that evaluation.judge names."""
    max_candidates: int = Field(default=400, gt=0)
    """Pairs that a rule (`pick`) other than random looks at: in a run, two completions of each of so many prompts."""
    test_share: float = Field(default=0.0, ge=0, lt=1)
    """Share of the budget to test the refreshed reward model on; no conversation is in both parts, nor is
    one tested on that an earlier refresh trained on: there may be fewer for it."""
    repeat_share: float = Field(default=0.0, ge=0, lt=0.5)
    """Share of the budget for hidden repetitions, which measure how consistent the labeller is."""
    noise: float = Field(default=0.0, ge=0, lt=0.5)
    """Exchange the two sides of each answer with this probability, repetitions included: a labeller who is right less
    often, for experiments with `from: gold`."""
    audit: int = Field(default=0, ge=0)
    """At most so many labels of the first refresh's budget are asked of the selected pairs themselves, whose own labels
    are used only where they are shown to be right more often than not; 0: no audit. What it leaves of the budget goes
    to the policy's own texts."""
    audit_by: str | None = Field(default=None, min_length=1)
    """The column of the pool (annotator, chosen_source, ...) whose values are audited one by one; none: all selected
    pairs together."""
    error: float | Literal["repeats"] | None = None
    """How often the labeller errs, at least 0 and below 0.5, for a loss that expects it; `repeats`: as estimated from
    repetitions; none: a plain loss, which takes every label for right."""
    share: float | None = Field(default=None, gt=0, lt=1)
    """Share of the pairs that a refresh trains on that are fresh labels, each taken several times for it; none: each
    once."""
    keep: int | None = Field(default=None, ge=0)
    """For how many later refreshes of the arm labels are used again; none: for all."""

    @classmethod
    def example(cls) -> Section:
        """Sixty labels by a judge."""
        return cls.model_validate({"from": "judge", "budget": 60})

    @property
    def given_error(self) -> float:
        """`error` where it is a number; 0 where it is to be estimated or not known: labels are taken for right."""
        return self.error if isinstance(self.error, float) else 0.0

    @model_validator(mode="after")
    def _go_together(self) -> Self:
        if self.judge is not None and self.from_ != "judge":
            raise ValueError(f"judge: {self.judge} is asked with from: judge alone; set that, or leave it out")
        if self.from_ != "judge" and (self.budget_tokens is not None or self.budget_cost is not None):
            raise ValueError(
                f"budget_tokens and budget_cost are for labels from: judge, and not from: {self.from_}; leave them out"
            )
        if self.noise and self.from_ != "gold":
            raise ValueError("noise: is for labels from: gold; other labellers err by themselves")
        if isinstance(self.error, float) and not 0 <= self.error < 0.5:
            raise ValueError(f"error: must be at least 0 and below 0.5, or {REPEATS}, got {self.error:g}")
        if self.error == REPEATS and not self.repeat_share:
            raise ValueError(f"error: {REPEATS} is estimated from repetitions; set repeat_share above 0")
        if self.test_share + self.repeat_share >= 1:
            raise ValueError("test_share and repeat_share leave nothing to train on; lower them")
        if self.budget < 2 and self.test_share:
            raise ValueError("a budget of one label leaves nothing to test on; set test_share: 0")
        if self.from_ == "self" and (self.audit or self.repeat_share):
            raise ValueError("from: self asks nobody, so there is nothing to audit or to repeat; leave these out")
        if self.audit >= self.budget:
            raise ValueError(f"audit: {self.audit} leaves nothing of budget: {self.budget} to train on; lower it")
        if self.audit_by is not None and not self.audit:
            raise ValueError(f"audit_by: {self.audit_by} is read with audit alone; set audit, or leave it out")
        if self.pick != "random" and self.max_candidates <= self.budget:
            raise ValueError(
                f"pick: {self.pick} chooses {self.budget} of max_candidates: {self.max_candidates} pairs; raise "
                "max_candidates far above the budget, or there is nothing to choose"
            )
        return self
