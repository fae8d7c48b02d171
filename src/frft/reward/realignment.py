"""One refresh under way: what it selects, trains and is told by the gate, each an artifact."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from frft.config.sections import RefreshConfig, RewardModelConfig
from frft.models import seed_for
from frft.models.training import ReportTo
from frft.progress import Progress
from frft.reward.evaluate import accuracy_gain, evaluate_reward_model
from frft.reward.gate import Alarms, examine
from frft.reward.identity import model_identity, model_path, pairs_identity
from frft.reward.model import RewardModel
from frft.reward.refresh import LOG_RATIOS_FILE, SELECTION_FILE, Refresh, read_pairs
from frft.reward.samples import PolicySamples
from frft.reward.train import train_reward_model
from frft.selection import LogRatios, Selection, VectorCache, select
from frft.store import Artifact, ArtifactStore, source_of
from frft.strategies import get_strategy, strategy_origin

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class Realignment:
    """How a reward model is realigned once; what was made from equal inputs before is found, and not made again.

    Attributes:
        number: refreshes of this reward before this one.
        current: the reward model to realign.
        load: loads it, where an artifact is to be made.
        alarms: what else the gate asks.
        offline: D, which pairs are replayed from.
        config, training, backbone, reference_samples, held_out, gate_pairs, vectors, store, seed, progress, report_to,
            trust_remote_code: as `AlignedReward` has them.
    """

    number: int
    current: Artifact | str | Path
    load: Callable[[], RewardModel]
    config: RefreshConfig
    training: RewardModelConfig
    backbone: Artifact | str | Path | None
    reference_samples: PolicySamples | None
    offline: pa.Table
    held_out: pa.Table | None
    gate_pairs: pa.Table | None
    vectors: VectorCache
    store: ArtifactStore
    seed: int
    progress: Progress
    alarms: Alarms | None
    report_to: ReportTo
    trust_remote_code: bool

    def make(
        self, samples: PolicySamples, log_ratios: LogRatios | Artifact | None, pool: pa.Table | Artifact
    ) -> Refresh:
        """The refresh from these; arguments and errors as `AlignedReward.refresh`."""
        selection = self._select(samples, log_ratios, pool)
        return self._gated(Refresh(selection, self._fine_tune(selection, samples, pool)), samples)

    def _select(
        self, samples: PolicySamples, log_ratios: LogRatios | Artifact | None, pool: pa.Table | Artifact
    ) -> Artifact:
        config, vectors = self.config.selection, self.vectors
        seed = seed_for(self.seed, "selection", self.number)

        def build(path: Path) -> Mapping[str, Any]:
            ratios = (
                LogRatios.read(log_ratios.path / LOG_RATIOS_FILE) if isinstance(log_ratios, Artifact) else log_ratios
            )
            pairs = read_pairs(pool)
            selection = select(pairs, *samples.load(), config, vectors, seed, self.progress, log_ratios=ratios)
            selection.write(path / SELECTION_FILE)
            return selection.metadata

        strategy, origin = get_strategy(config.strategy), strategy_origin(config.strategy)
        inputs = {
            "pool": pool if isinstance(pool, Artifact) else pairs_identity(pool, *strategy.columns),
            "samples": samples.identity if strategy.embeds else None,
            "log_ratios": log_ratios.identity if isinstance(log_ratios, LogRatios) else log_ratios,
            "selection": config.model_dump(),
            "embedder": vectors.embedder.digest if strategy.embeds else None,
            "seed": seed,
            # The code of a strategy that comes with frft changes with frft alone.
            **({} if origin is None else {"strategy": origin}),
        }
        return self.store.make("selection", inputs, build)

    def _gated(self, refresh: Refresh, samples: PolicySamples) -> Refresh:
        config, held_out = self.config.gate, self.gate_pairs
        if config is None or held_out is None:
            return refresh

        def build(path: Path) -> Mapping[str, Any]:
            del path
            return examine(
                refresh,
                self.load(),
                samples,
                held_out,
                config,
                self.vectors,
                self.alarms,
                self.progress,
                self.trust_remote_code,
            )

        inputs = {
            "before": model_identity(self.current),
            "after": refresh.reward_model,
            "samples": samples.identity,
            "held_out": pairs_identity(held_out),
            "gate": config.model_dump(),
            "alarms": source_of(self.alarms) if self.alarms else None,
            "embedder": self.vectors.embedder.digest,
        }
        return replace(refresh, gate=self.store.make("gate", inputs, build))

    def _fine_tune(self, selection: Artifact, samples: PolicySamples, pool: pa.Table | Artifact) -> Artifact:
        seed = seed_for(self.seed, "refresh", self.number)
        from_current = self.config.init == "current" or self.backbone is None
        start = self.current if self.backbone is None or from_current else self.backbone
        budget = {name: getattr(self.config, name) for name in ("num_train_epochs", "max_steps", "learning_rate")}
        training = self.training.model_copy(update={"train": self.training.train.model_copy(update=budget)})
        keeps_scale = self.reference_samples is None and training.normalise_samples > 0

        def build(path: Path) -> Mapping[str, Any]:
            chosen = Selection.read(selection.path / SELECTION_FILE)
            pairs = read_pairs(pool)
            train, test = chosen.pairs(pairs, "train"), chosen.pairs(pairs, "test")
            replayed = self._replayed(chosen, train.num_rows)
            model, report = train_reward_model(
                model_path(start),
                together(train, replayed),
                training,
                seed=seed,
                workdir=path / "logs",
                progress=self.progress,
                report_to=self.report_to,
                trust_remote_code=self.trust_remote_code,
            )
            current = self.load() if keeps_scale or (from_current and test.num_rows) else None
            if self.reference_samples is not None:
                model.normalise(*self.reference_samples.load(), progress=self.progress)
            elif current is not None and keeps_scale:
                model.match(current, *samples.load(), progress=self.progress)
            model.save(path)
            info: dict[str, Any] = {
                "training": report.as_dict(),
                "replayed": replayed.num_rows,
                "gain": model.gain,
                "bias": model.bias,
            }
            for name, table in (("selected_test", test), ("held_out", self.held_out)):
                if table is not None and table.num_rows:
                    info[name] = evaluate_reward_model(model, table, progress=self.progress).as_dict()
            # The model that it starts from may know these pairs already; a backbone has no opinion yet.
            known = current if from_current and test.num_rows else None
            info["selected_test_gain"] = (
                None if known is None else accuracy_gain(known, model, test, progress=self.progress).as_dict()
            )
            return {**info, "scoring_truncated": model.truncated.as_dict()}

        inputs = {
            "selection": selection,
            "start": model_identity(start),
            "training": training.model_dump(),
            "replay": {"share": self.config.replay, "of": pairs_identity(self.offline)} if self.config.replay else None,
            "scale_of": {"model": model_identity(self.current), "samples": samples.identity} if keeps_scale else None,
            "reference_samples": None if self.reference_samples is None else self.reference_samples.identity,
            "held_out": None if self.held_out is None else pairs_identity(self.held_out),
            "seed": seed,
        }
        return self.store.make("refresh", inputs, build)

    def _replayed(self, selection: Selection, number: int) -> pa.Table:
        """Pairs of D that were not selected, drawn at random beside this number of selected ones; all if fewer."""
        share = self.config.replay
        taken = {*selection.train_ids, *selection.test_ids}
        rows = [row for row, id_ in enumerate(self.offline["id"].to_pylist()) if id_ not in taken]
        wanted = min(len(rows), round(number * share / (1 - share)))
        rng = np.random.default_rng(seed_for(self.seed, "replay", self.number))
        return self.offline.take(np.sort(rng.choice(np.array(rows, dtype=np.int64), wanted, replace=False)))


def together(first: pa.Table, second: pa.Table) -> pa.Table:
    """Pairs of two tables, with the columns that both have."""
    import pyarrow as pa

    columns = [name for name in first.column_names if name in second.column_names]
    return pa.concat_tables([first.select(columns), second.select(columns)])
