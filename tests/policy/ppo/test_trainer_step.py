"""Two whole steps of the trainer against a naive PPO: one sequence at a time, no padding, formulas written out."""

from __future__ import annotations

import copy
import itertools
import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from frft.config.sections import PPOConfig, SamplingConfig
from frft.policy.critic import Critic
from frft.policy.ppo import PPOTrainer

EOS = 1
# Every setting differs from its default and from what would make it invisible: Adam forgives any scale of the gradient,
# so the clipped norm is small enough for its epsilon to matter.
CONFIG = PPOConfig(
    total_steps=4,
    rollout_batch_size=7,
    mini_batch_size=4,
    forward_batch_tokens=24,
    num_ppo_epochs=3,
    sampling=SamplingConfig(temperature=0.7, max_new_tokens=3, max_prompt_tokens=8),
    learning_rate=2e-3,
    critic_learning_rate=3e-3,
    adam_epsilon=1e-4,
    max_grad_norm=0.02,
    gamma=0.97,
    lam=0.9,
    cliprange=0.1,
    cliprange_value=0.03,
    vf_coef=0.37,
    kl_coef=0.3,
    kl_target=4.0,  # between the KL of the two steps, and near enough that the controller's error is not cut
    kl_horizon=50,
    missing_eos_penalty=-1.5,
    whiten_rewards=True,
)


def reward(prompts, completions):
    return [0.5 * text.count("a") - 0.2 * text.count("b") for text in completions]


def model(seed):
    """Peaked distributions, and dropout that would be noticed."""
    from transformers import GPT2Config, GPT2LMHeadModel

    dropout = {"resid_pdrop": 0.3, "embd_pdrop": 0.3, "attn_pdrop": 0.3}
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return GPT2LMHeadModel(
            GPT2Config(
                vocab_size=5,
                n_embd=16,
                n_layer=1,
                n_head=2,
                n_positions=16,
                initializer_range=0.25,
                bos_token_id=1,
                eos_token_id=1,
                pad_token_id=0,
                **dropout,
            )
        ).train()


