"""Checks of the arguments of `AlignedReward` when it is made: found at the first refresh, a mistake costs hours."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from frft.config.sections import RefreshConfig, RewardModelConfig
from frft.errors import DataError, ModelError, OutputError, UnknownLengthError, UsageError, check_type
from frft.labels import Labeller, NamedLabeller, PreferenceFunction, named_labeller
from frft.models import find_head, load_model_config, longest_sequence
from frft.progress import Progress
from frft.reward.reward_file import REWARD_FILE, read_reward_file
from frft.reward.samples import PolicySamples
from frft.selection import VectorCache
from frft.store import Artifact, ArtifactStore
from frft.strategies import get_strategy

if TYPE_CHECKING:
    import pyarrow as pa

_NONE = type(None)

_KINDS: Mapping[str, tuple[tuple[type, ...], str]] = {
    "reward_model": ((str, Path, Artifact), "Give the folder of a reward model, or its name."),
    "config": ((RefreshConfig, _NONE), "Give frft.RefreshConfig(alpha=2, ...), or leave it out."),
    "training": ((RewardModelConfig, _NONE), "Give frft.RewardModelConfig(train=frft.TrainConfig(...))."),
    "backbone": ((str, Path, Artifact, _NONE), "Give the folder of a model, or its name."),
    "workdir": ((str, Path), "Give a folder."),
    "vectors": ((VectorCache, _NONE), "Give frft.VectorCache(FOLDER, frft.Embedder())."),
    "store": ((ArtifactStore, _NONE), "Give frft.ArtifactStore(Path(FOLDER)), or workdir alone."),
    "reference_samples": ((PolicySamples, _NONE), "Give frft.PolicySamples.of(prompts, completions)."),
    "seed": ((int,), ""),
    "trust_remote_code": ((bool,), ""),
}
"""For each argument: its allowed types, and what an error tells the caller to give instead."""


def check_kinds(given: Mapping[str, Any]) -> None:
    """Check the types of the arguments of `AlignedReward`, given by name.

    Raises:
        UsageError: an argument has a wrong type; the message says which, what it is, and what to give.
    """
    for name, value in given.items():
        if name in _KINDS:
            check_type(name, value, *_KINDS[name])
    if not hasattr(given["progress"], "task"):
        raise UsageError(
            f"progress is {given['progress']!r:.60}, which cannot report progress. Give frft.for_terminal(), or leave "
            "it out."
        )
    if given["alarms"] is not None and not callable(given["alarms"]):
        raise UsageError(f"alarms is {given['alarms']!r:.60}; it must be a function, or left out.")


def check_settings(
    config: RefreshConfig, backbone: object, pool: pa.Table, reference_samples: PolicySamples | None
) -> None:
    """Check that the settings of refreshes fit the backbone, the pool and the reference policy's samples.

    Raises:
        UsageError: `init: sft` without a backbone, a strategy that names the policy's source without samples of it, an
            ensemble of more than one, or a shaped reward.
        DataError: the pool is empty, or lacks columns that the strategy reads.
    """
    if config.init == "sft" and backbone is None:
        raise UsageError(
            "init: sft starts every refresh from the model that the reward model was trained from. Give it as "
            "`backbone`, or set init: current."
        )
    if config.ensemble > 1:
        raise UsageError(
            f"This reward is one model, not an ensemble of {config.ensemble}. Use frft.FrozenEnsembleReward."
        )
    if config.reward_shaping != "none":
        raise UsageError(
            f"reward_shaping: {config.reward_shaping} compares with completions of the SFT model, which this reward "
            "does not have; `frft run` samples them. Leave the setting out."
        )
    if not pool.num_rows:
        raise DataError("pool holds no preference pairs to refresh on; give at least one.")
    strategy = get_strategy(config.selection.strategy)
    if config.alpha and strategy.names_source and reference_samples is None:
        raise UsageError(
            f"strategy: {strategy.name} needs texts that the policy wrote before its training: give reference_samples "
            "(frft.PolicySamples.of(prompts, completions)); in a run, set reward.normalise_samples above 0."
        )
    lacks = [column for column in config.selection.columns if column not in pool.column_names]
    if config.alpha and lacks:
        raise DataError(
            f"strategy: {strategy.name} reads columns that the pool does not have: {', '.join(lacks)}. Add them to the "
            "pairs, or choose another strategy."
        )


def check_workdir(path: Path) -> None:
    """Check that a folder could be written, without making it.

    Raises:
        OutputError: the folder, or the nearest folder above it that exists, is a file or not writable.
    """
    nearest = next(each for each in (path, *path.absolute().parents) if os.path.lexists(each))
    if not nearest.is_dir() or not os.access(nearest, os.W_OK):
        raise OutputError(
            f"workdir {path} cannot be written: {nearest} is no folder that you may write to. Give another workdir."
        )


def check_models(
    reward_model: Artifact | str | Path, backbone: Artifact | str | Path | None, *, trust_remote_code: bool
) -> None:
    """Check that the models exist and that the reward model has one output or two, from their config.json alone.

    Raises:
        ModelError: there is no such model, or the reward model is no sequence classifier with one output or two.
    """
    if backbone is not None and not isinstance(backbone, Artifact):
        load_model_config(backbone, trust_remote_code=trust_remote_code)
    if isinstance(reward_model, Artifact):
        return
    config = load_model_config(reward_model, trust_remote_code=trust_remote_code)
    # Two outputs are the default of every configuration: they are outputs only where it is for a classifier.
    two = config.num_labels == 2 and any("SequenceClassification" in each for each in config.architectures or ())
    if config.num_labels != 1 and not two and find_head(reward_model) is None:
        made_for = ", ".join(config.architectures or ["nothing that it names"])
        raise ModelError(
            f"{reward_model} has {config.num_labels} outputs by its config.json (made for {made_for}); a reward model "
            "is a sequence classifier with one output, or with two, whose difference is the score. Train one first: "
            "frft reward train."
        )


def training_for(
    reward_model: Artifact | str | Path,
    training: RewardModelConfig | None,
    progress: Progress,
    *,
    trust_remote_code: bool,
) -> RewardModelConfig:
    """The training settings of refreshes: those given, or, where there are none, those that fit the base model.

    Raises:
        UsageError: by the settings given, a refresh would be trained on something else of a text than the base model
            was (`reads`).
        UnknownLengthError: as `training_like`.
    """
    if training is None:
        return training_like(reward_model, progress, trust_remote_code=trust_remote_code)
    file = _reward_file(reward_model)
    if file.exists() and (reads := read_reward_file(file).reads) != training.reads:
        raise UsageError(
            f"{reward_model} was trained with reads: {reads} ({REWARD_FILE}), and a refresh would train it with "
            f"reads: {training.reads}. Set training=frft.RewardModelConfig(reads={reads!r}, ...)."
        )
    return training


def training_like(
    reward_model: Artifact | str | Path, progress: Progress, *, trust_remote_code: bool
) -> RewardModelConfig:
    """Default training settings that fit the base model: what it reads of a text, and its longest sequence (that of its
    training, else all that it can read).

    Raises:
        UnknownLengthError: the model's files do not say how long its sequences may be.
    """
    training, file = RewardModelConfig(), _reward_file(reward_model)
    if file.exists():
        saved = read_reward_file(file)
        max_length, training = saved.max_length, training.model_copy(update={"reads": saved.reads})
    else:
        found = longest_sequence(str(reward_model), trust_remote_code=trust_remote_code)
        if found is None:
            raise UnknownLengthError(
                f"The files of {reward_model} do not say how long the sequences are that it scores. Set the longest, "
                "in tokens, by training=frft.RewardModelConfig(train=frft.TrainConfig(max_length=...)); longer ones "
                "are cut, and counted."
            )
        max_length = found
        progress.say(f"{reward_model} scores sequences of up to {max_length} tokens, as its own files say.")
    return training.model_copy(update={"train": training.train.model_copy(update={"max_length": max_length})})


def _reward_file(reward_model: Artifact | str | Path) -> Path:
    path = reward_model.path if isinstance(reward_model, Artifact) else Path(reward_model)
    return path / REWARD_FILE


def check_callback(config: RefreshConfig) -> None:
    """Check that a trainer of TRL can make the refreshes that are asked for.

    Raises:
        UsageError: the configuration asks for what only `frft run` can do (fresh samples or labels, the policy's
            likelihoods, refreshes on demand, changes of the policy, the optimizers or the KL anchor); or no reward
            model is trained.
    """
    if not config.alpha:
        return
    if config.samples == "fresh":
        raise UsageError(
            "samples: fresh needs a policy to generate from; in a trainer of TRL, this reward only sees the "
            "completions that it scores. Set samples: rollouts."
        )
    if config.when != "scheduled":
        raise UsageError(
            f"when: {config.when} needs the periodic measurements of `frft run`, which a trainer of TRL does "
            "not make. Set when: scheduled, and the steps by alpha, every or at_steps."
        )
    fields = RefreshConfig.model_fields
    ignored = [
        name
        for name in ("reset_optimizer", "restart_policy", "kl_anchor")
        if getattr(config, name) != fields[name].default
    ]
    if ignored:
        raise UsageError(
            f"{', '.join(ignored)}: the policy, its optimizer and the KL reference belong to TRL's trainer, and "
            "this reward cannot change them. Leave these settings out."
        )
    strategy = get_strategy(config.selection.strategy)
    if config.labels == "gold" or strategy.needs_models:
        raise UsageError(
            "In a trainer of TRL, this reward sees only texts. labels: gold and strategies that read the likelihoods "
            "of two models (policy_ratio) need `frft run`: set other labels and another strategy."
        )
    if config.fresh is not None and config.fresh.from_ not in ("judge", "queue"):
        raise UsageError(
            f"labels: from: {config.fresh.from_} needs `frft run`. In a trainer of TRL, set from: judge and give the "
            "reward a labeller=, or from: queue, for people; or refresh it by hand with a Labelling."
        )
    if config.fresh is not None and config.fresh.judge is not None:
        raise UsageError(
            f"labels.judge: {config.fresh.judge} is opened by `frft run` alone. In a trainer of TRL, leave it out and "
            "give the reward a labeller=, such as frft.FunctionLabeller(judge.prefer, NAME)."
        )
    if not config.trains:
        raise UsageError(
            f"strategy: {strategy.name} selects no pairs, so refreshes change nothing. Set alpha: 0, or another "
            "strategy."
        )


def labeller_for(
    config: RefreshConfig, given: NamedLabeller | Labeller | PreferenceFunction | None, folder: Path
) -> NamedLabeller | None:
    """The labeller of a reward, as it was given; or people, who answer files of questions in a folder.

    Raises:
        UsageError: it is no labeller, or nobody would ask it.
    """
    fresh = config.fresh
    if given is None:
        return NamedLabeller("people", "queue", None, folder) if fresh is not None and fresh.from_ == "queue" else None
    named = named_labeller(given, folder)
    if fresh is None:
        raise UsageError(
            f"labeller is {named.name}, and no refresh asks it: config.labels is {config.labels}. Set labels="
            'frft.LabelsConfig(from_="judge", budget=...), or leave the labeller out.'
        )
    if fresh.from_ != "judge" and not (fresh.from_ == "queue" and named.open is None):
        raise UsageError(
            f"labeller is {named.name}, and labels: from: {fresh.from_} asks others. Set from: judge, or leave the "
            "labeller out."
        )
    if fresh.from_ == "judge" and named.open is None:
        raise UsageError(
            f"labeller is {named.name}, whom nobody can open (open: None), and labels: from: judge asks at once. Set "
            "from: queue, or give a labeller that answers."
        )
    return named


def check_labeller(config: RefreshConfig, labeller: NamedLabeller | None) -> None:
    """Check that there is somebody who gives the fresh labels that refreshes ask for.

    Raises:
        UsageError: there is nobody.
    """
    if config.fresh is not None and labeller is None:
        raise UsageError(
            f"labels: from: {config.fresh.from_} asks for fresh labels, and nobody is named who gives them. Give "
            "AlignedReward(labeller=...), pass `labelling` to `refresh`, or set labels: offline."
        )
