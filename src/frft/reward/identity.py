"""Identities of preference pairs and models, for the inputs of an artifact: equal identities mean equal content."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from frft.models import head_origin, model_source
from frft.models.chat import identified
from frft.store import Artifact, digest_of, folder_digest, plain_inputs
from frft.strategies import strategy_origin

if TYPE_CHECKING:
    import pyarrow as pa

    from frft.reward.aligned import AlignedReward


def pairs_identity(table: pa.Table, *more: str) -> str:
    """Digest of N pairs in their order: ids, texts and, where the table has them, margins, requests and `more` columns.

    Rows that differ in other columns only have one identity: no training reads those.
    """
    names = ("id", "prompt", "chosen", "rejected", "margin", "request", *more)
    return digest_of([[name, table[name].to_pylist()] for name in names if name in table.column_names])


def model_identity(source: Artifact | str | Path) -> Any:
    """Identity of a model: of an artifact itself, of a folder the digest of its files, of a name on the Hub the name.

    A name does not pin a revision of the model.
    That of adapters includes that of what they were trained on; of a model that a package loads, the package's code.
    """
    if isinstance(source, Artifact) or not Path(source).is_dir():
        return source
    files: dict[str, Any] = {"files": folder_digest(Path(source))}
    if (origin := head_origin(source)) is not None:
        files["head"] = origin
    whole = model_source(source)
    if not whole.adapters:
        return files
    below = [{"files": folder_digest(folder.path)} for folder in whole.adapters[:-1]]
    base = {"files": folder_digest(Path(whole.base))} if Path(whole.base).is_dir() else whole.base
    return {**files, "adapters of": [base, whole.revision, *below]}


def model_path(source: Artifact | str | Path) -> str | Path:
    """The folder of a model, or its name on the Hub."""
    return source.path if isinstance(source, Artifact) else source


def reward_identity(reward: AlignedReward) -> str:
    """Digest of all that the refreshes of a reward depend on besides the policy's texts."""
    reference, held_out, selection = reward.reference_samples, reward.held_out, reward.config.selection
    origin = strategy_origin(selection.strategy)
    embeds = reward.config.gate is not None or reward.config.embeds
    return digest_of(
        plain_inputs(
            {
                "reward_model": model_identity(reward.base),
                "backbone": None if reward.backbone is None else model_identity(reward.backbone),
                "pool": pairs_identity(reward.pool, *selection.columns),
                "embedder": reward.vectors.embedder.digest if embeds else None,
                "config": reward.config.identity(),
                "training": identified(reward.training.identity()),
                "reference_samples": None if reference is None else reference.identity,
                "held_out": None if held_out is None else pairs_identity(held_out),
                "gate_pairs": None if reward.gate_pairs is None else pairs_identity(reward.gate_pairs),
                "seed": reward.seed,
                **({} if reward.labeller is None else {"labeller": reward.labeller.identity}),
                **({} if origin is None else {"strategy": origin}),
            }
        )
    )
