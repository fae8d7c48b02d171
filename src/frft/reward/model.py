"""The reward model: scores of completions, given their prompts or (`reads: completion`) without.

A score is `gain * raw + bias`, where `raw` is the output of a sequence-classification model for the conversation as its
chat template renders it, or, without one, for prompt, completion and EOS; or for the completion alone. `normalise` sets
gain and bias, so that a score means the same after a refresh as before (METHOD section 1: the scale of a reward model
changes at every refresh, and with it the meaning of beta).

A saved reward model is one plain folder: the files of Transformers (safetensors, never pickle; adapters are merged when
training ends) and `reward.json` (`frft.reward.reward_file`), with what it was trained on and how to scale it.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from frft.errors import (
    ChatTemplateError,
    ModelError,
    RewardError,
    UnknownLengthError,
    UsageError,
    check_type,
)
from frft.models import (
    Dtype,
    Encoder,
    ScoreHead,
    TruncationCount,
    check_positions,
    load_tokenizer,
    load_with_its_head,
    longest_sequence,
    save_model,
)
from frft.models.chat import AUTO, NONE, PLAIN, Template, describe_template, template_digest
from frft.models.classifiers import refuse_archives
from frft.progress import SILENT, Progress
from frft.reward.finite import DIVERGED, absurd_scale, check_finite
from frft.reward.reward_file import COMPLETION, CONVERSATION, REWARD_FILE, SEEN, Reads, RewardFile, read_reward_file
from frft.store import seal

if TYPE_CHECKING:
    import numpy as np
    import torch
    from numpy.typing import NDArray
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

COLLAPSED = 1e-6
"""A standard deviation of scores up to this, relative to their mean or absolute, counts as 0: float32 arithmetic gives
about 7 digits, so differences this small are rounding errors."""


class RewardModel:
    """Scores completions; callable as `(prompts, completions) -> list of scores`.

    Moves `model` to the GPU where there is one, and puts it into evaluation mode (no dropout).

    Args:
        model: a sequence-classification model with one output.
        tokenizer: with a padding token distinct from EOS (`frft.models.load_tokenizer` sees to it).
        max_length: longest sequence in tokens; longer ones are cut and counted by the `Encoder`.
        gain: factor of raw scores in gain * raw + bias; finite and not 0.
        bias: constant in gain * raw + bias; finite.
        head: where the model's output comes from, as `load` found it; None: it is the model's own.
        reads: "conversation", or "completion" for one that is not given prompts.

    Raises:
        ModelError: the model has more than one output, or fewer positions than `max_length`.
        ChatTemplateError: it reads completions alone, which its chat template does not render.
        UsageError: `model` is no Transformers model, gain is 0, or gain or bias is not finite.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        max_length: int,
        *,
        gain: float = 1.0,
        bias: float = 0.0,
        head: ScoreHead | None = None,
        reads: Reads = CONVERSATION,
    ) -> None:
        import torch
        from transformers import PreTrainedModel

        check_type("model", model, PreTrainedModel, "frft.RewardModel.load(FOLDER, seed=0) loads one.")
        if not gain or not math.isfinite(gain) or not math.isfinite(bias):
            raise UsageError(f"gain {gain} and bias {bias} must be finite, and the gain not 0.")
        if model.config.num_labels != 1:
            raise ModelError(f"A reward model has one output; this model has {model.config.num_labels}.")
        check_positions(model, max_length, "reward model", "max_length")
        self.model = model.to("cuda" if torch.cuda.is_available() else "cpu").eval()
        self.tokenizer = tokenizer
        self.encoder = Encoder(tokenizer, max_length)
        self.reads: Reads = reads
        if reads == COMPLETION:
            check_reads_alone(tokenizer)
        self.gain = gain
        self.bias = bias
        self.head = head or ScoreHead("saved", "one output, the model's own")

    @classmethod
    def load(
        cls,
        path_or_name: str | Path,
        *,
        seed: int,
        max_length: int | None = None,
        chat_template: str = AUTO,
        trust_remote_code: bool = False,
        allow_fresh_head: bool = True,
        dtype: Dtype = "float32",
        reads: Reads | None = None,
    ) -> RewardModel:
        """Load a reward model saved by `save`, any sequence-classification model, or a causal language model.

        Args:
            path_or_name: a folder, or a model's name on the Hub.
            seed: seed of the random weights of a fresh head, which a causal language model (or a classifier with more
                than two outputs) gets. Of two outputs, the score is their difference.
            max_length: longest sequence in tokens; None: the one in `reward.json`, or, for a model that frft did not
                save, the longest that its configuration and its tokenizer allow.
            chat_template: what it reads conversations by: `auto` (what it was trained with; for a model that frft did
                not save, its tokenizer's own template, or plain text where it has none), `plain`, `none` (contents
                alone), or the path of a file with a template.
            trust_remote_code: run code that comes with the model.
            allow_fresh_head: whether a model without a head gets a random one, to be trained. A model saved by
                `save` must always bring its own.
            dtype: number format in which scores are computed, whatever the model was saved in; auto: that one. `save`
                keeps it.
            reads: what it is given of a text, "conversation" or "completion"; None: what it was trained on, or
                conversations, where frft did not save it.

        Raises:
            ModelError: the model cannot be loaded, its head is missing and none may be made, or it was not trained on
                what it is to read.
            UnknownLengthError: `max_length` is None, and the model's files do not say how long a sequence may be.
            ArtifactError: `reward.json` is damaged.
        """
        refuse_archives(path_or_name)
        file = Path(path_or_name) / REWARD_FILE
        saved = file.exists()
        values = read_reward_file(file) if saved else RewardFile(reads=reads or CONVERSATION)
        if reads not in (None, values.reads):
            raise ModelError(
                f"{path_or_name} was trained on {SEEN[values.reads]} ({REWARD_FILE}), and is to read {SEEN[reads]}, "
                f"which it never saw. Set reads: {values.reads}, or start from another model."
            )
        length = max_length if max_length is not None else values.max_length
        if length is None:
            length = longest_sequence(path_or_name, trust_remote_code=trust_remote_code)
        if length is None:
            raise UnknownLengthError(
                f"Nothing in {path_or_name} says how long a sequence may be (neither {REWARD_FILE}, config.json nor "
                "tokenizer). If frft saved this model, check the path; for any other, give max_length, in tokens."
            )
        trained_with = values.chat_template
        choice = trained_with if chat_template == AUTO and trained_with in (PLAIN, NONE) else chat_template
        tokenizer = load_tokenizer(path_or_name, chat_template=choice, trust_remote_code=trust_remote_code)
        if trained_with is not None and template_digest(tokenizer) != trained_with:
            raise ChatTemplateError(
                f"{path_or_name} was trained on conversations by the chat template {trained_with} ({REWARD_FILE}); by "
                f"{template_digest(tokenizer)} it would read what it never saw. Leave chat_template out; if the "
                "template in its folder was changed, put the old one back."
            )
        model, head = load_with_its_head(
            path_or_name,
            tokenizer,
            seed=seed,
            trust_remote_code=trust_remote_code,
            allow_fresh_head=allow_fresh_head and not saved,
            dtype=dtype,
        )
        return cls(model, tokenizer, length, gain=values.gain, bias=values.bias, head=head, reads=values.reads)

    def save(self, path: str | Path) -> None:
        """Save everything that `load` needs into one folder, sealed by a manifest with which `load` verifies it."""
        path = Path(path)
        save_model(self.model, self.tokenizer, path)
        template = template_digest(self.tokenizer)
        RewardFile(self.gain, self.bias, self.max_length, template, self.reads).write(path / REWARD_FILE)
        _ = seal(path, {"kind": "reward model", "digest": None, "info": {}})

    @property
    def max_length(self) -> int:
        """Longest sequence in tokens."""
        return self.encoder.max_length

    @property
    def truncated(self) -> TruncationCount:
        """Sequences scored so far, and how many of them were cut to `max_length`."""
        return self.encoder.truncated

    @property
    def reading(self) -> str:
        """What it reads of a text, and how, in words."""
        if self.reads == COMPLETION and self.tokenizer.chat_template is None:
            return f"{SEEN[COMPLETION]}, as plain text"
        return f"{SEEN[self.reads]} by {describe_template(self.tokenizer)}"

    def token_ids(self, prompts: Sequence[str], completions: Sequence[str]) -> list[list[int]]:
        """The N token sequences that it reads, cut to `max_length` and counted; `prompts` are ignored by one that reads
        completions alone.

        Raises:
            DataError: the chat template refuses one of them; says which.
        """
        if self.reads == COMPLETION:
            encoded = self.encoder.encode_alone(completions)
        else:
            encoded = self.encoder.encode_whole(prompts, completions)
        return [pair.ids for pair in encoded]

    @property
    def parameters(self) -> int:
        """Number of weights."""
        return sum(parameter.numel() for parameter in self.model.parameters())

    @property
    def has_fresh_head(self) -> bool:
        """Whether the head was drawn at random when the model was loaded, and has not been trained since."""
        return self.head.kind == "drawn"

    @property
    def dtype(self) -> str:
        """Number format in which scores are computed."""
        return str(self.model.dtype).removeprefix("torch.")

    @property
    def device(self) -> torch.device:
        """The device that holds the weights."""
        return self.model.device

    def __call__(self, prompts: Sequence[str], completions: Sequence[str]) -> list[float]:
        return [float(score) for score in self.score(prompts, completions)]

    def score(
        self,
        prompts: Sequence[str],
        completions: Sequence[str],
        *,
        batch_size: int = 32,
        progress: Progress = SILENT,
    ) -> NDArray[np.float64]:
        """Scores of N completions, in the order given, float64 (N,): `gain * raw_scores + bias`.

        Raises:
            RewardError: as `raw_scores`; or gain or bias makes a score that float32 cannot hold.
        """
        raw = self.raw_scores(prompts, completions, batch_size=batch_size, progress=progress)
        scores = self.gain * raw + self.bias
        return check_finite(scores, prompts, completions, absurd_scale(self.gain, self.bias))

    def raw_scores(
        self,
        prompts: Sequence[str],
        completions: Sequence[str],
        *,
        batch_size: int = 32,
        progress: Progress = SILENT,
    ) -> NDArray[np.float64]:
        """Scores of N completions before normalisation: the model's own outputs, in the order given, float64 (N,).

        Equal token sequences are computed once, so they get exactly equal scores. Batches hold sequences of
        similar length, padded on the right; neither batch nor padding changes a score beyond rounding.

        Raises:
            RewardError: the numbers of prompts and completions differ, or a score is not finite.
        """
        import numpy as np

        if len(prompts) != len(completions):
            raise RewardError(f"{len(prompts)} prompts but {len(completions)} completions; there must be one each.")
        sequences = [tuple(ids) for ids in self.token_ids(prompts, completions)]
        score_of: dict[tuple[int, ...], float] = {}
        for batch, scores_B in self.scored_batches(sequences, batch_size=batch_size, progress=progress):
            score_of.update(zip(batch, scores_B, strict=True))
        scores = np.array([score_of[ids] for ids in sequences], dtype=np.float64)
        return check_finite(scores, prompts, completions, DIVERGED)

    def scored_batches(
        self, sequences: Sequence[tuple[int, ...]], *, batch_size: int, progress: Progress
    ) -> Iterator[tuple[list[tuple[int, ...]], list[float]]]:
        """Batches of the different token sequences among N, each with its raw scores, which may not be finite."""
        ordered = sorted(set(sequences), key=lambda ids: (len(ids), ids))
        with progress.task("Scoring", len(ordered)) as task:
            # Longest batches first: if one does not fit into memory, that shows at once, not after an hour.
            for stop in range(len(ordered), 0, -batch_size):
                batch = ordered[max(0, stop - batch_size) : stop]
                yield batch, self._forward(batch)
                task.advance(len(batch))

    def normalise(self, prompts: Sequence[str], completions: Sequence[str], *, progress: Progress = SILENT) -> None:
        """Set gain and bias so that the scores of these samples have mean 0 and variance 1 (divisor N).

        Raises:
            RewardError: there are no samples, all their scores are alike (a collapsed reward model), or one
                is not finite.
        """
        raw = self.raw_scores(prompts, completions, progress=progress)
        if raw.size == 0:
            raise RewardError("There are no samples to normalise the reward model on; give at least two.")
        mean, spread = float(raw.mean()), float(raw.std())
        if spread <= COLLAPSED * max(1.0, abs(mean)):
            raise RewardError(
                f"The reward model gives all {raw.size} samples nearly the same score (mean {mean:.6g}, "
                f"standard deviation {spread:.3g}): it has collapsed, or the samples are all alike. "
                "It cannot be normalised; train it again, or give other samples."
            )
        # gain * raw + bias = (raw - mean) / spread.
        self.gain, self.bias = 1.0 / spread, -mean / spread

    def match(
        self, other: RewardModel, prompts: Sequence[str], completions: Sequence[str], *, progress: Progress = SILENT
    ) -> None:
        """Set gain and bias so that the scores of these samples have the mean and variance that `other` gives them.

        Raises:
            RewardError: as `normalise`, for either model.
        """
        self.normalise(prompts, completions, progress=progress)
        theirs = other.score(prompts, completions, progress=progress)
        mean, spread = float(theirs.mean()), float(theirs.std())
        if spread <= COLLAPSED * max(1.0, abs(mean)):
            raise RewardError(
                f"The current reward model gives all {theirs.size} samples nearly the same score ({mean:.6g}): it has "
                "collapsed, and there is no scale to keep. Give reference_samples."
            )
        # Scores z normalised to mean 0 and variance 1 become spread * z + mean.
        self.gain, self.bias = self.gain * spread, self.bias * spread + mean

    def _forward(self, batch: Sequence[Sequence[int]]) -> list[float]:
        import torch

        width = len(batch[-1])
        filler = filler_id(self.model, self.tokenizer, {ids[-1] for ids in batch})
        input_ids_BT = torch.full((len(batch), width), filler)
        mask_BT = torch.zeros((len(batch), width), dtype=torch.long)
        for row, ids in enumerate(batch):
            input_ids_BT[row, : len(ids)] = torch.tensor(ids)
            mask_BT[row, : len(ids)] = 1
        with torch.inference_mode(), padded_by(self.model, filler):
            output = self.model(input_ids=input_ids_BT.to(self.device), attention_mask=mask_BT.to(self.device))
        scores: list[float] = output.logits[:, 0].tolist()
        return scores


