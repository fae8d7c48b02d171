"""Reward models that read completions without their prompts."""

from __future__ import annotations

import json

import numpy as np
import pyarrow as pa
import pytest

import frft
from frft.config.sections import RefreshConfig, RewardModelConfig, TrainConfig
from frft.errors import ArtifactError, ChatTemplateError, ModelError, UsageError
from frft.models.chat import identified
from frft.reward import RewardModel, evaluate_reward_model, train_reward_model
from frft.reward.reward_file import RewardFile, read_reward_file

ALONE = RewardModelConfig(
    reads="completion", train=TrainConfig(max_length=48, learning_rate=1e-3, per_device_train_batch_size=4)
)
EXCHANGED = ["", "Why?", "\n\nHuman: Hi\n\nAssistant:", "\n\nSystem: x\n\nHuman: y\n\nAssistant: z" * 9]


@pytest.fixture(scope="module")
def trained(tiny_lm_folder, pool, tmp_path_factory):
    folder = tmp_path_factory.mktemp("alone")
    model, report = train_reward_model(tiny_lm_folder, pool, ALONE, seed=0, workdir=folder / "logs")
    model.normalise(pool["prompt"].to_pylist(), pool["chosen"].to_pylist())
    model.save(folder / "rm")
    return model, report, folder / "rm"


def exchanged(pool: pa.Table) -> pa.Table:
    prompts = [EXCHANGED[row % len(EXCHANGED)] for row in range(pool.num_rows)]
    return pool.set_column(pool.column_names.index("prompt"), "prompt", pa.array(prompts))


def test_prompts_change_neither_training_nor_scores(trained, tiny_lm_folder, pool, tmp_path):
    model, report, folder = trained
    others = exchanged(pool)
    again, same = train_reward_model(tiny_lm_folder, others, ALONE, seed=0, workdir=tmp_path)
    assert same.losses == report.losses
    assert same.truncated.prompts == 0
    prompts, completions = pool["prompt"].to_pylist(), pool["chosen"].to_pylist()
    for each in (model, RewardModel.load(folder, seed=9), frft.AlignedReward(folder, pool, workdir=tmp_path / "a")):
        assert each(prompts, completions) == each(others["prompt"].to_pylist(), completions)
    assert again.raw_scores(prompts, completions).tolist() == model.raw_scores(prompts, completions).tolist()
    assert evaluate_reward_model(model, pool).log_loss == evaluate_reward_model(model, others).log_loss
    # The prompts are not all that could differ: one that reads conversations does tell these apart.
    whole = RewardModel(model.model, model.tokenizer, 48)
    assert whole(prompts, completions) != whole(others["prompt"].to_pylist(), completions)


def test_scores_are_those_of_the_completion_by_the_models_own_tokenizer(trained, pool):
    import torch

    model, *_ = trained
    completions = [*pool["chosen"].to_pylist(), ""]
    scores = model.raw_scores([""] * len(completions), completions)
    tokenizer = model.tokenizer
    with torch.no_grad():
        by_hand = [
            model.model(torch.tensor([[*tokenizer(text)["input_ids"], tokenizer.eos_token_id]])).logits.item()
            for text in completions
        ]
    assert np.allclose(scores, by_hand, atol=1e-5)
    assert model.reading == "completions without their prompts, as plain text"


def test_what_it_reads_is_saved_and_an_older_version_refuses_it(trained, base):
    """Format 3 is unknown to versions that would give it prompts; what reads prompts keeps the format they know."""
    model, _, folder = trained
    written = json.loads((folder / "reward.json").read_text())
    assert (written["format_version"], written["reads"]) == (3, "completion")
    assert read_reward_file(folder / "reward.json") == RewardFile(model.gain, model.bias, 48, "plain", "completion")
    older = json.loads((base / "reward.json").read_text())
    assert older.keys() == {"format_version", "gain", "bias", "max_length", "chat_template"}
    assert older["format_version"] == 2
    assert RewardModel.load(base, seed=0).reads == "conversation"


@pytest.mark.parametrize("reads", [None, "prompt", 1])
def test_a_file_that_does_not_say_what_is_read_is_damaged(tmp_path, reads):
    values = {"format_version": 3, "gain": 1.0, "bias": 0.0, "max_length": 48, "chat_template": "plain", "reads": reads}
    (tmp_path / "reward.json").write_text(json.dumps(values))
    with pytest.raises(ArtifactError, match="must say what the model reads: conversation or completion"):
        read_reward_file(tmp_path / "reward.json")


def test_a_model_is_not_given_what_it_was_not_trained_on(trained, base, pool, tmp_path):
    model, _, folder = trained
    conversations = ALONE.model_copy(update={"reads": "conversation"})
    with pytest.raises(ModelError, match=r"trained on completions without their prompts \(reward.json\)"):
        RewardModel.load(folder, seed=0, reads="conversation")
    with pytest.raises(ModelError, match="Set reads: completion, or start from another model"):
        train_reward_model(folder, pool, conversations, seed=0, workdir=tmp_path)
    with pytest.raises(UsageError, match="to start from reads completions without their prompts, and the settings say"):
        train_reward_model(model, pool, conversations, seed=0, workdir=tmp_path)
    for start, training in ((folder, conversations), (base, ALONE)):
        with pytest.raises(
            UsageError, match=rf"RewardModelConfig\(reads='{'completion' if start == folder else 'conv'}"
        ):
            frft.AlignedReward(start, pool, training=training, workdir=tmp_path)


@pytest.mark.parametrize("init", ["sft", "current"])
def test_a_refresh_trains_on_completions_alone(trained, tiny_lm_folder, pool, vectors, tmp_path, init):
    config = RefreshConfig.model_validate({"samples": "rollouts", "init": init, "selection": {"strategy": "all"}})
    completions = pool["chosen"].to_pylist()
    made = []
    for name, pairs in (("own", pool), ("exchanged", exchanged(pool))):
        given = {"vectors": vectors, "workdir": tmp_path / name, "backbone": tiny_lm_folder if init == "sft" else None}
        reward = frft.AlignedReward(trained[2], pairs, config, ALONE, **given)
        reward(pairs["prompt"].to_pylist(), completions)
        reward.refresh()
        made.append(reward.model)
    assert [each.reads for each in made] == ["completion"] * 2
    texts = pool["prompt"].to_pylist(), pool["rejected"].to_pylist()
    own, others, before = (each.raw_scores(*texts).tolist() for each in (*made, trained[0]))
    assert own == others != before


BEGUN_BY_USERS = "{% if messages[0]['role'] != 'user' %}{{ raise_exception('users begin') }}{% endif %}"
LEFT_OUT = "{% for m in messages[1:] %}{{ m['content'] }}{% endfor %}"


@pytest.mark.parametrize(("template", "said"), [(BEGUN_BY_USERS, "users begin"), (LEFT_OUT, "It leaves out what")])
def test_a_template_that_cannot_render_an_answer_alone_is_refused(tiny_lm_folder, template, said):
    model = RewardModel.load(tiny_lm_folder, seed=0, max_length=48)
    model.tokenizer.chat_template = template
    with pytest.raises(ChatTemplateError, match=rf"reads: completion\).*{said}.*chat_template: none"):
        RewardModel(model.model, model.tokenizer, 48, reads="completion")


def test_models_that_read_conversations_are_known_by_their_settings_as_before():
    assert "reads" not in identified(RewardModelConfig().identity())
    assert identified(ALONE.identity())["reads"] == "completion"
