"""The interface of a run's stages for the loop: one method or property for each."""

from __future__ import annotations

from collections.abc import Sequence

from frft.config import RunConfig
from frft.config.sections import RefreshConfig
from frft.evaluation.judge_names import NamedJudge
from frft.experiment.stages.completions import evaluation_completions
from frft.experiment.stages.context import RunContext
from frft.experiment.stages.evaluation import evaluation_of
from frft.experiment.stages.judges import judge_of
from frft.experiment.stages.look import look_at
from frft.experiment.stages.policy_training import PolicyTrainingStage
from frft.experiment.stages.references import references_of
from frft.experiment.stages.refreshing import refresh_reward, reward_of
from frft.experiment.stages.reward_model import base_reward_model
from frft.experiment.stages.sft import sft_model
from frft.reward import AlignedReward, FrozenEnsembleReward, Refresh
from frft.store import Artifact


class Stages:
    """The stages of one run. Methods that return an artifact build it unless it is finished already.

    Args:
        context: configuration, pairs and runner of the run.
    """

    def __init__(self, context: RunContext) -> None:
        self.context = context

    @property
    def config(self) -> RunConfig:
        """The configuration of the run."""
        return self.context.config

    @property
    def cuts(self) -> list[int]:
        """Numbers of completed PPO steps at which all arms are cut into segments, ascending: see `RunContext`."""
        return self.context.cuts

    @property
    def look_steps(self) -> set[int]:
        """Numbers of completed PPO steps at which every arm is looked at; empty without `monitor.every`."""
        return self.context.look_steps

    @property
    def sft(self) -> Artifact:
        """The SFT model: the initial policy, the KL reference, and the default backbone of reward models."""
        return sft_model(self.context)

    @property
    def base_reward(self) -> Artifact:
        """The reward model that all arms start with, trained on the whole pool D."""
        return base_reward_model(self.context)

    @property
    def judge(self) -> NamedJudge:
        """The judge that compares the arms."""
        return judge_of(self.context)

    def reward(self, arm: RefreshConfig) -> AlignedReward | FrozenEnsembleReward:
        """The reward of an arm, before its first refresh."""
        return reward_of(self.context, arm)

    def train(
        self,
        policy: Artifact,
        reward: AlignedReward | FrozenEnsembleReward,
        anchor: Artifact,
        arm: RefreshConfig,
        *,
        until_step: int,
        reset_optimizer: bool = False,
    ) -> Artifact:
        """Train on from `policy` (the SFT model or the segment before) until `until_step` steps are completed.

        See `PolicyTrainingStage` for the arguments; `arm` says whether the reward is shaped.
        """
        given = (self.context, policy, reward, anchor, self.sft, self.base_reward, until_step, reset_optimizer)
        return self.context.make(PolicyTrainingStage(*given, references_of(self.context, arm)))

    def look(
        self,
        step: int,
        policy: Artifact,
        reward: AlignedReward | FrozenEnsembleReward,
        began: Artifact,
        segments: Sequence[Artifact],
    ) -> Artifact:
        """Diagnose an arm after `step` completed steps: see `look_at`."""
        return look_at(self.context, step, policy, reward, began, segments)

    def refresh(
        self,
        reward: AlignedReward | FrozenEnsembleReward,
        policy: Artifact,
        segments: Sequence[Artifact],
        arm: RefreshConfig,
        step: int,
    ) -> tuple[Refresh | None, tuple[Artifact, Artifact] | None]:
        """Refresh an arm's reward model with `policy` after this step: see `refresh_reward`."""
        return refresh_reward(self.context, reward, policy, segments, arm, step)

    def evaluation_completions(self, policy: Artifact) -> tuple[Artifact, Artifact]:
        """Two independent completions of each evaluation prompt; win rates compare the first with other arms'."""
        return evaluation_completions(self.context, policy)

    def evaluation(
        self, policy: Artifact, baseline: Artifact, reward: AlignedReward | FrozenEnsembleReward
    ) -> Artifact:
        """Evaluate `policy`, trained with `reward`, against `baseline` (vanilla's policy): see `evaluation_of`."""
        return evaluation_of(self.context, policy, baseline, reward)
