"""Loading and saving models and tokenizers."""

from __future__ import annotations

import json
import shutil

import pytest

from frft.config.sections import ScratchConfig
from frft.errors import ArtifactError, ModelError
from frft.models import (
    build_causal_lm,
    check_positions,
    load_causal_lm,
    load_reward_backbone,
    load_tokenizer,
    save_model,
)
from frft.models.chat import contents_alone
from frft.store import seal

from ..processes import run_python


@pytest.fixture
def folder(tiny_lm_folder, tmp_path):
    """A copy of the tiny language model, to break."""
    return shutil.copytree(tiny_lm_folder, tmp_path / "model")


def edit(file, **changes):
    content = json.loads(file.read_text())
    file.write_text(json.dumps({k: v for k, v in {**content, **changes}.items() if v is not None}))


def test_a_saved_model_comes_back_and_holds_no_pickle(tiny_lm_folder, tiny_tokenizer, tmp_path, capfd):
    import torch

    tokenizer = load_tokenizer(tiny_lm_folder)
    model = load_causal_lm(tiny_lm_folder, tokenizer)
    save_model(model, tokenizer, tmp_path / "again")
    again = load_causal_lm(tmp_path / "again", load_tokenizer(tmp_path / "again"))
    for before, after in zip(model.parameters(), again.parameters(), strict=True):
        assert torch.equal(before, after)
    assert {file.suffix for file in (tmp_path / "again").iterdir()} == {".json", ".safetensors"}
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("pad", [None, "<|endoftext|>"])
def test_a_tokenizer_without_padding_pads_by_eos_and_the_vocabulary_does_not_grow(folder, pad):
    edit(folder / "tokenizer_config.json", pad_token=pad)
    tokenizer = load_tokenizer(folder)
    assert tokenizer.pad_token_id == tokenizer.eos_token_id
    assert load_causal_lm(folder, tokenizer).get_input_embeddings().num_embeddings == 320


def test_embeddings_grow_with_the_tokenizer(folder):
    tokenizer = load_tokenizer(folder)
    tokenizer.add_special_tokens({"additional_special_tokens": ["<|one|>", "<|two|>"]})
    models = [load_causal_lm(folder, tokenizer) for _ in range(2)]
    rows = [model.get_input_embeddings().weight for model in models]
    assert rows[0].shape[0] == len(tokenizer) == 322
    assert rows[0].equal(rows[1])
    assert load_reward_backbone(folder, tokenizer, seed=0).get_input_embeddings().num_embeddings == 322


def test_a_tokenizer_without_eos_is_refused(folder):
    edit(folder / "tokenizer_config.json", eos_token=None)
    with pytest.raises(ModelError, match="no EOS token"):
        load_tokenizer(folder)


def test_weights_are_float32_whatever_they_were_saved_in(folder):
    import torch

    tokenizer = load_tokenizer(folder)
    save_model(load_causal_lm(folder, tokenizer).to(torch.bfloat16), tokenizer, folder / "half")
    assert load_causal_lm(folder / "half", tokenizer).dtype == torch.float32
    assert load_reward_backbone(folder / "half", tokenizer, seed=0).dtype == torch.float32


def test_a_model_that_reads_plain_text_leaves_no_template_of_one_that_was_saved_there_before(folder):
    tokenizer = load_tokenizer(folder)
    model = load_causal_lm(folder, tokenizer)
    tokenizer.chat_template = contents_alone(tokenizer)
    save_model(model, tokenizer, folder / "again")
    assert load_tokenizer(folder / "again").chat_template == contents_alone(tokenizer)
    save_model(model, load_tokenizer(folder / "again", chat_template="plain"), folder / "again")
    assert load_tokenizer(folder / "again").chat_template is None


