"""The stage of a refresh that has selected pairs labelled once more, to see whether their own labels may be used."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from frft.errors import SelectionError
from frft.labels import (
    ALL_PAIRS,
    AuditedSource,
    DrawShares,
    LabelAudit,
    LabelQueue,
    audit_boundary,
    audit_labels,
    can_still_decide,
    collect_labels,
    draw_questions,
    pool_candidates,
)
from frft.models import seed_for
from frft.reward.infos import AuditInfo
from frft.reward.refresh import LABELS_FILE, SELECTION_FILE, read_pairs
from frft.reward.stages.inputs import RefreshInputs
from frft.reward.stages.labelling import Labelling, file_of_labels, limits_left, questions_of
from frft.selection import Selection
from frft.stages import Stage, Workload
from frft.store import Artifact

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class AuditStage(Stage):
    """Audits the labels of the selected training pairs, source by source; its artifact holds labels.jsonl, if any.

    Attributes:
        given: models, pairs and settings of the refresh.
        labelling: who is asked, and how many labels it may take at most.
        selection: the artifact of the selection.
    """

    given: RefreshInputs
    labelling: Labelling
    selection: Artifact

    kind = "audit"

    @cached_property
    def _seed(self) -> int:
        return seed_for(self.given.seed, "audit", self.given.number)

    @property
    def _accuracy(self) -> float:
        """The labeller's accuracy by `labels.error`; where that is no number, labels are taken for right."""
        return 1.0 - self.labelling.config.given_error

    def inputs(self) -> Mapping[str, Any]:
        of = self.labelling
        return {
            "selection": self.selection,
            "audit": of.config.model_dump(mode="json", include={"audit", "audit_by"}),
            "accuracy": self._accuracy,
            **of.limit_settings,
            "labeller": of.labeller.identity,
            "earlier": list(of.audits),
            "seed": self._seed,
        }

    def build(self, folder: Path) -> Mapping[str, Any]:
        of, by = self.labelling, self.labelling.config.audit_by
        chosen = Selection.read(self.selection.path / SELECTION_FILE)
        pairs = chosen.pairs(read_pairs(self.given.pool), "train")
        names = sources_of(pairs, by)
        known = {
            name: source
            for made in of.audits
            for name, source in made.info_as(AuditInfo).sources.items()
            if name in names
        }
        decided = {name: source for name, source in known.items() if source.audit.decision != "unknown"}
        open_rows = [row for row, name in enumerate(names) if name not in decided]
        found, asked = dict[str, AuditedSource](), 0
        if open_rows:
            found, asked = self._audited(pairs.take(np.array(open_rows, dtype=np.int64)), folder)
        sources = {**known, **found}
        info = AuditInfo(
            labeller=of.labeller.name,
            by=by,
            asked=asked,
            sources=dict(sorted(sources.items())),
            earlier=sorted(set(known) - set(found)),
            pairs=dict(sorted(Counter(names).items())),
            used=sum(name in sources and sources[name].audit.decision == "use" for name in names),
        )
        return info.as_dict()

    def flops(self, workload: Workload) -> float:
        del workload
        return 0.0  # what a labeller takes is not known

    def memory(self, workload: Workload) -> float:
        del workload
        return 0.0

    def _audited(self, pairs: pa.Table, folder: Path) -> tuple[dict[str, AuditedSource], int]:
        """What labels of these pairs say of their sources, and the number of labels that it took."""
        of, config = self.labelling, self.labelling.config
        candidates = pool_candidates(pairs, audit=True, by=config.audit_by).without(questions_of(of.audits))
        if not candidates.pairs and candidates.asked_before:
            return {}, 0
        drawn = draw_questions(candidates, config.audit, seed=self._seed, shares=DrawShares("audit"))
        path = file_of_labels(self, of.labeller, self.given.number, folder)

        def is_clear(queue: LabelQueue) -> bool:
            """Whether no further answer could change a decision."""
            if not queue.labellers:
                return False
            found = self._audit(queue)
            assert found.at_most is not None
            return not any(_is_open(source, found.at_most) for source in found.sources.values())

        queue = collect_labels(
            path,
            drawn,
            of.labeller,
            pick="random",
            seed=self._seed,
            budget=config.audit,
            progress=self.given.progress,
            enough=is_clear,
            limits=limits_left(of, []),
        )
        if path.parent != folder:
            shutil.copyfile(path, folder / LABELS_FILE)
        counts = queue.counts()
        return self._audit(queue).sources, counts.questions - counts.pending + counts.failed

    def _audit(self, queue: LabelQueue) -> LabelAudit:
        names = queue.labellers
        if len(names) > 1:
            raise SelectionError(
                f"Several have answered the audit: {', '.join(names)}. Let one answer all its questions."
            )
        return audit_labels([queue], accuracy=self._accuracy)


def _is_open(source: AuditedSource, at_most: int) -> bool:
    """Whether answers to the questions about a source that are left could decide about it."""
    found = source.audit
    count = found.agreements + found.disagreements
    boundary = audit_boundary(at_most)[: count + source.open]
    undecided = found.reason == "too few labels"
    return undecided and bool(can_still_decide(boundary, count, np.array([found.agreements]))[0])


def sources_of(pairs: pa.Table, by: str | None) -> list[str]:
    """The source of each of N pairs: its value in a column as text, or one for all."""
    if by is None:
        return [ALL_PAIRS] * pairs.num_rows
    return ["null" if value is None else str(value) for value in pairs[by].to_pylist()]


def audited(pairs: pa.Table, audit: Artifact | None) -> pa.Table:
    """Those of the pairs whose labels an audit allows; all where there was none."""
    if audit is None:
        return pairs
    info = audit.info_as(AuditInfo)
    rows = [row for row, name in enumerate(sources_of(pairs, info.by)) if info.allows(name)]
    return pairs.take(np.array(rows, dtype=np.int64))


def refused_by(audit: Artifact | None, pairs: pa.Table) -> list[bool]:
    """Which of N pairs of the pool are of a source that an audit refuses; none where it tells no sources apart."""
    info = None if audit is None else audit.info_as(AuditInfo)
    if info is None or info.by is None:
        return [False] * pairs.num_rows
    refused = {name for name, source in info.sources.items() if source.audit.decision == "refuse"}
    return [name in refused for name in sources_of(pairs, info.by)]
