import hashlib
import io
import multiprocessing
import os

import numpy as np
import pytest

from frft.config.sections import EmbedderConfig
from frft.errors import DataError
from frft.progress import SilentProgress
from frft.selection import Embedder, VectorCache, vectors
from frft.store import SharedStore

from ..permissions import closed

TEXTS = [f"Text number {number} says {'very ' * (number % 5)}little." for number in range(30)]


def _shards(cache):
    return sorted(cache.folder.glob("*.npy"))


def test_vectors_are_the_embedders_in_the_order_asked(tiny_cache, tiny_embedder):
    asked = [TEXTS[3], TEXTS[1], TEXTS[3], TEXTS[7]]
    found = tiny_cache.get(asked)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, tiny_embedder.encode(asked), atol=1e-6)
    assert (found[0] == found[2]).all()
    assert tiny_cache.get([]).shape == (0, 32)


def test_a_text_is_embedded_once_whoever_asks(tiny_cache, tiny_embedder, tmp_path):
    first = tiny_cache.get(TEXTS[:20] + TEXTS[:20])
    assert sorted(tiny_embedder.encoded) == sorted(TEXTS[:20])
    again = tiny_cache.get(TEXTS[:20])
    other = VectorCache(tmp_path / "vectors", tiny_embedder)
    from_disk = other.get(TEXTS)
    assert sorted(tiny_embedder.encoded) == sorted(TEXTS)
    assert (again == first[:20]).all()
    assert (from_disk[:20] == first[:20]).all()
    # What another cache wrote meanwhile is seen by the first.
    assert (tiny_cache.get(TEXTS[20:]) == from_disk[20:]).all()
    assert len(tiny_embedder.encoded) == len(TEXTS)


class Said(SilentProgress):
    """Keeps what was said."""

    def __init__(self):
        self.lines = []

    def say(self, text):
        self.lines.append(text)


@pytest.mark.parametrize("in_store", [False, True])
def test_a_folder_that_cannot_be_written_is_read_and_new_vectors_stay_in_memory(
    in_store, tiny_cache, tiny_embedder, tmp_path
):
    kept, store = tiny_cache.get(TEXTS[:10]), None
    if in_store:
        store = SharedStore(tmp_path / "store")
        _ = VectorCache(store.embeddings, tiny_embedder).get(TEXTS[10:20])
    before, said = sorted(tmp_path.rglob("*")), Said()
    tiny_embedder.encoded.clear()
    reader = VectorCache(tmp_path / "vectors", tiny_embedder, store)
    with closed(tiny_cache.folder, tmp_path / "vectors"):
        assert (reader.get(TEXTS[:10], said) == kept).all()
        assert said.lines == []
        found = reader.get(TEXTS[5:20], said)
        assert (found[:5] == kept[5:]).all()
        assert sorted(tiny_embedder.encoded) == ([] if in_store else sorted(TEXTS[10:20]))
        assert (reader.get(TEXTS[20:] + TEXTS[5:20], said)[10:] == found).all()
        assert reader.count_truncated(TEXTS) == tiny_embedder.exceeds_window(TEXTS).sum() > 0
    (line,) = said.lines
    assert line.startswith(f"{tmp_path / 'vectors'} cannot be written (Permission denied): vectors of new texts")
    assert sorted(tmp_path.rglob("*")) == before


def test_another_embedder_has_vectors_of_its_own(tiny_cache, tiny_embedder_folder, tmp_path):
    import shutil

    tiny_cache.get(TEXTS[:2])
    copy = tmp_path / "other"
    shutil.copytree(tiny_embedder_folder, copy)
    (copy / "vocab.txt").write_text("another")
    other = VectorCache(tmp_path / "vectors", Embedder(EmbedderConfig(model_name_or_path=str(copy))))
    assert other.folder != tiny_cache.folder
    other.get(TEXTS[:2])
    assert len(_shards(other)) == len(_shards(tiny_cache)) == 1


class Interrupted(SilentProgress):
    """Stops the work, as Ctrl-C does, once so many texts are done."""

    def __init__(self, after):
        self.left = after

    def task(self, description, total):
        from contextlib import nullcontext

        return nullcontext(self)

    def advance(self, amount=1, note=""):
        self.left -= amount
        if self.left < 0:
            raise KeyboardInterrupt


def test_a_stopped_pass_keeps_what_it_finished(tiny_cache, tiny_embedder, tmp_path, monkeypatch):
    monkeypatch.setattr(vectors, "SHARD_ROWS", 8)
    with pytest.raises(KeyboardInterrupt):
        tiny_cache.get(TEXTS, Interrupted(after=18))
    assert len(_shards(tiny_cache)) == 2
    # As a kill in the middle of a write leaves it.
    (tiny_cache.folder / f".{'0' * 64}.npy.abc.tmp").write_bytes(b"half a shard")
    tiny_embedder.encoded.clear()
    resumed = VectorCache(tmp_path / "vectors", tiny_embedder)
    found = resumed.get(TEXTS)
    assert tiny_embedder.encoded == TEXTS[16:]
    assert resumed.damaged == 0
    np.testing.assert_allclose(found, tiny_embedder.encode(TEXTS), atol=1e-6)


