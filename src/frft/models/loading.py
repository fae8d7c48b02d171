"""Load and save models: weights from safetensors only, and no code from repositories unless it is trusted.

Every loader takes a folder of adapters (PEFT) as it takes any other: see `frft.models.peft_folders`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from frft.errors import ModelError
from frft.models.chat import AUTO, end_token_ids, use_chat_template
from frft.models.classifiers import (
    OPENRLHF_CLASSES,
    OPENRLHF_HEAD,
    fold_outputs,
    refuse_archives,
    refuse_value_head,
    saved_outputs,
    why_no_head,
)
from frft.models.finite_steps import check_weights
from frft.models.heads import HeadRequest, ScoreHead, architecture_of, draw_head, find_head, import_head, load_with_head
from frft.models.hub import hub_asked_once
from frft.models.peft_folders import ModelSource, merge_adapters, model_source
from frft.models.runtime import quiet, seeded
from frft.models.settings_files import check_objects
from frft.paths import did_you_mean
from frft.store import verify_beside

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedModel, PreTrainedTokenizerBase


Dtype = Literal["float32", "bfloat16", "float16", "auto"]
"""Number format of a model's weights and arithmetic; auto: the one that the weights were saved in."""

NO_LIMIT = 10**9
"""Lengths from here on mean "no limit": tokenizers without a limit report 1e30 tokens."""


def load_tokenizer(
    name: str | Path, *, chat_template: str = AUTO, trust_remote_code: bool = False
) -> PreTrainedTokenizerBase:
    """A tokenizer by name or folder, with the chat template that its model is to read conversations by.

    One without a padding token pads by EOS: whoever pads here says by a mask what is text, so nothing depends on what
    padding is, and the vocabulary need not grow.

    Args:
        name: a folder, or a model's name.
        chat_template: `auto` (the tokenizer's own template, or plain text if it has none), `plain`, `none` (contents
            alone), or the path of a file with a template.
        trust_remote_code: run code that comes with the tokenizer.

    Raises:
        ModelError: it cannot be loaded, or has neither an EOS nor a SEP token.
        ArtifactError: its folder has a manifest of frft, and a file was changed since (so do all loaders).
        ChatTemplateError: there is no such template, or it cannot be used.
    """
    from transformers import AutoTokenizer

    source = tokenizer_source(name)
    tokenizer = _load("tokenizer", source, AutoTokenizer.from_pretrained, trust_remote_code=trust_remote_code)
    if tokenizer.eos_token_id is None and tokenizer.sep_token_id is None:
        raise ModelError(f"The tokenizer of {name} has no EOS token, so completions could not end. Use another model.")
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token if tokenizer.eos_token_id is not None else tokenizer.sep_token
    use_chat_template(tokenizer, chat_template, name)
    return tokenizer


def tokenizer_source(name: str | Path) -> ModelSource:
    """Where the tokenizer of a model lies; that of adapters may lie in their folder or with their base.

    Raises:
        ModelError: adapters that cannot be used.
    """
    source = model_source(name)
    place = source.tokenizer
    return replace(source, base=place, revision=source.revision if place == source.base else None)


def load_causal_lm(
    name: str | Path, tokenizer: PreTrainedTokenizerBase, *, trust_remote_code: bool = False
) -> PreTrainedModel:
    """A causal language model by name or folder in float32, with room for every token of `tokenizer`.

    Of the folder's sampling settings (`generation_config.json`: penalties, banned tokens, ...) only the special tokens
    are kept, among them every one that ends a completion (`end_token_ids`): `SamplingConfig` alone says how to sample.

    Raises:
        ModelError: it cannot be loaded, or weights are missing.
    """
    from transformers import AutoModelForCausalLM, GenerationConfig

    from frft.models.kernels import with_fast_kernels

    source = model_source(name)
    model, info = _load(
        "causal language model",
        source,
        AutoModelForCausalLM.from_pretrained,
        trust_remote_code=trust_remote_code,
        use_safetensors=True,
        dtype="float32",
        output_loading_info=True,
    )
    model, drawn = merge_adapters(model, source, drawn_weights(model, info), droppable=False)
    _refuse_missing(name, "language model", drawn)
    _fit_to_tokenizer(model, tokenizer)
    with_fast_kernels(model)
    model.generation_config = GenerationConfig(
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=_all_ends(model, tokenizer),
        pad_token_id=tokenizer.pad_token_id,
    )
    return model


