"""Fresh labels of what a run's policy writes (`refresh.labels`): of which texts, and by whom."""

from __future__ import annotations

from frft.config.sections import LabelsConfig, RefreshConfig
from frft.evaluation import JudgeLabeller, RewardJudge
from frft.evaluation.judge_names import NamedJudge
from frft.experiment.stages.completions import completions_of
from frft.experiment.stages.context import RunContext
from frft.experiment.stages.judges import gold_judge
from frft.experiment.texts import stored_samples
from frft.labels import Labeller, NamedLabeller, NoisyLabeller
from frft.reward import AlignedReward, Labelling, PolicySamples, model_identity
from frft.reward.infos import SELF
from frft.store import Artifact


def labelling_of(
    context: RunContext, policy: Artifact, reward: AlignedReward, arm: RefreshConfig, step: int
) -> Labelling | None:
    """What fresh labels a refresh of this arm asks for after a step of its policy; None: none.

    They are of two completions of each of `prompts_to_label` prompts, which are drawn anew for every refresh.
    """
    if arm.fresh is None:
        return None
    prompts = context.draw(context.splits.prompts, arm.prompts_to_label, f"fresh-labels-{len(reward.refreshes)}")
    sampling = arm.sampling or context.config.ppo.sampling
    texts = _both(*(stored_samples(completions_of(context, policy, prompts, sampling, each)) for each in _SIDES))
    return Labelling.of(arm.fresh, labeller_of(context, arm.fresh, reward), texts, step, reward.refreshes)


_SIDES = ("first", "second")
"""Purposes of the two samples of a prompt, each with a seed of its own."""


def labeller_of(context: RunContext, labels: LabelsConfig, reward: AlignedReward) -> NamedLabeller:
    """Who gives the fresh labels of an arm with this reward."""
    if labels.from_ == "queue":
        return NamedLabeller("people", "queue", None, context.labels_folder)
    if labels.from_ == "gold":
        return _gold(context, labels.noise)
    if labels.from_ == "self":
        # Its scores' scale is no part of a preference, so equal models are one labeller.
        return NamedLabeller(
            SELF, model_identity(reward.current), lambda: JudgeLabeller(RewardJudge(reward.model), SELF)
        )
    judge = context.labelling_judges[context.config.labelling_judge(labels)]
    return NamedLabeller(
        judge.name,
        judge.identity,
        lambda: JudgeLabeller(judge.open(), judge.name),
        # Replies that are paid for outlive a stopped build.
        context.labels_folder if judge.verdicts is not None else None,
    )


def _gold(context: RunContext, noise: float) -> NamedLabeller:
    judge: NamedJudge = gold_judge(context)
    seed = context.seed("labels-noise")

    def opened() -> Labeller:
        gold = JudgeLabeller(judge.open(), judge.name)
        return NoisyLabeller(gold, noise, seed) if noise else gold

    # What gold says of a text follows from the world's settings.
    identity = {"gold": context.config.data.model_dump()["world"], **({"noise": noise, "seed": seed} if noise else {})}
    return NamedLabeller(judge.name, identity, opened)


def _both(first: PolicySamples, second: PolicySamples) -> PolicySamples:
    """The completions of both samples as one, so that every prompt occurs twice."""

    def load() -> tuple[list[str], list[str]]:
        (prompts, one), (again, two) = first.load(), second.load()
        return [*prompts, *again], [*one, *two]

    return PolicySamples([first.identity, second.identity], load)
