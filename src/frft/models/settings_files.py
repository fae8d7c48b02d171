"""The JSON files of a model's folder, which Transformers reads without looking whether they hold objects."""

from __future__ import annotations

from pathlib import Path

from frft.errors import ModelError

OBJECT_FILES = (
    "config.json",
    "generation_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "model.safetensors.index.json",
    "adapter_config.json",
)
"""Each of them, where it is there, is one JSON object."""


def check_objects(folder: Path) -> None:
    """Check that each of `OBJECT_FILES` in a folder begins as a JSON object; what follows is for its reader to check.

    Raises:
        ModelError: one holds something else, or nothing.
    """
    for name in OBJECT_FILES:
        path = folder / name
        if path.is_file():
            with path.open("rb") as file:
                begins = file.read(256).lstrip()[:1]
            if begins != b"{":
                raise ModelError(
                    f"{path} holds no JSON object: it was damaged or edited. Restore it from a copy, or save or fetch "
                    "the model again."
                )
