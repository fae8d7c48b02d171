"""The stage of a refresh that selects the pairs to fine-tune on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from frft.models import seed_for
from frft.reward.identity import pairs_identity
from frft.reward.infos import SelectionInfo
from frft.reward.refresh import LOG_RATIOS_FILE, SELECTION_FILE, read_pairs
from frft.reward.samples import PolicySamples
from frft.reward.stages.inputs import RefreshInputs
from frft.selection import LogRatios, Selection, select, select_nothing
from frft.stages import Stage, Workload
from frft.store import Artifact, digest_of, plain_inputs
from frft.strategies import Strategy, get_strategy, strategy_origin


@dataclass(frozen=True)
class SelectionStage(Stage):
    """Selects pairs; its artifact holds selection.parquet, with a row for each pair of the pool, and the counts.

    Attributes:
        given: models, pairs and settings of the refresh.
        log_ratios: log ratios that the strategy `policy_ratio` ranks by, or the artifact that holds them
            (log_ratios.npy); None for every other strategy.
    """

    given: RefreshInputs
    log_ratios: LogRatios | Artifact | None

    kind = "selection"

    @cached_property
    def _seed(self) -> int:
        return seed_for(self.given.seed, "selection", self.given.number)

    @property
    def _strategy(self) -> Strategy:
        return get_strategy(self.given.config.selection.strategy)

    @property
    def _start(self) -> PolicySamples:
        """Texts of the policy before its training, for a strategy that names a source by them."""
        start = self.given.reference_samples
        assert start is not None
        return start

    def inputs(self) -> Mapping[str, Any]:
        of, config, ratios = self.given, self.given.config.selection, self.log_ratios
        origin = strategy_origin(config.strategy)
        return {
            "pool": of.pool if isinstance(of.pool, Artifact) else pairs_identity(of.pool, *config.columns),
            "samples": of.samples.identity if config.embeds or self._strategy.names_source else None,
            "log_ratios": ratios.identity if isinstance(ratios, LogRatios) else ratios,
            "selection": config.identity(),
            "embedder": of.vectors.embedder.digest if config.embeds else None,
            "seed": self._seed,
            **({"start": self._start.identity} if self._strategy.names_source else {}),
            # The code of a strategy that comes with frft changes with frft alone.
            **({} if origin is None else {"strategy": origin}),
        }

    def build(self, folder: Path) -> Mapping[str, Any]:
        selection = self._selected() if self._strategy.selects else self._nothing()
        selection.write(folder / SELECTION_FILE)
        return SelectionInfo.of(selection.metadata, folder / SELECTION_FILE).as_dict()

    def _selected(self) -> Selection:
        of, ratios = self.given, self.log_ratios
        return select(
            read_pairs(of.pool),
            *of.samples.load(),
            of.config.selection,
            of.vectors,
            self._seed,
            of.progress,
            log_ratios=LogRatios.read(ratios.path / LOG_RATIOS_FILE) if isinstance(ratios, Artifact) else ratios,
            start=self._start.load() if self._strategy.names_source else None,
        )

    def _nothing(self) -> Selection:
        of = self.given
        return select_nothing(read_pairs(of.pool), of.config.selection, self._seed)

    def flops(self, workload: Workload) -> float:
        # The two completions of each pair, and about one sample a pair.
        texts = 3 * self.given.offline.num_rows
        return workload.embedding_flops(texts * workload.completion) if self.given.config.selection.embeds else 0.0

    def memory(self, workload: Workload) -> float:
        return workload.embedding_bytes() if self.given.config.selection.embeds else 0.0

    def embeds(self) -> str | None:
        return digest_of(plain_inputs(self.given.samples.identity)) if self.given.config.selection.embeds else None

    def most_pairs(self) -> float:
        """Upper bound of the number of selected pairs, for a plan."""
        config, pairs = self.given.config.selection, self.given.offline.num_rows
        if not self._strategy.selects:
            return 0.0
        if isinstance(self.given.pool, Artifact):
            # The artifact of fresh labels may not exist yet; it gets as many pairs as the selection asks for.
            return float(config.size)
        if self._strategy.takes_all:
            return float(pairs)
        # Drawn by weight, a pair may be taken several times, so the size is not limited by the pool.
        return float(config.size if config.take == "sample" else min(config.size, pairs))
