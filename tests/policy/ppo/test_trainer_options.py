"""What a run may ask for: adapters, a shared critic, bfloat16, recomputation, and the controllers."""

from __future__ import annotations

import copy
import dataclasses

import pytest
import torch

from frft.config.sections import LoraConfig
from frft.errors import ModelError, UsageError
from frft.models import WithoutAdapters, add_adapters, load_causal_lm
from frft.policy.critic import Critic, ValueHead
from frft.policy.ppo.trainer import Targets
from frft.reward import RewardModel


@pytest.fixture
def adapted(make_trainer, tiny_lm_folder, tiny_tokenizer):
    """A trainer whose policy and critic have adapters, and whose reference is the model under the policy's."""

    def make(**changes):
        policy = load_causal_lm(tiny_lm_folder, tiny_tokenizer)
        critic = Critic.from_causal_lm(policy)
        critic.backbone = add_adapters(critic.backbone, LoraConfig(r=4), "FEATURE_EXTRACTION", seed=1)
        policy = add_adapters(policy, LoraConfig(r=4), "CAUSAL_LM", seed=2)
        return make_trainer(policy=policy, critic=critic, reference=WithoutAdapters(policy), **changes)

    return make


def weights_of(model):
    return {name: p.detach().clone() for name, p in model.named_parameters()}


def moved(before, model):
    return {name for name, p in model.named_parameters() if not torch.equal(p, before[name])}


def test_with_adapters_only_they_and_the_head_move_and_the_reference_stays(adapted, tiny_lm_folder, tiny_tokenizer):
    trainer = adapted(learning_rate=0.05)
    before = weights_of(trainer.actor_critic)
    _, first = trainer.step()
    rollout, second = trainer.step()
    changed = moved(before, trainer.actor_critic)
    assert {name.split(".")[0] for name in changed} == {"policy", "critic"}
    assert all("lora_" in name or name.startswith("critic.head.") for name in changed)
    assert first["kl_sft_k3"] == pytest.approx(0, abs=1e-9)
    assert second["kl_sft_k3"] > 0.01
    plain = load_causal_lm(tiny_lm_folder, tiny_tokenizer).eval()
    whole = torch.tensor([rollout.prompt_ids[0] + rollout.tokens_BT[0][rollout.mask_BT[0]].tolist()])
    length = int(rollout.mask_BT[0].sum())
    with torch.no_grad():
        logits = plain(input_ids=whole).logits[0, -length - 1 : -1].log_softmax(-1)
    expected = logits.gather(-1, whole[0, -length:, None])[:, 0]
    assert torch.allclose(rollout.reference_logprobs_BT[0, :length], expected, atol=1e-5)


def test_with_adapters_resumed_is_the_same_as_uninterrupted(adapted, tmp_path):
    whole = adapted(learning_rate=0.05)
    whole.train(3, lambda metrics, rollout: None)
    first = adapted(learning_rate=0.05)
    first.train(2, lambda metrics, rollout: None)
    first.save(tmp_path)
    second = adapted(learning_rate=0.05)
    second.restore(tmp_path)
    second.train(3, lambda metrics, rollout: None)
    assert not moved(weights_of(whole.actor_critic), second.actor_critic)


def test_a_policy_with_adapters_is_saved_as_a_plain_model(adapted, tiny_tokenizer, tmp_path):
    trainer = adapted(learning_rate=0.05)
    trainer.step()
    before = weights_of(trainer.actor_critic)
    trainer.save_policy(tmp_path)
    assert not moved(before, trainer.actor_critic)
    plain = load_causal_lm(tmp_path, tiny_tokenizer).eval()
    assert not any("lora" in name for name, _ in plain.named_parameters())
    ids = torch.tensor([[40, 41, 42]])
    with torch.no_grad():
        assert torch.allclose(plain(input_ids=ids).logits, trainer.actor_critic.policy(input_ids=ids).logits, atol=1e-4)


