"""Options that name and configure a judge, shared by all commands that take one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from frft.config.sections import JudgeOptions
from frft.errors import UnknownLengthError, UsageError
from frft.progress import Progress

if TYPE_CHECKING:
    from frft.evaluation import Judge


class JudgeArguments(JudgeOptions):
    """Command-line options of a judge, besides its name."""

    verdicts: Path = Path("~/.cache/frft/verdicts.jsonl")
    """Of openai: the file where replies are kept, so that nothing is asked twice."""

    def judge(self, name: str, split: str, max_rejected: float, progress: Progress) -> Judge:
        """Open a judge by its name, such as rm:FOLDER; see `frft.evaluation.judge_names`.

        Args:
            name: kind and, after a colon, which one: rm:FOLDER, annotations:FILE, ...
            split: split of a data set on the Hub, for annotations.
            max_rejected: largest fraction of unusable annotations, 0 to 1.
            progress: reports the loading of annotations.

        Raises:
            UsageError: there is no such kind of judge, or an option belongs to another kind.
            FrftError: what it names cannot be loaded.
        """
        from frft.cli.targets import check_file
        from frft.evaluation import RewardJudge
        from frft.evaluation.judge_names import JudgeRequest, judge_kinds, named_judge
        from frft.models import choose_threads, use_threads

        verdicts = self.verdicts.expanduser()
        request = JudgeRequest("", self, verdicts, split, max_rejected, progress=progress)
        named = named_judge(name, request, setting="--judge")
        kind = judge_kinds()[name.partition(":")[0]]
        own = kind.options | ({"verdicts"} if kind.asks else set())
        if foreign := self.model_fields_set - own:
            raise UsageError(f"{_options(foreign)}: the judge is {name}, and has no such option. Leave it out.")
        if kind.asks:
            check_file(verdicts, "--verdicts")
        try:
            judge = named.open()
        except UnknownLengthError as error:
            raise UnknownLengthError(f"{error} Here it is the option --judge-max-length.") from None
        if isinstance(judge, RewardJudge):
            use_threads(choose_threads(judge.model.parameters, None))
        return judge

    def check_unused(self) -> None:
        """Raise `UsageError` if any of these options is given; for a command that was given no judge."""
        if self.model_fields_set:
            raise UsageError(
                f"{_options(self.model_fields_set)} says more about --judge, which is not given. Name one, or leave "
                "it out."
            )

    @contextmanager
    def accounted(self, judge: Judge | None, progress: Progress) -> Iterator[None]:
        """A block that uses the judge; if it fails, the questions asked so far and their cost are reported."""
        from frft.evaluation import counts_in_words

        try:
            yield
        except BaseException as stop:
            counts = {} if judge is None else judge.counts()
            if "questions" in counts:
                stop.add_note("Replies so far are kept, and the same command goes on with them.")
                for line in counts_in_words(counts):
                    progress.say(line)
            raise


def _options(names: set[str]) -> str:
    return ", ".join(f"--{name.replace('_', '-')}" for name in sorted(names))


Judging = Annotated[JudgeArguments, Parameter(name="*")]
"""Type of a command's parameter that adds these options to it (`--tie-margin`, ...)."""
