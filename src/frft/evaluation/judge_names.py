"""Names of judges, `kind:what`, the same for every command and for the configuration of a run.

| name | judge |
|---|---|
| gold:WORLD_FOLDER | the gold reward of a world |
| rm:REWARD_MODEL | a reward model, by folder or name |
| annotations:FILE | stored verdicts of people or models |
| openai:MODEL | a chat model behind an OpenAI-compatible endpoint |

A package adds a kind by a `JudgeKind` in the entry-point group `frft.judges`; see CONTRIBUTING.md.
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
    """The arguments with which a judge is opened.

    Attributes:
        what: the part of the judge's name after the colon.
        options: settings of judges; each kind reads those in `JudgeKind.options`.
        verdicts: the file that keeps the replies of a judge that is asked over the network; None: no file.
        split: split of annotations that are a data set on the Hub.
        max_rejected: the largest share of annotations, 0 to 1, that may be unusable.
        trust_remote_code: run code that comes with a model.
        progress: receives the judge's progress.
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
    """A kind of judge: how it is named, opened and identified.

    Attributes:
        name: the part of a judge's name before the colon.
        takes: placeholder for the part after the colon, in capitals, for messages.
        open: makes the judge; models, files and clients are loaded here and not before.
        scores: whether its judges are `ScoringJudge`s.
        asks: whether each question is a request to a service that may charge for it, so that replies are kept in a
            file.
        options: the fields of `JudgeOptions` that it reads; others are refused.
        identity: everything that determines the verdicts, as JSON-able values; stages of a run with equal identities
            share an artifact. It must not load the judge. Default: the part of the name after the colon.
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
    """A judge that has been named but not opened yet.

    Attributes:
        name: the name as the user wrote it.
        identity: everything that determines the verdicts, for digests.
        scores: whether it is a `ScoringJudge`.
        open: makes the judge, with all counts at 0.
        verdicts: the file that keeps its replies; None unless it is asked over the network.
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
    """Look up a judge by its name, such as rm:FOLDER.

    Args:
        name: kind and what, separated by a colon.
        request: the arguments to open it with; `what` is taken from the name.
        setting: the setting that holds the name, for messages.

    Raises:
        UsageError: there is no such kind of judge.
        FrftError: the files that determine its identity cannot be read.
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
    """Names of the options that are set to other than their defaults although this kind of judge does not read them.

    Raises:
        UsageError: as `named_judge`.
    """
    kind, _ = _kind_of(name, setting)
    own = JudgeOptions.model_fields
    return [each for each in own if each not in kind.options and getattr(options, each) != own[each].default]


def _versioned(kind: JudgeKind, point: EntryPoint) -> JudgeKind:
    """The kind with the name and version of its package in its identity, so that another version is another judge."""
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
        chat_template=request.options.judge_chat_template,
        allow_fresh_head=False,
        trust_remote_code=request.trust_remote_code,
    )
    return RewardJudge(
        model, request.options.tie_margin, request.progress, description=f"the reward model {request.what}"
    )


def _reward_identity(request: JudgeRequest) -> Any:
    from frft.models.chat import identified
    from frft.reward import model_identity

    options = request.options
    own = {"model": model_identity(request.what), "max_length": options.judge_max_length}
    return identified({**own, "chat_template": options.judge_chat_template})


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
    # The endpoint is part of the identity: small servers answer to any name of a model.
    endpoint = request.options.base_url or os.environ.get("OPENAI_BASE_URL")
    return {"model": request.what, "endpoint": endpoint, "request": _extra(request.options), "form": TEMPLATE_VERSION}


def _extra(options: JudgeOptions) -> dict[str, Any] | None:
    return None if options.judge_request is None else json.loads(options.judge_request)


_OWN = (
    # The gold reward of a text is the same in every world, so the world's folder is not part of the identity.
    JudgeKind("gold", "WORLD_FOLDER", _gold, scores=True, identity=lambda _: None),
    JudgeKind(
        "rm",
        "REWARD_MODEL",
        _reward_model,
        scores=True,
        options=frozenset({"tie_margin", "judge_max_length", "judge_chat_template"}),
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
