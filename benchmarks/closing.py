"""The reward model as TRL's PPOTrainer is given it. Needs torch alone."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import torch


class ClosedByEos(torch.nn.Module):
    """A reward model that reads an EOS after an unfinished response, as the one of frft does and as it was trained.

    TRL takes the score at the response's last token. Here that is the state after an EOS that is put behind it, where
    it is not one itself. TRL looks for the attributes `score` and, by the name `base_model_prefix`, `backbone`.

    Args:
        classifier: a sequence-classification model of Transformers with a linear `score` head.
        eos_token_id: what closes a response.
    """

    base_model_prefix = "backbone"

    def __init__(self, classifier: Any, eos_token_id: int) -> None:
        super().__init__()
        self.score = classifier.score
        self.inner = classifier.base_model
        self.eos_token_id = eos_token_id

    def backbone(
        self, input_ids: torch.Tensor, attention_mask: torch.Tensor, position_ids: torch.Tensor, **_: Any
    ) -> SimpleNamespace:
        """Hidden states of B sequences padded to T, `hidden_states[-1]` (B, T, D); all three arguments are (B, T)."""
        unfinished_B = attention_mask[:, -1].bool() & (input_ids[:, -1] != self.eos_token_id)
        eos_B1 = torch.full_like(input_ids[:, :1], self.eos_token_id)
        hidden_BTD = self.inner(
            input_ids=torch.cat([input_ids, eos_B1], dim=1),
            attention_mask=torch.cat([attention_mask, unfinished_B[:, None].to(attention_mask.dtype)], dim=1),
            position_ids=torch.cat([position_ids, position_ids[:, -1:] + 1], dim=1),
            use_cache=False,
        ).last_hidden_state
        last_BD = torch.where(unfinished_B[:, None], hidden_BTD[:, -1], hidden_BTD[:, -2])
        return SimpleNamespace(hidden_states=(torch.cat([hidden_BTD[:, :-2], last_BD[:, None]], dim=1),))
