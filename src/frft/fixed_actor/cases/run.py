"""Measure cases: a line in `cases.jsonl` for each as soon as it is known; a repeated command goes on."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from statistics import mean

from frft import __version__
from frft.advice import PREDICTED_OUTCOMES
from frft.errors import ArtifactError, OutputError
from frft.fixed_actor.cases.case import CaseKey, PlannedCase, measure_case
from frft.progress import SILENT, Progress
from frft.results.fixed_actor import CaseLine, CaseSettings
from frft.selection import VectorCache
from frft.store import ChainedJournal, locked, read_sealed, write_sealed

CASES = "cases.jsonl"
CASE_SETTINGS = "cases.json"
_NEW_FOLDER = "Restore it from a copy, or measure the cases anew in a new folder."


def run_cases(planned: Iterable[PlannedCase], vectors: VectorCache, out: Path, progress: Progress = SILENT) -> None:
    """Measure all cases that the folder `out` does not hold yet.

    Raises:
        OutputError: the folder holds cases of another embedder or version, or is in use.
    """
    wanted = list(planned)
    with locked(out / ".lock"):
        settings = CaseSettings(frft=__version__, embedder=vectors.embedder.digest)
        if (out / CASE_SETTINGS).exists():
            if read_case_settings(out) != settings:
                raise OutputError(f"{out} holds cases of another embedder or version of frft. Name a new folder.")
        else:
            write_sealed(out / CASE_SETTINGS, settings.as_dict())
        journal = ChainedJournal(out / CASES)
        if journal.unfinished:
            progress.say(f"The last line of {out / CASES} is half a case, which is measured again.")
        done = {_key(CaseLine.of(row, out / CASES)) for row in journal.rows}
        left = [each for each in wanted if each[0] not in done]
        with progress.task("Cases", total=len(left)) as task:
            for key, make in left:
                journal.append(measure_case(key, make(), vectors, progress).as_dict())
                task.advance(1, f"{key.name}, seed {key.seed}, fold {key.fold}")


def read_cases(out: Path) -> list[CaseLine]:
    """All cases of the folder `out`; none where it holds none.

    Raises:
        ArtifactError: a line is damaged, or half a line stands at the end.
    """
    journal = ChainedJournal(out / CASES)
    if journal.unfinished:
        raise ArtifactError(
            f"{out / CASES}, line {len(journal.rows) + 1}, the last one, is half a case: `frft advise cases` was "
            "stopped, or is at work. Run it again to the end; or delete that line, to go on without the case."
        )
    return [CaseLine.of(row, out / CASES) for row in journal.rows]


def read_case_settings(out: Path) -> CaseSettings:
    """What all cases of the folder `out` have in common; raises `ArtifactError` where cases.json is damaged."""
    return CaseSettings.of(read_sealed(out / CASE_SETTINGS, _NEW_FOLDER), out / CASE_SETTINGS)


@dataclass(frozen=True)
class CasesOfFamily:
    """All cases of one kind of data.

    Attributes:
        family: the kind of data.
        cases: number of cases.
        clusters: number of clusters.
        gained: number of cases with a gain above `worth`.
        worth: the gain in accuracy above which a case counts as one in which a refresh helps.
        gain: mean gain in accuracy.
        gold_gain: mean gain in agreement with gold; None: gold is not known.
        gold_with_gain: of the cases that gained, the share in which agreement with gold rose as well; None: gold is not
            known, or none gained.
    """

    family: str
    cases: int
    clusters: int
    gained: int
    worth: float
    gain: float
    gold_gain: float | None
    gold_with_gain: float | None


def summary_of_cases(lines: Iterable[CaseLine]) -> list[CasesOfFamily]:
    """A line for each kind of data, in the order of their first case."""
    worth = PREDICTED_OUTCOMES["accuracy"].worth
    families: dict[str, list[CaseLine]] = {}
    for line in lines:
        families.setdefault(line.family, []).append(line)
    found = []
    for family, own in families.items():
        gained = [line for line in own if line.gain > worth]
        gold = [line.gold_gain for line in own if line.gold_gain is not None]
        rose = [line.gold_gain > 0 for line in gained if line.gold_gain is not None]
        found.append(
            CasesOfFamily(
                family,
                len(own),
                len({line.cluster for line in own}),
                len(gained),
                worth,
                mean(line.gain for line in own),
                mean(gold) if gold else None,
                mean(rose) if rose else None,
            )
        )
    return found


def _key(line: CaseLine) -> CaseKey:
    return CaseKey(line.family, line.name, line.cluster, line.seed, line.fold)
