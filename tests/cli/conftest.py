"""Preference pairs and policy samples small enough to train on in a test."""

from __future__ import annotations

import json
import re

import pytest

PROMPT = "\n\nHuman: How do I bake bread?\n\nAssistant:"


OPTION = re.compile(r"(?<![\w-])--[a-z][a-z-]*[a-z]")


@pytest.fixture(autouse=True)
def advice_names_options_that_are_there(monkeypatch):
    """In all tests of commands: an option that a message names is one of the command that was given, or was typed."""
    import frft.cli as cli
    from frft.cli import output

    given: list[str] = []

    class Recording:
        def __call__(self, arguments, **more):
            given[:] = map(str, arguments)
            return cli_app(arguments, **more)

        def __getattr__(self, name):
            return getattr(cli_app, name)

    cli_app = cli.app
    monkeypatch.setattr(cli, "app", Recording())

    def checked(lay_out):
        def check(text, width):
            # What stands in backquotes is another command, in full.
            named = set(OPTION.findall(re.sub("`frft [^`]*`", "", text))) - {word.split("=")[0] for word in given}
            if named:
                _, (*_, command), _ = cli_app.parse_commands(given)
                options = {name for each in command.assemble_argument_collection() for name in each.names}
                assert named <= options, f"{text!r} names options that {' '.join(given[:2])} does not have"
            return lay_out(text, width)

        return check

    monkeypatch.setattr(output, "wrapped", checked(output.wrapped))


@pytest.fixture
def write_rows(tmp_path):
    """Write rows as JSON Lines to a file of that name."""

    def write(name, rows):
        path = tmp_path / name
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        return path

    return write


@pytest.fixture
def pairs():
    return [
        {
            "chosen": f"{PROMPT} Mix flour and water, number {n}.",
            "rejected": f"{PROMPT} No {n}.",
            "source": "ab"[n % 2],
        }
        for n in range(24)
    ]


@pytest.fixture
def pairs_file(write_rows, pairs):
    return write_rows("pairs.jsonl", pairs)


@pytest.fixture
def samples_file(write_rows):
    return write_rows("samples.jsonl", [{"prompt": PROMPT, "completion": f" Mix water {n}."} for n in range(8)])


@pytest.fixture
def conversations_file(write_rows):
    """Pairs on so many different prompts that a run has some for each of its purposes."""
    return write_rows(
        "conversations.jsonl",
        [
            {"chosen": f"\n\nHuman: q{n}\n\nAssistant: yes", "rejected": f"\n\nHuman: q{n}\n\nAssistant: no"}
            for n in range(60)
        ],
    )
