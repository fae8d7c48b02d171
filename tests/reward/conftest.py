"""A pool of pairs by topic, and a reward model to start from."""

from __future__ import annotations

import pyarrow as pa
import pytest

from frft.config.sections import EmbedderConfig, RewardModelConfig, TrainConfig
from frft.reward import RewardModel
from frft.selection import Embedder, VectorCache

TOPICS = ["bread", "guitar", "chess", "tea", "rain", "bees", "maps", "soap", "clocks", "ships", "rice", "wool"]


@pytest.fixture(scope="session")
def reward_training() -> RewardModelConfig:
    return RewardModelConfig(train=TrainConfig(max_length=48, learning_rate=1e-3, per_device_train_batch_size=4))


@pytest.fixture(scope="session")
def pool() -> pa.Table:
    rows = [
        {
            "id": f"{topic}-{n}",
            "prompt": f"\n\nHuman: Tell me about {topic}.\n\nAssistant:",
            "chosen": f" People like {topic}, for reason {n}.",
            "rejected": f" I hate {topic}, number {n}.",
        }
        for topic in TOPICS
        for n in range(3)
    ]
    return pa.Table.from_pylist(rows)


@pytest.fixture(scope="session")
def vectors(tmp_path_factory) -> VectorCache:
    return VectorCache(tmp_path_factory.mktemp("vectors"), Embedder(EmbedderConfig()))


@pytest.fixture(scope="session")
def base(tiny_lm_folder, tmp_path_factory):
    folder = tmp_path_factory.mktemp("base")
    RewardModel.load(tiny_lm_folder, seed=0, max_length=48).save(folder)
    return folder
