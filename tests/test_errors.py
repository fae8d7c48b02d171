"""The error tree is the one that its docstring draws."""

import inspect
import re

import pytest

from frft import errors

LINE = re.compile(r"^ {4}(?P<branch>[│├└─ ]*)(?P<name>[A-Z]\w+Error)\s+(?P<what>.+)$")


def drawn_tree() -> dict[str, tuple[str | None, int]]:
    """For every error in the docstring's drawing: its parent, and its exit status."""
    tree: dict[str, tuple[str | None, int]] = {}
    parents: list[str] = []
    for match in filter(None, map(LINE.match, errors.__doc__.splitlines())):
        depth = len(match["branch"]) // 4
        parents[depth:] = [match["name"]]
        parent = parents[depth - 1] if depth else None
        status = re.search(r"exit status (\d+)", match["what"])
        tree[match["name"]] = (parent, int(status[1]) if status else tree[parent][1])
    return tree


def drawn_as(name: str) -> str:
    """What the drawing says of an error."""
    return next(
        match["what"] for match in filter(None, map(LINE.match, errors.__doc__.splitlines())) if match["name"] == name
    )


def classes() -> dict[str, type[Exception]]:
    return {
        name: member
        for name, member in inspect.getmembers(errors, inspect.isclass)
        if member.__module__ == errors.__name__
    }


def test_the_drawing_shows_every_class_and_no_other():
    assert drawn_tree().keys() == classes().keys()
    assert len(classes()) > 10


@pytest.mark.parametrize("name", classes())
def test_parents_and_exit_codes_are_as_drawn(name):
    parent, exit_code = drawn_tree()[name]
    cls = classes()[name]
    assert cls.__bases__[0] == (classes()[parent] if parent else Exception)
    assert ("ValueError" in drawn_as(name)) == (ValueError in cls.__bases__[1:])
    assert cls.exit_code == exit_code
    assert cls.__doc__


def test_a_message_is_all_that_an_error_holds():
    assert str(errors.ConfigError("run.yaml, line 3: seed: must be a whole number")) == (
        "run.yaml, line 3: seed: must be a whole number"
    )


def test_a_value_of_another_type_is_refused_in_words():
    errors.check_type("size", 3, int)
    errors.check_type("size", None, (int, type(None)))
    with pytest.raises(errors.UsageError, match=r"^size must be int or None, got str: 'three'\. Give a number\.$"):
        errors.check_type("size", "three", (int, type(None)), "Give a number.")
    with pytest.raises(errors.UsageError, match="got bool: True"):
        errors.check_type("size", True, int)
