"""The reward model: scores, padding, normalisation, folders."""

from __future__ import annotations

import copy
import json

import numpy as np
import pytest

from frft.config.sections import ScratchConfig
from frft.errors import ArtifactError, ChatTemplateError, ModelError, RewardError, UnknownLengthError, UsageError
from frft.models import build_causal_lm, load_causal_lm, load_tokenizer, save_model
from frft.reward import RewardModel

PROMPTS = ["\n\nHuman: " + "What is a good guitar? " * (1 + n % 5) + "\n\nAssistant:" for n in range(23)]
COMPLETIONS = [" Bread" * (n % 9) + f" and {n} colors." for n in range(23)]


@pytest.fixture(params=["gpt2", "llama"])
def language_model(request, tiny_tokenizer, tmp_path):
    config = ScratchConfig(
        architecture=request.param,
        vocab_size=320,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=128,
    )
    save_model(build_causal_lm(config, tiny_tokenizer, seed=0), tiny_tokenizer, tmp_path / "lm")
    return tmp_path / "lm"


@pytest.fixture
def reward_model(tiny_lm_folder):
    return RewardModel.load(tiny_lm_folder, seed=1, max_length=96)


def test_batch_and_padding_change_no_score(language_model):
    reward_model = RewardModel.load(language_model, seed=1, max_length=96)
    alone = reward_model.raw_scores(PROMPTS, COMPLETIONS, batch_size=1)
    together = reward_model.raw_scores(PROMPTS, COMPLETIONS, batch_size=23)
    assert alone.std() > 0.01
    np.testing.assert_allclose(together, alone, atol=1e-4)
    backwards = reward_model.raw_scores(PROMPTS[::-1], COMPLETIONS[::-1], batch_size=4)
    np.testing.assert_allclose(backwards[::-1], alone, atol=1e-4)


def test_a_score_is_the_head_on_the_hidden_state_at_eos(language_model):
    import torch

    reward_model = RewardModel.load(language_model, seed=1, max_length=96)
    tokenizer = load_tokenizer(language_model)
    ids = [
        *tokenizer(PROMPTS[3])["input_ids"],
        *tokenizer(COMPLETIONS[3])["input_ids"],
        tokenizer.eos_token_id,
    ]
    backbone = load_causal_lm(language_model, tokenizer).base_model.eval()
    head = reward_model.model.score.weight[0]
    with torch.no_grad():
        by_hand = float(backbone(torch.tensor([ids])).last_hidden_state[0, -1] @ head)
    assert reward_model.raw_scores(PROMPTS[:9], COMPLETIONS[:9])[3] == pytest.approx(by_hand, abs=1e-5)


def test_special_tokens_in_data_are_text(reward_model):
    plain, eos, pad = reward_model(["a"] * 3, [" yes", " yes<|endoftext|>", " yes<|pad|>"])
    assert len({plain, eos, pad}) == 3
    [pair] = reward_model.encoder.encode(["<|pad|>"], ["<|endoftext|>" * 2])
    assert pair.ids.count(reward_model.tokenizer.eos_token_id) == 1
    assert reward_model.tokenizer.pad_token_id not in pair.ids


def test_equal_texts_get_exactly_equal_scores(reward_model):
    texts = [" same", *COMPLETIONS, " same"]
    scores = reward_model.raw_scores(["\n\nHuman: Hi\n\nAssistant:"] * len(texts), texts, batch_size=2)
    assert scores[0] == scores[-1]


def test_truncation_is_counted(reward_model):
    reward_model.raw_scores(["a " * 200, "b", "c"], ["fine", "d " * 200, "e"])
    assert reward_model.truncated.as_dict() == {
        "sequences": 3,
        "prompts_truncated": 1,
        "completions_truncated": 1,
    }


def test_no_items_give_no_scores(reward_model):
    assert reward_model.raw_scores([], []).shape == (0,)
    assert reward_model([], []) == []


def test_unequal_numbers_are_refused(reward_model):
    with pytest.raises(RewardError, match="2 prompts but 1 completions"):
        reward_model.score(["a", "b"], ["c"])


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_score_that_is_not_finite_names_its_item(reward_model, value):
    import torch

    [[marker]] = [pair.completion[:-1] for pair in reward_model.encoder.encode(["a"], ["q"])]
    with torch.no_grad():
        reward_model.model.get_input_embeddings().weight[marker] = value
    with pytest.raises(RewardError, match=r"item 1 \(counting from 0\) is .*ends 'b', its .* 'q\\x1b'"):
        reward_model(["a", "b", "c"], ["z", "q\x1b", "z"])


