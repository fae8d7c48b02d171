"""Models saved as adapters by PEFT: the name of a base, and what was trained on top of it. They are merged on loading.

What is loaded is a plain model, as if it had been saved whole: all of it can be trained, and saving it writes a folder
without adapters and without the name of the base. Weights are read from safetensors alone.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from frft.errors import ModelError
from frft.models.hub import hub_asked_once
from frft.models.runtime import quiet, seeded
from frft.paths import only_a_path

if TYPE_CHECKING:
    from transformers import PreTrainedModel

ADAPTER_CONFIG = "adapter_config.json"
ADAPTER_WEIGHTS = "adapter_model.safetensors"
PICKLED_WEIGHTS = "adapter_model.bin"
TOKENIZER_FILES = ("tokenizer_config.json", "tokenizer.json", "tokenizer.model", "vocab.json", "vocab.txt")
"""A folder that holds one of these brings its own tokenizer."""

BASE_PREFIX = "base_model.model."
"""What PEFT puts before the names of the base model's weights."""

ADAPTER = "saved"
"""PEFT's name of the adapters while they are being merged."""

HEADS = ("score.weight", "classifier.weight", "classifier.out_proj.weight")
"""The last layer of a sequence classifier, by the names that Transformers gives it."""


@dataclass(frozen=True)
class AdapterFolder:
    """One folder of adapters.

    Attributes:
        path: the folder.
        settings: the content of its adapter_config.json.
    """

    path: Path
    settings: Mapping[str, Any]

    @property
    def weights(self) -> Path:
        """The file of the adapters' weights."""
        return self.path / ADAPTER_WEIGHTS

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Shape of every weight by its name in the file, without reading the weights.

        Raises:
            ModelError: the file is damaged.
        """
        from safetensors import SafetensorError, safe_open

        try:
            with safe_open(self.weights, framework="pt") as file:
                return {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
        except (OSError, SafetensorError) as error:
            raise ModelError(f"{self.weights} is damaged: {error}. Save the adapters again.") from error


@dataclass(frozen=True)
class ModelSource:
    """Where the weights of a model come from.

    Attributes:
        name: what was asked for, a folder or a model's name.
        base: the whole model: `name` itself, or what the adapters were trained on.
        revision: version of the base on the Hub; None: the newest, or a folder.
        adapters: adapters to merge into it, in this order; empty for a model that was saved whole.
    """

    name: str
    base: str
    revision: str | None = None
    adapters: tuple[AdapterFolder, ...] = ()

    @property
    def tokenizer(self) -> str:
        """Where the tokenizer lies: with the adapters merged last, or with what they were trained on."""
        for folder in reversed(self.adapters):
            if any((folder.path / name).is_file() for name in TOKENIZER_FILES):
                return str(folder.path)
        return self.base

    @property
    def outputs(self) -> int | None:
        """Outputs of the classification head that the adapters bring; None: they bring none."""
        for folder in reversed(self.adapters):
            shapes = folder.shapes()
            for head in HEADS:
                if BASE_PREFIX + head in shapes:
                    return shapes[BASE_PREFIX + head][0]
        return None

    @property
    def described(self) -> str:
        """The base, for a message, with the adapters that name it."""
        whose = "".join(f", the base of the adapters in {str(folder.path)!r}" for folder in self.adapters[:1])
        return f"{self.base!r}{whose}"


def model_source(name: str | Path) -> ModelSource:
    """Look whether a model was saved as adapters, and on what.

    The base that a folder of adapters names is looked for in that folder, then in the working directory, then as a
    model's name in the local cache or on the Hub. It may be a folder of adapters itself.

    Raises:
        ModelError: adapters without weights in safetensors or without a base, of a kind that cannot be merged, or
            beside a whole model.
    """
    found: list[AdapterFolder] = []
    base, revision = str(name), None
    while folder := _adapters_in(base, revision):
        if any(folder.path.samefile(other.path) for other in found):
            raise ModelError(f"The adapters in {folder.path} are their own base. Correct its {ADAPTER_CONFIG}.")
        found.append(folder)
        base, revision = _base_of(folder)
    return ModelSource(str(name), base, revision, tuple(reversed(found)))


def merge_adapters(
    model: PreTrainedModel, source: ModelSource, drawn: set[str], *, droppable: bool
) -> tuple[PreTrainedModel, set[str]]:
    """Merge the adapters of `source` into its base, one after the other.

    Args:
        model: the base; it is changed.
        source: where it came from.
        drawn: names of the base's weights that no file held.
        droppable: whether the adapters may bring weights outside the backbone that this model has no place for, as
            the output layer of a language model of which a classifier is made.

    Returns:
        The plain model in the number format of its base, all of it trainable, and which weights are drawn after all:
        the head of a classifier, where the adapters bring none, or one with another number of outputs.

    Raises:
        ModelError: weights of the adapters are missing or have no place in the model, or PEFT cannot merge them.
    """
    if not source.adapters:
        return model, drawn
    # In bfloat16, a small change of a weight would be rounded away.
    dtypes = {name: weight.dtype for name, weight in model.named_parameters()}
    for weight in model.parameters():
        weight.data = weight.data.float()
    for folder in source.adapters:
        model, drawn = _merge(model, folder, drawn, droppable=droppable)
    for name, weight in model.named_parameters():
        weight.data = weight.data.to(dtypes.get(name, model.dtype))
    return model, drawn


def _merge(
    model: PreTrainedModel, folder: AdapterFolder, drawn: set[str], *, droppable: bool
) -> tuple[PreTrainedModel, set[str]]:
    shapes = folder.shapes()
    _fit_embeddings(model, shapes)
    _untie(model, shapes)
    own = {name: tuple(weight.shape) for name, weight in model.named_parameters()}
    heads = {name for name in drawn if shapes.get(BASE_PREFIX + name) == own.get(name)}
    backbone = f"{BASE_PREFIX}{model.base_model_prefix}."
    try:
        with quiet(), seeded(0):
            adapted, unread, unexpected = _with_adapters(model, folder)
            unread -= drawn
            if droppable:
                unexpected = {name for name in unexpected if name.startswith(backbone)}
            if wrong := sorted(unread) or sorted(unexpected):
                raise ModelError(
                    f"The adapters in {folder.path} do not fit {type(model).__name__}: {len(wrong)} of their weights "
                    f"{'are missing or of another size' if unread else 'have no place in it'} "
                    f"({', '.join(wrong[:3])}). Check that {ADAPTER_CONFIG} names the base and the kind of model that "
                    "they were trained on, and that the file is whole."
                )
            merged: PreTrainedModel = adapted.merge_and_unload(safe_merge=True)
    except (ValueError, TypeError, KeyError, RuntimeError, AttributeError, ImportError, NotImplementedError) as error:
        first_line = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise ModelError(
            f"The adapters in {folder.path} ({folder.settings['peft_type']}) cannot be merged into "
            f"{type(model).__name__}: {first_line.rstrip('.')}. Merge them where they were trained, and give the whole "
            "model."
        ) from error
    _retie(merged)
    return merged.requires_grad_(True).eval(), drawn - heads


def _with_adapters(model: PreTrainedModel, folder: AdapterFolder) -> tuple[Any, set[str], set[str]]:
    """The model with its adapters, which of their weights the file lacks, and which it has in excess."""
    import peft
    from peft.utils.save_and_load import load_peft_weights, set_peft_model_state_dict

    config = peft.PeftConfig.from_pretrained(str(folder.path))
    # What the model is for decides about wrappers of PEFT's that are of no use here, some of which need a causal model.
    config.task_type, config.inference_mode = None, True
    shapes, whole = folder.shapes(), set(getattr(config, "modules_to_save", None) or ())
    # PEFT cannot load a file that lacks one of these.
    lost = {name for name in whole if not any(name in key.split(".") for key in shapes)}
    if whole:
        config.modules_to_save = sorted(whole - lost) or None
    unread = {name for name, _ in model.named_parameters() if lost & set(name.split("."))}
    adapted = peft.PeftModel(model, config, adapter_name=ADAPTER)
    mapping = getattr(model, "_checkpoint_conversion_mapping", None)
    weights = load_peft_weights(str(folder.path), device=str(model.device), key_mapping=mapping)
    result = set_peft_model_state_dict(adapted, weights, adapter_name=ADAPTER, ignore_mismatched_sizes=True)
    trained = {name: weight for name, weight in adapted.named_parameters() if ADAPTER in name.split(".")}
    missing = set(result.missing_keys)
    # Some kinds share one weight among layers, and save it once.
    read = {weight.data_ptr() for name, weight in trained.items() if name not in missing}
    # What is of another size is not read, either.
    unread |= {_plain(name) for name, weight in trained.items() if name in missing and weight.data_ptr() not in read}
    return adapted, unread, set(result.unexpected_keys)


def _plain(name: str) -> str:
    """A weight's name without what PEFT puts into it."""
    return name.removeprefix(BASE_PREFIX).replace(f".modules_to_save.{ADAPTER}", "").replace(f".{ADAPTER}", "")


