"""The three ways of training learn, are repeatable, and leave what they continue as it was."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from transformers import AutoTokenizer

from frft.config.sections import FixedActorConfig
from frft.errors import TrainingError
from frft.fixed_actor.trainers import TrainingBudget, make_head_trainer


@pytest.fixture(scope="module", params=["head", "top", "full"])
def trainer(request, sourced_pairs, minilm_vectors, tiny_lm_folder, tmp_path_factory):
    config = FixedActorConfig(
        train=request.param,
        max_tokens=48,
        batch_size=16,
        learning_rate=1e-3,
        backbone=str(tiny_lm_folder) if request.param == "full" else None,
    )
    return make_head_trainer(config, [sourced_pairs], minilm_vectors, tmp_path_factory.mktemp("trainer"))


def test_it_learns_repeatably_and_continues_a_copy(trainer, sourced_pairs, tmp_path):
    made, steps = trainer, 40
    train, test = sourced_pairs.slice(0, 180), sourced_pairs.slice(180)
    first, _ = made.train(train, None, steps, seed=1)
    margins_N = made.margins(first, test)
    assert margins_N.shape == (60,)
    assert (margins_N > 0).mean() > 0.8
    again = made.margins(made.train(train, None, steps, seed=1)[0], test)
    np.testing.assert_array_equal(again, margins_N)
    continued, _ = made.train(train, first, steps // 2, seed=2)
    assert np.abs(made.margins(continued, test) - margins_N).max() > 1e-3
    np.testing.assert_array_equal(made.margins(first, test), margins_N)
    made.save(first, tmp_path / "model")
    np.testing.assert_allclose(made.margins(made.load(tmp_path / "model"), test), margins_N, atol=1e-5)


def test_exchanged_pairs_have_the_opposite_margin(trainer, sourced_pairs):
    model, _ = trainer.train(sourced_pairs, None, 2, seed=0)
    names = ["id", "prompt", "rejected", "chosen", "chosen_source", "rejected_source"]
    exchanged = sourced_pairs.rename_columns(names)
    np.testing.assert_array_equal(trainer.margins(model, exchanged), -trainer.margins(model, sourced_pairs))


@pytest.mark.parametrize("kind", ["head", "top", "full"])
def test_what_is_cut_is_counted(kind, sourced_pairs, minilm_vectors, tiny_lm_folder, tmp_path):
    longest = 24
    rows = sourced_pairs.slice(0, 12).to_pylist()
    rows[0]["chosen"] += " And on." * longest
    rows[1]["rejected"] = rows[1]["chosen"] = "On and on." * longest
    rows[1]["rejected"] += " Not."
    pairs = pa.Table.from_pylist(rows)
    backbone = {"backbone": str(tiny_lm_folder)} if kind == "full" else {}
    config = FixedActorConfig(train=kind, max_tokens=longest, batch_size=4, **backbone)
    _, cuts = make_head_trainer(config, [pairs], minilm_vectors, tmp_path).train(pairs, None, 2, seed=0)
    if kind == "head":
        assert cuts == {}
        return
    folder = tiny_lm_folder if kind == "full" else minilm_vectors.embedder.folder
    tokenizer = AutoTokenizer.from_pretrained(folder)
    texts = [(row["prompt"], row[side]) for row in rows for side in ("chosen", "rejected")]
    lengths = [[len(tokenizer(text, add_special_tokens=False)["input_ids"]) for text in each] for each in texts]
    assert cuts.pop("sequences") == 24
    if kind == "top":  # beside CLS and two SEP
        assert cuts == {"truncated": sum(sum(each) > longest - 3 for each in lengths)}
    else:  # beside EOS; of a prompt a token stays
        assert cuts == {
            "identical": 1,
            "prompts_truncated": sum(sum(each) > longest - 1 for each in lengths),
            "completions_truncated": sum(completion > longest - 2 for _, completion in lengths),
        }


def test_a_loss_that_is_not_finite_stops_the_training(sourced_pairs, minilm_vectors, tmp_path):
    made = make_head_trainer(FixedActorConfig(learning_rate=1e30), [sourced_pairs], minilm_vectors, tmp_path)
    with pytest.raises(TrainingError, match="Lower --learning-rate"):
        made.train(sourced_pairs, None, 20, seed=0)


def test_fewer_pairs_than_a_batch_are_a_batch(sourced_pairs, minilm_vectors, tmp_path):
    made = make_head_trainer(FixedActorConfig(batch_size=64), [sourced_pairs], minilm_vectors, tmp_path)
    few = sourced_pairs.slice(0, 5)
    assert (made.margins(made.train(few, None, 50, seed=0)[0], few) > 0).all()


def test_budgets_are_what_suits_unless_it_is_said():
    assert TrainingBudget.of(FixedActorConfig(train="top", steps=7)) == TrainingBudget(7, 150, 128, 3e-4)


def test_the_embedders_transformer_is_a_backbone_whose_texts_end(sourced_pairs, minilm_vectors, tmp_path):
    config = FixedActorConfig(train="full", max_tokens=24, batch_size=4)
    made = make_head_trainer(config, [sourced_pairs], minilm_vectors, tmp_path)
    model, _ = made.train(sourced_pairs.slice(0, 8), None, 2, seed=0)
    assert type(model.model).__name__ == "BertForSequenceClassification"
    (encoded,) = model.encoder.encode(["Why?"], ["So."])
    read = model.tokenizer.convert_ids_to_tokens(encoded.ids)
    assert read == ["[CLS]", "why", "?", "[SEP]", "so", ".", "[SEP]"]
