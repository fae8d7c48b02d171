"""Architectures x templates x tokenizers x padding x batches: which cells there are, and what one of them shows."""

from __future__ import annotations

import itertools
import random
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .architectures import ARCHITECTURES, write_model
from .conversations import conversations
from .reference import Reference, classifier_scores, own_sequences
from .templates import STABLE, TEMPLATES
from .tokenizers import AFFIXES, FAMILIES, PADS, Recipe

LONGEST = 10**6
"""Tokens: nothing is cut."""
FACTORS: dict[str, Sequence[Any]] = {
    "architecture": ARCHITECTURES,
    "template": STABLE,
    "family": list(FAMILIES),
    "affix": AFFIXES,
    "pad": PADS,
    "side": ("right", "left"),
    "added": (False, True),
    "config_pad": ("tokenizer", "none"),
    "batch_size": (1, 2, 7),
}


@dataclass(frozen=True)
class Cell:
    """One reward model and how it is scored.

    Attributes:
        config_pad: whether the model's configuration names the tokenizer's pad token, or none.
        batch_size: conversations of a forward pass.
    """

    architecture: str
    template: str
    family: str
    affix: str
    pad: str
    side: str
    added: bool
    config_pad: str
    batch_size: int

    @property
    def recipe(self) -> Recipe:
        """Its tokenizer."""
        return Recipe(self.family, self.template, self.affix, self.pad, self.side, self.added)


@dataclass(frozen=True)
class Outcome:
    """What a cell shows.

    Attributes:
        difference: largest difference of a score to the reference.
        spread: standard deviation of the reference's scores; 0 would mean that the model reads nothing.
        sequences: conversations whose tokens were compared.
        wrong: of those, how many have other tokens than the reference.
        reloaded: whether the scores after saving and loading are the same to the bit.
        saved_difference: largest difference to what Transformers alone makes of what was saved.
    """

    cell: Cell
    difference: float
    spread: float
    sequences: int
    wrong: int
    reloaded: bool
    saved_difference: float


def possible(chosen: Mapping[str, Any]) -> bool:
    """Whether some cell has these values of some factors."""
    architecture, template, family, affix, pad, config_pad = (
        chosen.get(name) for name in ("architecture", "template", "family", "affix", "pad", "config_pad")
    )
    bert = family in ("bert", "slow-bert")
    return not (
        # Whatever their folders say, Transformers gives Qwen2 a class of its own, and these four none in Python.
        (architecture == "qwen2" and family not in (None, "qwen2"))
        or (architecture in ("qwen2", "phi3", "modernbert", "mistral") and family == "slow-bert")
        # These classes have a pad token of their own where the files name none.
        or ((architecture == "qwen2" or family == "slow-bert") and pad == "none")
        # RoBERTa's positions are counted from its pad token, so there is one.
        or (architecture == "roberta" and "none" in (pad, config_pad))
        or (pad == "none" and config_pad == "tokenizer")
        # BERT has no EOS, which these templates write, and what is in Python puts [CLS] and [SEP] by its code.
        or (bert and template in ("mistral", "zephyr"))
        or (family == "slow-bert" and affix not in (None, "both"))
        # Without BOS there is none to put before a text.
        or (family in ("gpt2", "qwen2") and affix in ("bos", "both"))
    )


def pairwise(
    factors: Mapping[str, Sequence[Any]], possible: Callable[[Mapping[str, Any]], bool], seed: int = 0
) -> list[dict[str, Any]]:
    """Rows in which every possible pair of values of two factors occurs at least once, far fewer than the product.

    Greedy: each row begins with a pair that is still missing, and gets the values that add most missing pairs.

    Args:
        factors: name -> values.
        possible: whether some row may have these values of some factors (a part of a row, or a whole).
        seed: decides between values that are as good.
    """
    draw = random.Random(seed)
    names = list(factors)
    missing = {
        frozenset({(a, x), (b, y)}): None
        for a, b in itertools.combinations(names, 2)
        for x in factors[a]
        for y in factors[b]
        if _completed({a: x, b: y}, factors, possible) is not None
    }
    rows = []
    while missing:
        row = dict(sorted(next(iter(missing))))
        for name in draw.sample(names, len(names)):
            if name in row:
                continue
            values = draw.sample(list(factors[name]), len(factors[name]))
            values.sort(key=lambda value: -sum(frozenset({(name, value), taken}) in missing for taken in row.items()))
            row = next(
                {**row, name: value}
                for value in values
                if _completed({**row, name: value}, factors, possible) is not None
            )
        for pair in itertools.combinations(row.items(), 2):
            missing.pop(frozenset(pair), None)
        rows.append({name: row[name] for name in names})
    return rows


def _completed(
    part: Mapping[str, Any], factors: Mapping[str, Sequence[Any]], possible: Callable[[Mapping[str, Any]], bool]
) -> dict[str, Any] | None:
    """A possible row with these values; None: there is none."""
    if not possible(part):
        return None
    name = next((name for name in factors if name not in part), None)
    if name is None:
        return dict(part)
    completed = (_completed({**part, name: value}, factors, possible) for value in factors[name])
    return next((row for row in completed if row is not None), None)


def covering_cells() -> list[Cell]:
    """Cells in which every possible pair of two factors' values occurs."""
    return [Cell(**row) for row in pairwise(FACTORS, possible)]


