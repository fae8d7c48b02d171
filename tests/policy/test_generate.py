"""Sampling: left padding, EOS, order, seeds."""

from __future__ import annotations

import json
import shutil

import pytest
import torch

from frft.config.sections import SamplingConfig
from frft.errors import DataError, ModelError
from frft.models import load_causal_lm, load_tokenizer
from frft.policy.generate import generate, left_padded, response_mask, sample_tokens

PROMPTS = [
    "\n\nHuman: Why is the sky blue?\n\nAssistant:",
    "\n\nHuman: Hi\n\nAssistant:",
    "x",
    "\n\nHuman: bake " * 9,
]
SAMPLING = SamplingConfig(max_new_tokens=12, max_prompt_tokens=40)


@pytest.fixture(scope="module")
def policy(tiny_lm_folder, tiny_tokenizer):
    return load_causal_lm(tiny_lm_folder, tiny_tokenizer)


def test_the_mask_ends_with_the_first_eos():
    tokens = torch.tensor([[5, 1, 6, 1], [1, 5, 5, 5], [5, 6, 7, 8], [5, 6, 7, 1]])
    mask, has_eos = response_mask(tokens, eos_token_id=1)
    assert mask.tolist() == [[1, 1, 0, 0], [1, 0, 0, 0], [1, 1, 1, 1], [1, 1, 1, 1]]
    assert has_eos.tolist() == [True, True, False, True]


def test_left_padding_puts_every_prompt_at_the_end():
    ids, mask = left_padded([[3, 4, 5], [6]], pad_token_id=0)
    assert ids.tolist() == [[3, 4, 5], [0, 0, 6]]
    assert mask.tolist() == [[1, 1, 1], [0, 0, 1]]


def test_greedy_completions_do_not_depend_on_the_batch(policy, tiny_tokenizer):
    greedy = SAMPLING.model_copy(update={"top_k": 1})
    together = generate(policy, tiny_tokenizer, PROMPTS, greedy, seed=0)
    alone = [generate(policy, tiny_tokenizer, [prompt], greedy, seed=1).completions[0] for prompt in PROMPTS]
    assert together.completions == alone
    assert together.prompts == PROMPTS


def test_the_seed_decides_and_the_global_generator_is_left_alone(policy, tiny_tokenizer):
    torch.manual_seed(5)
    expected_next = torch.rand(1)
    torch.manual_seed(5)
    first = generate(policy, tiny_tokenizer, PROMPTS, SAMPLING, seed=0)
    assert torch.rand(1) == expected_next
    assert generate(policy, tiny_tokenizer, PROMPTS, SAMPLING, seed=0) == first
    assert generate(policy, tiny_tokenizer, PROMPTS, SAMPLING, seed=1).completions != first.completions


def test_prompts_that_are_too_long_or_have_no_tokens_are_errors(policy, tiny_tokenizer):
    with pytest.raises(ModelError, match=r"\(40\) \+ max_new_tokens \(89\) is 129 .* policy .* only 128 positions"):
        generate(policy, tiny_tokenizer, ["a"], SAMPLING.model_copy(update={"max_new_tokens": 89}), seed=0)
    with pytest.raises(DataError, match=r"Prompt 1 of 3 .* no tokens"):
        generate(policy, tiny_tokenizer, ["a", "", "b"], SAMPLING, seed=0)
    assert generate(policy, tiny_tokenizer, [], SAMPLING, seed=0).completions == []


@pytest.mark.parametrize("loaded_by", ["frft", "transformers"])
def test_what_a_folder_says_about_sampling_changes_nothing(policy, tiny_tokenizer, tiny_lm_folder, tmp_path, loaded_by):
    from transformers import AutoModelForCausalLM

    shutil.copytree(tiny_lm_folder, tmp_path / "model")
    settings = {"repetition_penalty": 50.0, "no_repeat_ngram_size": 1, "min_p": 0.9, "typical_p": 0.1, "num_beams": 2}
    favourite = policy(input_ids=torch.tensor([tiny_tokenizer("x")["input_ids"]])).logits[0, -1].argmax().item()
    settings |= {
        "suppress_tokens": [favourite],
        "max_length": 3,
        "eos_token_id": [tiny_tokenizer.eos_token_id, favourite],
    }
    (tmp_path / "model" / "generation_config.json").write_text(json.dumps(settings))
    tokenizer = load_tokenizer(tmp_path / "model")
    if loaded_by == "frft":
        poisoned = load_causal_lm(tmp_path / "model", tokenizer)
    else:
        poisoned = AutoModelForCausalLM.from_pretrained(tmp_path / "model")
    own = poisoned.generation_config
    for top_k in (1, 0):
        sampling = SAMPLING.model_copy(update={"top_k": top_k})
        written, expected = (generate(model, tokenizer, PROMPTS * 20, sampling, seed=0) for model in (poisoned, policy))
        assert written == expected
        assert any(len(set(tokens)) < len(tokens) for tokens in expected.tokens)
    assert poisoned.generation_config is own


def test_cut_prompts_are_counted(policy, tiny_tokenizer):
    written = generate(policy, tiny_tokenizer, PROMPTS, SAMPLING, seed=0)
    too_long = sum(len(tiny_tokenizer(prompt)["input_ids"]) > 40 for prompt in PROMPTS)
    assert written.truncated.prompts == too_long > 0
    assert written.truncated.sequences == len(PROMPTS)


def test_sampled_frequencies_are_those_of_the_model_at_its_temperature(policy, tiny_tokenizer):
    sampling = SamplingConfig(temperature=0.5, top_k=5, max_new_tokens=1)
    ids, mask = left_padded([[40, 41]] * 4000, tiny_tokenizer.pad_token_id)
    torch.manual_seed(0)
    tokens = sample_tokens(policy, ids, mask, sampling, tiny_tokenizer.eos_token_id, tiny_tokenizer.pad_token_id)
    with torch.no_grad():
        logits = policy(input_ids=ids[:1]).logits[0, -1] / 0.5
    top = logits.topk(5)
    expected = torch.softmax(top.values, -1)
    observed = torch.stack([(tokens[:, 0] == token).float().mean() for token in top.indices])
    assert observed.sum() == pytest.approx(1.0)
    assert torch.allclose(observed, expected, atol=4 * (0.25 / 4000) ** 0.5)
