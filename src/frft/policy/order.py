"""The order in which prompts are rolled out."""

from __future__ import annotations

import torch

from frft.models import seed_for


def prompt_indices(count: int, seed: int, positions: range) -> list[int]:
    """Indices of the prompts at `positions` of an endless sequence of random permutations of `count` prompts.

    Each permutation (epoch) is seeded by its number. A pure function of its arguments, so that a resumed training
    continues with the same prompts.

    Args:
        count: number of prompts.
        seed: seed of the permutations.
        positions: positions in the sequence, ascending.
    """
    orders = {
        epoch: torch.randperm(count, generator=torch.Generator().manual_seed(seed_for(seed, "prompts", epoch))).tolist()
        for epoch in range(positions[0] // count, positions[-1] // count + 1)
    }
    return [orders[position // count][position % count] for position in positions]
