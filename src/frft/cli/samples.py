"""Options for reading a policy's completions, shared by all commands that take samples or completions."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar

from cyclopts import Parameter

from frft.cli.pool import PoolOptions, as_in_a_run
from frft.config.sections import Section
from frft.progress import Progress

if TYPE_CHECKING:
    from frft.preferences import Samples


class SampleOptions(Section):
    """Options for reading samples, for a command that reads no preference pairs."""

    split: str = as_in_a_run("split")
    prompt_key: str | None = None
    """Column of the prompt, where it has an unusual name."""
    completion_key: str | None = None
    """Column of the completion, where it has an unusual name."""
    max_rejected: float = as_in_a_run("max_rejected")
    prompt_option: ClassVar[str] = "--prompt-key"

    def load(
        self,
        samples: str | Sequence[str],
        progress: Progress,
        *,
        model: str | None = None,
        rejects_path: Path | None = None,
    ) -> Samples:
        """Read the samples, also those with an empty completion; see `frft.preferences.load_samples`.

        Args:
            samples: files, folders, globs, or ids of data sets on the Hub.
            progress: reports the reading.
            model: keep only the rows whose column `model` has this value; None: all rows.
            rejects_path: file for the unusable rows; None: they are only counted.
        """
        from frft.preferences.fields import Keys
        from frft.preferences.samples import read_samples

        return read_samples(
            samples,
            Keys({"prompt": self.prompt_key, "completion": self.completion_key}),
            model=model,
            split=self.split,
            max_rejected=self.max_rejected,
            blank=True,
            columns=f"Where columns have other names, give them: {self.prompt_option} and --completion-key.",
            rejects_path=rejects_path,
            progress=progress,
        )


class _BesidePairs(SampleOptions):
    """`SampleOptions` of a command in which `--prompt-key` names the column of the pairs, for messages."""

    prompt_option: ClassVar[str] = "--samples-prompt-key"


class SampleKeys(Section):
    """Options for reading samples beside preference pairs; `--split` and `--max-rejected` apply to both."""

    samples_prompt_key: str | None = None
    """Column of the prompt in the policy's samples, where it has an unusual name."""
    completion_key: str | None = None
    """Column of the completion in the policy's samples, where it has an unusual name."""

    def beside(self, reading: PoolOptions) -> SampleOptions:
        """The options for reading the samples, with the split and `max_rejected` of the pairs."""
        return _BesidePairs(
            split=reading.split,
            prompt_key=self.samples_prompt_key,
            completion_key=self.completion_key,
            max_rejected=reading.max_rejected,
        )


SamplesAlone = Annotated[SampleOptions, Parameter(name="*")]
"""Type of a command's parameter that adds the options of samples to it (`--split`, ...)."""
SamplesBesidePairs = Annotated[SampleKeys, Parameter(name="*")]
"""Type of that parameter for a command that reads preference pairs as well (`--samples-prompt-key`, ...)."""
