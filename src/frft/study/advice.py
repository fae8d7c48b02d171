"""Fits the predictor of `frft advise` to the finished cells of a study: evidence before training, outcome after it.

STUDY/evidence/POINT-SEED.json   the evidence of a cell, from which a stopped command goes on
"""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

from frft import __version__
from frft.advice import Evidence, KnownExperiment, Predictor, fit_predictor, gather_evidence
from frft.errors import DataError
from frft.paths import if_missing
from frft.progress import Progress
from frft.results.cell import CellRecord, KeptEvidence
from frft.selection import Embedder, VectorCache
from frft.store import SharedStore, digest_of, read_sealed, write_sealed
from frft.study.config import StudyConfig
from frft.study.measured import MEASURES
from frft.worlds import World

ARM, CONTROL = (StudyConfig.model_fields[name].default for name in ("primary", "control"))
"""The arms whose difference in gold reward is the outcome: FRFT, and a refresh on as many random pairs."""
EVIDENCE_SEED = 0
"""Seed of the folds of the evidence, the same for all cells."""


def fit_advice(study: Path, cache: Path, progress: Progress, shared: SharedStore | None = None) -> Predictor:
    """Measure the evidence of every finished cell of a study, and fit a predictor to their outcomes.

    Args:
        study: the folder of `frft study`; the study need not be finished.
        cache: where embeddings are kept.
        progress: told of every cell.
        shared: the store that `cache` belongs to; None: it belongs to none.

    Raises:
        DataError: the folder holds no finished cells or too few, or a cell lacks an arm or the SFT model's samples.
    """
    paths = sorted(path for path in (study / "cells").glob("*.json") if not path.name.endswith(".failed.json"))
    if not paths:
        raise DataError(
            f"{study} holds no finished cells (cells/POINT-SEED.json).{if_missing(study)} Name the folder of "
            "`frft study`."
        )
    records = {path: CellRecord.read(path) for path in paths}
    embedders = {digest_of(record.embedder.model_dump()) for record in records.values()}
    if len(embedders) > 1:
        raise DataError(f"The cells of {study} differ in their embedder, so their evidence cannot be compared.")
    config = next(iter(records.values())).embedder
    vectors = VectorCache(cache, Embedder(config, progress), shared)
    # Points that change neither texts nor labels have the same evidence, which is measured once.
    known: dict[str, Evidence] = {}
    cases = []
    with progress.task("Evidence of cells", len(paths)) as task:
        for path, record in records.items():
            arms, dials = record.arms, record.dials
            missing = [name for name in (ARM, CONTROL) if name not in arms]
            if missing or not record.sft_samples.prompt:
                what = f"arm {missing[0]!r}" if missing else "samples of the SFT model (reward.normalise_samples)"
                raise DataError(f"{path} has no {what}, so it cannot say whether FRFT helped.")
            found = _evidence_of(study / "evidence" / path.name, record, vectors, known, progress)
            # A world is its dials without the seed, so that cells of several seeds are one world.
            seed = dials.pop("seed")
            gold = [MEASURES["gold"](record, name) for name in (ARM, CONTROL)]
            assert gold[0] is not None
            assert gold[1] is not None
            cases.append(KnownExperiment(digest_of(dials), seed, found, gold[0] - gold[1]))
            task.advance(1, path.stem)
    return fit_predictor(cases, vectors.embedder.digest)


def _evidence_of(
    path: Path, record: CellRecord, vectors: VectorCache, known: dict[str, Evidence], progress: Progress
) -> Evidence:
    """The evidence of a cell: as it was measured before, or measured now and kept."""
    dials, samples = record.dials, record.sft_samples
    # With the names of its figures: evidence that an older version kept may lack some, and is measured anew.
    figures = [each.name for each in fields(Evidence)]
    key = digest_of([__version__, dials, samples.as_dict(), vectors.embedder.digest, EVIDENCE_SEED, figures])
    if key not in known and path.exists():
        kept = KeptEvidence.of(read_sealed(path, "Delete it and run again: it is measured anew."), path)
        if kept.made_of == key:
            known[key] = Evidence.from_dict(kept.evidence)
    if key not in known:
        world = World(record.world)
        pool = world.pairs(0, world.config.pool_size)
        known[key] = gather_evidence(pool, samples.prompt, samples.completion, vectors, EVIDENCE_SEED, progress)
    write_sealed(path, KeptEvidence(key, known[key].as_dict()).as_dict())
    return known[key]
