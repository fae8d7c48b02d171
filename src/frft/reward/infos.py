"""What the stages of this room say of themselves: the `info` of their manifests, and parts of results files."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from frft.models import TruncationCount
from frft.reward.alarm import Alarm
from frft.reward.evaluate import RewardEvaluation
from frft.reward.train import TrainReport, TrainSummary
from frft.statistics import Estimate
from frft.store import OMITTED, OpenValue, StoredValue


@dataclass(frozen=True, kw_only=True)
class RewardModelSummary(StoredValue):
    """A reward model that was trained from its start.

    Attributes:
        parameters: parameters of the network.
        gain: normalised score = gain * raw score + bias.
        bias: see gain.
        training: its training.
        held_out: its accuracy on labelled pairs that no training saw.
        scoring_truncated: texts cut while it scored for normalisation and evaluation.
    """

    parameters: int
    gain: float
    bias: float
    training: TrainSummary
    held_out: RewardEvaluation
    scoring_truncated: TruncationCount


@dataclass(frozen=True, kw_only=True)
class RewardModelInfo(RewardModelSummary):
    """A reward model that was trained from its start, with the loss of every step (stages `reward` and `judge`)."""

    training: TrainReport

    @property
    def summary(self) -> RewardModelSummary:
        """The same without the loss of every step."""
        return RewardModelSummary(**{**vars(self), "training": self.training.summary})


@dataclass(frozen=True, kw_only=True)
class RefreshedModelSummary(StoredValue):
    """A reward model that was fine-tuned by a refresh.

    Attributes:
        training: its fine-tuning, replayed pairs included.
        replayed: pairs among them that were not selected but replayed from the pool.
        gain: normalised score = gain * raw score + bias.
        bias: see gain.
        selected_test: its accuracy on the test rows of its own selection; left out where there are none.
        held_out: its accuracy on labelled pairs that no training saw; left out where there are none.
        selected_test_gain: accuracy on these test rows less that of the model before; None: the model before was no
            reward model yet (init: sft), or there are no test rows.
        scoring_truncated: texts cut while it scored for normalisation and evaluation.
    """

    training: TrainSummary
    replayed: int
    gain: float
    bias: float
    selected_test: Annotated[RewardEvaluation | None, OMITTED] = None
    held_out: Annotated[RewardEvaluation | None, OMITTED] = None
    selected_test_gain: Estimate | None = None
    scoring_truncated: TruncationCount


@dataclass(frozen=True, kw_only=True)
class RefreshedModelInfo(RefreshedModelSummary):
    """A reward model that was fine-tuned by a refresh, with the loss of every step (stage `refresh`)."""

    training: TrainReport

    @property
    def summary(self) -> RefreshedModelSummary:
        """The same without the loss of every step."""
        return RefreshedModelSummary(**{**vars(self), "training": self.training.summary})


@dataclass(frozen=True)
class GateComparison:
    """Two reward models on the same N pairs.

    Attributes:
        pairs: N, the unfiltered held-out pairs nearest to what the policy writes.
        before: accuracy of the current reward model on them; a tie counts one half.
        after: accuracy of the refreshed one.
        difference: after - before.
        bound: lower end of the difference's one-sided interval: Student's t on the paired differences and two made up,
            pairs on one request being a cluster; -1 where all are on one.
        no_worse: whether `bound` is above minus the margin.
    """

    pairs: int
    before: float
    after: float
    difference: float
    bound: float
    no_worse: bool


@dataclass(frozen=True)
class GateInfo(GateComparison, StoredValue):
    """What a gate said of a refresh (stage `gate`).

    Attributes:
        alarms: alarms that the refreshed reward model raised.
        accepted: whether it took the place of the one before: no worse, and no alarm.
    """

    alarms: list[Alarm]
    accepted: bool


@dataclass(frozen=True, kw_only=True)
class SelectionCounts(StoredValue):
    """How a selection adds up: reasons sum to pool_rows, train + test = kept.

    Attributes:
        samples: samples of the policy that were given.
        samples_of_pool_prompts: of these, how many are to prompts of the pool.
        samples_empty: of these, how many have no text.
        truncated: texts longer than the embedder's window, by side: chosen, rejected, samples.
        qualifying: rows that the strategy ranks.
        wanted: places to fill.
        taken: places filled; a row kept twice takes two.
        pool_rows: pairs of the pool.
        with_similarity: of these, how many have a cosine with a sample.
        kept: rows kept.
        train: rows kept to train on.
        test: rows kept to test on.
        reasons: rows by what became of them.
    """

    samples: int
    samples_of_pool_prompts: int
    samples_empty: int
    truncated: dict[str, int]
    qualifying: int
    wanted: int
    taken: int
    pool_rows: int
    with_similarity: int
    kept: int
    train: int
    test: int
    reasons: dict[str, int]


class SelectionInfo(OpenValue):
    """A selection of pairs (stage `selection`), with every setting of the filter by its name beside these fields.

    Attributes:
        format: of the file selection.parquet.
        strategy: how pairs were ranked.
        seed: what decided the split and everything drawn.
        embedder: digest of the sentence embedder; None: the strategy looks at no embeddings.
        density: of the classifier between the policy and the pool: auc, log_loss (nats) and strength (of the
            regularisation); None: the strategy asks none.
        weights: of what was drawn from: tau and effective_sample_size (pairs); None: nothing was drawn by weight.
        counts: how it adds up.
    """

    format: str
    strategy: str
    seed: int
    embedder: str | None
    density: dict[str, float] | None
    weights: dict[str, float] | None
    counts: SelectionCounts
