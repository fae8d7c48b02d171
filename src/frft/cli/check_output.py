"""What `frft reward check` prints: the verdict and its findings first, then the model, then every measurement."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from frft.cli.output import print_table, print_text

if TYPE_CHECKING:
    from frft.diagnosis.check_figures import Agreement, BatchDifference, Measured, ModelFacts, OnPairs, OnSamples
    from frft.diagnosis.fitness import Finding, FitVerdict
    from frft.diagnosis.same_model import SameModel
    from frft.statistics import Estimate


def print_check(verdict: FitVerdict, findings: Sequence[Finding], found: Measured, same: SameModel | None) -> None:
    """Print a check of a reward model.

    Args:
        verdict: what the findings add up to.
        findings: faults and remarks.
        found: everything that was measured.
        same: the comparison with another folder; None: there was none.
    """
    print_text(f"Verdict: {verdict}.")
    for each in findings:
        print_text(f"• {'FAULT' if each.fault else 'Remark'}: {each.name}. {_sentence(each.found)} {each.advice}")
    _print_facts(found.facts)
    _print_agreement(found.agreement)
    _print_batches(found.batches)
    if found.pairs is not None:
        _print_pairs(found.pairs)
    if found.samples is not None:
        _print_samples(found.samples)
    cut = found.truncated
    if cut["sequences"]:
        print_text(
            f"Of {cut['sequences']} sequences of pairs and samples, {cut['prompts_truncated']} lost the beginning of "
            f"their prompt and {cut['completions_truncated']} the end of their completion (longer than "
            f"{found.facts.max_length} tokens)."
        )
    if same is not None:
        _print_same(same, found.facts.model)


def _print_facts(facts: ModelFacts) -> None:
    bos = {None: "none", 0: "not written", 1: "once"}.get(facts.bos, f"{facts.bos} times")
    rows = [
        ("model", facts.model),
        ("architecture", facts.architecture or "not said"),
        (
            "weights",
            f"{facts.parameters:,} parameters, saved in {facts.dtype_saved or 'no format that config.json says'}",
        ),
        ("head", facts.head.described),
        ("reads", facts.reading),
        ("trained with", facts.trained_with or "not said (no reward.json)"),
        ("template's digest", facts.chat_template),
        ("tokens that end", ", ".join(facts.ends)),
        ("BOS", bos),
        ("padding", f"{facts.padding or 'not said'}, on the {facts.padding_side}"),
        ("computed in", facts.dtype),
        ("longest sequence", f"{facts.max_length} tokens"),
        ("score", f"{facts.gain:.6g} * output + {facts.bias:.6g}"),
    ]
    print_table(("the model", ""), rows, texts=2)


def _print_agreement(found: Agreement) -> None:
    whose = "loaded by Transformers alone" if found.by_itself else "of the weights that frft loaded"
    equal = "" if found.difference_of_equal is None else f" ({found.difference_of_equal:.3g} where tokens are equal)"
    print_text(
        f"Through frft, and through the model's own tokenizer ({found.template}) and forward pass ({whose}), one at a "
        f"time: {found.compared} of {found.texts} texts were compared, and {found.other_tokens} of them are other "
        f"tokens; the largest difference of scores is {found.difference:.3g}{equal}, and up to {found.tolerance:.1g} "
        "is rounding."
    )
    left = {
        "refused by the chat template": found.refused,
        "with the name of a special token, which frft reads as text": found.named,
        "longer than the longest sequence, which are cut": found.cut,
    }
    if any(left.values()):
        print_text(f"Not compared: {'; '.join(f'{count} {why}' for why, count in left.items() if count)}.")
    if found.before_the_end is not None:
        print_text(
            f"{found.ends_in_padding} texts end with the padding token; read at that token, their scores would differ "
            f"by up to {found.before_the_end:.3g}."
        )


def _print_batches(batches: Sequence[BatchDifference]) -> None:
    print_table(
        ("batches through", "padding on the", "texts in a batch", "largest difference"),
        [
            (
                "frft" if each.by == "frft" else "its own tokenizer and forward pass",
                each.side,
                str(each.size),
                "refused" if each.difference is None else f"{each.difference:.3g}",
            )
            for each in batches
        ],
        texts=2,
    )
    for said in dict.fromkeys(each.refused for each in batches if each.refused is not None):
        print_text(f"Batches were refused: {said}")


def _print_pairs(on: OnPairs) -> None:
    each = on.evaluation
    margin = "" if each.margin_standard_error is None else f" (standard error {each.margin_standard_error:.3g})"
    print_text(
        f"On {each.n} of {on.of} pairs: accuracy {each.accuracy:.3f} [{each.interval[0]:.3f}, {each.interval[1]:.3f}], "
        f"{each.ties} ties (equal scores, which count one half), mean margin {each.mean_margin:+.3f}{margin}, log loss "
        f"{each.log_loss:.3f}, calibration error {each.calibration_error:.3f}."
    )
    if on.length is None:
        print_text("All pairs have two completions of equal length: what length does cannot be seen.")
        return
    print_text(
        f"Length: {_estimate(on.length.per_100_words, '+.3f')} in score per 100 words more ({on.length.excess.n} pairs "
        f"of unequal length). The longer completion scores higher in {on.length.longer_scores_higher:.1%} of them, and "
        f"is the chosen one in {on.length.longer_is_chosen:.1%}; the difference is "
        f"{_estimate(on.length.excess, '+.3f')}."
    )


def _print_samples(on: OnSamples) -> None:
    each = on.scores
    print_text(
        f"On {each.texts} of {on.of} samples: mean {each.mean:+.3f}, standard deviation {each.standard_deviation:.3f}, "
        f"lowest {each.lowest:+.3f}, median {each.median:+.3f}, highest {each.highest:+.3f}; {each.ties} different "
        f"texts have exactly the score of another (ties), and {each.repeated} repeat an earlier one."
    )
    if on.spread is None:
        print_text("Fewer than two prompts have two samples: the spread within a prompt cannot be seen.")
    else:
        print_text(
            f"Their variance is {_estimate(on.spread.within, '.3f')} within prompts (over {on.spread.within.n} "
            f"prompts), {on.spread.between:.3f} between them, {on.spread.total:.3f} in all, about a mean of "
            f"{on.spread.mean:+.3f}; {on.spread.single} prompts have one completion, and are left out."
        )
    print_table(
        ("alarm", "state", "figure", "95 %", "fires"),
        [
            (
                alarm.name,
                "FIRED" if alarm.fired else "silent",
                f"{alarm.figure:.3f}",
                "–" if alarm.interval is None else "[{:.3f}, {:.3f}]".format(*alarm.interval),
                f"{alarm.side} {alarm.threshold:.3g}",
            )
            for alarm in on.alarms
        ],
        texts=2,
    )


def _print_same(same: SameModel, first: str) -> None:
    ranks = (
        "" if same.rank_correlation is None else f"; their ranks correlate by {_estimate(same.rank_correlation, '.3f')}"
    )
    print_text(
        f"Against {same.other}, on {same.texts} texts, of which {same.other_tokens} are other tokens: outputs differ "
        f"by up to {same.raw_difference:.3g} (up to {same.tolerance:.1g} is rounding), scores by up to "
        f"{same.difference:.3g}{ranks}."
    )
    if same.differs:
        print_table(
            ("what differs", first, same.other), [(name, *both) for name, both in same.differs.items()], texts=3
        )
    else:
        print_text("The files of both say the same of the model.")


def _estimate(found: Estimate, form: str) -> str:
    interval = "" if found.low is None or found.high is None else f" [{found.low:{form}}, {found.high:{form}}]"
    return f"{found.mean:{form}}{interval}"


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."
