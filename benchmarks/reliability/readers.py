"""Every kind of file that frft reads back, and what reads it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from operator import itemgetter
from pathlib import Path
from typing import Any

from benchmarks.reliability.subjects import embedder
from frft.progress import SilentProgress
from frft.store import MANIFEST


class Said(SilentProgress):
    """Notes what is said."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, text: str) -> None:
        self.lines.append(text)


@dataclass(frozen=True)
class Copy:
    """What a trial damages.

    Attributes:
        unit: a copy of a folder or a file of the subjects (subjects.py), under the same names as there.
        file: the file in it that is damaged; the unit itself where that is a file.
        whole: the unit that was copied.
        said: gets what the reader says of repairs.
    """

    unit: Path
    file: Path
    whole: Path
    said: Said


@dataclass(frozen=True)
class Kind:
    """One kind of file.

    Attributes:
        name: what it is, the row of a table.
        units: pattern of the units, below the folder of the subjects.
        files: patterns of its files, below a unit; empty: the unit itself.
        read: reads a copy, and returns all that comes through.
        again: whether `frft run` reads it when the run goes on.
        repairs: whether damage is repaired, with a message that names the file: caches.
        verified: whether `frft verify` covers it.
        but: names below a unit that its copy goes without.
        rows: of a journal, what came through as one value for each line; None: no journal.
        ends: whether a journal ends where a checkpoint says, and not with its last complete line.
    """

    name: str
    units: str
    files: tuple[str, ...]
    read: Callable[[Copy], Any]
    again: bool = False
    repairs: bool = False
    verified: bool = True
    but: tuple[str, ...] = ()
    rows: Callable[[Any], list[Any]] | None = None
    ends: bool = False

    def found(self, subjects: Path) -> Iterator[tuple[Path, Path]]:
        """All of its files, each with its unit."""
        for unit in sorted(subjects.glob(self.units)):
            if not self.files:
                yield unit, unit
            for file in sorted({file for pattern in self.files for file in unit.glob(pattern)}):
                inner = file.relative_to(unit)
                if file.is_file() and not file.is_symlink() and inner.parts[0] not in self.but:
                    yield unit, file


def _stage(of: Copy) -> Any:
    from frft.store import ArtifactStore, read_manifest

    found = ArtifactStore(of.unit.parent).read(of.unit.name)
    # Without a manifest there is no stage, and it is made anew.
    return None if found is None else [read_manifest(of.unit), found.info]


def _training_state(of: Copy) -> Any:
    from frft.policy.training_state import read_training_state

    found = read_training_state(of.unit, "ppo")
    return [found.scalars, found.along]


def _journal(of: Copy) -> Any:
    """What a training that goes on keeps of a journal, after what a diagnosis of one under way verifies."""
    from frft.experiment.checkpoints import saved_in
    from frft.experiment.segment import read_journals
    from frft.store import read_manifest, rows_at

    _ = read_journals(of.unit)
    marks = read_manifest(saved_in(of.unit)[-1], fields={"along"})["along"]["journals"]
    return rows_at(of.file, marks[of.file.name], "").decode()


def _run_file(of: Copy) -> Any:
    from frft.experiment.prepare import read_run

    return read_run(of.unit)


def _results(of: Copy) -> Any:
    from frft.results import RunResults
    from frft.store import verify_listed

    path = of.unit / "results.json"
    return [RunResults.read(path).as_dict(), verify_listed(path)]


def _cell(of: Copy) -> Any:
    from frft.results.cell import CellRecord

    return CellRecord.read(of.unit).as_dict()


def _study(of: Copy) -> Any:
    from frft.results.study import StudyResults

    return StudyResults.read(of.unit).as_dict()


def _reward_model(of: Copy) -> Any:
    from frft.reward import RewardModel

    model = RewardModel.load(of.unit, seed=0)
    state = {name: _sum(weight.numpy().tobytes()) for name, weight in model.model.state_dict().items()}
    return [state, model.gain, model.bias, model.max_length, model.reading, sorted(model.tokenizer.get_vocab().items())]


def _entry(of: Copy) -> Any:
    from frft.store import SharedStore, read_manifest

    shared = SharedStore(of.unit.parent.parent, say=of.said.say)
    target = shared.root / "taken" / of.unit.name
    target.parent.mkdir()
    taken = shared.take(of.unit.name, read_manifest(of.whole)["digest"], target)
    return None if taken is None else [taken, _below(target)]


def _vectors(of: Copy) -> Any:
    """Vectors of the texts whose keys a cache of these shards holds: all there, and whole, or missing."""
    from frft.selection import VectorCache

    cache = VectorCache(of.unit.parent, embedder())
    cache.__dict__["folder"] = of.unit
    cache._load(of.said)
    rows = ((key.hex(), cache._shards[at]["vector"][row]) for key, (at, row) in cache._row_of.items())
    return sorted((key, _sum(vector.tobytes())) for key, vector in rows)


def _pairs(of: Copy) -> Any:
    from frft.preferences import load_pool

    return load_pool(of.file, max_rejected=0.0).table.to_pylist()


def _samples(of: Copy) -> Any:
    from frft.preferences import load_samples

    return repr(load_samples(of.file, max_rejected=0.0))


def _world(of: Copy) -> Any:
    from frft.worlds import World

    return World.load(of.unit).config.model_dump()