@pytest.mark.parametrize("harm", ["bit", "cut", "empty"])
def test_damage_is_seen_counted_said_and_repaired(tiny_cache, tiny_embedder, tmp_path, monkeypatch, harm):
    monkeypatch.setattr(vectors, "SHARD_ROWS", 10)
    before = tiny_cache.get(TEXTS)
    victim = _shards(tiny_cache)[1]
    content = bytearray(victim.read_bytes())
    content[-5] ^= 4
    victim.write_bytes({"bit": content, "cut": content[:-100], "empty": b""}[harm])
    said = []

    class Listening(SilentProgress):
        def say(self, text):
            said.append(text)

    tiny_embedder.encoded.clear()
    cache = VectorCache(tmp_path / "vectors", tiny_embedder)
    np.testing.assert_allclose(cache.get(TEXTS, Listening()), before, atol=1e-6)
    assert cache.damaged == 1
    assert len(tiny_embedder.encoded) == 10
    assert len(said) == 1
    assert str(victim) in said[0]
    assert VectorCache(tmp_path / "vectors", tiny_embedder).get(TEXTS).shape == before.shape
    assert len(tiny_embedder.encoded) == 10


@pytest.mark.parametrize("foreign", ["numbers", "another dimension", "no array", "objects", "rows in a square"])
def test_a_foreign_shard_is_deleted_and_said(tiny_cache, tiny_embedder, tmp_path, foreign):
    before = tiny_cache.get(TEXTS)
    (shard,) = _shards(tiny_cache)
    rows = np.load(shard, allow_pickle=False)
    content = io.BytesIO()
    if foreign == "no array":
        content.write(b"weights")
    else:
        others = {
            "numbers": np.arange(9.0),
            "another dimension": np.zeros(2, dtype=vectors._row_type(7)),
            "objects": np.array([None, {}], dtype=object),
            "rows in a square": rows[:4].reshape(2, 2),
        }
        np.save(content, others[foreign], allow_pickle=True)
    # Its name fits its content, and it stands after the first in the order of names.
    path = shard.with_name(f"{'f' * 24}-{hashlib.sha256(content.getvalue()).hexdigest()}.npy")
    path.write_bytes(content.getvalue())
    said = []

    class Listening(SilentProgress):
        def say(self, text):
            said.append(text)

    cache = VectorCache(tmp_path / "vectors", tiny_embedder)
    np.testing.assert_array_equal(cache.get(TEXTS, Listening()), before)
    assert said == [f"{path} holds no vectors of this embedder and is deleted; its texts are embedded again"]
    assert not path.exists()


def test_a_shard_that_another_process_just_deleted_is_missing(tiny_cache):
    tiny_cache.folder.mkdir(parents=True)
    (tiny_cache.folder / f"{'0' * 64}.npy").symlink_to("gone")
    assert tiny_cache.get(TEXTS).shape == (len(TEXTS), 32)
    assert tiny_cache.damaged == 0


@pytest.fixture
def shared(tmp_path):
    return SharedStore(tmp_path / "store")


def test_a_second_run_takes_shards_of_just_its_texts_from_the_store(shared, tiny_embedder, tmp_path):
    first = VectorCache(tmp_path / "one", tiny_embedder, shared)
    vectors_ND = first.get(TEXTS)
    tiny_embedder.encoded.clear()
    second = VectorCache(tmp_path / "two", tiny_embedder, shared)
    assert (second.get(TEXTS) == vectors_ND).all()
    assert tiny_embedder.encoded == []
    assert second.count_truncated(TEXTS) == first.count_truncated(TEXTS)
    (mine,), (theirs,) = _shards(second), _shards(first)
    assert mine.samefile(theirs)
    shared.prune(0)
    assert (VectorCache(tmp_path / "two", tiny_embedder).get(TEXTS) == vectors_ND).all(), "the run has its own"
    assert tiny_embedder.encoded == []


def test_what_a_run_finds_does_not_depend_on_what_others_left_in_the_store(shared, tiny_embedder, tmp_path):
    """Texts that are embedded together are padded together: one that is there in other company is embedded again."""
    VectorCache(tmp_path / "one", tiny_embedder, shared).get(TEXTS[:20])
    tiny_embedder.encoded.clear()
    warm = VectorCache(tmp_path / "two", tiny_embedder, shared).get(TEXTS)
    assert sorted(tiny_embedder.encoded) == sorted(TEXTS)
    assert (warm == VectorCache(tmp_path / "cold", tiny_embedder).get(TEXTS)).all()


