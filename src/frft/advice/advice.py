"""Evidence in plain language: what speaks for a refresh, and what cannot be known."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from frft.advice.evidence import Evidence, MeasuredEvidence
from frft.advice.predictor import SHOWN, Predictor

LIKELY, UNLIKELY = 2 / 3, 1 / 3
"""Probability from which the verdict is likely, and up to which it is unlikely: odds of two to one, either way."""
ERRORS = 2.0
"""Standard errors that a difference must be away from 0 before a sentence says that there is one."""
ENOUGH_NEAR = 30
"""Near pairs without which nothing is said of their labels. Two standard errors mean what they should only where the
mean is about normal and its error about known, for which 30 is the usual number; two pairs may agree by chance."""
LITTLE_COVERED = 0.8
"""Share of the expected coverage below which a sentence says that the policy is outside the pool."""
NAMES = {
    "auc": "telling samples from the pool",
    "locality": "locality",
    "agreement": "near labels against the pool's rule",
    "transfer_gap": "the transfer gap",
}
"""The predictor's inputs in words."""
NO_GOLD = (
    "Gold reward after reinforcement learning: in 104 runs in made-up worlds nothing measured here predicted it. "
    "Labels near the policy may be wrong in their own way."
)


@dataclass(frozen=True)
class Advice:
    """Whether a refresh is expected to help, and why.

    Attributes:
        outcome: what "helps" means, for "Probability that ..."; None: there is no predictor.
        helps: that probability; None: there is no predictor, or it did not pass its tests.
        verdict: likely from 2/3, unlikely up to 1/3; unclear in between, where too few pairs are near the policy, and
            wherever the predictor did not pass its tests on cases that it had not seen. None: there is no predictor.
        answer: the verdict and what it is about, or why there is none, in one to three sentences.
        reasons: sentences with the evidence, and with what each input adds to the predictor's log odds.
        limits: sentences on what neither evidence nor predictor can know.
    """

    outcome: str | None
    helps: float | None
    verdict: Literal["likely", "unclear", "unlikely"] | None
    answer: str
    reasons: list[str]
    limits: list[str]


def advise(evidence: Evidence, predictor: Predictor | None, embedder: str) -> Advice:
    """Put the evidence into words, and into a verdict where there is a predictor that passed its tests.

    Args:
        evidence: what was measured in the pairs and samples.
        predictor: as `frft advise fit` makes it; None: there is no verdict.
        embedder: digest of the embedder that the evidence was measured with.
    """
    reasons = _described(evidence)
    if predictor is None:
        answer = "no verdict. The evidence stands below; no predictor is fitted that could weigh it."
        return Advice(None, None, None, answer, reasons, [NO_GOLD])
    model, about = predictor.model, predictor.outcome.help
    limits = [NO_GOLD] if predictor.outcome.name != "gold" else []
    limits.append(
        f"Whether your data are like the {model.cases} {predictor.outcome.case} behind this. On cases it had not seen: "
        f"{'; '.join(f'{name}, {test.sentence()}' for name, test in predictor.tests.items())}. A coin has 0.5; a "
        f"verdict takes an interval above {SHOWN}."
    )
    # The terms of a model that did not pass are noise, so no reason is taken from them.
    if not predictor.is_shown:
        answer = (
            "unclear. The predictor did not pass its test on "
            f"{', nor on '.join(f'{name} ({why})' for name, why in predictor.failed.items())}. Compare a refresh with "
            "one on as many random pairs."
        )
        return Advice(about, None, "unclear", answer, reasons, limits)
    if len(model.coefficients) > 1:
        terms = ", ".join(f"{NAMES[name]} {term:+.2f}" for name, term in model.terms(evidence).items())
        reasons.append(f"Log odds, above 0 for a refresh: {terms}; without them {model.intercept:+.2f}.")
    reasons += [
        f"Beyond all that the predictor was fitted to, and counted as the nearest of it: {NAMES[name]} "
        f"({model.lows[name]:.3f} to {model.highs[name]:.3f})."
        for name in model.beyond(evidence)
    ]
    if embedder != predictor.embedder:
        limits.append("What these numbers mean with this embedder: the predictor was fitted with another one.")
    helps = model.probability(evidence)
    verdict: Literal["likely", "unclear", "unlikely"] = (
        "likely" if helps >= LIKELY else "unlikely" if helps <= UNLIKELY else "unclear"
    )
    answer = f"Probability {helps:.2f} that {about}."
    if evidence.near_pairs < ENOUGH_NEAR:
        verdict = "unclear"
        answer = f"{answer} Only {evidence.near_pairs} pairs are near your policy; a verdict takes {ENOUGH_NEAR}."
    elif verdict == "unclear":
        answer = f"{answer} A verdict takes {LIKELY:.2f} or more, or {UNLIKELY:.2f} or less."
    return Advice(about, helps, verdict, f"{verdict}. {answer}", reasons, limits)