def test_normalise_gives_mean_0_and_variance_1(reward_model):
    raw = reward_model.raw_scores(PROMPTS, COMPLETIONS)
    reward_model.normalise(PROMPTS, COMPLETIONS)
    scores = reward_model.score(PROMPTS, COMPLETIONS)
    assert scores.mean() == pytest.approx(0, abs=1e-9)
    assert scores.var() == pytest.approx(1, abs=1e-9)
    np.testing.assert_allclose(np.argsort(scores), np.argsort(raw))
    np.testing.assert_array_equal(reward_model.raw_scores(PROMPTS, COMPLETIONS), raw)
    assert reward_model(PROMPTS, COMPLETIONS) == scores.tolist()


def test_a_collapsed_model_cannot_be_normalised(reward_model):
    import torch

    with torch.no_grad():
        reward_model.model.score.weight.zero_()
    with pytest.raises(RewardError, match=r"standard deviation 0\).*collapsed"):
        reward_model.normalise(PROMPTS, COMPLETIONS)
    assert (reward_model.gain, reward_model.bias) == (1.0, 0.0)


def test_the_scale_of_another_model_can_be_taken_over_unless_it_has_none(reward_model):
    other = RewardModel(copy.deepcopy(reward_model.model), reward_model.tokenizer, reward_model.max_length, gain=-0.5)
    other.bias = 4.0
    theirs = other.score(PROMPTS, COMPLETIONS)
    reward_model.match(other, PROMPTS, COMPLETIONS)
    ours = reward_model.score(PROMPTS, COMPLETIONS)
    assert (ours.mean(), ours.std()) == pytest.approx((theirs.mean(), theirs.std()), rel=1e-5)
    assert reward_model.gain > 0
    other.gain = 0.0
    with pytest.raises(RewardError, match="there is no scale to keep"):
        reward_model.match(other, PROMPTS, COMPLETIONS)


def test_normalising_on_nothing_is_refused(reward_model):
    with pytest.raises(RewardError, match="no samples"):
        reward_model.normalise([], [])


def test_save_and_load_keep_every_score(reward_model, tmp_path):
    reward_model.normalise(PROMPTS, COMPLETIONS)
    reward_model.save(tmp_path / "rm")
    again = RewardModel.load(tmp_path / "rm", seed=77)
    assert again.max_length == 96
    assert again(PROMPTS, COMPLETIONS) == reward_model(PROMPTS, COMPLETIONS)
    assert RewardModel.load(tmp_path / "rm", seed=77, max_length=64).max_length == 64
    suffixes = {file.suffix for file in (tmp_path / "rm").rglob("*") if file.is_file()}
    assert suffixes == {".json", ".safetensors"}


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
@pytest.mark.parametrize("kind", ["whole", "adapters"])
def test_scores_are_computed_in_the_format_that_is_asked_for(
    reward_model, tiny_lm_folder, saved_adapters, tmp_path, dtype, kind
):
    import torch
    from transformers import AutoModelForSequenceClassification

    folder = tmp_path / "given"
    if kind == "whole":
        reward_model.save(folder)
    else:
        saved_adapters(tiny_lm_folder, folder, "SEQ_CLS")
    model = RewardModel.load(folder, seed=0, dtype=dtype)
    assert model.dtype == dtype
    assert {weight.dtype for weight in model.model.parameters()} == {getattr(torch, dtype)}
    scores = model(PROMPTS, COMPLETIONS)
    exact = RewardModel.load(folder, seed=0)(PROMPTS, COMPLETIONS)
    assert (scores == exact) == (dtype == "float32")
    assert scores == pytest.approx(exact, abs=0.02)
    model.save(tmp_path / "saved")
    theirs = AutoModelForSequenceClassification.from_pretrained(tmp_path / "saved", dtype="auto")
    for ours, saved in zip(model.model.parameters(), theirs.parameters(), strict=True):
        assert ours.dtype == saved.dtype
        assert ours.equal(saved)
    # Unless it is asked for, a reload is not in the format that the model was saved in.
    assert RewardModel.load(tmp_path / "saved", seed=1, dtype="auto")(PROMPTS, COMPLETIONS) == scores
    assert RewardModel.load(tmp_path / "saved", seed=1).dtype == "float32"


