"""Every error that frft raises on purpose.

    FrftError                        exit status 1
    ├── UsageError                   exit status 2: the request is wrong, and nothing was started
    │   ├── ConfigError              a configuration: unknown key, bad value, contradiction
    │   │   └── SettingsError        a section made in Python (RefreshConfig(...)) with such settings; a ValueError, too
    │   └── OutputError              an output path that holds something else
    ├── DataError                    exit status 2: data that cannot be used
    │   ├── UnreadableError          a path that is missing, unreadable, or of no known format
    │   └── TooManyRejectedError     more rows were unusable than `max_rejected` allows
    ├── SelectionError               a selection that cannot be made as asked (no samples, nothing kept)
    ├── ModelError                   a model, tokenizer or embedder that cannot be loaded or used
    │   ├── UnknownLengthError       a model that does not say how long its sequences may be
    │   ├── NoProbabilitiesError     a policy whose logits are not finite, so that no token can be drawn
    │   └── ChatTemplateError        a chat template that cannot be used, or is another than the model was trained with
    ├── RewardError                  a reward that cannot be computed; never replaced by 0
    ├── TrainingError                training that broke down (a loss that is not finite, ...)
    ├── LabelsPendingError           exit status 75: questions of a refresh are not answered yet; run again then
    └── ArtifactError                a stored artifact that is damaged or is not what it claims to be

A message says what is wrong, where, and what to do. To add an error: put it in the tree above, under the
class whose exit status it shares, and add the test that makes it fire.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path


class FrftError(Exception):
    """Base of every error raised on purpose. `exit_code` is what the command line returns for it."""

    exit_code = 1


class UsageError(FrftError):
    """The request itself is wrong; nothing was started."""

    exit_code = 2


class ConfigError(UsageError):
    """A configuration that cannot be used; names the file and the key."""


class SettingsError(ConfigError, ValueError):
    """A section of a configuration that was made in Python with unusable settings; names the section and the setting.

    It is a ValueError, too, as pydantic's own error is: pydantic then reports it where it validates an outer model.
    """


class OutputError(UsageError):
    """An output path that must not be overwritten, or cannot be written."""


class DataError(FrftError):
    """Data that cannot be used; names the file, and the line where there is one."""

    exit_code = 2


class UnreadableError(DataError):
    """A path that is missing, unreadable, or of no known format."""


class TooManyRejectedError(DataError):
    """More rows were rejected than `max_rejected` allows."""


class SelectionError(FrftError):
    """A selection that cannot be made as asked."""


class ModelError(FrftError):
    """A model, tokenizer or embedder that cannot be loaded or used."""


class UnknownLengthError(ModelError):
    """A model without a known longest sequence. A command adds the name of its option for the length."""


class NoProbabilitiesError(ModelError):
    """A policy whose logits are not finite, so that no token can be drawn.

    Attributes:
        rows: the rows of the batch that have none; empty: it is not known which.
    """

    def __init__(self, message: str, rows: Sequence[int] = ()) -> None:
        super().__init__(message)
        self.rows = list(rows)


class ChatTemplateError(ModelError):
    """A chat template that cannot be used, or another one than a model was trained with."""


class RewardError(FrftError):
    """A reward that cannot be computed. A reward is never silently replaced by a number."""


class TrainingError(FrftError):
    """Training that broke down."""


class LabelsPendingError(FrftError):
    """Questions of a refresh that people, or another program, have not answered yet. Nothing failed.

    Attributes:
        file: the file of the questions; None: there are several.
    """

    exit_code = 75  # as sysexits.h has it: try again later

    def __init__(self, message: str, file: Path | None = None) -> None:
        super().__init__(message)
        self.file = file


def raise_pending(errors: Sequence[LabelsPendingError]) -> None:
    """Raise one error for all questions that are open; nothing where there are none.

    Raises:
        LabelsPendingError: there are errors; each different message stands on a line of its own.
    """
    if errors:
        raise LabelsPendingError("\n".join(dict.fromkeys(map(str, errors))))


class ArtifactError(FrftError):
    """A stored artifact that is damaged or is not what it claims to be."""


def printable(text: str) -> str:
    """`text` with line breaks, control characters and all else that a terminal might obey escaped, on one line."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def check_type(name: str, value: object, kinds: type | tuple[type, ...], advice: str = "") -> None:
    """Check the type of an argument of a public function, before any work is done with it.

    Args:
        name: the argument's name, for the message.
        value: the argument's value.
        kinds: the accepted types. A bool is accepted only where bool is among them, though Python counts it as an int.
        advice: a sentence for the message that says what to give instead; empty: none.

    Raises:
        UsageError: the value is of another type.
    """
    wanted = kinds if isinstance(kinds, tuple) else (kinds,)
    if isinstance(value, wanted) and not (isinstance(value, bool) and bool not in wanted):
        return
    names = " or ".join("None" if kind is type(None) else kind.__name__ for kind in wanted)
    raise UsageError(f"{name} must be {names}, got {type(value).__name__}: {repr(value)[:60]}. {advice}".rstrip())


def quantity(count: int, noun: str, plural: str = "") -> str:
    """A number with what it counts: "1 label", "2 labels"; `plural` where it is not the noun and an s."""
    return f"{count} {noun if count == 1 else plural or f'{noun}s'}"
