"""A look at an arm during its training: a diagnosis with an independent judge, drift, and alarms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from frft.diagnosis import Diagnosis, Scored, Subject, compared, diagnose, measure_drift
from frft.evaluation import Judge
from frft.experiment.evaluation import counted
from frft.experiment.looks import course_of, fired, scored, summary, texts_of
from frft.experiment.segment import METRICS
from frft.experiment.stages.completions import completions_of
from frft.experiment.stages.context import RunContext
from frft.experiment.stages.embedded import EmbeddedStage, read_vectors
from frft.experiment.stages.judges import GOLD, gold_judge, judge_of_looks
from frft.experiment.stages.judging import JudgeView, judge_view
from frft.experiment.stages.reward_model import base_reward_model
from frft.experiment.stages.scoring import load_reward, scored_by
from frft.experiment.texts import read_completions
from frft.results import AgreementInfo, JudgedInfo, LookInfo, held_out_of, read_steps
from frft.reward import AlignedReward, FrozenEnsembleReward
from frft.stages import Stage, Workload
from frft.store import Artifact

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True)
class LookStage(Stage):
    """No files; a diagnosis of an arm after a number of steps (`LookInfo`).

    Attributes:
        context: the run.
        step: number of PPO steps completed.
        moved: whether the policy was trained since `before`; where it was not, drift is not measured.
        now: two samples of the current policy's completions of the same prompts.
        before: the same two samples by the policy at the arm's last accepted refresh, or by the SFT model.
        embedded: embeddings of `now` and of `before`; empty where drift is not measured (`monitor.drift`).
        reward: the reward that the arm is trained with.
        base_reward: the reward model that all arms start with.
        views: each judge's figures, by name: "by_judge" decides the alarms, "by_gold" is only reported.
        segments: the arm's training since the last accepted refresh.
    """

    context: RunContext
    step: int
    moved: bool
    now: list[Artifact]
    before: list[Artifact]
    embedded: list[Artifact]
    reward: AlignedReward | FrozenEnsembleReward
    base_reward: Artifact
    views: Mapping[str, JudgeView]
    segments: Sequence[Artifact]

    kind = "look"

    @property
    def _seed(self) -> int:
        return self.context.seed("drift")

    @property
    def _looks(self) -> int:
        # The number of looks that alarms of over-optimisation correct their level for. The one before training (step 0)
        # cannot raise them.
        return len(self.context.look_steps) - 1

    def inputs(self) -> Mapping[str, Any]:
        return {
            "step": self.step,
            "now": self.now,
            "before": self.before,
            **scored_by(self.reward),
            "base_reward": self.base_reward,
            **{name: view.inputs() for name, view in self.views.items()},
            "looks": self._looks,
            "drift": [*self.embedded, self._seed] if self.embedded else None,
        }

    def build(self, folder: Path) -> Mapping[str, Any]:
        del folder
        progress = self.context.progress
        found, after, start, judge = self._seen(self.views["by_judge"])
        moved = None
        if self.embedded and self.moved:
            moved = measure_drift(texts_of(start, self._embed), texts_of(after, self._embed), self._seed, progress)
        for alarm in found.fired:
            progress.say(f"  after step {self.step}: {alarm.name} ({alarm.measured}: {alarm.figure:.3g})")
        for name in fired(found)[len(found.fired) :] if self.step else ():
            progress.say(f"  after step {self.step}: {name}")
        by_gold = self.views.get("by_gold")
        return LookInfo(
            **vars(found),
            step=self.step,
            drift=moved,
            fired=fired(found),
            verdict=found.verdict,
            decided_by=[ground.found for ground in found.grounds],
            by_gold=None if by_gold is None else summary(self._seen(by_gold)[0]),
            judge_counts=counted(judge)[1],
        ).as_dict()

    def flops(self, workload: Workload) -> float:
        # Two policies with two completions to a prompt, scored by at most three: reward, base reward model, judge.
        return workload.flops(3 * 4 * self.context.config.monitor.prompts * workload.sequence)

    def memory(self, workload: Workload) -> float:
        config = self.context.config
        # The memory of a judge from elsewhere is not known; it is taken to be that of a trained judge.
        judge, reward = (workload.classifier_bytes(each) for each in (config.judge_model, config.reward))
        return judge + reward + self.context.scoring_bytes(workload)

    def _seen(self, view: JudgeView) -> tuple[Diagnosis, Scored, Scored, Judge]:
        """The diagnosis by one judge, the scored completions of now and of before, and the opened judge."""
        context, reward = self.context, self.reward
        judge = view.judge.open()
        after, start = (
            scored([read_completions(each) for each in both], reward.model, judge, context.world)
            for both in (self.now, self.before)
        )
        # An ensemble has no gain, bias or held-out accuracy of its own.
        single = reward if isinstance(reward, AlignedReward) else None
        current = reward.current if isinstance(reward.current, Artifact) else None
        held_out = None if current is None else held_out_of(current)
        refreshed = current is not None and current.digest != self.base_reward.digest
        base = load_reward(context, self.base_reward) if refreshed else None
        subject = Subject(
            f"after step {self.step}",
            gain=None if single is None else single.model.gain,
            bias=0.0 if single is None else single.model.bias,
            after=after,
            before=start,
            before_by_first=None if base is None else base.score(start.prompts, start.completions),
            held_out=None if held_out is None else held_out.order,
            off_policy=view.agreement.info_as(AgreementInfo),
            calibration_error=None if held_out is None else held_out.calibration_error,
            course=course_of(
                [row for segment in self.segments for row in read_steps(segment.path / METRICS)],
                [mean for each in view.judged for mean in each.info_as(JudgedInfo).means]
                if view.judge.scores
                else None,
            ),
        )
        if not view.judge.scores:
            subject = compared(subject, judge)
        return diagnose(subject, self._embed if self.embedded else None, looks=self._looks), after, start, judge

    def _embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        # A text that is in both has two vectors, which differ by rounding; that of `now` is used for both sides.
        vector_of = {text: vector for each in reversed(self.embedded) for text, vector in read_vectors(each)}
        return np.stack([vector_of[text.strip()] for text in texts])


def look_at(
    context: RunContext,
    step: int,
    policy: Artifact,
    reward: AlignedReward | FrozenEnsembleReward,
    began: Artifact,
    segments: Sequence[Artifact],
) -> Artifact:
    """Diagnose an arm as it is after `step` steps.

    Args:
        context: the run.
        step: number of PPO steps completed.
        policy: the current policy.
        reward: the reward that it is trained with.
        began: the policy that `policy` is compared with: that of the arm's last accepted refresh, or the SFT model.
        segments: the arm's training since then.
    """
    monitor, sampling = context.config.monitor, context.config.ppo.sampling
    prompts = context.draw(context.splits.prompts, monitor.prompts, "looks")
    now, before = (
        [completions_of(context, each, prompts, sampling, "looks", which) for which in ("first", "second")]
        for each in (policy, began)
    )
    decides = judge_of_looks(context)
    views = {"by_judge": judge_view(context, reward, segments, decides)}
    if context.world is not None and decides.name != GOLD:
        # For comparison with what the judge finds; nothing is decided by it.
        views["by_gold"] = judge_view(context, reward, segments, gold_judge(context))
    base = base_reward_model(context)
    embedded = [context.make(EmbeddedStage(context, both)) for both in (now, before)] if monitor.drift else []
    return context.make(
        LookStage(context, step, policy.digest != began.digest, now, before, embedded, reward, base, views, segments)
    )
