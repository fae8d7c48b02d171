"""The memory that training a policy is planned to hold."""

from __future__ import annotations

from frft.config.sections import PolicyConfig, ScratchConfig
from frft.stages.memory import policy_on_meta, weight_bytes

SCRATCH = {"hidden_size": 256, "num_hidden_layers": 6, "num_attention_heads": 4, "vocab_size": 500}


def test_settings_that_save_memory_are_seen_to(held):
    # Few rollouts at a time, so that it is the update that needs most.
    ppo = {"rollout_batch_size": 4}
    plain = held(policy={"scratch": SCRATCH}, ppo=ppo)["ppo"]
    saving = {
        "lora": held(policy={"scratch": SCRATCH, "lora": {}}, ppo=ppo)["ppo"],
        **{
            str(change): held(policy={"scratch": SCRATCH}, ppo={**ppo, **change})["ppo"]
            for change in (
                {"critic": "shared"},
                {"bf16": True},
                {"gradient_checkpointing": True},
                {"forward_batch_tokens": 400},
            )
        },
    }
    assert all(0 < each < plain for each in saving.values()), (plain, saving)
    moving = {"kl_anchor": "previous", "selection": {"strategy": "random", "size": 5}}
    arms = {"vanilla": {"alpha": 0}, "moving": moving}
    weights = weight_bytes(policy_on_meta(PolicyConfig(scratch=ScratchConfig(**SCRATCH))))
    assert held(policy={"scratch": SCRATCH}, ppo=ppo, arms=arms)["ppo"] - plain == weights
