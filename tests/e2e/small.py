"""A small experiment: made-up dialogues, a tiny policy, real everything else."""

from __future__ import annotations

import itertools

TOPICS = [
    "bread",
    "guitar",
    "chess",
    "tea",
    "rain",
    "bees",
    "maps",
    "soap",
    "clocks",
    "ships",
    "rice",
    "wool",
]
QUESTIONS = [
    "How do I learn about {}?",
    "Why do people like {}?",
    "Can you tell me about {}?",
    "What is {} for?",
]
GOOD = [
    "I would start with a book about {0}, and then try {0} with a friend.",
    "Many people enjoy {0} every day.",
]
BAD = ["No.", "I do not care about {0} at all."]

SETTINGS = """
data: {judge_fraction: 0.3, evaluation_fraction: 0.2}
policy:
  scratch:
    {vocab_size: 400, hidden_size: 32, num_hidden_layers: 1, num_attention_heads: 2, max_position_embeddings: 128}
  sft: {num_train_epochs: 1, max_length: 64}
reward: {train: {max_length: 64, learning_rate: 1.0e-3}, normalise_samples: 32}
judge: {train: {max_length: 64, learning_rate: 1.0e-3}, normalise_samples: 32}
ppo:
  total_steps: 4
  rollout_batch_size: 8
  mini_batch_size: 8
  forward_batch_tokens: 512
  num_ppo_epochs: 2
  learning_rate: 1.0e-3
  critic_learning_rate: 1.0e-3
  sampling: {max_prompt_tokens: 32, max_new_tokens: 12}
refresh: {selection: {size: 20, test_size: 8, threshold: -0.5}, learning_rate: 1.0e-3}
arms:
  vanilla: {alpha: 0}
  random: {selection: {strategy: random}}
  part1: {selection: {strategy: part1}}
workers: 1
evaluation: {max_prompts: 20}
"""


def dialogues() -> list[dict[str, str]]:
    """192 pairs in the form of HH-RLHF."""
    rows = []
    for topic, question, good, bad in itertools.product(TOPICS, QUESTIONS, GOOD, BAD):
        prompt = f"\n\nHuman: {question.format(topic)}\n\nAssistant: "
        rows.append({"chosen": prompt + good.format(topic), "rejected": prompt + bad.format(topic)})
    return rows
