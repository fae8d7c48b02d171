"""Files of frft's own with another content: configurations, journals, manifests, reward.json, results, labels.

Beside damage of bytes, which a checksum finds, values are replaced by others and the checksum is made anew, as by an
edit of somebody who knows how, or by another version: whatever a reader then raises must be an error of frft's.
"""

from __future__ import annotations

import argparse
import copy
import json
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from random import Random
from typing import Any

from benchmarks.reliability.apart import LIMITS, apart
from benchmarks.reliability.campaign import Outcome, Trial

VALUES: tuple[Any, ...] = (
    None, True, 0, -1, 3.5, 10**400, float("nan"), float("-inf"), "", "x", "\ud83d", "\0", "../../x", "/dev/zero", [],
    {},
    [None], [[]], {"": None}, {"bytes": -1, "sha256": 7}, "9" * 5000, [1] * 2000,
)  # fmt: skip
"""What a value is replaced by."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """How many files."""
    parser.add_argument("--files", type=int, default=400, help="trials of 20 changes each")


def plan(given: argparse.Namespace) -> list[Trial]:
    """Files of each kind in turn."""
    names = list(KINDS)
    return [
        Trial(f"{number}", names[number % len(names)], {"seed": [given.seed, number]}) for number in range(given.files)
    ]


def attempt(given: argparse.Namespace, trial: Trial, folder: Path) -> Outcome:
    """Change a file 20 times, and read it in a process of its own."""
    del given
    import frft.config
    import frft.labels
    import frft.results.verification

    _ = frft
    chance = Random(str(trial.what["seed"]))  # noqa: S311 - no secret depends on it
    ended = apart(lambda: read_altered(trial.group, chance, folder, 20), **LIMITS)
    found = ended.found or {}
    return Outcome(not ended.fault and not found.get("fault"), {**found, "process": ended.fault})


def altered(value: Any, chance: Random) -> Any:
    """A JSON value in which one part is another, is missing, or stands twice."""
    value = copy.deepcopy(value)
    places: list[tuple[Any, Any]] = []

    def walk(holder: Any) -> None:
        for key, each in list(holder.items()) if isinstance(holder, dict) else list(enumerate(holder)):
            places.append((holder, key))
            if isinstance(each, dict | list):
                walk(each)

    if not isinstance(value, dict | list) or not value or chance.random() < 0.05:
        return copy.deepcopy(chance.choice(VALUES))
    walk(value)
    holder, key = chance.choice(places)
    way = chance.random()
    if way < 0.7:
        holder[key] = copy.deepcopy(chance.choice(VALUES))
    elif way < 0.85:
        del holder[key]
    elif isinstance(holder, dict):
        holder[f"{key}x"] = holder.pop(key)
    else:
        holder.append(copy.deepcopy(holder[key]))
    return value


def damaged(content: bytes, chance: Random) -> bytes:
    """Bytes of which some are missing, others, or more."""
    place = chance.randrange(len(content) + 1)
    way = chance.randrange(5)
    if way == 0:
        return content[:place]
    if way == 1 and content:
        place %= len(content)
        return content[:place] + bytes([content[place] ^ (1 << chance.randrange(8))]) + content[place + 1 :]
    more = chance.choice(
        (b"\0", b"\xff\xfe", b"[" * 5000, b"NaN", b"1e999", b'"', b"\n", b"{", b"\\ud800", b"9" * 5000)
    )
    return content[:place] + more + content[place + (chance.randrange(9) if way == 2 else 0) :]


def _stamped(value: Any) -> bytes:
    from frft.store import stamped

    if isinstance(value, dict):
        # NaN and half a surrogate are what no writer could stamp.
        with suppress(ValueError, TypeError):
            value = stamped({key: each for key, each in value.items() if key != "sha256"})
    return json.dumps(value).encode()


def _json(path: Path, chance: Random, *, stamp: bool) -> None:
    content = path.read_bytes()
    if chance.random() < 0.4:
        path.write_bytes(damaged(content, chance))
        return
    value = altered(json.loads(content), chance)
    path.write_bytes(_stamped(value) if stamp else json.dumps(value).encode())


def _lines(path: Path, chance: Random) -> None:
    if chance.random() < 0.5:
        path.write_bytes(damaged(path.read_bytes(), chance))
        return
    lines = [json.loads(line) for line in path.read_bytes().splitlines()]
    place = chance.randrange(len(lines))
    lines[place] = altered(lines[place], chance)
    path.write_bytes(b"".join(json.dumps(line).encode() + b"\n" for line in lines))


def _chained(path: Path, chance: Random) -> None:
    """Rows that are altered, with digests made anew."""
    from frft.store.chained import DIGEST, write_chained

    if chance.random() < 0.4:
        _lines(path, chance)
        return
    rows = [
        {key: value for key, value in json.loads(line).items() if key != DIGEST}
        for line in path.read_bytes().splitlines()
    ]
    place = chance.randrange(len(rows))
    rows[place] = altered(rows[place], chance)
    try:
        write_chained(path, rows)
    except (ValueError, TypeError):
        _lines(path, chance)


def _yaml(path: Path, chance: Random) -> None:
    content = path.read_bytes()
    if chance.random() < 0.5:
        path.write_bytes(damaged(content, chance))
        return
    lines = content.splitlines()
    place = chance.randrange(len(lines))
    key = lines[place].partition(b":")[0]
    odd = (b"~", b"*a", b"&a [*a]", b"!!python/object/apply:os.system [x]", b".nan", b"{}", b"[[]]", b"|", b"<<: *x",
           b"!!binary x", b"1e999", b"0x" + b"f" * 5000, b"9" * 5000, b"%TAG", b"? x", b"\xc3")  # fmt: skip
    lines[place] = key + b": " + chance.choice(odd)
    path.write_bytes(b"\n".join(lines))


def _read_configuration(path: Path) -> None:
    from frft.config import load_config

    _ = load_config(str(path), ["data.pairs=x"])


def _make_configuration(folder: Path) -> Path:
    from frft.config import annotated_preset

    (folder / "mine.yaml").write_text(annotated_preset("hh-small"))
    return folder / "mine.yaml"


def _make_manifest(folder: Path) -> Path:
    from frft.store import seal

    (folder / "weights.bin").write_bytes(b"0123456789")
    _ = seal(folder, {"kind": "sft", "digest": "x", "info": {"accuracy": 0.5}, "inputs": {}, "seconds": 1.0})
    return folder / "manifest.json"


def _read_manifest(path: Path) -> None:
    from frft.store import read_manifest, verify_files

    verify_files(path.parent, read_manifest(path.parent, fields={"info", "files"}))


def _read_beside(path: Path) -> None:
    from frft.store import verify_beside

    verify_beside(path.with_name("weights.bin"))


def _verify_below(path: Path) -> None:
    from frft.results.verification import verify

    _ = verify([path.parent])


def _make_sealed(folder: Path) -> Path:
    from frft.store import write_sealed

    (folder / "more.txt").write_text("x")
    write_sealed(folder / "results.json", {"format": 1, "arms": {"a": {"score": 0.5}}}, [folder / "more.txt"])
    return folder / "results.json"


def _read_sealed(path: Path) -> None:
    from frft.results import RunResults
    from frft.store import verify_listed

    _ = verify_listed(path)
    _ = RunResults.read(path)


def _make_reward_file(folder: Path) -> Path:
    from frft.reward.reward_file import RewardFile

    RewardFile(1.0, 0.0, 64, "plain", "completion").write(folder / "reward.json")
    return folder / "reward.json"


def _read_reward_file(path: Path) -> None:
    from frft.reward.reward_file import read_reward_file

    _ = read_reward_file(path)


def _make_journal(folder: Path) -> Path:
    from frft.store import Journal, write_json

    journal = Journal.create(folder / "metrics.jsonl")
    journal.append([{"step": step, "score": 0.5, "kl_sft_k1": 0.1} for step in range(4)])
    write_json(folder / "mark.json", journal.mark())
    return journal.path


def _read_journal(path: Path) -> None:
    from frft.results import read_rollouts, read_steps

    _ = read_steps(path)
    _ = read_rollouts(path)


def _make_chained(folder: Path) -> Path:
    from frft.store.chained import write_chained

    write_chained(folder / "cases.jsonl", [{"case": number, "gain": 0.5} for number in range(3)])
    return folder / "cases.jsonl"


def _read_chained(path: Path) -> None:
    from frft.store import ChainedJournal

    _ = ChainedJournal(path)


def _make_queue(folder: Path) -> Path:
    from frft.labels import DrawShares, QueueHead, draw_questions, open_queue, policy_candidates, write_queue

    texts = [(f"How do I bake {n} loaves?", f"{side} {n} eggs") for n in range(6) for side in ("Mix", "Take")]
    drawn = draw_questions(policy_candidates(*zip(*texts, strict=True), step=4), 6, seed=0, shares=DrawShares())
    head = QueueHead(1, "2026-01-02T03:04:05+00:00", "random", 0, 6, {}, drawn.counts)
    write_queue(folder / "queue.jsonl", head, drawn.questions)
    with open_queue(folder / "queue.jsonl") as queue:
        for name in list(queue.questions)[:3]:
            queue.answer(name, "left", "Ann", seconds=2.5)
    return folder / "queue.jsonl"


def _read_queue(path: Path) -> None:
    from frft.labels import read_queue

    _ = read_queue(path)


Kind = tuple[Callable[[Path], Path], Callable[[Path, Random], None], Callable[[Path], None]]
"""What writes a file, what changes it, and what reads it."""


def _plain(path: Path, chance: Random) -> None:
    _json(path, chance, stamp=False)


def _with_stamp(path: Path, chance: Random) -> None:
    _json(path, chance, stamp=True)


KINDS: dict[str, Kind] = {
    "a configuration": (_make_configuration, _yaml, _read_configuration),
    "reward.json": (_make_reward_file, _plain, _read_reward_file),
    "a manifest": (_make_manifest, _with_stamp, _read_manifest),
    "a manifest beside a file": (_make_manifest, _with_stamp, _read_beside),
    "a manifest below a folder": (_make_manifest, _with_stamp, _verify_below),
    "results.json": (_make_sealed, _with_stamp, _read_sealed),
    "results.json below a folder": (_make_sealed, _with_stamp, _verify_below),
    "a journal": (_make_journal, _lines, _read_journal),
    "a chained journal": (_make_chained, _chained, _read_chained),
    "labels": (_make_queue, _chained, _read_queue),
}
"""Kinds of files by their names."""


def read_altered(kind: str, chance: Random, folder: Path, times: int = 1) -> dict[str, Any]:
    """Write a file, change it, read it, several times; `fault` says what is wrong, None where nothing is.

    Args:
        kind: the kind of file.
        chance: decides what is changed.
        folder: an empty folder.
        times: how often.
    """
    from frft.errors import FrftError

    make, change, read = KINDS[kind]
    path = make(folder)
    whole = path.read_bytes()
    refused = 0
    for _ in range(times):
        path.write_bytes(whole)
        change(path, chance)
        try:
            read(path)
        except FrftError:
            refused += 1
        # Whatever else is raised is what the campaign looks for.
        except Exception as error:  # noqa: BLE001
            import traceback

            where = traceback.extract_tb(error.__traceback__)[-1]
            what = f"{type(error).__name__}: {str(error)[:300]} ({Path(where.filename).name}:{where.lineno})"
            return {"kind": kind, "fault": what, "content": repr(path.read_bytes()[:1500])}
    return {"kind": kind, "times": times, "refused": refused, "fault": None}
