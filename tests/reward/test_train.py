"""Bradley-Terry training by TRL, as this project drives it."""

from __future__ import annotations

import logging
import math
import random
import warnings
from contextlib import contextmanager

import numpy as np
import pyarrow as pa
import pytest
import torch

from frft.config.sections import LoraConfig, RewardModelConfig, TrainConfig
from frft.errors import DataError, ModelError, TrainingError, UsageError
from frft.models import TruncationCount
from frft.reward import RewardModel, TrainReport, evaluate_reward_model, train_reward_model

WORDS = ["red", "green", "blue", "bread", "water", "guitar", "chords", "sky"]


def marked_pairs(count: int, seed: int) -> dict[str, list]:
    """Pairs of random words; the chosen side, and it alone, has "salt" somewhere in it."""
    rng = random.Random(seed)
    table: dict[str, list] = {"prompt": [], "chosen": [], "rejected": [], "margin": []}
    for _ in range(count):
        chosen, rejected = (rng.choices(WORDS, k=rng.randint(3, 8)) for _ in range(2))
        chosen.insert(rng.randrange(len(chosen)), "salt")
        table["prompt"].append("Human: " + " ".join(rng.choices(WORDS, k=4)))
        table["chosen"].append(" " + " ".join(chosen))
        table["rejected"].append(" " + " ".join(rejected))
        table["margin"].append(rng.random())
    return table


def configured(lora: LoraConfig | None = None, *, margin: bool = False, centering: float | None = None, **train):
    train = {"learning_rate": 3e-3, "max_length": 64, **train}
    return RewardModelConfig(
        train=TrainConfig(**train), lora=lora, use_margin=margin, center_rewards_coefficient=centering
    )


def weights(reward_model: RewardModel) -> np.ndarray:
    return np.concatenate([p.detach().numpy().ravel() for p in reward_model.model.parameters()])


def by_hand(base: RewardModel, table: dict[str, list], *, margin: bool, centering: float | None) -> float:
    chosen = base.raw_scores(table["prompt"], table["chosen"])
    rejected = base.raw_scores(table["prompt"], table["rejected"])
    losses = []
    for better, worse, gap in zip(chosen, rejected, table["margin"], strict=True):
        loss = math.log(1 + math.exp(-(better - worse - (gap if margin else 0))))
        losses.append(loss + (centering or 0) * (better + worse) ** 2)
    return sum(losses) / len(losses)


@pytest.mark.parametrize("lora", [None, LoraConfig()])
@pytest.mark.parametrize(("margin", "centering"), [(False, None), (True, None), (False, 0.5), (True, 0.5)])
def test_the_loss_is_bradley_terry(tiny_lm_folder, tmp_path, margin, centering, lora):
    table = marked_pairs(8, seed=1)
    base = RewardModel.load(tiny_lm_folder, seed=5, max_length=64)
    config = configured(lora, margin=margin, centering=centering, per_device_train_batch_size=8)
    _, report = train_reward_model(base, table, config, seed=5, workdir=tmp_path)
    assert report.losses == [pytest.approx(by_hand(base, table, margin=margin, centering=centering), abs=1e-5)]


def test_accumulated_batches_are_one_step(tiny_lm_folder, tmp_path):
    table = marked_pairs(8, seed=1)
    base = RewardModel.load(tiny_lm_folder, seed=5, max_length=64)
    config = configured(per_device_train_batch_size=2, gradient_accumulation_steps=4)
    _, report = train_reward_model(base, table, config, seed=5, workdir=tmp_path)
    assert report.losses == [pytest.approx(by_hand(base, table, margin=False, centering=None), abs=1e-5)]


def test_the_models_dropout_is_off_in_training(tiny_tokenizer, tmp_path):
    from transformers import GPT2Config, GPT2ForSequenceClassification

    network = GPT2ForSequenceClassification(
        GPT2Config(
            vocab_size=320,
            n_embd=32,
            n_layer=1,
            n_head=2,
            n_positions=128,
            num_labels=1,
            **dict.fromkeys(("resid_pdrop", "embd_pdrop", "attn_pdrop"), 0.5),
            **dict.fromkeys(("bos_token_id", "eos_token_id"), 1),
            pad_token_id=0,
        )
    )
    base = RewardModel(network, tiny_tokenizer, 64)
    table = marked_pairs(8, seed=1)
    _, report = train_reward_model(base, table, configured(), seed=5, workdir=tmp_path)
    assert report.losses == [pytest.approx(by_hand(base, table, margin=False, centering=None), abs=1e-5)]