def product_cells(names: Sequence[str], seed: int = 0, **fixed: Any) -> Iterable[Cell]:
    """Every possible combination of some factors' values; the others' are drawn.

    Args:
        names: the factors.
        seed: of the draws.
        fixed: the values of factors that have but one.
    """
    draw = random.Random(seed)
    for values in itertools.product(*(FACTORS[name] for name in names)):
        row = {**dict(zip(names, values, strict=True)), **fixed}
        others = {name: draw.sample(list(FACTORS[name]), len(FACTORS[name])) for name in FACTORS if name not in row}
        completed = _completed(row, others, possible)
        if completed is not None:
            yield Cell(**completed)


class Zoo:
    """The models of cells, in a folder; each architecture's weights are made once.

    Args:
        folder: where all goes.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._count = itertools.count()

    def reference(self, cell: Cell) -> Reference:
        """A cell's model, tokenizer and reference, in a new folder."""
        import json

        weights = self.folder / cell.architecture
        if not weights.exists():
            write_model(cell.architecture, weights)
        made = self.folder / f"cell-{next(self._count)}"
        shutil.copytree(weights, made)
        reference = Reference(cell.recipe, made)
        config = json.loads((made / "config.json").read_text())
        config["pad_token_id"] = reference.tokenizer.pad_token_id if cell.config_pad == "tokenizer" else None
        (made / "config.json").write_text(json.dumps(config))
        return reference

    def outcome(self, cell: Cell, *, count: int = 7, seed: int = 0) -> Outcome:
        """What frft makes of some conversations with this cell's model, against the reference."""
        from statistics import pstdev

        from frft import RewardModel, render_dialogue

        reference = self.reference(cell)
        talks = conversations(count, seed, system=TEMPLATES[cell.template].system, special=reference.special)
        prompts = [render_dialogue(talk.messages) for talk in talks]
        completions = [f" {talk.answer}" for talk in talks]
        expected = [reference.whole(talk) for talk in talks]
        reward = RewardModel.load(reference.folder, seed=0, allow_fresh_head=False)
        scores = reward.score(prompts, completions, batch_size=cell.batch_size).tolist()
        wanted = classifier_scores(reference.folder, expected)
        read = [pair.ids for pair in reward.encoder.encode_whole(prompts, completions)]
        saved = reference.folder / "saved"
        reward.save(saved)
        again = RewardModel.load(saved, seed=0).score(prompts, completions, batch_size=cell.batch_size).tolist()
        harmless = [place for place, talk in enumerate(talks) if not reference.names_a_token(talk)]
        theirs = classifier_scores(saved, own_sequences(saved, [talks[place] for place in harmless]))
        shutil.rmtree(reference.folder)
        return Outcome(
            cell,
            difference=_largest(scores, wanted),
            spread=pstdev(wanted),
            sequences=len(talks),
            wrong=sum(a != b for a, b in zip(read, expected, strict=True)),
            reloaded=again == scores,
            saved_difference=_largest([scores[place] for place in harmless], theirs),
        )


def _largest(scores: Sequence[float], others: Sequence[float]) -> float:
    return max(abs(a - b) for a, b in zip(scores, others, strict=True))


@dataclass(frozen=True)
class SequenceCounts:
    """Conversations whose tokens were compared: of the whole, of the prompt, and of what a policy learns to write.

    Attributes:
        compared: how many.
        wrong: of those, how many differ from the reference.
        straddled: those in which a token straddles the end of the prompt, which no policy can write; of what it learns,
            only the text can be compared.
        own_compared: those in which no content names a special token of the tokenizer.
        own_wrong: of those, how many the reference has other tokens for than the tokenizer itself.
    """

    compared: int
    wrong: int
    straddled: int
    own_compared: int
    own_wrong: int


def sequences_of(reference: Reference, count: int, seed: int) -> SequenceCounts:
    """Compare the tokens of some conversations."""
    from frft import render_dialogue
    from frft.models import Encoder, load_tokenizer

    template = TEMPLATES[reference.recipe.template]
    talks = conversations(count, seed, system=template.system, special=reference.special)
    prompts = [render_dialogue(talk.messages) for talk in talks]
    encoder = Encoder(load_tokenizer(reference.folder), LONGEST)
    read = [pair.ids for pair in encoder.encode_whole(prompts, [f" {talk.answer}" for talk in talks])]
    begun = encoder.encode_prompts(prompts, LONGEST)
    learned = encoder.encode(prompts, [f" {talk.answer}" for talk in talks])
    expected = [(reference.whole(talk), reference.prompt(talk)) for talk in talks]
    joined = [whole[: len(prompt)] == prompt for whole, prompt in expected]
    harmless = [
        (whole, reference.own(talk))
        for talk, (whole, _) in zip(talks, expected, strict=True)
        if not reference.names_a_token(talk)
    ]
    return SequenceCounts(
        compared=len(talks),
        wrong=sum(
            pair != wanted
            or policy.prompt != wanted[1]
            or (whole and policy.ids != _up_to_the_end(*wanted, reference.ends))
            or (not whole and policy.completion[-1] not in reference.ends)
            for pair, wanted, policy, whole in zip(
                zip(read, begun, strict=True), expected, learned, joined, strict=True
            )
        ),
        straddled=joined.count(False),
        own_compared=len(harmless),
        own_wrong=sum(whole != own for whole, own in harmless),
    )


def _up_to_the_end(whole: list[int], prompt: list[int], ends: set[int]) -> list[int]:
    """A conversation up to the first token after its prompt that ends an answer, this included."""
    last = next(place for place in range(len(prompt), len(whole)) if whole[place] in ends)
    return whole[: last + 1]
