"""RLOO and GRPO by TRL: what they are rewarded by, how they go on, and what they converge to."""

from __future__ import annotations

import ast
import copy
import inspect
import re

import pytest
import torch

from frft.config.algorithms import ALGORITHMS
from frft.config.sections import GroupConfig, LoraConfig, PPOConfig, SamplingConfig
from frft.errors import ArtifactError, DataError, ModelError, RewardError, TrainingError, UsageError
from frft.models import Encoder, WithoutAdapters, add_adapters, load_causal_lm
from frft.policy import decode, generate, hooks, online
from frft.policy.gpt2 import CachedGPT2
from frft.policy.online import GroupTrainer
from frft.policy.order import prompt_indices

PROMPTS = [f"\n\nHuman: {question}\n\nAssistant:" for question in ("Why?", "How do I bake bread?", "Name a color.")]
WITHOUT_CRITIC = [each.name for each in ALGORITHMS.values() if not each.has_critic]


def count_vowels(prompts, completions):
    return [sum(letter in "aeiou" for letter in text) / 5 for text in completions]


@pytest.fixture
def make(tiny_lm_folder, tiny_tokenizer):
    def make_trainer(algorithm="rloo", reward=count_vowels, prompts=PROMPTS, models=None, **changes) -> GroupTrainer:
        settings = {
            "total_steps": 4,
            "rollout_batch_size": 8,
            "mini_batch_size": 4,
            "forward_batch_tokens": 100,
            "learning_rate": 1e-3,
            "sampling": SamplingConfig(max_new_tokens=8, max_prompt_tokens=32),
        }
        group = GroupConfig(**{key: changes.pop(key) for key in list(changes) if key in GroupConfig.model_fields})
        config = PPOConfig.model_validate(settings | changes)
        policy, reference = models or (load_causal_lm(tiny_lm_folder, tiny_tokenizer) for _ in range(2))
        return GroupTrainer(algorithm, policy, reference, tiny_tokenizer, reward, prompts, config, group, seed=3)

    return make_trainer


@pytest.fixture
def two_policies(tiny_lm_folder, tiny_tokenizer):
    return [load_causal_lm(tiny_lm_folder, tiny_tokenizer) for _ in range(2)]


def run(trainer, until_step=2):
    rows = []
    trainer.train(until_step, lambda metrics, rollout: rows.append((metrics, rollout)))
    return rows


def weights_of(trainer):
    return torch.cat([parameter.detach().flatten() for parameter in trainer._trl.model.parameters()])


def without_times(rows):
    return [{name: value for name, value in metrics.items() if "second" not in name} for metrics, _ in rows]


@pytest.mark.parametrize("algorithm", WITHOUT_CRITIC)
def test_a_step_reports_what_was_written_and_how_it_was_scored(make, algorithm):
    (metrics, rollout), _ = run(make(algorithm))
    assert rollout.scores_B.tolist() == pytest.approx(count_vowels(rollout.prompts, rollout.completions))
    assert metrics["score"] == pytest.approx(rollout.scores_B.mean().item())
    assert metrics["score_std"] == pytest.approx(rollout.scores_B.std(correction=0).item())
    assert metrics["has_eos"] == sum(rollout.has_eos) / 8
    assert (metrics["step"], metrics["updates"], metrics["kl_coef"]) == (1, 2, 0.02)
    # Before the first update the policy is the reference.
    assert [metrics[name] for name in ("kl_sft_k1", "kl_sft_k3")] == pytest.approx([0, 0], abs=1e-5)
    assert metrics["reward"] == pytest.approx(metrics["score"], abs=1e-6)


def test_prompts_come_in_ppos_order_in_groups(make):
    (_, first), (_, second) = run(make(num_generations=4))
    rolled_out = [*first.prompts, *second.prompts]
    assert rolled_out[::4] == [PROMPTS[row] for row in prompt_indices(len(PROMPTS), 3, range(4))]
    assert all(len(set(rolled_out[start : start + 4])) == 1 for start in range(0, 16, 4))
    assert len(set(first.completions)) > 4


