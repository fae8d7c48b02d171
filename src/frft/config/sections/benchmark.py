"""The benchmark with a fixed actor: a command's settings, not a run's."""

from __future__ import annotations

from typing import Literal, Self, get_args

from pydantic import Field, PositiveInt, ValidationInfo, field_validator, model_validator

from frft.config.sections.base import Section
from frft.config.sections.picks import PickName
from frft.config.sections.refresh import known_strategy
from frft.strategies import BUILT_IN

Start = Literal["scratch", "continue"]
_COMPARED = ("part1", "part2", "part3", "part4", "either", "density", "random")
"""Those compared unless others are named: all that rank by samples alone, but for what reads the prompts as well."""


class FixedActorConfig(Section):
    """What `frft bench fixed-actor` compares, and how its reward models are trained."""

    seeds: int = Field(default=5, gt=0)
    """Number of random train/test splits of the prompts, each with its own seed."""
    strategies: list[str] = Field(default=[each.name for each in BUILT_IN if each.name in _COMPARED])
    """Strategies to compare; `random` is the baseline and always included."""
    sizes: list[PositiveInt] = Field(default=[2000, 8000], min_length=1)
    """Numbers of pairs to select; training on all pairs is always included. With --actor-of, give --shares instead."""
    match: Literal["prompt", "nearest"] | None = None
    """Compare a pair with the actor's samples for the same prompt, or with the nearest of any prompt; none: the same
    prompt, and with --actor-of the nearest."""
    starts: list[Start] = Field(default=list(get_args(Start)), min_length=1)
    """Train on the selected pairs from the start, or continue the reward model that was trained on all of them."""
    train: Literal["linear", "head", "top", "full"] = "head"
    """linear: linear in frozen sentence embeddings, with a ridge penalty chosen within the training pairs; head: a
    small network on frozen sentence embeddings (seconds a training); top: the embedder's last layer, too, on stored
    states of the layers below it (a minute); full: all weights of `backbone`, by TRL."""
    backbone: str | None = None
    """For `full`: a sequence-classification model or a backbone by name or folder; none: the embedder's transformer."""
    steps: int | None = Field(default=None, gt=0)
    """Optimizer steps of a training from scratch, whatever the number of pairs; none: the default of `train`."""
    continue_steps: int | None = Field(default=None, gt=0)
    """Additional optimizer steps when continuing a trained model; none: the default of `train`."""
    batch_size: int | None = Field(default=None, gt=0)
    """Pairs per optimizer step; none: the default of `train`."""
    learning_rate: float | None = Field(default=None, gt=0)
    """Peak learning rate; none: the default of `train`."""
    labels: list[PositiveInt] = Field(default=[])
    """Numbers of labels of the actor's own pairs, beside those that are tested: trained on alone, on top of the reward
    model of all pairs, together with all pairs, and with the selections of `label_strategies`."""
    label_picks: list[PickName] = Field(default=["random"], min_length=1)
    """Rules by which the pairs to label are chosen, as by `frft label pick`; random is always compared with. Others
    need train: linear."""
    label_accuracies: list[float] = Field(default=[1.0], min_length=1)
    """Probabilities that a label is right; the others are exchanged. 1: the labels are those of the data."""
    label_strategies: list[str] = Field(default=[])
    """Strategies to whose selections labels are added, too: at the first of `sizes`, or the share nearest to 25 %."""
    max_tokens: int = Field(default=128, gt=8)
    """Longest sequence of prompt and completion in tokens, for `top` and `full`; longer ones are cut and counted."""

    @field_validator("label_picks")
    @classmethod
    def _random_is_compared(cls, names: list[PickName]) -> list[PickName]:
        if "representative" in names:
            raise ValueError("representative is not compared here; choose from random, disagreement, gap, d_optimal")
        return list(dict.fromkeys(["random", *names]))

    @field_validator("label_accuracies")
    @classmethod
    def _better_than_a_coin(cls, values: list[float]) -> list[float]:
        if any(not 0.5 < each <= 1 for each in values):
            raise ValueError("must be probabilities above 0.5 and at most 1")
        return values

    @model_validator(mode="after")
    def _labels_are_read(self) -> Self:
        given = [
            name for name in ("label_picks", "label_accuracies", "label_strategies") if name in self.model_fields_set
        ]
        if given and not self.labels:
            raise ValueError(f"{' and '.join(given)} would have no effect: give labels, too")
        if self.label_picks != ["random"] and self.train != "linear":
            raise ValueError(f"label_picks other than random read linear features; train is {self.train}")
        if unknown := set(self.label_strategies) - {*self.strategies, "random"}:
            raise ValueError(f"label_strategies {', '.join(sorted(unknown))}: name them in strategies, too")
        return self

    @field_validator("strategies")
    @classmethod
    def _can_be_compared(cls, names: list[str]) -> list[str]:
        for name in names:
            if not known_strategy(name).ranks_by_samples_alone:
                raise ValueError(
                    f"the strategy {name} cannot be compared here, where filters rank a pool by samples alone; choose "
                    f"from {', '.join(each.name for each in BUILT_IN if each.ranks_by_samples_alone)}, or your own"
                )
        return names

    @model_validator(mode="after")
    def _backbone_is_read(self) -> Self:
        if self.backbone is not None and self.train != "full":
            raise ValueError(f"backbone is trained by train: full; {self.train} trains what is put on the embedder")
        return self

    @model_validator(mode="after")
    def _steps_are_read(self) -> Self:
        given = [name for name in ("steps", "continue_steps", "batch_size", "learning_rate") if getattr(self, name)]
        if given and self.train == "linear":
            raise ValueError(
                f"{' and '.join(given)} would have no effect: train: linear is fitted to convergence on all pairs at "
                f"once; "
                "leave them out"
            )
        return self


class OwnPromptsConfig(Section):
    """How `frft bench fixed-actor --actor-of` divides the pairs, and what its actors write."""

    shares: list[float] = Field(default=[5, 10, 25, 50, 75], min_length=1)
    """With --actor-of: sizes of the selections, in per cent of the pool; training on all pairs is always included."""
    folds: int = Field(default=4, ge=3, le=50)
    """With --actor-of: each of so many parts is tested once a seed, by the samples of another, on a pool of all
    others."""
    first_seed: int = Field(default=0, ge=0)
    """With --actor-of: the seeds are this number and those after it, for divisions that nobody has looked at."""
    weights: list[float] = Field(default=[100], min_length=1)
    """With --actor-of: per cent of what the actor writes, and is tested on, that is of its domain; the rest is of the
    others. Several: one actor for each."""

    @field_validator("shares", "weights")
    @classmethod
    def _is_per_cent(cls, values: list[float], info: ValidationInfo) -> list[float]:
        most = "below 100" if info.field_name == "shares" else "at most 100"
        if any(each <= 0 or each > 100 or (each == 100 and info.field_name == "shares") for each in values):
            raise ValueError(f"must be per cent, above 0 and {most}")
        return values
