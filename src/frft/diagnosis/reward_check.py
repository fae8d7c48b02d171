"""Whether a reward model is read and scored as it was made to be, and whether it fits my pairs and my policy.

Nothing is trained. What frft computes is compared with the model's own tokenizer and forward pass; scores must not
depend on the batch; with pairs, accuracy, ties and what length does; with samples of a policy, the spread of scores.
`frft.diagnosis.fitness` makes findings and a verdict of these measurements.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from frft.diagnosis.alarms.reward_model import collapsed, little_signal, saturated
from frft.diagnosis.check_figures import (
    Agreement,
    BatchDifference,
    LengthEffect,
    Measured,
    ModelFacts,
    OnPairs,
    OnSamples,
)
from frft.diagnosis.own_reading import OwnModel, OwnTokens, built_in_texts, own_tokenizer, own_tokens
from frft.diagnosis.subject import Scored
from frft.diagnosis.symptoms import words
from frft.models.chat import Template, describe_template, template_digest
from frft.models.heads import architecture_of
from frft.models.special import special_ids
from frft.progress import SILENT, Progress
from frft.reward import RewardModel, score_margins, spread_of_scores
from frft.reward.evaluate import evaluation_of_margins
from frft.reward.pairs import Pairs, PairTable, requests
from frft.statistics import estimate, proportion

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

BATCH_SIZES = (1, 2, 8)
COMPARED = 32
"""Most texts that the model's own forward pass scores one at a time, after the built-in ones."""
TOLERANCES = {"float32": 1e-4, "float16": 1e-2, "bfloat16": 1e-1}
"""Largest difference of two scores that is rounding, times the largest score or 1: about a hundred times the relative
precision of the number format, since errors add up over the layers."""


def measure_reward_model(
    name: str | Path,
    scorer: RewardModel,
    trained_with: str | None,
    pairs: PairTable | None = None,
    samples: tuple[Sequence[str], Sequence[str]] | None = None,
    *,
    limit: int = 200,
    trust_remote_code: bool = False,
    progress: Progress = SILENT,
) -> Measured:
    """Measure how a reward model reads and scores.

    Args:
        name: its folder or name.
        scorer: the same, as frft loads it.
        trained_with: the template that reward.json says it was trained with; None: there is none.
        pairs: labelled pairs.
        samples: prompts and completions of a policy.
        limit: score at most so many pairs, the first ones, and samples of the first prompts.
        trust_remote_code: run code that comes with the model.
        progress: reports the scoring.

    Raises:
        RewardError: a score is not finite.
        DataError: pairs cannot be used.
    """
    own = own_tokenizer(name, scorer.tokenizer.chat_template, trust_remote_code=trust_remote_code)
    if trained_with is not None:
        # What frft saved is read as it was trained, whatever template its tokenizer brings.
        own.chat_template = scorer.tokenizer.chat_template
    on_pairs = None if pairs is None else _on_pairs(scorer, pairs, limit, progress)
    on_samples = None if samples is None else _on_samples(scorer, *samples, limit, progress)
    truncated = scorer.truncated.as_dict()
    prompts, completions = (list(texts) for texts in built_in_texts())
    for more in _some_texts(pairs, samples):
        prompts.append(more[0])
        completions.append(more[1])
    tokens = own_tokens(own, prompts, completions, scorer.max_length, scorer.reads)
    agreement, batches, scores = _compared(name, scorer, own, tokens, prompts, completions, trust_remote_code)
    return Measured(
        _facts(name, scorer, own, tokens, trained_with),
        agreement,
        batches,
        (prompts, completions),
        scores,
        on_pairs,
        on_samples,
        truncated,
    )


