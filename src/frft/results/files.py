"""Rows of the files in the folders of stages, and what a stage's inputs refer to."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from frft.results.infos import StepMetrics
from frft.reward import RefreshedModelInfo, RewardEvaluation, RewardModelInfo
from frft.store import Artifact, OpenValue, StoredValue, read_rows


@dataclass(frozen=True)
class CompletionRow(StoredValue):
    """A row of completions.jsonl.

    Attributes:
        prompt: what the policy was given.
        completion: what it wrote.
        has_eos: whether it came to its end (EOS).
        tokens: its token ids.
    """

    prompt: str
    completion: str
    has_eos: bool
    tokens: list[int]


@dataclass(frozen=True)
class RolloutRow(StoredValue):
    """A row of rollouts.jsonl.

    Attributes:
        step: number of the step, from 1.
        prompt: what the policy was given.
        completion: what it wrote.
        score: what the reward model gave, normalised; of a completion without EOS perhaps a penalty instead.
    """

    step: int
    prompt: str
    completion: str
    score: float


@dataclass(frozen=True)
class StageReference(StoredValue):
    """Another stage among the inputs of one.

    Attributes:
        artifact: its kind.
        digest: SHA-256 of all that it depends on; its beginning ends the name of its folder.
    """

    artifact: str
    digest: str


class EvaluationInputs(OpenValue):
    """What an evaluation was made of: the `inputs` of its manifest, those alone that a diagnosis needs.

    Attributes:
        own: the policy's completions.
        second: a second completion of each prompt.
        reward: the reward model that the policy was trained with last, or those of an ensemble.
        ensemble_coef: of an ensemble; None: there is none.
        base_reward: the reward model that all arms start with.
    """

    own: StageReference
    second: StageReference
    reward: StageReference | list[StageReference]
    ensemble_coef: float | None
    base_reward: StageReference


def info_of_model(info: object, kind: str, where: str | Path) -> RewardModelInfo | RefreshedModelInfo:
    """What a reward model's stage said of itself, whichever stage made it."""
    return RefreshedModelInfo.of(info, where) if kind == "refresh" else RewardModelInfo.of(info, where)


def held_out_of(model: Artifact) -> RewardEvaluation | None:
    """A reward model's accuracy on pairs that no training saw; None: there were none."""
    return info_of_model(model.info, model.kind, model.path).held_out


def read_steps(path: Path) -> list[StepMetrics]:
    """The rows of a segment's metrics.jsonl.

    Raises:
        ArtifactError: a row has another form.
    """
    return [StepMetrics.of(row, path) for row in read_rows(path)]


def read_written(path: Path) -> list[CompletionRow]:
    """The rows of a stage's completions.jsonl; raises as `read_steps`."""
    return [CompletionRow.of(row, path) for row in read_rows(path)]


def read_rollouts(path: Path) -> list[RolloutRow]:
    """The rows of a segment's rollouts.jsonl; raises as `read_steps`."""
    return [RolloutRow.of(row, path) for row in read_rows(path)]