def test_a_fresh_head_is_drawn_from_n_0_1_over_d_plus_1(tiny_tokenizer, tmp_path):
    from transformers import GPT2Config, GPT2LMHeadModel

    width = 2048
    model = GPT2LMHeadModel(GPT2Config(vocab_size=320, n_embd=width, n_layer=0, n_head=2, n_positions=8))
    save_model(model, tiny_tokenizer, tmp_path / "wide")
    head = load_reward_backbone(tmp_path / "wide", tiny_tokenizer, seed=3).score.weight.detach()
    assert head.shape == (1, width)
    # The standard error of a standard deviation of n normal values is 1/sqrt(2n) of it: here 1.6 %.
    assert float(head.std()) == pytest.approx((width + 1) ** -0.5, rel=0.06)
    assert abs(float(head.mean())) < 4 * (width + 1) ** -0.5 / width**0.5
    assert head.equal(load_reward_backbone(tmp_path / "wide", tiny_tokenizer, seed=3).score.weight)
    assert not head.equal(load_reward_backbone(tmp_path / "wide", tiny_tokenizer, seed=4).score.weight)


def test_a_classifier_with_several_outputs_gets_a_fresh_head_and_one_with_one_keeps_its_own(folder, tiny_tokenizer):
    from transformers import AutoModelForSequenceClassification

    for outputs in (1, 3):
        model = AutoModelForSequenceClassification.from_pretrained(folder, num_labels=outputs)
        save_model(model, tiny_tokenizer, folder / f"with-{outputs}")
        loaded = load_reward_backbone(folder / f"with-{outputs}", tiny_tokenizer, seed=0)
        assert loaded.config.num_labels == 1
        assert loaded.score.weight.shape[0] == 1
        assert loaded.transformer.wte.weight.equal(model.transformer.wte.weight)
        assert loaded.score.weight.equal(model.score.weight) == (outputs == 1)
        if outputs == 3:
            with pytest.raises(ModelError, match=r"no complete reward model.*score\.weight"):
                load_reward_backbone(folder / "with-3", tiny_tokenizer, seed=0, allow_fresh_head=False)


def test_loading_leaves_the_global_generator_alone(tiny_lm_folder, tiny_tokenizer):
    import torch

    state = torch.get_rng_state()
    load_reward_backbone(tiny_lm_folder, tiny_tokenizer, seed=1)
    assert torch.equal(state, torch.get_rng_state())


def test_of_how_a_folder_samples_only_special_tokens_stay_and_survive_saving(folder, tmp_path):
    tokenizer = load_tokenizer(folder)
    settings = {"do_sample": False, "temperature": 0.6, "repetition_penalty": 50.0}
    (folder / "generation_config.json").write_text(json.dumps({**settings, "eos_token_id": [7, 9], "pad_token_id": 7}))
    edit(folder / "config.json", no_repeat_ngram_size=1)
    for place in (folder, tmp_path / "again"):
        model = load_causal_lm(place, tokenizer)
        kept = {name: value for name, value in model.generation_config.to_diff_dict().items() if value is not None}
        del kept["transformers_version"]
        assert kept == {"eos_token_id": [tokenizer.eos_token_id, 7, 9], "pad_token_id": tokenizer.pad_token_id}
        save_model(model, tokenizer, tmp_path / "again")


@pytest.mark.parametrize("architecture", ["gpt2", "llama"])
def test_more_tokens_than_positions_are_refused(tiny_tokenizer, architecture):
    config = ScratchConfig(architecture=architecture, max_position_embeddings=64, hidden_size=16, num_hidden_layers=1)
    model = build_causal_lm(config, tiny_tokenizer, seed=0)
    check_positions(model, 64, "policy", "max_length")
    with pytest.raises(ModelError, match=r"max_length is 65 tokens, but the policy \(\w+\) has only 64 positions"):
        check_positions(model, 65, "policy", "max_length")


def test_a_model_without_positions_reads_any_length():
    from transformers import BloomConfig, BloomForCausalLM

    check_positions(
        BloomForCausalLM(BloomConfig(vocab_size=8, hidden_size=8, n_layer=1, n_head=1)), 10**9, "policy", "x"
    )


def test_pickled_weights_are_refused(folder, tiny_tokenizer):
    import torch

    model = load_causal_lm(folder, tiny_tokenizer)
    (folder / "model.safetensors").unlink()
    torch.save(model.state_dict(), folder / "pytorch_model.bin")
    for load in (load_causal_lm, lambda *args: load_reward_backbone(*args, seed=0)):
        with pytest.raises(ModelError, match=r"safetensors"):
            load(folder, tiny_tokenizer)


