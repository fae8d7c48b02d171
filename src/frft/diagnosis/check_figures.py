"""The figures of a check of a reward model: what it is, how it is read, and how it scores pairs and samples."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from frft.diagnosis.own_reading import PaddingSide
from frft.diagnosis.subject import RewardSpread
from frft.models.heads import ScoreHead
from frft.reward import RewardEvaluation, ScoreSpread
from frft.reward.alarm import Alarm
from frft.reward.reward_file import Reads
from frft.statistics.estimates import Estimate

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True)
class ModelFacts:
    """What a reward model is, by its files and as frft loads it.

    Attributes:
        model: its folder or name.
        architecture: the class that it was saved by; None: config.json names none.
        parameters: number of weights.
        head: where its one output comes from.
        chat_template: how it reads conversations: "plain", "none", or the digest of its template.
        template: the same in words.
        reads: "conversation", or "completion": it is given completions without their prompts.
        reading: what it reads, and how, in words.
        trained_with: the template that reward.json says it was trained with; None: frft did not save it.
        ends: names of the tokens that end a text: EOS (or SEP), and the end of a turn of its template.
        bos: how often the beginning-of-text token (BOS, CLS) stands at the beginning of a text; None: it has none.
        padding: name of the token that the head takes for padding; None: the configuration names none.
        padding_side: side on which its tokenizer pads, left or right.
        dtype_saved: number format of the weights in the files; None: config.json does not say.
        dtype: number format in which scores are computed.
        max_length: longest sequence in tokens.
        gain, bias: score = gain * output + bias.
    """

    model: str
    architecture: str | None
    parameters: int
    head: ScoreHead
    chat_template: str
    template: str
    reads: Reads
    reading: str
    trained_with: str | None
    ends: list[str]
    bos: int | None
    padding: str | None
    padding_side: str
    dtype_saved: str | None
    dtype: str
    max_length: int
    gain: float
    bias: float


@dataclass(frozen=True)
class BatchDifference:
    """How far scores in batches are from those of the same texts one at a time.

    Attributes:
        by: "frft", or "own": the model's own forward pass, padded by its own tokenizer.
        size: texts in a batch.
        side: side of the padding.
        difference: largest absolute difference, in the unit of the model's output; None: batches are refused.
        refused: why, as the model or its tokenizer says it; None: they are not.
    """

    by: str
    size: int
    side: PaddingSide
    difference: float | None
    refused: str | None = None


@dataclass(frozen=True)
class Agreement:
    """What frft reads and computes, compared with a model's own tokenizer and forward pass.

    Attributes:
        texts: texts that were given: built-in conversations, then the first of the pairs and of the samples.
        compared: of these, how many both read.
        refused: texts that the chat template refuses (a system prompt, for one).
        named: texts that hold the name of a special token, which frft reads as text.
        cut: texts that are longer than the longest sequence.
        other_tokens: compared texts whose token sequences differ.
        difference: largest absolute difference of their scores, in the unit of the model's output.
        difference_of_equal: the same over texts whose token sequences are equal; None: there are none.
        tolerance: the largest difference that is rounding.
        template: how the model's own tokenizer reads conversations, in words.
        by_itself: whether Transformers loaded the weights by itself; otherwise those that frft loaded were used.
        ends_in_padding: compared texts whose last token the head takes for padding.
        before_the_end: largest change of their scores if that token were not taken for padding; None: there are none.
    """

    texts: int
    compared: int
    refused: int
    named: int
    cut: int
    other_tokens: int
    difference: float
    difference_of_equal: float | None
    tolerance: float
    template: str
    by_itself: bool
    ends_in_padding: int
    before_the_end: float | None


@dataclass(frozen=True)
class LengthEffect:
    """What the length of a completion, in words, does to its score on N pairs.

    Attributes:
        per_100_words: slope of output(chosen) - output(rejected) on the difference of their lengths, through the
            origin, in the unit of the model's output per 100 words.
        longer_scores_higher: share of the pairs of unequal length whose longer completion scores higher.
        longer_is_chosen: share of the same pairs whose longer completion is the chosen one.
        excess: the first of these less the second, paired.
    """

    per_100_words: Estimate
    longer_scores_higher: float
    longer_is_chosen: float
    excess: Estimate


@dataclass(frozen=True)
class OnPairs:
    """A reward model on labelled pairs: `of` were read, `evaluation.n` of them scored."""

    of: int
    evaluation: RewardEvaluation
    length: LengthEffect | None


@dataclass(frozen=True)
class OnSamples:
    """A reward model's outputs on a policy's samples: `of` were read, `scores.texts` of them scored.

    Attributes:
        of: samples that were read.
        scores: summary statistics.
        spread: variance within and between prompts; None where fewer than two prompts have two completions.
        alarms: collapsed or saturated scores, too little signal within a prompt, fired or silent.
    """

    of: int
    scores: ScoreSpread
    spread: RewardSpread | None
    alarms: list[Alarm]


@dataclass(frozen=True)
class Measured:
    """Everything that `measure_reward_model` measures.

    Attributes:
        facts: what the model is.
        agreement: against its own tokenizer and forward pass.
        batches: in batches of several sizes, padded on both sides.
        texts: prompts and completions of the texts of `agreement`.
        scores: their outputs, float64, in their order; NaN for texts that are not compared.
        pairs, samples: on labelled pairs and on samples; None: none were given.
        truncated: sequences of `pairs` and `samples`, and how many of them frft cut.
    """

    facts: ModelFacts
    agreement: Agreement
    batches: list[BatchDifference]
    texts: tuple[list[str], list[str]]
    scores: NDArray[np.float64]
    pairs: OnPairs | None
    samples: OnSamples | None
    truncated: dict[str, int]

    def as_dict(self) -> dict[str, Any]:
        """The measurements as JSON-able values, without texts and scores."""
        own = asdict(self)
        del own["scores"], own["texts"]
        if self.samples is not None and self.samples.spread is not None:
            own["samples"]["spread"]["total"] = self.samples.spread.total
        return own
