"""Judges by name: `kind:what`, the same for every command and for the configuration of a run.

| name | judge |
|---|---|
| gold:WORLD_FOLDER | the gold reward of a world |
| rm:REWARD_MODEL | a reward model, by folder or name |
| annotations:FILE | stored verdicts of people or models |
| openai:MODEL | a chat model behind an OpenAI-compatible endpoint |

A kind of your own is a `JudgeKind` that a package names in the entry-point group `frft.judges`; see CONTRIBUTING.md.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import TYPE_CHECKING, Any

from frft.config.sections import JudgeOptions
from frft.errors import UsageError
from frft.evaluation.chat_prompt import TEMPLATE_VERSION
from frft.extensions import described_extension, extension_origin, installed_extensions, load_extension
from frft.progress import SILENT, Progress

if TYPE_CHECKING:
    from frft.evaluation.judge import Judge

ENTRY_POINTS = "frft.judges"


@dataclass(frozen=True)
class JudgeRequest:
    """Everything that a judge is opened with.

    Attributes:
        what: what stands after the colon of its name.
        options: more about it.
        verdicts: the file where replies that cost something are kept; none: nowhere.
        split: of annotations that are a data set on the Hub.
        max_rejected: the largest share of annotations that may be unusable.
        trust_remote_code: run code that comes with a model.
        progress: told how far it is.
    """

    what: str
    options: JudgeOptions
    verdicts: Path | None = None
    split: str = "train"
    max_rejected: float = 0.01
    trust_remote_code: bool = False
    progress: Progress = SILENT


def _no_more(request: JudgeRequest) -> Any:
    return request.what


@dataclass(frozen=True)
class JudgeKind:
    """A kind of judge: all that the rest of the package knows of it.

    Attributes:
        name: what stands before the colon of a judge's name.
        takes: what stands after the colon, in capitals, for messages.
        open: makes the judge; expensive things (models, files, clients) are loaded here and not before.
        scores: whether its judges are `ScoringJudge`s.
        asks: whether every question goes to somebody else, who may charge for it, so that replies are kept in a file.
        options: the fields of `JudgeOptions` that it reads; others are refused.
        identity: what decides its verdicts, JSON-able: stages of a run with equal identities are one artifact. It
            must not load the judge. Default: what stands after the colon.
    """

    name: str
    takes: str
    open: Callable[[JudgeRequest], Judge]
    scores: bool = False
    asks: bool = False
    options: frozenset[str] = frozenset()
    identity: Callable[[JudgeRequest], Any] = _no_more


@dataclass(frozen=True)
class NamedJudge:
    """A judge that is opened where it is needed.

    Attributes:
        name: as a person wrote it.
        identity: what decides its verdicts, for digests.
        scores: whether it is a `ScoringJudge`.
        open: makes the judge, with all counts at 0.
        verdicts: where its replies are kept, if it is asked over the network.
    """

    name: str
    identity: Any
    scores: bool
    open: Callable[[], Judge]
    verdicts: Path | None = None


def judge_kinds() -> dict[str, JudgeKind]:
    """All kinds of judges by name: those of this package, and those of installed packages.

    Raises:
        UsageError: a package's kind cannot be loaded, or has the name of another.
    """
    kinds = {kind.name: kind for kind in _OWN}
    points = [point for same in installed_extensions(ENTRY_POINTS).values() for point in same]
    for point in points:
        kind = load_extension(point, JudgeKind, "judge")
        if kind.name in kinds:
            raise UsageError(
                f"The judge {point.name!r} of {described_extension(point)} has the name of another kind of judge, "
                f"{kind.name!r}. Uninstall one of them."
            )
        kinds[kind.name] = _versioned(kind, point)
    return kinds


def named_judge(name: str, request: JudgeRequest, *, setting: str = "judge") -> NamedJudge:
    """The judge of that name, such as rm:FOLDER.

    Args:
        name: kind and what, with a colon between.
        request: what to open it with; its `what` is set from the name.
        setting: where the name stands, for messages.

    Raises:
        UsageError: there is no such kind of judge.
        FrftError: what it names cannot be read.
    """
    kind, what = _kind_of(name, setting)
    whole = replace(request, what=what)
    return NamedJudge(
        name=name,
        identity={"kind": kind.name, "of": kind.identity(whole)},
        scores=kind.scores,
        open=lambda: kind.open(whole),
        verdicts=request.verdicts if kind.asks else None,
    )


def unread_options(name: str, options: JudgeOptions, *, setting: str = "judge") -> list[str]:
    """The options that differ from their defaults, and that this judge has no use for; errors as `named_judge`."""
    kind, _ = _kind_of(name, setting)
    own = JudgeOptions.model_fields
    return [each for each in own if each not in kind.options and getattr(options, each) != own[each].default]


def _versioned(kind: JudgeKind, point: EntryPoint) -> JudgeKind:
    """The same kind, whose verdicts are not taken for those of another version of its package."""
    return replace(kind, identity=lambda request: {"origin": extension_origin(point), "of": kind.identity(request)})


def _kind_of(name: str, setting: str) -> tuple[JudgeKind, str]:
    kinds = judge_kinds()
    kind, _, what = name.partition(":")
    if kind not in kinds or not what:
        forms = [f"{each.name}:{each.takes}" for each in kinds.values()]
        raise UsageError(f"{setting} is {name!r}; it must be one of {', '.join(forms[:-1])} or {forms[-1]}.")
    return kinds[kind], what


def _gold(request: JudgeRequest) -> Judge:
    from frft.evaluation.scoring_judges import GoldJudge
    from frft.worlds import World

    return GoldJudge(World.load(Path(request.what)))


def _reward_model(request: JudgeRequest) -> Judge:
    from frft.evaluation.scoring_judges import RewardJudge
    from frft.reward import RewardModel

    model = RewardModel.load(
        request.what,
        seed=0,
        max_length=request.options.judge_max_length,
        allow_fresh_head=False,
        trust_remote_code=request.trust_remote_code,
    )
    return RewardJudge(
        model, request.options.tie_margin, request.progress, description=f"the reward model {request.what}"
    )


def _reward_identity(request: JudgeRequest) -> Any:
    from frft.reward import model_identity

    return {"model": model_identity(request.what), "max_length": request.options.judge_max_length}


def _annotations(request: JudgeRequest) -> Judge:
    from frft.evaluation.annotations import StoredAnnotations

    return StoredAnnotations.load(
        request.what, split=request.split, max_rejected=request.max_rejected, progress=request.progress
    )


def _annotations_identity(request: JudgeRequest) -> Any:
    from frft.store import folder_digest, sha256_file

    path = Path(request.what)
    content = sha256_file(path) if path.is_file() else folder_digest(path) if path.is_dir() else request.what
    return {"content": content, "split": request.split}


def _chat(request: JudgeRequest) -> Judge:
    from frft.evaluation.chat import ChatJudge

    options = request.options
    return ChatJudge(
        request.what,
        base_url=options.base_url,
        journal=request.verdicts,
        options=_extra(options),
        concurrency=options.concurrency,
        price=options.price,
        progress=request.progress,
    )


def _chat_identity(request: JudgeRequest) -> Any:
    # The endpoint is part of it: small servers give their one model any name.
    endpoint = request.options.base_url or os.environ.get("OPENAI_BASE_URL")
    return {"model": request.what, "endpoint": endpoint, "request": _extra(request.options), "form": TEMPLATE_VERSION}


def _extra(options: JudgeOptions) -> dict[str, Any] | None:
    return None if options.judge_request is None else json.loads(options.judge_request)


_OWN = (
    # The gold reward of a text is the same in every world.
    JudgeKind("gold", "WORLD_FOLDER", _gold, scores=True, identity=lambda _: None),
    JudgeKind(
        "rm",
        "REWARD_MODEL",
        _reward_model,
        scores=True,
        options=frozenset({"tie_margin", "judge_max_length"}),
        identity=_reward_identity,
    ),
    JudgeKind("annotations", "FILE", _annotations, identity=_annotations_identity),
    JudgeKind(
        "openai",
        "MODEL",
        _chat,
        asks=True,
        options=frozenset({"base_url", "judge_request", "concurrency", "price"}),
        identity=_chat_identity,
    ),
)
