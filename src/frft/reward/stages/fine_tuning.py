"""The stage of a refresh that fine-tunes the reward model on the selected pairs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from frft.config.sections import RewardModelConfig
from frft.models import seed_for
from frft.models.chat import identified
from frft.reward.evaluate import RewardEvaluation, accuracy_gain, evaluate_reward_model
from frft.reward.identity import model_identity, model_path, pairs_identity
from frft.reward.infos import FreshPairs, RefreshedModelInfo
from frft.reward.model import RewardModel
from frft.reward.refresh import SELECTION_FILE, read_pairs
from frft.reward.stages.audit import audited, refused_by
from frft.reward.stages.fresh import fresh_labels, fresh_rows, together
from frft.reward.stages.inputs import RefreshInputs
from frft.reward.train import train_reward_model
from frft.selection import Selection
from frft.stages import Stage, Workload, trained_pairs, training_passes
from frft.statistics import Estimate
from frft.store import Artifact

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class FineTuningStage(Stage):
    """Fine-tunes and rescales the reward model, and measures its accuracy; its artifact is the model's folder.

    Attributes:
        given: models, pairs and settings of the refresh.
        selection: the artifact of the selection.
        most_pairs: upper bound of the number of selected pairs, for a plan's costs.
        audit: the audit of the selected pairs, which may leave some of them out; None: there is none.
    """

    given: RefreshInputs
    selection: Artifact
    most_pairs: float
    audit: Artifact | None = None

    kind = "refresh"

    @cached_property
    def _seed(self) -> int:
        return seed_for(self.given.seed, "refresh", self.given.number)

    @cached_property
    def _training(self) -> RewardModelConfig:
        of = self.given
        budget = {name: getattr(of.config, name) for name in ("num_train_epochs", "max_steps", "learning_rate")}
        return of.training.model_copy(update={"train": of.training.train.model_copy(update=budget)})

    @property
    def _starts_from_current(self) -> bool:
        return self.given.config.init == "current" or self.given.backbone is None

    @property
    def _start(self) -> Artifact | str | Path:
        of = self.given
        return of.current if of.backbone is None or self._starts_from_current else of.backbone

    @property
    def _keeps_scale(self) -> bool:
        """Whether its scores are rescaled to the mean and variance of the previous reward model."""
        return self.given.reference_samples is None and self._training.normalise_samples > 0

    def inputs(self) -> Mapping[str, Any]:
        of, share = self.given, self.given.config.replay
        scale_of = {"model": model_identity(of.current), "samples": of.samples.identity} if self._keeps_scale else None
        return {
            "selection": self.selection,
            "start": model_identity(self._start),
            "training": identified(self._training.identity()),
            "replay": {"share": share, "of": pairs_identity(of.offline)} if share else None,
            "scale_of": scale_of,
            "reference_samples": None if of.reference_samples is None else of.reference_samples.identity,
            "held_out": None if of.held_out is None else pairs_identity(of.held_out),
            "seed": self._seed,
            **(self._fresh_inputs() if of.fresh else {}),
            **({"audit": self.audit} if self.audit is not None else {}),
        }

    def _fresh_inputs(self) -> Mapping[str, Any]:
        labels = self.given.config.fresh
        assert labels is not None
        return {"fresh": list(self.given.fresh), "use": labels.model_dump(mode="json", include={"error", "share"})}

    def build(self, folder: Path) -> Mapping[str, Any]:
        of, chosen = self.given, Selection.read(self.selection.path / SELECTION_FILE)
        pairs = read_pairs(of.pool)
        train, test = (audited(chosen.pairs(pairs, split), self.audit) for split in ("train", "test"))
        labels = fresh_labels(of)
        beside = fresh_rows(labels.train.num_rows, train.num_rows, labels.share, of.config.replay) if labels else 0.0
        replayed = replayed_pairs(of, chosen, train.num_rows + beside, self.audit)
        trained, errors = together(train, replayed), None
        if labels is not None:
            trained, errors = labels.beside(trained)
        model, report = train_reward_model(
            model_path(self._start),
            trained,
            self._training,
            seed=self._seed,
            workdir=folder / "logs",
            progress=of.progress,
            report_to=of.report_to,
            trust_remote_code=of.trust_remote_code,
            label_errors=errors,
        )
        tests = [test, *([labels.test] if labels else [])]
        compares = self._starts_from_current and any(table.num_rows for table in tests)
        current = of.load() if self._keeps_scale or compares else None
        self._rescale(model, current)
        model.save(folder)

        def measured(table: pa.Table | None) -> RewardEvaluation | None:
            there = table is not None and table.num_rows
            return evaluate_reward_model(model, table, progress=of.progress) if there else None

        def gain(table: pa.Table) -> Estimate | None:
            if known is None or not table.num_rows:
                return None
            return accuracy_gain(known, model, table, progress=of.progress)

        # The gain is over the model that fine-tuning started from; a backbone has no reward head to compare with.
        known = current if compares else None
        fresh = None
        if labels is not None:
            counts = (labels.train.num_rows, labels.earlier, trained.num_rows - train.num_rows - replayed.num_rows)
            fresh = FreshPairs(*counts, labels.errors, measured(labels.test), gain(labels.test))
        return RefreshedModelInfo(
            training=report,
            replayed=replayed.num_rows,
            fresh=fresh,
            gain=model.gain,
            bias=model.bias,
            selected_test=measured(test),
            held_out=measured(of.held_out),
            selected_test_gain=gain(test),
            scoring_truncated=model.truncated,
        ).as_dict()

    def flops(self, workload: Workload) -> float:
        of, share = self.given, self.given.config.replay
        pairs = self.most_pairs
        if of.config.fresh is not None:
            pairs += fresh_rows(of.config.fresh.budget * len(of.fresh), pairs, of.config.fresh.share, share)
        if share:
            # Replayed pairs make up `share` of the training pairs, limited by the pool: pairs / (1 - share) in all.
            pairs = min(pairs / (1 - share), max(pairs, of.offline.num_rows))
        held_out = 0 if of.held_out is None else of.held_out.num_rows
        # Two texts a pair.
        trained = training_passes(self._training) * trained_pairs(self._training.train, pairs)
        texts = 2 * (trained + held_out)
        return workload.flops(texts * workload.read_tokens(self._training))

    def memory(self, workload: Workload) -> float:
        # The previous model is in memory, too, where its scale is kept or test pairs compare the two.
        training = self.given.training
        return workload.classifier_training_bytes(training) + workload.classifier_bytes(training)

    def _rescale(self, model: RewardModel, current: RewardModel | None) -> None:
        of = self.given
        if of.reference_samples is not None:
            model.normalise(*of.reference_samples.load(), progress=of.progress)
        elif current is not None and self._keeps_scale:
            model.match(current, *of.samples.load(), progress=of.progress)


def replayed_pairs(of: RefreshInputs, selection: Selection, number: float, audit: Artifact | None = None) -> pa.Table:
    """Offline pairs that were not selected, drawn without replacement so that they make up `replay` of all trained on.

    Args:
        of: the refresh; `config.replay` is the share in [0, 1).
        selection: the selection, whose training and test pairs are not replayed.
        number: number of the other training pairs; with share s, number * s / (1 - s) pairs are drawn, all if fewer.
        audit: the audit of the selected pairs; sources that it names by a column and refuses are not replayed either.
    """
    share = of.config.replay
    taken = {*selection.train_ids, *selection.test_ids}
    refused = refused_by(audit, of.offline)
    rows = [
        row
        for row, (id_, refuses) in enumerate(zip(of.offline["id"].to_pylist(), refused, strict=True))
        if id_ not in taken and not refuses
    ]
    # x replayed beside n selected pairs make up the share s = x / (n + x), so x = n s / (1 - s).
    wanted = min(len(rows), round(number * share / (1 - share)))
    rng = np.random.default_rng(seed_for(of.seed, "replay", of.number))
    return of.offline.take(np.sort(rng.choice(np.array(rows, dtype=np.int64), wanted, replace=False)))
