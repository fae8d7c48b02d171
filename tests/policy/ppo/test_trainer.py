"""PPO's invariants on real (tiny) transformers, and convergence to the known optimum."""

from __future__ import annotations

import copy
import itertools
import json

import pytest
import torch

from frft.config.sections import PPOConfig, SamplingConfig, ScratchConfig
from frft.errors import DataError, ModelError, RewardError, TrainingError, UsageError
from frft.models import build_causal_lm, load_causal_lm, load_reward_backbone
from frft.policy.critic import Critic
from frft.policy.ppo import PPOTrainer
from frft.policy.ppo.rollout import forward_batches, response_logprobs, response_values
from frft.reward import RewardModel

PROMPTS = [f"\n\nHuman: {question}\n\nAssistant:" for question in ("Why?", "How do I bake bread?", "Name a color.")]


def count_vowels(prompts, completions):
    return [sum(letter in "aeiou" for letter in text) / 5 for text in completions]


def make_trainer(lm_folder, tokenizer, reward=count_vowels, sft=None, critic=None, prompts=PROMPTS, **changes):
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
    critic = critic or Critic.from_causal_lm(policy)
    return PPOTrainer(policy, critic, reference, tokenizer, reward, prompts, config, seed=3, sft=sft)


def tiny(tokenizer, positions, seed=9):
    config = ScratchConfig(
        hidden_size=32, num_hidden_layers=2, num_attention_heads=2, max_position_embeddings=positions
    )
    return build_causal_lm(config, tokenizer, seed)


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
    trainer = make_trainer(tiny_lm_folder, tiny_tokenizer, sft=tiny(tiny_tokenizer, 128), kl_coef=1.0)
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


def test_a_constant_added_to_the_reward_model_changes_no_advantage(tiny_lm_folder, tiny_tokenizer):
    plain = load_reward_backbone(tiny_lm_folder, tiny_tokenizer, seed=4).eval()
    shifted = copy.deepcopy(plain)
    shifted.score = torch.nn.Linear(32, 1)
    with torch.no_grad():
        shifted.score.weight.copy_(plain.score.weight)
        shifted.score.bias.fill_(5.0)
    samples = [[f"{prompt} {word}" for prompt in PROMPTS for word in words] for words in (["x", "y"], ["Red", "bread"])]
    results = []
    for classifier in (plain, shifted):
        reward = RewardModel(classifier, tiny_tokenizer, 128)
        raw = reward.raw_scores(*samples)
        reward.normalise(*samples)
        critic = Critic.from_classifier(classifier, reward.gain, reward.bias)
        trainer = make_trainer(tiny_lm_folder, tiny_tokenizer, reward=reward, critic=critic)
        rollout = trainer.collect()
        results.append((raw, rollout, *trainer.advantages(rollout)))
    (raw, rollout, advantages, returns, _), (other_raw, other_rollout, other_advantages, other_returns, _) = results
    assert other_raw == pytest.approx(raw + 5.0, abs=1e-5)
    assert raw.std() < 1.0  # the shift is larger by far
    assert rollout.completions == other_rollout.completions
    assert torch.allclose(advantages, other_advantages, atol=1e-3)
    assert torch.allclose(returns, other_returns, atol=1e-3)
    assert advantages.std() > 0.1


def test_a_reward_that_is_no_reward_is_an_error(tiny_lm_folder, tiny_tokenizer):
    with pytest.raises(RewardError, match="completion 0 of 6 is nan"):
        make_trainer(
            tiny_lm_folder, tiny_tokenizer, reward=lambda prompts, completions: [float("nan")] * len(prompts)
        ).step()


@pytest.mark.parametrize("name", ["policy_loss", "value_loss"])
def test_a_loss_that_is_not_finite_stops_the_training_before_it_does_harm(tiny_lm_folder, tiny_tokenizer, name):
    trainer = make_trainer(tiny_lm_folder, tiny_tokenizer, vf_coef=0.0)
    rollout = trainer.collect()
    advantages, returns, _ = trainer.advantages(rollout)
    spoiled = {"policy_loss": (advantages * float("nan"), returns), "value_loss": (advantages, returns + float("inf"))}
    before = weights_of(trainer)
    with pytest.raises(TrainingError, match=f"PPO step 1: {name} is (nan|inf)"):
        trainer.update(rollout, *spoiled[name])
    assert torch.equal(weights_of(trainer), before)


@pytest.mark.parametrize("name", ["policy", "critic"])
def test_a_gradient_that_is_not_finite_stops_the_training(tiny_lm_folder, tiny_tokenizer, name):
    trainer = make_trainer(tiny_lm_folder, tiny_tokenizer)
    next(getattr(trainer, name).parameters()).register_hook(lambda gradient: gradient * float("inf"))
    with pytest.raises(TrainingError, match=f"PPO step 1: grad_norm_{name} is (nan|inf)"):
        trainer.step()