@pytest.mark.parametrize("lora", [None, LoraConfig()])
def test_an_obvious_preference_is_learned(tiny_lm_folder, tmp_path, lora):
    config = configured(lora, learning_rate=3e-3 if lora is None else 1e-2, num_train_epochs=2)
    trained, report = train_reward_model(tiny_lm_folder, marked_pairs(400, 1), config, seed=0, workdir=tmp_path)
    held_out = evaluate_reward_model(trained, marked_pairs(200, 2))
    assert held_out.accuracy > 0.9
    assert report.final_loss < report.mean_loss < math.log(2)
    assert (report.pairs, report.identical, report.steps, len(report.losses)) == (400, 0, 50, 50)


def test_adapters_are_merged_into_a_plain_model_that_survives_a_folder(tiny_lm_folder, tmp_path):
    table = marked_pairs(64, 1)
    config = configured(LoraConfig(r=4), learning_rate=2e-2)
    base = RewardModel.load(tiny_lm_folder, seed=3, max_length=64)
    trained, _ = train_reward_model(base, table, config, seed=3, workdir=tmp_path / "work")
    assert [name for name, _ in trained.model.named_parameters()] == [n for n, _ in base.model.named_parameters()]
    changed = {
        name
        for (name, before), after in zip(base.model.named_parameters(), trained.model.parameters(), strict=True)
        if not before.equal(after)
    }
    assert "score.weight" in changed
    assert "transformer.wte.weight" not in changed
    assert "transformer.h.0.attn.c_attn.weight" in changed
    trained.save(tmp_path / "rm")
    again = RewardModel.load(tmp_path / "rm", seed=99)
    assert again(table["prompt"], table["chosen"]) == trained(table["prompt"], table["chosen"])
    assert {file.suffix for file in (tmp_path / "rm").iterdir()} == {".json", ".safetensors"}


@pytest.fixture(scope="module")
def defaults(tiny_lm_folder, tmp_path_factory):
    """What the default settings, without and with adapters, make of forty pairs."""
    folder = tmp_path_factory.mktemp("defaults")
    return [
        train_reward_model(tiny_lm_folder, marked_pairs(40, 1), configured(lora), seed=0, workdir=folder)[0]
        for lora in (None, LoraConfig())
    ]


@pytest.mark.parametrize(
    "changed",
    [
        configured(learning_rate=1e-3),
        configured(weight_decay=0.5),
        configured(num_train_epochs=2),
        configured(per_device_train_batch_size=8),
        configured(gradient_accumulation_steps=2),
        configured(warmup_ratio=0.9),
        configured(max_length=12),
        configured(bf16=True),
        configured(margin=True),
        configured(centering=0.1),
        configured(LoraConfig()),
    ],
    ids=lambda config: str(config.model_dump(exclude_defaults=True)),
)
def test_every_setting_is_read(tiny_lm_folder, tmp_path, defaults, changed):
    other, _ = train_reward_model(tiny_lm_folder, marked_pairs(40, 1), changed, seed=0, workdir=tmp_path)
    assert not np.array_equal(weights(defaults[False]), weights(other))


def test_recomputing_activations_changes_nothing_but_the_memory(tiny_lm_folder, tmp_path, defaults):
    from frft.models.training import trainer_arguments

    config = configured(gradient_checkpointing=True)
    assert trainer_arguments(config.train, 4, seed=0, workdir=tmp_path, report_to="none")["gradient_checkpointing"]
    same, _ = train_reward_model(tiny_lm_folder, marked_pairs(40, 1), config, seed=0, workdir=tmp_path)
    assert np.allclose(weights(defaults[False]), weights(same), atol=1e-5)


