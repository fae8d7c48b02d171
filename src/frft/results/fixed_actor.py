"""results.jsonl of `frft bench fixed-actor`: a line for every actor, seed and reward model."""

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