def test_there_is_no_step_after_the_last(tiny_lm_folder, tiny_tokenizer):
    trainer = make_trainer(tiny_lm_folder, tiny_tokenizer, total_steps=1)
    with pytest.raises(UsageError, match="to step 2: total_steps is 1"):
        trainer.train(2, lambda metrics, rollout: None)
    assert trainer.step_number == 0
    trainer.train(1, lambda metrics, rollout: None)
    with pytest.raises(UsageError, match="to step 2: total_steps is 1"):
        trainer.step()


def test_prompts_that_cannot_be_rolled_out_are_refused_at_once(tiny_lm_folder, tiny_tokenizer):
    with pytest.raises(UsageError, match="no prompts"):
        make_trainer(tiny_lm_folder, tiny_tokenizer, prompts=[])
    with pytest.raises(DataError, match=r"Prompt 1 of 2 .* no tokens: ''"):
        make_trainer(tiny_lm_folder, tiny_tokenizer, prompts=["a", ""])
    assert make_trainer(tiny_lm_folder, tiny_tokenizer).encoder.truncated.sequences == 0


def test_models_with_too_few_positions_are_refused_at_once(tiny_lm_folder, tiny_tokenizer):
    critic = Critic.from_causal_lm(tiny(tiny_tokenizer, 39))
    with pytest.raises(ModelError, match=r"\(32\) \+ max_new_tokens \(8\) is 40 .* critic .* only 39 positions"):
        make_trainer(tiny_lm_folder, tiny_tokenizer, critic=critic)
    with pytest.raises(ModelError, match=r"the SFT model .* only 39 positions"):
        make_trainer(tiny_lm_folder, tiny_tokenizer, sft=tiny(tiny_tokenizer, 39))
    for what in ("policy", "reference"):
        sampling = SamplingConfig(max_new_tokens=97, max_prompt_tokens=32)
        models = {name: tiny(tiny_tokenizer, 128 if name == what else 129) for name in ("policy", "reference")}
        critic = Critic.from_causal_lm(tiny(tiny_tokenizer, 129))
        with pytest.raises(ModelError, match=f"is 129 tokens, but the {what} .* only 128 positions"):
            PPOTrainer(
                models["policy"],
                critic,
                models["reference"],
                tiny_tokenizer,
                count_vowels,
                PROMPTS,
                PPOConfig(sampling=sampling),
                seed=0,
            )
    critic = Critic.from_causal_lm(tiny(tiny_tokenizer, 40))
    make_trainer(tiny_lm_folder, tiny_tokenizer, critic=critic).step()


def test_code_that_comes_with_saved_models_is_run_only_if_trusted(
    tiny_lm_folder, tiny_tokenizer, tmp_path, monkeypatch
):
    monkeypatch.setattr("transformers.dynamic_module_utils.HF_MODULES_CACHE", tmp_path / "modules")
    monkeypatch.syspath_prepend(tmp_path / "modules")
    trainer = make_trainer(tiny_lm_folder, tiny_tokenizer)
    trainer.save(tmp_path / "saved")
    for part, auto, base in (
        ("policy", "AutoModelForCausalLM", "GPT2LMHeadModel"),
        ("critic", "AutoModel", "GPT2Model"),
    ):
        folder = tmp_path / "saved" / part
        (folder / f"of_{part}.py").write_text(
            f"from transformers import GPT2Config, {base}\n"
            "class Config(GPT2Config):\n    model_type = 'stranger'\n"
            f"class Model({base}):\n    config_class = Config\n"
        )
        config = json.loads((folder / "config.json").read_text())
        auto_map = {"AutoConfig": f"of_{part}.Config", auto: f"of_{part}.Model"}
        (folder / "config.json").write_text(json.dumps(config | {"model_type": "stranger", "auto_map": auto_map}))
    given = (tmp_path / "saved", trainer.reference, tiny_tokenizer, count_vowels, PROMPTS, trainer.config)
    with pytest.raises(ModelError, match="custom code"):
        PPOTrainer.load(*given)
    with pytest.raises(ModelError, match="custom code"):
        Critic.load(tmp_path / "saved" / "critic")
    loaded = PPOTrainer.load(*given, trust_remote_code=True)
    assert type(loaded.policy).__name__ == type(loaded.critic.backbone).__name__ == "Model"
    assert torch.equal(weights_of(loaded), weights_of(trainer))


@pytest.mark.slow
def test_the_policy_converges_to_the_closed_form_optimum(words_tokenizer):
    """On an enumerable space PPO must reach pi_ref(y) exp(r(y) / beta) / Z (total variation below 0.02)."""
    tokenizer = words_tokenizer
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
        sampling=SamplingConfig(top_k=0, max_new_tokens=2, max_prompt_tokens=2),
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