def load_model_config(name: str | Path, *, trust_remote_code: bool = False) -> PretrainedConfig:
    """A model's configuration by name or folder, without its weights.

    That of adapters is that of their base, with as many outputs as the classification head that they bring.

    Raises:
        ModelError: it cannot be loaded.
    """
    from transformers import AutoConfig

    if (entry := find_head(name)) is not None:
        # Importing the package teaches Transformers its configuration.
        import_head(entry)
    source = model_source(name)
    config: PretrainedConfig = _load(
        "configuration of", source, AutoConfig.from_pretrained, trust_remote_code=trust_remote_code
    )
    if source.outputs is not None:
        config.num_labels = source.outputs
    return config


def longest_sequence(name: str | Path, *, trust_remote_code: bool = False) -> int | None:
    """Longest sequence of a model in tokens, from its configuration and tokenizer; None: neither has a limit.

    It is the smaller of the two: RoBERTa's configuration, for one, has two positions more than its tokens can take.

    Raises:
        ModelError: configuration or tokenizer cannot be loaded.
    """
    config = load_model_config(name, trust_remote_code=trust_remote_code).get_text_config()
    tokenizer = load_tokenizer(name, trust_remote_code=trust_remote_code)
    said = (getattr(config, "max_position_embeddings", None), tokenizer.model_max_length)
    limits = [int(tokens) for tokens in said if tokens is not None and 0 < tokens < NO_LIMIT]
    return min(limits) if limits else None


def load_reward_backbone(
    name: str | Path,
    tokenizer: PreTrainedTokenizerBase,
    *,
    seed: int,
    trust_remote_code: bool = False,
    allow_fresh_head: bool = True,
    dtype: Dtype = "float32",
) -> PreTrainedModel:
    """A sequence-classification model with one output; see `load_with_its_head`."""
    return load_with_its_head(
        name,
        tokenizer,
        seed=seed,
        trust_remote_code=trust_remote_code,
        allow_fresh_head=allow_fresh_head,
        dtype=dtype,
    )[0]


def load_with_its_head(
    name: str | Path,
    tokenizer: PreTrainedTokenizerBase,
    *,
    seed: int,
    trust_remote_code: bool = False,
    allow_fresh_head: bool = True,
    dtype: Dtype = "float32",
) -> tuple[PreTrainedModel, ScoreHead]:
    """A sequence-classification model with one output, and where that comes from.

    A classifier with two outputs becomes one whose output is their difference (`frft.models.classifiers`). Where the
    folder holds no head, or one with more outputs, the head is new: weights N(0, 1/(d+1)) as in Stiennon et al.
    2009.01325 (standard deviation 1/sqrt(d+1)), bias 0.

    Args:
        name: name or folder of the model.
        tokenizer: its tokenizer.
        seed: seed of a new head.
        trust_remote_code: whether code in the model's repository may be executed.
        allow_fresh_head: whether a model without a trained head is accepted.
        dtype: number format of its weights and its arithmetic. Adapters are merged in float32 whatever it is.

    Raises:
        ModelError: it cannot be loaded, weights of the backbone are missing, it has a value head, or it needs a fresh
            head where `allow_fresh_head` is false; says what kind of model it is.
    """
    from frft.models.kernels import with_fast_kernels

    refuse_archives(name)
    entry = find_head(name)
    if entry is not None:
        _verify(model_source(name))
        model, head = load_with_head(entry, HeadRequest(str(name), dtype, trust_remote_code))
    else:
        with seeded(seed):
            model, head = _classifier(name, seed, allow_fresh_head, trust_remote_code=trust_remote_code, dtype=dtype)
    _fit_to_tokenizer(model, tokenizer)
    config = model.config.get_text_config()
    if config.pad_token_id is None and tokenizer.pad_token_id != tokenizer.eos_token_id:
        # Where padding is EOS it stays unset: the head would read at the token before EOS (see `filler_id`).
        config.pad_token_id = tokenizer.pad_token_id
    return with_fast_kernels(model), head


