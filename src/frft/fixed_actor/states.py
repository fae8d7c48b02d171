"""Token states before a transformer's last layer, computed once for every text and kept on disk."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from frft.errors import ArtifactError, ModelError
from frft.fixed_actor.texts import PairTexts
from frft.progress import SILENT, Progress
from frft.selection import Embedder
from frft.statistics.numbers import Indices
from frft.store import ChainedJournal, digest_of

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

_BATCH = 32
"""Texts that go through the transformer at a time."""
SAVE_EVERY = 32
"""Batches between two writes to disk: the most that a stopped pass can lose."""


class TokenStates:
    """States of M texts, "prompt SEP completion", float16 and at most `max_tokens` of them each.

    A text that is too long loses the beginning of its prompt down to a quarter of the tokens, then the end of its
    completion. The file has a place for every text, and a journal beside it has the SHA-256 of what was finished: that
    is not computed again, unless it is damaged.

    Attributes:
        cut_M: which texts were cut to `max_tokens`, bool (M,).
        lengths_M: tokens of each text after cutting, int (M,).
        last_layer: the transformer's last layer, whose input the states are.

    Raises:
        ModelError: the embedder holds no transformer of a kind whose last layer can be taken off, or it has fewer
            positions than `max_tokens`.
    """

    def __init__(
        self, texts: PairTexts, embedder: Embedder, max_tokens: int, folder: Path, progress: Progress = SILENT
    ) -> None:
        from frft.models import check_positions
        from frft.models.kernels import with_fast_kernels

        model, tokenizer = transformer_of(embedder)
        check_positions(model, max_tokens, "embedder", "max_tokens")
        layers: Any = getattr(getattr(model, "encoder", None), "layer", None)
        if layers is None:
            raise ModelError(
                f"The embedder's transformer ({type(model).__name__}) keeps its layers in another way than BERT, so "
                "the last one cannot be trained by itself. Use --train head or --train full."
            )
        self.last_layer = layers[-1]
        self._max_tokens = max_tokens
        ids, self.cut_M = _encode(texts, tokenizer, max_tokens)
        self.lengths_M = np.array([len(each) for each in ids])
        key = digest_of([embedder.digest, max_tokens, texts.prompts, texts.completions])[:16]
        self._path, self._finished = folder / f"states-{key}.npy", folder / f"states-{key}.jsonl"
        done_M = self._open((len(ids), max_tokens, model.config.hidden_size), progress)
        missing = np.flatnonzero(~done_M)
        if missing.size:
            # Without its last layer the encoder returns what that layer reads.
            model.encoder.layer = layers[:-1]
            try:
                self._compute(with_fast_kernels(model), ids, missing, progress)
            finally:
                model.encoder.layer = layers

    def of(self, rows_B: Indices) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.bool_]]:
        """States (B, T, D) of B texts, T the length of the longest, and a mask (B, T), true at tokens."""
        lengths_B = self.lengths_M[rows_B]
        longest = int(lengths_B.max())
        states_BTD = self._states_MTD[rows_B, :longest].astype(np.float32)
        return states_BTD, np.arange(longest) < lengths_B[:, None]

    def _open(self, shape: tuple[int, int, int], progress: Progress) -> npt.NDArray[np.bool_]:
        """Open the file of the states, or make it; returns which texts have theirs, bool (M,)."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        done_M = np.zeros(shape[0], bool)
        try:
            self._journal = ChainedJournal(self._finished)
            if self._journal.rows:
                self._states_MTD = np.lib.format.open_memmap(self._path, mode="r+")
                if self._states_MTD.shape != shape or self._states_MTD.dtype != np.float16:
                    raise ValueError("its header is that of other states")
                damaged = 0
                for row in self._journal.rows:
                    whole = row["sha256"] == self._sum_of(row["rows"])
                    # Of two lines for one text, the later one holds.
                    done_M[row["rows"]] = whole
                    damaged += not whole
                if damaged:
                    progress.say(f"{self._path} was damaged; states of {np.sum(~done_M)} texts are computed again")
                return done_M
        except (ArtifactError, OSError, ValueError, SyntaxError, KeyError, IndexError, TypeError) as error:
            progress.say(f"{self._path} was damaged ({error}); all states are computed again")
        self._finished.unlink(missing_ok=True)
        self._journal = ChainedJournal(self._finished)
        self._states_MTD = np.lib.format.open_memmap(self._path, mode="w+", dtype=np.float16, shape=shape)
        return np.zeros(shape[0], bool)

    def _sum_of(self, rows: Sequence[int]) -> str:
        """SHA-256 of the states of some texts, up to the length of each."""
        total = hashlib.sha256()
        for row in rows:
            total.update(self._states_MTD[row, : self.lengths_M[row]].tobytes())
        return total.hexdigest()

    def _compute(self, model: PreTrainedModel, ids: Sequence[list[int]], missing: Indices, progress: Progress) -> None:
        import torch

        # Texts of about one length go together, so little is padding; and memory is largest in the first batch.
        longest_first = missing[np.argsort(-self.lengths_M[missing], kind="stable")]
        batches = [longest_first[start : start + _BATCH] for start in range(0, len(missing), _BATCH)]
        finished: list[Indices] = []
        with progress.task("Reading texts for the last layer", total=len(missing)) as task, torch.inference_mode():
            for number, rows_B in enumerate(batches, start=1):
                longest = int(self.lengths_M[rows_B].max())
                tokens_BT = torch.zeros(len(rows_B), longest, dtype=torch.long)
                for place, row in enumerate(rows_B):
                    tokens_BT[place, : len(ids[row])] = torch.tensor(ids[row])
                mask_BT = torch.arange(longest) < torch.tensor(self.lengths_M[rows_B])[:, None]
                states_BTD = model(input_ids=tokens_BT, attention_mask=mask_BT.long()).last_hidden_state
                self._states_MTD[rows_B, :longest] = states_BTD.half().numpy()
                finished.append(rows_B)
                if number % SAVE_EVERY == 0 or number == len(batches):
                    # States before marks: a stop between the two must not mark what is not on disk.
                    self._states_MTD.flush()
                    rows = np.concatenate(finished).tolist()
                    self._journal.append({"rows": rows, "sha256": self._sum_of(rows)})
                    finished.clear()
                task.advance(len(rows_B))


