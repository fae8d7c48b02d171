"""The critic starts where the reward model is."""

from __future__ import annotations

import pytest
import torch

from frft.errors import ModelError
from frft.models import load_causal_lm, load_reward_backbone
from frft.policy.critic import Critic


def test_the_last_value_is_the_normalised_score(tiny_lm_folder, tiny_tokenizer):
    classifier = load_reward_backbone(tiny_lm_folder, tiny_tokenizer, seed=1).eval()
    critic = Critic.from_classifier(classifier, gain=3.0, bias=-0.5).eval()
    ids = torch.tensor([[4, 8, 15, 16, 23, 42]])
    mask, positions = torch.ones_like(ids), torch.arange(6)[None]
    with torch.no_grad():
        score = classifier(input_ids=ids).logits.item()
        value = critic(ids, mask, positions)[0, -1].item()
    assert value == pytest.approx(3.0 * score - 0.5, abs=1e-5)


def test_from_a_language_model_all_values_are_zero_and_weights_are_its_own(tiny_lm_folder, tiny_tokenizer):
    policy = load_causal_lm(tiny_lm_folder, tiny_tokenizer)
    critic = Critic.from_causal_lm(policy)
    ids = torch.tensor([[4, 8, 15]])
    assert (critic(ids, torch.ones_like(ids), torch.arange(3)[None]) == 0).all()
    shared = {p.data_ptr() for p in policy.parameters()} & {p.data_ptr() for p in critic.parameters()}
    assert not shared


def test_a_model_without_a_linear_head_is_refused(tiny_lm_folder, tiny_tokenizer):
    with pytest.raises(ModelError, match="no linear `score` head"):
        Critic.from_classifier(load_causal_lm(tiny_lm_folder, tiny_tokenizer))


def test_a_model_that_has_adapters_already_is_refused(tiny_lm_folder, tiny_tokenizer):
    from frft.config.sections import LoraConfig
    from frft.models import add_adapters

    policy = add_adapters(load_causal_lm(tiny_lm_folder, tiny_tokenizer), LoraConfig(), "CAUSAL_LM", seed=0)
    with pytest.raises(ModelError, match="before the policy gets them"):
        Critic.from_causal_lm(policy)
