"""Classes of mutations of rows of preference data: of values, of keys, of structure, of bytes.

A mutation takes a row of a published form and a source of chance; it gives another row, or the bytes of a line.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from random import Random
from typing import Any

Row = dict[str, Any]
Mutation = Callable[[Row, Random], Row | bytes]

_ASKED = [{"role": "user", "content": "Which colour?"}]
_RED, _BLUE = {"role": "assistant", "content": "Red."}, {"role": "assistant", "content": "Blue."}
_DIALOGUE = "\n\nHuman: Hi\n\nAssistant: Hello\n\nHuman: Which colour?\n\nAssistant:"
_NEMO = [{"rank": 1, "completion": [_BLUE]}, {"rank": 0, "completion": [_RED]}]
_UF = [{"model": "a", "response": "Red.", "overall_score": 9}, {"model": "b", "response": "Blue.", "overall_score": 2}]
FORMS: dict[str, Row] = {
    "trl": {"prompt": "Which colour?", "chosen": "Red.", "rejected": "Blue."},
    "trl-messages": {"prompt": _ASKED, "chosen": [_RED], "rejected": [_BLUE]},
    "trl-implicit": {"chosen": "The sky is blue.", "rejected": "The sky is black."},
    "trl-implicit-messages": {"chosen": [*_ASKED, _RED], "rejected": [*_ASKED, _BLUE]},
    "hh-rlhf": {"chosen": f"{_DIALOGUE} Red.", "rejected": f"{_DIALOGUE} Blue."},
    "rm-static": {"prompt": _DIALOGUE, "response": " Red.", "chosen": " Red.", "rejected": " Blue."},
    "ultrafeedback": {"prompt": "Which?", "chosen": [*_ASKED, _RED], "rejected": [*_ASKED, _BLUE], "score_chosen": 9.0},
    "llama-factory": {"instruction": "Which?", "input": "Of wine.", "history": [], "chosen": "Red.", "rejected": "No."},
    "nemo": {"context": _ASKED, "completions": _NEMO},
    "openrlhf": {"input": "Which colour?", "chosen": "Red.", "rejected": "Blue."},
    "with a margin": {"prompt": "Which?", "chosen": "Red.", "rejected": "Blue.", "margin": 0.5},
    "samples": {"prompt": "Which colour?", "completion": "Red.", "model": "a", "score": 0.5},
    "annotations": {"prompt": "Which?", "first": "Red.", "second": "Blue.", "preference": 1},
    "alpaca-eval": {"instruction": "Which?", "output_1": "Red.", "output_2": "Blue.", "preference": 2},
}
"""A row of each published form that is read, and of samples and verdicts."""


def _some(row: Row, chance: Random) -> str:
    return chance.choice(list(row))


def _with(row: Row, chance: Random, value: Any) -> Row:
    return {**row, _some(row, chance): value}


def _value(value: Any) -> Mutation:
    return lambda row, chance: _with(row, chance, copy.deepcopy(value))


def _text(change: Callable[[str, Random], str]) -> Mutation:
    """Change a text anywhere in a row."""

    def mutate(row: Row, chance: Random) -> Row:
        row = copy.deepcopy(row)
        places: list[tuple[Any, Any]] = []

        def walk(holder: Any) -> None:
            for key, value in holder.items() if isinstance(holder, dict) else enumerate(holder):
                if isinstance(value, str):
                    places.append((holder, key))
                elif isinstance(value, dict | list):
                    walk(value)

        walk(row)
        holder, key = chance.choice(places)
        holder[key] = change(holder[key], chance)
        return row

    return mutate


def _insert(what: str) -> Mutation:
    def change(text: str, chance: Random) -> str:
        place = chance.randrange(len(text) + 1)
        return text[:place] + what + text[place:]

    return _text(change)


def _messages(change: Callable[[list[Any], Random], Any]) -> Mutation:
    """Change a list of messages; a row that has none gets one in place of a text."""

    def mutate(row: Row, chance: Random) -> Row:
        row = copy.deepcopy(row)
        lists = [key for key, value in row.items() if isinstance(value, list) and value and isinstance(value[0], dict)]
        key = chance.choice(lists) if lists else _some(row, chance)
        own = row[key] if lists else [*_ASKED, dict(_RED)]
        return {**row, key: change(own, chance)}

    return mutate


def _message_key(name: str, value: Any) -> Mutation:
    def change(messages: list[Any], chance: Random) -> list[Any]:
        chance.choice(messages)[name] = copy.deepcopy(value)
        return messages

    return _messages(change)


def _line(row: Row) -> bytes:
    return json.dumps(row, ensure_ascii=False).encode("utf-8", "surrogatepass")


def _bytes(change: Callable[[bytes, Random], bytes]) -> Mutation:
    return lambda row, chance: change(_line(row), chance)


def _flip(line: bytes, chance: Random) -> bytes:
    place = chance.randrange(len(line))
    return line[:place] + bytes([line[place] ^ (1 << chance.randrange(8))]) + line[place + 1 :]


def _put(what: bytes) -> Mutation:
    def change(line: bytes, chance: Random) -> bytes:
        place = chance.randrange(len(line) + 1)
        return line[:place] + what + line[place:]

    return _bytes(change)


def _nested(row: Row, chance: Random) -> bytes:
    depth = chance.choice((50, 900, 20_000))
    key = json.dumps(_some(row, chance))
    return b"{" + key.encode() + b": " + b"[" * depth + b"]" * depth + b"}"


def _twice(row: Row, chance: Random) -> bytes:
    key = _some(row, chance)
    return _line(row)[:-1] + b", " + json.dumps({key: row[key]}).encode()[1:]


def _renamed(row: Row, chance: Random) -> Row:
    key = _some(row, chance)
    new = chance.choice(
        (key.upper(), f" {key}", f"{key}\u200b", "", "id", "origin_row", key[::-1], "\x1b[31m", "x" * 99)
    )
    return {(new if name == key else name): value for name, value in row.items()}


def _without(row: Row, chance: Random) -> Row:
    gone = _some(row, chance)
    return {key: value for key, value in row.items() if key != gone}


def _alike(row: Row, chance: Random) -> Row:
    one, other = chance.sample(list(row), 2) if len(row) > 1 else (_some(row, chance),) * 2
    return {**row, one: copy.deepcopy(row[other])}


MUTATIONS: dict[str, Mutation] = {
    "nothing": lambda row, _: row,
    "a field is missing": _without,
    "a field has another name": _renamed,
    "null": _value(None),
    "empty text": _value(""),
    "white space": _value(" \n\t\u00a0"),
    "a number": lambda row, chance: _with(row, chance, chance.choice((0, -1, 3.5, 2**63, -(2**64), 10**400, 1e308))),
    "NaN or infinity": lambda row, chance: _with(row, chance, float(chance.choice(("nan", "inf", "-inf")))),
    "a number too large for a float": _bytes(lambda line, _: line[:-1] + b', "score": 1e999, "margin": -1e999}'),
    "a number as text": lambda row, chance: _with(row, chance, chance.choice(("five", "1e999", "\u0665", "1_0"))),
    "true or false": lambda row, chance: _with(row, chance, chance.random() < 0.5),
    "a list": lambda row, chance: _with(row, chance, chance.choice(([], [None], ["a", 1], [[["x"]]]))),
    "an object": lambda row, chance: _with(row, chance, chance.choice(({}, {"a": 1}, {"": {}}, {"role": "user"}))),
    "nested deeply": _nested,
    "half a surrogate": _insert("\ud83d"),
    "a NUL character": _insert("\0"),
    "terminal escapes": _insert("\x1b[2J\x1b]0;x\x07\r"),
    "invisible and right-to-left characters": _insert("\u202e\u200b\ufeff\u2066"),
    "line separators of Unicode": _insert("\u2028\u2029\x85\x0b\x0c"),
    "combining and astral characters": _insert("e\u0301" * 40 + "\U0001f468\u200d\U0001f469\U000e0041\U0010ffff"),
    "a long text": _text(lambda text, chance: text + "long " * chance.choice((5_000, 60_000))),
    "two fields alike": _alike,
    "special tokens": _insert("<|endoftext|><|im_start|>system\n[INST]</s><pad>"),
    "markers of a dialogue": _insert("\n\nHuman: \n\nAssistant:"),
    "a message without role": _messages(lambda own, _: [{"content": "x"}, *own]),
    "an unknown role": _message_key("role", "critic"),
    "a role that is no text": _message_key("role", ["user"]),
    "a content that is no text": _message_key("content", 7),
    "a content of parts": _message_key("content", [{"type": "text", "text": "x"}, {"type": "image", "url": "x"}]),
    "no messages": _messages(lambda _, __: []),
    "messages in disorder": _messages(lambda own, chance: chance.sample([*own, *own, dict(_RED)], 2 * len(own) + 1)),
    "something else among messages": _messages(lambda own, chance: [*own, chance.choice((None, 7, "x", [], {}))]),
    "tool calls": _message_key("tool_calls", [{"function": {"name": "f", "arguments": "{"}}]),
    "two forms at once": lambda row, chance: {**FORMS[chance.choice(list(FORMS))], **row},
    "nested further columns": lambda row, _: {**row, "extra": [{"a": [1, "x"]}], "id": {"x": 1}, "request": 7},
    "a line cut short": _bytes(lambda line, chance: line[: chance.randrange(1, len(line))]),
    "a bit flipped": _bytes(_flip),
    "bytes that are not UTF-8": _put(b"\xff\xc3\x28"),
    "a line break in a line": _put(b"\n"),
    "a key twice": _twice,
    "something behind the object": _bytes(lambda line, chance: line + chance.choice((b",", b" {}", b"]", b"# x"))),
    "no JSON": lambda row, chance: chance.choice((repr(row).encode(), b"null", b"7", b'"x"', b"[]", b"{", b"NaN")),
    "UTF-16": _bytes(lambda line, _: line.decode("utf-8", "replace").encode("utf-16")),
}
"""Classes of mutations by their names."""
