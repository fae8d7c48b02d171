"""The policy: write completions, supervised fine-tuning, PPO."""

from frft.policy.critic import Critic
from frft.policy.divergence import Divergence, measure_divergence
from frft.policy.generation import Completions, generate
from frft.policy.likelihood import log_likelihoods
from frft.policy.ppo import PPOTrainer
from frft.policy.sample_file import WrittenSamples, write_samples
from frft.policy.sft import SFTReport, fine_tune

__all__ = [
    "Completions",
    "Critic",
    "Divergence",
    "PPOTrainer",
    "SFTReport",
    "WrittenSamples",
    "fine_tune",
    "generate",
    "log_likelihoods",
    "measure_divergence",
    "write_samples",
]
