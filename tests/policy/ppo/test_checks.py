"""Launches that PPO refuses; the other checks are tested where they come from."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from accelerate.utils import DistributedType

from frft.config.sections import PPOConfig
from frft.errors import UsageError
from frft.policy.ppo.checks import check_start


def check(tokenizer, config=None, **launch):
    accelerator = {"distributed_type": DistributedType.MULTI_GPU, "mixed_precision": "no", "num_processes": 2, **launch}
    check_start({}, ["a"], tokenizer, config or PPOConfig(), SimpleNamespace(**accelerator))


def test_what_can_be_done_is_let_through(tiny_tokenizer):
    check(tiny_tokenizer)


@pytest.mark.parametrize("engine", [DistributedType.FSDP, DistributedType.DEEPSPEED])
def test_engines_that_shard_weights_are_refused(tiny_tokenizer, engine):
    with pytest.raises(UsageError, match=f"does not shard weights by {engine.value}"):
        check(tiny_tokenizer, distributed_type=engine)


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_mixed_precision_is_a_setting_and_no_launch_option(tiny_tokenizer, precision):
    with pytest.raises(UsageError, match=rf"mixed precision {precision}.* set ppo\.bf16"):
        check(tiny_tokenizer, mixed_precision=precision)


@pytest.mark.parametrize("name", ["rollout_batch_size", "mini_batch_size"])
def test_batches_must_be_divisible(tiny_tokenizer, name):
    with pytest.raises(UsageError, match=rf"ppo\.{name} \(10\) cannot be divided evenly among 4 processes"):
        check(tiny_tokenizer, PPOConfig.model_validate({name: 10}), num_processes=4)
