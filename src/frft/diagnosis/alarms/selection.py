"""Failures of a refresh: a selection that is too narrow or predicts its labels, and a model that overfits it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from frft.diagnosis.alarms.signature import Examined, FailureSignature, above, silent
from frft.diagnosis.subject import Selected
from frft.errors import printable
from frft.reward.alarm import Alarm
from frft.statistics import OrderAccuracy
from frft.statistics.estimates import Estimate, difference, share

ALIKE, DUPLICATES, ONE_SOURCE = 0.5, 0.5, 0.9
OVERFIT, SHORTCUT = 0.05, 0.1


def narrow_diversity(selected: Selected) -> Alarm | None:
    """The mean cosine distance of kept texts is less than half of that of the pool's texts.

    A selection is meant to be narrower than the pool; at half the distance, about one topic is left of a pool of two.
    None where it was not measured, or the pool's texts are all alike.
    """
    if selected.similarity is None or selected.similarity[1] >= 1:
        return None
    kept, pool = selected.similarity
    found = (1 - kept) / (1 - pool)
    return Alarm(
        "selection too narrow: diversity",
        found < ALIKE,
        "mean cosine distance of two kept completions, over that of two of the pool",
        found,
        None,
        ALIKE,
        "The reward model is fine-tuned on texts that are all alike, and forgets the rest.",
        "Keep more pairs, sample by weight (take: sample) instead of taking the top, or mix in random pairs.",
        "<",
    )


def narrow_duplicates(selected: Selected) -> Alarm:
    """At least half of the selection's places repeat a pair: an epoch over the selection is then two over its pairs."""
    kept = int(selected.kept_N.sum())
    return Alarm(
        "selection too narrow: duplicates",
        selected.copies > 0 and (selected.copies - kept) / selected.copies >= DUPLICATES,
        f"share of {selected.copies} places in the selection that hold a pair once more",
        (selected.copies - kept) / selected.copies if selected.copies else 0.0,
        None,
        DUPLICATES,
        "Few pairs count many times; the reward model learns them by heart.",
        "Keep fewer pairs, set duplicates: once, or lower the density weights' tau.",
        ">=",
    )


def narrow_source(selected: Selected) -> Alarm | None:
    """One source has over nine tenths of the selection, and a significantly smaller share of the rest of the pool.

    Beyond nine tenths, other sources are too few to balance the peculiarities of this one. Where the pool names a
    source for each completion of a pair, the column with the larger share counts. None where sources are not known.
    """
    if not selected.sources or not selected.kept_N.any():
        return None
    looked = [_narrow_in(column, sources, selected) for column, sources in selected.sources.items()]
    return max(looked, key=lambda alarm: (alarm.fired, alarm.figure))


def _narrow_in(column: str, sources: Sequence[str], selected: Selected) -> Alarm:
    sources_N = np.array([str(source) for source in sources])
    names, counts = np.unique(sources_N[selected.kept_N], return_counts=True)
    name = names[counts.argmax()]
    own_N = sources_N == name
    found = share(int(counts.max()), int(counts.sum()))
    alarm = above(
        "selection too narrow: one source",
        f"share of the selection that is from {str(name)!a} ({printable(column)})",
        found,
        ONE_SOURCE,
        "The reward model is fine-tuned to one source's style of text and labels.",
        "See whether the policy really writes like that source; if not, embed with a model of style, or mix in others.",
    )
    rest = int((~selected.kept_N).sum())
    if not rest:
        return silent(alarm)
    more = difference(found, share(int((own_N & ~selected.kept_N).sum()), rest))
    return alarm if more is not None and more.low is not None and more.low > 0 else silent(alarm)


