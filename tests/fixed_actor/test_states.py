"""Stored states are those of the transformer, cut where it is said, and computed once."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
import torch

from frft.config.sections import EmbedderConfig
from frft.errors import ModelError
from frft.fixed_actor import states
from frft.fixed_actor.states import TokenStates, transformer_of
from frft.fixed_actor.texts import PairTexts
from frft.progress import SILENT
from frft.selection import Embedder


@pytest.fixture(scope="module")
def texts(sourced_pairs):
    return PairTexts([sourced_pairs.slice(0, 12)])


def test_states_are_those_before_the_last_layer(texts, minilm_vectors, tmp_path):
    stored = TokenStates(texts, minilm_vectors.embedder, 64, tmp_path)
    states_BTD, mask_BT = stored.of(np.array([3, 0]))
    model, tokenizer = transformer_of(minilm_vectors.embedder)
    read = tokenizer([texts.prompts[3], texts.prompts[0]], [texts.completions[3], texts.completions[0]], padding=True,
                     return_tensors="pt", return_token_type_ids=False)  # fmt: skip
    with torch.no_grad():
        expected = model(**read, output_hidden_states=True).hidden_states[-2].numpy()
    np.testing.assert_array_equal(mask_BT, read["attention_mask"].numpy().astype(bool))
    np.testing.assert_allclose(states_BTD[mask_BT], expected[mask_BT], atol=4e-3)  # float16
    assert not stored.cut_M.any()


def test_a_long_text_loses_the_beginning_of_its_prompt_then_the_end_of_its_completion(minilm_vectors):
    _, tokenizer = transformer_of(minilm_vectors.embedder)
    words = ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"]
    table = {"prompt": [" ".join(words), "one"], "chosen": [" ".join(words), "[SEP] two"], "rejected": ["six", "two"]}
    ids, cut = states._encode(PairTexts([pa.table(table)]), tokenizer, 11)
    read = [tokenizer.convert_ids_to_tokens(each) for each in ids]
    assert read[0] == ["[CLS]", "nine", "ten", "[SEP]", *words[:6], "[SEP]"]
    # What looks like a special token in a text is text.
    assert read[1].count("[SEP]") == 2
    assert read[2] == ["[CLS]", *words[3:], "[SEP]", "six", "[SEP]"]
    assert cut.sum() == 3 - 1 + (len(read[1]) > 11)


def test_what_was_computed_before_is_not_computed_again(texts, minilm_vectors, tmp_path, monkeypatch):
    first = TokenStates(texts, minilm_vectors.embedder, 32, tmp_path)
    every = np.arange(len(texts))
    states_BTD, _ = first.of(every)
    (path,) = tmp_path.glob("*.npy")
    stored = np.load(path, mmap_mode="r+")
    stored[5, 0, 0] += 1
    stored.flush()
    computed = []
    compute = TokenStates._compute
    monkeypatch.setattr(
        TokenStates,
        "_compute",
        lambda self, model, ids, missing, progress: (
            computed.extend(missing.tolist()),
            compute(self, model, ids, missing, progress),
        ),
    )

    def again():
        computed.clear()
        found_BTD, _ = TokenStates(texts, minilm_vectors.embedder, 32, tmp_path, said := Said()).of(every)
        np.testing.assert_allclose(found_BTD, states_BTD, atol=4e-3)
        return said

    # A line covers what was finished between two writes to disk, here all texts.
    assert again() == [f"{path} was damaged; states of {len(texts)} texts are computed again"]
    assert sorted(computed) == list(every)
    assert (again(), computed) == ([], [])
    (journal,) = tmp_path.glob("*.jsonl")
    for damage in (
        lambda: path.write_bytes(path.read_bytes()[:300]),
        lambda: path.write_bytes(b"\xff" + path.read_bytes()[1:]),
        lambda: path.unlink(),
        lambda: journal.write_bytes(journal.read_bytes().replace(b"0", b"1", 1)),
    ):
        damage()
        (said,) = again()
        assert "are computed again" in said
        assert sorted(computed) == list(every)


class Said(list):
    """A Progress that notes what is said."""

    def say(self, text):
        self.append(text)

    def task(self, description, total):
        return SILENT.task(description, total)


def test_an_embedder_of_another_build_is_refused(texts, tiny_lm_folder, tmp_path):
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Pooling, Transformer

    words = Transformer(str(tiny_lm_folder), max_seq_length=24)
    model = SentenceTransformer(modules=[words, Pooling(words.get_embedding_dimension(), "mean")], device="cpu")
    model.save(str(tmp_path / "gpt2"), create_model_card=False)
    embedder = Embedder(EmbedderConfig(model_name_or_path=str(tmp_path / "gpt2")))
    with pytest.raises(ModelError, match="keeps its layers in another way than BERT"):
        TokenStates(texts, embedder, 24, tmp_path)


def test_an_embedder_without_a_transformer_is_refused(tmp_path):
    (tmp_path / "modules.json").write_text('[{"path": ""}]')
    (tmp_path / "model.safetensors").touch()
    with pytest.raises(ModelError, match="holds no transformer to be trained"):
        transformer_of(Embedder(EmbedderConfig(model_name_or_path=str(tmp_path))))


def test_more_tokens_than_positions_are_refused(texts, minilm_vectors, tmp_path):
    with pytest.raises(ModelError, match="max_tokens is 600 tokens"):
        TokenStates(texts, minilm_vectors.embedder, 600, tmp_path)
