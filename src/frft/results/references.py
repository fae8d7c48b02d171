"""What the inputs of a stage refer to, and what the stages there say of themselves."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from frft.reward import RefreshedModelInfo, RewardEvaluation, RewardModelInfo
from frft.store import Artifact, OpenValue, StoredValue


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
