"""results.jsonl of `frft bench fixed-actor`: a line for every actor, seed (and fold) and reward model."""

from __future__ import annotations

from dataclasses import dataclass

from frft.config.sections import Start
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
        strategy: strategy of the selection, or all, oracle, constant, or constant by opponent.
        size: number of pairs that the filter keeps; None: all pairs.
        placebo: whether labels were shuffled before the selection.
        pairs: number of pairs trained on.
        test_pairs: number of the actor's pairs tested on.
        opponents: number of different sources that the actor is paired with; None: the pairs do not name sources.
        log_loss: mean of -log sigmoid(margin) on the test pairs, in nats.
        selected_accuracy: for a placebo, its accuracy on pairs of its own selection; None otherwise.
        cut: numbers of training texts that were cut, by the part that was cut.
        seconds: seconds of training and test.
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


@dataclass(frozen=True, kw_only=True)
class OwnPromptsLine(StoredValue):
    """One reward model of one actor, seed and fold, where the actor writes on prompts of its own domain.

    Attributes:
        seed: seed of the division of conversations into folds.
        fold: number of the fold that is tested, from 0.
        actor: name of the actor's domain.
        weight: per cent of what the actor writes that is of that domain; the rest is of the others.
        start: scratch: trained from new weights; continue: from the model trained on all pairs.
        strategy: strategy of the selection, `prompt clusters`, `own domain`, or all.
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
