"""Evidence in plain language: what speaks for a refresh, and what cannot be known."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from frft.advice.evidence import Evidence, MeasuredEvidence
from frft.advice.predictor import Predictor

LIKELY, UNLIKELY = 2 / 3, 1 / 3
"""Probability from which the verdict is likely, and up to which it is unlikely: odds of two to one, either way."""
ERRORS = 2.0
"""Standard errors that a difference must be away from 0 before a sentence says that there is one."""
ENOUGH_NEAR = 30
"""Near pairs without which nothing is said of their labels. Two standard errors mean what they should only where the
mean is about normal and its error about known, for which 30 is the usual number; two pairs may agree by chance."""
NAMES = {
    "auc": "how well the policy's samples can be told from the pool",
    "locality": "whether labels near the policy follow a rule of their own",
    "agreement": "how well the pool's common rule fits near labels, against far ones",
}
"""The predictor's inputs in words."""


@dataclass(frozen=True)
class Advice:
    """Whether a refresh is expected to help, and why.

    Attributes:
        helps: probability that FRFT has more gold reward after the first refresh than a refresh on as many random
            pairs; None: there is no predictor, or it was not shown to be better than a coin.
        verdict: likely from 2/3, unlikely up to 1/3; unclear in between, where too few pairs are near the policy, and
            wherever the predictor was not shown to be better than a coin on worlds that it had not seen. None: there is
            no predictor.
        reasons: sentences with the evidence, and with what each input adds to the predictor's log odds.
        limits: sentences on what neither evidence nor predictor can know.
    """

    helps: float | None
    verdict: Literal["likely", "unclear", "unlikely"] | None
    reasons: list[str]
    limits: list[str]

    @property
    def answer(self) -> str:
        """The verdict in words, one or two sentences."""
        if self.verdict is None:
            return "no verdict. The evidence stands above; no predictor is fitted that could weigh it."
        if self.helps is None:
            return (
                f"{self.verdict}. This predictor was not shown to tell whether a refresh helps. Compare one with a "
                "refresh on as many random pairs."
            )
        return (
            f"{self.verdict}. FRFT has more gold reward after the first refresh than a refresh on as many random pairs "
            f"with probability {self.helps:.2f}, as far as made-up worlds can say."
        )


def advise(evidence: Evidence, predictor: Predictor | None, embedder: str) -> Advice:
    """Put the evidence into words, and into a verdict where there is a predictor.

    Args:
        evidence: what was measured in the pairs and samples.
        predictor: as `frft advise fit` makes it; None: there is no verdict.
        embedder: digest of the embedder that the evidence was measured with.
    """
    reasons, limits = _described(evidence), [
        "Whether annotators near the policy judge rightly: labels show what they prefer, not the gold reward, which is "
        "unknown on real data. Where they are wrong in their own way, following them does harm."
    ]  # fmt: skip
    if predictor is None:
        limits.append("How these numbers go with an outcome: no predictor is fitted, so there is no verdict.")
        return Advice(None, None, reasons, limits)
    model = predictor.model
    limits.append(
        f"Whether worlds are like your data: the predictor was fitted to {model.cases} experiments in {model.worlds} "
        f"made-up worlds. Tested on others: {predictor.test.sentence()}. The halves exchanged: "
        f"{predictor.exchanged.sentence()}."
    )
    # The terms of a model that is no better than a coin are noise, so no reason is taken from them.
    if not predictor.beats_a_coin:
        limits.append(
            "How these numbers go with an outcome: these intervals are not both above 0.5, so the predictor weighs "
            "nothing, and the verdict is unclear."
        )
        return Advice(None, "unclear", reasons, limits)
    for name, term in model.terms(evidence).items():
        word = "for" if term > 0 else "against" if term < 0 else "neither for nor against"
        reasons.append(f"Predictor: {NAMES[name]} speaks {word} a refresh ({term:+.2f} in the log odds).")
    reasons += [
        f"Predictor: {NAMES[name]} is beyond all it was trained on ({model.lows[name]:.3f} to {model.highs[name]:.3f}) "
        "and counts as the nearest of that."
        for name in model.beyond(evidence)
    ]
    if embedder != predictor.embedder:
        limits.append("What these numbers mean with this embedder: the predictor was fitted with another one.")
    helps = model.probability(evidence)
    if evidence.near_pairs < ENOUGH_NEAR:
        limits.append("Since so few pairs are near the policy, the verdict is unclear, whatever the probability.")
        return Advice(helps, "unclear", reasons, limits)
    return Advice(
        helps, "likely" if helps >= LIKELY else "unlikely" if helps <= UNLIKELY else "unclear", reasons, limits
    )


def _described(evidence: Evidence) -> list[str]:
    sentences = [
        f"The policy's {evidence.samples:,} samples are told from the pool's completions with AUC {evidence.auc:.3f} "
        "(0.5: not at all, and a selection is as good as random; near 1: the pool holds next to nothing of the kind).",
        f"Near the policy lie {evidence.near_pairs:,} of {evidence.pairs:,} pairs ({evidence.near_share:.1%}): the "
        "effective sample size of the density weights.",
        f"{evidence.coverage:.1%} of the samples have a completion of the pool as near as their nearest fellow "
        f"({evidence.coverage_expected:.1%} if the policy had written the pool).",
    ]
    if evidence.near_pairs < ENOUGH_NEAR:
        sentences.append(
            "Too few pairs are near the policy to tell whether their labels follow a rule of their own, or go by the "
            f"pool's less than others do: that takes {ENOUGH_NEAR} at least."
        )
        return sentences
    own, more_right = evidence.locality, evidence.locality_accuracy
    log_loss = _by(own.mean, "{:.4f} nats", "better", "worse")
    right = _by(100 * more_right.mean, "{:.1f}", "more", "fewer")
    tested = (
        f"predicts them {log_loss or 'as well'} {'than' if log_loss else 'as'} a fit to the whole pool "
        f"({_error(own, 4)}), and {f'{right} of 100' if right else 'as many'} rightly ({_error(more_right, 1, 100)})"
    )
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
            f"What the pool as a whole prefers predicts near labels {what}: {near.mean:.1%} against {far.mean:.1%} "
            f"of them (a difference of {100 * apart.mean:.1f}, {_error(apart, 1, 100)})."
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
