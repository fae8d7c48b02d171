"""Hostile files, each made and read in a folder that it is given: pickles, code, bombs, devices, links."""

from __future__ import annotations

import gzip
import json
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

from benchmarks.reliability.workshop import PROMPTS, Workshop

CANARY = "canary"
"""The file that code in one of them would make, beside the folder that it is given."""
Hostile = Callable[[Path], Any]


class _Opens:
    """Makes the canary when it is unpickled."""

    def __init__(self, folder: Path) -> None:
        self.path = str(folder.parent / CANARY)

    def __reduce__(self) -> tuple[Any, ...]:
        return open, (self.path, "w")


def _code(folder: Path) -> str:
    return f"open({str(folder.parent / CANARY)!r}, 'w')\nclass Thing:\n    pass\n"


def _model(folder: Path) -> Path:
    from benchmarks.reliability.workshop import tiny_models
    from frft.models import save_model

    save_model(*tiny_models(), folder / "model")
    return folder / "model"


def _edit(path: Path, **values: Any) -> None:
    found = json.loads(path.read_text()) if path.exists() else {}
    path.write_text(json.dumps({**found, **values}))


def _load_policy(folder: Path) -> None:
    from frft.models import load_causal_lm, load_tokenizer

    _ = load_causal_lm(folder, load_tokenizer(folder))


def _load_reward_model(folder: Path) -> None:
    from frft.reward import RewardModel

    RewardModel.load(folder, seed=0, max_length=32).score(PROMPTS, PROMPTS)


def _pickled_weights(load: Callable[[Path], None]) -> Hostile:
    def act(folder: Path) -> None:
        model = _model(folder)
        (model / "model.safetensors").unlink()
        (model / "pytorch_model.bin").write_bytes(pickle.dumps(_Opens(folder)))
        load(model)

    return act


def _auto_map(name: str, load: Callable[[Path], None]) -> Hostile:
    def act(folder: Path) -> None:
        model = _model(folder)
        (model / "thing.py").write_text(_code(folder))
        names = ("AutoConfig", "AutoModelForCausalLM", "AutoModelForSequenceClassification")
        of = dict.fromkeys(names, "thing.Thing") if name == "config.json" else {"AutoTokenizer": ["thing.Thing", None]}
        _edit(model / name, auto_map=of, model_type="thing", tokenizer_class="Thing")
        load(model)

    return act


def _optimizer(folder: Path) -> None:
    from frft.store import seal

    trainer = Workshop(folder).ppo()
    trainer.save(folder / "checkpoint")
    (folder / "checkpoint" / "optimizer.pt").write_bytes(pickle.dumps(_Opens(folder)))
    found = json.loads((folder / "checkpoint" / "manifest.json").read_text())
    kept = {key: value for key, value in found.items() if key not in ("format", "files", "sha256")}
    (folder / "checkpoint" / "manifest.json").unlink()
    _ = seal(folder / "checkpoint", kept)
    trainer.restore(folder / "checkpoint")


def _array(folder: Path) -> Path:
    import numpy as np

    path = folder / "array.npy"
    np.save(path, np.array([_Opens(folder)], dtype=object), allow_pickle=True)
    return path


def _vectors(folder: Path) -> None:
    import hashlib

    from frft.results.verification import verify
    from frft.selection import VectorCache
    from frft.selection.embedder import Embedder

    embedder = Embedder()
    content = _array(folder).read_bytes()
    cache = VectorCache(folder / "embeddings", embedder)
    cache.folder.mkdir(parents=True, exist_ok=True)
    shard = cache.folder / f"{'a' * 24}-{hashlib.sha256(content).hexdigest()}.npy"
    shard.write_bytes(content)
    _ = verify([folder / "embeddings"])
    _ = cache.get(["Red."])


def _log_ratios(folder: Path) -> None:
    from frft.selection.weights import LogRatios

    _ = LogRatios.read(_array(folder))


def _embedder(kind: str) -> Hostile:
    def act(folder: Path) -> None:
        import shutil

        from frft.config.sections import EmbedderConfig
        from frft.selection import Embedder

        model = folder / "embedder"
        shutil.copytree(Embedder().folder, model)
        if kind == "code":
            (model / "thing.py").write_text(_code(folder))
            modules = json.loads((model / "modules.json").read_text())
            modules[-1]["type"] = "thing.Thing"
            (model / "modules.json").write_text(json.dumps(modules))
        else:
            (model / "model.safetensors").unlink()
            (model / "pytorch_model.bin").write_bytes(pickle.dumps(_Opens(folder)))
        _ = Embedder(EmbedderConfig(model_name_or_path=str(model))).encode(["Red."])

    return act