@pytest.mark.parametrize("algorithm", WITHOUT_CRITIC)
def test_kl_is_that_of_the_samples_from_anchor_and_sft(make, algorithm, tiny_lm_folder, tiny_tokenizer):
    """The KL of the second rollout, from logits of each sequence alone."""
    other = load_causal_lm(tiny_lm_folder, tiny_tokenizer)
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.mul_(1.5)
    trainer = make(algorithm, kl_coef=0.3)
    trainer.sft = other.requires_grad_(False)
    sampled, steps = [], []
    sample = trainer.sample
    trainer.sample = lambda prompt_ids: sampled.append((prompt_ids, sample(prompt_ids))) or sampled[-1][1]
    trainer.train(2, lambda metrics, rollout: steps.append((metrics, copy.deepcopy(trainer._trl.model.state_dict()))))
    # The second rollout was written by the policy as it was after the first step.
    metrics, policy = steps[1][0], load_causal_lm(tiny_lm_folder, tiny_tokenizer)
    policy.load_state_dict(steps[0][1])

    def kls(model):
        sums = []
        for prompt, completion in zip(*sampled[1], strict=True):
            ids = torch.tensor([[*prompt, *completion]])
            with torch.no_grad():
                own, against = (m(input_ids=ids).logits[0].log_softmax(-1) for m in (policy, model))
            at = torch.arange(len(prompt) - 1, ids.shape[1] - 1)
            ratio = (own - against)[at, ids[0, len(prompt) :]]
            sums.append((ratio.sum().item(), (torch.exp(-ratio) - 1 + ratio).sum().item()))
        return torch.tensor(sums).mean(0)

    assert [metrics["kl_sft_k1"], metrics["kl_sft_k3"]] == pytest.approx(kls(other).tolist(), rel=1e-3)
    penalty = 0.3 * kls(trainer.reference)[0].item() if algorithm == "rloo" else 0
    assert metrics["reward"] == pytest.approx(metrics["score"] - penalty, abs=1e-5)


@pytest.mark.parametrize("algorithm", WITHOUT_CRITIC)
def test_trl_sees_the_log_probabilities_of_what_was_sampled_whatever_the_padding(make, algorithm):
    trainer = make(algorithm)
    ids = torch.tensor([[0, 0, 0, 7, 8, 9, 10], [3, 4, 5, 6, 7, 8, 9]])
    mask = torch.tensor([[0, 0, 0, 1, 1, 1, 1], [1] * 7])
    with torch.no_grad():
        found, *_ = trainer._trl._get_per_token_logps_and_entropies(trainer._trl.model, ids, mask, 2)
        logits = trainer.reference(input_ids=torch.tensor([[7, 8, 9, 10]])).logits[0, 1:3]
    assert found[0] == pytest.approx(logits.log_softmax(-1)[[0, 1], [9, 10]], abs=1e-5)


@pytest.mark.parametrize("models", ["plain", "adapters"])
def test_gpt2_is_sampled_from_by_its_own_fast_path(make, models, tiny_lm_folder, tiny_tokenizer, monkeypatch):
    """What TRL puts around the forward pass is not there while it samples, and is there again until training ends."""
    policy, reference = (load_causal_lm(tiny_lm_folder, tiny_tokenizer) for _ in range(2))
    if models == "adapters":
        policy = add_adapters(policy, LoraConfig(r=2), "CAUSAL_LM", seed=0)
    readers = []

    class Spy(CachedGPT2):
        def __init__(self, *args):
            readers.append(self)
            super().__init__(*args)

    monkeypatch.setattr(decode, "CachedGPT2", Spy)
    trainer = make("rloo", models=(policy, reference))
    under = getattr(policy, "get_base_model", lambda: policy)()
    forward, seen = vars(under)["forward"], []
    trainer.train(2, lambda metrics, rollout: seen.append(vars(under)["forward"]))
    assert len(readers) == 2
    assert seen == [forward, forward]
    assert "forward" not in vars(under)


def test_grpos_kl_is_the_one_whose_optimum_is_documented(make):
    assert make("grpo")._trl.args.use_bias_correction_kl is True