def _prompts(of: Copy) -> Any:
    from frft.preferences import load_prompts

    return load_prompts(of.file)


def _queue(of: Copy) -> Any:
    from frft.labels import read_queue

    queue = read_queue(of.unit, of.said)
    return [repr(row) for row in (queue.head, *queue.questions.values(), *queue.answers())]


def _bench_lines(of: Copy) -> Any:
    from frft.fixed_actor.run import read_results

    return [line.as_dict() for line in read_results(of.unit)]


def _sealed(of: Copy) -> Any:
    from frft.store import read_sealed

    return read_sealed(of.file)


def _model_of_all(of: Copy) -> Any:
    import numpy as np

    from frft.store import verify_beside

    verify_beside(of.file.parent)
    return _sum(np.load(of.file.parent / "weights.npy", allow_pickle=False).tobytes())


def _cases(of: Copy) -> Any:
    from frft.fixed_actor.cases.run import read_case_settings, read_cases

    return [read_case_settings(of.unit).as_dict(), [case.as_dict() for case in read_cases(of.unit)]]


def _chained(of: Copy) -> Any:
    from frft.store import ChainedJournal

    return ChainedJournal(of.unit).rows


def _verdicts(of: Copy) -> Any:
    from frft.evaluation import kept_replies

    return [kept_replies(of.unit), _chained(of)]


def _refreshes(of: Copy) -> Any:
    from frft.reward.deferred import DeferredRefreshes

    return DeferredRefreshes(of.unit)._journal().rows


def _predictor(of: Copy) -> Any:
    from frft.advice.predictor import Predictor

    return repr(Predictor.read(of.unit))


def _config(of: Copy) -> Any:
    """What a run goes on with: its own settings, or an error."""
    from frft.config import load_config
    from frft.errors import OutputError
    from frft.experiment.prepare import different_settings

    different = different_settings(of.unit / "run.json", load_config(str(of.unit / "tiny.yaml")))
    if different:
        raise OutputError(f"{of.unit / 'tiny.yaml'}: another configuration than that of the run: {different}")
    return "the settings of the run"


def _below(folder: Path) -> list[Any]:
    files: Iterable[Path] = sorted(file for file in folder.rglob("*") if file.is_file())
    return [[file.relative_to(folder).as_posix(), _sum(file.read_bytes())] for file in files]


def _sum(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


_STAGES = "run/stages/*-????????????"
KINDS = (
    Kind("stage: manifest", _STAGES, (MANIFEST,), _stage, again=True),
    Kind("stage: weights", _STAGES, ("**/*.safetensors", "**/*.pt"), _stage, again=True),
    Kind("stage: tables and arrays", _STAGES, ("**/*.parquet", "**/*.npy"), _stage, again=True),
    Kind("stage: journals and texts", _STAGES, ("**/*.jsonl",), _stage, again=True),
    Kind("stage: settings and tokenizers of models", _STAGES, ("*/*.json", "*/*/*.json", "**/*.jinja"), _stage),
    Kind("checkpoint", "stopped/stages/*.unfinished/checkpoint-*", ("*",), _training_state),
    Kind(
        "journals of a stopped training", "stopped/stages/ppo-*.unfinished", ("*.jsonl",), _journal,
        rows=str.splitlines, ends=True,
    ),
    Kind("run.json", "run/run.json", (), _run_file, again=True),
    Kind("results.json", "run", ("results.json",), _results, but=("stages", "embeddings")),
    Kind(
        "copies beside results.json", "run", ("metrics.jsonl", "arms/*/*.jsonl", "arms/*/*.parquet"), _results,
        but=("stages", "embeddings"),
    ),
    Kind("configuration", "config", ("tiny.yaml",), _config, verified=False),
    Kind("cell of a study", "study/cells/*.json", (), _cell),
    Kind("study.json", "study/study.json", (), _study),
    Kind("saved reward model", "model", ("*",), _reward_model),
    Kind("store: stage", "store/stages/*", ("**/*",), _entry, repairs=True),
    Kind("store: vectors", "store/embeddings/*", ("*.npy",), _vectors, repairs=True),
    Kind("labels", "labels.jsonl", (), _queue, rows=list),
    Kind("world: dials and manifest", "world", ("world.json", MANIFEST), _world),
    Kind("world: pairs", "world", ("pairs.jsonl",), _pairs),
    Kind("world: demonstrations", "world", ("demonstrations.jsonl",), _samples),
    Kind("world: prompts", "world", ("train.jsonl", "evaluation.jsonl"), _prompts),
    Kind("benchmark: lines", "bench", ("results.jsonl",), _bench_lines, rows=list),
    Kind("benchmark: settings and counts", "bench", ("settings.json", "models/*.json"), _sealed),
    Kind("benchmark: kept models", "bench", ("models/*/*",), _model_of_all),
    Kind("cases", "cases", ("cases.jsonl", "cases.json"), _cases, rows=itemgetter(1)),
    Kind("verdicts of a judge", "verdicts.jsonl", (), _verdicts, rows=itemgetter(1)),
    Kind("steps of deferred refreshes", "refreshes", ("refreshes.jsonl",), _refreshes, rows=list),
    Kind("unfinished completions", "samples.jsonl.unfinished", (), _chained, rows=list),
    Kind("predictor", "predictor.json", (), _predictor),
)  # fmt: skip
