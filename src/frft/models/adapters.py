"""Low-rank adapters (LoRA, Hu et al. 2106.09685) by PEFT: few weights to train over a frozen model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

from frft.errors import ModelError
from frft.models.runtime import quiet, seeded

if TYPE_CHECKING:
    from peft import PeftModel
    from transformers import PreTrainedModel

    from frft.config.sections import LoraConfig


def add_adapters(
    model: PreTrainedModel,
    lora: LoraConfig,
    task: Literal["CAUSAL_LM", "SEQ_CLS", "FEATURE_EXTRACTION"],
    *,
    seed: int,
    whole: Sequence[str] = (),
) -> PeftModel:
    """Add new adapters to `model`, in place: its outputs stay the same at first, and only the adapters are trained.

    Args:
        model: any Transformers model.
        lora: rank, scale, dropout and target modules.
        task: PEFT's task type of the model.
        seed: seed of the adapters' A matrices; their B matrices start at 0, so that B A = 0 changes no output.
        whole: names of modules that are trained with all of their weights as well (a new head).

    Raises:
        ModelError: the model has none of `lora.target_modules`.
    """
    import peft

    adapters = peft.LoraConfig(
        task_type=task,
        r=lora.r,
        lora_alpha=lora.lora_alpha,
        lora_dropout=lora.lora_dropout,
        target_modules=lora.target_modules,
        modules_to_save=list(whole) or None,
    )
    try:
        with quiet(), seeded(seed):
            return peft.get_peft_model(model, adapters)
    except ValueError as error:
        layers = sorted({name.rsplit(".", 1)[-1] for name, part in model.named_modules() if not list(part.children())})
        raise ModelError(
            f"Adapters cannot be put on lora.target_modules {lora.target_modules!r}: {error} "
            f"Use 'all-linear', a list of the model's modules ({', '.join(layers)}), "
            "or a regular expression for their whole names."
        ) from error


class WithoutAdapters:
    """A policy with its adapters switched off during a call: a frozen KL reference without a second copy.

    Args:
        policy: a model with adapters.
    """

    def __init__(self, policy: PeftModel) -> None:
        self._policy = policy
        self.config = policy.config

    def __call__(self, **inputs: Any) -> Any:
        with self._policy.disable_adapter():
            return self._policy(**inputs)
