"""One side of the comparison: frft's PPO. `python -m benchmarks.frft_ppo JOB`, where a `Job` was saved."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from benchmarks.job import Job, StepLog

NO_CLIPPING = 1e9
"""TRL's PPOTrainer does not clip gradients."""


def main(job: Job) -> None:
    """Train as the job says."""
    from frft.config.sections import PPOConfig, SamplingConfig
    from frft.models import load_causal_lm, load_tokenizer
    from frft.policy import Critic, PPOTrainer
    from frft.reward import RewardModel

    start = Path(job.start)
    tokenizer = load_tokenizer(start / "policy")
    policy, reference = (load_causal_lm(start / "policy", tokenizer) for _ in range(2))
    reward = RewardModel.load(start / "reward", seed=0)
    config = PPOConfig(
        total_steps=job.steps,
        rollout_batch_size=job.batch,
        mini_batch_size=job.batch,
        num_ppo_epochs=job.epochs,
        sampling=SamplingConfig(max_new_tokens=job.new_tokens, max_prompt_tokens=job.prompt_tokens),
        learning_rate=job.learning_rate,
        critic_learning_rate=job.learning_rate,
        adam_epsilon=job.adam_epsilon,
        max_grad_norm=NO_CLIPPING,
        kl_coef=job.kl_coef,
    )
    critic = Critic.from_classifier(reward.model)
    trainer = PPOTrainer(policy, critic, reference, tokenizer, reward, job.prompts, config, seed=job.seed)
    log = StepLog(job, trainer.save_policy)

    def on_step(metrics: dict[str, Any], rollout: object) -> None:
        del rollout
        log.step_done({"score": metrics["score"], "kl": metrics["kl_sft_k1"], "ended": metrics["has_eos"]})

    trainer.train(job.steps, on_step)


if __name__ == "__main__":
    main(Job.load(sys.argv[1]))
