"""A trainer of tiny models."""

from __future__ import annotations

import pytest

PROMPTS = [f"\n\nHuman: {question}\n\nAssistant:" for question in ("Why?", "How do I bake bread?", "Name a color.")]


def count_vowels(prompts, completions):
    return [sum(letter in "aeiou" for letter in text) / 5 for text in completions]


@pytest.fixture
def make_trainer(tiny_lm_folder, tiny_tokenizer):
    """A function that makes a trainer of tiny models, with any setting of PPO changed."""
    from frft.config.sections import PPOConfig, SamplingConfig
    from frft.models import load_causal_lm
    from frft.policy import Critic, PPOTrainer

    def make(reward=count_vowels, sft=None, critic=None, prompts=PROMPTS, policy=None, reference=None, **changes):
        settings = {
            "total_steps": 4,
            "rollout_batch_size": 6,
            "mini_batch_size": 4,
            "forward_batch_tokens": 100,
            "num_ppo_epochs": 2,
            "learning_rate": 1e-3,
            "critic_learning_rate": 1e-3,
            "sampling": SamplingConfig(max_new_tokens=8, max_prompt_tokens=32),
        }
        config = PPOConfig.model_validate(settings | changes)
        policy = policy or load_causal_lm(tiny_lm_folder, tiny_tokenizer)
        reference = reference or load_causal_lm(tiny_lm_folder, tiny_tokenizer)
        critic = critic or Critic.from_causal_lm(policy)
        return PPOTrainer(policy, critic, reference, tiny_tokenizer, reward, prompts, config, seed=3, sft=sft)

    return make
