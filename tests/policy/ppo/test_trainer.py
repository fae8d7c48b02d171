"""PPO's invariants on real (tiny) transformers, and convergence to the known optimum."""

from __future__ import annotations

import copy
import itertools

import pytest
import torch

from frft.config.model import PPOConfig, SamplingConfig, ScratchConfig
from frft.errors import RewardError, TrainingError
from frft.models import build_causal_lm, load_causal_lm
from frft.policy.critic import Critic
from frft.policy.ppo import PPOTrainer
from frft.policy.ppo.rollout import forward_batches, response_logprobs, response_values

PROMPTS = [f"\n\nHuman: {question}\n\nAssistant:" for question in ("Why?", "How do I bake bread?", "Name a color.")]


def count_vowels(prompts, completions):
    return [sum(letter in "aeiou" for letter in text) / 5 for text in completions]


def make_trainer(lm_folder, tokenizer, reward=count_vowels, sft=None, **changes):
    settings = {
        "total_steps": 4,
        "rollout_batch_size": 6,
        "mini_batch_size": 4,
        "forward_batch_size": 3,
        "num_ppo_epochs": 2,
        "learning_rate": 1e-3,
        "critic_learning_rate": 1e-3,
        "sampling": SamplingConfig(max_new_tokens=8, max_prompt_tokens=32),
    }
    config = PPOConfig.model_validate(settings | changes)
    policy, reference = (load_causal_lm(lm_folder, tokenizer) for _ in range(2))
    critic = Critic.from_causal_lm(policy)
    return PPOTrainer(policy, critic, reference, tokenizer, reward, PROMPTS, config, seed=3, sft=sft)


def weights_of(trainer):
    return torch.cat([p.detach().flatten() for m in (trainer.policy, trainer.critic) for p in m.parameters()])


def test_before_the_first_update_the_ratio_is_one(tiny_lm_folder, tiny_tokenizer):
    trainer = make_trainer(tiny_lm_folder, tiny_tokenizer, num_ppo_epochs=1, mini_batch_size=6, learning_rate=1e-12)
    _, metrics = trainer.step()
    assert metrics["approx_kl"] == pytest.approx(0, abs=1e-9)
    assert metrics["clip_fraction"] == 0
    # With ratio 1 the surrogate is minus the mean whitened advantage, which is 0.
    assert metrics["policy_loss"] == pytest.approx(0, abs=1e-5)
    assert metrics["kl_sft_k1"] == pytest.approx(0, abs=1e-5)


def test_neither_content_nor_amount_of_padding_changes_anything(tiny_lm_folder, tiny_tokenizer):
    trainer = make_trainer(tiny_lm_folder, tiny_tokenizer)
    rollout = trainer.collect()
    for row in range(len(rollout.prompts)):
        length = int(rollout.mask_BT[row].sum())
        whole = torch.tensor([rollout.prompt_ids[row] + rollout.tokens_BT[row, :length].tolist()])
        with torch.no_grad():  # the sequence alone: no padding at all, no mask, no positions
            logits = trainer.policy(input_ids=whole).logits[0, -length - 1 : -1]
        expected = logits.log_softmax(-1).gather(-1, whole[0, -length:, None])[:, 0]
        assert torch.allclose(rollout.logprobs_BT[row, :length], expected, atol=1e-5)

    spoiled = torch.where(rollout.mask_BT, rollout.tokens_BT, 7)
    for pad in (tiny_tokenizer.pad_token_id, 9):
        for batch in forward_batches(rollout.prompt_ids, spoiled, rollout.mask_BT, range(6), 6, pad):
            with torch.no_grad():
                logprobs, _ = response_logprobs(trainer.policy, batch, 1.0)
                values = response_values(trainer.critic, batch)
            mask = rollout.mask_BT[batch.rows, : batch.response_width]
            columns = slice(batch.response_width)
            assert torch.allclose(logprobs[mask], rollout.logprobs_BT[batch.rows, columns][mask], atol=1e-5)
            assert torch.allclose(values[mask], rollout.values_BT[batch.rows, columns][mask], atol=1e-5)


def test_accumulating_small_forward_batches_is_the_same_as_one_large(tiny_lm_folder, tiny_tokenizer):
    results = []
    for size in (1, 6):
        trainer = make_trainer(tiny_lm_folder, tiny_tokenizer, forward_batch_size=size, mini_batch_size=6)
        rollout = trainer.collect()
        advantages, returns, _ = trainer.advantages(rollout)
        trainer._accumulate(rollout, advantages, returns, range(6))
        results.append(torch.cat([p.grad.flatten() for p in trainer.policy.parameters()]))
    assert torch.allclose(*results, atol=1e-5)


def test_resumed_is_the_same_as_uninterrupted(tiny_lm_folder, tiny_tokenizer, tmp_path):
    settings = {"kl_target": 0.05, "kl_horizon": 20}
    whole = make_trainer(tiny_lm_folder, tiny_tokenizer, **settings)
    curves = {"whole": [], "parts": []}
    whole.train(4, lambda metrics, _: curves["whole"].append(metrics["score"]))

    first = make_trainer(tiny_lm_folder, tiny_tokenizer, **settings)
    first.train(2, lambda metrics, _: curves["parts"].append(metrics["score"]))
    first.save(tmp_path)
    torch.manual_seed(999)  # nothing may depend on the global generator
    second = PPOTrainer.load(tmp_path, first.reference, tiny_tokenizer, count_vowels, PROMPTS, first.config)
    second.train(4, lambda metrics, _: curves["parts"].append(metrics["score"]))
    assert curves["parts"] == curves["whole"]
    assert second.kl.coef == whole.kl.coef != whole.config.kl_coef
    assert torch.equal(weights_of(second), weights_of(whole))