@pytest.mark.parametrize(
    "changed",
    [
        LoraConfig(r=2),
        LoraConfig(lora_alpha=3),
        LoraConfig(lora_dropout=0.5),
        LoraConfig(target_modules=["c_fc"]),
    ],
)
def test_every_adapter_setting_is_read(tiny_lm_folder, tmp_path, defaults, changed):
    other, _ = train_reward_model(tiny_lm_folder, marked_pairs(40, 1), configured(changed), seed=0, workdir=tmp_path)
    assert not np.array_equal(weights(defaults[True]), weights(other))


@pytest.mark.parametrize("lora", [None, LoraConfig(r=4)])
@pytest.mark.parametrize("bf16", [False, True])
def test_what_is_returned_scores_as_what_is_saved_to_the_bit(tiny_lm_folder, tmp_path, bf16, lora):
    """Trained in bfloat16, it went on to be run under autocast until it was saved and loaded."""
    table, settings = marked_pairs(64, seed=1), configured(lora, bf16=bf16, max_steps=2)
    trained, _ = train_reward_model(tiny_lm_folder, table, settings, seed=0, workdir=tmp_path)
    again, _ = train_reward_model(trained, table, settings, seed=0, workdir=tmp_path)
    for number, model in enumerate((trained, again)):
        model.save(tmp_path / str(number))
        scores = model.score(table["prompt"], table["chosen"])
        assert len(set(scores)) == len(set(map(tuple, zip(table["prompt"], table["chosen"], strict=True))))
        reloaded = RewardModel.load(tmp_path / str(number), seed=9)
        assert scores.tolist() == reloaded.score(table["prompt"], table["chosen"]).tolist()


def test_a_reward_model_in_bfloat16_is_trained_in_float32(tiny_lm_folder, tmp_path):
    base = RewardModel.load(tiny_lm_folder, seed=0, max_length=64, dtype="bfloat16")
    table = marked_pairs(8, seed=1)
    trained, _ = train_reward_model(base, table, configured(max_steps=1), seed=0, workdir=tmp_path)
    assert (base.dtype, trained.dtype) == ("bfloat16", "float32")
    assert (base.has_fresh_head, trained.has_fresh_head) == (True, False)


def test_a_model_of_frozen_weights_is_refused(tiny_lm_folder, tmp_path):
    base = RewardModel.load(tiny_lm_folder, seed=5, max_length=64)
    base.model.requires_grad_(False)
    with pytest.raises(ModelError, match=r"All weights of the reward model \(GPT2For\w+\) are frozen"):
        train_reward_model(base, marked_pairs(4, seed=1), configured(), seed=0, workdir=tmp_path)


@pytest.mark.parametrize("lora", [None, LoraConfig(r=4, target_modules=["c_attn"])])
@pytest.mark.parametrize("task", ["CAUSAL_LM", "SEQ_CLS"])
def test_a_model_saved_as_adapters_is_trained_as_any_other(tiny_lm_folder, saved_adapters, tmp_path, task, lora):
    """Its head alone was trained, and the result was of no use without the base; with adapters, training died."""
    folder = saved_adapters(tiny_lm_folder, tmp_path / "adapters", task)
    before = RewardModel.load(folder, seed=0, max_length=64)
    table = marked_pairs(8, seed=1)
    trained, _ = train_reward_model(folder, table, configured(lora, max_steps=2), seed=0, workdir=tmp_path)
    trained.save(tmp_path / "trained")
    moved = {
        name
        for (name, old), new in zip(before.model.named_parameters(), trained.model.parameters(), strict=True)
        if not torch.equal(old, new)
    }
    attention = {f"transformer.h.{layer}.attn.c_attn.weight" for layer in (0, 1)}
    assert moved == {*attention, "score.weight"} if lora else moved >= {*attention, "transformer.wte.weight"}
    files = {file.name: file.read_bytes() for file in (tmp_path / "trained").iterdir()}
    assert files.keys() >= {"model.safetensors", "config.json", "reward.json"}
    assert "adapter_config.json" not in files
    assert not any(str(place).encode() in content for content in files.values() for place in (tiny_lm_folder, tmp_path))
    loaded = RewardModel.load(tmp_path / "trained", seed=1)
    assert (
        loaded.score(table["prompt"], table["chosen"]).tolist()
        == trained.score(table["prompt"], table["chosen"]).tolist()
    )


