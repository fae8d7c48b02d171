"""The reward that realigns itself: FRFT (arXiv 2412.10529).

    AlignedReward(prompts, completions)     score, and remember what the policy wrote
    AlignedReward.refresh()                 select the pairs of the pool that lie where it wrote (frft.selection),
                                            fine-tune the reward model on them (Bradley-Terry),
                                            bring its scores back to the old scale, measure it, swap it in

It is a reward like any other, `(prompts, completions) -> scores`, so any trainer can call it. What a refresh makes is
kept as artifacts named after everything that they depend on: refreshing again with equal inputs costs nothing, and two
rewards that share a store share what they have in common.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from frft.config.sections import RefreshConfig, RewardModelConfig
from frft.models import seed_for
from frft.models.training import ReportTo
from frft.progress import SILENT, Progress
from frft.reward.evaluate import evaluate_reward_model
from frft.reward.model import RewardModel
from frft.reward.train import train_reward_model
from frft.selection import WITHOUT_SIMILARITIES, Selection, VectorCache, select
from frft.store import Artifact, ArtifactStore, digest_of, folder_digest

if TYPE_CHECKING:
    import pyarrow as pa

SELECTION_FILE = "selection.parquet"


@dataclass(frozen=True)
class PolicySamples:
    """What a policy wrote, read when it is needed.

    Attributes:
        identity: what the texts depend on, an artifact or a digest; equal identities mean equal texts.
        load: returns the prompts and the completions, one each.
    """

    identity: Any
    load: Callable[[], tuple[Sequence[str], Sequence[str]]]

    @classmethod
    def of(cls, prompts: Sequence[str], completions: Sequence[str]) -> PolicySamples:
        """PolicySamples that are already in memory, identified by their content."""
        texts = (list(prompts), list(completions))
        return cls(digest_of(texts), lambda: texts)


@dataclass(frozen=True)
class Refresh:
    """One refresh: the selection that was made, and the reward model that was trained on it."""

    selection: Artifact
    reward_model: Artifact

    def read_selection(self) -> Selection:
        """The selection, row by row."""
        return Selection.read(self.selection.path / SELECTION_FILE)


class AlignedReward:
    """A reward model that is fine-tuned, whenever `refresh` is called, on the pairs closest to what the policy writes.

    Args:
        reward_model: the base reward model: an artifact, or a folder written by `RewardModel.save`.
        pool: the offline preference pairs D: columns id, prompt, chosen, rejected; N rows.
        config: the filter and how to fine-tune.
        training: how the base model was trained; what a refresh does not set for itself, it takes from here.
        backbone: what `init: sft` starts from, a folder or a name; the base reward model came from it.
        vectors: where embeddings come from.
        store: where selections and reward models are kept.
        reference_samples: the reference policy's samples, on which every refreshed model is normalised to mean 0 and
            variance 1 (METHOD section 1); none: scores stay as they come.
        held_out: *unfiltered* pairs to judge refreshed models on; a model's own filtered test rows flatter it, because
            "looks like the policy" predicts their label (METHOD section 1, selection shortcut).
        seed: what every random draw is derived from.
        progress: told of everything that takes long.
        report_to: where to log training curves as well.
        trust_remote_code: run code that comes with the models.
    """

    def __init__(
        self,
        reward_model: Artifact | Path,
        pool: pa.Table,
        config: RefreshConfig,
        training: RewardModelConfig,
        *,
        backbone: Artifact | str | Path,
        vectors: VectorCache,
        store: ArtifactStore,
        reference_samples: PolicySamples | None = None,
        held_out: pa.Table | None = None,
        seed: int = 0,
        progress: Progress = SILENT,
        report_to: ReportTo = "none",
        trust_remote_code: bool = False,
    ) -> None:
        self._report_to, self._trust_remote_code = report_to, trust_remote_code
        self.config, self.training, self.seed = config, training, seed
        self.pool, self.held_out, self.reference_samples = pool, held_out, reference_samples
        self.backbone, self.vectors, self.store, self.progress = backbone, vectors, store, progress
        self.current = reward_model
        self.refreshes: list[Refresh] = []
        self._observed: deque[tuple[str, str]] = deque(maxlen=config.max_samples)
        self._model: RewardModel | None = None

    def __call__(self, prompts: Sequence[str], completions: Sequence[str]) -> list[float]:
        """Normalised scores of N completions, and remember them as samples of the policy."""
        self.observe(prompts, completions)
        return self.model(prompts, completions)

    @property
    def model(self) -> RewardModel:
        """The reward model that scores now; loaded when it is first needed."""
        if self._model is None:
            self._model = RewardModel.load(
                _path(self.current), seed=self.seed, trust_remote_code=self._trust_remote_code
            )
        return self._model

    def observe(self, prompts: Sequence[str], completions: Sequence[str]) -> None:
        """Remember what the policy wrote; beyond `max_samples`, the oldest are forgotten."""
        if self.config.samples == "rollouts":
            self._observed.extend(zip(prompts, completions, strict=True))

    def refresh(self, samples: PolicySamples | None = None) -> Refresh:
        """Realign the reward model with the policy, and score with the new one from now on.

        Args:
            samples: what the frozen policy writes; none: what has been observed since the last refresh.

        Raises:
            SelectionError: there are no samples, or no pair qualifies.
            TrainingError, RewardError: the fine-tuned model is unusable; the current one stays.
        """
        samples = samples or PolicySamples.of(*zip(*self._observed, strict=True) if self._observed else ((), ()))
        selection = self._select(samples)
        refresh = Refresh(selection, self._fine_tune(selection))
        self.refreshes.append(refresh)
        self._observed.clear()
        self.current, self._model = refresh.reward_model, None
        return refresh

    def _select(self, samples: PolicySamples) -> Artifact:
        seed = seed_for(self.seed, "selection", len(self.refreshes))

        def build(path: Path) -> Mapping[str, Any]:
            selection = select(self.pool, *samples.load(), self.config.selection, self.vectors, seed, self.progress)
            selection.write(path / SELECTION_FILE)
            return selection.metadata

        looks = self.config.selection.strategy not in WITHOUT_SIMILARITIES
        inputs = {
            "pool": pairs_identity(self.pool),
            "samples": samples.identity if looks else None,
            "selection": self.config.selection.model_dump(),
            "embedder": self.vectors.embedder.digest if looks else None,
            "seed": seed,
        }
        return self.store.make("selection", inputs, build)

    def _fine_tune(self, selection: Artifact) -> Artifact:
        seed = seed_for(self.seed, "refresh", len(self.refreshes))
        start = self.current if self.config.init == "current" else self.backbone
        rates = {"num_train_epochs": self.config.num_train_epochs, "learning_rate": self.config.learning_rate}
        training = self.training.model_copy(update={"train": self.training.train.model_copy(update=rates)})

        def build(path: Path) -> Mapping[str, Any]:
            chosen = Selection.read(selection.path / SELECTION_FILE)
            train, test = rows_by_id(self.pool, chosen.train_ids), rows_by_id(self.pool, chosen.test_ids)
            model, report = train_reward_model(
                _path(start),
                train,
                training,
                seed=seed,
                workdir=path / "logs",
                progress=self.progress,
                report_to=self._report_to,
                trust_remote_code=self._trust_remote_code,
            )
            if self.reference_samples is not None:
                model.normalise(*self.reference_samples.load(), progress=self.progress)
            model.save(path)
            info: dict[str, Any] = {"training": report.as_dict(), "gain": model.gain, "bias": model.bias}
            for name, table in (("selected_test", test), ("held_out", self.held_out)):
                if table is not None and table.num_rows:
                    info[name] = evaluate_reward_model(model, table, progress=self.progress).as_dict()
            return {**info, "scoring_truncated": model.truncated.as_dict()}

        inputs = {
            "selection": selection,
            "start": model_identity(start),
            "training": training.model_dump(),
            "reference_samples": None if self.reference_samples is None else self.reference_samples.identity,
            "held_out": None if self.held_out is None else pairs_identity(self.held_out),
            "seed": seed,
        }
        return self.store.make("refresh", inputs, build)


def pairs_identity(table: pa.Table) -> str:
    """A digest of a table of pairs: ids, texts and, where there are, margins, in their order."""
    names = [name for name in ("id", "prompt", "chosen", "rejected", "margin") if name in table.column_names]
    return digest_of([[name, table[name].to_pylist()] for name in names])


def model_identity(source: Artifact | str | Path) -> Any:
    """What a model depends on: an artifact stands for itself, a folder for its files, a name on the Hub for itself."""
    if isinstance(source, Artifact) or not Path(source).is_dir():
        return source
    return {"files": folder_digest(Path(source))}


def rows_by_id(table: pa.Table, ids: Sequence[str]) -> pa.Table:
    """The rows with these ids, in their order, as often as they are named."""
    position = {row_id: row for row, row_id in enumerate(table["id"].to_pylist())}
    return table.take(np.array([position[row_id] for row_id in ids], dtype=np.int64))


def _path(source: Artifact | str | Path) -> str | Path:
    return source.path if isinstance(source, Artifact) else source