def transformer_of(embedder: Embedder) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """The transformer inside a sentence embedder, loaded once more from its folder, and its tokenizer.

    Raises:
        ModelError: the embedder holds no transformer that the transformers library can load.
    """
    from transformers import AutoModel, AutoTokenizer

    from frft.models import quiet

    try:
        with quiet():
            model = AutoModel.from_pretrained(embedder.folder, use_safetensors=True, dtype="float32")
            tokenizer = AutoTokenizer.from_pretrained(embedder.folder)
    except (OSError, ValueError, KeyError, RuntimeError, ImportError) as error:
        raise ModelError(
            f"The embedder in {embedder.folder} holds no transformer to be trained: {str(error).splitlines()[0]}. Use "
            "--train head, or another embedder."
        ) from error
    return model.eval(), tokenizer


def _encode(
    texts: PairTexts, tokenizer: PreTrainedTokenizerBase, max_tokens: int
) -> tuple[list[list[int]], npt.NDArray[np.bool_]]:
    """Token ids of "CLS prompt SEP completion SEP", and which texts were cut."""
    # Text from data is hostile: "[SEP]" in it is text, not the end of a part.
    plain: dict[str, Any] = {"add_special_tokens": False, "split_special_tokens": True, "verbose": False}
    prompts, completions = (tokenizer(each, **plain)["input_ids"] for each in (texts.prompts, texts.completions))
    room = max_tokens - 3  # CLS and two SEP
    ids, cut = [], []
    for prompt, completion in zip(prompts, completions, strict=True):
        kept = prompt[-max(room // 4, room - len(completion)) :]
        cut.append(len(prompt) + len(completion) > room)
        start, end = tokenizer.cls_token_id, tokenizer.sep_token_id
        ids.append([start, *kept, end, *completion[: room - len(kept)], end])
    return ids, np.array(cut)
