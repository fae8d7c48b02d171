"""A reward model's own tokenizer and forward pass, to compare frft with."""

from __future__ import annotations

import pytest

from frft.conversation import parse_dialogue
from frft.diagnosis.own_reading import OwnModel, built_in_texts, own_tokenizer, own_tokens
from frft.models import load_tokenizer
from frft.reward import RewardModel

CHATML = (
    "{% for m in messages %}{% if m['role'] == 'system' %}{{ raise_exception('no system') }}{% endif %}"
    "<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def test_built_in_texts_have_turns_a_system_prompt_and_several_lengths():
    prompts, completions = built_in_texts()
    roles = [[each["role"] for each in parse_dialogue(prompt)] for prompt in prompts]
    assert ["user", "assistant", "user"] in roles
    assert ["system", "user"] in roles
    assert "" in {completion.strip() for completion in completions}
    assert max(map(len, completions)) > 100


def test_texts_that_cannot_be_compared_are_counted(tiny_tokenizer, tiny_lm_folder):
    own = own_tokenizer(tiny_lm_folder, CHATML, trust_remote_code=False)
    assert own.chat_template == CHATML
    prompts = ["Why?", "\n\nSystem: Be kind.\n\nHuman: Why?\n\nAssistant:", "Why? " * 60, "Say <|endoftext|>."]
    found = own_tokens(own, prompts, ["So.", " So.", "So.", "So."], 100)
    assert (found.compared, found.refused, found.cut, found.named) == ([0], 1, 1, 1)
    text = "<|im_start|>user\nWhy?<|im_end|>\n<|im_start|>assistant\nSo.<|im_end|>\n"
    assert found.ids[0] == own(text, add_special_tokens=False)["input_ids"]


def test_without_a_template_prompt_and_completion_are_one_text_that_ends(tiny_lm_folder):
    own = own_tokenizer(tiny_lm_folder, None, trust_remote_code=False)
    found = own_tokens(own, ["Why?"], [" So."], 100)
    assert found.ids == [[*own("Why? So.")["input_ids"], own.eos_token_id]]


def test_a_model_of_adapters_is_scored_by_the_weights_that_frft_merged(tiny_lm_folder, saved_adapters, tmp_path):
    saved_adapters(tiny_lm_folder, tmp_path / "adapters", "SEQ_CLS")
    scorer = RewardModel.load(tmp_path / "adapters", seed=0)
    model = OwnModel.load(tmp_path / "adapters", scorer, trust_remote_code=False)
    assert not model.by_itself
    (pair,) = scorer.encoder.encode(["Why?"], [" So."])
    assert model.scores([pair.ids]).tolist() == pytest.approx(scorer(["Why?"], [" So."]), abs=1e-6)


def test_a_tokenizer_without_padding_cannot_make_batches(tiny_lm_folder, tmp_path):
    scorer = RewardModel.load(tiny_lm_folder, seed=0)
    scorer.save(tmp_path / "rm")
    model = OwnModel.load(tmp_path / "rm", RewardModel.load(tmp_path / "rm", seed=0), trust_remote_code=False)
    assert model.by_itself
    tokenizer = load_tokenizer(tmp_path / "rm")
    side = tokenizer.padding_side
    sequences = [[5, 6, 7], [8, 9]]
    for padded in ("right", "left"):
        assert model.padded_scores(tokenizer, sequences, 2, padded).shape == (2,)
    tokenizer.pad_token = None
    with pytest.raises(ValueError, match="pad"):
        model.padded_scores(tokenizer, sequences, 2, "right")
    assert tokenizer.padding_side == side
