"""Load a policy from the folder of a stage."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from frft.models import load_causal_lm, load_tokenizer
from frft.store import Artifact

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


def policy_folder(artifact: Artifact) -> Path:
    """The model folder inside the artifact of an SFT model or of a trained segment."""
    return artifact.path if artifact.kind == "sft" else artifact.path / "policy"


def load_policy(folder: Path, *, trust_remote_code: bool) -> tuple[PreTrainedTokenizerBase, PreTrainedModel]:
    """Load a policy's tokenizer and its model in float32, on the GPU where there is one."""
    import torch

    tokenizer = load_tokenizer(folder, trust_remote_code=trust_remote_code)
    model = load_causal_lm(folder, tokenizer, trust_remote_code=trust_remote_code)
    return tokenizer, model.to("cuda" if torch.cuda.is_available() else "cpu")