def _template(template: str) -> Hostile:
    def act(folder: Path) -> None:
        model = _model(folder)
        (model / "chat_template.jinja").write_text(template.replace("CANARY", str(folder.parent / CANARY)))
        _load_reward_model(model)

    return act


def _configuration(text: str) -> Hostile:
    def act(folder: Path) -> None:
        from frft.config import load_config

        (folder / "mine.yaml").write_text(text.replace("CANARY", str(folder.parent / CANARY)))
        _ = load_config(str(folder / "mine.yaml"), ["data.pairs=x"])

    return act


def _pool(make: Callable[[Path], Path]) -> Hostile:
    def act(folder: Path) -> None:
        from frft.preferences import load_pool

        _ = load_pool(str(make(folder)), max_rejected=1.0)

    return act


def _written(name: str, content: Callable[[], bytes]) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        (folder / name).write_bytes(content())
        return folder / name

    return make


def _gzip_bomb() -> bytes:
    return gzip.compress(b'{"prompt": "p", "chosen": "a", "rejected": "' + b"b" * (600 * 2**20) + b'"}\n', 1)


def _parquet_bomb(folder: Path) -> Path:
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pa.table({"prompt": ["p"] * 50, "chosen": ["x" * 2**20] * 50, "rejected": ["b"] * 50})
    with pq.ParquetWriter(folder / "rows.parquet", table.schema, compression="zstd", use_dictionary=False) as writer:
        for _ in range(30):
            writer.write_table(table)
    return folder / "rows.parquet"


def _special(name: str, read: Callable[[Path], Any], make: Callable[[Path], Any]) -> Hostile:
    """Something that is no file under the name of one, and a reader of files of that name."""

    def act(folder: Path) -> None:
        make(folder / name)
        read(folder / name)

    return act


def _zeros(path: Path) -> None:
    path.symlink_to("/dev/zero")


def _loop(path: Path) -> None:
    path.symlink_to(path.name)


def _loop_of_folders(folder: Path) -> Path:
    (folder / "data").mkdir()
    (folder / "data" / "again").symlink_to(folder / "data")
    (folder / "data" / "rows.jsonl").write_text('{"prompt": "p", "chosen": "a", "rejected": "b"}\n')
    return folder / "data"


def _escape(folder: Path) -> None:
    """An entry of a shared store whose manifest lists a file outside of it."""
    from frft.store import SharedStore, stamped

    entry = folder / "store" / "stages" / "sft-x"
    entry.mkdir(parents=True)
    listed = {"../../../../canary": {"bytes": 1, "sha256": "x"}}
    manifest = {"format": 2, "kind": "sft", "digest": "d", "inputs": {}, "code": {}, "info": {}, "seconds": 1,
                "peak_memory": 1, "files": listed}  # fmt: skip
    (entry / "manifest.json").write_text(json.dumps(stamped(manifest)))
    (folder / CANARY[::-1]).write_text("x")
    _ = SharedStore(folder / "store").take("sft-x", "d", folder / "run" / "sft-x")


def _safetensors(header: bytes) -> Hostile:
    def act(folder: Path) -> None:
        model = _model(folder)
        (model / "model.safetensors").write_bytes(header)
        _load_policy(model)

    return act


def _read_configuration(path: Path) -> None:
    from frft.config import load_config

    _ = load_config(str(path))


def _read_pool(path: Path) -> None:
    from frft.preferences import load_pool

    _ = load_pool(str(path))


def _read_json(path: Path) -> None:
    from frft.store import read_json

    _ = read_json(path)


def _read_labels(path: Path) -> None:
    from frft.labels import read_queue

    _ = read_queue(path)


def _read_rows(path: Path) -> None:
    from frft.store import read_rows

    _ = read_rows(path)


def _verify(path: Path) -> None:
    from frft.results.verification import verify

    _ = verify([path.parent])