def _classifier(
    name: str | Path, seed: int, allow_fresh_head: bool, **arguments: Any
) -> tuple[PreTrainedModel, ScoreHead]:
    from transformers import AutoModelForSequenceClassification

    source, architecture = model_source(name), architecture_of(name)

    def load(outputs: int, **more: Any) -> tuple[PreTrainedModel, dict[str, Any]]:
        found: tuple[PreTrainedModel, dict[str, Any]] = _load(
            "reward model",
            source,
            AutoModelForSequenceClassification.from_pretrained,
            use_safetensors=True,
            num_labels=outputs,
            ignore_mismatched_sizes=True,
            output_loading_info=True,
            **arguments,
            **more,
        )
        return found

    outputs = 2 if source.outputs == 2 else 1
    model, info = load(outputs)
    refuse_value_head(name, info["unexpected_keys"])
    head = ScoreHead("saved", "one output, as it was saved")
    if source.outputs is None and (saved := saved_outputs(info)) == 2:
        outputs = saved
        model, info = load(outputs)
    elif OPENRLHF_HEAD in info["unexpected_keys"]:
        head = ScoreHead("value_head", f"one output, saved as {OPENRLHF_HEAD} by OpenRLHF")
        model, info = load(outputs, key_mapping={rf"^{re.escape(OPENRLHF_HEAD)}": "score.weight"})
    if architecture in OPENRLHF_CLASSES:
        # Its own forward pass reads at the last token of all, padding or not.
        model.config.get_text_config().pad_token_id = None
    model, fresh = merge_adapters(model, source, drawn_weights(model, info), droppable=True)
    # A pooler belongs to the head: language models trained without one (BERT) get a new one with it.
    backbone = {key for key in fresh if key.startswith(f"{model.base_model_prefix}.") and ".pooler." not in key}
    if fresh and not backbone and not allow_fresh_head:
        trust = arguments["trust_remote_code"]
        said = load_model_config(name, trust_remote_code=trust).num_labels
        named = saved_outputs(info) or source.outputs or said
        unread = {key for key in info["unexpected_keys"] if not key.startswith(f"{model.base_model_prefix}.")}
        _refuse_missing(name, "reward model", fresh, why_no_head(architecture, named, unread))
    _refuse_missing(name, "reward model", backbone if outputs == 1 else fresh)
    if fresh:
        draw_head(model, fresh)
        described = f"one output, drawn at random (seed {seed}): it was saved without one"
        return model, ScoreHead("drawn", described, tuple(sorted(fresh)))
    return model, ScoreHead("difference", fold_outputs(model)) if outputs == 2 else head


def check_positions(model: PreTrainedModel, tokens: int, what: str, setting: str) -> None:
    """Raise `ModelError` if sequences are longer than a model can read; a model without a limit reads any.

    Args:
        model: any Transformers model.
        tokens: length of the longest sequence that it will be given.
        what: role of the model, for the message ("policy", "critic", ...).
        setting: the setting that `tokens` comes from, for the message.

    Raises:
        ModelError: the model has fewer positions.
    """
    positions = getattr(model.config.get_text_config(), "max_position_embeddings", None)
    if positions is not None and tokens > positions:
        raise ModelError(
            f"{setting} is {tokens} tokens, but the {what} ({type(model).__name__}) has only {positions} positions. "
            f"Set {setting} to at most {positions} tokens, or use a model with more."
        )