def _described(evidence: Evidence) -> list[str]:
    sentences = [
        f"The policy's {evidence.samples:,} samples are told from the pool with AUC {evidence.auc:.3f} (0.5: nothing "
        f"to select by; near 1: the pool hardly holds their like); {evidence.near_pairs:,} of {evidence.pairs:,} pairs "
        f"({evidence.near_share:.1%}) are near it.",
    ]
    if evidence.coverage < LITTLE_COVERED * evidence.coverage_expected:
        sentences.append(
            f"The policy is partly outside the pool: {evidence.coverage:.1%} of its samples have a completion there as "
            f"near as their nearest fellow ({evidence.coverage_expected:.1%} if it had written the pool)."
        )
    if evidence.near_pairs < ENOUGH_NEAR:
        sentences.append(
            "Too few pairs are near the policy to tell whether their labels follow a rule of their own, or go by the "
            f"pool's less than others do: that takes {ENOUGH_NEAR} at least."
        )
        return sentences
    gap, own = evidence.transfer_gap, evidence.locality
    lost = _by(100 * gap.mean, "{:.1f}", "fewer", "more")
    sentences.append(
        "Transfer: on the nearest and the farthest quarter of the pairs, a small reward model of the other quarter is "
        f"right on {f'{lost} of 100' if lost else 'as many'} {'than' if lost else 'as'} one of their own "
        f"({_error(gap, 1, 100)})."
    )
    log_loss = _by(own.mean, "{:.4f} nats", "better", "worse")
    tested = f"predicts them {log_loss or 'as well'} {'than' if log_loss else 'as'} a fit to all ({_error(own, 4)})"
    if _clear(own) and own.mean > 0:
        sentences.append(f"Labels near the policy follow a rule of their own: a fit that leans on near pairs {tested}.")
    else:
        sentences.append(f"No sign that labels near the policy follow a rule of their own: such a fit {tested}.")
    near, far, apart = evidence.near_accuracy, evidence.far_accuracy, evidence.agreement
    if far is None or apart is None:
        sentences.append("All pairs are near the policy, so near labels cannot be compared with far ones.")
    else:
        what = "as well as far ones"
        if _clear(apart):
            what = (
                "better than far ones"
                if apart.mean > 0
                else "worse than far ones, so they are noisier or judged differently"
            )
        sentences.append(
            f"The pool's common rule predicts near labels {what}: {near.mean:.1%} against {far.mean:.1%} "
            f"({_error(apart, 1, 100)})."
        )
    who = evidence.annotator
    if who is not None:
        sentences.append(
            f"{who.name} judged {who.near_share:.1%} of the near pairs ({who.pool_share:.1%} of all); the pool's rule "
            f"predicts {who.accuracy.mean:.1%} of those labels ({_error(who.accuracy, 1, 100)})."
        )
    return sentences


def _by(difference: float, shown: str, more: str, less: str) -> str | None:
    """A difference in words: "0.0035 nats worse", not "-0.0035 nats better"; None where it rounds to 0."""
    size = shown.format(abs(difference))
    if size == shown.format(0.0):
        return None
    return f"{size} {more if difference > 0 else less}"


def _clear(measured: MeasuredEvidence) -> bool:
    return measured.error is not None and abs(measured.mean) > ERRORS * measured.error


def _error(measured: MeasuredEvidence, digits: int, scale: float = 1.0) -> str:
    return f"standard error {'unknown' if measured.error is None else f'{scale * measured.error:.{digits}f}'}"
