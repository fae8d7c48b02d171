"""Diagnosis of a reward model and a policy: links, alarms, symptoms, Gao's curve, and what could not be measured."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from frft.diagnosis.alarms import FAILURE_SIGNATURES, Examined
from frft.diagnosis.links import Link, Movement, moved, policy_to_evaluation, training_to_policy
from frft.diagnosis.overoptimisation import GaoFit, fit_gao
from frft.diagnosis.subject import RewardSpread, Scored, Subject
from frft.diagnosis.symptoms import Symptom, measure_symptoms
from frft.diagnosis.verdict import Ground, RewardVerdict, verdict_of
from frft.reward.alarm import Alarm
from frft.statistics import OrderAccuracy
from frft.statistics.estimates import WINDOW, Estimate, difference, estimate
from frft.store import plain

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True)
class DiagnosisFigures:
    """The figures of a diagnosis.

    Attributes:
        name: name of the subject: an arm, a step, or the policy.
        links: states of the links of objective mismatch within one training: reward-model training to policy training,
            and policy training to evaluation.
        alarms: the failures that could be looked for, fired or silent.
        symptoms: properties of the policy's texts, before and after training.
        spread: mean and variance of the normalised scores of the policy's completions; None where fewer than two
            prompts have two completions.
        spread_raw: mean and variance of the raw scores of the same completions; None for an ensemble, which has no
            single scale, or where `spread` is None.
        spread_before: mean and variance of the normalised scores of completions from the start of training; None where
            there are none, or fewer than two prompts have two.
        movement: changes of proxy and judge from the start of training to now; None where nobody judged both.
        held_out: accuracy of the reward model on labelled pairs that no training saw, by their labels.
        off_policy: accuracy of the reward model on held-out pairs, by the judge.
        on_policy: accuracy of the reward model on pairs of the policy's own texts, by the judge.
        lost: accuracy on the policy's own texts less accuracy on held-out pairs; below 0 where the reward model orders
            the policy's texts less well.
        kl: KL divergence of the policy from the SFT model, in nats a completion, mean of the last steps.
        gao: Gao's curve of the judge's score over sqrt(KL), fitted to the steps; None: too few steps, or no judge.
        calibration_error: expected calibration error of the reward model on held-out pairs, 0 to 1.
        unmeasured: what could not be measured, and why, a line each.
    """

    name: str
    links: list[Link]
    alarms: list[Alarm]
    symptoms: list[Symptom]
    spread: RewardSpread | None
    spread_raw: RewardSpread | None
    spread_before: RewardSpread | None
    movement: Movement | None
    held_out: OrderAccuracy | None
    off_policy: OrderAccuracy | None
    on_policy: OrderAccuracy | None
    lost: Estimate | None
    kl: Estimate | None
    gao: GaoFit | None
    calibration_error: float | None
    unmeasured: list[str]


@dataclass(frozen=True)
class Diagnosis(DiagnosisFigures):
    """The figures of one subject, and the verdict on its reward."""

    @property
    def fired(self) -> list[Alarm]:
        """The alarms that fired, in the order in which they were checked."""
        return [alarm for alarm in self.alarms if alarm.fired]

    @property
    def verdict(self) -> RewardVerdict:
        """Healthy, broken or undecided; see `verdict_of`."""
        return verdict_of(self.links, self.alarms)[0]

    @property
    def grounds(self) -> list[Ground]:
        """The reasons for the verdict."""
        return verdict_of(self.links, self.alarms)[1]

    def as_dict(self) -> dict[str, Any]:
        """Verdict, grounds and all figures as JSON-able values."""
        return {"verdict": self.verdict, "decided_by": [ground.found for ground in self.grounds], **plain(self)}


def diagnose(
    subject: Subject, embed: Callable[[Sequence[str]], NDArray[Any]] | None = None, looks: int = 1
) -> Diagnosis:
    """Compute every figure for which the subject has the data; the others are listed as unmeasured, with the reason.

    Args:
        subject: the known data of a reward model and a policy.
        embed: function from texts to vectors of length 1, for self-similarity; None: it is not measured.
        looks: number of diagnoses in one training; the tests of over-optimisation share their significance level
            among them (Bonferroni).
    """
    after, before, course = subject.after, subject.before, subject.course
    spread = after.spread() if after else None
    earlier = before.spread() if before else None
    movement = moved(before, after, subject.after_preferred) if before and after else None
    fit = fit_gao(course.judge_T, course.kl_T) if course and course.judge_T is not None else None
    examined = Examined(subject, spread, earlier, movement, fit, looks)
    looked = [(signature, signature.look(examined)) for signature in FAILURE_SIGNATURES]
    found = [alarm for _, alarm in looked if alarm is not None]
    missing = [f"{signature.name}: {signature.why_not(examined)}" for signature, alarm in looked if alarm is None]
    request_of = {
        prompt: request
        for written in (before, after)
        if written is not None and written.requests is not None
        for prompt, request in zip(written.prompts, written.requests, strict=True)
    }
    changes = (
        measure_symptoms(
            *((after.prompts, after.completions) if after else ((), ())),
            *((before.prompts, before.completions) if before else ((), ())),
            embed=embed,
            request_of=request_of,
        )
        if after
        else []
    )
    if after and embed is None:
        missing.append("self-similarity: it needs an embedder, and none is given")
    if spread and spread.single:
        missing.append(
            f"{spread.single} prompts with one completion: they are left out of accuracy on own texts and of signal "
            "within a prompt"
        )
    on_policy, off_policy = after.on_policy() if after else None, subject.off_policy or subject.held_out
    return Diagnosis(
        subject.name,
        [
            training_to_policy(off_policy, on_policy),
            policy_to_evaluation(course, movement, on_policy, _why_no_movement(before, after)),
        ],
        found,
        changes,
        spread,
        spread.raw(subject.gain, subject.bias) if spread and subject.gain else None,
        earlier,
        movement,
        subject.held_out,
        subject.off_policy,
        on_policy,
        None if on_policy is None or off_policy is None else difference(on_policy, off_policy),
        None if course is None else estimate(course.kl_T[-WINDOW:]),
        fit,
        subject.calibration_error,
        [*subject.unmeasured, *missing],
    )


def _why_no_movement(before: Scored | None, after: Scored | None) -> str:
    if before is None or after is None:
        return "There is nothing that the policy wrote at the start, and no judge followed five of its steps."
    if not set(before.prompts) & set(after.prompts):
        return "What the policy wrote at the start and what it writes now have no prompt in common."
    return "Nobody judged what the policy wrote at the start and what it writes now, or five of its steps."
