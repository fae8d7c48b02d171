"""Policy and critic as one module: one forward pass, one optimizer, one module for Accelerate to wrap."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from frft.policy.critic import Critic, ValueHead
from frft.policy.ppo.functions import token_entropy, token_logprobs
from frft.policy.ppo.rollout import ForwardBatch, response_forward

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel


class ActorCritic(nn.Module):  # type: ignore[misc]
    """A policy and its critic, which is a separate model or a head on the policy's last hidden state.

    Args:
        policy: a causal language model, possibly with adapters (PEFT).
        critic: a `Critic`, or a `ValueHead`, which shares the policy's forward pass.
    """

    def __init__(self, policy: PreTrainedModel, critic: Critic | ValueHead) -> None:
        super().__init__()
        self.policy = policy
        self.critic = critic

    def forward(self, batch: ForwardBatch, temperature: float) -> tuple[Tensor, Tensor, Tensor]:
        """Log-probability, entropy (no gradient) and value of each response token, (b, t) each.

        The value of a token is V of the state before it: the prompt and the response tokens so far.
        """
        shared = isinstance(self.critic, ValueHead)
        logits, output = response_forward(self.policy, batch, output_hidden_states=shared)
        logprobs, distribution = token_logprobs(logits, batch.response, temperature)
        with torch.no_grad():
            entropy = token_entropy(distribution.detach())
        before = slice(batch.prompt_width - 1, -1)
        if shared:
            values = self.critic(output.hidden_states[-1][:, before])
        else:
            values = self.critic(batch.ids, batch.mask, batch.positions)[:, before]
        return logprobs, entropy, values.float()

    @contextmanager
    def recomputing(self) -> Iterator[None]:
        """Gradient checkpointing within this block: activations are recomputed in the backward pass, not stored."""
        models = [self.policy] if isinstance(self.critic, ValueHead) else [self.policy, self.critic.backbone]
        for model in models:
            model.activation_checkpointing_enable({"use_reentrant": False})
        # Transformers' blocks look at their own `training` to decide whether to recompute, and some (OPT's) at the same
        # for their dropout, which must stay off: it is true only until they have decided.
        blocks = [module for module in self.modules() if hasattr(module, "_gradient_checkpointing_func")]
        for block in blocks:
            block._gradient_checkpointing_func = _in_evaluation(block, block._gradient_checkpointing_func)
            block.training = True
        try:
            yield
        finally:
            for block in blocks:
                block.training = False
            for model in models:
                model.activation_checkpointing_disable()


def _in_evaluation(block: nn.Module, checkpoint: Callable[..., Any]) -> Callable[..., Any]:
    def run(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        def evaluated(*inner: Any, **more: Any) -> Any:
            before, block.training = block.training, False
            try:
                return function(*inner, **more)
            finally:
                block.training = before

        return checkpoint(evaluated, *args, **kwargs)

    return run
