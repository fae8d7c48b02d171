"""Who judges a run: the judge that its configuration names, the gold reward of its world, or a reward model of its own.

Stages take a `NamedJudge`: its identity is among their inputs, and it is opened inside their `build`, so that each
stage counts for itself and a plan loads nothing.
"""

from __future__ import annotations

from frft.evaluation import GoldJudge, Judge, RewardJudge
from frft.evaluation.judge_names import NamedJudge
from frft.experiment.stages.context import RunContext
from frft.experiment.stages.reward_model import held_out_judge
from frft.experiment.stages.scoring import load_reward

GOLD, TRAINED_JUDGE = "gold", "reward_model"
"""The names of the judges that a configuration need not name."""


def judge_of(context: RunContext) -> NamedJudge:
    """Who compares the arms: the judge with a name, else in a world its gold reward, else the trained one."""
    if context.named_judge is not None:
        return context.named_judge
    return trained_judge(context) if context.world is None else gold_judge(context)


def judge_of_looks(context: RunContext) -> NamedJudge:
    """Whom looks at an arm hold its reward against."""
    by = context.config.judge_of_looks
    return judge_of(context) if by == "evaluation" else gold_judge(context) if by == "gold" else trained_judge(context)


def trained_judge(context: RunContext) -> NamedJudge:
    """A reward model trained on rows that nothing else saw, as a judge."""
    model, margin = held_out_judge(context), context.config.evaluation.tie_margin

    def opened() -> Judge:
        return RewardJudge(load_reward(context, model), margin, description="a reward model trained on other pairs")

    return NamedJudge(TRAINED_JUDGE, model, scores=True, open=opened)


def gold_judge(context: RunContext) -> NamedJudge:
    """The gold reward of the world."""
    assert context.world is not None
    world = context.world
    return NamedJudge(GOLD, GOLD, scores=True, open=lambda: GoldJudge(world))