def test_adapters_on_modules_that_are_not_there_are_refused(tiny_lm_folder, tmp_path):
    config = configured(LoraConfig(target_modules=["q_proj"]))
    with pytest.raises(ModelError, match=r"lora\.target_modules \['q_proj'\].*all-linear.*c_attn"):
        train_reward_model(tiny_lm_folder, marked_pairs(4, 1), config, seed=0, workdir=tmp_path)


def test_a_training_of_a_single_step_moves_whatever_the_warmup(tiny_lm_folder, tmp_path):
    base = RewardModel.load(tiny_lm_folder, seed=0, max_length=64)
    moved, report = train_reward_model(
        base, marked_pairs(16, 1), configured(warmup_ratio=0.9), seed=0, workdir=tmp_path
    )
    assert report.steps == 1
    assert not np.array_equal(weights(base), weights(moved))


def test_equal_seeds_give_equal_weights_and_leave_the_global_generators_alone(tiny_lm_folder, tmp_path):
    import torch

    table = marked_pairs(48, 1)
    state = (random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist())
    one, first = train_reward_model(tiny_lm_folder, table, configured(), seed=4, workdir=tmp_path)
    assert state == (random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist())
    torch.rand(3)
    two, second = train_reward_model(tiny_lm_folder, pa.table(table), configured(), seed=4, workdir=tmp_path)
    other, _ = train_reward_model(tiny_lm_folder, table, configured(), seed=5, workdir=tmp_path)
    assert np.array_equal(weights(one), weights(two))
    assert first.losses == second.losses
    assert not np.array_equal(weights(one), weights(other))


def test_a_reward_model_to_start_from_stays_as_it_is(tiny_lm_folder, tmp_path):
    table = marked_pairs(32, 1)
    base = RewardModel.load(tiny_lm_folder, seed=0, max_length=32)
    base.normalise(table["prompt"], table["chosen"])
    before, gain, counts = weights(base), base.gain, base.truncated.as_dict()
    trained, report = train_reward_model(base, table, configured(), seed=0, workdir=tmp_path)
    again, _ = train_reward_model(trained, table, configured(), seed=0, workdir=tmp_path)
    assert np.array_equal(weights(base), before)
    assert (base.gain, base.max_length, base.truncated.as_dict()) == (gain, 32, counts)
    assert (trained.gain, trained.bias, trained.max_length, trained.truncated.sequences) == (1.0, 0.0, 64, 0)
    assert not np.array_equal(weights(trained), before)
    assert not np.array_equal(weights(again), weights(trained))
    assert report.truncated.sequences == 64


def test_pairs_that_differ_only_in_what_was_cut_are_counted_and_left_out(tiny_lm_folder, tmp_path):
    table = marked_pairs(4, 1)
    long = " sky" * 100
    cut = {
        "prompt": ["Human: hello"] * 2,
        "chosen": [long + " salt", " salt"],
        "rejected": [long + " red", " salt"],
    }
    mixed = {name: [*table[name][:2], *cut[name], *table[name][2:]] for name in cut}
    mixed["margin"] = [0.1, 0.2, 77.0, 88.0, 0.3, 0.4]
    base = RewardModel.load(tiny_lm_folder, seed=0, max_length=64)
    _, report = train_reward_model(base, mixed, configured(margin=True), seed=0, workdir=tmp_path)
    assert (report.pairs, report.identical) == (4, 2)
    assert report.truncated.as_dict() == {"sequences": 12, "prompts_truncated": 2, "completions_truncated": 2}
    # The margins of those that stay are their own.
    kept = {**table, "margin": [0.1, 0.2, 0.3, 0.4]}
    assert report.losses == [pytest.approx(by_hand(base, kept, margin=True, centering=None), abs=1e-5)]
    # One side may be what is left of the other, and not be cut itself.
    (left,) = base.encoder.encode_whole(["Human: hello"], [long])
    cut["rejected"][0] = base.tokenizer.decode(left.completion[:-1])
    with pytest.raises(DataError, match=r"all 2 pairs.*Raise max_length"):
        train_reward_model(base, cut, configured(), seed=0, workdir=tmp_path)