def test_every_prompt_is_used_once_before_any_is_used_again(tiny_lm_folder, tiny_tokenizer):
    trainer = make_trainer(tiny_lm_folder, tiny_tokenizer, rollout_batch_size=2)
    seen = []
    for step in range(6):
        trainer.step_number = step
        seen += trainer._prompt_indices()
    rounds = [sorted(seen[i : i + 3]) for i in range(0, 12, 3)]
    assert rounds == [[0, 1, 2]] * 4
    assert len({tuple(seen[i : i + 3]) for i in range(0, 12, 3)}) > 1


def test_kl_is_reported_from_sft_and_penalised_from_the_anchor(tiny_lm_folder, tiny_tokenizer):
    config = ScratchConfig(vocab_size=320, hidden_size=32, num_hidden_layers=2, num_attention_heads=2)
    other = build_causal_lm(config.model_copy(update={"max_position_embeddings": 128}), tiny_tokenizer, seed=9)
    trainer = make_trainer(tiny_lm_folder, tiny_tokenizer, sft=other, kl_coef=1.0)
    rollout = trainer.collect()
    _, _, metrics = trainer.advantages(rollout)
    assert metrics["reward"] == pytest.approx(metrics["score"], abs=1e-4)  # the policy still is the anchor
    assert metrics["kl_sft_k3"] > 0.01


def test_a_missing_eos_replaces_the_score(tiny_lm_folder, tiny_tokenizer):
    trainer = make_trainer(tiny_lm_folder, tiny_tokenizer, missing_eos_penalty=-5.0)
    rollout = trainer.collect()
    assert not rollout.has_eos_B.all()
    expected = torch.where(rollout.has_eos_B, torch.tensor(count_vowels(None, rollout.completions)), -5.0)
    assert torch.allclose(rollout.scores_B, expected)


@pytest.mark.parametrize(
    ("reward", "message"),
    [
        (lambda prompts, completions: [float("nan")] * len(prompts), "completion 0 of 6 is nan"),
        (lambda prompts, completions: [1.0], "1 scores for 6 completions"),
    ],
)
def test_a_reward_that_is_no_reward_is_an_error(tiny_lm_folder, tiny_tokenizer, reward, message):
    with pytest.raises(RewardError, match=message):
        make_trainer(tiny_lm_folder, tiny_tokenizer, reward=reward).step()


def test_a_gradient_that_is_not_finite_stops_the_training(tiny_lm_folder, tiny_tokenizer):
    trainer = make_trainer(tiny_lm_folder, tiny_tokenizer)
    rollout = trainer.collect()
    advantages, returns, _ = trainer.advantages(rollout)
    with pytest.raises(TrainingError, match="grad_norm_policy is nan"):
        trainer.update(rollout, advantages * float("nan"), returns)


def test_the_policy_converges_to_the_closed_form_optimum():
    """On an enumerable space PPO must reach pi_ref(y) exp(r(y) / beta) / Z (total variation below 0.02)."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    words = Tokenizer(models.WordLevel({"<pad>": 0, "<eos>": 1, "a": 2, "b": 3, "c": 4}, unk_token="a"))
    words.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=words, pad_token="<pad>", eos_token="<eos>")
    config = ScratchConfig(hidden_size=32, num_hidden_layers=1, num_attention_heads=2, max_position_embeddings=16)
    policy = build_causal_lm(config, tokenizer, seed=0)
    reference = copy.deepcopy(policy)
    beta = 0.5

    def gold(text: str) -> float:
        return 0.5 * text.count("a") - 0.4 * text.count("b") + 0.6 * text.startswith("c")

    others = [0, 2, 3, 4]
    space = [(1,), *((x, 1) for x in others), *itertools.product(others, others)]

    def distribution(model) -> torch.Tensor:
        tokens = torch.zeros(len(space), 2, dtype=torch.long)
        mask = torch.zeros(len(space), 2, dtype=torch.bool)
        for row, response in enumerate(space):
            tokens[row, : len(response)] = torch.tensor(response)
            mask[row, : len(response)] = True
        result = torch.zeros(len(space))
        with torch.no_grad():
            for batch in forward_batches([[2]] * len(space), tokens, mask, range(len(space)), 64, 0):
                logprobs, _ = response_logprobs(model, batch, 1.0)
                result[batch.rows] = (logprobs * mask[batch.rows, : batch.response_width]).sum(-1)
        return result.exp()

    rewards = torch.tensor(
        [gold(text) for text in tokenizer.batch_decode([list(y) for y in space], skip_special_tokens=True)]
    )
    start = distribution(reference)
    assert start.sum().item() == pytest.approx(1, abs=1e-4)
    optimum = start * (rewards / beta).exp()
    optimum /= optimum.sum()

    settings = PPOConfig(
        total_steps=200,
        rollout_batch_size=256,
        mini_batch_size=64,
        forward_batch_size=64,
        num_ppo_epochs=2,
        learning_rate=3e-3,
        critic_learning_rate=3e-3,
        vf_coef=1.0,
        lam=1.0,
        kl_coef=beta,
        sampling=SamplingConfig(top_k=0, max_new_tokens=2),
    )
    trainer = PPOTrainer(
        policy,
        Critic.from_causal_lm(policy),
        reference,
        tokenizer,
        lambda prompts, completions: [gold(text) for text in completions],
        ["a"],
        settings,
        seed=0,
    )
    trainer.train(settings.total_steps, lambda metrics, rollout: None)
    distance = 0.5 * (distribution(trainer.policy) - optimum).abs().sum().item()
    assert 0.5 * (start - optimum).abs().sum().item() > 0.2  # there was something to learn
    assert distance < 0.02