def _adapters_in(name: str, revision: str | None) -> AdapterFolder | None:
    from transformers.utils import cached_file

    if Path(name).is_dir():
        path = Path(name)
    else:
        if Path(name).exists() or (found := _on_hub(cached_file, name, ADAPTER_CONFIG, revision)) is None:
            return None
        # The weights are put beside the configuration, where they are found as in any folder.
        _on_hub(cached_file, name, ADAPTER_WEIGHTS, revision)
        path = found.parent
    file = path / ADAPTER_CONFIG
    if not file.is_file():
        return None
    try:
        settings = json.loads(file.read_text())
    except (OSError, ValueError) as error:
        raise ModelError(f"{file} is damaged: {error}. Save the adapters again.") from error
    if not isinstance(settings, dict) or not isinstance(settings.get("peft_type"), str):
        raise ModelError(f"{file} does not say what kind of adapters these are (peft_type). Save them again by PEFT.")
    folder = AdapterFolder(path, settings)
    _check(folder)
    return folder


def _on_hub(find: Any, name: str, file: str, revision: str | None) -> Path | None:
    """A file of a model on the Hub, or None where it has none; whether there is such a model is seen when it loads."""
    try:
        with quiet(), hub_asked_once(name):
            found = find(
                name,
                file,
                revision=revision,
                _raise_exceptions_for_gated_repo=False,
                _raise_exceptions_for_missing_entries=False,
                _raise_exceptions_for_connection_errors=False,
            )
    except (OSError, ValueError):
        return None
    return None if found is None else Path(found)


