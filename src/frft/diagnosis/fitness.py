"""Findings on a reward model, and the verdict that they add up to: fit, fit with remarks, or not fit.

A fault makes a model not fit: it is scored otherwise than it was made to be, or its scores say nothing. A remark is
something to know, or to mind when other software scores by the model.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from frft.diagnosis.check_figures import Agreement, Measured, ModelFacts, OnPairs, OnSamples
from frft.reward.alarm import Alarm

FitVerdict = Literal["fit", "fit with remarks", "not fit"]

MANY_TIES, MANY_CUT = 0.1, 0.05
LENGTH_EXCESS = 0.05
"""The longer completion scores higher in so much more of the pairs than it is chosen: below, nobody would mind."""


@dataclass(frozen=True)
class Finding:
    """One thing that was found.

    Attributes:
        name: what is wrong, in a few words.
        fault: whether it makes the model not fit; otherwise it is a remark.
        found: what was measured.
        advice: what to do.
    """

    name: str
    fault: bool
    found: str
    advice: str


def fit_verdict(findings: Sequence[Finding]) -> FitVerdict:
    """The verdict that findings add up to."""
    if any(each.fault for each in findings):
        return "not fit"
    return "fit with remarks" if findings else "fit"


def findings_of(measured: Measured) -> list[Finding]:
    """All findings on a reward model, faults first."""
    found = [*_of_reading(measured.facts, measured.agreement), *_of_batches(measured)]
    if measured.pairs is not None:
        found += _of_pairs(measured.pairs)
    if measured.samples is not None:
        found += _of_samples(measured.samples, measured.facts.dtype)
    cut = max(measured.truncated["prompts_truncated"], measured.truncated["completions_truncated"])
    if cut > MANY_CUT * measured.truncated["sequences"]:
        found.append(
            Finding(
                "texts are cut",
                False,
                f"{cut} of {measured.truncated['sequences']} sequences are longer than {measured.facts.max_length} "
                "tokens, and lost the beginning of their prompt or the end of their completion",
                "A score then says nothing of what was cut. Give shorter texts, or a model with more positions.",
            )
        )
    return sorted(found, key=lambda each: not each.fault)


def _of_reading(facts: ModelFacts, agreement: Agreement) -> list[Finding]:
    found = []
    if not agreement.compared:
        found.append(
            Finding(
                "nothing was compared",
                True,
                f"none of {agreement.texts} texts could be compared with the model's own reading",
                "They are all too long, or refused by its chat template. Give a longer --max-length, or another "
                "template.",
            )
        )
    if agreement.other_tokens:
        plain = facts.chat_template == "plain" and agreement.template == facts.template
        found.append(
            Finding(
                "tokens differ",
                not plain,
                f"{agreement.other_tokens} of {agreement.compared} texts are other tokens through frft than through "
                f"the model's own tokenizer, and scores differ by up to {agreement.difference:.3g}",
                "frft tokenizes prompt and completion apart, so that a policy can continue a prompt; a token of the "
                "whole text straddles the boundary. Where other software scores by this model, tokenize them apart "
                "there, too."
                if plain
                else f"frft reads {facts.reading}, the model's own tokenizer by {agreement.template}. "
                "Leave --chat-template out, unless you know that the tokenizer's is the wrong one.",
            )
        )
    equal = agreement.difference_of_equal
    if equal is not None and equal > agreement.tolerance:
        found.append(
            Finding(
                "scores differ",
                True,
                f"on equal tokens, scores through frft and through the model's own forward pass differ by up to "
                f"{equal:.3g}, where {agreement.tolerance:.1g} would be rounding",
                "The model's forward pass depends on more than its tokens, or frft loads it wrongly: report it, with "
                "the model's name.",
            )
        )
    if agreement.before_the_end is not None and agreement.before_the_end > agreement.tolerance:
        found.append(
            Finding(
                "read before the end",
                False,
                f"{agreement.ends_in_padding} texts end with {facts.padding}, which the head takes for padding: it "
                f"reads at the token before, where scores differ by up to {agreement.before_the_end:.3g} from those "
                "at the end",
                "frft scores as the model's own forward pass does. Software that reads at the last token (vLLM, for "
                "one) gives other scores; train with another pad_token_id in config.json.",
            )
        )
    if agreement.refused:
        found.append(
            Finding(
                "conversations are refused",
                False,
                f"the chat template refuses {agreement.refused} of {agreement.texts} conversations (system prompts, "
                "for one)",
                "Prompts of that kind cannot be scored; leave them out.",
            )
        )
    if facts.bos is not None and facts.bos > 1:
        found.append(
            Finding(
                "BOS twice",
                False,
                f"texts begin with {facts.bos} tokens that begin a text",
                "The template writes one, and the tokenizer another, unless the model was trained so; look at both.",
            )
        )
    return found


def _of_batches(measured: Measured) -> list[Finding]:
    tolerance = measured.agreement.tolerance
    ours, theirs = ([each for each in measured.batches if each.by == who] for who in ("frft", "own"))
    found = []
    worst = max(ours, key=lambda each: each.difference or 0.0)
    if (worst.difference or 0.0) > tolerance:
        found.append(
            Finding(
                "the batch changes scores",
                True,
                f"in batches of {worst.size}, scores differ by up to {worst.difference:.3g} from those of the same "
                "texts alone",
                "A score depends on which texts are scored beside it: the model reads padding. Have it use the "
                "attention mask, or score by another one.",
            )
        )
    if refused := [each for each in theirs if each.refused is not None]:
        found.append(
            Finding(
                "no batches elsewhere",
                False,
                f"the model's own forward pass refuses batches: {refused[0].refused}",
                "frft pads by itself. Elsewhere, set a padding token in tokenizer and config.json that no text ends "
                "with.",
            )
        )
    for side in ("right", "left"):
        moved = max((each.difference or 0.0 for each in theirs if each.side == side), default=0.0)
        if moved > tolerance:
            found.append(
                Finding(
                    f"padding on the {side} changes scores elsewhere",
                    False,
                    f"padded on the {side} by its own tokenizer, the model's own forward pass gives scores that differ "
                    f"by up to {moved:.3g}",
                    "frft pads by itself, and is not concerned. Elsewhere, pad on the other side, or score one at a "
                    "time.",
                )
            )
    return found


def _of_pairs(on: OnPairs) -> list[Finding]:
    found, each = [], on.evaluation
    low, high = each.interval
    if low <= 0.5:
        worse = high < 0.5
        found.append(
            Finding(
                "worse than chance" if worse else "not shown to be better than chance",
                worse,
                f"it orders {each.n} pairs as they are labelled with accuracy {each.accuracy:.3f} [{low:.3f}, "
                f"{high:.3f}]",
                "Look whether chosen and rejected are swapped, and whether the model was made for such prompts."
                if worse
                else "Give more pairs, or another model.",
            )
        )
    if each.ties > MANY_TIES * each.n:
        found.append(
            Finding(
                "many ties",
                False,
                f"{each.ties} of {each.n} pairs have equal scores",
                "They are equal up to where they are cut, or too near for the number format: --dtype float32.",
            )
        )
    if on.length is not None and on.length.excess.low is not None and on.length.excess.low > LENGTH_EXCESS:
        found.append(
            Finding(
                "it prefers longer texts",
                False,
                f"the longer completion scores higher in {on.length.longer_scores_higher:.1%} of the pairs, and is the "
                f"chosen one in {on.length.longer_is_chosen:.1%}",
                "A policy trained by it will write more. Compare policies with length controlled (frft eval winrate).",
            )
        )
    return found


def _of_samples(on: OnSamples, dtype: str) -> list[Finding]:
    found = [
        # Little signal slows learning; the other two make scores meaningless.
        Finding(
            each.name, each.name != "too little signal within a prompt", _figure(each), f"{each.meaning} {each.advice}"
        )
        for each in on.alarms
        if each.fired
    ]
    if on.scores.ties > MANY_TIES * on.scores.texts:
        found.append(
            Finding(
                "many equal scores",
                False,
                f"{on.scores.ties} different samples have exactly the score of another",
                f"They are equal up to where they are cut, or too near for {dtype}.",
            )
        )
    return found


def _figure(alarm: Alarm) -> str:
    interval = "" if alarm.interval is None else " [{:.3f}, {:.3f}]".format(*alarm.interval)
    return f"{alarm.measured}: {alarm.figure:.3f}{interval}"
