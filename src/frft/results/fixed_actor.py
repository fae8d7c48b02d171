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
        accuracy: of all pairs alike.
        accuracy_chosen: of pairs in which the actor's completion is chosen.
        accuracy_rejected: of pairs in which it is rejected.
    """

    balanced_accuracy: float
    accuracy: float
    accuracy_chosen: float
    accuracy_rejected: float


@dataclass(frozen=True, kw_only=True)
class HeadLine(SidedAccuracy):
    """One reward model of one actor and one seed, tested on the actor's own labelled pairs.

    Attributes:
        seed: of the division of the prompts.
        actor: its name.
        start: scratch, or continue: from the model trained on all pairs.
        strategy: of the selection, or all, oracle, constant, or constant by opponent.
        size: pairs that the filter keeps; None: all that there are.
        placebo: whether labels were shuffled before the filter saw them.
        pairs: pairs trained on.
        test_pairs: pairs of the actor that it was tested on.
        opponents: different sources that the actor stands against; None: they are not named.
        log_loss: mean of -log sigmoid(margin) on the test pairs, in nats.
        selected_accuracy: of a placebo, its accuracy on pairs of its own selection; else None.
        cut: what was cut of the texts that it was trained on, by what was cut.
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