def test_every_setting_is_used_or_said_to_be_unused():
    """What these algorithms read of PPO's section, what they refuse, and what a run names at its start are all."""
    read = set()
    for module in (online, hooks, generate, decode):
        tree = ast.parse(inspect.getsource(module))
        read |= {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    for algorithm in WITHOUT_CRITIC:
        unused = set(ALGORITHMS[algorithm].unread["ppo"])
        # When to save is for the experiment to decide; where the KL penalty is, each algorithm decides for itself.
        assert unused | set(ALGORITHMS[algorithm].refused) == set(PPOConfig.model_fields) - read - {
            "save_steps",
            "kl_penalty",
        }
        assert not unused & read


def test_prompts_are_tokenized_and_cut_as_everywhere(make, tiny_tokenizer):
    hostile = ["<|endoftext|> is text <|pad|>, and so is this which is much longer than all others " * 2, "Why?"]
    trainer = make(prompts=hostile, num_generations=2)
    run(trainer, 1)
    encoder = Encoder(tiny_tokenizer, 32)
    assert trainer.tokenize(hostile) == encoder.encode_prompts(hostile, 32)
    assert not {tiny_tokenizer.eos_token_id, tiny_tokenizer.pad_token_id} & set(trainer.tokenize(hostile[:1])[0])
    # 8 were rolled out, half of them cut, and 3 more were tokenized here.
    assert (trainer.encoder.truncated.sequences, trainer.encoder.truncated.prompts) == (11, 6)


def test_the_score_of_a_completion_without_eos_is_replaced_and_scores_are_clipped(make):
    trainer = make(missing_eos_penalty=-3.0, reward_clip=2.0, total_steps=8)
    rows = run(trainer, 6)
    ended = [has_eos for _, rollout in rows for has_eos in rollout.has_eos]
    scores = [score for _, rollout in rows for score in rollout.scores_B.tolist()]
    assert 0 < sum(ended) < len(ended)
    assert all((score == -3) != has_eos for score, has_eos in zip(scores, ended, strict=True))
    metrics, rollout = rows[0]
    assert metrics["score_clipped"] == 1 - metrics["has_eos"]
    assert metrics["reward"] == pytest.approx(rollout.scores_B.clamp(-2, 2).mean().item(), abs=1e-6)


@pytest.mark.parametrize("algorithm", WITHOUT_CRITIC)
def test_a_training_that_was_cut_is_the_same_as_one_that_was_not(make, algorithm, tmp_path):
    whole = make(algorithm, num_iterations=2)
    expected = without_times(run(whole, 4))
    first = make(algorithm, num_iterations=2)
    begun = without_times(run(first, 2))
    first.save(tmp_path / "done")
    second = make(algorithm, num_iterations=2)
    second.restore(tmp_path / "done")
    assert second.step_number == 2

    def on_step(metrics, rollout):
        begun.append({name: value for name, value in metrics.items() if "second" not in name})
        if metrics["step"] == 3:
            second.save(tmp_path / "under way")

    second.train(4, on_step)
    assert begun == expected
    assert torch.equal(weights_of(second), weights_of(whole))
    third = make(algorithm, num_iterations=2)
    third.restore(tmp_path / "under way")
    run(third, 4)
    assert torch.equal(weights_of(third), weights_of(whole))


def test_the_same_seed_gives_the_same_training_whatever_else_is_drawn(make):
    one = make()
    run(one)
    torch.rand(3)
    before = torch.get_rng_state()
    two = make()
    run(two)
    assert torch.equal(weights_of(one), weights_of(two))
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("algorithm", WITHOUT_CRITIC)
def test_how_the_arithmetic_is_done_changes_no_more_than_rounding(make, algorithm):
    """Forward passes of other sizes, activations computed again, bfloat16."""
    plain, small, again, rough = (
        make(algorithm, mini_batch_size=8, **changes)
        for changes in ({}, {"forward_batch_tokens": 1}, {"gradient_checkpointing": True}, {"bf16": True})
    )
    for trainer in (plain, small, again, rough):
        run(trainer)
    assert [trainer._trl.args.per_device_train_batch_size for trainer in (plain, small)] == [2, 1]
    assert torch.allclose(weights_of(small), weights_of(plain), atol=1e-5)
    assert torch.equal(weights_of(again), weights_of(plain))
    assert torch.allclose(weights_of(rough), weights_of(plain), atol=1e-2)
    assert not torch.equal(weights_of(rough), weights_of(plain))


def test_the_policy_is_saved_as_a_plain_folder_and_nothing_anywhere_else(
    make, tmp_path, tiny_tokenizer, monkeypatch, capsys
):
    (tmp_path / "cwd").mkdir()
    monkeypatch.chdir(tmp_path / "cwd")
    trainer = make()
    run(trainer)
    trainer.save_policy(tmp_path / "policy")
    saved = load_causal_lm(tmp_path / "policy", tiny_tokenizer)
    assert torch.equal(torch.cat([p.detach().flatten() for p in saved.parameters()]), weights_of(trainer))
    assert list((tmp_path / "cwd").iterdir()) == []
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("algorithm", WITHOUT_CRITIC)
def test_of_a_policy_with_adapters_only_they_are_trained(make, algorithm, tiny_lm_folder, tiny_tokenizer, tmp_path):
    def adapted():
        policy = add_adapters(load_causal_lm(tiny_lm_folder, tiny_tokenizer), LoraConfig(r=4), "CAUSAL_LM", seed=0)
        return policy, WithoutAdapters(policy)

    trainer = make(algorithm, models=adapted(), kl_coef=0.3)
    before = {name: weight.detach().clone() for name, weight in trainer._trl.model.named_parameters()}
    rows = run(trainer, 2)
    moved = {name for name, weight in trainer._trl.model.named_parameters() if not torch.equal(weight, before[name])}
    assert moved
    assert all("lora" in name and ".default." in name for name in moved)
    assert rows[0][0]["kl_sft_k1"] == pytest.approx(0, abs=1e-5)
    assert rows[1][0]["kl_sft_k3"] > 1e-6
    trainer.save(tmp_path / "state")
    trainer.save_policy(tmp_path / "policy")
    ids = torch.tensor([[5, 6, 7]])
    plain = load_causal_lm(tmp_path / "policy", tiny_tokenizer)(input_ids=ids).logits
    assert torch.allclose(plain, trainer._trl.model.eval()(input_ids=ids).logits, atol=1e-5)
    on, whole = (make(algorithm, models=adapted(), kl_coef=0.3) for _ in range(2))
    on.restore(tmp_path / "state")
    assert without_times([*rows, *run(on, 4)]) == without_times(run(whole, 4))
    assert torch.equal(weights_of(on), weights_of(whole))


@pytest.mark.parametrize("algorithm", WITHOUT_CRITIC)
@pytest.mark.parametrize("bf16", [False, True])
def test_the_policy_in_memory_is_that_on_disk_to_the_bit(make, algorithm, bf16, two_policies, tiny_tokenizer, tmp_path):
    """Trained in bfloat16, it went on to be run under autocast until it was saved and loaded."""
    policy, reference = two_policies
    trainer = make(algorithm, models=(policy, reference), bf16=bf16)
    run(trainer, 1)
    trainer.save_policy(tmp_path / "policy")
    loaded, ids = load_causal_lm(tmp_path / "policy", tiny_tokenizer), torch.arange(4, 24).reshape(2, 10)
    assert not {"forward", "_original_forward"} & {*vars(policy), *vars(reference)}
    with torch.no_grad():
        assert torch.equal(policy.eval()(input_ids=ids).logits, loaded.eval()(input_ids=ids).logits)


@pytest.mark.parametrize("algorithm", WITHOUT_CRITIC)
def test_a_policy_that_would_not_be_trained_is_refused(make, algorithm, two_policies):
    policy, reference = two_policies
    with pytest.raises(ModelError, match=r"All weights of the policy \(GPT2LMHeadModel\) are frozen"):
        make(algorithm, models=(policy.requires_grad_(False), reference))
    with pytest.raises(ModelError, match="a KL reference, which is frozen, must be another object"):
        make(algorithm, models=(reference, reference))


@pytest.mark.parametrize("algorithm", WITHOUT_CRITIC)
def test_a_policy_saved_as_adapters_is_trained_as_any_other(
    make, algorithm, tiny_lm_folder, saved_adapters, tiny_tokenizer, tmp_path
):
    folder = saved_adapters(tiny_lm_folder, tmp_path / "adapters")
    policy, reference = (load_causal_lm(folder, tiny_tokenizer) for _ in range(2))
    run(make(algorithm, models=(policy, reference)), 1)
    assert not any(torch.equal(old, new) for old, new in zip(reference.parameters(), policy.parameters(), strict=True))


def test_what_cannot_work_is_refused_at_once(make, tiny_tokenizer):
    for changes, message in (
        ({"num_generations": 3}, r"rollout_batch_size \(8\) must be a multiple of group.num_generations \(3\)"),
        ({"mini_batch_size": 5}, r"rollout_batch_size \(8\) must be a multiple of ppo.mini_batch_size \(5\)"),
        ({"prompts": []}, "no prompts"),
    ):
        with pytest.raises(UsageError, match=message):
            make(**changes)
    with pytest.raises(DataError, match="no tokens"):
        make(prompts=["Why?", ""])
    with pytest.raises(ModelError, match="128 positions"):
        make(sampling=SamplingConfig(max_new_tokens=100, max_prompt_tokens=32))


def test_a_training_ends_where_its_learning_rate_does_and_goes_on_by_restoring(make, tmp_path):
    trainer = make()
    with pytest.raises(UsageError, match="total_steps is 4"):
        run(trainer, 5)
    run(trainer, 1)
    with pytest.raises(UsageError, match="has been used"):
        run(trainer, 2)
    trainer.save(tmp_path / "state")
    with pytest.raises(UsageError, match="8 optimizer steps; this one has 16"):
        make(total_steps=8).restore(tmp_path / "state")
    with pytest.raises(ArtifactError, match="holds no state of a training by"):
        make().restore(tmp_path)
    for file in [file for file in (tmp_path / "state").rglob("*") if file.is_file()]:
        whole = file.read_bytes()
        file.write_bytes(whole[:-9] + bytes([whole[-9] ^ 1]) + whole[-8:])
        with pytest.raises(ArtifactError, match=re.escape(file.name)):
            make().restore(tmp_path / "state")
        file.write_bytes(whole)
    done = make()
    done.restore(tmp_path / "state")
    assert run(done, 1) == []


def test_a_reward_that_cannot_be_computed_and_a_loss_that_is_not_finite_are_errors(make):
    with pytest.raises(RewardError, match="must be a finite number"):
        run(make(reward=lambda prompts, completions: [None] * len(completions)))
    with pytest.raises(TrainingError, match=r"RLOO step 1: (loss|grad_norm) is"):
        run(make(reward=lambda prompts, completions: [(-1) ** n * 3e38 for n in range(len(completions))]))
