"""The mathematics of PPO for language models, as pure functions of tensors.

Shapes: B sequences, T response tokens, V vocabulary. Every `_BT` tensor goes with a float or bool `mask_BT` that
is 1 on response tokens (up to and including the first EOS) and 0 after them. Masked entries never influence a
result, whatever they hold, as long as it is finite.

Sources: Schulman et al. 1707.06347 (PPO), Schulman et al. 1506.02438 (GAE), Ziegler et al. 1909.08593 (RLHF),
Huang et al. 2403.17031 (the details that matter).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F

if TYPE_CHECKING:
    from torch import Tensor


def token_logprobs(logits_BTV: Tensor, tokens_BT: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
    """Log-probability of each token under logits divided by the sampling temperature, and the distribution, (B, T, V).

    Old, new and reference policy all go through here, so that the same temperature applies to all of them.
    """
    logits_BTV = logits_BTV.float()
    if temperature != 1:  # skipped at 1: it costs a pass over all logits, forward and backward
        logits_BTV = logits_BTV / temperature
    logprobs_BTV = F.log_softmax(logits_BTV, dim=-1)
    return logprobs_BTV.gather(-1, tokens_BT.unsqueeze(-1)).squeeze(-1), logprobs_BTV


def token_entropy(logprobs_BTV: Tensor) -> Tensor:
    """Entropy in nats of each token's distribution, (B, T)."""
    entropy_BT = -(logprobs_BTV.exp() * logprobs_BTV).sum(-1)
    if bool(entropy_BT.isfinite().all()):
        return entropy_BT
    # A token that cannot be drawn has the log-probability -inf, and adds nothing: p log p goes to 0 with p.
    return -(logprobs_BTV.exp() * logprobs_BTV.clamp_min(torch.finfo(logprobs_BTV.dtype).min)).sum(-1)


def masked_mean(values_BT: Tensor, mask_BT: Tensor) -> Tensor:
    """Mean over the masked-in entries of the whole batch, a scalar."""
    mask_BT = mask_BT.to(values_BT.dtype)
    return (values_BT * mask_BT).sum() / mask_BT.sum()


def standard_deviation(values_BT: Tensor, mask_BT: Tensor) -> Tensor:
    """Standard deviation of the masked-in entries of the batch (divisor N), a scalar; never 0, safe as a divisor."""
    mean = masked_mean(values_BT, mask_BT)
    return torch.sqrt(masked_mean((values_BT - mean) ** 2, mask_BT) + 1e-8)


def whiten(values_BT: Tensor, mask_BT: Tensor, *, shift_mean: bool = True) -> Tensor:
    """Scale the masked-in entries to variance 1 (and mean 0, or their own mean kept); masked-out entries become 0."""
    mean = masked_mean(values_BT, mask_BT)
    whitened_BT = (values_BT - mean) / standard_deviation(values_BT, mask_BT)
    if not shift_mean:
        whitened_BT = whitened_BT + mean
    return whitened_BT * mask_BT


def token_rewards(
    scores_B: Tensor, logprobs_BT: Tensor, reference_logprobs_BT: Tensor, mask_BT: Tensor, kl_coef: float
) -> Tensor:
    """Per-token rewards, (B, T): -beta (logp - ref_logp) everywhere, and the score once, on the last response token."""
    rewards_BT = -kl_coef * (logprobs_BT - reference_logprobs_BT) * mask_BT
    last_B = mask_BT.long().sum(-1) - 1
    return rewards_BT.scatter_add(-1, last_B.unsqueeze(-1), scores_B.to(rewards_BT.dtype).unsqueeze(-1))


def generalised_advantages(
    rewards_BT: Tensor, values_BT: Tensor, mask_BT: Tensor, gamma: float, lam: float
) -> tuple[Tensor, Tensor]:
    """Generalised advantage estimation (1506.02438, eq. 16).

    Returns:
        advantages_BT, not whitened, and returns_BT = advantages + values; both 0 where masked out.
    """
    mask_BT = mask_BT.to(values_BT.dtype)
    rewards_BT, values_BT = rewards_BT * mask_BT, values_BT * mask_BT
    advantages = []
    next_advantage_B = torch.zeros_like(values_BT[:, 0])
    next_value_B = torch.zeros_like(values_BT[:, 0])
    for t in reversed(range(values_BT.shape[1])):
        # After the last response token the mask makes both 0, so nothing is bootstrapped beyond the episode's end.
        delta_B = rewards_BT[:, t] + gamma * next_value_B - values_BT[:, t]
        next_advantage_B = (delta_B + gamma * lam * next_advantage_B) * mask_BT[:, t]
        next_value_B = values_BT[:, t]
        advantages.append(next_advantage_B)
    advantages_BT = torch.stack(advantages[::-1], dim=1)
    return advantages_BT, (advantages_BT + values_BT) * mask_BT


