"""What can be measured before any training that bears on whether a refresh will help."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from frft.advice.coverage import coverage
from frft.advice.locality import held_out
from frft.advice.transfer import transfer_gaps
from frft.errors import SelectionError
from frft.progress import SILENT, Progress
from frft.selection import VectorCache
from frft.selection.density import EmbeddedCompletions, density_ratios
from frft.selection.weights import effective_sample_size
from frft.statistics.intervals import standard_error
from frft.statistics.numbers import Floats


@dataclass(frozen=True)
class MeasuredEvidence:
    """A mean over pairs, and how sure it is.

    Attributes:
        mean: the point estimate.
        error: its standard error, the pairs of one prompt being one cluster; None where all pairs are on one prompt.
    """

    mean: float
    error: float | None


@dataclass(frozen=True)
class Annotator:
    """The annotator with the most pairs near the policy.

    Attributes:
        name: the annotator's name in the data.
        near_share: share of the near pairs that this annotator judged, 0 to 1.
        pool_share: share of all pairs that this annotator judged, 0 to 1.
        accuracy: accuracy of the pooled fit on the near pairs that this annotator judged.
    """

    name: str
    near_share: float
    pool_share: float
    accuracy: MeasuredEvidence


@dataclass(frozen=True)
class Evidence:
    """What is measured in a pool of N pairs and S samples of a policy, before any training.

    *Near* are the `near_pairs` pairs with the highest log density ratio, policy to pool; all others are far. Accuracies
    and log losses are cross-validated, on pairs and prompts that the fit has not seen; a tie is half right.

    Attributes:
        pairs: N.
        samples: S, those without text left out.
        auc: the probability that a sample looks more like the policy than a completion of the pool does; 0.5: there is
            nothing to select by (`DensityRatios`).
        near_pairs: the effective sample size of the pairs' density ratios, (sum w)^2 / sum w^2, rounded up (Kish): the
            pool tells as much about what the policy writes as this many pairs drawn from the policy.
        coverage: the share of samples to which a text of the pool is as near as the nearest other sample (`coverage`).
        coverage_expected: the expected coverage if the policy itself had written the pool.
        near_accuracy, near_log_loss: accuracy (0 to 1) and log loss (nats) of the pooled fit on near pairs (see
            `frft.advice.locality`).
        far_accuracy, far_log_loss: accuracy and log loss of the pooled fit on far pairs; None: there are none.
        locality: how much smaller the log loss of the local fit is than the pooled fit's, on near pairs, in nats: how
            much the labels near the policy are of a kind of their own.
        locality_accuracy: how much higher the accuracy of the local fit is than the pooled fit's, on near pairs.
        transfer_gap: how much higher the accuracy of a small reward model is on pairs of the kind that it was fitted
            to, the nearest quarter or the farthest, than that of the model of the other kind (`frft.advice.transfer`).
        correction: how strongly the local fit was let differ, 0 (not at all) to 4, the mean over the folds.
        annotator: the annotator with the most near pairs; None: the pool does not say who judged them.
    """

    pairs: int
    samples: int
    auc: float
    near_pairs: int
    coverage: float
    coverage_expected: float
    near_accuracy: MeasuredEvidence
    near_log_loss: MeasuredEvidence
    far_accuracy: MeasuredEvidence | None
    far_log_loss: MeasuredEvidence | None
    locality: MeasuredEvidence
    locality_accuracy: MeasuredEvidence
    transfer_gap: MeasuredEvidence
    correction: float
    annotator: Annotator | None

    @property
    def near_share(self) -> float:
        """Share of the pool's pairs that are near, 0 to 1."""
        return self.near_pairs / self.pairs

    @property
    def agreement(self) -> MeasuredEvidence | None:
        """Accuracy of the pooled fit on near pairs, less that on far ones; None: there are no far ones.

        How far the labels near the policy go by what all annotators share. The error is at least that of as many draws
        with the far accuracy: three near pairs that are all right have no spread, and prove nothing.
        """
        near, far = self.near_accuracy, self.far_accuracy
        if far is None:
            return None
        # Binomial: Var(share right of n draws) = p (1 - p) / n, with the far pairs' p as the better known one.
        by_chance = np.sqrt(far.mean * (1 - far.mean) / self.near_pairs)
        errors = [max(near.error or 0.0, by_chance), far.error]
        return MeasuredEvidence(
            near.mean - far.mean, None if errors[1] is None else float(np.hypot(errors[0], errors[1]))
        )

    def as_dict(self) -> dict[str, Any]:
        """The evidence as JSON-able values, which `from_dict` reads."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Evidence:
        """The evidence that `as_dict` wrote."""
        found = dict(values)
        for each in fields(cls):
            if each.type in ("MeasuredEvidence", "MeasuredEvidence | None") and found[each.name] is not None:
                found[each.name] = MeasuredEvidence(**found[each.name])
        if found["annotator"] is not None:
            who = found["annotator"]
            found["annotator"] = Annotator(**{**who, "accuracy": MeasuredEvidence(**who["accuracy"])})
        return cls(**found)


def gather_evidence(
    pool_table: pa.Table,
    sample_prompts: Sequence[str],
    sample_completions: Sequence[str],
    vectors: VectorCache,
    seed: int,
    progress: Progress = SILENT,
) -> Evidence:
    """Measure the evidence. The order of pairs, and of samples, changes nothing.

    Args:
        pool_table: the pool: id (unique), prompt, chosen, rejected, and annotator if there is one.
        sample_prompts: prompts of the policy's samples.
        sample_completions: the policy's completion to each prompt. Samples without text are left out.
        vectors: where embeddings come from.
        seed: decides which fold of the cross-validation each prompt is in.
        progress: told of embedding and fitting.

    Raises:
        SelectionError: there are too few pairs, samples or prompts to hold some out.
    """
    if not pool_table.num_rows:
        raise SelectionError("There are no pairs to learn from.")
    table = pool_table.sort_by("id")
    prompts, chosen, rejected = (
        [text.strip() for text in table[name].to_pylist()] for name in ("prompt", "chosen", "rejected")
    )
    written = sorted(
        (completion.strip(), prompt.strip())
        for prompt, completion in zip(sample_prompts, sample_completions, strict=True)
        if completion.strip()
    )
    texts = [completion for completion, _ in written]
    pool_MD, samples_SD = np.split(vectors.get([*chosen, *rejected, *texts], progress), [2 * len(chosen)])
    samples = EmbeddedCompletions([prompt for _, prompt in written], texts, samples_SD)
    pool = EmbeddedCompletions([*prompts, *prompts], [*chosen, *rejected], pool_MD)
    ratios = density_ratios(pool, samples, seed, progress)
    # A pair is two texts: the ratio of their joint density is the product of the two ratios.
    of_pair_N = ratios.log_ratios_N.reshape(2, -1).sum(axis=0)
    near_pairs = int(np.ceil(effective_sample_size(of_pair_N)))
    near_N = np.zeros(len(of_pair_N), dtype=bool)
    near_N[np.argsort(-of_pair_N, kind="stable")[:near_pairs]] = True
    # If a share pi of the pool is as the policy writes, p_pool = pi p_policy + (1 - pi) q: the ratio is at most 1 / pi,
    # and a text's ratio times pi is the probability that it is of that share. The largest ratio stands for 1 / pi.
    nearness_N = np.exp(ratios.log_ratios_N - ratios.log_ratios_N.max()).reshape(2, -1).mean(axis=0)
    steps_NF = _steps(pool)
    fits = held_out(steps_NF, nearness_N, near_N, prompts, seed, progress)
    gap_N, compared_N = transfer_gaps(steps_NF, of_pair_N, prompts, seed, progress)
    covered, expected = coverage(samples, pool)

    def mean_of(values_N: Floats, rows_N: npt.NDArray[np.bool_]) -> MeasuredEvidence:
        own, asked = values_N[rows_N], [prompt for prompt, there in zip(prompts, rows_N, strict=True) if there]
        return MeasuredEvidence(float(own.mean()), standard_error(own, asked))

    # -log sigmoid(x) = log(1 + exp(-x)).
    accuracy_N, loss_N = _right(fits.pooled_N), np.logaddexp(0, -fits.pooled_N)
    far_N = ~near_N
    return Evidence(
        pairs=len(chosen),
        samples=len(texts),
        auc=ratios.auc,
        near_pairs=near_pairs,
        coverage=covered,
        coverage_expected=expected,
        near_accuracy=mean_of(accuracy_N, near_N),
        near_log_loss=mean_of(loss_N, near_N),
        far_accuracy=mean_of(accuracy_N, far_N) if far_N.any() else None,
        far_log_loss=mean_of(loss_N, far_N) if far_N.any() else None,
        locality=mean_of(loss_N - np.logaddexp(0, -fits.local_N), near_N),
        locality_accuracy=mean_of(_right(fits.local_N) - accuracy_N, near_N),
        transfer_gap=mean_of(gap_N, compared_N),
        correction=fits.correction,
        annotator=_annotator(table, near_N, lambda rows_N: mean_of(accuracy_N, rows_N)),
    )


def _steps(pool: EmbeddedCompletions) -> Floats:
    """Embedding and log length of chosen less those of rejected, shape (N, D + 1)."""
    # Length is its own feature because labels often prefer the longer text, which unit vectors hardly show.
    lengths_2N = np.log1p([len(text) for text in pool.texts]).reshape(2, -1)
    chosen_ND, rejected_ND = np.split(pool.vectors_ND.astype(np.float64), 2)
    return np.column_stack([chosen_ND - rejected_ND, lengths_2N[0] - lengths_2N[1]])


def _right(logits_N: Floats) -> Floats:
    """1 where the published label is the likelier one, 0 where it is not, 1/2 at a tie."""
    return (np.sign(logits_N) + 1) / 2


def _annotator(
    table: pa.Table, near_N: npt.NDArray[np.bool_], accuracy: Callable[[npt.NDArray[np.bool_]], MeasuredEvidence]
) -> Annotator | None:
    if "annotator" not in table.column_names:
        return None
    who_N = [None if who is None else str(who) for who in table["annotator"].to_pylist()]
    near = Counter(who for who, there in zip(who_N, near_N, strict=True) if there and who is not None)
    if not near:
        return None
    # Of annotators with equally many pairs the last by name, so that the order of rows decides nothing.
    name, pairs = max(near.items(), key=lambda each: (each[1], each[0]))
    own_N = np.array([who == name for who in who_N])
    return Annotator(name, pairs / int(near_N.sum()), float(own_N.mean()), accuracy(own_N & near_N))