def _some_texts(pairs: PairTable | None, samples: tuple[Sequence[str], Sequence[str]] | None) -> list[tuple[str, str]]:
    """The first texts of pairs and samples, COMPARED in all where there are so many."""
    found: list[tuple[str, str]] = []
    if pairs is not None:
        table = Pairs.of(pairs)
        both = zip(table.prompts, table.chosen, table.rejected, strict=True)
        found += [(prompt, text) for prompt, *sides in both for text in sides][: COMPARED // (2 if samples else 1)]
    if samples is not None:
        found += list(zip(*samples, strict=True))[: COMPARED - len(found)]
    return found


def _compared(
    name: str | Path,
    scorer: RewardModel,
    own: Any,
    tokens: OwnTokens,
    prompts: Sequence[str],
    completions: Sequence[str],
    trust_remote_code: bool,
) -> tuple[Agreement, list[BatchDifference], NDArray[np.float64]]:
    import numpy as np

    rows = tokens.compared
    theirs = [ids for ids in tokens.ids if ids is not None]
    texts = [prompts[row] for row in rows], [completions[row] for row in rows]
    ours = scorer.token_ids(*texts)
    one_by_one = scorer.raw_scores(*texts, batch_size=1)
    tolerance = TOLERANCES[scorer.dtype] * max(1.0, float(np.abs(one_by_one).max(initial=0.0)))
    batches = [
        BatchDifference("frft", size, "right", _largest(scorer.raw_scores(*texts, batch_size=size) - one_by_one))
        for size in BATCH_SIZES
    ]
    model = OwnModel.load(name, scorer, trust_remote_code=trust_remote_code)
    wanted = model.scores(theirs)
    for size in BATCH_SIZES[1:]:
        for side in ("right", "left"):
            try:
                differences = model.padded_scores(own, theirs, size, side) - wanted
                batches.append(BatchDifference("own", size, side, _largest(differences)))
            except (ValueError, TypeError) as error:
                said = str(error).strip().splitlines() or [type(error).__name__]
                batches.append(BatchDifference("own", size, side, None, said[0][:160]))
    config = model.model.config.get_text_config()
    padding = config.pad_token_id
    ended = [ids for ids in theirs if ids[-1] == padding]
    moved = None
    if ended:
        config.pad_token_id = None
        last = model.scores(ended)
        config.pad_token_id = padding
        moved = _largest(last - model.scores(ended))
    equal = [row for row, (mine, other) in enumerate(zip(ours, theirs, strict=True)) if mine == other]
    agreement = Agreement(
        texts=len(prompts),
        compared=len(rows),
        refused=tokens.refused,
        named=tokens.named,
        cut=tokens.cut,
        other_tokens=len(rows) - len(equal),
        difference=_largest(one_by_one - wanted),
        difference_of_equal=_largest((one_by_one - wanted)[equal]) if equal else None,
        tolerance=tolerance,
        template=describe_template(own),
        by_itself=model.by_itself,
        ends_in_padding=len(ended),
        before_the_end=moved,
    )
    scores = np.full(len(prompts), np.nan)
    scores[rows] = one_by_one
    return agreement, batches, scores


def _facts(name: str | Path, scorer: RewardModel, own: Any, tokens: OwnTokens, trained_with: str | None) -> ModelFacts:
    from frft.models import load_model_config

    tokenizer, config = scorer.tokenizer, scorer.model.config.get_text_config()
    ends = [scorer.encoder.end]
    if tokenizer.chat_template is not None and (turn := Template(tokenizer).end_of_turn) is not None:
        ends.append(turn)
    begins = next((each for each in (tokenizer.bos_token_id, tokenizer.cls_token_id) if each is not None), None)
    read = [ids for ids in tokens.ids if ids]
    begun = [next((n for n, token in enumerate(ids) if token != begins), len(ids)) for ids in read]
    saved = load_model_config(name).dtype
    return ModelFacts(
        model=str(name),
        architecture=architecture_of(name),
        parameters=scorer.parameters,
        head=scorer.head,
        chat_template=template_digest(tokenizer),
        template=describe_template(tokenizer),
        reads=scorer.reads,
        reading=scorer.reading,
        trained_with=trained_with,
        ends=[str(each) for each in tokenizer.convert_ids_to_tokens(list(dict.fromkeys(ends)))],
        bos=None if begins not in special_ids(tokenizer) else max(begun, default=0),
        padding=None if config.pad_token_id is None else str(tokenizer.convert_ids_to_tokens(config.pad_token_id)),
        padding_side=own.padding_side,
        dtype_saved=None if saved is None else str(saved).removeprefix("torch."),
        dtype=scorer.dtype,
        max_length=scorer.max_length,
        gain=scorer.gain,
        bias=scorer.bias,
    )


def _on_pairs(scorer: RewardModel, table: PairTable, limit: int, progress: Progress) -> OnPairs:
    import numpy as np

    pairs, asked = Pairs.of(table), requests(table)[:limit]
    some = {
        "prompt": pairs.prompts[:limit],
        "chosen": pairs.chosen[:limit],
        "rejected": pairs.rejected[:limit],
    }

    def score(prompts: Sequence[str], completions: Sequence[str]) -> NDArray[np.float64]:
        return scorer.raw_scores(prompts, completions, progress=progress)

    margins_N = score_margins(score, some)
    sides = zip(some["chosen"], some["rejected"], strict=True)
    longer_N = np.array([len(words(chosen)) - len(words(rejected)) for chosen, rejected in sides], dtype=np.float64)
    evaluation = evaluation_of_margins(margins_N, asked, 1.0)
    return OnPairs(len(pairs.prompts), evaluation, _length_effect(longer_N, margins_N, asked))


def _length_effect(
    longer_N: NDArray[np.float64], margins_N: NDArray[np.float64], asked: Sequence[str]
) -> LengthEffect | None:
    """What length does to scores; None where all pairs are of equal lengths."""
    import numpy as np

    rows = np.flatnonzero(longer_N)
    if not len(rows):
        return None
    clusters = [asked[row] for row in rows.tolist()]
    longer, margins = longer_N[rows], margins_N[rows]
    scores_higher = (1 + np.sign(longer) * np.sign(margins)) / 2
    is_chosen = (1 + np.sign(longer)) / 2
    return LengthEffect(
        proportion(longer / 100, margins, clusters),
        float(scores_higher.mean()),
        float(is_chosen.mean()),
        estimate(scores_higher - is_chosen, clusters),
    )


def _on_samples(
    scorer: RewardModel, prompts: Sequence[str], completions: Sequence[str], limit: int, progress: Progress
) -> OnSamples:
    rows_of: dict[str, list[int]] = {}
    for row, prompt in enumerate(prompts):
        rows_of.setdefault(prompt, []).append(row)
    # All completions of a prompt, since what counts is how they differ.
    rows = sorted([row for rows in rows_of.values() for row in rows][:limit])
    some = [prompts[row] for row in rows], [completions[row] for row in rows]
    raw_N = scorer.raw_scores(*some, progress=progress)
    scored = Scored(*some, raw_N)
    spread = scored.spread()
    alarms = [collapsed(scored, 1.0)]
    if alarms[0].fired:
        return OnSamples(len(prompts), spread_of_scores(*some, raw_N), spread, alarms)
    alarms.append(saturated(scored))
    if spread is not None and spread.total:
        alarms.append(little_signal(spread, spread.total))
    return OnSamples(len(prompts), spread_of_scores(*some, raw_N), spread, alarms)


def _largest(differences: NDArray[np.float64]) -> float:
    import numpy as np

    return float(np.abs(differences).max(initial=0.0))