def filler_id(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, last: Collection[int]) -> int:
    """The token that fills a batch of a sequence classifier up to its longest row.

    Transformers' classifiers read at the last token that is not `config.pad_token_id`. What a model says of it is kept;
    of one that says nothing it is a token that no row ends with.

    Args:
        model: the classifier.
        tokenizer: its tokenizer.
        last: the last tokens of the rows.
    """
    said = model.config.get_text_config().pad_token_id
    if said is not None:
        return int(said)
    return next(token for token in range(len(tokenizer)) if token not in last)


@contextmanager
def padded_by(model: PreTrainedModel, filler: int) -> Iterator[None]:
    """Within this block a classifier takes this token for padding; afterwards its configuration is as it was."""
    config = model.config.get_text_config()
    said, config.pad_token_id = config.pad_token_id, filler
    try:
        yield
    finally:
        config.pad_token_id = said


def check_reads_alone(tokenizer: PreTrainedTokenizerBase) -> None:
    """Check that completions can be read without their prompts.

    Raises:
        ChatTemplateError: there is a chat template, and it does not render an answer without its conversation.
    """
    if tokenizer.chat_template is None:
        return
    try:
        Template(tokenizer).check_answers()
    except ChatTemplateError as error:
        raise ChatTemplateError(
            f"A model that reads completions without their prompts (reads: completion) cannot have this chat template. "
            f"{error} Set chat_template: none (contents alone) or plain, or give a file with another template."
        ) from error