def damaged_table(folder: Path, chance: Random) -> None:
    """A parquet or Arrow file in which bytes are others."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    from frft.preferences import load_pool

    table = pa.table({"prompt": ["p", "q"] * 50, "chosen": [str(n) for n in range(100)], "rejected": ["x"] * 100})
    path = folder / f"rows.{chance.choice(('parquet', 'arrow'))}"
    if path.suffix == ".parquet":
        pq.write_table(table, path)
    else:
        with pa.ipc.new_stream(str(path), table.schema) as stream:
            stream.write_table(table)
    content = bytearray(path.read_bytes())
    for _ in range(chance.choice((1, 4, 40))):
        content[chance.randrange(4, len(content))] = chance.randrange(256)
    path.write_bytes(content)
    _ = load_pool(str(path), max_rejected=1.0)


_ASK = "{{ messages[0]['content'] }}"
_ALIASES = "a: &a [x]\n" + "".join(
    f"{b}: &{b} [{f'*{a}, ' * 9}]\n" for a, b in zip("abcdefghijk", "bcdefghijkl", strict=True)
)
_OPENS = "{{ ''.__class__.__mro__[1] }}{{ cycler.__init__.__globals__.os.open('CANARY', 66) }}"
_TAGS = "!!python/object/apply:builtins.open [CANARY, w]"
FILES: dict[str, tuple[str, Hostile]] = {
    "pickled weights of a policy": ("pickles", _pickled_weights(_load_policy)),
    "pickled weights of a reward model": ("pickles", _pickled_weights(_load_reward_model)),
    "a pickled optimizer": ("pickles", _optimizer),
    "pickled vectors": ("pickles", _vectors),
    "pickled log ratios": ("pickles", _log_ratios),
    "pickled weights of an embedder": ("pickles", _embedder("pickle")),
    "code of a policy": ("code", _auto_map("config.json", _load_policy)),
    "code of a reward model": ("code", _auto_map("config.json", _load_reward_model)),
    "code of a tokenizer": ("code", _auto_map("tokenizer_config.json", _load_policy)),
    "code of an embedder": ("code", _embedder("code")),
    "a tag of Python in a configuration": ("code", _configuration(f"seed: {_TAGS}\n")),
    "a chat template that opens a file": ("code", _template(_OPENS)),
    "a chat template that never ends": (
        "bombs",
        _template("{% for a in range(99999) %}" * 3 + "x" + "{% endfor %}" * 3),
    ),
    "a chat template of ten gigabytes": ("bombs", _template(f"{_ASK}{{{{ 'x' * 10000000000 }}}}")),
    "gzip of one long row": ("bombs", _pool(_written("rows.jsonl.gz", _gzip_bomb))),
    "parquet of gigabytes": ("bombs", _pool(_parquet_bomb)),
    "aliases in a configuration": ("bombs", _configuration(_ALIASES)),
    "lists in lists": ("bombs", _pool(_written("rows.json", lambda: b"[" * 10**6))),
    "a header of safetensors that is too long": ("bombs", _safetensors(b"\xff" * 7 + b"\x0f" + b"{}")),
    "a pipe for rows": ("devices", _special("rows.jsonl", _read_pool, os.mkfifo)),
    "a pipe for a configuration": ("devices", _special("mine.yaml", _read_configuration, os.mkfifo)),
    "a pipe for JSON": ("devices", _special("reward.json", _read_json, os.mkfifo)),
    "a pipe for labels": ("devices", _special("labels.jsonl", _read_labels, os.mkfifo)),
    "a pipe for a journal": ("devices", _special("metrics.jsonl", _read_rows, os.mkfifo)),
    "a pipe for a manifest": ("devices", _special("manifest.json", _verify, os.mkfifo)),
    "zeros for rows": ("devices", _special("rows.jsonl", _read_pool, _zeros)),
    "zeros for a configuration": ("devices", _special("mine.yaml", _read_configuration, _zeros)),
    "zeros for JSON": ("devices", _special("reward.json", _read_json, _zeros)),
    "zeros for labels": ("devices", _special("labels.jsonl", _read_labels, _zeros)),
    "a link to itself for rows": ("links", _special("rows.jsonl", _read_pool, _loop)),
    "a link to itself for a configuration": ("links", _special("mine.yaml", _read_configuration, _loop)),
    "a link to itself for JSON": ("links", _special("reward.json", _read_json, _loop)),
    "a folder that holds itself": ("links", _pool(_loop_of_folders)),
    "a manifest that lists a file outside": ("links", _escape),
}
"""Hostile files by their names: the row of the table, and what makes and reads one."""
