"""Load and save models: weights from safetensors only, and no code from repositories unless it is trusted.

Every loader takes a folder of adapters (PEFT) as it takes any other: see `frft.models.peft_folders`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from frft.errors import ModelError
from frft.models.chat import AUTO, end_token_ids, use_chat_template
from frft.models.peft_folders import ModelSource, merge_adapters, model_source
from frft.models.runtime import quiet, seeded

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
    # Served elsewhere, it still ends at each token that its folder lists. Without generation_config.json it lists none.
    own = model.generation_config
    listed = None if own._from_model_config else own.eos_token_id
    others = listed if isinstance(listed, list) else [] if listed is None else [listed]
    model.generation_config = GenerationConfig(
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=list(dict.fromkeys([*end_token_ids(model, tokenizer), *others])),
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
    """A sequence-classification model with one output.

    Where the folder holds a causal language model, or a classifier with another number of outputs, the head
    is new: weights N(0, 1/(d+1)) as in Stiennon et al. 2009.01325 (standard deviation 1/sqrt(d+1)), bias 0,
    and the model's attribute `has_fresh_head` is true.

    Args:
        name: name or folder of the model.
        tokenizer: its tokenizer.
        seed: seed of a new head.
        trust_remote_code: whether code in the model's repository may be executed.
        allow_fresh_head: whether a model without a trained head of one output is accepted.
        dtype: number format of its weights and its arithmetic. Adapters are merged in float32 whatever it is.

    Raises:
        ModelError: it cannot be loaded, weights of the backbone are missing, or it needs a fresh head where
            `allow_fresh_head` is false.
    """
    import torch
    from transformers import AutoModelForSequenceClassification

    from frft.models.kernels import with_fast_kernels

    source = model_source(name)
    with seeded(seed):
        model, info = _load(
            "reward model",
            source,
            AutoModelForSequenceClassification.from_pretrained,
            trust_remote_code=trust_remote_code,
            use_safetensors=True,
            dtype=dtype,
            num_labels=1,
            ignore_mismatched_sizes=True,
            output_loading_info=True,
        )
        model, fresh = merge_adapters(model, source, drawn_weights(model, info), droppable=True)
        # A pooler belongs to the head: language models trained without one (BERT) get a new one with it.
        backbone = {key for key in fresh if key.startswith(f"{model.base_model_prefix}.") and ".pooler." not in key}
        _refuse_missing(name, "reward model", backbone if allow_fresh_head else fresh)
        for parameter_name, parameter in model.named_parameters():
            # A new head is recognised by its shape, (1, d), since its name differs between architectures.
            if parameter_name in fresh and parameter.ndim == 2 and parameter.shape[0] == 1:
                torch.nn.init.normal_(parameter, std=(parameter.shape[1] + 1) ** -0.5)
            elif parameter_name in fresh and parameter.shape == (1,):
                torch.nn.init.zeros_(parameter)
    _fit_to_tokenizer(model, tokenizer)
    config = model.config.get_text_config()
    if config.pad_token_id is None and tokenizer.pad_token_id != tokenizer.eos_token_id:
        # Where padding is EOS it stays unset: the head would read at the token before EOS (see `filler_id`).
        config.pad_token_id = tokenizer.pad_token_id
    model.has_fresh_head = bool(fresh)
    return with_fast_kernels(model)


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
    """
    with quiet():
        model.should_save_on_this_rank = lambda is_main_process: is_main_process
        try:
            model.save_pretrained(path)
        finally:
            del model.should_save_on_this_rank
        tokenizer.save_pretrained(path)


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


def _refuse_missing(name: str | Path, what: str, keys: Iterable[str]) -> None:
    """Raise `ModelError` if weights are missing: Transformers would silently replace them by random ones."""
    if missing := sorted(keys):
        raise ModelError(
            f"{str(name)!r} holds no complete {what}: {len(missing)} weights are missing "
            f"({', '.join(missing[:3])}). Use a folder that was saved completely, or train the model first."
        )


def _load(what: str, source: ModelSource, load: Callable[..., Any], **arguments: Any) -> Any:
    from safetensors import SafetensorError

    if source.revision is not None:
        arguments["revision"] = source.revision
    try:
        with quiet():
            return load(source.base, **arguments)
    except (OSError, ValueError, KeyError, RuntimeError, ImportError, SafetensorError) as error:
        first_line = str(error).strip().splitlines()[0].rstrip(".") if str(error).strip() else type(error).__name__
        hint = (
            "The folder must hold config.json, *.safetensors and the tokenizer's files."
            if Path(source.base).exists()
            else "Give a folder that exists, or the name of a model in the local cache or on the Hub."
        )
        raise ModelError(f"Cannot load the {what} {source.described}: {first_line}. {hint}") from error