def test_a_name_that_is_nowhere_says_what_to_do(tiny_tokenizer):
    with pytest.raises(ModelError, match=r"'no-such/model'.*Give a folder that exists"):
        load_causal_lm("no-such/model", tiny_tokenizer)
    with pytest.raises(ModelError, match="tokenizer 'no-such/model'"):
        load_tokenizer("no-such/model")


@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
@pytest.mark.parametrize("damage", ["missing", "empty", "half"])
def test_a_damaged_folder_is_refused(folder, tiny_tokenizer, name, damage):
    file = folder / name
    content = file.read_bytes()
    file.write_bytes({"missing": b"", "empty": b"", "half": content[: len(content) // 2]}[damage])
    if damage == "missing":
        file.unlink()
    says = r".*The folder must hold|config\.json holds no JSON object"
    with pytest.raises(ModelError, match=rf"causal language model{says}"):
        load_causal_lm(folder, tiny_tokenizer)
    with pytest.raises(ModelError, match=rf"reward model{says}"):
        load_reward_backbone(folder, tiny_tokenizer, seed=0)


def test_missing_weights_are_not_replaced_by_random_ones(folder, tiny_tokenizer):
    from safetensors.torch import load_file, save_file

    tensors = load_file(folder / "model.safetensors")
    del tensors["transformer.h.1.mlp.c_fc.weight"]
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ModelError, match=r"no complete language model: 1 weights.*h\.1\.mlp\.c_fc"):
        load_causal_lm(folder, tiny_tokenizer)
    with pytest.raises(ModelError, match=r"no complete reward model: 1 weights.*h\.1\.mlp\.c_fc"):
        load_reward_backbone(folder, tiny_tokenizer, seed=0)


@pytest.mark.parametrize("architecture", ["llama", "mixtral", "bert", "deberta-v2", "modernbert"])
def test_no_single_weight_of_a_classifier_can_be_missing(architecture, tiny_tokenizer, tmp_path):
    """Also where weights have other names in files: experts are one weight in the model, and many in a file."""
    from safetensors.torch import load_file, save_file
    from transformers import AutoConfig, AutoModelForSequenceClassification

    sizes = {"hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2}
    experts = {"num_local_experts": 2, "num_key_value_heads": 1} if architecture == "mixtral" else {}
    config = AutoConfig.for_model(architecture, vocab_size=320, pad_token_id=0, num_labels=1, **sizes, **experts)
    save_model(AutoModelForSequenceClassification.from_config(config), tiny_tokenizer, tmp_path)
    load_reward_backbone(tmp_path, tiny_tokenizer, seed=0, allow_fresh_head=False)
    tensors = load_file(tmp_path / "model.safetensors")
    assert any("experts.1." in name for name in tensors) == (architecture == "mixtral")
    for name in tensors:
        rest = {key: tensor for key, tensor in tensors.items() if key != name}
        save_file(rest, tmp_path / "model.safetensors", metadata={"format": "pt"})
        with pytest.raises(ModelError):
            load_reward_backbone(tmp_path, tiny_tokenizer, seed=0, allow_fresh_head=False)


def test_missing_weights_that_transformers_is_told_not_to_report_are_refused(folder, tiny_tokenizer, monkeypatch):
    from safetensors.torch import load_file, save_file
    from transformers import GPT2LMHeadModel, GPT2PreTrainedModel

    # As the models of its own do that have, or have had, weights that published checkpoints lack.
    monkeypatch.setattr(GPT2PreTrainedModel, "_keys_to_ignore_on_load_missing", [r"\.mlp\.c_fc", r"ln_f"])
    tensors = load_file(folder / "model.safetensors")
    del tensors["transformer.h.1.mlp.c_fc.weight"], tensors["transformer.ln_f.bias"]
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    _, info = GPT2LMHeadModel.from_pretrained(folder, output_loading_info=True)
    assert not info["missing_keys"]
    with pytest.raises(ModelError, match=r"no complete language model: 2 weights.*h\.1\.mlp\.c_fc.*ln_f"):
        load_causal_lm(folder, tiny_tokenizer)
    with pytest.raises(ModelError, match=r"no complete reward model: 2 weights.*h\.1\.mlp\.c_fc.*ln_f"):
        load_reward_backbone(folder, tiny_tokenizer, seed=0)


@pytest.mark.parametrize("content", [None, b"", b"{"])
def test_a_damaged_tokenizer_is_refused(folder, content):
    (folder / "tokenizer.json").unlink()
    if content is not None:
        (folder / "tokenizer.json").write_bytes(content)
    with pytest.raises(ModelError, match="tokenizer"):
        load_tokenizer(folder)


def test_code_that_comes_with_a_model_is_not_run(folder, tiny_tokenizer):
    marker = folder / "ran"
    (folder / "custom.py").write_text(f"open({str(marker)!r}, 'w').close()\nclass Config: pass\nclass Model: pass\n")
    edit(
        folder / "config.json",
        model_type="stranger",
        auto_map={"AutoConfig": "custom.Config", "AutoModelForCausalLM": "custom.Model"},
    )
    with pytest.raises(ModelError):
        load_causal_lm(folder, tiny_tokenizer)
    assert not marker.exists()


def test_any_of_several_processes_can_save_a_model(tiny_lm_folder, tmp_path):
    """Transformers saves in the first alone, and is silent in the others."""
    script = tmp_path / "script.py"
    script.write_text(
        "import sys\nfrom pathlib import Path\nfrom torch import distributed\n"
        "from frft.models import load_causal_lm, load_tokenizer, save_model\n"
        "distributed.init_process_group('gloo')\n"
        "if distributed.get_rank() == 1:\n"
        "    tokenizer = load_tokenizer(sys.argv[1])\n"
        "    save_model(load_causal_lm(sys.argv[1], tokenizer), tokenizer, Path(sys.argv[2]))\n"
        "distributed.barrier()\ndistributed.destroy_process_group()\n"
    )
    done = run_python(script, tiny_lm_folder, tmp_path / "saved", folder=tmp_path / "said", processes=2)
    assert done.returncode == 0, done.stderr
    names = ("config.json", "model.safetensors")
    saved, given = ([(folder / name).read_bytes() for name in names] for folder in (tmp_path / "saved", tiny_lm_folder))
    assert saved[1] == given[1]
    assert saved[0]


def flip(file):
    content = bytearray(file.read_bytes())
    content[-9] ^= 1
    file.write_bytes(content)


@pytest.mark.parametrize("name", ["model.safetensors", "config.json", "tokenizer.json"])
def test_a_model_in_the_folder_of_a_stage_is_verified_by_the_stages_manifest(folder, tmp_path, name):
    """As `frft generate --model OUT/arms/NAME/policy`: a link to a folder in that of a stage."""
    seal(tmp_path, {"kind": "ppo", "digest": "0", "info": {}}, [folder])
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "policy").symlink_to(folder)
    link = tmp_path / "elsewhere" / "policy"
    load_causal_lm(link, load_tokenizer(link))
    flip(folder / name)
    for path in (folder, link):
        with pytest.raises(ArtifactError, match=rf"{name} differs from the manifest"):
            load_causal_lm(path, load_tokenizer(path))


def test_adapters_and_their_base_are_verified(folder, saved_adapters, tmp_path):
    adapters = saved_adapters(folder, tmp_path / "adapters")
    load_causal_lm(adapters, load_tokenizer(adapters))
    for each in (adapters, folder):
        seal(each, {"kind": "sft", "digest": "0", "info": {}})
    load_causal_lm(adapters, load_tokenizer(adapters))
    flip(folder / "model.safetensors")
    with pytest.raises(ArtifactError, match=r"model/model\.safetensors differs"):
        load_causal_lm(adapters, load_tokenizer(adapters))
    flip(folder / "model.safetensors")
    flip(adapters / "adapter_model.safetensors")
    with pytest.raises(ArtifactError, match=r"adapter_model\.safetensors differs"):
        load_causal_lm(adapters, load_tokenizer(adapters))
