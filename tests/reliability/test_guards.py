"""The guards against damage, each of which is shown to fail with the guard removed.

Every guard has a place in the list below: what it reads, how that is damaged, and how the guard is taken out. With it,
the damage is an error that names the file; without it, the damaged content comes through without a word.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from frft.config import web_address
from frft.config.sections import WorldConfig
from frft.errors import FrftError
from frft.evaluation import ChatJudge, chat
from frft.preferences import load_prompts, read, unpacking
from frft.preferences.read import read_raw_rows
from frft.preferences.sources import find_sources
from frft.results import verification
from frft.store import (
    Journal,
    chained,
    journal,
    manifest,
    read_json,
    read_manifest,
    read_sealed,
    seal,
    sealed,
    write_json,
    write_sealed,
)
from frft.store.chained import ChainedJournal
from frft.worlds import World, write_world


@dataclass(frozen=True)
class Guard:
    """One guard.

    Attributes:
        name: what it sees.
        make: writes the file that is read, and returns it.
        damage: changes its bytes.
        read: reads it, and returns what came through.
        remove: takes the guard out.
    """

    name: str
    make: Callable[[Path], Path]
    damage: Callable[[bytes], bytes]
    read: Callable[[Path], Any]
    remove: Callable[[pytest.MonkeyPatch], None]


def _sealed_json(folder: Path) -> Path:
    write_sealed(folder / "results.json", {"accuracy": 0.5})
    return folder / "results.json"


def _manifest(folder: Path) -> Path:
    (folder / "weights.bin").write_bytes(b"0123456789")
    _ = seal(folder, {"info": {"accuracy": 0.5}})
    return folder / "manifest.json"


def _weights(folder: Path) -> Path:
    return _manifest(folder).with_name("weights.bin")


def _read_weights(path: Path) -> bytes:
    manifest.verify_beside(path)
    return path.read_bytes()


def _journal(folder: Path) -> Path:
    made = Journal.create(folder / "metrics.jsonl")
    made.append([{"score": 0.5}])
    write_json(folder / "mark.json", made.mark())
    return made.path


def _chained(folder: Path) -> Path:
    ChainedJournal(folder / "cases.jsonl").append({"gain": 0.5})
    return folder / "cases.jsonl"


def _vectors(folder: Path) -> Path:
    content = b"0.5"
    path = folder / f"{'a' * 24}-{hashlib.sha256(content).hexdigest()}.npy"
    path.write_bytes(content)
    return path


def _world(folder: Path) -> Path:
    dials = WorldConfig(pool_size=5, demonstrations=2, train_prompts=2, evaluation_prompts=2)
    write_world(World(dials), folder)
    return folder / "train.jsonl"


def _verdict(folder: Path) -> Path:
    path = folder / "verdicts.jsonl"
    ChainedJournal(path).append({"key": "k", "preference": 0.5, "tokens": [0, 1]})
    return path


def _verified(path: Path) -> bytes:
    found = verification.verify([path])
    if found.damaged:
        raise FrftError(found.damaged[0].message)
    return path.read_bytes()


def _edited(content: bytes) -> bytes:
    return content.replace(b"0.5", b"0.9").replace(b"0123456789", b"0123456780")


class _Any(str):
    """A digest that equals any other."""

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        return True

    def __ne__(self, other: object) -> bool:
        return False

    def __hash__(self) -> int:
        return 0


class _NoDigest:
    def __init__(self, *_: bytes) -> None: ...

    def hexdigest(self) -> str:
        return _Any()


def _take_out(module: object, name: str, value: Any) -> Callable[[pytest.MonkeyPatch], None]:
    return lambda patch: patch.setattr(module, name, value)


class _NoHash:
    sha256 = _NoDigest


GUARDS = (
    Guard("an edited figure in a sealed file", _sealed_json, _edited, read_sealed, _take_out(sealed, "is_whole", bool)),
    Guard(
        "an edited figure in a manifest",
        _manifest,
        _edited,
        lambda path: read_manifest(path.parent, fields={"info"}),
        _take_out(manifest, "is_whole", bool),
    ),
    Guard(
        "an edited file of a folder", _weights, _edited, _read_weights, _take_out(manifest, "_sum_of", lambda _: _Any())
    ),
    Guard(
        "an edited row before a checkpoint",
        _journal,
        _edited,
        lambda path: Journal.resume(path, read_json(path.with_name("mark.json")), "Again.").path.read_bytes(),
        _take_out(journal, "hashlib", _NoHash),
    ),
    Guard(
        "an edited row of a chained journal",
        _chained,
        _edited,
        lambda path: ChainedJournal(path).rows,
        _take_out(chained, "_digest", lambda _, __: _Any()),
    ),
    Guard(
        "an edited prompt of a world",
        _world,
        lambda text: text.replace(b"e", b"a", 1),
        load_prompts,
        _take_out(read, "verify_beside", bool),
    ),
    Guard(
        "an edited verdict of a judge",
        _verdict,
        _edited,
        lambda path: ChatJudge("m", base_url="http://localhost:9/v1", journal=path)._replies,
        _take_out(chained, "_digest", lambda _, __: _Any()),
    ),
    Guard("edited vectors", _vectors, _edited, _verified, _take_out(verification, "sha256_file", lambda _: _Any())),
)


@pytest.mark.parametrize("guard", GUARDS, ids=[guard.name for guard in GUARDS])
def test_each_guard_sees_damage_and_without_it_nobody_does(guard, tmp_path, monkeypatch):
    path = guard.make(tmp_path)
    whole = path.read_bytes()
    before = guard.read(path)
    path.write_bytes(guard.damage(whole))
    assert path.read_bytes() != whole
    with pytest.raises(FrftError) as caught:
        guard.read(path)
    assert str(path) in str(caught.value)
    with monkeypatch.context() as patch:
        guard.remove(patch)
        assert guard.read(path) != before, "another content, and no error"


def test_without_the_check_of_shapes_moments_of_another_model_are_taken(tmp_path, monkeypatch):
    import torch

    from frft.policy.ppo import checkpoint

    def made(width):
        model = torch.nn.Linear(2, width)
        optimizer = torch.optim.Adam(model.parameters())
        model(torch.ones(1, 2)).sum().backward()
        optimizer.step()
        return model, optimizer

    model, optimizer = made(3)
    checkpoint.save_state(tmp_path, model, made(4)[1], {}, {})
    with pytest.raises(FrftError, match="not the state of this optimizer"):
        checkpoint.load_state(tmp_path, model, optimizer)
    monkeypatch.setattr(checkpoint, "_check_shapes", lambda *_: None)
    checkpoint.load_state(tmp_path, model, optimizer)
    assert optimizer.state_dict()["state"][0]["exp_avg"].shape == (4, 2), "the next step would fail, or be wrong"


def test_without_the_bound_a_flood_comes_through(tmp_path, monkeypatch):
    import gzip

    path = tmp_path / "rows.jsonl.gz"
    path.write_bytes(gzip.compress(b'{"prompt": "p"}\n' * 10_000))
    monkeypatch.setenv("FRFT_MAX_UNPACKED", "10K")
    source = find_sources(path).found[0]
    with pytest.raises(FrftError, match=r"unpacks to more than 10.0 KiB"):
        list(read_raw_rows(source))
    monkeypatch.setattr(unpacking, "largest_unpacked", lambda _: 10**9)
    assert len(list(read_raw_rows(source))) == 10_000


def test_without_the_check_of_addresses_a_password_is_accepted(monkeypatch):
    pytest.importorskip("openai", reason="the extra `judge` is not installed")
    monkeypatch.setenv("OPENAI_API_KEY", "sk-x")
    address = "http://someone:hunter2@localhost:9/v1"
    with pytest.raises(FrftError, match="user name or password"):
        chat.ChatJudge("m", base_url=address)
    monkeypatch.setattr(chat, "check_web_address", str)
    assert "hunter2" not in chat.ChatJudge("m", base_url=address).description
    monkeypatch.setattr(chat, "without_secrets", str)
    assert "hunter2" in chat.ChatJudge("m", base_url=address).description
    assert "hunter2" not in web_address.without_secrets(address)
