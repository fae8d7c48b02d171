"""The critic: a value for every token, from a backbone and a linear head."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

import torch
from torch import nn

from frft.errors import ModelError

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel


class ValueHead(nn.Linear):  # type: ignore[misc]
    """A linear map from a hidden state to a value; starts at 0, since random weights would give noise as values."""

    def __init__(self, hidden_size: int, device: torch.device | None = None) -> None:
        super().__init__(hidden_size, 1, device=device)
        nn.init.zeros_(self.weight)
        nn.init.zeros_(self.bias)

    @classmethod
    def on(cls, policy: PreTrainedModel) -> ValueHead:
        """A value head of the hidden size of `policy`, on its device."""
        return cls(policy.config.get_text_config().hidden_size, policy.device)

    def forward(self, hidden_BTD: Tensor) -> Tensor:
        """Values, (B, T), of hidden states, (B, T, D)."""
        values_BT: Tensor = super().forward(hidden_BTD).squeeze(-1)
        return values_BT


class Critic(nn.Module):  # type: ignore[misc]
    """State values V(s), one for each token, in units of the normalised reward."""

    def __init__(self, backbone: PreTrainedModel, head: ValueHead) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = head

    @classmethod
    def from_classifier(cls, classifier: PreTrainedModel, gain: float = 1.0, bias: float = 0.0) -> Critic:
        """Start from a reward model, whose weights are copied (METHOD section 4, item 1).

        The reward model's normalisation is folded into the head, so that before training, the value of a finished
        completion is exactly its normalised score. By a chat template this is so only where nothing follows the end of
        the turn (ChatML has a line break there, at which the reward model reads), and both models have one template. A
        reward model that reads completions without their prompts gives its weights to a critic that reads both: a
        value says what is to be expected of the policy after its prompt.

        Raises:
            ModelError: the classifier's head is not one linear layer on the backbone's last hidden state.
        """
        score = getattr(classifier, "score", None)
        if not isinstance(score, nn.Linear):
            raise ModelError(
                f"{type(classifier).__name__} has no linear `score` head to start a critic from. "
                "Use a reward model with a causal backbone (GPT-2, Llama, Qwen, ...)."
            )
        # gain * (w h + b) + bias = (gain * w) h + (gain * b + bias).
        head = ValueHead(score.in_features, score.weight.device)
        with torch.no_grad():
            head.weight.copy_(gain * score.weight)
            offset = 0.0 if score.bias is None else float(score.bias)
            head.bias.fill_(gain * offset + bias)
        return cls(copy.deepcopy(classifier.base_model).float(), head)

    @classmethod
    def from_causal_lm(cls, policy: PreTrainedModel) -> Critic:
        """Start from a language model's backbone with a head of zeros: values are 0 at first.

        For rewards that are not computed by a model, or by one with another tokenizer.

        Raises:
            ModelError: the model has adapters.
        """
        if hasattr(policy, "peft_config"):
            raise ModelError("A critic starts from a model without adapters. Make it before the policy gets them.")
        return cls(copy.deepcopy(policy.base_model), ValueHead.on(policy))

    def forward(self, ids_BT: Tensor, mask_BT: Tensor, positions_BT: Tensor) -> Tensor:
        """The value after each token, (B, T)."""
        hidden_BTD = self.backbone(
            input_ids=ids_BT, attention_mask=mask_BT, position_ids=positions_BT, use_cache=False
        ).last_hidden_state
        values_BT: Tensor = self.head(hidden_BTD)
        return values_BT
