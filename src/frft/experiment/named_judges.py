"""The judges that a configuration names: for win rates, and for fresh labels."""

from __future__ import annotations

from pathlib import Path

from frft.config import RunConfig
from frft.evaluation import JudgeLabeller
from frft.evaluation.judge_names import JudgeRequest, NamedJudge, named_judge
from frft.experiment.stages import Stages
from frft.labels import LabelBudget
from frft.labels.asking import check_counted
from frft.progress import Progress


def evaluation_judge(config: RunConfig, verdicts: Path, progress: Progress) -> NamedJudge | None:
    """The judge that `evaluation.judge` names; None: the setting is empty. `verdicts` is the file of its replies."""
    if config.evaluation.judge is None:
        return None
    request = _judge_request(config, verdicts, progress)
    return named_judge(config.evaluation.judge, request, setting="evaluation.judge")


def labelling_judges(config: RunConfig, verdicts: Path, progress: Progress) -> dict[str, NamedJudge]:
    """The judges that give fresh labels to any arm, by name. Their replies are kept apart from those of win rates."""
    arms = [config.arm(name) for name in config.arms]
    fresh = [arm.fresh for arm in arms if arm.alpha and arm.fresh is not None and arm.fresh.from_ == "judge"]
    request = _judge_request(config, verdicts, progress)
    names = {config.labelling_judge(labels) for labels in fresh}
    return {name: named_judge(name, request, setting="labels.judge") for name in sorted(names)}


def _judge_request(config: RunConfig, verdicts: Path, progress: Progress) -> JudgeRequest:
    return JudgeRequest(
        "",
        config.evaluation,
        verdicts=verdicts,
        split=config.data.split,
        max_rejected=config.data.max_rejected,
        trust_remote_code=config.policy.trust_remote_code,
        progress=progress,
    )


def try_judges(stages: Stages) -> None:
    """Ask each judge that the configuration names one question, so that it fails now and not after hours of training.

    These are the judge of `evaluation.judge` and those that give fresh labels. Nothing is asked where none is named:
    the gold reward and a trained judge come with the run.

    Raises:
        FrftError: a judge cannot be opened, cannot compare texts, or does not count what `labels.budget_tokens` or
            `labels.budget_cost` limits.
    """
    context = stages.context
    # A judge of both win rates and labels is asked once.
    named = dict(context.labelling_judges)
    if context.named_judge is not None:
        named[context.named_judge.name] = context.named_judge
    arms = [context.config.arm(name) for name in context.config.arms]
    fresh = [arm.fresh for arm in arms if arm.alpha and arm.fresh is not None and arm.fresh.from_ == "judge"]
    for name, each in named.items():
        judge = each.open()
        (verdict,) = judge.prefer(context.evaluation_prompts[:1], [" Yes."], [" No."])
        if verdict is None:
            context.progress.say(f"{judge.description} had no verdict on a first question. Is it the right judge?")
        for labels in fresh:
            if context.config.labelling_judge(labels) == name:
                limits = LabelBudget(None, labels.budget_tokens, labels.budget_cost)
                check_counted(JudgeLabeller(judge, name).spent(), limits, name)
