"""What tests of several rooms share."""

from __future__ import annotations

import gc
import json
import os
import re
import shutil
import sys
import threading
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

# Two test processes of one thread each are faster than one of two: set before torch is imported.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
# What commands print has no size but that which a test gives it (pytest's workers export one, by readline).
os.environ.pop("COLUMNS", None)
os.environ.pop("LINES", None)
# No test may reach out: a name that is not a local folder must fail at once.
os.environ["HF_HUB_OFFLINE"] = "1"
# No test may touch the user's store, and none may find what another has made: two runs that are compared would be one.
# Tests of the store name a folder of their own.
os.environ["FRFT_STORE"] = "none"

import pytest

from frft.doctor.machine import check_memory

IN_MEMORY = Path("/dev/shm")
"""On Linux, a file system in memory."""
ROOM = 8 * 2**30
"""Bytes of memory and of that file system that must be free for tests to use it; they take less than a tenth."""


def _has_room(folder: Path) -> bool:
    if not os.access(folder, os.W_OK | os.X_OK) or check_memory().figures["available"] < ROOM:
        return False
    return shutil.disk_usage(folder).free >= ROOM


# A small run waits 600 times until the disk has written a file (fsync), for a quarter of its time.
if not {"PYTEST_DEBUG_TEMPROOT", "TMPDIR"} & {*os.environ} and _has_room(IN_MEMORY):
    os.environ["PYTEST_DEBUG_TEMPROOT"] = str(IN_MEMORY)

SHARED_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
SHARED_CASES = Path(__file__).resolve().parents[2] / "shared" / "cases"

SENTENCES = [
    "\n\nHuman: What is a good way to learn the guitar?\n\nAssistant: Start with simple chords and play every day.",
    "\n\nHuman: How do I bake bread?\n\nAssistant: Mix flour, water, salt and yeast, let it rise, and bake it.",
    "\n\nHuman: Can you name three colors?\n\nAssistant: Red, green and blue are three colors.",
    "\n\nHuman: Why is the sky blue?\n\nAssistant: Because air scatters blue light more than red light.",
]


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real preference data that stands beside the project."""
    if not SHARED_DATA.is_dir():
        pytest.skip("no real data: ../shared/data is not beside the project")
    return SHARED_DATA


@pytest.fixture(scope="session")
def shared_cases() -> Path:
    """The folder of small hard inputs that stands beside the project."""
    if not SHARED_CASES.is_dir():
        pytest.skip("no hard inputs: ../shared/cases is not beside the project")
    return SHARED_CASES


@pytest.fixture(scope="session")
def tiny_tokenizer():
    """A byte-level BPE tokenizer with 320 tokens."""
    from frft.config.sections import ScratchConfig
    from frft.models import train_tokenizer

    return train_tokenizer(SENTENCES, ScratchConfig(vocab_size=320, max_position_embeddings=128))


@pytest.fixture(scope="session")
def tiny_lm_folder(tiny_tokenizer, tmp_path_factory) -> Path:
    """A folder with a tiny random GPT-2 and its tokenizer."""
    from frft.config.sections import ScratchConfig
    from frft.models import build_causal_lm, save_model

    config = ScratchConfig(
        vocab_size=320,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=128,
    )
    folder = tmp_path_factory.mktemp("tiny-lm")
    save_model(build_causal_lm(config, tiny_tokenizer, seed=0), tiny_tokenizer, folder)
    return folder


@pytest.fixture(scope="session")
def tiny_embedder_folder(tiny_lm_folder, tmp_path_factory) -> Path:
    """A sentence-transformers folder around the tiny language model: 32 numbers a text, 24 tokens at most."""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Normalize, Pooling, Transformer

    words = Transformer(str(tiny_lm_folder), max_seq_length=24)
    pooling = Pooling(words.get_embedding_dimension(), "mean")
    folder = tmp_path_factory.mktemp("tiny-embedder")
    SentenceTransformer(modules=[words, pooling, Normalize()], device="cpu").save(str(folder), create_model_card=False)
    return folder


@pytest.fixture(scope="session")
def silent_lm_folder(tiny_lm_folder, tmp_path_factory) -> Path:
    """A model's folder of which neither the configuration nor the tokenizer says how long a sequence may be."""
    from transformers import BloomConfig

    folder = tmp_path_factory.mktemp("silent") / "lm"
    shutil.copytree(tiny_lm_folder, folder)
    BloomConfig(vocab_size=320, hidden_size=8, n_layer=1, n_head=1, num_labels=1).save_pretrained(folder)
    settings = json.loads((folder / "tokenizer_config.json").read_text())
    (folder / "tokenizer_config.json").write_text(json.dumps({**settings, "model_max_length": 10**30}))
    return folder


@pytest.fixture(scope="session")
def saved_adapters():
    """Saves random LoRA adapters of a task (with a head: SEQ_CLS) on a model, as PEFT does, and its tokenizer."""
    import peft
    from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification

    from frft.models import load_tokenizer, quiet, seeded

    def save(base: Path, folder: Path, task: str = "CAUSAL_LM") -> Path:
        with quiet(), seeded(5):
            if task == "CAUSAL_LM":
                model = AutoModelForCausalLM.from_pretrained(base)
            else:
                model = AutoModelForSequenceClassification.from_pretrained(base, num_labels=1)
            config = peft.LoraConfig(task_type=task, r=4, target_modules=["c_attn"], init_lora_weights=False)
            peft.get_peft_model(model, config).save_pretrained(folder)
            load_tokenizer(base).save_pretrained(folder)
        return folder

    return save


