"""Classes of reward models that installed packages load."""

from __future__ import annotations

import pytest

from frft.errors import ArtifactError, ModelError, UsageError
from frft.models import load_reward_backbone, load_tokenizer, quiet, seeded
from frft.models.heads import HEADS_GROUP, architecture_of, find_head, head_origin
from frft.reward import RewardModel, model_identity

# A head of two layers on the mean of all hidden states.
MODULE = """
import torch
from transformers import GPT2Config, GPT2Model, GPT2PreTrainedModel
from transformers.modeling_outputs import SequenceClassifierOutput
from frft import RewardHead

class MeanRewardModel(GPT2PreTrainedModel):
    def __init__(self, config):
        super().__init__(config)
        self.transformer = GPT2Model(config)
        self.first = torch.nn.Linear(config.n_embd, 8)
        self.second = torch.nn.Linear(8, 1)
        self.post_init()

    def forward(self, input_ids, attention_mask, **kwargs):
        states = self.transformer(input_ids, attention_mask=attention_mask).last_hidden_state
        mask = attention_mask[..., None].to(states.dtype)
        mean = (states * mask).sum(1) / mask.sum(1)
        return SequenceClassifierOutput(logits=self.second(torch.tanh(self.first(mean))))

def load(request):
    return MeanRewardModel.from_pretrained(request.name, dtype=request.dtype)

HEAD = RewardHead("MeanRewardModel", load)
"""
ENTRY = f"[{HEADS_GROUP}]\nMeanRewardModel = mean_rewards:{{}}\n"


@pytest.fixture
def saved(install_package, tiny_lm_folder, tmp_path):
    """The package, and a model that it saved."""
    import torch
    from transformers import GPT2Config

    install_package("mean_rewards", MODULE, ENTRY.format("HEAD"))
    import mean_rewards

    with quiet(), seeded(3):
        config = GPT2Config.from_pretrained(tiny_lm_folder, num_labels=1)
        model = mean_rewards.MeanRewardModel(config).eval()
        torch.nn.init.normal_(model.second.weight)
        model.save_pretrained(tmp_path / "mean")
        load_tokenizer(tiny_lm_folder).save_pretrained(tmp_path / "mean")
    return model, tmp_path / "mean"


def test_a_package_loads_its_class_which_is_scored_saved_and_loaded_again(saved, tmp_path):
    import torch

    theirs, folder = saved
    ours = RewardModel.load(folder, seed=0, allow_fresh_head=False)
    assert ours.head.kind == "package"
    assert "the package mean-rewards (frft.reward_heads: mean_rewards:HEAD)" in ours.head.described
    texts = ["Why?", "Who?", "How do I bake bread?"], [" So.", " Nobody at all.", " Mix."]
    wanted = []
    for pair in ours.encoder.encode(*texts):
        ids = torch.tensor([pair.ids])
        with torch.no_grad():
            wanted.append(float(theirs(ids, torch.ones_like(ids)).logits))
    assert ours(*texts) == pytest.approx(wanted, abs=1e-6)
    ours.normalise(*texts)
    ours.save(tmp_path / "again")
    again = RewardModel.load(tmp_path / "again", seed=5)
    assert again(*texts) == ours(*texts)
    assert RewardModel.load(folder, seed=0, dtype="bfloat16").dtype == "bfloat16"


def test_an_edit_of_the_package_is_another_model(saved, install_package):
    _, folder = saved
    before = model_identity(folder), head_origin(folder)
    install_package("mean_rewards", MODULE.replace("tanh", "sin"), ENTRY.format("HEAD"))
    assert model_identity(folder) != before[0]
    assert head_origin(folder)["package"] == before[1]["package"] == "mean-rewards"


def test_other_models_are_loaded_as_ever_and_nothing_is_imported(install_package, tiny_lm_folder):
    install_package("mean_rewards", "raise AssertionError('imported')", ENTRY.format("HEAD"))
    assert architecture_of(tiny_lm_folder) == "GPT2LMHeadModel"
    assert architecture_of("no/such-model") is None
    assert find_head(tiny_lm_folder) is None
    assert head_origin(tiny_lm_folder) is None
    assert RewardModel.load(tiny_lm_folder, seed=0).head.kind == "drawn"


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (('RewardHead("MeanRewardModel"', 'RewardHead("Other"'), UsageError, "Give both the same name"),
        (("HEAD = ", "HEAD = 3 or "), UsageError, r"is a int; it must be a frft\.models\.RewardHead"),
        (("return Mean", "raise KeyError('lost') or Mean"), ModelError, "by the package .*KeyError: 'lost'"),
        (
            ("return MeanReward", "return GPT2"),
            ModelError,
            r"as a GPT2Model of .* outputs; it must be .* MeanRewardModel",
        ),
    ],
)
def test_what_is_wrong_with_a_package_is_said(saved, install_package, change, error, message):
    _, folder = saved
    module = MODULE.replace(*change)
    assert module != MODULE
    install_package("mean_rewards", module, ENTRY.format("HEAD"))
    with pytest.raises(error, match=message):
        RewardModel.load(folder, seed=0)


def test_two_packages_for_one_class_are_refused(saved, install_package):
    _, folder = saved
    install_package("other_rewards", "", ENTRY.replace("mean_rewards", "other_rewards").format("HEAD"))
    with pytest.raises(UsageError, match="Several packages load reward models of the class MeanRewardModel"):
        RewardModel.load(folder, seed=0)


def test_what_a_package_loads_is_verified_first(saved, tmp_path):
    _, folder = saved
    ours = RewardModel.load(folder, seed=0, max_length=96)
    ours.save(tmp_path / "ours")
    weights = tmp_path / "ours" / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-9] ^= 1
    weights.write_bytes(content)
    with pytest.raises(ArtifactError, match=r"model\.safetensors differs from the manifest"):
        load_reward_backbone(tmp_path / "ours", ours.tokenizer, seed=0)