def overfits_selection(
    own_test: OrderAccuracy,
    held_out: OrderAccuracy,
    own_gain: Estimate | None = None,
    held_out_before: OrderAccuracy | None = None,
) -> Alarm | None:
    """The refresh gained over 5 percentage points more on test pairs of its own selection than on unfiltered pairs.

    Both accuracies are by the pairs' labels; unfiltered pairs stand in for pairs of the policy's texts, which have no
    labels. Five points are more than the gains that selections are made for. Whether the cause is memorisation or the
    selection shortcut, accuracy on the selection is then uninformative.

    Args:
        own_test, held_out: accuracies of the refreshed model on the two kinds of pairs.
        own_gain: gain in accuracy of the refresh on the selection's test pairs, paired. Gains are compared rather than
            accuracies, because the previous model may have been trained on the whole pool, test pairs included, which
            is no overfitting of the refresh. None: the refresh started from a model that had seen none of the pairs.
        held_out_before: accuracy of the previous model on the unfiltered pairs. The interval of the gain there takes
            the two accuracies as independent, so it is too wide rather than too narrow.

    Returns:
        None where there is nothing to compare.
    """
    found, which = difference(own_test, held_out), "accuracy"
    if own_gain is not None and held_out_before is not None:
        elsewhere, which = difference(held_out, held_out_before), "gain of accuracy in the refresh"
        found = None if elsewhere is None else difference(own_gain, elsewhere)
    if found is None:
        return None
    return above(
        "reward model overfits its selection",
        f"{which} on {own_test.n} test pairs of its selection, less that on {held_out.n} unfiltered pairs",
        found,
        OVERFIT,
        "What it learned holds on the selected pairs only; where they were filtered, that may be the filter itself.",
        "Believe the unfiltered pairs. Fewer epochs, init: current, random pairs mixed in; compare with random.",
    )


def shortcut(selected: Selected) -> Alarm | None:
    """Similarity to the policy predicts the label over 10 percentage points better in kept pairs than in the others.

    The rule is "the completion nearer to the policy's samples is the chosen one", or its opposite. So much of an
    accuracy on the selection can come from detecting similarity alone; the pairs left out show how far the labels
    themselves follow the rule. The two groups are disjoint, so the interval is Newcombe's. None where there are no
    similarities, or nothing was left out.
    """
    looked_N = np.isfinite(selected.chosen_N) & np.isfinite(selected.rejected_N)
    looked_N &= selected.chosen_N != selected.rejected_N
    nearer_N = selected.chosen_N > selected.rejected_N
    groups = [looked_N & selected.kept_N, looked_N & ~selected.kept_N]
    if not all(group.any() for group in groups):
        return None
    kept, rest = (share(int((nearer_N & group).sum()), int(group.sum())) for group in groups)
    found = difference(kept, rest) if kept.mean >= rest.mean else difference(rest, kept)
    assert found is not None
    rule = "more" if kept.mean >= rest.mean else "less"
    return above(
        "selection shortcut",
        f"how much more often the chosen side is the {rule} policy-like one in {kept.n} kept pairs than in {rest.n} "
        f"others (the more policy-like one: {kept.mean:.0%} of the kept)",
        found,
        SHORTCUT,
        "The filter lets likeness to the policy predict the label; a reward model can learn that instead of quality.",
        "Use part1 or a density ratio, which look at both sides alike; judge on unfiltered pairs; run the placebo "
        "(shuffle_labels).",
    )


def _in_selection(look: Callable[[Selected], Alarm | None]) -> Callable[[Examined], Alarm | None]:
    return lambda found: look(found.subject.selected) if found.subject.selected else None


def _why_no_selection(found: Examined) -> str:
    return "the selection or the pool does not tell" if found.subject.selected else "there was no selection"


def _overfits_selection(found: Examined) -> Alarm | None:
    subject = found.subject
    if subject.own_test is None or subject.held_out is None:
        return None
    return overfits_selection(subject.own_test, subject.held_out, subject.own_test_gain, subject.held_out_before)


SIGNATURES_OF_SELECTIONS = (
    FailureSignature("selection too narrow: diversity", _in_selection(narrow_diversity), _why_no_selection),
    FailureSignature(
        "selection too narrow: duplicates", _in_selection(narrow_duplicates), _why_no_selection, of_refresh=True
    ),
    FailureSignature("selection too narrow: one source", _in_selection(narrow_source), _why_no_selection),
    FailureSignature("selection shortcut", _in_selection(shortcut), _why_no_selection, of_refresh=True),
    FailureSignature(
        # Not of a refresh: it is about filtered pairs, and a gate has unfiltered ones.
        "reward model overfits its selection",
        _overfits_selection,
        lambda _: (
            "there is no accuracy on a selection's own test pairs, before the refresh and after it, or none on others"
        ),
    ),
)