def test_a_state_of_another_seed_is_refused(make_trainer, tmp_path):
    trainer = make_trainer()
    trainer.step()
    trainer.save(tmp_path)
    trainer.seed = 99
    with pytest.raises(UsageError, match="training with seed 3; this one has 99"):
        trainer.restore(tmp_path)


def test_a_shared_critic_learns_with_the_policy(make_trainer, tiny_lm_folder, tiny_tokenizer):
    policy = load_causal_lm(tiny_lm_folder, tiny_tokenizer)
    head = ValueHead.on(policy)
    trainer = make_trainer(policy=policy, critic=head, learning_rate=1e-12)
    rollout = trainer.collect()
    assert rollout.values_BT.abs().max() == 0
    metrics = trainer.update(rollout, trainer.targets(rollout)[0])
    assert metrics["grad_norm_critic"] > 0
    assert head.weight.abs().max() > 1e-4
    before = weights_of(policy)
    nothing = torch.zeros_like(rollout.values_BT)
    trainer.config = trainer.config.model_copy(update={"learning_rate": 1e-3})
    trainer.update(rollout, Targets(nothing, nothing + 1, 0.0))
    assert moved(before, policy)  # by the value loss alone


@pytest.mark.parametrize("option", ["gradient_checkpointing", "bf16"])
def test_less_memory_trains_alike(make_trainer, option):
    plain, other = make_trainer(), make_trainer(**{option: True})
    rollout = plain.collect()
    gradients = []
    for trainer in (plain, other):
        with trainer._recomputing():
            trainer._accumulate(rollout, trainer.targets(rollout)[0], range(6))
        gradients.append(torch.cat([p.grad.flatten() for p in trainer.actor_critic.policy.parameters()]))
    exact, found = gradients
    error = float((found - exact).norm() / exact.norm())
    assert error < 1e-5 if option == "gradient_checkpointing" else 1e-4 < error < 0.1


def test_in_bfloat16_the_first_ratio_is_one(make_trainer):
    _, metrics = make_trainer(bf16=True, num_ppo_epochs=1, mini_batch_size=6, learning_rate=1e-12).step()
    assert metrics["approx_kl"] == pytest.approx(0, abs=1e-9)
    assert metrics["kl_sft_k3"] == pytest.approx(0, abs=1e-9)


def test_passes_end_when_the_policy_has_moved_too_far(make_trainer):
    settings = {"num_ppo_epochs": 6, "mini_batch_size": 6, "learning_rate": 0.02}
    _, all_passes = make_trainer(**settings).step()
    assert all_passes["updates"] == 6
    trainer = make_trainer(**settings, target_kl=0.02)
    rollout = trainer.collect()
    given = rollout, trainer.targets(rollout)[0]
    metrics = trainer.update(*given)
    assert 1 <= metrics["updates"] < 6
    assert metrics["approx_kl"] <= 1.5 * 0.02  # of the passes that were made
    # What was not applied must not come back with the next update.
    assert all(p.grad is None or not p.grad.any() for p in trainer.actor_critic.parameters())
    before = weights_of(trainer.actor_critic)
    assert trainer._accumulate(*given, range(6))[3] / rollout.mask_BT.sum() > 1.5 * 0.02  # of the one that was not
    trainer.optimizer.zero_grad()
    assert not moved(before, trainer.actor_critic)


def test_scores_are_clipped_and_the_clipped_are_counted(make_trainer):
    trainer = make_trainer(reward=lambda prompts, completions: [9.0, -9.0, 0.5, 0.0, 1.0, -1.5], reward_clip=1.0)
    rollout = trainer.collect()
    _, metrics = trainer.targets(rollout)
    assert rollout.scores_B.tolist() == [9.0, -9.0, 0.5, 0.0, 1.0, -1.5]
    assert metrics["score"] == pytest.approx(0.0, abs=1e-6)
    assert metrics["score_clipped"] == pytest.approx(3 / 6)
    assert metrics["reward"] == pytest.approx((1 - 1 + 0.5 + 0 + 1 - 1) / 6, abs=1e-6)


