"""Embed the completions of a policy for a measurement of drift."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from frft.experiment.stages.context import RunContext
from frft.experiment.texts import read_completions
from frft.results import EmbeddedInfo
from frft.stages import Stage, Workload
from frft.store import Artifact, append_rows, digest_of, plain_inputs, read_rows

if TYPE_CHECKING:
    from numpy.typing import NDArray

TEXTS_FILE, VECTORS_FILE = "texts.jsonl", "vectors.npy"


@dataclass(frozen=True)
class EmbeddedStage(Stage):
    """texts.jsonl and vectors.npy: the distinct completions, sorted, and their embeddings, float32 (N, d).

    The vector cache is not used: the last digits of a vector depend on the batch that it is embedded in, and so on
    which other texts the cache lacked. A stage must not depend on that.

    Attributes:
        context: the run.
        written: completions of a policy (`CompletionsStage`).
    """

    context: RunContext
    written: list[Artifact]

    kind = "embedded"

    def inputs(self) -> Mapping[str, Any]:
        return {"written": self.written, "embedder": self.context.vectors.embedder.digest}

    def build(self, folder: Path) -> Mapping[str, Any]:
        texts = sorted({text.strip() for each in self.written for text in read_completions(each).completions})
        append_rows(folder / TEXTS_FILE, [{"text": text} for text in texts])
        with self.context.progress.task("Embedding", total=len(texts)) as task:
            vectors = self.context.vectors.embedder.encode(texts, task)
        np.save(folder / VECTORS_FILE, vectors, allow_pickle=False)
        return EmbeddedInfo(len(texts)).as_dict()

    def flops(self, workload: Workload) -> float:
        return workload.embedding_flops(2 * self.context.config.monitor.prompts * workload.completion)

    def memory(self, workload: Workload) -> float:
        return workload.embedding_bytes()

    def embeds(self) -> str | None:
        # A digest that no stage with cached vectors has: a plan must not count these texts as embedded already.
        return digest_of({"not cached": plain_inputs(self.written)})


def read_vectors(embedded: Artifact) -> Iterator[tuple[str, NDArray[np.float32]]]:
    """The texts of an `EmbeddedStage` artifact, each with its vector, float32 (d,)."""
    texts = [row["text"] for row in read_rows(embedded.path / TEXTS_FILE)]
    return zip(texts, np.load(embedded.path / VECTORS_FILE, allow_pickle=False), strict=True)
