"""results.jsonl of `frft bench fixed-actor`: a line for every actor, seed (and fold) and reward model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from frft.config.sections import PickName, Start
from frft.store import StoredValue


@dataclass(frozen=True, kw_only=True)
class SidedAccuracy(StoredValue):
    """Shares of labelled pairs whose chosen completion scores higher; ties count one half.

    Attributes:
        balanced_accuracy: mean of the accuracies where the actor is chosen and where it is rejected.
        accuracy: accuracy over all pairs.
        accuracy_chosen: accuracy over pairs in which the actor's completion is chosen.
        accuracy_rejected: accuracy over pairs in which it is rejected.
    """

    balanced_accuracy: float
    accuracy: float
    accuracy_chosen: float
    accuracy_rejected: float


@dataclass(frozen=True, kw_only=True)
class HeadLine(SidedAccuracy):
    """One reward model of one actor and one seed, tested on the actor's own labelled pairs.

    Attributes:
        seed: seed of the split of the prompts into training and test prompts.
        actor: name of the actor.
        start: scratch: trained from new weights; continue: from the model trained on all pairs.
        strategy: strategy of the selection, or all, oracle, constant, constant by opponent, or labels (no selection).
        size: number of pairs that the filter keeps; None: all pairs.
        placebo: whether labels were shuffled before the selection.
        pairs: number of pairs trained on.
        test_pairs: number of the actor's pairs tested on.
        opponents: number of different sources that the actor is paired with; None: the pairs do not name sources.
        log_loss: mean of -log sigmoid(margin) on the test pairs, in nats.
        selected_accuracy: for a placebo, its accuracy on pairs of its own selection; None otherwise.
        cut: numbers of training texts that were cut, by the part that was cut.
        seconds: seconds of training and test.
        labels: number of labels of the actor's own pairs that were trained on as well, or alone; None: none.
        pick: rule by which the pairs to label were chosen; None: no labels.
        label_accuracy: probability that a label is right, the others being exchanged; None: no labels.
    """

    seed: int
    actor: str
    start: Start
    strategy: str
    size: int | None
    placebo: bool
    pairs: int
    test_pairs: int
    opponents: int | None
    log_loss: float
    selected_accuracy: float | None
    cut: dict[str, int]
    seconds: float
    labels: int | None = None
    pick: PickName | None = None
    label_accuracy: float | None = None


@dataclass(frozen=True, kw_only=True)
class OwnPromptsLine(StoredValue):
    """One reward model of one actor, seed and fold, where the actor writes on prompts of its own domain.

    Attributes:
        seed: seed of the division of conversations into folds.
        fold: number of the fold that is tested, from 0.
        actor: name of the actor's domain.
        weight: per cent of what the actor writes that is of that domain; the rest is of the others.
        start: scratch: trained from new weights; continue: from the model trained on all pairs.
        strategy: strategy of the selection, `prompt clusters`, `own domain`, all, or labels (no selection).
        share: per cent of the pool that is kept; None: all pairs.
        placebo: whether labels were shuffled before the selection.
        pairs: number of pairs trained on.
        samples: number of the actor's completions that the selection was made by.
        own_share: share of the pairs trained on that are of the actor's domain, 0 to 1.
        right: for each pair that was tested, in the order of `held-out.jsonl`: 1 where the chosen completion scores
            higher, 0 where the rejected one does, t for a tie.
        selected_accuracy: for a placebo, its accuracy on pairs of its own selection; None otherwise.
        cut: numbers of training texts that were cut, by the part that was cut.
        seconds: seconds of training and test.
        labels: number of labels of the actor's own pairs that were trained on as well, or alone; None: none.
        pick: rule by which the pairs to label were chosen; None: no labels.
        label_accuracy: probability that a label is right, the others being exchanged; None: no labels.
    """

    seed: int
    fold: int
    actor: str
    weight: float
    start: Start
    strategy: str
    share: float | None
    placebo: bool
    pairs: int
    samples: int
    own_share: float
    right: str
    selected_accuracy: float | None
    cut: dict[str, int]
    seconds: float
    labels: int | None = None
    pick: PickName | None = None
    label_accuracy: float | None = None


@dataclass(frozen=True, kw_only=True)
class HeldOutPairs(StoredValue):
    """The pairs that are tested in one fold, in the order of their rows in the data.

    Attributes:
        seed: seed of the division.
        fold: number of the fold, from 0.
        domains: the domain of each pair.
        conversations: number of the conversation of each pair, the same in all folds and seeds.
    """

    seed: int
    fold: int
    domains: list[str]
    conversations: list[int]


@dataclass(frozen=True, kw_only=True)
class CaseOutcome(StoredValue):
    """A linear reward model on the labelled pairs of a case's actor.

    Attributes:
        accuracy: share of these pairs whose chosen completion scores higher, weighted as the actor writes, or balanced
            for sources of a pool; ties count one half.
        gold_agreement: share that it orders as the gold reward does, without pairs that gold calls equal; None: gold is
            not known.
    """

    accuracy: float
    gold_agreement: float | None


@dataclass(frozen=True, kw_only=True)
class CaseLine(StoredValue):
    """One case with a known outcome: a pool, unlabelled samples of an actor, and what a selection gained on its pairs.

    Attributes:
        family: the kind of data.
        name: the actor and its pool, or the dials of a world.
        cluster: name of what cases have in common that are no proof of each other: an actor, or the texts of worlds.
        seed: seed of the division of the data, or of the draw of a world.
        fold: number of the part that is tested, from 0.
        evidence: what was measured of the pool and the samples, in the form of `frft advise --json`.
        kept: number of pairs that a selection keeps.
        tested: number of the actor's labelled pairs.
        selected: the reward model fitted to the pairs with the highest density ratios.
        at_random: those fitted to as many random pairs.
        seconds: seconds of all of this.
    """

    family: str
    name: str
    cluster: str
    seed: int
    fold: int
    evidence: dict[str, Any]
    kept: int
    tested: int
    selected: CaseOutcome
    at_random: list[CaseOutcome]
    seconds: float

    @property
    def gain(self) -> float:
        """Accuracy of the selection less the mean accuracy of random ones, -1 to 1."""
        return self.selected.accuracy - sum(each.accuracy for each in self.at_random) / len(self.at_random)

    @property
    def gold_gain(self) -> float | None:
        """The same of the agreement with gold; None: gold is not known."""
        known = [each.gold_agreement for each in (self.selected, *self.at_random) if each.gold_agreement is not None]
        return known[0] - sum(known[1:]) / len(self.at_random) if known else None


@dataclass(frozen=True, kw_only=True)
class CaseSettings(StoredValue):
    """What all cases of a folder have in common.

    Attributes:
        frft: version of frft.
        embedder: SHA-256 of the embedder's settings and files.
    """

    frft: str
    embedder: str