def test_the_penalty_is_in_the_reward_or_in_the_loss_and_never_in_both(make_trainer, tiny_lm_folder, tiny_tokenizer):
    anchor = copy.deepcopy(load_causal_lm(tiny_lm_folder, tiny_tokenizer))
    with torch.no_grad():
        for p in anchor.parameters():
            p.add_(0.05 * torch.randn(p.shape, generator=torch.Generator().manual_seed(0)))

    def gradient(**changes):
        trainer = make_trainer(reference=anchor, **changes)
        rollout = trainer.collect()
        targets, metrics = trainer.targets(rollout)
        targets = targets._replace(advantages_BT=torch.zeros_like(targets.advantages_BT))
        trainer._accumulate(rollout, targets, range(6))
        flat = torch.cat([p.grad.flatten() for p in trainer.actor_critic.policy.parameters()])
        return flat, metrics, rollout, targets, trainer

    in_reward, metrics, *_ = gradient(kl_coef=2.0)
    assert in_reward.abs().max() < 1e-8  # advantages are 0 here, and nothing else is in the loss
    assert abs(metrics["reward"] - metrics["score"]) > 0.01
    in_loss, metrics, rollout, targets, trainer = gradient(kl_coef=2.0, kl_penalty="loss")
    assert metrics["reward"] == pytest.approx(metrics["score"])
    logprobs = [
        trainer.actor_critic.policy(input_ids=torch.tensor([prompt + tokens[kept].tolist()]))
        .logits[0, len(prompt) - 1 : -1]
        .log_softmax(-1)
        .gather(-1, tokens[kept][:, None])[:, 0]
        for prompt, tokens, kept in zip(rollout.prompt_ids, rollout.tokens_BT, rollout.mask_BT, strict=True)
    ]
    reference = [row[kept] for row, kept in zip(rollout.reference_logprobs_BT, rollout.mask_BT, strict=True)]
    loss = (
        targets.kl_coef
        * sum(((p - q) ** 2 / 2).sum() for p, q in zip(logprobs, reference, strict=True))
        / rollout.mask_BT.sum()
    )
    trainer.optimizer.zero_grad()
    loss.backward()
    expected = torch.cat([p.grad.flatten() for p in trainer.actor_critic.policy.parameters()])
    assert torch.allclose(in_loss, expected, atol=1e-5)
    assert expected.norm() > 0.01


@pytest.mark.parametrize("kl_penalty", ["reward", "loss"])
def test_without_beta_the_reference_has_no_say(make_trainer, tiny_lm_folder, tiny_tokenizer, kl_penalty):
    other = copy.deepcopy(load_causal_lm(tiny_lm_folder, tiny_tokenizer))
    with torch.no_grad():
        for p in other.parameters():
            p.add_(0.05 * torch.randn(p.shape, generator=torch.Generator().manual_seed(0)))
    found = []
    for reference in (None, other):
        trainer = make_trainer(reference=reference, kl_coef=0.0, kl_penalty=kl_penalty)
        rollout = trainer.collect()
        targets, metrics = trainer.targets(rollout)
        assert metrics["reward"] == pytest.approx(metrics["score"], abs=1e-6)
        assert targets.kl_coef == 0
        found.append((rollout, targets))
    (one, targets), (two, other_targets) = found
    assert torch.equal(one.tokens_BT, two.tokens_BT)
    assert (one.reference_logprobs_BT - two.reference_logprobs_BT).abs().max() > 0.01
    assert torch.equal(targets.advantages_BT, other_targets.advantages_BT)
    assert torch.equal(targets.returns_BT, other_targets.returns_BT)