def test_a_loss_that_is_not_finite_stops_training(tiny_lm_folder, tmp_path):
    table = {**marked_pairs(32, 1), "margin": [0.0] * 31 + [1e39]}
    config = configured(margin=True, per_device_train_batch_size=8)
    with pytest.raises(TrainingError, match=r"broke down at step \d of 4: loss is inf.*learning rate \(it is 0\.003\)"):
        train_reward_model(tiny_lm_folder, table, config, seed=0, workdir=tmp_path)
    # and what follows in the same process is not affected
    train_reward_model(tiny_lm_folder, marked_pairs(16, 1), configured(), seed=0, workdir=tmp_path)


def test_too_long_a_max_length_is_refused_before_training(tiny_lm_folder, tmp_path):
    with pytest.raises(ModelError, match="only 128 positions"):
        train_reward_model(tiny_lm_folder, marked_pairs(4, 1), configured(max_length=512), seed=0, workdir=tmp_path)


def test_a_missing_package_for_curves_is_named(tiny_lm_folder, tmp_path, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UsageError, match="pip install wandb"):
        train_reward_model(
            tiny_lm_folder, marked_pairs(4, 1), configured(), seed=0, workdir=tmp_path, report_to="wandb"
        )


def test_nothing_is_printed_or_sent_and_nothing_stays_silenced(tiny_lm_folder, tmp_path, capfd, monkeypatch):
    from transformers.utils import logging as transformers_logging

    def refuse(*_, **__):
        raise AssertionError("telemetry")

    monkeypatch.setattr("trl.trainer.base_trainer.send_telemetry", refuse)
    levels = {name: logging.getLogger(name).level for name in ("transformers", "trl", "accelerate", "peft")}
    bars, filters = transformers_logging.is_progress_bar_enabled(), list(warnings.filters)
    for lora in (None, LoraConfig()):
        trained, _ = train_reward_model(
            tiny_lm_folder, marked_pairs(32, 1), configured(lora), seed=0, workdir=tmp_path / "work"
        )
        trained.save(tmp_path / "rm")
    captured = capfd.readouterr()
    assert (captured.out, captured.err) == ("", "")
    assert levels == {name: logging.getLogger(name).level for name in levels}
    assert (transformers_logging.is_progress_bar_enabled(), warnings.filters) == (bars, filters)
    assert list((tmp_path / "work").iterdir()) == []


def test_accelerates_state_is_given_back(tiny_lm_folder, tmp_path):
    from accelerate import Accelerator

    accelerator = Accelerator(gradient_accumulation_steps=4)
    before = (accelerator.device, accelerator.gradient_accumulation_steps, accelerator.num_processes)
    train_reward_model(tiny_lm_folder, marked_pairs(16, 1), configured(), seed=0, workdir=tmp_path)
    assert before == (accelerator.device, accelerator.gradient_accumulation_steps, accelerator.num_processes)


def test_progress_shows_every_step(tiny_lm_folder, tmp_path):
    opened: dict[str, list] = {}

    class Recorder:
        @contextmanager
        def task(self, description, total):
            class Task:
                def advance(self, amount=1, note=""):
                    opened[description].append((amount, note))

            opened[description] = [total]
            yield Task()
            opened[description].append("closed")

        def say(self, text):
            raise AssertionError(text)

    train_reward_model(tiny_lm_folder, marked_pairs(40, 1), configured(), seed=0, workdir=tmp_path, progress=Recorder())
    assert opened["Tokenizing"] == [40, (40, ""), "closed"]
    total, *steps, end = opened["Training the reward model"]
    assert (total, len(steps), end) == (3, 3, "closed")
    assert steps[0][1].startswith("loss 0.")


def test_the_final_loss_is_the_mean_of_the_last_tenth():
    losses = [float(loss) for loss in range(1, 22)]
    found = TrainReport.of(losses, pairs=1, identical=0, truncated=TruncationCount(), seconds=0.0, trained_parameters=1)
    assert (found.steps, found.mean_loss, found.final_loss) == (21, 11.0, 20.0)
    assert found.as_dict()["losses"] == losses
    assert not hasattr(found.summary, "losses")
