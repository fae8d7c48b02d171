"""The critic: a value for every token, from a backbone and a linear head."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import nn

from frft.errors import ModelError
from frft.models import load_backbone, quiet
from frft.store import read_json, write_json

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel


class Critic(nn.Module):  # type: ignore[misc]
    """Values V(s) in units of the normalised reward."""

    def __init__(self, backbone: PreTrainedModel, head: nn.Linear) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = head

    @classmethod
    def from_classifier(cls, classifier: PreTrainedModel, gain: float = 1.0, bias: float = 0.0) -> Critic:
        """Start from a reward model, whose weights are copied (METHOD section 4, item 1).

        The reward model's normalisation is folded into the head, so that the first value of a finished completion
        is exactly its normalised score.

        Raises:
            ModelError: the classifier's head is not one linear layer on the backbone's last hidden state.
        """
        score = getattr(classifier, "score", None)
        if not isinstance(score, nn.Linear):
            raise ModelError(
                f"{type(classifier).__name__} has no linear `score` head to start a critic from. "
                "Use a reward model with a causal backbone (GPT-2, Llama, Qwen, ...)."
            )
        head = nn.Linear(score.in_features, 1, device=score.weight.device)
        with torch.no_grad():
            head.weight.copy_(gain * score.weight)
            offset = 0.0 if score.bias is None else float(score.bias)
            head.bias.fill_(gain * offset + bias)
        return cls(copy.deepcopy(classifier.base_model), head)

    @classmethod
    def from_causal_lm(cls, policy: PreTrainedModel) -> Critic:
        """Start from a language model's backbone with a head of zeros: values are 0 at first.

        For rewards that come from no model, or from one with another tokenizer.
        """
        head = nn.Linear(policy.config.get_text_config().hidden_size, 1, device=policy.device)
        nn.init.zeros_(head.weight)
        nn.init.zeros_(head.bias)
        return cls(copy.deepcopy(policy.base_model), head)

    def forward(self, ids_BT: Tensor, mask_BT: Tensor, positions_BT: Tensor) -> Tensor:
        """The value after each token, (B, T)."""
        hidden_BTD = self.backbone(
            input_ids=ids_BT, attention_mask=mask_BT, position_ids=positions_BT, use_cache=False
        ).last_hidden_state
        values_BT: Tensor = self.head(hidden_BTD).squeeze(-1)
        return values_BT

    def save(self, path: Path) -> None:
        """Save as safetensors: the backbone as a Transformers folder, the head beside it."""
        from safetensors.torch import save_file

        with quiet():
            self.backbone.save_pretrained(path)
        state = {name: tensor.detach().contiguous() for name, tensor in self.head.state_dict().items()}
        save_file(state, path / "head.safetensors")
        write_json(path / "critic.json", {"hidden_size": self.head.in_features})

    @classmethod
    def load(cls, path: Path, *, trust_remote_code: bool = False) -> Critic:
        """Load what `save` wrote; `trust_remote_code`: run code that comes with the backbone.

        Raises:
            ModelError: the backbone cannot be loaded.
        """
        from safetensors.torch import load_file

        head = nn.Linear(read_json(path / "critic.json")["hidden_size"], 1)
        head.load_state_dict(load_file(path / "head.safetensors"))
        return cls(load_backbone(path, trust_remote_code=trust_remote_code), head)