@pytest.fixture
def install_package(tmp_path, monkeypatch):
    """Installs packages of one module, with entry points, for the time of a test; processes that it starts see them."""
    names = []

    def install(name: str, module: str, entry_points: str, version: str = "1.0") -> Path:
        folder = tmp_path / "site-packages" / name
        info = folder / f"{name}.dist-info"
        info.mkdir(parents=True, exist_ok=True)
        (folder / f"{name}.py").write_text(module)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name.replace('_', '-')}\nVersion: {version}\n")
        (info / "entry_points.txt").write_text(entry_points)
        monkeypatch.delitem(sys.modules, name, raising=False)
        monkeypatch.syspath_prepend(str(folder))
        monkeypatch.setenv("PYTHONPATH", str(folder), prepend=os.pathsep)
        names.append(name)
        return folder

    yield install
    for name in names:
        sys.modules.pop(name, None)


WIDTHS = (60, 80, 120)
"""Columns of the terminals at which what commands print must be readable."""


@pytest.fixture
def shown(monkeypatch) -> list[tuple]:
    """All texts and tables that commands lay out from now on, as they were before they were fitted to a width."""
    from frft.cli import output

    given: list[tuple] = []

    def recording(lay_out):
        def recorded(*arguments):
            given.append((lay_out, arguments[:-1]))
            return lay_out(*arguments)

        return recorded

    for name in ("wrapped", "table_lines"):
        monkeypatch.setattr(output, name, recording(getattr(output, name)))
    return given


@pytest.fixture(scope="session")
def fits():
    """Checks that texts and tables are readable at every width: nothing is cut, no word broken, no unit parted."""

    def words_of(text: str) -> list[str]:
        return text.translate(str.maketrans(dict.fromkeys("┏━┳┓┃┡╇┩│├─┼┤└┴┘", " "))).split()

    def check(given: list[tuple]) -> None:
        for lay_out, arguments in given:
            texts = [arguments[0]]
            if len(arguments) > 1:
                texts = [*arguments[0], *(cell for row in arguments[1] for cell in row)]
            words = [word for text in texts for word in text.split()]
            units = {
                unit for text in texts for unit in re.findall(r"\d (?:%|GiB|MiB|min|s|h|nats|tokens|pairs)(?!\w)", text)
            }
            for width in WIDTHS:
                lines = lay_out(*arguments, width)
                printed = "\n".join(lines)
                assert set(words) <= set(words_of(printed)), (width, printed)
                assert all(any(unit in line for line in lines) for unit in units), (width, printed)
                assert "…" not in printed
                # What is longer than a line is one word, which nobody can break: a path.
                longest = max(map(len, words), default=0)
                for line in lines:
                    assert len(line) <= width or len(line) <= longest + 16 > width - 20, (width, line)

    return check


@pytest.hookimpl(wrapper=True)
def pytest_collection():
    """Look for no garbage while modules are imported, which would be a fifth of the time: what they make stays."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()


def pytest_collection_modifyitems(items):
    """Put modules with runs or slow tests first: one that begins last would leave the other process idle."""
    slow = {item.path for item in items if item.get_closest_marker("slow") or item.path.parent.name == "e2e"}
    items.sort(key=lambda item: item.path not in slow)


_modules_set_aside = 0


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item, nextitem):
    """Exclude imported libraries from garbage collection, as runs do (`libraries_set_aside`): half of a test's time.

    Every stage and every trainer collects garbage, and goes through half a million objects that are never garbage.
    """
    global _modules_set_aside
    if len(sys.modules) > _modules_set_aside + 50:
        gc.collect()
        gc.freeze()
        _modules_set_aside = len(sys.modules)
    return (yield)


def pytest_make_parametrize_id(config, val, argname):
    """Name cases by the argument where it is bytes: compressed ones hold the time, and names must not change."""
    return argname if isinstance(val, bytes) else None


class Endpoint:
    """A chat endpoint on the loopback interface that misbehaves as told.

    Attributes:
        answer: question -> reply text, or (status, body, headers) to send as it is.
        requests: the bodies that came, and `keys` their authorization headers.
    """

    def __init__(self):
        self.answer = lambda messages: "[[A]]"
        self.requests = []
        self.keys = []
        self._lock = threading.Lock()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            # Headers and body are two packets, of which the second would wait 40 ms for the client's receipt.
            disable_nagle_algorithm = True

            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                with outer._lock:
                    outer.requests.append(body)
                    outer.keys.append(self.headers["authorization"])
                    said = outer.answer(body["messages"])
                status, content, headers = (200, outer.completion(said), {}) if isinstance(said, str) else said
                data = content if isinstance(content, bytes) else json.dumps(content).encode()
                self.send_response(status)
                for name, value in {"content-type": "application/json", **headers}.items():
                    self.send_header(name, value)
                self.send_header("content-length", str(len(data)))
                self.end_headers()
                # A client that waited no longer is gone.
                with suppress(BrokenPipeError, ConnectionResetError):
                    self.wfile.write(data)

            def log_message(self, *args):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}/v1"
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02})
        self.thread.start()

    @staticmethod
    def error(status, message, code=None, **headers):
        """A reply that is an error, in the protocol's form."""
        headers = {name.replace("_", "-"): value for name, value in headers.items()}
        return status, {"error": {"message": message, "type": "x", "code": code}}, headers

    @staticmethod
    def completion(text, **more):
        """A reply's body."""
        message = {"role": "assistant", "content": text}
        return {
            "id": "x",
            "object": "chat.completion",
            "created": 0,
            "model": "m",
            "choices": [{"index": 0, "finish_reason": "stop", "message": message}],
            "usage": {"prompt_tokens": 100, "completion_tokens": 7, "total_tokens": 107},
            **more,
        }

    def close(self):
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


@pytest.fixture
def endpoint(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret-0123456789")
    # A proxy of the machine must not come between.
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    served = Endpoint()
    yield served
    served.close()
