"""Figures of the stages that train, refresh, select and gate: the `info` of their manifests, and parts of results."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal, TypeAlias

from frft.labels import AuditedSource, LabellerSummary
from frft.models import TruncationCount
from frft.reward.alarm import Alarm
from frft.reward.evaluate import RewardEvaluation
from frft.reward.train import TrainReport, TrainSummary
from frft.statistics import Estimate
from frft.store import OMITTED, OpenValue, StoredValue


@dataclass(frozen=True, kw_only=True)
class RewardModelSummary(StoredValue):
    """A base reward model: trained on preference pairs, not by a refresh.

    Attributes:
        parameters: number of weights of the network.
        chat_template: how it reads conversations: "plain" (HH-RLHF text), "none" (contents alone), or the digest of its
            chat template.
        reads: "conversation", or "completion": it is given completions without their prompts.
        gain: normalised score = gain * raw score + bias; above 0.
        bias: the constant in gain * raw score + bias.
        training: pairs, steps and losses of its training.
        held_out: accuracy and calibration on labelled pairs that no training saw.
        scoring_truncated: texts that were cut to the longest sequence while it scored for normalisation and evaluation.
    """

    parameters: int
    chat_template: str = "plain"
    reads: str = "conversation"
    gain: float
    bias: float
    training: TrainSummary
    held_out: RewardEvaluation
    scoring_truncated: TruncationCount


@dataclass(frozen=True, kw_only=True)
class RewardModelInfo(RewardModelSummary):
    """A base reward model, with the training loss of every step (stages `reward` and `judge`)."""

    training: TrainReport

    @property
    def summary(self) -> RewardModelSummary:
        """These figures without the training loss of every step."""
        return RewardModelSummary(**{**vars(self), "training": self.training.summary})


SELF = "self"
"""Name of the labeller that is the reward model itself (`labels: {from: self}`)."""


@dataclass(frozen=True)
class LabelsInfo(StoredValue):
    """Fresh labels of a refresh (stage `labels`).

    Attributes:
        labeller: who was asked.
        pick: the rule that chose the pairs.
        budget: labels that could be asked for, for all purposes together.
        drawn: how many texts and pairs there were, and the questions by purpose (`frft.labels.DrawnQuestions`).
        train: answers to train on.
        test: answers to test on.
        left_out: answers that are neither, by reason: tie, skip, repeat.
        unanswered: questions to which nobody gave a usable reply.
        not_asked: questions that were drawn but asked of nobody, because the budget in tokens or cost was spent; left
            out where there is none.
        labellers: the answers of each labeller, by name.
        truncated: texts of candidates that a reward model read for the rule, and how many had to be cut; left out where
            it read none.
    """

    labeller: str
    pick: str
    budget: int
    drawn: dict[str, int]
    train: int
    test: int
    left_out: dict[str, int]
    unanswered: int
    labellers: dict[str, LabellerSummary]
    truncated: Annotated[TruncationCount | None, OMITTED] = None
    not_asked: Annotated[int | None, OMITTED] = None

    @property
    def asked(self) -> int:
        """Number of labels that somebody was asked for, whatever they are for; the reward model's own cost none."""
        return 0 if self.labeller == SELF else self.drawn["questions"] - (self.not_asked or 0)


@dataclass(frozen=True)
class AuditInfo(StoredValue):
    """The audit of the selected pairs (stage `audit`).

    Attributes:
        labeller: who was asked.
        by: the column of the pool whose values are the sources; None: all selected pairs are one.
        asked: labels that it took.
        sources: what the labels say of each source, by name.
        earlier: the sources among them of which this refresh asked nothing: what an earlier one found.
        pairs: number of selected training pairs of each source.
        used: number of selected training pairs whose labels are used.
    """

    labeller: str
    by: str | None
    asked: int
    sources: dict[str, AuditedSource]
    earlier: list[str]
    pairs: dict[str, int]
    used: int

    def allows(self, source: str) -> bool:
        """Whether the labels of a source may be used; not of one that is unknown, or was not selected."""
        return source in self.sources and self.sources[source].audit.decision == "use"


@dataclass(frozen=True)
class FreshPairs(StoredValue):
    """Pairs with fresh labels that a refresh trained on.

    Attributes:
        distinct: number of different labels, those of earlier refreshes included.
        earlier: number of those among them that earlier refreshes asked for.
        rows: rows trained on, repetitions for `labels.share` included.
        errors: by labeller, how often it errs by the loss; left out where labels are taken for right.
        test: accuracy and calibration on the fresh labels that were set aside; left out where there are none.
        test_gain: accuracy there less that of the previous reward model; left out where there are none, or fine-tuning
            started from the SFT model.
    """

    distinct: int
    earlier: int
    rows: int
    errors: Annotated[dict[str, float] | None, OMITTED] = None
    test: Annotated[RewardEvaluation | None, OMITTED] = None
    test_gain: Annotated[Estimate | None, OMITTED] = None


@dataclass(frozen=True, kw_only=True)
class RefreshedModelSummary(StoredValue):
    """A reward model that was fine-tuned by a refresh.

    Attributes:
        training: pairs (selected, replayed, and with fresh labels), steps and losses of its fine-tuning.
        replayed: pairs trained on that were not selected but drawn at random from the rest of the offline pairs.
        fresh: pairs trained on that have fresh labels; left out where there are none.
        gain: normalised score = gain * raw score + bias; above 0.
        bias: the constant in gain * raw score + bias.
        selected_test: accuracy and calibration on the test pairs of its own selection; left out where there are none.
        held_out: accuracy and calibration on labelled pairs that no training saw; left out where there are none.
        selected_test_gain: accuracy on the selection's test pairs less that of the previous reward model; None where
            fine-tuning started from the SFT model (`init: sft`), or there are no test pairs.
        scoring_truncated: texts that were cut to the longest sequence while it scored for normalisation and evaluation.
    """

    training: TrainSummary
    replayed: int
    fresh: Annotated[FreshPairs | None, OMITTED] = None
    gain: float
    bias: float
    selected_test: Annotated[RewardEvaluation | None, OMITTED] = None
    held_out: Annotated[RewardEvaluation | None, OMITTED] = None
    selected_test_gain: Estimate | None = None
    scoring_truncated: TruncationCount


