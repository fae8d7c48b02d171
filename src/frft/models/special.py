"""Rendered conversations to tokens, where the name of a special token in a content is text, and not that token.

Transformers takes every name in a text for its token, so that a content could end its turn and begin another
("<|im_end|>"). Names in contents are marked before a template is applied. A text that holds a marked one is tokenized
by the tokenizer's twin, whose special tokens have other names: the same vocabulary, pipeline and ids, but for it the
name in the content is nothing but text.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from frft.errors import ChatTemplateError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_MARK = "\ufdd1"
"""Stands inside a name that is text; doubled, for itself. Unicode keeps it, and the next, for use inside programs."""
_MARKED = re.compile(f"{_MARK}({_MARK}?)")
_FENCES = [chr(code) for code in range(0xFDD2, 0xFDF0)]
"""One that a text does not hold stands around the numbers that are the twin's names."""


def special_ids(tokenizer: PreTrainedTokenizerBase) -> set[int]:
    """Ids of the special tokens; templates use some that are no role (BOS, EOS, ...) of the tokenizer's."""
    added = tokenizer.added_tokens_decoder.items()
    return {token for token, said in added if said.special} | {*tokenizer.all_special_ids}


class SpecialTokens:
    """The special tokens of a tokenizer, and their names in contents.

    Args:
        tokenizer: any of Transformers.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase) -> None:
        self.tokenizer = tokenizer
        self._twins: dict[str, Any] = {}

    def as_text(self, content: str) -> str:
        """A content whose names of special tokens are marked as text."""
        return self._special.sub(_marked, content.replace(_MARK, _MARK * 2))

    def named_in(self, text: str) -> bool:
        """Whether a text holds the name of a special token."""
        return self._special.search(text) is not None

    def begins(self, text: str) -> bool:
        """Whether a text begins with the name of a special token."""
        return self._special.match(text) is not None

    def ids(self, texts: Sequence[str]) -> list[list[int]]:
        """Token ids of rendered texts; names are their tokens, but for marked ones. Nothing is put around a text.

        Raises:
            ChatTemplateError: this tokenizer cannot read a marked name as text.
        """
        plain = self._own([_unmarked(text) for text in texts])
        return [self._ids_of_marked(text) if _MARK in text else ids for text, ids in zip(texts, plain, strict=True)]

    def _own(self, texts: Sequence[str]) -> list[list[int]]:
        if not texts:
            return []
        found: list[list[int]] = self.tokenizer(list(texts), add_special_tokens=False, verbose=False)["input_ids"]
        return found

    def _ids_of_marked(self, text: str) -> list[int]:
        read = self._by_twin if hasattr(self.tokenizer, "backend_tokenizer") else self._in_parts
        # A tokenizer that is not read rightly is told by a text without marks, of which it says itself what it is.
        harmless = _MARKED.sub("x", text)
        if read(harmless) != self._own([harmless])[0]:
            shown = _unmarked(text)[:120]
            raise ChatTemplateError(
                "A content holds the name of a special token, and this tokenizer cannot read it as text within the "
                f"template: {shown!a}. Leave that row out, or set chat_template: plain."
            )
        return read(text)

    def _by_twin(self, text: str) -> list[int]:
        fence = next((fence for fence in _FENCES if fence not in text), None)
        if fence is None:
            raise ChatTemplateError("A conversation holds all of Unicode's noncharacters U+FDD2 to U+FDEF.")
        if fence not in self._twins:
            self._twins[fence] = _twin(self.tokenizer, {name: _named(fence, n) for n, name in enumerate(self._names)})
        numbers = {name: n for n, name in enumerate(self._names)}
        renamed = self._special.sub(lambda found: _named(fence, numbers[found.group()]), text)
        ids: list[int] = self._twins[fence].encode(_unmarked(renamed), add_special_tokens=False).ids
        return ids

    def _in_parts(self, text: str) -> list[int]:
        """As tokenizers written in Python do: the texts between added tokens and these, each for itself."""
        return [
            token for part in self._parts(text) for token in ([part] if isinstance(part, int) else self._read(part))
        ]

    def _parts(self, text: str) -> Iterator[str | int]:
        begin, strip = 0, False
        for found in self._added.finditer(text):
            token = self.tokenizer.convert_tokens_to_ids(found.group())
            added: Any = self.tokenizer.added_tokens_decoder.get(token)
            part = text[begin : found.start()]
            part = part.lstrip() if strip else part
            yield part.rstrip() if added is not None and added.lstrip else part
            yield token
            begin, strip = found.end(), added is not None and added.rstrip
        yield text[begin:].lstrip() if strip else text[begin:]

    def _read(self, part: str) -> list[int]:
        text = _unmarked(part)
        ids: list[int] = self.tokenizer(text, add_special_tokens=False, split_special_tokens=True, verbose=False)[
            "input_ids"
        ]
        return ids

    @cached_property
    def _names(self) -> list[str]:
        names = self.tokenizer.convert_ids_to_tokens(sorted(special_ids(self.tokenizer)))
        return _longest_first([str(name) for name in names if name])

    @cached_property
    def _special(self) -> re.Pattern[str]:
        return _any_of(self._names)

    @cached_property
    def _added(self) -> re.Pattern[str]:
        return _any_of(_longest_first([*self._names, *map(str, self.tokenizer.added_tokens_decoder.values())]))


def _twin(tokenizer: Any, renamed: dict[str, str]) -> Any:
    """A fast tokenizer's backend with other names for some tokens, and nothing put around a text."""
    from tokenizers import Tokenizer

    state = json.loads(tokenizer.backend_tokenizer.to_str())
    for added in state["added_tokens"]:
        added["content"] = renamed.get(added["content"], added["content"])
    model = state["model"]
    vocabulary = model["vocab"]
    # Unigram models list pieces and scores; a name among them would be found in any text.
    model["vocab"] = (
        [[renamed.get(piece, piece), score] for piece, score in vocabulary]
        if isinstance(vocabulary, list)
        else {renamed.get(piece, piece): index for piece, index in vocabulary.items()}
    )
    if isinstance(model.get("unk_token"), str):
        model["unk_token"] = renamed.get(model["unk_token"], model["unk_token"])
    if "merges" in model:
        model["merges"] = [merge for merge in model["merges"] if _merged(merge) not in renamed]
    state.update(post_processor=None, truncation=None, padding=None)
    return Tokenizer.from_str(json.dumps(state))


def _merged(merge: str | list[str]) -> str:
    return merge.replace(" ", "") if isinstance(merge, str) else "".join(merge)


def _named(fence: str, number: int) -> str:
    return f"{fence}{number}{fence}"


def _marked(found: re.Match[str]) -> str:
    name = found.group()
    return name[:1] + _MARK + name[1:]


def _unmarked(text: str) -> str:
    return _MARKED.sub(r"\1", text)


def _longest_first(names: Sequence[str]) -> list[str]:
    return sorted({*names} - {""}, key=len, reverse=True)


def _any_of(names: Sequence[str]) -> re.Pattern[str]:
    return re.compile("|".join(map(re.escape, names)) or r"(?!)")