def _check(folder: AdapterFolder) -> None:
    from peft import PeftType
    from peft.mapping import PEFT_TYPE_TO_PREFIX_MAPPING, PEFT_TYPE_TO_TUNER_MAPPING

    kind = folder.settings["peft_type"]
    known = {each.value for each in PeftType}
    if kind not in known:
        raise ModelError(f"{folder.path} holds adapters of the kind {kind}, which PEFT does not know. Upgrade PEFT.")
    tuner = PEFT_TYPE_TO_TUNER_MAPPING.get(PeftType(kind))
    if tuner is None or not hasattr(tuner, "merge_and_unload") or PeftType(kind) not in PEFT_TYPE_TO_PREFIX_MAPPING:
        raise ModelError(
            f"{folder.path} holds adapters of the kind {kind}, which are no change of the model's weights and cannot "
            "be merged into it. Use LoRA or another kind that changes weights."
        )
    if folder.settings.get("alora_invocation_tokens") or folder.settings.get("megatron_config"):
        named = "activated" if folder.settings.get("alora_invocation_tokens") else "Megatron's"
        raise ModelError(f"{folder.path} holds {named} LoRA adapters, which cannot be merged. Use plain LoRA.")
    whole = [file.name for file in sorted(folder.path.glob("model*.safetensors"))]
    if whole:
        raise ModelError(
            f"{folder.path} holds adapters ({ADAPTER_CONFIG}) beside a whole model ({whole[0]}); which one is meant "
            f"cannot be told. Move {ADAPTER_CONFIG} and {ADAPTER_WEIGHTS} into a folder of their own, whose "
            "base_model_name_or_path is this one, or delete them."
        )
    if not folder.weights.is_file():
        pickled = (folder.path / PICKLED_WEIGHTS).is_file()
        raise ModelError(
            f"{folder.path} holds adapters as {PICKLED_WEIGHTS}, a pickle, which can run code and is not read. "
            f"Load them in PEFT and save them with safe_serialization=True."
            if pickled
            else f"{folder.path} has {ADAPTER_CONFIG}, but no {ADAPTER_WEIGHTS}. Copy the whole folder."
        )


