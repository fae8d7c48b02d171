"""The stage of a refresh that asks the gate whether the refreshed reward model may replace the current one."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from frft.config.sections import GateConfig
from frft.conversation import opening
from frft.labels import DrawShares, LabelQueue, collect_labels, draw_questions, policy_candidates
from frft.models import seed_for
from frft.reward.gate import examine
from frft.reward.identity import model_identity, pairs_identity
from frft.reward.infos import GateLabels, RefreshedModelInfo
from frft.reward.label_gate import disputed_pairs, judge_by_labels
from frft.reward.model import RewardModel
from frft.reward.refresh import LABELS_FILE, Refresh
from frft.reward.stages.inputs import RefreshInputs
from frft.reward.stages.labelling import Labelling, file_of_labels, limits_left, questions_of
from frft.stages import Stage, Workload
from frft.store import digest_of, plain_inputs, source_of

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class GateStage(Stage):
    """Compares the two reward models and looks for alarms; it keeps the verdict, and labels.jsonl where labels decide.

    Attributes:
        given: models, pairs and settings of the refresh.
        refresh: the refresh to accept or refuse.
        config: settings of the gate.
        pairs: unfiltered pairs that no training saw.
        labelling: who is asked, where the gate decides by fresh labels (`gate.labels`).
    """

    given: RefreshInputs
    refresh: Refresh
    config: GateConfig
    pairs: pa.Table
    labelling: Labelling | None = None

    kind = "gate"

    def inputs(self) -> Mapping[str, Any]:
        of, alarms = self.given, self.given.alarms
        return {
            "before": model_identity(of.current),
            "after": self.refresh.reward_model,
            "samples": of.samples.identity,
            "held_out": pairs_identity(self.pairs),
            "gate": self.config.identity(),
            "alarms": source_of(alarms) if alarms else None,
            "embedder": of.vectors.embedder.digest,
            **(self._label_inputs() if self.config.labels else {}),
        }

    def _label_inputs(self) -> Mapping[str, Any]:
        asked = self.labelling
        assert asked is not None
        return {
            "texts": asked.texts.identity,
            "step": asked.step,
            "labeller": asked.labeller.identity,
            "error": asked.config.error,
            **asked.limit_settings,
            "asked_before": [*asked.earlier, *asked.gates, self.refresh.labels],
            "seed": self._seed,
        }

    @cached_property
    def _seed(self) -> int:
        return seed_for(self.given.seed, "gate", self.given.number)

    def build(self, folder: Path) -> Mapping[str, Any]:
        of = self.given
        after = RewardModel.load(self.refresh.reward_model.path, seed=0, trust_remote_code=of.trust_remote_code)
        return examine(
            self.refresh,
            of.load(),
            after,
            of.samples,
            self.pairs,
            self.config,
            of.vectors,
            of.alarms,
            of.progress,
            self._by_labels(after, folder) if self.config.labels else None,
        ).as_dict()

    def _by_labels(self, after: RewardModel, folder: Path) -> GateLabels:
        of, asked, labels = self.given, self.labelling, self.refresh.labels
        assert asked is not None
        assert labels is not None
        candidates = policy_candidates(*asked.texts.load(), step=asked.step)
        candidates = candidates.without(questions_of([*asked.earlier, *asked.gates, labels]))
        # What the new model has just learned of a conversation tells nothing of others.
        candidates = candidates.outside({opening(each.prompt) for each in questions_of([labels])})
        disputed = disputed_pairs(of.load(), after, candidates, np.random.default_rng(self._seed))

        def verdict(queue: LabelQueue | None) -> GateLabels:
            return judge_by_labels(disputed, queue, asked.labeller.name, self.config, self._error)

        if not disputed.candidates.pairs:
            return verdict(None)
        path = file_of_labels(self, asked.labeller, of.number, folder)
        drawn = draw_questions(disputed.candidates, self.config.labels, seed=self._seed, shares=DrawShares("gate"))
        queue = collect_labels(
            path,
            drawn,
            asked.labeller,
            pick="random",
            seed=self._seed,
            budget=self.config.labels,
            progress=of.progress,
            enough=lambda answered: verdict(answered).verdict in ("better", "worse"),
            limits=limits_left(asked, [self.refresh.audit, labels]),
        )
        if path.parent != folder:
            shutil.copyfile(path, folder / LABELS_FILE)
        return verdict(queue)

    @property
    def _error(self) -> float:
        """How often the labeller errs by the loss of the fine-tuning; of several, the one who errs most often."""
        fresh = self.refresh.reward_model.info_as(RefreshedModelInfo).fresh
        return max((fresh.errors or {}).values(), default=0.0) if fresh is not None else 0.0

    def flops(self, workload: Workload) -> float:
        held_out = self.pairs.num_rows
        # Two reward models score two texts of each pair that is looked at, and all pairs are embedded to find them.
        scoring = workload.flops(4 * min(self.config.pairs, held_out) * workload.read_tokens(self.given.training))
        return scoring + workload.embedding_flops(2 * held_out * workload.completion)

    def memory(self, workload: Workload) -> float:
        return max(2 * workload.classifier_bytes(self.given.training), workload.embedding_bytes())

    def embeds(self) -> str | None:
        return digest_of(plain_inputs(self.given.samples.identity))
