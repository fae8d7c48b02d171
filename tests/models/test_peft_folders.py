"""Adapters that PEFT saved are merged on loading, whole, or refused in words."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import peft
import pytest
import torch
from safetensors.torch import load_file, save_file

from frft.config.sections import ScratchConfig
from frft.errors import ModelError
from frft.models import (
    build_causal_lm,
    load_causal_lm,
    load_model_config,
    load_reward_backbone,
    load_tokenizer,
    longest_sequence,
    quiet,
    save_model,
    seeded,
)
from frft.reward import RewardModel, model_identity

IDS = torch.tensor([[4, 8, 15, 16, 23, 42]])


def adapted(base: Path, folder: Path, config, *, outputs: int | None = None, tokens: int | None = None):
    """Save random adapters on `base`, as PEFT does; returns what the model says of `IDS` with them."""
    from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification

    with quiet(), seeded(5):
        if outputs is None:
            model = AutoModelForCausalLM.from_pretrained(base)
        else:
            model = AutoModelForSequenceClassification.from_pretrained(base, num_labels=outputs)
            model.config.pad_token_id = 0
        if tokens is not None:
            model.resize_token_embeddings(tokens)
        config.base_model_name_or_path = None
        model = peft.get_peft_model(model, config)
        with torch.no_grad():
            for name, weight in model.named_parameters():
                if weight.requires_grad and not (name.endswith("base_layer.weight")):
                    weight.add_(0.1 * torch.randn_like(weight))
        model.eval().save_pretrained(folder)
        with torch.no_grad():
            return model(input_ids=IDS).logits


def edit(folder: Path, **changes) -> None:
    file = folder / "adapter_config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **changes}))


def weights_without(folder: Path, *words: str) -> None:
    file = folder / "adapter_model.safetensors"
    kept = {name: weight for name, weight in load_file(file).items() if not any(word in name for word in words)}
    save_file(kept, file, metadata={"format": "pt"})


@pytest.fixture
def base(tiny_lm_folder, tmp_path) -> Path:
    return shutil.copytree(tiny_lm_folder, tmp_path / "base")


@pytest.fixture
def classifier(base, tmp_path) -> Path:
    """Adapters with the head of a classifier, on a language model."""
    config = peft.LoraConfig(task_type="SEQ_CLS", r=4, target_modules=["c_attn"], init_lora_weights=False)
    adapted(base, tmp_path / "classifier", config, outputs=1)
    return tmp_path / "classifier"


KINDS = {
    "lora": lambda: peft.LoraConfig(task_type="CAUSAL_LM", r=4, target_modules=["c_attn"]),
    "dora": lambda: peft.LoraConfig(r=4, use_dora=True, use_rslora=True, target_modules="all-linear"),
    "biases": lambda: peft.LoraConfig(r=4, bias="all", target_modules=["c_proj"], layers_to_transform=[1]),
    "embeddings": lambda: peft.LoraConfig(r=4, target_modules=["c_attn", "wte"]),
    "output": lambda: peft.LoraConfig(r=4, target_modules=["c_attn", "lm_head"]),
    "whole embeddings": lambda: peft.LoraConfig(r=4, target_modules=["c_attn"], modules_to_save=["wte", "lm_head"]),
    "ia3": lambda: peft.IA3Config(target_modules=["c_attn", "c_proj"], feedforward_modules=["c_proj"]),
    "layer norms": lambda: peft.LNTuningConfig(target_modules=["ln_1"]),
}


@pytest.mark.parametrize("kind", KINDS)
def test_merged_is_what_the_adapters_say_and_all_of_it_is_plain(base, tmp_path, kind):
    wanted = adapted(base, tmp_path / "adapters", KINDS[kind]())
    tokenizer = load_tokenizer(tmp_path / "adapters")
    with torch.no_grad():
        changed = load_causal_lm(base, tokenizer)(input_ids=IDS).logits - wanted
    assert float(changed.abs().max()) > 1e-3
    for place in (tmp_path / "adapters", tmp_path / "saved"):
        model = load_causal_lm(place, tokenizer)
        with torch.no_grad():
            assert torch.allclose(model(input_ids=IDS).logits, wanted, atol=2e-6)
        assert type(model).__name__ == "GPT2LMHeadModel"
        assert not hasattr(model, "peft_config")
        assert all(weight.requires_grad for weight in model.parameters())
        assert not any("lora" in name for name, _ in model.named_parameters())
        save_model(model, tokenizer, tmp_path / "saved")
    written = {file.name: file.read_bytes() for file in (tmp_path / "saved").iterdir()}
    assert "adapter_config.json" not in written
    assert not any(str(tmp_path).encode() in content for content in written.values())


def test_a_larger_vocabulary_comes_with_the_adapters(base, tmp_path):
    wanted = adapted(base, tmp_path / "adapters", KINDS["lora"](), tokens=326)
    model = load_causal_lm(tmp_path / "adapters", load_tokenizer(base))
    assert model.get_input_embeddings().num_embeddings == 326
    with torch.no_grad():
        assert torch.allclose(model(input_ids=IDS).logits, wanted, atol=2e-6)


@pytest.mark.parametrize("architecture", ["gpt2", "llama"])
def test_adapters_on_adapters_and_of_both_families(tiny_tokenizer, tmp_path, architecture):
    scratch = ScratchConfig(
        architecture=architecture, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, vocab_size=320
    )
    save_model(build_causal_lm(scratch, tiny_tokenizer, seed=0), tiny_tokenizer, tmp_path / "base")
    adapted(tmp_path / "base", tmp_path / "first", peft.LoraConfig(r=2, target_modules="all-linear"))
    edit(tmp_path / "first", base_model_name_or_path="../base")
    save_model(load_causal_lm(tmp_path / "first", tiny_tokenizer), tiny_tokenizer, tmp_path / "merged")
    config = peft.LoraConfig(task_type="SEQ_CLS", r=2, target_modules="all-linear")
    wanted = adapted(tmp_path / "merged", tmp_path / "second", config, outputs=1)
    edit(tmp_path / "second", base_model_name_or_path="../first")
    model = load_reward_backbone(tmp_path / "second", tiny_tokenizer, seed=0, allow_fresh_head=False)
    with torch.no_grad():
        assert torch.allclose(model(input_ids=IDS).logits, wanted, atol=2e-6)
    before = model_identity(tmp_path / "second")
    assert before == model_identity(tmp_path / "second")
    # The files of the second are as they were.
    adapted(tmp_path / "base", tmp_path / "first", peft.LoraConfig(r=3, target_modules="all-linear"))
    assert before != model_identity(tmp_path / "second")
    edit(tmp_path / "first", base_model_name_or_path="../second")
    with pytest.raises(ModelError, match="their own base"):
        load_model_config(tmp_path / "second")


def test_the_identity_of_adapters_is_that_of_their_base_too(classifier, base):
    before = model_identity(classifier)
    (base / "config.json").write_text((base / "config.json").read_text() + "\n")
    assert before != model_identity(classifier)


@pytest.mark.parametrize("task", ["SEQ_CLS", "CAUSAL_LM", None])
def test_a_classifiers_adapters_bring_their_head_whatever_they_are_called(classifier, tiny_tokenizer, task):
    wanted = load_file(classifier / "adapter_model.safetensors")["base_model.model.score.weight"]
    edit(classifier, task_type=task)
    heads = [load_reward_backbone(classifier, tiny_tokenizer, seed=seed).score.weight for seed in (0, 1)]
    assert heads[0].equal(wanted)
    assert heads[1].equal(wanted)
    assert load_model_config(classifier).num_labels == 1
    with pytest.raises(ModelError, match=r"do not fit GPT2LMHeadModel: 1 of their weights have no place.*score"):
        load_causal_lm(classifier, tiny_tokenizer)


def test_adapters_are_merged_in_float32_whatever_the_format_of_the_base(base, classifier):
    tokenizer = load_tokenizer(base)
    # So that both models start with the same numbers.
    save_model(load_causal_lm(base, tokenizer).to(torch.bfloat16), tokenizer, base)
    whole, half = (RewardModel.load(classifier, seed=0, dtype=dtype).model for dtype in ("float32", "bfloat16"))
    halves = dict(half.named_parameters())
    for name, weight in whole.named_parameters():
        assert torch.equal(halves[name], weight.to(torch.bfloat16)), name


def test_adapters_with_another_number_of_outputs_get_a_fresh_head(base, tiny_tokenizer, tmp_path):
    config = peft.LoraConfig(task_type="SEQ_CLS", r=4, target_modules=["c_attn"])
    adapted(base, tmp_path / "three", config, outputs=3)
    assert load_model_config(tmp_path / "three").num_labels == 3
    assert load_reward_backbone(tmp_path / "three", tiny_tokenizer, seed=0).score.weight.shape[0] == 1
    with pytest.raises(ModelError, match=r"no complete reward model.*score\.weight"):
        load_reward_backbone(tmp_path / "three", tiny_tokenizer, seed=0, allow_fresh_head=False)


@pytest.mark.parametrize("listed", [["classifier", "score"], None])
def test_without_their_head_they_are_no_reward_model_but_can_become_one(classifier, tiny_tokenizer, listed):
    """These were scored by a head that was drawn anew each time, and nothing said so."""
    weights_without(classifier, "score")
    edit(classifier, modules_to_save=listed, task_type=None)
    with pytest.raises(ModelError, match=r"no complete reward model: 1 weights are missing \(score\.weight\)"):
        RewardModel.load(classifier, seed=0, allow_fresh_head=False)
    heads = [load_reward_backbone(classifier, tiny_tokenizer, seed=seed).score.weight for seed in (0, 0, 1)]
    assert heads[0].equal(heads[1])
    assert not heads[0].equal(heads[2])


def test_a_head_that_is_listed_is_not_replaced_by_that_of_the_base(classifier, base, tiny_tokenizer, tmp_path):
    save_model(load_reward_backbone(base, tiny_tokenizer, seed=0), tiny_tokenizer, tmp_path / "whole")
    edit(classifier, base_model_name_or_path=str(tmp_path / "whole"))
    load_reward_backbone(classifier, tiny_tokenizer, seed=0, allow_fresh_head=False)
    weights_without(classifier, "score")
    with pytest.raises(ModelError, match=r"do not fit.*missing or of another size \(score\.weight\)"):
        load_reward_backbone(classifier, tiny_tokenizer, seed=0)


def test_weights_that_are_missing_or_of_another_size_are_refused(base, tiny_tokenizer, tmp_path):
    adapted(base, tmp_path / "adapters", KINDS["lora"]())
    whole = shutil.copytree(tmp_path / "adapters", tmp_path / "whole")
    weights_without(tmp_path / "adapters", "h.1.attn.c_attn.lora_B")
    with pytest.raises(ModelError, match=r"do not fit GPT2LMHeadModel: 1 of their weights are missing.*h\.1\.attn"):
        load_causal_lm(tmp_path / "adapters", tiny_tokenizer)
    edit(whole, r=2)
    with pytest.raises(ModelError, match=r"do not fit GPT2LMHeadModel: 4 of their weights are missing or of another"):
        load_causal_lm(whole, tiny_tokenizer)
    edit(whole, r=4, layers_to_transform=[0])
    with pytest.raises(ModelError, match=r"2 of their weights have no place in it.*h\.1\.attn"):
        load_causal_lm(whole, tiny_tokenizer)
    edit(whole, layers_to_transform=None, target_modules=["q_proj"])
    with pytest.raises(ModelError, match=r"\(LORA\) cannot be merged into GPT2LMHeadModel: .*q_proj"):
        load_causal_lm(whole, tiny_tokenizer)


def test_the_output_layer_of_a_language_model_is_dropped_where_a_classifier_is_made_of_it(
    base, tiny_tokenizer, tmp_path
):
    adapted(base, tmp_path / "adapters", KINDS["whole embeddings"]())
    model = load_reward_backbone(tmp_path / "adapters", tiny_tokenizer, seed=0)
    wanted = load_file(tmp_path / "adapters" / "adapter_model.safetensors")["base_model.model.transformer.wte.weight"]
    assert model.get_input_embeddings().weight.equal(wanted)


def test_the_tokenizer_lies_with_the_adapters_or_with_their_base(classifier, base):
    assert longest_sequence(classifier) == longest_sequence(base) == 128
    tokenizer = load_tokenizer(base)
    tokenizer.add_tokens(["<|im_start|>"])
    tokenizer.save_pretrained(classifier)
    assert len(load_tokenizer(classifier)) == len(load_tokenizer(base)) + 1
    model = load_reward_backbone(classifier, load_tokenizer(classifier), seed=0)
    assert model.get_input_embeddings().num_embeddings == 321


def test_a_base_is_found_beside_the_adapters_and_in_the_working_directory(classifier, base, tmp_path, monkeypatch):
    edit(classifier, base_model_name_or_path="../base")
    load_model_config(classifier)
    edit(classifier, base_model_name_or_path="base")
    with pytest.raises(ModelError, match=r"configuration of 'base', the base of the adapters in '.*classifier'"):
        load_model_config(classifier)
    monkeypatch.chdir(tmp_path)
    load_model_config("classifier")
    shutil.copytree(base, classifier / "base")
    with pytest.raises(ModelError, match=r"names the base 'base', and there are two: .*classifier/base and .*Write"):
        load_model_config(classifier)


@pytest.mark.parametrize("load", [load_model_config, load_tokenizer, longest_sequence, model_identity])
@pytest.mark.parametrize(
    ("named", "message"),
    [
        ("/no/such/model", r"trained on '/no/such/model', which is not there \(looked for at /no/such/model\)"),
        ("../gone", r"trained on '../gone', which is not there \(looked for at .*classifier/../gone and .*gone\)"),
        (None, "does not say which model these adapters are for"),
    ],
)
def test_a_base_that_is_not_there_is_named(classifier, load, named, message):
    edit(classifier, base_model_name_or_path=named)
    with pytest.raises(ModelError, match=message):
        load(classifier)


@pytest.mark.parametrize("kind", ["PROMPT_TUNING", "PREFIX_TUNING", "P_TUNING", "ADAPTION_PROMPT"])
def test_what_is_no_change_of_weights_is_refused_by_name(classifier, tiny_tokenizer, kind):
    edit(classifier, peft_type=kind)
    with pytest.raises(ModelError, match=f"adapters of the kind {kind}, which are no change of the model's weights"):
        load_causal_lm(classifier, tiny_tokenizer)


def test_a_prompt_that_peft_tuned_is_refused(base, tiny_tokenizer, tmp_path):
    adapted(base, tmp_path / "prompt", peft.PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=2))
    with pytest.raises(ModelError, match="PROMPT_TUNING"):
        load_causal_lm(tmp_path / "prompt", tiny_tokenizer)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"peft_type": "SORCERY"}, "kind SORCERY, which PEFT does not know"),
        ({"peft_type": None}, "does not say what kind of adapters"),
        ({"alora_invocation_tokens": [1]}, "activated LoRA adapters, which cannot be merged"),
        ({"megatron_config": {"a": 1}}, "Megatron's LoRA adapters"),
    ],
)
def test_other_settings_that_cannot_be_are_refused(classifier, changes, message):
    edit(classifier, **changes)
    with pytest.raises(ModelError, match=message):
        load_model_config(classifier)


def test_pickles_damage_and_two_models_in_one_folder_are_refused(classifier, base, tiny_tokenizer):
    file = classifier / "adapter_model.safetensors"
    shutil.copy(base / "model.safetensors", classifier)
    with pytest.raises(ModelError, match=r"beside a whole model \(model\.safetensors\)"):
        load_causal_lm(classifier, tiny_tokenizer)
    (classifier / "model.safetensors").unlink()
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ModelError, match=r"adapter_model\.safetensors is damaged"):
        load_reward_backbone(classifier, tiny_tokenizer, seed=0)
    file.unlink()
    with pytest.raises(ModelError, match=r"but no adapter_model\.safetensors"):
        load_reward_backbone(classifier, tiny_tokenizer, seed=0)
    torch.save({}, classifier / "adapter_model.bin")
    with pytest.raises(ModelError, match=r"adapters as adapter_model\.bin, a pickle"):
        load_reward_backbone(classifier, tiny_tokenizer, seed=0)
    (classifier / "adapter_config.json").write_text("{")
    with pytest.raises(ModelError, match=r"adapter_config\.json is damaged"):
        load_model_config(classifier)


def test_merging_leaves_the_global_generator_alone(classifier, tiny_tokenizer):
    state = torch.get_rng_state()
    load_reward_backbone(classifier, tiny_tokenizer, seed=0)
    assert torch.equal(state, torch.get_rng_state())


def test_adapters_on_the_hub_are_found_in_the_cache(classifier, base, tiny_tokenizer, tmp_path, monkeypatch):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    for owner, folder in (("models--a--base", base), ("models--a--rm", classifier)):
        place = tmp_path / "cache" / owner
        (place / "refs").mkdir(parents=True)
        (place / "refs" / "main").write_text("0" * 40)
        shutil.copytree(folder, place / "snapshots" / ("0" * 40))
    edit(tmp_path / "cache" / "models--a--rm" / "snapshots" / ("0" * 40), base_model_name_or_path="a/base")
    wanted = load_reward_backbone(classifier, tiny_tokenizer, seed=0)
    found = load_reward_backbone("a/rm", load_tokenizer("a/rm"), seed=0, allow_fresh_head=False)
    for ours, theirs in zip(found.parameters(), wanted.parameters(), strict=True):
        assert ours.equal(theirs)
