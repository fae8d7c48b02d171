"""Fit the predictor of `frft advise` to cases, and test it on those of other folders."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from frft.advice import Evidence, KnownExperiment, Predictor, fit_with_tests
from frft.errors import DataError
from frft.fixed_actor.cases.run import CASES, read_case_settings, read_cases
from frft.paths import if_missing
from frft.results.fixed_actor import CaseLine


def fit_on_cases(folders: Sequence[Path], tests: Sequence[Path]) -> Predictor:
    """Train on all cases of some folders and test on those of others.

    Args:
        folders: folders of `frft advise cases` to train on.
        tests: other such folders; each is one test, named after the kinds of data in it.

    Raises:
        DataError: a folder holds no cases, those of two folders differ in their embedder, or a test shares a cluster
            with the training.
    """
    lines = {folder: _read(folder) for folder in (*folders, *tests)}
    settings = {read_case_settings(folder) for folder in lines}
    if len(settings) > 1:
        raise DataError(
            f"The cases of {', '.join(map(str, lines))} were measured with different embedders or versions of frft, so "
            "their evidence cannot be compared. Measure them anew in new folders."
        )
    families: dict[str, list[KnownExperiment]] = {}
    for line in (line for each in lines.values() for line in each):
        families.setdefault(line.family, []).append(_known(line))
    tested: dict[str, list[KnownExperiment]] = {}
    for folder in tests:
        kinds = ", ".join(sorted({line.family for line in lines[folder]}))
        tested.setdefault(kinds, []).extend(map(_known, lines[folder]))
    trained = [_known(line) for folder in folders for line in lines[folder]]
    return fit_with_tests(trained, tested, families, settings.pop().embedder)


def _read(folder: Path) -> list[CaseLine]:
    if not (lines := read_cases(folder)):
        raise DataError(
            f"{folder} holds no cases ({CASES}).{if_missing(folder)} Name the folder of `frft advise cases`."
        )
    return lines


def _known(line: CaseLine) -> KnownExperiment:
    return KnownExperiment(line.cluster, line.seed, Evidence.from_dict(line.evidence), line.gain)
