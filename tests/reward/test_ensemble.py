"""The ensemble: mean less coef times variance, by hand."""

from __future__ import annotations

import numpy as np
import pytest

from frft.errors import RewardError, UsageError
from frft.reward import RewardModel
from frft.reward.ensemble import FrozenEnsembleReward, RewardModelEnsemble
from frft.store import ArtifactStore

PROMPTS = ["Tell me about tea.", "Tell me about rain.", "Why?"]
COMPLETIONS = [" It is hot.", " It is wet, and more so in autumn.", ""]


@pytest.fixture(scope="module")
def members(tiny_lm_folder):
    return [RewardModel.load(tiny_lm_folder, seed=seed, max_length=48) for seed in (0, 1, 2)]


def test_the_score_is_the_mean_less_the_weighted_variance(members):
    one, two, three = (np.array(member(PROMPTS, COMPLETIONS)) for member in members)
    mean = (one + two + three) / 3
    variance = ((one - mean) ** 2 + (two - mean) ** 2 + (three - mean) ** 2) / 3
    assert variance.min() > 0
    assert RewardModelEnsemble(members, 0.5).score(PROMPTS, COMPLETIONS) == pytest.approx(mean - 0.5 * variance)


def test_models_that_agree_are_one_model(members):
    same = RewardModelEnsemble([members[0], members[0]], 10.0)
    assert same.score(PROMPTS, COMPLETIONS) == pytest.approx(members[0].score(PROMPTS, COMPLETIONS))


def test_no_model_is_refused():
    with pytest.raises(UsageError, match="at least one"):
        RewardModelEnsemble([], 0.1)


def test_as_a_reward_it_scores_with_the_stored_models(members, tmp_path):
    store = ArtifactStore(tmp_path)

    def saved(number):
        def build(path):
            members[number].save(path)
            return {}

        return store.make("reward", {"number": number}, build)

    reward = FrozenEnsembleReward([saved(0), saved(1)], 0.25)
    expected = RewardModelEnsemble(members[:2], 0.25).score(PROMPTS, COMPLETIONS)
    assert reward(PROMPTS, COMPLETIONS, trainer_state=None) == pytest.approx(expected)
    assert reward.refreshes == []
    assert reward.model.truncated.sequences == len(PROMPTS)


def test_a_variance_that_float32_cannot_hold_is_an_error_that_names_the_prompt(members):
    wild = RewardModel(members[1].model, members[1].tokenizer, 48, gain=1e35)
    with pytest.raises(RewardError, match=r"Its prompt ends 'Tell me about tea\.'.*on no common scale"):
        RewardModelEnsemble([members[0], wild], 0.5).score(PROMPTS, COMPLETIONS)
