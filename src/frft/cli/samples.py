"""How a command reads what a policy wrote: the same options for every verb that takes samples or completions."""

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
    """What there is to say about samples besides where they are."""

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
        """The samples, also those without text, which policies write, too; see `frft.preferences.load_samples`."""
        from frft.preferences.fields import Keys
        from frft.preferences.samples import read_samples

        return read_samples(
            samples,
            Keys({"prompt": self.prompt_key, "completion": self.completion_key}),
            model=model,
            split=self.split,
            max_rejected=self.max_rejected,
            render=None,
            blank=True,
            columns=f"Where columns have other names, give them: {self.prompt_option} and --completion-key.",
            rejects_path=rejects_path,
            progress=progress,
        )


class _BesidePairs(SampleOptions):
    """The same where `--prompt-key` is the column of the pairs."""

    prompt_option: ClassVar[str] = "--samples-prompt-key"


class SampleKeys(Section):
    """What there is to say about samples beside preference pairs, whose split and share of unusable rows are theirs."""

    samples_prompt_key: str | None = None
    """Column of the prompt in the policy's samples, where it has an unusual name."""
    completion_key: str | None = None
    """Column of the completion in the policy's samples, where it has an unusual name."""

    def beside(self, reading: PoolOptions) -> SampleOptions:
        """How the samples are read, beside pairs that are read like this."""
        return _BesidePairs(
            split=reading.split,
            prompt_key=self.samples_prompt_key,
            completion_key=self.completion_key,
            max_rejected=reading.max_rejected,
        )


SamplesAlone = Annotated[SampleOptions, Parameter(name="*")]
"""The type of a verb's parameter that gives it the options of samples, as `--split` and so on."""
SamplesBesidePairs = Annotated[SampleKeys, Parameter(name="*")]
"""The same for a verb that reads preference pairs as well."""
