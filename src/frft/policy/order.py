"""The order in which prompts are rolled out."""

from __future__ import annotations

import torch

from frft.models import seed_for


def prompt_indices(count: int, seed: int, positions: range) -> list[int]:
    """Which of `count` prompts stand at `positions` of an endless sequence of permutations, each seeded by its number.

    A pure function of its arguments, so that a resumed training continues with the same prompts.
    """
    orders = {
        epoch: torch.randperm(count, generator=torch.Generator().manual_seed(seed_for(seed, "prompts", epoch))).tolist()
        for epoch in range(positions[0] // count, positions[-1] // count + 1)
    }
    return [orders[position // count][position % count] for position in positions]