def test_other_batches_are_other_shards(shared, tiny_embedder_folder, tmp_path):
    for size in (4, 8):
        embedder = Embedder(EmbedderConfig(model_name_or_path=str(tiny_embedder_folder), batch_size=size))
        VectorCache(tmp_path / str(size), embedder, shared).get(TEXTS)
    assert len(shared.entries()) == 2


def test_a_damaged_shard_of_the_store_is_not_taken(shared, tiny_embedder, tmp_path):
    vectors_ND = VectorCache(tmp_path / "one", tiny_embedder, shared).get(TEXTS)
    entry = shared.entries()[0].path
    content = bytearray(entry.read_bytes())
    content[-5] ^= 4
    entry.unlink()
    entry.write_bytes(content)
    second = VectorCache(tmp_path / "two", tiny_embedder, shared)
    assert (second.get(TEXTS) == vectors_ND).all()
    assert second.damaged == 1


def test_the_store_itself_can_be_the_cache(shared, tiny_embedder, tmp_path):
    VectorCache(shared.embeddings, tiny_embedder, shared).get(TEXTS)
    assert [entry.kind for entry in shared.entries()] == ["embeddings"]
    tiny_embedder.encoded.clear()
    os.utime(shared.entries()[0].path, (1000, 1000))
    VectorCache(shared.embeddings, tiny_embedder, shared).get(TEXTS[5:9])
    assert tiny_embedder.encoded == []
    assert shared.entries()[0].used > 1000, "used just now"


def _embed(root, folder, texts, results):
    vectors.SHARD_ROWS = 3
    cache = VectorCache(root, Embedder(EmbedderConfig(model_name_or_path=folder)))
    found = [cache.get(texts[: n + 1])[-1] for n in range(len(texts))]
    results.put((cache.damaged, np.stack(found)))


def test_processes_write_at_the_same_time(tiny_cache, tiny_embedder, tiny_embedder_folder, tmp_path):
    context = multiprocessing.get_context("fork")
    results = context.Queue()
    orders = [TEXTS, TEXTS[::-1]]
    workers = [
        context.Process(target=_embed, args=(tmp_path / "vectors", str(tiny_embedder_folder), order, results))
        for order in orders
    ]
    for worker in workers:
        worker.start()
    damaged, _ = zip(*[results.get(timeout=60) for _ in workers], strict=True)
    for worker in workers:
        worker.join(timeout=60)
        assert worker.exitcode == 0
    assert damaged == (0, 0)
    found = tiny_cache.get(TEXTS)
    assert tiny_embedder.encoded == []
    assert tiny_cache.damaged == 0
    np.testing.assert_allclose(found, tiny_embedder.encode(TEXTS), atol=1e-6)
    assert not list(tiny_cache.folder.glob(".*.tmp"))


def test_truncated_texts_are_still_known_after_a_restart(tiny_cache, tiny_embedder, tmp_path):
    texts = ["short", "a long one that goes on " * 20, "short"]
    tiny_cache.get(texts)
    later = VectorCache(tmp_path / "vectors", tiny_embedder)
    later.get(texts)
    assert later.count_truncated(texts) == 1
    assert later.count_truncated(texts * 2) == 2
    assert later.count_truncated(["short"]) == 0
    assert later.count_truncated([]) == 0


def test_hostile_texts_are_texts(tiny_cache, tiny_embedder):
    texts = [" ", "\x00", "<|endoftext|>", "\N{PILE OF POO}\u202e[CLS][PAD]", "../../etc", "'; --"]
    found = tiny_cache.get(texts)
    assert found.shape == (len(texts), 32)
    assert sorted(tiny_embedder.encoded) == sorted(texts)


def test_half_a_surrogate_pair_is_an_error(tiny_cache):
    with pytest.raises(DataError, match=r"Text 1 of 2 .* not valid Unicode"):
        tiny_cache.get(["fine", "broken \ud800"])


def test_lookup_of_a_large_pool_is_fast(tiny_cache, tiny_embedder):
    """150,000 texts that are there already: seconds would add up over arms and refreshes."""
    import time

    texts = [f"completion {number}" for number in range(150_000)]
    rows = np.zeros(len(texts), dtype=vectors._row_type(32))
    rows["text"] = np.array([hashlib.sha256(text.encode()).digest() for text in texts], dtype="V32")
    rows["vector"][:, 0] = np.arange(len(texts))
    for part in np.array_split(rows, 150):
        tiny_cache._save(part)
    started = time.monotonic()
    found = tiny_cache.get(texts[::-1])
    seconds = time.monotonic() - started
    assert (found[:, 0] == np.arange(len(texts))[::-1]).all()
    assert tiny_embedder.encoded == []
    assert seconds < 5
