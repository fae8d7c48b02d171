"""The judge of a run: the one that `evaluation.judge` names, its world's gold reward, or a trained reward model.

Stages take a `NamedJudge`: its identity is among their inputs, and it is opened within `build`, so that each stage has
counts of its own and a plan loads no model.
"""

from __future__ import annotations

from frft.evaluation import GoldJudge, Judge, RewardJudge
from frft.evaluation.judge_names import NamedJudge
from frft.experiment.stages.context import RunContext
from frft.experiment.stages.reward_model import held_out_judge
from frft.experiment.stages.scoring import load_reward

GOLD, TRAINED_JUDGE = "gold", "reward_model"
"""Names of the judges that are used where `evaluation.judge` names none."""


def judge_of(context: RunContext) -> NamedJudge:
    """The judge that compares the arms: the named one; else the world's gold reward; else the trained judge."""
    if context.named_judge is not None:
        return context.named_judge
    return trained_judge(context) if context.world is None else gold_judge(context)


def judge_of_looks(context: RunContext) -> NamedJudge:
    """The judge that looks compare an arm's reward with, by `monitor.judge`."""
    by = context.config.judge_of_looks
    return judge_of(context) if by == "evaluation" else gold_judge(context) if by == "gold" else trained_judge(context)


def trained_judge(context: RunContext) -> NamedJudge:
    """The judge that is a reward model trained on pairs that nothing else is trained on (`Splits.judge`)."""
    model, margin = held_out_judge(context), context.config.evaluation.tie_margin

    def opened() -> Judge:
        return RewardJudge(load_reward(context, model), margin, description="a reward model trained on other pairs")

    return NamedJudge(TRAINED_JUDGE, model, scores=True, open=opened)


def gold_judge(context: RunContext) -> NamedJudge:
    """The world's gold reward as a judge."""
    assert context.world is not None
    world = context.world
    return NamedJudge(GOLD, GOLD, scores=True, open=lambda: GoldJudge(world))
