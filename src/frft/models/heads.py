"""Heads of reward models: what makes one score of a text's hidden states, and classes that packages add.

A class of models that Transformers does not have is loaded by a package of its own, which names a `RewardHead` in its
metadata, under the name of the class that stands in `architectures` of the model's config.json:

    [project.entry-points."frft.reward_heads"]
    MyRewardModel = "my_package:HEAD"

Nothing else: `frft reward score --model FOLDER`, runs, judges and `RewardModel.load` then load such a folder.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from frft.errors import ModelError, UsageError
from frft.extensions import described_extension, extension_origin, installed_extensions, load_extension
from frft.models.peft_folders import model_source
from frft.models.runtime import quiet

if TYPE_CHECKING:
    from transformers import PreTrainedModel

HEADS_GROUP = "frft.reward_heads"


@dataclass(frozen=True)
class ScoreHead:
    """Where the one output of a reward model comes from.

    Attributes:
        kind: saved: read as it is; difference: two outputs were made one, their difference; value_head: read from
            where OpenRLHF saves it; drawn: random, because no file held one; package: loaded by a `RewardHead`.
        described: the same in words, with the names of the outputs, the seed, or the package.
        drawn: names of the weights that were drawn at random.
    """

    kind: Literal["saved", "difference", "value_head", "drawn", "package"]
    described: str
    drawn: tuple[str, ...] = ()


@dataclass(frozen=True)
class HeadRequest:
    """What a `RewardHead` is to load.

    Attributes:
        name: a folder, or a model's name on the Hub.
        dtype: number format of the weights: float32, bfloat16, float16, or auto (the one that they were saved in).
        trust_remote_code: whether code that comes with the model may be run.
    """

    name: str
    dtype: str
    trust_remote_code: bool


@dataclass(frozen=True)
class RewardHead:
    """A class of reward models that Transformers cannot load by itself.

    Attributes:
        architecture: name of the class, as `architectures` in config.json gives it.
        load: loads one. It is a Transformers model of that class with `config.num_labels` 1, whose
            `model(input_ids=(B, T), attention_mask=(B, T)).logits` are the scores, (B, 1); every weight must have been
            read from the model's files. `save_pretrained` must write what `load` reads.
    """

    architecture: str
    load: Callable[[HeadRequest], PreTrainedModel]


def architecture_of(name: str | Path) -> str | None:
    """The class that a model was saved by, as its config.json says; None: it says nothing, or there is none.

    Raises:
        ModelError: adapters that cannot be used.
    """
    from transformers import PreTrainedConfig

    source = model_source(name)
    try:
        with quiet():
            settings, _ = PreTrainedConfig.get_config_dict(source.base, revision=source.revision)
    except (OSError, ValueError):
        # Whoever loads the model says what is wrong with it.
        return None
    named = settings.get("architectures")
    return str(named[0]) if isinstance(named, list) and named else None


def find_head(name: str | Path) -> EntryPoint | None:
    """The installed package's entry point that loads this model; None: Transformers loads it. Nothing is imported.

    Raises:
        UsageError: several packages claim its class.
    """
    heads = installed_extensions(HEADS_GROUP)
    if not heads or (architecture := architecture_of(name)) not in heads:
        return None
    found = heads[architecture]
    if len(found) > 1:
        raise UsageError(
            f"Several packages load reward models of the class {architecture}: "
            f"{' and '.join(map(described_extension, found))}. Uninstall all but one."
        )
    return found[0]


def head_origin(name: str | Path) -> dict[str, Any] | None:
    """What decides how a package loads this model (see `frft.extensions.extension_origin`); None: no package does."""
    entry = find_head(name)
    return None if entry is None else extension_origin(entry)


def import_head(entry: EntryPoint) -> RewardHead:
    """The object behind an entry point; importing its package may teach Transformers the model's configuration.

    Raises:
        UsageError: it cannot be imported, or is for another class than the entry point names.
    """
    head = load_extension(entry, RewardHead, "reward head")
    if head.architecture != entry.name:
        raise UsageError(
            f"The entry point {entry.name!r} of {described_extension(entry)} leads to a reward head for "
            f"{head.architecture!r}. Give both the same name."
        )
    return head


def load_with_head(entry: EntryPoint, request: HeadRequest) -> tuple[PreTrainedModel, ScoreHead]:
    """Load a reward model by a package.

    Raises:
        UsageError: as `import_head`.
        ModelError: the package raises an error, or what it loads is no model with one output that can be saved and
            loaded again.
    """
    from transformers import PreTrainedModel

    head, who = import_head(entry), described_extension(entry)
    try:
        with quiet():
            model: Any = head.load(request)
    except Exception as error:  # a stranger's code, which fails in its own way
        raise ModelError(
            f"{request.name} cannot be loaded by {who}: {type(error).__name__}: {str(error)[:200]}. Repair the "
            "package, or the model's folder."
        ) from error
    if not isinstance(model, PreTrainedModel) or type(model).__name__ != entry.name or model.config.num_labels != 1:
        outputs = getattr(getattr(model, "config", None), "num_labels", "no")
        raise ModelError(
            f"{who} loads {request.name} as a {type(model).__name__} of {outputs} outputs; it must be a Transformers "
            f"model of the class {entry.name} with one output (config.num_labels)."
        )
    return model, ScoreHead("package", f"one output, loaded by {who}")


def head_modules(model: PreTrainedModel) -> list[str]:
    """Names of the modules outside the backbone that have weights, which are a classifier's head."""
    return [
        name
        for name, module in model.named_children()
        if name != model.base_model_prefix and any(True for _ in module.parameters())
    ]


@contextmanager
def frozen_backbone(model: PreTrainedModel, drawn: Collection[str] = ()) -> Iterator[None]:
    """Within this block only the weights of a classifier's head are trainable; afterwards all are as they were before.

    Args:
        model: a sequence classifier.
        drawn: names of its weights that were drawn at random.

    Raises:
        ModelError: its class does not part backbone and head, or weights of the backbone were drawn at random.
    """
    heads, made = head_modules(model), type(model).__name__
    if model.base_model is model or not heads:
        raise ModelError(
            f"The backbone of a {made} cannot be frozen: its class does not say which part of it is the backbone, and "
            "which the head. Leave out freeze_backbone, or give a sequence classifier of Transformers."
        )
    random = sorted(name for name in drawn if name.startswith(f"{model.base_model_prefix}."))
    if random:
        raise ModelError(
            f"The backbone of this {made} cannot be frozen: its pooler, from which the head reads, was drawn at random "
            f"({random[0]}), since the model's files have none. Leave out freeze_backbone, or give a model with one."
        )
    before = [(weight, weight.requires_grad) for weight in model.parameters()]
    model.base_model.requires_grad_(False)
    try:
        yield
    finally:
        for weight, trainable in before:
            weight.requires_grad_(trainable)


def draw_head(model: PreTrainedModel, fresh: Collection[str]) -> None:
    """Draw the weights of a new head, as `load_with_its_head` in `frft.models.loading` says."""
    import torch

    for name, parameter in model.named_parameters():
        # A new head is recognised by its shape, (1, d), since its name differs between architectures.
        if name in fresh and parameter.ndim == 2 and parameter.shape[0] == 1:
            torch.nn.init.normal_(parameter, std=(parameter.shape[1] + 1) ** -0.5)
        elif name in fresh and parameter.shape == (1,):
            torch.nn.init.zeros_(parameter)
