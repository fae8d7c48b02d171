"""What a reward does that is given no settings of its refreshes: what the studies support, by what it is given."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Literal

from frft.config.sections import LabelsConfig, RefreshConfig, SelectionConfig
from frft.labels import Labeller, NamedLabeller, PreferenceFunction
from frft.progress import Progress
from frft.reward.samples import PolicySamples
from frft.selection.sources import FEWEST_TEXTS, nameable_sources
from frft.strategies import SOURCES

if TYPE_CHECKING:
    import pyarrow as pa


def _labels_alone(asked: Literal["judge", "queue"]) -> RefreshConfig:
    labels = LabelsConfig.model_validate({"from": asked, "budget": 100})
    nothing = SelectionConfig(strategy="none")
    return RefreshConfig(samples="rollouts", selection=nothing, labels=labels, replay=0.5, num_train_epochs=5)


LABELS_ALONE, LABELS_BY_PEOPLE = _labels_alone("judge"), _labels_alone("queue")
"""100 labels of the policy's own texts and as many pairs of the pool; nothing is selected. By whoever answers at once,
and by people, for whom a training does not wait.

By one pass, such a refresh would stop after a dozen steps of the default batch size. In the study `labels`, whose
refreshes had 40 steps of 32 pairs, each label was trained on about 7 times at the first refresh and 3 times at the
second, which used the first one's labels again: hence 5 passes."""

NEAR_SOURCE = RefreshConfig(samples="rollouts", selection=SelectionConfig(strategy="near_source"), replay=0.5)
"""Pairs of the source that the policy wrote like before its training, and as many others of the pool, as in the study
`labels`."""

DENSITY = RefreshConfig(samples="rollouts", selection=SelectionConfig(strategy="density"))
"""The pairs with the highest density ratios; without replay, as in the study `domains`.

The density ratio ranks every pair, so it fills the wanted size with any embedder. Cosines depend on the embedder: with
a small one, hardly any pair exceeds the paper's threshold."""


def default_refresh(
    pool: pa.Table,
    labeller: NamedLabeller | Labeller | PreferenceFunction | None,
    reference_samples: PolicySamples | None,
    progress: Progress,
) -> RefreshConfig:
    """The settings of refreshes for an `AlignedReward` without a `config`, by its other arguments alone.

    1. With a labeller, fresh labels alone (`LABELS_ALONE`). In the study `labels` (docs/study-labels.md), 100 labels a
       refresh by a labeller who is right on 80 % recovered .60 [.17, .80] of what perfect labels gain. Pairs of the
       policy's own source beside them added +.02 [-.06, .09] gold reward; where that source's labels are wrong, labels
       alone gained +.69 [.36, 1.01] over no refresh, and those beside the source +.13 [-.09, .34].
    2. With samples of the reference policy, and a pool whose sources can be named, pairs of the source that these are
       taken for (`NEAR_SOURCE`): .50 [.21, .66] without a label, but no gain where that source is no better than
       others, and -.46 [-.82, -.10] where its labels are wrong.
    3. Else, pairs by density ratio (`DENSITY`): +.35 [.15, .55] over random pairs where a pool holds domains in
       conflict (docs/study-domains.md), and .00 [-.07, .07] where its sources differ in style alone (docs/study.md).

    Args:
        pool: the offline preference pairs: columns id, prompt, chosen, rejected (N rows).
        labeller: who gives fresh labels; None: nobody. One that nobody can open is people, who are waited for.
        reference_samples: samples of the policy before its training; None: there are none.
        progress: told, in a line, what was chosen, and why.
    """
    if labeller is not None:
        chosen = LABELS_BY_PEOPLE if isinstance(labeller, NamedLabeller) and labeller.open is None else LABELS_ALONE
        assert chosen.fresh is not None
        progress.say(
            f"No config is given, but a labeller: a refresh trains on {chosen.fresh.budget} labels of the policy's own "
            f"texts and as many pairs of the pool (selection.strategy: none, labels.from: {chosen.fresh.from_}, "
            f"replay: {chosen.replay:g}, num_train_epochs: {chosen.num_train_epochs:g}; docs/study-labels.md)."
        )
        return chosen
    is_told = reference_samples is not None and any(text.strip() for text in reference_samples.load()[1])
    lacks = _lacks_sources(pool) if is_told else "no reference_samples with text"
    if lacks is None:
        progress.say(
            "No config is given, and no labeller: a refresh trains on pairs of the source that reference_samples are "
            f"taken for, and as many others (selection.strategy: near_source, replay: {NEAR_SOURCE.replay:g}; "
            "docs/study-labels.md)."
        )
        return NEAR_SOURCE
    progress.say(
        f"No config is given, no labeller, and {lacks}: a refresh trains on the pairs that are likeliest the policy's "
        "(selection.strategy: density; docs/study-domains.md)."
    )
    return DENSITY


def _lacks_sources(pool: pa.Table) -> str | None:
    """What keeps `near_source` from the pairs of one source, whichever it names; None: nothing does."""
    if any(column not in pool.column_names for column in SOURCES):
        return f"no columns {' and '.join(SOURCES)} in the pool"
    # Arrow's other types (numbers, lists) are no names.
    chosen, rejected = (
        [value if isinstance(value, str) else None for value in pool[column].to_pylist()] for column in SOURCES
    )
    texts = [*pool["chosen"].to_pylist(), *pool["rejected"].to_pylist()]
    known = nameable_sources([*chosen, *rejected], texts)
    if len(known) < 2:
        return f"{len(known)} sources of at least {FEWEST_TEXTS} texts in the pool, where it takes two"
    own = Counter(one for one, other in zip(chosen, rejected, strict=True) if one == other)
    few = [source for source in sorted(known) if own[source] < FEWEST_TEXTS]
    if few:
        return f"fewer than {FEWEST_TEXTS} pairs in the pool with both texts by {few[0]}"
    return None