def test_the_seed_decides_a_fresh_head(tiny_lm_folder):
    heads = [RewardModel.load(tiny_lm_folder, seed=seed, max_length=96).model.score.weight for seed in (1, 1, 2)]
    assert heads[0].equal(heads[1])
    assert not heads[0].equal(heads[2])


def test_parameters_and_device(reward_model):
    import torch

    width, layers, vocabulary, positions = 32, 2, 320, 128
    block = 12 * width**2 + 13 * width
    assert reward_model.parameters == (vocabulary + positions) * width + layers * block + 2 * width + width
    assert reward_model.device.type == ("cuda" if torch.cuda.is_available() else "cpu")


def test_max_length_is_what_the_model_says_and_must_fit(tiny_lm_folder, silent_lm_folder):
    assert RewardModel.load(tiny_lm_folder, seed=0).max_length == 128
    with pytest.raises(ModelError, match=r"max_length is 129 tokens, but the reward model .* has only 128 positions"):
        RewardModel.load(tiny_lm_folder, seed=0, max_length=129)
    with pytest.raises(UnknownLengthError, match=r"(?s)says how long.*check the path; .*max_length"):
        RewardModel.load(silent_lm_folder, seed=0)


def test_what_is_no_model_is_refused(tiny_tokenizer, tiny_lm_folder):
    with pytest.raises(UsageError, match=r"model must be PreTrainedModel, got str: 'folder'\. frft\.RewardModel\.load"):
        RewardModel("folder", tiny_tokenizer, 64)
    model = RewardModel.load(tiny_lm_folder, seed=0).model
    for gain in (0.0, float("nan"), float("inf")):
        with pytest.raises(UsageError, match="must be finite, and the gain not 0"):
            RewardModel(model, tiny_tokenizer, 64, gain=gain)


def test_a_model_with_several_outputs_is_refused(tiny_lm_folder, tiny_tokenizer):
    from transformers import AutoConfig, AutoModelForSequenceClassification

    config = AutoConfig.from_pretrained(tiny_lm_folder, num_labels=3)
    model = AutoModelForSequenceClassification.from_config(config)
    with pytest.raises(ModelError, match="has 3"):
        RewardModel(model, tiny_tokenizer, 64)


def test_a_fresh_head_can_be_refused(tiny_lm_folder, reward_model, tmp_path):
    with pytest.raises(ModelError, match=r"no complete reward model.*score\.weight"):
        RewardModel.load(tiny_lm_folder, seed=0, max_length=64, allow_fresh_head=False)
    reward_model.save(tmp_path / "rm")
    assert reward_model.has_fresh_head
    assert not RewardModel.load(tmp_path / "rm", seed=0, allow_fresh_head=False).has_fresh_head
    # What says of itself that it is a reward model must bring its head.
    file = tmp_path / "rm" / "reward.json"
    save_model(load_causal_lm(tiny_lm_folder, reward_model.tokenizer), reward_model.tokenizer, tmp_path / "damaged")
    (tmp_path / "damaged" / "reward.json").write_text(file.read_text())
    with pytest.raises(ModelError, match=r"no complete reward model.*score\.weight"):
        RewardModel.load(tmp_path / "damaged", seed=0)


def test_a_model_reads_by_the_template_that_it_was_trained_by_and_by_no_other(tiny_lm_folder, tmp_path):
    template = "{% for m in messages %}{{ m['role'] }}: {{ m['content'] }}{{ eos_token }}{% endfor %}" + (
        "{% if add_generation_prompt %}assistant: {% endif %}"
    )
    (tmp_path / "own.jinja").write_text(template)
    own, folder = str(tmp_path / "own.jinja"), tmp_path / "rm"
    trained = RewardModel.load(tiny_lm_folder, seed=1, max_length=96, chat_template=own)
    trained.save(folder)
    scores = trained(PROMPTS, COMPLETIONS)
    for choice in ("auto", own):
        assert RewardModel.load(folder, seed=0, chat_template=choice)(PROMPTS, COMPLETIONS) == scores
    for choice in ("plain", "none"):
        with pytest.raises(ChatTemplateError, match=f"template sha256:.* by {choice} it would read what it never saw"):
            RewardModel.load(folder, seed=0, chat_template=choice)
    # Another template in its folder, and none where there was one, are noticed where nobody asks for any.
    tokenizer = load_tokenizer(folder)
    for changed, by in ((template.replace(": ", " "), "sha256:"), (None, "plain")):
        tokenizer.chat_template = changed
        save_model(trained.model, tokenizer, folder)
        (folder / "manifest.json").unlink(missing_ok=True)
        with pytest.raises(ChatTemplateError, match=f"template sha256:.* by {by}.*put the old one back"):
            RewardModel.load(folder, seed=0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format_version": 4}, "format version 1, 2 or 3"),
        ({"chat_template": None}, "by which chat_template"),
        ({"gain": 0.0}, "gain"),
        ({"gain": True}, "gain"),
        ({"bias": None}, "bias"),
        ({"max_length": 3.5}, "max_length"),
    ],
)
def test_a_damaged_reward_file_is_refused(reward_model, tmp_path, change, message):
    reward_model.save(tmp_path / "rm")
    file = tmp_path / "rm" / "reward.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **change}))
    with pytest.raises(ArtifactError, match=message):
        RewardModel.load(tmp_path / "rm", seed=0)


