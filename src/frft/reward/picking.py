"""What the rules by which pairs are chosen to be labelled read: what reward models and an embedder say of the pairs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from frft.config.sections import PickConfig
from frft.errors import UsageError
from frft.labels import CandidateEvidence, LabelCandidate
from frft.models import TruncationCount
from frft.progress import SILENT, Progress
from frft.reward.last_layer import last_layer_features
from frft.reward.model import RewardModel
from frft.selection import VectorCache

if TYPE_CHECKING:
    from frft.statistics.numbers import Floats


@dataclass(frozen=True)
class PairFeatures:
    """What a reward model's last layer reads of N pairs.

    Attributes:
        differences_ND: features for the first completion of each pair less those for the second.
        margins_N: raw score of the first less that of the second: the log-odds of the preference, by Bradley-Terry.
    """

    differences_ND: Floats
    margins_N: Floats


def pair_features(
    reward_model: RewardModel, pairs: Sequence[LabelCandidate], *, progress: Progress = SILENT
) -> PairFeatures:
    """Differences of last-layer features and of raw scores of N pairs.

    Raises:
        ModelError: the model's score is not linear in the features of one layer.
        RewardError: a score is not finite.
    """
    features, scores = last_layer_features(reward_model, *_both_sides(pairs), progress=progress)
    count = len(pairs)
    return PairFeatures(features[:count] - features[count:], scores[:count] - scores[count:])


def look_at_pairs(
    rule: PickConfig,
    pairs: Sequence[LabelCandidate],
    *,
    models: Sequence[RewardModel] = (),
    labelled: Sequence[LabelCandidate] = (),
    vectors: VectorCache | None = None,
    texts: Sequence[str] = (),
    progress: Progress = SILENT,
) -> CandidateEvidence:
    """What a rule reads of N candidate pairs; `partial(look_at_pairs, rule, models=..., ...)` is a `Look`.

    Args:
        rule: the rule.
        pairs: the candidates.
        models: reward models: one or several for disagreement, one for gap and d_optimal.
        labelled: pairs that are labelled by now, in any order of their sides: what one model learned of them, its
            last layer knows already (d_optimal, and disagreement of one model).
        vectors: the embedder, for representative.
        texts: the policy's completions that the chosen pairs are to represent.
        progress: gets tasks with a text as their unit.

    Raises:
        UsageError: models, or the embedder and texts, that the rule reads are missing, or there are too many models.
        ModelError, RewardError: as `pair_features` and `RewardModel.raw_scores`.
    """
    import numpy as np

    check_evidence(rule, models=len(models), embedder=vectors is not None and bool(texts))
    if rule.embeds:
        assert vectors is not None  # checked above
        return _embedded(pairs, vectors, texts, progress)
    before = [replace(model.truncated) for model in models]
    if rule.pick == "gap" or len(models) > 1:
        margins_KN = np.stack([margins_of(model, pairs, progress) for model in models])
        return CandidateEvidence(margins_KN=margins_KN, cut=_cut_since(before, models))
    found = pair_features(models[0], pairs, progress=progress)
    cut = _cut_since(before, models)
    past = pair_features(models[0], labelled, progress=progress)
    return CandidateEvidence(
        margins_KN=found.margins_N[None],
        differences_ND=found.differences_ND,
        labelled_MD=past.differences_ND,
        labelled_margins_M=past.margins_N,
        cut=cut,
    )


def check_evidence(rule: PickConfig, *, models: int, embedder: bool) -> None:
    """Check that there is what a rule reads, before any model is loaded.

    Args:
        rule: the rule.
        models: number of reward models.
        embedder: whether there are an embedder and texts of the policy.

    Raises:
        UsageError: something is missing, or there is something that the rule does not read.
    """
    if rule.reads_models and not models:
        raise UsageError(f"The rule {rule.pick} chooses by a reward model's scores; give one (--reward-model).")
    if models > 1 and rule.pick in ("gap", "d_optimal"):
        raise UsageError(
            f"The rule {rule.pick} reads one reward model, and {models} are given; give one (--reward-model)."
        )
    if models and not rule.reads_models:
        raise UsageError(
            f"The rule {rule.pick} reads no reward model (--reward-model); leave it out, or choose another rule."
        )
    if rule.embeds and not embedder:
        raise UsageError(f"The rule {rule.pick} reads embeddings of the pairs and of the policy's texts; give both.")


def _both_sides(pairs: Sequence[LabelCandidate]) -> tuple[list[str], list[str]]:
    """Prompts and completions: the first ones of all pairs, then the second ones."""
    prompts = [pair.prompt for pair in pairs]
    return prompts * 2, [*(pair.first for pair in pairs), *(pair.second for pair in pairs)]


def margins_of(model: RewardModel, pairs: Sequence[LabelCandidate], progress: Progress = SILENT) -> Floats:
    """Raw score of the first completion of each of N pairs less that of the second, (N,).

    Where the model's gain is below 0, the sign is the opposite, so that above 0 the first is the better one.
    """
    scores = model.raw_scores(*_both_sides(pairs), progress=progress)
    margins_N: Floats = scores[: len(pairs)] - scores[len(pairs) :]
    # A negative gain (of two outputs in the other order, say) turns a score's meaning round.
    return margins_N if model.gain > 0 else -margins_N


def _cut_since(before: Sequence[TruncationCount], models: Sequence[RewardModel]) -> dict[str, int]:
    """Texts that lost a part since, by which: of the model that cut most of them."""
    pairs = [(model.truncated, was) for model, was in zip(models, before, strict=True)]
    return {
        "prompts_truncated": max(now.prompts - was.prompts for now, was in pairs),
        "completions_truncated": max(now.completions - was.completions for now, was in pairs),
    }


def _embedded(
    pairs: Sequence[LabelCandidate], vectors: VectorCache, texts: Sequence[str], progress: Progress
) -> CandidateEvidence:
    """A pair lies in the middle between its completions."""
    import numpy as np

    first, second, of_policy = (
        [pair.first.strip() for pair in pairs],
        [pair.second.strip() for pair in pairs],
        # A repeated text counts as often as the policy writes it; one without words has no place.
        [text.strip() for text in texts if text.strip()],
    )
    embedded = vectors.get([*first, *second, *of_policy], progress).astype(np.float64)
    embedded /= np.linalg.norm(embedded, axis=1, keepdims=True)
    count = len(pairs)
    return CandidateEvidence(
        vectors_ND=embedded[:count] + embedded[count : 2 * count],
        texts_SD=embedded[2 * count :],
        cut={"beyond_window": vectors.count_truncated([*first, *second])},
    )
