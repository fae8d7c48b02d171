"""YAML as configurations use it."""

import contextlib
import math
import os

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from frft.config.syntax import dotted, dump_yaml, parse_yaml, shown
from frft.errors import ConfigError


def parse(text):
    return parse_yaml(text, "f")[0]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-4", 1e-4),
        ("5.0e-06", 5e-6),
        ("+.5", 0.5),
        ("-1", -1),
        ("010", 10),
        ("0x1f", 31),
        ("true", True),
        ("~", None),
        ("", None),
        ("[4, null]", [4, None]),
        # Traps of YAML 1.1, all of them text here.
        ("no", "no"),
        ("on", "on"),
        ("1:30", "1:30"),
        ("2024-01-01", "2024-01-01"),
        ("1_000", "1_000"),
    ],
)
def test_scalars_follow_the_core_schema(text, value):
    assert parse(text) == value
    assert type(parse(text)) is type(value)


def test_infinities_and_nan_are_numbers():
    assert parse("-.inf") == -math.inf
    assert math.isnan(parse(".nan"))


def test_keys_have_lines():
    value, lines = parse_yaml("a:\n  b: 1\n\n  c: {d: 2}\n", "f")
    assert value == {"a": {"b": 1, "c": {"d": 2}}}
    assert lines == {("a",): 1, ("a", "b"): 2, ("a", "c"): 4, ("a", "c", "d"): 4}


def test_duplicate_keys_are_refused_and_all_named():
    with pytest.raises(ConfigError) as caught:
        parse("a: 1\nb:\n  c: 1\n  c: 2\na: 3\n")
    assert str(caught.value).splitlines() == [
        "f, line 4: b.c: given twice (first on line 3)",
        "f, line 5: a: given twice (first on line 1)",
    ]


def test_merge_keys_work():
    assert parse("base: &b {x: 1, y: 2}\nother:\n  <<: *b\n  y: 3\n")["other"] == {"x": 1, "y": 3}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[1, 2", "line 1, column 6: not valid YAML"),
        ("a: 1\n b: 2\n", "line 2, column 3"),
        ("a: *nope", "undefined alias"),
        ("a: 1\n---\nb: 2\n", "another document"),
        ("? [1]\n: 2\n", "unhashable"),
        ("a: 1\nb: \x07\n", "line 2: not valid YAML: the control character U+0007"),
        ("!!int x", "not valid YAML"),
        ("9" * 5000, "not valid YAML"),
        ("[" * 5000, "nested too deeply"),
    ],
)
def test_broken_yaml_names_its_place(text, message):
    with pytest.raises(ConfigError) as caught:
        parse(text)
    assert str(caught.value).startswith("f")
    assert message in str(caught.value)


def test_yaml_cannot_run_code(tmp_path):
    target = tmp_path / "ran"
    with pytest.raises(ConfigError, match="could not determine a constructor"):
        parse(f"!!python/object/apply:os.mkdir ['{target}']")
    assert not os.path.lexists(target)


SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=12)
NUMERIC = st.text("0123456789.eE+-_:xo~<=", max_size=8)


@settings(deadline=None)
@given(st.dictionaries(st.text(min_size=1, max_size=5), SCALARS | NUMERIC | st.lists(SCALARS, max_size=3)))
def test_what_is_dumped_reads_back_the_same(value):
    text = dump_yaml(value)
    assert parse(text) == value
    # And any YAML 1.1 reader takes text for text, too.
    theirs = yaml.safe_load(text)
    assert {key: theirs[key] for key, item in value.items() if isinstance(item, str)} == {
        key: item for key, item in value.items() if isinstance(item, str)
    }


@settings(deadline=None)
@given(st.text(max_size=40))
def test_any_text_is_a_value_or_a_config_error(text):
    with contextlib.suppress(ConfigError):
        parse(text)


def test_keys_as_messages_name_them():
    assert dotted(["refresh", "at_steps", 1]) == "refresh.at_steps[1]"
    assert dotted(["a", "\x1b[31m"]) == "a.'\\x1b[31m'"


def test_values_as_messages_show_them():
    assert shown(None) == "null"
    assert shown(True) == "true"
    assert shown("\x1b[31m\n") == r"'\x1b[31m\n'"
    assert len(shown("x" * 10_000)) <= 80


MERGES = "a0: &a0 {k: 1}\n" + "".join(f"a{n}: &a{n}\n  <<: [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 40))
LISTS = "a0: &a0 [1, 2]\n" + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 40))


@pytest.mark.parametrize("text", [MERGES, LISTS], ids=["merge keys", "aliases"])
def test_aliases_that_grow_exponentially_are_refused_at_once(text):
    with pytest.raises(ConfigError, match=r"x.yaml: its aliases .* and merge keys \(<<\) stand for \d+ values"):
        parse_yaml(text, "x.yaml")


def test_aliases_of_ordinary_size_are_read():
    value, _ = parse_yaml("a: &a {x: 1}\nb: {<<: *a, y: 2}\nc: [*a, *a]\n", "x.yaml")
    assert value == {"a": {"x": 1}, "b": {"x": 1, "y": 2}, "c": [{"x": 1}, {"x": 1}]}


def test_a_list_that_holds_itself_is_shown_shortened():
    assert len(shown(parse("a: &a [*a]"))) < 100
