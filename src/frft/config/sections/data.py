"""Where preference pairs come from."""

from __future__ import annotations

from typing import Self

from pydantic import Field, ValidationInfo, field_validator, model_validator
from pydantic_core import PydanticCustomError

from frft.config.sections.base import Section
from frft.config.sections.world import WorldConfig


class DataConfig(Section):
    """Where the preference pairs come from (`pairs` or `world`, one of the two), and which rows serve which purpose."""

    world: WorldConfig | None = None
    """Instead of pairs: a world that makes them, whose gold reward is then the judge (docs/worlds.md); none: pairs."""
    pairs: str | list[str] | None = Field(default=None, validate_default=True)
    """Files, folders, globs, or the id of a data set on the Hub."""
    split: str = "train"
    """The split of a Hub data set, or of a folder whose files' names say splits (train-*, test-*)."""
    prompt_key: str | None = None
    """Name of the prompt column; none: recognised by its usual names."""
    chosen_key: str | None = None
    """Name of the column of the chosen completion; none: recognised by its usual names."""
    rejected_key: str | None = None
    """Name of the column of the rejected completion; none: recognised by its usual names."""
    max_rejected: float = Field(default=0.01, ge=0, le=1)
    """Largest fraction of unusable rows that is accepted (0 to 1); more is an error."""
    judge_fraction: float = Field(default=0.25, gt=0, lt=1)
    """Share of the prompts whose pairs train the judge and nothing else; in a world, as many more pairs, for looks."""
    evaluation_fraction: float = Field(default=0.1, gt=0, lt=1)
    """Share of the prompts kept for evaluation; no model is trained on them."""
    sft_fraction: float = Field(default=0.5, gt=0, le=1)
    """Share of the remaining prompts whose chosen completions train the SFT model (the paper: half)."""
    limit: int | None = Field(default=None, gt=0)
    """Use only this many pairs, drawn at random, for a smoke run."""

    @field_validator("pairs")
    @classmethod
    def _one_of_the_two(cls, pairs: str | list[str] | None, info: ValidationInfo) -> str | list[str] | None:
        if pairs is not None and not pairs:
            raise PydanticCustomError("too_short", "must not be empty")
        world = info.data.get("world")
        # A world that is itself wrong has an error of its own.
        if pairs is None and world is None and "world" in info.data:
            description = (cls.model_fields["pairs"].description or "").rstrip(".")
            raise ValueError(
                f"is required ({description}). Give it in the file or as data.pairs=PATH; or, where there are no "
                "pairs, data.world={} makes some"
            )
        if pairs is not None and world is not None:
            raise ValueError("is given, and data.world, too; leave one of the two out, or set it to null")
        return pairs

    @model_validator(mode="after")
    def _a_world_deals_out_its_own_rows(self) -> Self:
        if self.world is not None:
            fields = type(self).model_fields
            # judge_fraction is read in a world too: it says how many pairs the judge of looks is trained on.
            own = ("world", "judge_fraction")
            of_pairs = [name for name in fields if name not in own and getattr(self, name) != fields[name].default]
            if of_pairs:
                raise ValueError(
                    f"{', '.join(of_pairs)}: of no use with data.world, which makes rows for every purpose "
                    "(pool_size, demonstrations, evaluation_prompts); leave out"
                )
        return self

    @model_validator(mode="after")
    def _something_is_left(self) -> Self:
        if self.judge_fraction + self.evaluation_fraction >= 1:
            raise ValueError(
                f"judge_fraction ({self.judge_fraction}) and evaluation_fraction "
                f"({self.evaluation_fraction}) leave no pairs to train on; their sum must be below 1"
            )
        keys = [key for key in (self.prompt_key, self.chosen_key, self.rejected_key) if key is not None]
        if len(set(keys)) < len(keys):
            raise ValueError(
                f"prompt_key, chosen_key and rejected_key must be different columns, got {', '.join(keys)}"
            )
        return self