def save_model(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, path: str | Path) -> None:
    """Save weights (safetensors), configuration and tokenizer into a folder that the loaders here read.

    Of several launched processes, any may call this and writes. (Transformers by itself writes weights in the main
    process alone, and in others, silently, a folder without weights.)

    Raises:
        TrainingError: weights are not finite; nothing is written.
    """
    from transformers.utils import CHAT_TEMPLATE_FILE

    check_weights(model, Path(path))
    if tokenizer.chat_template is not None and model.can_generate():
        # So that it ends where a turn does wherever it is served; a tokenizer's EOS may be another token.
        model.generation_config.eos_token_id = _all_ends(model, tokenizer)
    with quiet():
        model.should_save_on_this_rank = lambda is_main_process: is_main_process
        try:
            model.save_pretrained(path)
        finally:
            del model.should_save_on_this_rank
        tokenizer.save_pretrained(path)
    if tokenizer.chat_template is None:
        # Of a model that was saved there before; Transformers leaves it, and would read it as this one's.
        (Path(path) / CHAT_TEMPLATE_FILE).unlink(missing_ok=True)


def _all_ends(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> list[int]:
    """The tokens that end a completion here, and, for wherever else it is served, those that its folder lists."""
    own = model.generation_config
    # Without generation_config.json it lists none: what stands there are defaults of the configuration.
    listed = None if own._from_model_config else own.eos_token_id
    others = listed if isinstance(listed, list) else [] if listed is None else [listed]
    return list(dict.fromkeys([*end_token_ids(model, tokenizer), *others]))


def _fit_to_tokenizer(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> None:
    """Enlarge the token embeddings if the tokenizer has more tokens (an added padding token); they never shrink."""
    if model.get_input_embeddings().num_embeddings < len(tokenizer):
        with seeded(0):
            model.resize_token_embeddings(len(tokenizer))


def drawn_weights(model: PreTrainedModel, info: Mapping[str, Any]) -> set[str]:
    """Names of the weights that were drawn at random, or set to 1 or 0, because no file held them.

    Transformers does not report all of them (`_keys_to_ignore_on_load_missing`, adapters), but marks every parameter
    that it reads; parameters without the mark are added to those that it reports.

    Args:
        model: just loaded by Transformers.
        info: its loading info.
    """
    unmarked = {name for name, weight in model.named_parameters() if not getattr(weight, "_is_hf_initialized", False)}
    return {*unmarked, *info["missing_keys"], *(entry[0] for entry in info["mismatched_keys"])}


def _refuse_missing(
    name: str | Path,
    what: str,
    keys: Iterable[str],
    advice: str = "Use a folder that was saved completely, or train the model first.",
) -> None:
    """Raise `ModelError` if weights are missing: Transformers would silently replace them by random ones."""
    if missing := sorted(keys):
        raise ModelError(
            f"{str(name)!r} holds no complete {what}: {len(missing)} weights are missing "
            f"({', '.join(missing[:3])}). {advice}"
        )


def _verify(source: ModelSource) -> None:
    """Verify all folders that a model comes from by the manifests that lie in them or above them, if there are any."""
    for folder in {Path(source.name), Path(source.base), *(adapters.path for adapters in source.adapters)}:
        if folder.is_dir():
            verify_beside(folder)
            check_objects(folder)


def _load(what: str, source: ModelSource, load: Callable[..., Any], **arguments: Any) -> Any:
    from safetensors import SafetensorError

    if source.revision is not None:
        arguments["revision"] = source.revision
    _verify(source)
    try:
        with quiet(), hub_asked_once(source.base):
            return load(source.base, **arguments)
    except (OSError, ValueError, KeyError, RuntimeError, ImportError, SafetensorError) as error:
        first_line = str(error).strip().splitlines()[0].rstrip(".") if str(error).strip() else type(error).__name__
        hint = (
            "The folder must hold config.json, *.safetensors and the tokenizer's files."
            if Path(source.base).exists()
            else "Give a folder that exists, or the name of a model in the local cache or on the Hub."
        )
        if not Path(source.base).exists():
            hint = f"{did_you_mean(source.base, Path.is_dir).lstrip()} {hint}".lstrip()
        raise ModelError(f"Cannot load the {what} {source.described}: {first_line}. {hint}") from error
