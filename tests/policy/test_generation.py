"""Sampling: left padding, EOS, order, seeds."""

from __future__ import annotations

import json
import shutil

import pytest
import torch

from frft.config.sections import SamplingConfig
from frft.errors import DataError, ModelError
from frft.models import load_causal_lm, load_tokenizer
from frft.policy.generation import generate, left_padded, response_mask, row_uniforms, sample_tokens

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
    mask, has_eos = response_mask(tokens, [1])
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


def recurrent(tokenizer):
    """A model that `frft.policy.decode` cannot drive."""
    from transformers import MambaConfig, MambaForCausalLM

    torch.manual_seed(0)
    config = MambaConfig(vocab_size=len(tokenizer), hidden_size=32, state_size=4, num_hidden_layers=2)
    return MambaForCausalLM(config).eval()


@pytest.mark.parametrize("kind", ["gpt2", "mamba"])
def test_sampled_frequencies_are_those_of_the_model_at_its_temperature(policy, tiny_tokenizer, kind):
    model = policy if kind == "gpt2" else recurrent(tiny_tokenizer)
    sampling = SamplingConfig(temperature=0.5, top_k=5, max_new_tokens=1)
    ids, mask = left_padded([[40, 41]] * 4000, tiny_tokenizer.pad_token_id)
    eos, pad = tiny_tokenizer.eos_token_id, tiny_tokenizer.pad_token_id
    tokens = sample_tokens(model, ids, mask, sampling, [eos], pad, row_uniforms(0, 4000, 1))
    with torch.no_grad():
        logits = model(input_ids=ids[:1]).logits[0, -1] / 0.5
    top = logits.topk(5)
    expected = torch.softmax(top.values, -1)
    observed = torch.stack([(tokens[:, 0] == token).float().mean() for token in top.indices])
    assert observed.sum() == pytest.approx(1.0)
    assert torch.allclose(observed, expected, atol=4 * (0.25 / 4000) ** 0.5)


def test_a_rows_numbers_do_not_depend_on_how_many_rows_there_are():
    numbers = row_uniforms(4, 50, 7)
    assert numbers.dtype == torch.float64
    assert 0 <= numbers.min() < 0.05
    assert 0.95 < numbers.max() < 1
    assert torch.equal(row_uniforms(4, 9, 7), numbers[:9])
    assert not torch.equal(row_uniforms(5, 50, 7), numbers)


def test_the_size_of_the_batches_changes_nothing(policy, tiny_tokenizer):
    written = generate(policy, tiny_tokenizer, PROMPTS * 3, SAMPLING, seed=3)
    assert generate(policy, tiny_tokenizer, PROMPTS * 3, SAMPLING, seed=3, batch_size=5) == written
    assert len(set(written.completions)) == len(PROMPTS) * 3


@pytest.mark.parametrize("kind", ["mamba", "prompt tuning"])
def test_models_that_cannot_be_decoded_step_by_step_are_sampled_by_transformers(tiny_lm_folder, tiny_tokenizer, kind):
    from peft import PromptTuningConfig, get_peft_model

    from frft.policy.decode import can_decode

    if kind == "mamba":
        model = recurrent(tiny_tokenizer)
    else:
        lm = load_causal_lm(tiny_lm_folder, tiny_tokenizer)
        model = get_peft_model(lm, PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=2))
    assert not can_decode(model)
    torch.manual_seed(5)
    expected_next = torch.rand(1)
    torch.manual_seed(5)
    first = generate(model, tiny_tokenizer, PROMPTS, SAMPLING, seed=0)
    assert torch.rand(1) == expected_next
    assert generate(model, tiny_tokenizer, PROMPTS, SAMPLING, seed=0) == first
    assert generate(model, tiny_tokenizer, PROMPTS, SAMPLING, seed=1).completions != first.completions
    assert [len(tokens) for tokens in first.tokens] == [12] * len(PROMPTS)


def test_dropout_is_off_while_sampling_and_each_module_is_left_as_it_was(tiny_lm_folder, tiny_tokenizer):
    model = load_causal_lm(tiny_lm_folder, tiny_tokenizer)
    expected = generate(model.eval(), tiny_tokenizer, PROMPTS, SAMPLING, seed=0)
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.5
    model.train()
    model.transformer.h[0].eval()
    modes = [module.training for module in model.modules()]
    assert generate(model, tiny_tokenizer, PROMPTS, SAMPLING, seed=0) == expected
    assert [module.training for module in model.modules()] == modes


@pytest.mark.parametrize("architecture", ["gpt2", "llama"])
def test_what_was_sampled_can_be_trained_on(tiny_tokenizer, architecture):
    from frft.config.sections import ScratchConfig
    from frft.models import build_causal_lm

    config = ScratchConfig(architecture=architecture, hidden_size=32, num_hidden_layers=2, num_attention_heads=2)
    model = build_causal_lm(config, tiny_tokenizer, seed=0)
    eos, pad = tiny_tokenizer.eos_token_id, tiny_tokenizer.pad_token_id
    ids, mask = left_padded([[40, 41], [42]], pad)
    tokens = sample_tokens(model, ids, mask, SAMPLING, [eos], pad, row_uniforms(0, 2, 12))
    assert all(parameter.grad is None and parameter.requires_grad for parameter in model.parameters())
    logprobs = model(input_ids=tokens).logits.log_softmax(-1)
    logprobs.gather(-1, tokens[..., None]).sum().backward()
    assert all(parameter.grad is not None and parameter.grad.isfinite().all() for parameter in model.parameters())


def test_a_part_of_the_prompts_is_written_to_as_if_the_others_stood_before_it(tiny_lm_folder, tiny_tokenizer):
    policy = load_causal_lm(tiny_lm_folder, tiny_tokenizer)
    prompts, sampling = [f"Question {n}?" for n in range(7)], SamplingConfig(max_new_tokens=6, max_prompt_tokens=12)
    whole = generate(policy, tiny_tokenizer, prompts, sampling, seed=2).completions
    assert generate(policy, tiny_tokenizer, prompts[3:], sampling, seed=2, first_row=3).completions == whole[3:]
    assert generate(policy, tiny_tokenizer, prompts[3:], sampling, seed=2).completions != whole[3:]
