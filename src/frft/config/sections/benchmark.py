"""The benchmark with a fixed actor: a command's settings, not a run's."""

from __future__ import annotations

from typing import Literal, Self, get_args

from pydantic import Field, PositiveInt, field_validator, model_validator

from frft.config.sections.base import Section
from frft.config.sections.refresh import known_strategy
from frft.strategies import BUILT_IN

Start = Literal["scratch", "continue"]


class FixedActorConfig(Section):
    """What `frft bench fixed-actor` compares, and how its reward models are trained."""

    seeds: int = Field(default=5, gt=0)
    """Number of random train/test splits of the prompts, each with its own seed."""
    strategies: list[str] = Field(default=[each.name for each in BUILT_IN if each.ranks_by_samples_alone])
    """Strategies to compare; `random` is the baseline and always included."""
    sizes: list[PositiveInt] = Field(default=[2000, 8000], min_length=1)
    """Numbers of pairs to select; training on all pairs is always included."""
    starts: list[Start] = Field(default=list(get_args(Start)), min_length=1)
    """Train on the selected pairs from the start, or continue the reward model that was trained on all of them."""
    train: Literal["head", "top", "full"] = "head"
    """head: a small network on frozen sentence embeddings (seconds a training); top: the embedder's last layer, too, on
    stored states of the layers below it (a minute); full: all weights of `backbone`, by TRL."""
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
    max_tokens: int = Field(default=128, gt=8)
    """Longest sequence of prompt and completion in tokens, for `top` and `full`; longer ones are cut and counted."""

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