class NaivePPO:
    """Only the formulas of METHOD, section 4, over Python lists of tokens."""

    def __init__(self, policy, critic, reference, sft):
        self.policy, self.critic, self.reference, self.sft = (
            copy.deepcopy(m).eval() for m in (policy, critic, reference, sft)
        )
        self.beta = CONFIG.kl_coef
        self.updates = 0
        self.moments = {}

    def logprobs(self, model, prompt, response):
        ids = torch.tensor([prompt + response])
        logits = model(input_ids=ids, attention_mask=torch.ones_like(ids)).logits[0] / CONFIG.sampling.temperature
        distributions = torch.softmax(logits[len(prompt) - 1 : -1], -1)
        entropy = -(distributions * distributions.log()).sum(-1)
        return torch.stack([d[token].log() for d, token in zip(distributions, response, strict=True)]), entropy

    def values(self, prompt, response):
        ids = torch.tensor([prompt + response])
        hidden = self.critic.backbone(input_ids=ids, attention_mask=torch.ones_like(ids)).last_hidden_state[0]
        return (hidden @ self.critic.head.weight[0] + self.critic.head.bias)[len(prompt) - 1 : -1]

    @torch.no_grad()
    def experience(self, prompts, responses):
        """What a rollout must hold, sequence by sequence."""
        rows = list(zip(prompts, responses, strict=True))
        own, anchor, sft = (
            [self.logprobs(m, *row)[0] for row in rows] for m in (self.policy, self.reference, self.sft)
        )
        values = [self.values(*row) for row in rows]
        texts = [" ".join("abc"[token - 2] for token in response if token > 1) for response in responses]
        scores = [
            score if response[-1] == EOS else CONFIG.missing_eos_penalty
            for score, response in zip(reward(None, texts), responses, strict=True)
        ]
        return SimpleNamespace(rows=rows, own=own, anchor=anchor, sft=sft, values=values, scores=scores)

    def step(self, seen, mini_batches, remaining):
        rewards = []
        for own, anchor, score in zip(seen.own, seen.anchor, seen.scores, strict=True):
            row = [-self.beta * (p - q) for p, q in zip(own.tolist(), anchor.tolist(), strict=True)]
            row[-1] += score
            rewards.append(row)
        self.reward = np.mean([sum(row) for row in rewards])
        flat = np.concatenate(rewards)
        rewards = [(np.array(row) - flat.mean()) / math.sqrt(flat.var() + 1e-8) + flat.mean() for row in rewards]
        advantages, returns = [], []
        for row, values in zip(rewards, (v.tolist() for v in seen.values), strict=True):
            length = len(row)
            deltas = [
                row[t] + (CONFIG.gamma * values[t + 1] if t + 1 < length else 0) - values[t] for t in range(length)
            ]
            decay = CONFIG.gamma * CONFIG.lam
            advantages.append([sum(decay ** (k - t) * deltas[k] for k in range(t, length)) for t in range(length)])
            returns.append([a + v for a, v in zip(advantages[-1], values, strict=True)])
        flat = np.concatenate(advantages)
        advantages = [[(a - flat.mean()) / math.sqrt(flat.var() + 1e-8) for a in row] for row in advantages]

        totals, norms = np.zeros(5), {"policy": [], "critic": []}
        for mini_batch in mini_batches:
            losses, sums = [], []
            for row in mini_batch:
                logprobs, entropy = self.logprobs(self.policy, *seen.rows[row])
                values = self.values(*seen.rows[row])
                for t in range(len(logprobs)):
                    advantage, target = advantages[row][t], returns[row][t]
                    ratio = torch.exp(logprobs[t] - seen.own[row][t])
                    clipped = ratio.clamp(1 - CONFIG.cliprange, 1 + CONFIG.cliprange)
                    policy_loss = -min(ratio * advantage, clipped * advantage)
                    old = seen.values[row][t]
                    near = old + (values[t] - old).clamp(-CONFIG.cliprange_value, CONFIG.cliprange_value)
                    value_loss = 0.5 * max((values[t] - target) ** 2, (near - target) ** 2)
                    losses.append(policy_loss + CONFIG.vf_coef * value_loss)
                    kl = ratio - 1 - torch.log(ratio)
                    active = float(clipped * advantage < ratio * advantage)
                    sums.append([policy_loss.item(), value_loss.item(), entropy[t].item(), kl.item(), active])
            totals += np.mean(sums, axis=0) * len(sums)
            loss = sum(losses) / len(losses)
            self.updates += 1
            rates = {"policy": CONFIG.learning_rate, "critic": CONFIG.critic_learning_rate}
            for name, rate in rates.items():
                parameters = list(getattr(self, name).parameters())
                gradients = torch.autograd.grad(loss, parameters, retain_graph=True)
                norm = math.sqrt(sum(float((g.double() ** 2).sum()) for g in gradients))
                norms[name].append(norm)
                for p, gradient in zip(parameters, gradients, strict=True):
                    self.adam(p, gradient * min(1, CONFIG.max_grad_norm / (norm + 1e-6)), rate * remaining)
        self.metrics = dict(
            zip(
                ("policy_loss", "value_loss", "entropy", "approx_kl", "clip_fraction"),
                totals / (CONFIG.num_ppo_epochs * len(flat)),
                strict=True,
            )
        )
        self.metrics |= {f"grad_norm_{name}": np.mean(values) for name, values in norms.items()}
        kl = np.mean([(p - q).sum().item() for p, q in zip(seen.own, seen.anchor, strict=True)])
        error = min(max(kl / CONFIG.kl_target - 1, -0.2), 0.2)
        self.beta *= 1 + error * len(seen.rows) / CONFIG.kl_horizon

    @torch.no_grad()
    def adam(self, parameter, gradient, rate):
        """Kingma and Ba 1412.6980, algorithm 1."""
        mean, square = self.moments.get(parameter, (0.0, 0.0))
        mean, square = 0.9 * mean + 0.1 * gradient, 0.999 * square + 0.001 * gradient**2
        self.moments[parameter] = mean, square
        corrected = mean / (1 - 0.9**self.updates), square / (1 - 0.999**self.updates)
        parameter -= rate * corrected[0] / (corrected[1].sqrt() + CONFIG.adam_epsilon)


