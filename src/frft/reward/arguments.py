"""What `AlignedReward` was given, looked at before any training: a mistake found at the first refresh costs hours."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from frft.config.sections import RefreshConfig, RewardModelConfig
from frft.errors import DataError, ModelError, OutputError, UnknownLengthError, UsageError, check_type
from frft.models import load_model_config, longest_sequence
from frft.progress import Progress
from frft.reward.model import REWARD_FILE, read_reward_file
from frft.reward.samples import PolicySamples
from frft.selection import VectorCache
from frft.store import Artifact, ArtifactStore
from frft.strategies import get_strategy

if TYPE_CHECKING:
    import pyarrow as pa

_NONE = type(None)

_KINDS: Mapping[str, tuple[tuple[type, ...], str]] = {
    "reward_model": ((str, Path, Artifact), "Give the folder of a reward model, or its name."),
    "config": ((RefreshConfig,), "Give frft.RefreshConfig(alpha=2, ...)."),
    "training": ((RewardModelConfig, _NONE), "Give frft.RewardModelConfig(train=frft.TrainConfig(...))."),
    "backbone": ((str, Path, Artifact, _NONE), "Give the folder of a model, or its name."),
    "workdir": ((str, Path), "Give a folder."),
    "vectors": ((VectorCache, _NONE), "Give frft.VectorCache(FOLDER, frft.Embedder())."),
    "store": ((ArtifactStore, _NONE), "Give frft.ArtifactStore(Path(FOLDER)), or workdir alone."),
    "reference_samples": ((PolicySamples, _NONE), "Give frft.PolicySamples.of(prompts, completions)."),
    "seed": ((int,), ""),
    "trust_remote_code": ((bool,), ""),
}
"""What each argument may be, and what to write instead."""


def check_kinds(given: Mapping[str, Any]) -> None:
    """Refuse an argument of a kind that nothing could be done with.

    Raises:
        UsageError: says which argument, what it is, and what to give.
    """
    for name, value in given.items():
        if name in _KINDS:
            check_type(name, value, *_KINDS[name])
    if not hasattr(given["progress"], "task"):
        raise UsageError(f"progress is {given['progress']!r:.60}. Give frft.for_terminal(), or leave it out.")
    for name in ("render", "alarms"):
        if given[name] is not None and not callable(given[name]):
            raise UsageError(f"{name} is {given[name]!r:.60}; it must be a function, or left out.")


def check_settings(config: RefreshConfig, backbone: object, pool: pa.Table) -> None:
    """Refuse settings that this reward, with this backbone and this pool, cannot follow.

    Raises:
        UsageError: refreshes start from a backbone and there is none; or an ensemble is asked for.
        DataError: there are no pairs; or they lack columns that the strategy reads.
    """
    if config.init == "sft" and backbone is None:
        raise UsageError(
            "init: sft starts every refresh from the model that the reward model came from. Name it by `backbone`, "
            "or set init: current."
        )
    if config.ensemble > 1:
        raise UsageError(
            f"This reward is one model, not an ensemble of {config.ensemble}. Use frft.FrozenEnsembleReward."
        )
    if not pool.num_rows:
        raise DataError("pool holds no pairs.")
    strategy = get_strategy(config.selection.strategy)
    lacks = [column for column in strategy.columns if column not in pool.column_names]
    if config.alpha and lacks:
        raise DataError(f"strategy: {strategy.name} reads columns that the pool does not have: {', '.join(lacks)}.")


def check_workdir(path: Path) -> None:
    """Refuse a folder that cannot be made or written to, without making it.

    Raises:
        OutputError: it, or what it would lie in, is a file or not writable.
    """
    nearest = next(each for each in (path, *path.absolute().parents) if os.path.lexists(each))
    if not nearest.is_dir() or not os.access(nearest, os.W_OK):
        raise OutputError(f"workdir {path} cannot be written: {nearest} is no folder that you may write to.")


def check_models(
    reward_model: Artifact | str | Path, backbone: Artifact | str | Path | None, *, trust_remote_code: bool
) -> None:
    """Look at the models' configurations, which costs nothing beside their weights.

    Raises:
        ModelError: there is no such model, or the reward model is no classifier with one output.
    """
    if backbone is not None and not isinstance(backbone, Artifact):
        load_model_config(backbone, trust_remote_code=trust_remote_code)
    if isinstance(reward_model, Artifact):
        return
    config = load_model_config(reward_model, trust_remote_code=trust_remote_code)
    if config.num_labels != 1:
        made_for = ", ".join(config.architectures or ["nothing that it names"])
        raise ModelError(
            f"{reward_model} has {config.num_labels} outputs by its config.json (made for {made_for}); a reward model "
            "is a sequence classifier with one, whose weights are missing there. Train one first: frft reward train."
        )


def training_like(
    reward_model: Artifact | str | Path, progress: Progress, *, trust_remote_code: bool
) -> RewardModelConfig:
    """The default, with sequences as long as the base model's: what it was trained with, else what it can read.

    Raises:
        UnknownLengthError: nothing says how long that is.
    """
    path = reward_model.path if isinstance(reward_model, Artifact) else Path(reward_model)
    training, file = RewardModelConfig(), path / REWARD_FILE
    if file.exists():
        *_, max_length = read_reward_file(file)
    else:
        found = longest_sequence(str(reward_model), trust_remote_code=trust_remote_code)
        if found is None:
            raise UnknownLengthError(
                f"Nothing in {reward_model} says how long the sequences are that it scores. Say it: training="
                "frft.RewardModelConfig(train=frft.TrainConfig(max_length=...)), in tokens; what is longer is cut, and "
                "counted."
            )
        max_length = found
        progress.say(f"{reward_model} scores sequences of up to {max_length} tokens, as its own files say.")
    return training.model_copy(update={"train": training.train.model_copy(update={"max_length": max_length})})
