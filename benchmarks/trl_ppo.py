"""The other side of the comparison: the PPOTrainer of TRL 1.12, in a virtual environment of its own, without frft.

`PYTHON benchmarks/trl_ppo.py JOB`, where a `Job` was saved.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any

import torch
from closing import ClosedByEos
from datasets import Dataset
from job import Job, StepLog
from transformers import (
    AutoModelForCausalLM,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    TrainerCallback,
)
from trl.experimental.ppo import PPOConfig, PPOTrainer


def main(job: Job) -> None:
    """Train as the job says."""
    start = Path(job.start)
    tokenizer = AutoTokenizer.from_pretrained(start / "policy", padding_side="left")
    policy, reference = (AutoModelForCausalLM.from_pretrained(start / "policy", dtype="float32") for _ in range(2))
    reward, critic = (
        AutoModelForSequenceClassification.from_pretrained(start / "reward", dtype="float32") for _ in range(2)
    )
    encoded = tokenizer(job.prompts, split_special_tokens=True)["input_ids"]
    too_long = sum(len(ids) > job.prompt_tokens for ids in encoded)
    if too_long:
        raise ValueError(
            f"{too_long} prompts have more than {job.prompt_tokens} tokens; the other side would cut them."
        )

    class OnStep(TrainerCallback):
        def on_train_begin(self, *_: Any, **__: Any) -> None:
            self.log = StepLog(job, trainer.policy_model.save_pretrained)

        def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, Any], **_: Any) -> None:
            del args, state, control
            self.logs = {"score": float(logs["objective/scores"]), "kl": float(logs["objective/kl"])}

        def on_step_end(self, *_: Any, **__: Any) -> None:
            self.log.step_done(self.logs)

    with tempfile.TemporaryDirectory() as out:
        trainer = PPOTrainer(
            args=PPOConfig(
                output_dir=out,
                seed=job.seed,
                total_episodes=job.steps * job.batch,
                per_device_train_batch_size=job.micro_batch,
                gradient_accumulation_steps=job.batch // job.micro_batch,
                num_mini_batches=1,
                num_ppo_epochs=job.epochs,
                local_rollout_forward_batch_size=job.batch,
                response_length=job.new_tokens,
                temperature=1.0,
                stop_token="eos",  # noqa: S106 - a kind of token, not a secret
                learning_rate=job.learning_rate,
                lr_scheduler_type="linear",
                warmup_steps=0,
                weight_decay=0.0,
                adam_epsilon=job.adam_epsilon,
                kl_coef=job.kl_coef,
                gamma=1.0,
                lam=0.95,
                cliprange=0.2,
                cliprange_value=0.2,
                vf_coef=0.1,
                bf16=False,
                gradient_checkpointing=False,
                use_cpu=not torch.cuda.is_available(),
                num_sample_generations=0,
                logging_steps=1,
                disable_tqdm=True,
                save_strategy="no",
                report_to="none",
            ),
            processing_class=tokenizer,
            model=policy,
            ref_model=reference,
            reward_model=ClosedByEos(reward, tokenizer.eos_token_id),
            value_model=critic,
            train_dataset=Dataset.from_dict({"input_ids": encoded}),
            callbacks=[OnStep()],
        )
        trainer.train()


if __name__ == "__main__":
    main(Job.load(sys.argv[1]))