@dataclass(frozen=True, kw_only=True)
class RefreshedModelInfo(RefreshedModelSummary):
    """A reward model that was fine-tuned by a refresh, with the training loss of every step (stage `refresh`)."""

    training: TrainReport

    @property
    def summary(self) -> RefreshedModelSummary:
        """These figures without the training loss of every step."""
        return RefreshedModelSummary(**{**vars(self), "training": self.training.summary})


@dataclass(frozen=True)
class GateComparison:
    """Accuracy of the current and the refreshed reward model on the same N pairs, with a test of non-inferiority.

    Attributes:
        pairs: N, the unfiltered held-out pairs nearest to what the policy writes.
        before: accuracy of the current reward model on these pairs; a tie counts one half.
        after: accuracy of the refreshed reward model on them.
        difference: after - before.
        bound: one-sided lower confidence bound of the difference: Student's t on the paired differences with two
            pseudo-observations, clustered by request (`frft.reward.gate`); -1 where all pairs are on one request.
        no_worse: whether `bound` is above minus the margin (`gate.margin`).
    """

    pairs: int
    before: float
    after: float
    difference: float
    bound: float
    no_worse: bool


GateVerdict: TypeAlias = Literal["better", "worse", "no worse", "not shown"]
"""What fresh labels say of a refreshed reward model."""


@dataclass(frozen=True)
class GateLabels(StoredValue):
    """Which of two reward models is right where they disagree about the policy's own texts, by fresh labels.

    Attributes:
        labeller: who was asked.
        looked_at: pairs of the policy's texts on which the two were compared, one of a prompt.
        differ: number of those that they order differently.
        asked: labels that it took.
        better: pairs on which, by the answers, the refreshed model is right and the current one is not, or has a tie.
        worse: pairs on which it is the other way round.
        ties: pairs of which neither text is better, or on which as many labellers say the one as the other.
        bound: one-sided lower confidence bound of the gain in accuracy on the policy's texts.
        verdict: "better" or "worse", where that is shown; else "no worse" where `bound` is above minus the margin, and
            "not shown" where it is not.
    """

    labeller: str
    looked_at: int
    differ: int
    asked: int
    better: int
    worse: int
    ties: int
    bound: float
    verdict: GateVerdict

    @property
    def passes(self) -> bool:
        """Whether the refreshed reward model may be used."""
        return self.verdict in ("better", "no worse")


@dataclass(frozen=True)
class GateInfo(GateComparison, StoredValue):
    """The gate's verdict on a refreshed reward model (stage `gate`).

    Attributes:
        labels: the comparison by fresh labels, which decides in place of the held-out pairs (`gate.labels`); left out
            where there was none.
        alarms: alarms that fired for the refreshed reward model; empty also where the gate looks for none.
        accepted: whether it replaced the current reward model: `no_worse`, or where there are labels what they say; and
            no alarm fired.
    """

    alarms: list[Alarm]
    accepted: bool
    labels: Annotated[GateLabels | None, OMITTED] = None


@dataclass(frozen=True, kw_only=True)
class SelectionCounts(StoredValue):
    """Counts of a selection's samples and pairs: reasons sum to pool_rows, and train + test = kept.

    Attributes:
        samples: samples of the policy that were given.
        samples_of_pool_prompts: samples whose prompt is in the pool.
        samples_empty: samples without text.
        truncated: texts longer than the embedder's window, by side: chosen, rejected, samples; and different prompts,
            where the strategy reads them.
        qualifying: pairs that the strategy ranks.
        wanted: training and test pairs asked for.
        taken: training and test pairs selected; a pair selected twice counts twice.
        pool_rows: pairs of the pool.
        with_similarity: pairs of the pool that have a cosine with a sample.
        kept: different pairs selected.
        train: different pairs selected to train on.
        test: different pairs selected to test on.
        reasons: pairs of the pool by the reason for which they were selected or not.
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
        format: format of the file selection.parquet, with its version.
        strategy: name of the strategy that ranked the pairs.
        seed: seed of the split into training and test pairs, and of everything drawn at random.
        embedder: digest of the sentence embedder; None where the strategy reads no embeddings.
        density: classifier that tells the policy's completions from the pool's: auc, log_loss (nats) and strength
            (scikit-learn's C); None where the strategy uses no density ratio.
        weights: importance weights that pairs were drawn by: tau, the exponent in [0, 1], and effective_sample_size, in
            pairs; None where none were drawn by weight.
        counts: how many samples and pairs there were, and what became of the pairs.
        mixture_distance: how far the selected pairs are from the samples' mixture of prompt clusters (total variation,
            0 to 1), where `clusters` is set; else None.
        nearest_source: the source that the strategy near_source named, and by what (`NearestSource`); else None.
    """

    format: str
    strategy: str
    seed: int
    embedder: str | None
    density: dict[str, float] | None
    weights: dict[str, float] | None
    counts: SelectionCounts
    mixture_distance: Annotated[float | None, OMITTED] = None
    nearest_source: Annotated[dict[str, Any] | None, OMITTED] = None
