"""Have an independent judge score an arm's rollouts, and measure how often the arm's reward agrees with it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from frft.evaluation import ScoringJudge
from frft.evaluation.judge_names import NamedJudge
from frft.experiment.evaluation import agreement, counted
from frft.experiment.stages.context import RunContext
from frft.experiment.stages.scoring import scored_by
from frft.experiment.texts import score_by_step
from frft.results import AgreementInfo, JudgedInfo
from frft.reward import AlignedReward, FrozenEnsembleReward
from frft.stages import Stage, Workload
from frft.store import Artifact


@dataclass(frozen=True)
class JudgedStage(Stage):
    """No files; the judge's mean score of each step's rollouts in a segment.

    Attributes:
        context: the run.
        segment: the trained segment.
        judge: a judge that gives scores.
    """

    context: RunContext
    segment: Artifact
    judge: NamedJudge

    kind = "judged"

    def inputs(self) -> Mapping[str, Any]:
        return {"segment": self.segment, "judge": self.judge.identity}

    def build(self, folder: Path) -> Mapping[str, Any]:
        del folder
        judge = self.judge.open()
        assert isinstance(judge, ScoringJudge)
        means = score_by_step(judge.score, self.segment.path)
        return JudgedInfo(list(means.values())).as_dict()

    def flops(self, workload: Workload) -> float:
        config = self.context.config
        return workload.flops((config.monitor.every or 0) * config.ppo.rollout_batch_size * workload.sequence)

    def memory(self, workload: Workload) -> float:
        return workload.classifier_bytes(self.context.config.judge_model)


@dataclass(frozen=True)
class AgreementStage(Stage):
    """No files; how often a reward orders the held-out pairs as the judge does.

    Attributes:
        context: the run.
        reward: an arm's reward.
        judge: the judge.
    """

    context: RunContext
    reward: AlignedReward | FrozenEnsembleReward
    judge: NamedJudge

    kind = "agreement"

    def inputs(self) -> Mapping[str, Any]:
        held_out = self.context.identities["evaluation"]
        return {"judge": self.judge.identity, "held_out": held_out, **scored_by(self.reward)}

    def build(self, folder: Path) -> Mapping[str, Any]:
        del folder
        judge = self.judge.open()
        found = agreement(self.reward.model, judge, self.context.splits.evaluation)
        return AgreementInfo(**vars(found), judge_counts=counted(judge)[1]).as_dict()

    def flops(self, workload: Workload) -> float:
        # Two completions to a pair, each scored by the reward and by the judge.
        return workload.flops(4 * self.context.splits.evaluation.num_rows * workload.sequence)

    def memory(self, workload: Workload) -> float:
        judge = workload.classifier_bytes(self.context.config.judge_model)
        return judge + self.context.scoring_bytes(workload)


@dataclass(frozen=True)
class JudgeView:
    """The figures of one judge: its scores of the rollouts, and how often the reward agrees with it.

    Attributes:
        judge: the judge.
        judged: artifacts of `JudgedStage`, one for each segment; empty for a judge without scores.
        agreement: artifact of `AgreementStage`.
    """

    judge: NamedJudge
    judged: list[Artifact]
    agreement: Artifact

    def inputs(self) -> dict[str, Any]:
        """The view as inputs of a stage."""
        return {"judge": self.judge.identity, "judged": self.judged, "agreement": self.agreement}


def judge_view(
    context: RunContext,
    reward: AlignedReward | FrozenEnsembleReward,
    segments: Sequence[Artifact],
    judge: NamedJudge,
) -> JudgeView:
    """A judge's scores of an arm's rollouts in these segments, and its agreement with the arm's reward."""
    judged = [context.make(JudgedStage(context, segment, judge)) for segment in segments if judge.scores]
    return JudgeView(judge, judged, context.make(AgreementStage(context, reward, judge)))
