"""Linear reward models: the fit, the choice of the penalty, and continuing."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from frft.errors import ModelError
from frft.fixed_actor.linear import LinearTrainer
from frft.fixed_actor.texts import Features, PairTexts


@pytest.fixture(scope="module")
def trainer(sourced_pairs, minilm_vectors):
    texts = PairTexts([sourced_pairs])
    return LinearTrainer(texts, Features(texts, minilm_vectors))


def test_a_reward_model_learns_is_kept_and_continues(trainer, sourced_pairs, tmp_path):
    half = sourced_pairs.slice(0, 120)
    model, cuts = trainer.train(half, None, 0, seed=0)
    assert cuts == {}
    assert (trainer.margins(model, sourced_pairs.slice(120)) > 0).mean() > 0.9
    trainer.save(model, tmp_path / "kept")
    assert trainer.load(tmp_path / "kept").weights_F.tolist() == model.weights_F.tolist()
    turned = half.rename_columns([{"chosen": "rejected", "rejected": "chosen"}.get(n, n) for n in half.column_names])
    other, _ = trainer.train(turned, model, 0, seed=0)
    # Opposite labels pull the model away from where it began; none that they could improve leave it there.
    assert (trainer.margins(other, half) > 0).mean() < 0.5
    assert np.linalg.norm(other.weights_F - model.weights_F) > 0.1


def test_a_model_that_nothing_improves_stays(trainer, sourced_pairs):
    model, _ = trainer.train(sourced_pairs, None, 0, seed=0)
    rng = np.random.default_rng(0)
    coin = pa.Table.from_pylist(
        [{**row, "chosen": row[one], "rejected": row["rejected" if one == "chosen" else "chosen"]}
         for row, one in zip(sourced_pairs.to_pylist(), rng.choice(["chosen", "rejected"], 240), strict=True)]
    )  # fmt: skip
    zero = type(model)(np.zeros_like(model.weights_F))
    found, _ = trainer.train(coin, zero, 0, seed=0)
    assert np.abs(trainer.margins(found, sourced_pairs)).mean() < 0.1


def test_a_damaged_model_is_said(trainer, tmp_path):
    (tmp_path / "weights.npy").write_bytes(b"no")
    with pytest.raises(ModelError, match="Cannot read the reward model"):
        trainer.load(tmp_path)