def policy_loss(
    logprobs_BT: Tensor, old_logprobs_BT: Tensor, advantages_BT: Tensor, mask_BT: Tensor, cliprange: float
) -> tuple[Tensor, Tensor]:
    """Per-token clipped surrogate loss (1707.06347, eq. 7) and whether the clip was active; both (B, T)."""
    # Masked-out log-probabilities may differ by anything; exp of them must not overflow.
    ratio_BT = torch.exp((logprobs_BT - old_logprobs_BT) * mask_BT)
    unclipped_BT = -advantages_BT * ratio_BT
    clipped_BT = -advantages_BT * ratio_BT.clamp(1 - cliprange, 1 + cliprange)
    return torch.maximum(unclipped_BT, clipped_BT), (clipped_BT > unclipped_BT)


def value_loss(values_BT: Tensor, old_values_BT: Tensor, returns_BT: Tensor, cliprange: float) -> Tensor:
    """Per-token value loss, (B, T): half the larger of the squared errors with and without clipping the update."""
    clipped_BT = old_values_BT + (values_BT - old_values_BT).clamp(-cliprange, cliprange)
    return 0.5 * torch.maximum((values_BT - returns_BT) ** 2, (clipped_BT - returns_BT) ** 2)


def kl_loss(logprobs_BT: Tensor, reference_logprobs_BT: Tensor) -> Tensor:
    """The estimator k2 = (logp - ref_logp)^2 / 2 as a per-token loss, (B, T).

    On samples of the policy itself its gradient is that of the token's KL(policy || reference); k3's would be that of
    the reverse, KL(reference || policy) (Liu et al. 2510.01555).
    """
    return 0.5 * (logprobs_BT - reference_logprobs_BT) ** 2


def kl_k1(logprobs_BT: Tensor, reference_logprobs_BT: Tensor, mask_BT: Tensor) -> Tensor:
    """The estimator k1 = sum of (logp - ref_logp), per sequence, (B,): unbiased, may be negative."""
    return ((logprobs_BT - reference_logprobs_BT) * mask_BT).sum(-1)


def kl_k3(logprobs_BT: Tensor, reference_logprobs_BT: Tensor, mask_BT: Tensor) -> Tensor:
    """The estimator k3 = sum of (r - 1 - log r) with r = ref/policy, per sequence, (B,): never negative."""
    log_ratio_BT = (reference_logprobs_BT - logprobs_BT) * mask_BT
    return (torch.expm1(log_ratio_BT) - log_ratio_BT).sum(-1)


def explained_variance(values_BT: Tensor, returns_BT: Tensor, mask_BT: Tensor) -> Tensor:
    """1 - Var(returns - values) / Var(returns) over response tokens, a scalar: 1 is a perfect critic, 0 a constant."""
    mask_BT = mask_BT.bool()
    returns, errors = returns_BT[mask_BT], (returns_BT - values_BT)[mask_BT]
    return 1 - errors.var(correction=0) / returns.var(correction=0).clamp_min(1e-12)


@dataclass
class KLController:
    """beta, fixed (no target) or adaptive (1909.08593, section 2.2), on per-sequence sums of k1.

    Attributes:
        coef: the current beta; part of every checkpoint.
        target: KL to aim at, in nats per sequence; None keeps beta fixed.
        horizon: sequences over which the controller reacts.
    """

    coef: float
    target: float | None
    horizon: int

    def update(self, kl: float, sequences: int) -> None:
        """Adapt beta to the mean per-sequence KL, in nats, of a batch of `sequences` sequences."""
        if self.target is not None:
            error = min(max(kl / self.target - 1, -0.2), 0.2)
            self.coef *= 1 + error * sequences / self.horizon
