"""References to other stages among a stage's inputs, and the figures of the reward models there."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from frft.reward import RefreshedModelInfo, RewardEvaluation, RewardModelInfo
from frft.store import Artifact, OpenValue, StoredValue


@dataclass(frozen=True)
class StageReference(StoredValue):
    """A reference to another stage, among the inputs of a stage.

    Attributes:
        artifact: kind of that stage.
        digest: SHA-256 of everything that it depends on; its first characters are part of its folder's name.
    """

    artifact: str
    digest: str


class EvaluationInputs(OpenValue):
    """The inputs of an evaluation in its manifest: those that a diagnosis needs.

    Attributes:
        own: the policy's completions of the evaluation prompts.
        second: a second completion of each prompt.
        reward: the reward model that the policy was trained with last, or the members of an ensemble.
        ensemble_coef: weight of the variance in an ensemble's reward; None: a single reward model.
        base_reward: the reward model that all arms start with.
    """

    own: StageReference
    second: StageReference
    reward: StageReference | list[StageReference]
    ensemble_coef: float | None
    base_reward: StageReference


def info_of_model(info: object, kind: str, where: str | Path) -> RewardModelInfo | RefreshedModelInfo:
    """The figures of a reward model, typed by the kind of the stage that made it ("refresh", "reward" or "judge")."""
    return RefreshedModelInfo.of(info, where) if kind == "refresh" else RewardModelInfo.of(info, where)


def held_out_of(model: Artifact) -> RewardEvaluation | None:
    """A reward model's evaluation on held-out pairs; None: there were none."""
    return info_of_model(model.info, model.kind, model.path).held_out
