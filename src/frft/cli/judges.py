"""How a command names a judge: the same options for every verb that takes one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter
from pydantic import Field

from frft.config.sections import Section
from frft.errors import UsageError
from frft.progress import Progress

if TYPE_CHECKING:
    from frft.evaluation import Judge

JUDGE_KINDS = "gold:WORLD_FOLDER, rm:REWARD_MODEL, annotations:FILE or openai:MODEL"


class JudgeOptions(Section):
    """What there is to say about a judge besides its name."""

    tie_margin: float = Field(default=0.0, ge=0)
    """Of rm: scores that differ by at most this are a tie."""
    judge_max_length: int | None = Field(default=None, gt=0)
    """Of rm: longest sequence in tokens, for a model that was not trained by frft."""
    base_url: str | None = None
    """Of openai: the endpoint, to which the key in OPENAI_API_KEY is sent."""
    judge_request: str | None = None
    """Of openai: more of each request, as a JSON object; none: {"temperature": 0}."""
    concurrency: int = Field(default=8, gt=0)
    """Of openai: requests at a time."""
    price: tuple[float, float] | None = None
    """Of openai: what a million prompt tokens and a million completion tokens cost."""
    verdicts: Path = Path("~/.cache/frft/verdicts.jsonl")
    """Of openai: the file where replies are kept, so that nothing is asked twice."""

    def judge(self, name: str, split: str, max_rejected: float, progress: Progress) -> Judge:
        """The judge of that name, such as rm:FOLDER.

        Args:
            name: one of KINDS.
            split: of annotations that are a data set on the Hub.
            max_rejected: the largest share of annotations that may be unusable.
            progress: told how far it is.

        Raises:
            UsageError: there is no such kind of judge, or an option belongs to another kind.
            FrftError: what it names cannot be loaded.
        """
        kind, _, what = name.partition(":")
        kinds: dict[str, tuple[Callable[[], Judge], set[str]]] = {
            "gold": (lambda: _world(what), set()),
            "rm": (lambda: self._reward_model(what, progress), {"tie_margin", "judge_max_length"}),
            "annotations": (lambda: _annotations(what, split, max_rejected, progress), set()),
            "openai": (
                lambda: self._chat(what, progress),
                {"base_url", "judge_request", "concurrency", "price", "verdicts"},
            ),
        }
        if kind not in kinds or not what:
            raise UsageError(f"--judge is {name!r}; it must be one of {JUDGE_KINDS}.")
        make, own = kinds[kind]
        if foreign := sorted(self.model_fields_set - own):
            options = ", ".join(f"--{option.replace('_', '-')}" for option in foreign)
            raise UsageError(f"{options}: the judge is {name}, and has no such option. Leave it out.")
        return make()

    def check_unused(self) -> None:
        """Raise `UsageError` if any of this is given, but no judge."""
        if self.model_fields_set:
            options = ", ".join(f"--{option.replace('_', '-')}" for option in sorted(self.model_fields_set))
            raise UsageError(f"{options} says more about --judge, which is not given. Name one, or leave it out.")

    @contextmanager
    def accounted(self, judge: Judge | None, progress: Progress) -> Iterator[None]:
        """Where nothing comes of the block, what a chat model was asked and paid for is told, and what stays."""
        from frft.evaluation import ChatJudge

        try:
            yield
        except BaseException as stop:
            if isinstance(judge, ChatJudge):
                stop.add_note("Replies so far are kept, and the same command goes on with them.")
                for line in self.account_lines(judge):
                    progress.say(line)
            raise

    def account(self, judge: Judge) -> dict[str, Any]:
        """What there is to say of a judge when it is done, JSON-able."""
        from frft.evaluation import ChatJudge, RewardJudge, StoredAnnotations

        if isinstance(judge, ChatJudge):
            cost = None if self.price is None else judge.usage.cost(*self.price)
            return {"questions": judge.usage.as_dict(), "cost": cost}
        if isinstance(judge, RewardJudge):
            return {"truncated": judge.model.truncated.as_dict()}
        if isinstance(judge, StoredAnnotations):
            report = None if judge.report is None else judge.report.as_dict()
            return {"annotated_pairs": judge.pairs, "without_verdict": judge.without_verdict, "report": report}
        return {}

    def account_lines(self, judge: Judge | None) -> list[str]:
        """What `account` counts, in sentences."""
        from frft.evaluation import ChatJudge, RewardJudge, StoredAnnotations

        lines: list[str | None] = []
        if isinstance(judge, ChatJudge):
            counts = ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in judge.usage.as_dict().items())
            lines.append(f"Questions: {counts}.")
            if self.price is not None:
                lines.append(f"Cost: {judge.usage.cost(*self.price):.4f}.")
        elif isinstance(judge, RewardJudge):
            lines.append(judge.model.truncated.sentence("texts that the judge read", judge.model.max_length))
        elif isinstance(judge, StoredAnnotations):
            lines.append(f"The annotations hold verdicts on {judge.pairs} different pairs.")
            if judge.without_verdict:
                lines.append(f"{judge.without_verdict} annotations have no verdict (null), and count as none.")
        return [line for line in lines if line is not None]

    def _reward_model(self, name: str, progress: Progress) -> Judge:
        from frft.cli.reward import load_scorer
        from frft.evaluation import RewardJudge

        model = load_scorer(name, self.judge_max_length, option="--judge-max-length")
        return RewardJudge(model, self.tie_margin, progress)

    def _chat(self, model: str, progress: Progress) -> Judge:
        from frft.cli.targets import check_file
        from frft.evaluation import ChatJudge

        verdicts = self.verdicts.expanduser()
        check_file(verdicts)
        return ChatJudge(
            model,
            base_url=self.base_url,
            journal=verdicts,
            options=None if self.judge_request is None else _object(self.judge_request),
            concurrency=self.concurrency,
            progress=progress,
        )


Judging = Annotated[JudgeOptions, Parameter(name="*")]
"""The type of a verb's parameter that gives it these options, as `--tie-margin` and so on."""


def _world(folder: str) -> Judge:
    from frft.worlds import World

    return World.load(Path(folder))


def _annotations(path: str, split: str, max_rejected: float, progress: Progress) -> Judge:
    from frft.evaluation import StoredAnnotations

    return StoredAnnotations.load(path, split=split, max_rejected=max_rejected, progress=progress)


def _object(text: str) -> dict[str, Any]:
    from json import loads

    try:
        value = loads(text)
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise UsageError(f"--judge-request is {text!r}; it must be a JSON object, such as {{}}.")
    return value
