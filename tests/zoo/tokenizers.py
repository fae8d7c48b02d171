"""Tokenizers trained on the spot, in the families that published models use, with what varies between them.

The file of a model is made as its publisher would: vocabulary, pipeline, special tokens, chat template. `rename`
gives its special tokens other names, everything else being equal: see `frft_zoo.reference`.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .architectures import POSITIONS
from .templates import TEMPLATES

TEXTS = [
    "How do I learn the guitar? Start with simple chords and play every day, slowly at first.",
    "Write a function that adds two numbers.\n\ndef add(a, b):\n    return a + b\n",
    "\n\nHuman: Why is the sky blue?\n\nAssistant: Because air scatters blue light more than red light.",
    "user: I can't find my keys!\nassistant: Where did you see them last? system: You are a helpful assistant.",
    "Der Fluss ist träge, le café est fermé, 你好 世界, Привет мир. 1 2 3 4 5 6 7 8 9 0 [INST] {x: 1}",
] * 3
PIECES = 360
"""Tokens learned from the texts, at most; bytes and special tokens come on top."""
MASK = "<mask>"
_WORDS = r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"


@dataclass(frozen=True)
class Family:
    """A kind of pipeline.

    Attributes:
        model: "bpe", "bytes" (BPE on characters with a byte for whatever has no token), "wordpiece" or "unigram".
        pipeline: puts normalizer, pre-tokenizer and decoder into a `tokenizers.Tokenizer`.
        tokens: names of unk, bos, eos, pad and, where there are such, cls, sep and mask.
        affix: what it puts around every text by itself: "nothing", "bos", "eos" or "both".
        python: whether it is written in Python, as all were once.
    """

    model: str
    pipeline: Callable[[Any], None]
    tokens: dict[str, str]
    affix: str
    python: bool = False


def _byte_level(tokenizer: Any) -> None:
    from tokenizers import decoders, pre_tokenizers

    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()


def _byte_level_words(tokenizer: Any) -> None:
    from tokenizers import Regex, decoders, pre_tokenizers

    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_WORDS), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()


def _byte_level_nfc(tokenizer: Any) -> None:
    from tokenizers import normalizers

    _byte_level_words(tokenizer)
    tokenizer.normalizer = normalizers.NFC()


def _sentencepiece(tokenizer: Any, *, prepend: bool) -> None:
    from tokenizers import decoders, normalizers

    spaces = [normalizers.Replace(" ", "▁")]
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), *spaces] if prepend else spaces)
    tokenizer.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])


def _metaspace(tokenizer: Any) -> None:
    from tokenizers import decoders, pre_tokenizers

    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="first", split=False)
    tokenizer.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])


def _gemma(tokenizer: Any) -> None:
    from tokenizers import pre_tokenizers

    _sentencepiece(tokenizer, prepend=False)
    tokenizer.pre_tokenizer = pre_tokenizers.Split(" ", behavior="merged_with_previous")


def _bert(tokenizer: Any) -> None:
    from tokenizers import decoders, normalizers, pre_tokenizers

    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()


def _deberta(tokenizer: Any) -> None:
    from tokenizers import Regex, decoders, normalizers, pre_tokenizers

    tokenizer.normalizer = normalizers.Sequence(
        [
            normalizers.Replace(Regex(r"\s{2,}|[\n\r\t]"), " "),
            normalizers.NFC(),
            normalizers.Strip(left=False, right=True),
        ]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="always")
    tokenizer.decoder = decoders.Metaspace(replacement="▁", prepend_scheme="always")


_LLAMA = {"unk": "<unk>", "bos": "<s>", "eos": "</s>", "pad": "<pad>"}
_BERT = {"pad": "[PAD]", "unk": "[UNK]", "cls": "[CLS]", "sep": "[SEP]", "mask": "[MASK]"}
_END = "<|endoftext|>"
FAMILIES = {
    "gpt2": Family("bpe", _byte_level, {"eos": _END, "pad": "<|pad|>"}, "nothing"),
    "qwen2": Family("bpe", _byte_level_nfc, {"eos": _END, "unk": _END, "pad": "<|pad|>"}, "nothing"),
    "llama3": Family(
        "bpe",
        _byte_level_words,
        {"bos": "<|begin_of_text|>", "eos": "<|end_of_text|>", "pad": "<|finetune_right_pad_id|>"},
        "bos",
    ),
    "roberta": Family(
        "bpe",
        _byte_level,
        {"cls": "<s>", "pad": "<pad>", "sep": "</s>", "unk": "<unk>", "mask": MASK, "bos": "<s>", "eos": "</s>"},
        "both",
    ),
    "llama2": Family("bytes", functools.partial(_sentencepiece, prepend=True), _LLAMA, "bos"),
    "mistral": Family("bytes", _metaspace, _LLAMA, "bos"),
    "gemma": Family("bytes", _gemma, {"pad": "<pad>", "eos": "<eos>", "bos": "<bos>", "unk": "<unk>"}, "bos"),
    "bert": Family("wordpiece", _bert, _BERT, "both"),
    "deberta": Family("unigram", _deberta, {**_BERT, "bos": "[CLS]", "eos": "[SEP]"}, "both"),
    "slow-bert": Family("wordpiece", _bert, _BERT, "both", python=True),
}
AFFIXES = ("nothing", "bos", "eos", "both")
PADS = ("own", "none", "eos")


@dataclass(frozen=True)
class Recipe:
    """A tokenizer.

    Attributes:
        family: one of `FAMILIES`.
        template: one of `TEMPLATES`.
        affix: what it puts around every text (one of `AFFIXES`); None: as its family does.
        pad: its own pad token, none, or EOS.
        side: padding side.
        added: whether it has tokens that are not special, beside those of its template.
    """

    family: str
    template: str
    affix: str | None = None
    pad: str = "own"
    side: str = "right"
    added: bool = False


def same(name: str) -> str:
    """Special tokens as their publisher named them."""
    return name


def write_tokenizer(recipe: Recipe, folder: Path, rename: Callable[[str], str] = same) -> None:
    """Write a tokenizer's files, as its publisher would, into a folder.

    Args:
        recipe: what it is.
        folder: where its model is.
        rename: gives special tokens other names.
    """
    from frft.models import quiet

    with quiet():
        build(recipe, folder, rename).save_pretrained(folder)


def build(recipe: Recipe, folder: Path, rename: Callable[[str], str] = same) -> Any:
    """A tokenizer; one that is written in Python leaves its vocabulary in the folder."""
    from tokenizers import AddedToken

    family, template = FAMILIES[recipe.family], TEMPLATES[recipe.template]
    roles = {role: rename(name) for role, name in family.tokens.items()}
    marks = [rename(mark) for mark in template.marks]
    named = {f"{role}_token": name for role, name in roles.items()}
    if template.end is not None:
        named["eos_token"] = rename(template.end)
    end = named.get("eos_token", named.get("sep_token"))
    named = {**named, "pad_token": {"own": roles["pad"], "none": None, "eos": end}[recipe.pad]}
    named = {name: token for name, token in named.items() if token is not None}
    if "mask_token" in named:
        named["mask_token"] = AddedToken(named["mask_token"], lstrip=True, special=True, normalized=False)
    arguments = {"model_max_length": POSITIONS, "clean_up_tokenization_spaces": False, "padding_side": recipe.side}
    names = list(dict.fromkeys(roles.values()))
    made = (_python if family.python else _fast)(recipe, names, folder, {**arguments, **named})
    made.add_tokens(
        [AddedToken(mark, rstrip=template.rstrip, special=True, normalized=False) for mark in marks],
        special_tokens=True,
    )
    added = [*template.added, *(("<think>", "<tool_call>", "  ") if recipe.added else ())]
    made.add_tokens([AddedToken(name, special=False, normalized=False) for name in dict.fromkeys(added)])
    text = template.text
    for mark in template.marks:
        text = text.replace(mark, rename(mark))
    made.chat_template = text
    return made


def _fast(recipe: Recipe, names: list[str], folder: Path, arguments: dict[str, Any]) -> Any:
    from tokenizers import Tokenizer
    from tokenizers.processors import TemplateProcessing
    from transformers import PreTrainedTokenizerFast

    family = FAMILIES[recipe.family]
    backend = Tokenizer(_model(family, names))
    family.pipeline(backend)
    backend.add_special_tokens(names)
    made = PreTrainedTokenizerFast(tokenizer_object=backend, **arguments)
    first = made.bos_token or made.cls_token
    last = made.sep_token if family.affix == "both" else made.eos_token
    affix = recipe.affix or family.affix
    parts = [first if affix in ("bos", "both") else None, "$A", last if affix in ("eos", "both") else None]
    around = [part for part in parts if part is not None]
    made.backend_tokenizer.post_processor = TemplateProcessing(
        single=around, special_tokens=[(name, made.convert_tokens_to_ids(name)) for name in {*around} - {"$A"}]
    )
    return made


def _python(recipe: Recipe, names: list[str], folder: Path, arguments: dict[str, Any]) -> Any:
    from transformers import BertTokenizerLegacy

    vocabulary = folder / "vocab.txt"
    pieces = _vocabulary("wordpiece", names)
    vocabulary.write_text("".join(f"{piece}\n" for piece in sorted(pieces, key=pieces.__getitem__)))
    return BertTokenizerLegacy(str(vocabulary), **arguments)


def _model(family: Family, names: list[str]) -> Any:
    from tokenizers import models

    unknown = next(
        (
            name
            for name, role in zip(names, dict.fromkeys(family.tokens.values()), strict=True)
            if role == family.tokens.get("unk")
        ),
        None,
    )
    if family.model == "unigram":
        pieces = [(name, 0.0) for name in names] + [tuple(piece) for piece in _trained("unigram")["vocab"]]
        return models.Unigram(pieces, unk_id=names.index(unknown))
    vocabulary = _vocabulary(family.model, names)
    if family.model == "wordpiece":
        return models.WordPiece(vocabulary, unk_token=unknown)
    merges = [tuple(merge) for merge in _trained(family.model)["merges"]]
    if family.model == "bytes":
        return models.BPE(vocabulary, merges, unk_token=unknown, fuse_unk=True, byte_fallback=True)
    return models.BPE(vocabulary, merges)


def _vocabulary(model: str, names: list[str]) -> dict[str, int]:
    """Special tokens first, then bytes, then what was learned."""
    learned = _trained(model)["vocab"]
    fallback = [f"<0x{byte:02X}>" for byte in range(256)] if model == "bytes" else []
    pieces = dict.fromkeys([*names, *fallback, *sorted(learned, key=learned.__getitem__)])
    return {piece: index for index, piece in enumerate(pieces)}


@functools.cache
def _trained(model: str) -> dict[str, Any]:
    """The learned part of a model, without special tokens."""
    import json

    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers

    bytes_ = pre_tokenizers.ByteLevel.alphabet()
    made, trainer = {
        "bpe": (models.BPE(), trainers.BpeTrainer(vocab_size=PIECES, initial_alphabet=bytes_, show_progress=False)),
        "bytes": (models.BPE(), trainers.BpeTrainer(vocab_size=PIECES, show_progress=False)),
        "wordpiece": (
            models.WordPiece(unk_token="[UNK]"),
            trainers.WordPieceTrainer(vocab_size=PIECES, special_tokens=["[UNK]"], show_progress=False),
        ),
        "unigram": (
            models.Unigram(),
            trainers.UnigramTrainer(
                vocab_size=PIECES, unk_token="<unk>", special_tokens=["<unk>"], show_progress=False
            ),
        ),
    }[model]
    backend = Tokenizer(made)
    if model == "bpe":
        _byte_level_words(backend)
    elif model == "wordpiece":
        backend.normalizer = normalizers.BertNormalizer(lowercase=True)
        backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    else:
        backend.pre_tokenizer = pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="never", split=True)
    backend.train_from_iterator(TEXTS, trainer=trainer)
    learned: dict[str, Any] = json.loads(backend.to_str())["model"]
    if model == "wordpiece":
        del learned["vocab"]["[UNK]"]
    elif model == "unigram":
        learned["vocab"] = [piece for piece in learned["vocab"] if piece[0] != "<unk>"]
    return learned
