"""A pool of pairs by topic, and a reward model to start from."""

from __future__ import annotations

import pyarrow as pa
import pytest

import frft
from frft.config.sections import EmbedderConfig, RewardModelConfig, TrainConfig
from frft.reward import RewardModel
from frft.selection import Embedder, VectorCache

from .trainings import CONFIG

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


@pytest.fixture
def script(base, pool, reward_training, tiny_lm_folder, vectors, tmp_path):
    """A TRL script: its reward and its trainer. Everything is named anew at each call, as in another process."""
    from datasets import Dataset
    from trl import GRPOConfig, GRPOTrainer, RLOOConfig, RLOOTrainer

    def make(
        folder="run",
        algorithm="rloo",
        config=CONFIG,
        checkpoint=None,
        messages=False,
        gate_pairs=None,
        labeller=None,
        **changes,
    ):
        places = {"workdir": tmp_path / "aligned", "vectors": vectors}
        reward = frft.AlignedReward(
            base, pool, config, reward_training, **places, seed=1, gate_pairs=gate_pairs, labeller=labeller
        )
        trainer_class, arguments = {"rloo": (RLOOTrainer, RLOOConfig), "grpo": (GRPOTrainer, GRPOConfig)}[algorithm]
        settings = {
            "output_dir": str(tmp_path / folder),
            "max_steps": 6,
            "per_device_train_batch_size": 4,
            "num_generations": 2,
            "max_completion_length": 6,
            "learning_rate": 1e-3,
            "beta": 0.0,
            "use_cpu": True,
            "bf16": False,
            "gradient_checkpointing": False,
            "logging_steps": 1,
            "report_to": "none",
            "disable_tqdm": True,
            "save_strategy": "no",
        }
        prompts = pool["prompt"].to_pylist()[::3]
        if messages:
            prompts = [[{"role": "user", "content": prompt}] for prompt in prompts]
        trainer = trainer_class(
            model=str(tiny_lm_folder),
            reward_funcs=reward,
            args=arguments(**(settings | changes)),
            train_dataset=Dataset.from_dict({"prompt": prompts, "topic": ["any"] * len(prompts)}),
            callbacks=[reward.callback(checkpoint)],
        )
        return reward, trainer

    return make