def _base_of(folder: AdapterFolder) -> tuple[str, str | None]:
    """What the adapters were trained on, and in which version."""
    base, revision = (folder.settings.get(name) for name in ("base_model_name_or_path", "revision"))
    file = folder.path / ADAPTER_CONFIG
    if not isinstance(base, str) or not base:
        raise ModelError(f"{file} does not say which model these adapters are for: set base_model_name_or_path in it.")
    places = [folder.path / base, Path(base)]
    folders = [place for place in places if place.is_dir()]
    if len(folders) == 2 and not folders[0].samefile(folders[1]):
        raise ModelError(
            f"{file} names the base {base!r}, and there are two: {folders[0].resolve()} and {folders[1].resolve()}. "
            "Write the whole path into it."
        )
    if folders:
        return str(folders[0].resolve()), None
    if only_a_path(base):
        looked = " and ".join(dict.fromkeys(str(place.absolute()) for place in places))
        raise ModelError(
            f"The adapters in {folder.path} were trained on {base!r}, which is not there (looked for at {looked}). "
            f"Put that model there, or correct base_model_name_or_path in {file}."
        )
    return base, revision if isinstance(revision, str) else None


def _embeddings(model: PreTrainedModel) -> dict[str, Any]:
    """The input and output embeddings by name."""
    wanted = [model.get_input_embeddings(), model.get_output_embeddings()]
    return {name: part for name, part in model.named_modules() if any(part is each for each in wanted)}


def _fit_embeddings(model: PreTrainedModel, shapes: Mapping[str, tuple[int, ...]]) -> None:
    """Give the model as many tokens as it had when its adapters were trained, where they hold its embeddings."""
    for name in _embeddings(model):
        shape = shapes.get(f"{BASE_PREFIX}{name}.weight")
        if shape is not None and shape[0] != model.get_input_embeddings().num_embeddings:
            with quiet(), seeded(0):
                model.resize_token_embeddings(shape[0], mean_resizing=False)


def _untie(model: PreTrainedModel, shapes: Mapping[str, tuple[int, ...]]) -> None:
    """Part input and output embeddings where an adapter changes one of them: merged, it would change both."""
    import torch

    inputs, outputs = model.get_input_embeddings(), model.get_output_embeddings()
    if outputs is None or outputs.weight is not inputs.weight:
        return
    if any(key.startswith(f"{BASE_PREFIX}{name}.") for name in _embeddings(model) for key in shapes):
        outputs.weight = torch.nn.Parameter(inputs.weight.detach().clone())


def _retie(model: PreTrainedModel) -> None:
    """Make the configuration agree with the weights: whether input and output embeddings are one."""
    inputs, outputs = model.get_input_embeddings(), model.get_output_embeddings()
    config = model.config.get_text_config()
    if outputs is None or not config.tie_word_embeddings or outputs.weight is inputs.weight:
        return
    if outputs.weight.equal(inputs.weight):
        outputs.weight = inputs.weight
    else:
        config.tie_word_embeddings = model.config.tie_word_embeddings = False
