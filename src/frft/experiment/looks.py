"""Looks at an arm during its training: what is diagnosed, and whether a look calls for a refresh or a stop."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from frft.config.sections import RefreshConfig
from frft.diagnosis import Course, Diagnosis, Scored
from frft.diagnosis.alarms import FAILURE_SIGNATURES
from frft.diagnosis.links import TRAINING_POLICY
from frft.evaluation import Judge, ScoringJudge
from frft.experiment.evaluation import Scorer
from frft.policy import Completions
from frft.results import GoldView, LookInfo, StepMetrics
from frft.selection.density import EmbeddedCompletions as Texts
from frft.store import Artifact
from frft.worlds import World

Embed = Callable[[Sequence[str]], npt.NDArray[np.float32]]
OVER_OPTIMISED = tuple(signature.name for signature in FAILURE_SIGNATURES if signature.over_optimised)
"""Names of the alarms of over-optimisation, at which `monitor.stop` ends a training."""
BROKEN = "broken link: "
"""Prefix of a broken link's name where it is listed among the alarms that fired."""


def is_due(arm: RefreshConfig, look: Artifact) -> bool:
    """Whether a look calls for a refresh of this arm.

    With `when: alarms`, if any alarm fired; with `when: drift`, if the lower end of the drift's confidence interval
    exceeds `arm.drift`. A look of a plan has no figures yet, and is taken to call for one.
    """
    if arm.when not in ("drift", "alarms") or not look.info:
        return arm.when in ("drift", "alarms")
    seen = look.info_as(LookInfo)
    if arm.when == "alarms":
        return bool(seen.fired)
    return seen.drift is not None and seen.drift.low is not None and seen.drift.low > arm.drift


def is_over_optimised(look: Artifact) -> bool:
    """Whether a look found that more training against this reward makes the policy worse."""
    # A look of a plan has no figures yet; it stops nothing, so that the plan covers the whole training.
    return bool(look.info) and any(name in OVER_OPTIMISED for name in look.info_as(LookInfo).fired)


def scored(written: Sequence[Completions], reward: Scorer, judge: Judge, world: World | None) -> Scored:
    """Score completions with the reward that the policy is trained with, and with the judge if it gives scores."""
    prompts = [prompt for each in written for prompt in each.prompts]
    texts = [text for each in written for text in each.completions]
    requests = None if world is None else world.request_ids(prompts)
    by_judge = judge.score(prompts, texts) if isinstance(judge, ScoringJudge) else None
    return Scored(prompts, texts, reward.score(prompts, texts), by_judge, requests)


def course_of(steps: Sequence[StepMetrics], judged: Sequence[float] | None) -> Course | None:
    """The course of training over T steps, from their metrics; None: no step was made.

    Args:
        steps: metrics of T consecutive steps.
        judged: the judge's mean score of each step's rollouts, T numbers; None: the judge gives no scores.
    """
    if not steps:
        return None
    score_T, kl_T = np.array([row.score for row in steps]), np.array([row.kl_sft_k1 for row in steps])
    return Course(score_T, kl_T, None if judged is None else np.array(judged), steps[0].score_std)


def texts_of(written: Scored, embed: Embed) -> Texts:
    """Scored completions together with their embeddings."""
    return Texts(written.prompts, written.completions, embed(written.completions))


def fired(found: Diagnosis) -> list[str]:
    """Names of the alarms that fired, and the link from reward model to policy training where it is broken.

    The link from policy training to evaluation is left out: the alarms of over-optimisation test the same thing, and
    they alone correct their level for the number of looks.
    """
    broken = [link.name for link in found.links if link.name == TRAINING_POLICY and link.state == "broken"]
    return [*(alarm.name for alarm in found.fired), *(f"{BROKEN}{name}" for name in broken)]


def summary(found: Diagnosis) -> GoldView:
    """The part of a diagnosis that depends on the judge, for the view by the gold reward."""
    return GoldView(fired(found), found.links, found.movement, found.gao)