def test_a_penalty_in_the_loss_weighs_the_same_whether_or_not_rewards_are_whitened(make_trainer):
    """Whitening divides rewards by their deviation, and a penalty in the loss must be divided with them."""
    weights = []
    for whiten in (False, True):
        trainer = make_trainer(kl_penalty="loss", kl_coef=0.5, whiten_rewards=whiten, lam=1.0)
        rollout = trainer.collect()
        rollout = dataclasses.replace(rollout, values_BT=torch.zeros_like(rollout.values_BT))
        targets, _ = trainer.targets(rollout)
        at_end = [(row, int(kept.sum()) - 1) for row, kept in enumerate(rollout.mask_BT)]
        gained = [targets.advantages_BT[at] for at in at_end]
        # What a unit of score moves the advantage by, against the weight of a nat.
        high, low = int(rollout.scores_B.argmax()), int(rollout.scores_B.argmin())
        per_score = (gained[high] - gained[low]) / (rollout.scores_B[high] - rollout.scores_B[low])
        weights.append(float(targets.kl_coef / per_score))
    assert weights == pytest.approx([0.5, 0.5], rel=1e-4)


def test_all_of_sampling_is_in_bfloat16_where_the_rest_is(make_trainer):
    for asked in (False, True):
        trainer, seen = make_trainer(bf16=asked), []
        trainer.actor_critic.policy.lm_head.register_forward_hook(
            lambda module, given, output, seen=seen: seen.append(torch.is_autocast_enabled("cpu"))
        )
        trainer.collect()
        assert set(seen) == {asked}


@pytest.mark.parametrize("bf16", [False, True])
@pytest.mark.parametrize("with_adapters", [False, True])
def test_the_policy_in_memory_is_that_on_disk_to_the_bit(
    make_trainer, adapted, tiny_tokenizer, tmp_path, bf16, with_adapters
):
    trainer = (adapted if with_adapters else make_trainer)(bf16=bf16)
    trainer.step()
    trainer.save_policy(tmp_path / "policy")
    policy = trainer.actor_critic.policy
    loaded, ids = load_causal_lm(tmp_path / "policy", tiny_tokenizer), torch.arange(4, 24).reshape(2, 10)
    with torch.no_grad():
        ours, theirs = (model.eval()(input_ids=ids).logits for model in (policy, loaded))
    # Beside the weights, adapters are added in another order than merged into them.
    assert torch.allclose(ours, theirs, atol=1e-6) if with_adapters else torch.equal(ours, theirs)


@pytest.mark.parametrize("what", ["policy", "critic"])
def test_a_model_that_would_not_be_trained_is_refused(make_trainer, tiny_lm_folder, tiny_tokenizer, what):
    """A policy loaded from adapters was frozen, and moved by 0.0 without a word."""
    policy = load_causal_lm(tiny_lm_folder, tiny_tokenizer)
    given = {"policy": policy, "critic": Critic.from_causal_lm(policy)}
    given[what].requires_grad_(False)
    with pytest.raises(ModelError, match=rf"All weights of the {what} \(\w+\) are frozen"):
        make_trainer(**given)


def test_a_policy_is_not_its_own_reference(make_trainer, tiny_lm_folder, tiny_tokenizer):
    policy = load_causal_lm(tiny_lm_folder, tiny_tokenizer)
    with pytest.raises(ModelError, match="a KL reference, which is frozen, must be another object"):
        make_trainer(policy=policy, reference=policy)


def test_models_saved_as_adapters_are_trained_as_any_other(
    make_trainer, tiny_lm_folder, saved_adapters, tiny_tokenizer, tmp_path
):
    folder = saved_adapters(tiny_lm_folder, tmp_path / "policy")
    policy, reference = (load_causal_lm(folder, tiny_tokenizer) for _ in range(2))
    judge = RewardModel.load(saved_adapters(tiny_lm_folder, tmp_path / "rm", "SEQ_CLS"), seed=0)
    trainer = make_trainer(reward=judge, policy=policy, reference=reference, critic=Critic.from_classifier(judge.model))
    before = weights_of(trainer.actor_critic.critic)
    trainer.step()
    assert moved(before, trainer.actor_critic.critic) == before.keys()
    assert moved(weights_of(reference), policy) == weights_of(policy).keys()
