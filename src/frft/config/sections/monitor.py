"""Looks at a policy while it is trained."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from frft.config.sections.base import Section


class MonitorConfig(Section):
    """Diagnoses ("looks") of every arm during training: alarms, broken links, drift (docs/diagnosis.md)."""

    every: int | None = Field(default=None, gt=0)
    """PPO steps between two looks; the first is before training, the last after it. None: no looks."""
    prompts: int = Field(default=200, ge=20)
    """Prompts of the pool that the policy writes to, twice each, at a look: drawn at random, the same at all looks."""
    judge: Literal["held_out", "gold", "evaluation"] | None = None
    """The judge that the reward is compared with. held_out: a reward model (see the section `judge`), trained on
    pairs that nothing else saw, in a world on pairs of its own about other requests. gold: in a world, the gold
    reward, which nobody has outside of one. evaluation: the judge of the win rates. None: the judge that
    evaluation.judge names, else held_out."""
    drift: bool = True
    """Also measure how far the policy's texts have moved since the last refresh, by their embeddings."""
    stop: bool = False
    """End an arm at a look that finds over-optimisation, unless its reward model is refreshed then."""