@pytest.fixture(scope="module")
def steps(words_tokenizer):
    """Two steps of both: what was rolled out and expected, metrics, mini-batches, weights before and after, beta."""
    policy, reference, sft = (model(seed) for seed in (0, 1, 2))
    critic = Critic.from_causal_lm(model(3))
    torch.nn.init.normal_(critic.head.weight, std=0.3, generator=torch.Generator().manual_seed(4))
    torch.nn.init.constant_(critic.head.bias, 0.2)
    naive = NaivePPO(policy, critic, reference, sft)
    prompts = ["a", "b a c", "c c a b b", "b b"]
    trainer = PPOTrainer(policy, critic, reference, words_tokenizer, reward, prompts, CONFIG, seed=7, sft=sft)
    accumulate, mini_batches = trainer._accumulate, []

    def recording(rollout, targets, rows):
        mini_batches.append(list(rows))
        return accumulate(rollout, targets, rows)

    trainer._accumulate = recording
    result = []
    for number in range(2):
        mini_batches.clear()
        before = weights(naive)
        rollout, metrics = trainer.step()
        responses = [row[: row.index(EOS) + 1] if EOS in row else row for row in rollout.tokens_BT.tolist()]
        seen = naive.experience(rollout.prompt_ids, responses)
        naive.step(seen, mini_batches, 1 - number / CONFIG.total_steps)
        result.append(
            SimpleNamespace(
                rollout=rollout,
                seen=seen,
                metrics=metrics,
                expected_metrics={**naive.metrics, "reward": naive.reward},
                mini_batches=list(mini_batches),
                moved=[after - start for after, start in zip(weights(trainer.actor_critic), before, strict=True)],
                expected_moved=[after - start for after, start in zip(weights(naive), before, strict=True)],
                beta=trainer.kl.coef,
                expected_beta=naive.beta,
            )
        )
    return result


def weights(models):
    return [torch.nn.utils.parameters_to_vector(m.parameters()).detach() for m in (models.policy, models.critic)]


def test_a_rollout_holds_what_the_models_say_of_each_sequence(steps):
    lengths = set()
    for step in steps:
        for found_BT, expected in (
            (step.rollout.logprobs_BT, step.seen.own),
            (step.rollout.reference_logprobs_BT, step.seen.anchor),
            (step.rollout.sft_logprobs_BT, step.seen.sft),
            (step.rollout.values_BT, step.seen.values),
        ):
            for found, numbers in zip(found_BT, expected, strict=True):
                assert found[: len(numbers)].tolist() == pytest.approx(numbers.tolist(), abs=1e-4)
        lengths |= {len(values) for values in step.seen.values}
        assert step.rollout.scores_B.tolist() == pytest.approx(step.seen.scores)
        assert 0 < step.rollout.has_eos_B.sum() < len(step.seen.rows)
    assert lengths == {1, 2, 3}


def test_every_pass_over_a_batch_is_a_fresh_permutation(steps):
    passes = [[*step.mini_batches[at], *step.mini_batches[at + 1]] for step in steps for at in (0, 2, 4)]
    assert [len(rows) for step in steps for rows in step.mini_batches] == [4, 3] * 6
    assert all(sorted(rows) == list(range(7)) for rows in passes)
    assert len({tuple(rows) for rows in passes}) == 6


def test_metrics_are_those_of_the_naive_steps(steps):
    for step in steps:
        found = {name: step.metrics[name] for name in step.expected_metrics}
        assert found == pytest.approx(step.expected_metrics, rel=1e-3, abs=1e-4)
        assert step.metrics["clip_fraction"] > 0.05  # there was something to clip
        assert step.metrics["grad_norm_policy"] > CONFIG.max_grad_norm < step.metrics["grad_norm_critic"]


def test_policy_and_critic_move_as_in_the_naive_steps(steps):
    for step in steps:
        for moved, expected in zip(step.moved, step.expected_moved, strict=True):
            assert (moved - expected).norm() < 1e-4 * expected.norm()


def test_beta_follows_the_kl_from_the_anchor(steps):
    for step in steps:
        assert step.beta == pytest.approx(step.expected_beta, rel=1e-4)
    # Within what the error is cut to, or a KL from the wrong model would give the same beta.
    most = 0.2 * CONFIG.rollout_batch_size / CONFIG.kl_horizon
    betas = [CONFIG.kl_coef, *(step.beta for step in steps)]
    for before, after in itertools.pairwise(betas):
        assert 0 < abs(after / before - 1) < 0.9 * most
