"""Tiny trainers and models for campaigns, which know whether their weights or saved files changed."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

QUESTIONS = ("Why?", "How do I bake bread?", "Name a color.")
PROMPTS = [f"\n\nHuman: {question}\n\nAssistant:" for question in QUESTIONS]


@cache
def tiny_models() -> tuple[Any, Any]:
    """A tiny random language model and its tokenizer; copies of it are trained."""
    from frft.config.sections import ScratchConfig
    from frft.models import build_causal_lm, train_tokenizer

    texts = [f"{prompt} Red, green and blue; or mix flour, water and salt." for prompt in PROMPTS]
    scratch = ScratchConfig(
        vocab_size=320, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, max_position_embeddings=128
    )
    tokenizer = train_tokenizer(texts, scratch)
    return build_causal_lm(scratch, tokenizer, seed=0), tokenizer


class Workshop:
    """Makes tiny trainers and models in a folder, and knows whether weights or saved files changed.

    Args:
        folder: an empty folder.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._watched: list[tuple[str, Any, str]] = []
        self._saved: list[tuple[Path, str]] = []

    def policy(self) -> Any:
        """A copy of the tiny language model."""
        import copy

        return copy.deepcopy(tiny_models()[0])

    def reward_model(self) -> Any:
        """A tiny reward model."""
        from frft.reward import RewardModel

        path = self.folder / "lm"
        if not path.exists():
            from frft.models import save_model

            save_model(*tiny_models(), path)
        return RewardModel.load(path, seed=1, max_length=64)

    def watch(self, what: str, model: Any) -> None:
        """Remember a model's weights as they are now."""
        self._watched.append((what, model, digest_of_weights(model)))

    def keep(self, path: Path) -> None:
        """Remember the files below a folder as they are now."""
        from frft.store import folder_digest

        self._saved.append((path, folder_digest(path)))

    def changed(self) -> Iterator[str]:
        """What is not as it was remembered."""
        from frft.store import folder_digest

        yield from (
            f"weights of the {what} moved" for what, model, was in self._watched if digest_of_weights(model) != was
        )
        yield from (f"{path.name} changed" for path, was in self._saved if folder_digest(path) != was)

    def ppo(self, *, warm: bool = False, **changes: Any) -> Any:
        """A PPO trainer of tiny models, watched.

        Args:
            warm: after a step and a checkpoint, which is kept.
            changes: arguments of `PPOTrainer`, or settings of PPO.
        """
        from frft.config.sections import PPOConfig, SamplingConfig
        from frft.policy import Critic, PPOTrainer

        models = {name: changes.pop(name) for name in ("policy", "reference", "sft", "reward") if name in changes}
        settings: dict[str, Any] = {
            "total_steps": 4,
            "rollout_batch_size": 4,
            "mini_batch_size": 4,
            "num_ppo_epochs": 1,
            "learning_rate": 1e-3,
            "critic_learning_rate": 1e-3,
            "sampling": SamplingConfig(max_new_tokens=6, max_prompt_tokens=32),
        }
        policy, tokenizer = models.get("policy") or self.policy(), tiny_models()[1]
        trainer = PPOTrainer(
            policy,
            Critic.from_causal_lm(self.policy()),
            models.get("reference") or self.policy(),
            tokenizer,
            models.get("reward", count_vowels),
            PROMPTS,
            PPOConfig.model_validate(settings | changes),
            seed=3,
            sft=models.get("sft"),
        )
        if warm:
            trainer.step()
            trainer.save(self.folder / "checkpoint")
            self.keep(self.folder / "checkpoint")
        self.watch("policy and critic", trainer.actor_critic)
        return trainer

    def group(self, algorithm: Any, **changes: Any) -> Any:
        """A trainer by RLOO or GRPO of tiny models, watched."""
        from frft.config.sections import GroupConfig, PPOConfig, SamplingConfig
        from frft.policy.online import GroupTrainer

        models = {name: changes.pop(name) for name in ("policy", "reference", "reward") if name in changes}
        policy = models.get("policy") or self.policy()
        self.watch("policy", policy)
        config = PPOConfig(
            total_steps=2,
            rollout_batch_size=4,
            mini_batch_size=4,
            learning_rate=1e-3,
            sampling=SamplingConfig(max_new_tokens=6, max_prompt_tokens=32),
            **changes,
        )
        reference, tokenizer = models.get("reference") or self.policy(), tiny_models()[1]
        reward = models.get("reward", count_vowels)
        group = GroupConfig(num_generations=2)
        return GroupTrainer(algorithm, policy, reference, tokenizer, reward, PROMPTS, config, group, seed=3)


def digest_of_weights(model: Any) -> str:
    """SHA-256 of all weights, to the bit: NaN equals itself."""
    total = hashlib.sha256()
    for weight in model.parameters():
        total.update(weight.detach().cpu().numpy().tobytes())
    return total.hexdigest()


def count_vowels(prompts: Any, completions: Any) -> list[float]:
    """A reward."""
    del prompts
    return [sum(letter in "aeiou" for letter in text) / 5 for text in completions]
