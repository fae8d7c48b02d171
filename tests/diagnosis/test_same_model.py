"""Two folders of one model, or of two."""

from __future__ import annotations

import numpy as np
import pytest

from frft.diagnosis.reward_check import measure_reward_model
from frft.diagnosis.same_model import compare_models, findings_of_comparison
from frft.reward import RewardModel

from .conftest import CHATML, constant


@pytest.fixture
def compare(saved):
    def compared(first, second):
        scorers = [RewardModel.load(each, seed=0) for each in (first, second)]
        folders = zip((first, second), scorers, strict=True)
        measured = [measure_reward_model(folder, scorer, None) for folder, scorer in folders]
        same = compare_models(tuple(measured), tuple(scorers))
        return same, findings_of_comparison(same)

    return compared


def test_a_copy_is_one_model_and_what_differs_is_named(saved, tiny_tokenizer, compare, tmp_path):
    folder = saved("rm", tiny_tokenizer, template=CHATML)
    same, findings = compare(folder, saved("copy", tiny_tokenizer, template=CHATML))
    assert (same.differs, findings, same.raw_difference, same.texts) == ({}, [], 0.0, 8)
    assert same.rank_correlation.mean == pytest.approx(1)
    scaled = RewardModel.load(folder, seed=0)
    scaled.gain, scaled.bias = 2.0, 0.5
    scaled.save(tmp_path / "scaled")
    same, findings = compare(folder, tmp_path / "scaled")
    assert same.differs["gain"] == ("1.0", "2.0")
    assert same.raw_difference == 0.0
    scores = RewardModel.load(folder, seed=0), RewardModel.load(tmp_path / "scaled", seed=0)
    measured = measure_reward_model(folder, scores[0], None)
    apart = [np.array(each(*measured.texts)) for each in scores]
    assert same.difference == pytest.approx(np.abs(apart[0] - apart[1]).max())
    assert [(each.name, each.fault) for each in findings] == [("the folders differ", False)]


def test_another_head_or_template_is_another_model(saved, tiny_tokenizer, compare):
    folder = saved("rm", tiny_tokenizer, template=CHATML)
    other = saved("other", tiny_tokenizer, template=CHATML.replace("im_start", "begin"))
    same, findings = compare(folder, other)
    assert same.other_tokens == same.texts
    assert set(same.differs) == {"chat_template"}
    assert [(each.name, each.fault) for each in findings] == [("another model", True)]
    same, findings = compare(folder, saved("constant", tiny_tokenizer, template=CHATML, change=constant))
    assert (same.other_tokens, same.rank_correlation) == (0, None)
    assert findings[0].fault
