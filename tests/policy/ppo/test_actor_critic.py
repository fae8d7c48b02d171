"""One module for both: values beside log-probabilities, and less memory on request."""

from __future__ import annotations

import pytest
import torch

from frft.models import load_causal_lm
from frft.policy.critic import Critic, ValueHead
from frft.policy.ppo.actor_critic import ActorCritic
from frft.policy.ppo.rollout import forward_batches


@pytest.fixture
def policy(tiny_lm_folder, tiny_tokenizer):
    return load_causal_lm(tiny_lm_folder, tiny_tokenizer).eval()


@pytest.fixture
def batch():
    tokens = torch.tensor([[5, 6, 7], [8, 9, 0]])
    mask = torch.tensor([[True, True, True], [True, True, False]])
    (batch,) = forward_batches([[40], [50, 51]], tokens, mask, range(2), 100, 0)
    return batch


def random_head(policy):
    head = ValueHead.on(policy)
    torch.nn.init.normal_(head.weight, generator=torch.Generator().manual_seed(0))
    return head


def test_a_shared_head_reads_the_hidden_state_before_each_token(policy, batch):
    head = random_head(policy)
    logprobs, entropy, values = ActorCritic(policy, head)(batch, 1.0)
    for index, row in enumerate(batch.rows):
        ids = batch.ids[index][batch.mask[index].bool()]
        with torch.no_grad():  # alone, without padding
            hidden = policy.base_model(input_ids=ids[None]).last_hidden_state[0]
            distribution = policy(input_ids=ids[None]).logits[0].log_softmax(-1)
        prompt = [1, 2][row]
        before = slice(prompt - 1, len(ids) - 1)
        response = ids[prompt:]
        count = len(response)
        assert torch.allclose(values[index, :count], (hidden[before] @ head.weight[0]) + head.bias, atol=1e-5)
        expected = distribution[before].gather(-1, response[:, None])[:, 0]
        assert torch.allclose(logprobs[index, :count], expected, atol=1e-5)
        assert torch.allclose(entropy[index, :count], -(distribution.exp() * distribution).sum(-1)[before], atol=1e-4)


@pytest.mark.parametrize("shared", [True, False])
def test_recomputing_keeps_less_and_changes_nothing(policy, batch, shared):
    model = ActorCritic(policy, random_head(policy) if shared else Critic.from_causal_lm(policy)).eval()

    def gradients():
        kept = []
        with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t.numel()) or t, lambda t: t):
            logprobs, _, values = model(batch, 1.0)
        model.zero_grad()
        (logprobs.sum() + values.pow(2).sum() + values.sum()).backward()
        return torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None]), sum(kept)

    plain, kept = gradients()
    with model.recomputing():
        recomputed, kept_less = gradients()
    assert torch.allclose(plain, recomputed, atol=1e-6)
    assert kept_less < 0.7 * kept
    again, kept_again = gradients()
    assert kept_again == kept
    assert torch.equal(again, plain)
    assert not any(module.training for module in model.modules())


def test_dropout_stays_off_while_recomputing(tiny_tokenizer):
    from transformers import OPTConfig, OPTForCausalLM

    torch.manual_seed(0)
    config = OPTConfig(
        vocab_size=320, hidden_size=32, ffn_dim=64, num_hidden_layers=2, num_attention_heads=2, word_embed_proj_dim=32
    )
    assert config.dropout > 0
    policy = OPTForCausalLM(config).eval()
    model = ActorCritic(policy, random_head(policy)).eval()
    tokens, mask = torch.tensor([[5, 6, 7]]), torch.ones(1, 3, dtype=torch.bool)
    (batch,) = forward_batches([[40]], tokens, mask, range(1), 100, 1)
    plain, _, _ = model(batch, 1.0)
    with model.recomputing():
        recomputed, _, _ = model(batch, 1.0)
        recomputed.sum().backward()
    assert torch.allclose(plain, recomputed, atol=1e-6)
    gradient = policy.lm_head.weight.grad.clone()
    model.zero_grad()
    model(batch, 1.0)[0].sum().backward()
    assert torch.allclose(policy.lm_head.weight.grad, gradient, atol=1e-5)
