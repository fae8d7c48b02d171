"""The command line: verbs only. What they do is in the rooms below.

Exit status: 0 done; 1 it failed while running; 2 the request, the configuration or the data is wrong; 130 interrupted.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from cyclopts import App, CycloptsError

from frft import __version__
from frft.cli.configs import init, presets
from frft.cli.data import data
from frft.cli.reward import reward
from frft.cli.run import run
from frft.cli.select import select
from frft.errors import FrftError, printable

app = App(
    name="frft",
    help="Keep the reward model where the policy writes: Filtered Reward Fine-Tuning for RLHF.",
    version=__version__,
    suppress_keyboard_interrupt=False,
)
for command in (run, data, select, presets, init):
    app.command(command)
app.command(reward)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status; what the `frft` script calls."""
    try:
        status = app(arguments, exit_on_error=False, print_error=True, result_action="return_value")
    except CycloptsError:
        return 2
    except FrftError as error:
        # Messages quote file names and data, which may hold control characters.
        shown = "\n".join(printable(line) for line in str(error).splitlines())
        print(f"frft: {shown}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("frft: interrupted. The same command goes on where this one stopped.", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # The reader (`| head`) has seen enough; Python must not complain again when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    return status if isinstance(status, int) else 0
