"""The command line: arguments, output and exit status of every command; the work is done in the packages below.

Exit status: 0 done; 1 it failed while running; 2 the request, the configuration or the data is wrong; 75 labels are
awaited; 130 interrupted by Ctrl-C; 143 ended by SIGTERM (`kill`), 129 by SIGHUP (a terminal that closed).
"""

from __future__ import annotations

import os
import re
import signal
import sys
import traceback
from collections.abc import Iterable, Sequence

from cyclopts import App, Argument, CycloptsError, Parameter, UnknownOptionError, ValidationError
from pydantic import ValidationError as InvalidSection

from frft import __version__
from frft.cli.advise import advise_command
from frft.cli.bench import bench_app
from frft.cli.configs import init, presets
from frft.cli.data import data_command
from frft.cli.diagnose import diagnose_command
from frft.cli.doctor import doctor_command
from frft.cli.eval import eval_app
from frft.cli.failures import refusal
from frft.cli.generate import generate_command
from frft.cli.label import label_app
from frft.cli.output import print_error
from frft.cli.reward import reward_app
from frft.cli.reward_check import check_command
from frft.cli.reward_score import score_command
from frft.cli.run import run_command
from frft.cli.select import select_command
from frft.cli.store import store_app
from frft.cli.study import study_command
from frft.cli.verify import verify_command
from frft.cli.world import world_app
from frft.errors import FrftError
from frft.stopping import StoppedBySignal, asked_to_end, ends_in_order, ends_with_launcher

app = App(
    name="frft",
    help="Keep the reward model where the policy writes: Filtered Reward Fine-Tuning for RLHF.",
    version=__version__,
    # All options are off or None by default, so negative forms (--no-json, --empty-pairs) would have no meaning. An
    # option for a list takes one value or more.
    default_parameter=Parameter(negative="", consume_multiple=1),
    suppress_keyboard_interrupt=False,
    # Markdown would cost a third of the time that help takes.
    help_format="plaintext",
)
app.command(run_command, name="run")
app.command(data_command, name="data")
app.command(select_command, name="select")
app.command(generate_command, name="generate")
app.command(presets)
app.command(init)
# Overrides may follow --points POINT, and must not be taken for further points.
app.command(study_command, name="study", default_parameter=Parameter(consume_multiple=False))
app.command(advise_command)
app.command(diagnose_command, name="diagnose")
app.command(verify_command, name="verify")
app.command(doctor_command, name="doctor")
reward_app.command(score_command, name="score")
reward_app.command(check_command, name="check")
app.command(reward_app)
app.command(eval_app)
app.command(label_app)
app.command(bench_app)
app.command(world_app)
app.command(store_app)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status; the entry point of the `frft` script.

    Args:
        arguments: the words of the command line; None: those of this process.
    """
    ends_with_launcher()
    with ends_in_order(until_exit=arguments is None):
        return _main(arguments)


def _main(arguments: Sequence[str] | None) -> int:
    try:
        status = app(arguments, exit_on_error=False, print_error=False, result_action="return_value")
    except CycloptsError as error:
        _complain(_explain(error))
        return 2
    except (SystemExit, GeneratorExit):
        raise
    except BaseException as error:
        # Of any kind: a library in Rust that panics raises no Exception.
        if isinstance(error, BrokenPipeError):
            # The reader (`| head`) has seen enough; Python must not complain again when it flushes at exit.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 0
        stop = _stop_behind(error)
        if stop is None and isinstance(error, FrftError):
            _complain(str(error))
            return error.exit_code
        if stop is None and (words := refusal(error)) is not None:
            _complain(words)
            return int(getattr(error, "exit_code", 1))
        if stop is None and (number := asked_to_end()) is not None:
            # The signal came first: a process that trained together with this one has ended before it.
            stop = StoppedBySignal(number)
        if stop is not None:
            # A command that keeps finished work says so in a note on the exception.
            notes = getattr(error, "__notes__", ["The same command starts from the beginning."])
            how = "interrupted" if stop.number == signal.SIGINT else f"ended by {stop}"
            _complain(" ".join([f"{how}.", *notes]))
            return stop.exit_status
        if hasattr(error, "exit_code"):
            # A command whose exit status 1 is a verdict (`frft diagnose`) sets another one for unexpected errors.
            traceback.print_exception(error)
            return int(error.exit_code)
        raise
    return status if isinstance(status, int) else 0


def _stop_behind(error: BaseException | None) -> StoppedBySignal | None:
    """The signal that caused an error, directly or not: some libraries turn it into an ImportError during an import."""
    while error is not None:
        if isinstance(error, KeyboardInterrupt):
            return error if isinstance(error, StoppedBySignal) else StoppedBySignal(signal.SIGINT)
        error = error.__cause__ or error.__context__
    return None


def _complain(message: str) -> None:
    print_error(f"frft: {message}")


def _explain(error: CycloptsError) -> str:
    """A message for wrong arguments; a value that a section of the configuration refuses is named by its option."""
    if isinstance(error, UnknownOptionError) and error.target is run_command:
        from frft.config.problems import settings_named

        option = error.token.keyword or error.token.value
        settings = settings_named(option.split("=")[0].lstrip("-").replace("-", "_"))
        if settings:
            return f"{option} is no option of run, but a setting: give {' or '.join(f'{key}=...' for key in settings)}"
    cause = error.__cause__
    if not isinstance(error, ValidationError) or not isinstance(cause, InvalidSection) or error.argument is None:
        return str(error)
    from frft.config.problems import plain_message

    options = error.argument.children_recursive
    lines = []
    for fault in cause.errors(include_url=False):
        key = (*error.argument.keys, *fault["loc"])
        # For a field of several types, pydantic appends the name of the type that did not fit to the location.
        fitting = [option for option in options if option.keys == key[: len(option.keys)]]
        where = f"{max(fitting, key=lambda option: len(option.keys)).name}: " if fitting else ""
        # A contradiction between settings has no place of its own and names them as a configuration does.
        lines.append(f"{where}{plain_message(fault)}" if where else _by_option(plain_message(fault), options))
    return "\n".join(lines)


def _by_option(message: str, options: Iterable[Argument]) -> str:
    """A message in which `setting: value`, and settings of several words, are named by their options."""
    for option in options:
        setting = re.escape(option.keys[-1])
        if "_" in setting:
            message = re.sub(rf"\b{setting}\b:?", option.name, message)
        message = re.sub(rf"\b{setting}: ", f"{option.name} ", message)
    return message
