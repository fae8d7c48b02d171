"""The arithmetic floor: floating-point operations that cannot be avoided, over the machine's measured peak.

Counted are the matrix products of a GPT-2 (a multiply-add is 2 operations) on real tokens: no padding, attention to
what is visible only, logits only where a response token is predicted. Everything else (softmax, layer norms, GELU,
sampling, Adam) counts as nothing, so a share of the floor is a share of what no program could beat.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

BACKWARD = 2
"""Products of a backward pass for each of the forward pass: the input's gradient and the weight's."""


class Lengths(NamedTuple):
    """Tokens of one sequence: its prompt, and the response with its EOS."""

    prompt: int
    response: int


@dataclass(frozen=True)
class Shape:
    """A GPT-2."""

    hidden_size: int
    num_hidden_layers: int
    num_attention_heads: int
    vocab_size: int = 4096

    def forward_flops(self, tokens: int, visible: int, logits: int) -> int:
        """Of one forward pass.

        Args:
            tokens: how many go through the blocks.
            visible: pairs of a token and one that it attends to (itself included), over all sequences.
            logits: positions at which the vocabulary's logits are computed.
        """
        width = self.hidden_size
        # Queries, keys and values 3, the attention's output 1, the two layers of the MLP 4 each: 12 products.
        blocks = self.num_hidden_layers * (2 * 12 * width**2 * tokens + 2 * 2 * width * visible)
        return blocks + 2 * width * self.vocab_size * logits

    def sequences_flops(self, lengths: Sequence[Lengths], *, logits: bool) -> int:
        """One causal pass over all that predicts a response token: everything but the last token.

        It is also what sampling them takes, where keys and values are kept.
        """
        seen = [each.prompt + each.response - 1 for each in lengths]
        visible = sum(n * (n + 1) // 2 for n in seen)
        return self.forward_flops(sum(seen), visible, sum(each.response for each in lengths) if logits else 0)

    def update_flops(self, lengths: Sequence[Lengths], epochs: int) -> int:
        """Forward and backward passes of policy and critic, of the same shape, in every epoch."""
        once = self.sequences_flops(lengths, logits=True) + self.sequences_flops(lengths, logits=False)
        return epochs * (1 + BACKWARD) * once

    def step_flops(self, lengths: Sequence[Lengths], epochs: int) -> int:
        """A step of PPO: sample (which gives log-probabilities, too), reference, critic, reward model, update."""
        lm, other = (self.sequences_flops(lengths, logits=logits) for logits in (True, False))
        return 2 * lm + 2 * other + self.update_flops(lengths, epochs)


def peak_flops(seconds: float = 0.3) -> float:
    """Operations a second in float32 products of this process, with its device and threads: the best of several.

    On a CPU, torch has two libraries for them. Which is faster depends on the maker of the CPU, so both are tried.
    """
    import torch

    device = "cuda" if torch.cuda.is_available() else "cpu"
    size = 4096 if device == "cuda" else 768
    left, right = torch.randn(size, size, device=device), torch.randn(size, size, device=device)
    products = [lambda: left @ right]
    if device == "cpu" and torch.backends.mkldnn.is_available():
        products.append(lambda: torch.ops.mkldnn._linear_pointwise(left, right, None, "none", [], ""))
    best = float("inf")
    for product in products:
        started = time.perf_counter()
        while time.perf_counter() - started < seconds:
            before = time.perf_counter()
            product()[0, 0].item()
            best = min(best, time.perf_counter() - before)
    return 2 * size**3 / best