@pytest.mark.parametrize(("gain", "bias"), [(1e308, 0.0), (1e39, 0.0), (1.0, 1e300), (-1e308, 0.0)])
def test_a_score_is_finite_in_float32_or_an_error_that_names_the_prompt(reward_model, gain, bias):
    """TRL turns scores into float32: -inf would reach it, and it would train on nothing."""
    absurd = RewardModel(reward_model.model, reward_model.tokenizer, 96, gain=gain, bias=bias)
    with pytest.raises(RewardError, match=r"item \d .*Its prompt ends '.*guitar\?.*Assistant:'.*gain .* is absurd"):
        absurd(PROMPTS[:2], COMPLETIONS[:2])


@pytest.mark.parametrize("field", ["gain", "bias"])
@pytest.mark.parametrize("value", ["1e308", "-1e13", "NaN", "Infinity", "1e999", "1" + "0" * 400, "true", '"1"'])
def test_an_absurd_number_in_the_file_is_refused(reward_model, tmp_path, field, value):
    reward_model.save(tmp_path)
    (tmp_path / "manifest.json").unlink()
    file = tmp_path / "reward.json"
    content = json.loads(file.read_text())
    file.write_text(json.dumps({**content, field: "HERE"}).replace('"HERE"', value))
    with pytest.raises(
        ArtifactError, match=r"(must hold numbers gain \(1e-12 to 1e\+12\)|is not valid JSON).*correct the file"
    ):
        RewardModel.load(tmp_path, seed=0)


def test_gain_that_makes_all_scores_alike_is_refused(reward_model, tmp_path):
    reward_model.save(tmp_path)
    (tmp_path / "manifest.json").unlink()
    file = tmp_path / "reward.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "gain": 1e-300}))
    with pytest.raises(ArtifactError, match="it has gain 1e-300"):
        RewardModel.load(tmp_path, seed=0)


def test_a_saved_model_is_verified_before_it_is_loaded(reward_model, tmp_path):
    reward_model.save(tmp_path)
    names = {file.name for file in tmp_path.iterdir()} - {"manifest.json"}
    assert {"model.safetensors", "config.json", "reward.json", "tokenizer.json", "tokenizer_config.json"} <= names
    for name in sorted(names):
        whole = (tmp_path / name).read_bytes()
        for place in range(7, len(whole), max(1, len(whole) // 3)):
            damaged = bytearray(whole)
            damaged[place] ^= 4
            (tmp_path / name).write_bytes(damaged)
            with pytest.raises((ArtifactError, ModelError), match=name.replace(".", r"\.")):
                RewardModel.load(tmp_path, seed=0)
        (tmp_path / name).write_bytes(whole)
    (tmp_path / "README.md").write_text("A model of mine.")
    assert RewardModel.load(tmp_path, seed=0)(["a"], [" b"]) == reward_model(["a"], [" b"])


def test_a_model_that_was_changed_on_purpose_is_loaded_without_its_manifest(reward_model, tmp_path):
    reward_model.save(tmp_path)
    file = tmp_path / "reward.json"
    file.write_text(file.read_text().replace('"gain": 1.0', '"gain": 2.0'))
    with pytest.raises(ArtifactError, match=r"If it was changed on purpose, delete its manifest\.json"):
        RewardModel.load(tmp_path, seed=0)
    (tmp_path / "manifest.json").unlink()
    assert RewardModel.load(tmp_path, seed=0).gain == 2.0
