"""PAR against its formula, written out with loops; and what becomes of it when the reward model is refreshed."""

from __future__ import annotations

import math

import pytest

from frft.config.sections import RefreshConfig, SelectionConfig
from frft.errors import RewardError, UsageError
from frft.reward import AlignedReward, RewardModel
from frft.reward.shaping import PreferenceAsReward

CONFIG = RefreshConfig(samples="rollouts", max_steps=3, selection=SelectionConfig(strategy="random", size=12))
PROMPTS = ["\n\nHuman: Tell me about tea.\n\nAssistant:", "\n\nHuman: Tell me about rain.\n\nAssistant:"]
REFERENCES = {PROMPTS[0]: [" Tea is hot.", " No."], PROMPTS[1]: [" It is wet.", " People like rain, for reason 1."]}
# Two completions of one prompt, as RLOO and GRPO have them; and one that is a reference itself.
ASKED = [PROMPTS[0], PROMPTS[1], PROMPTS[0], PROMPTS[1]]
WRITTEN = [" I hate tea.", " It is wet.", " People like tea, for reason 7.", " Rain?"]


@pytest.fixture
def reward(base, pool, vectors, reward_training, tmp_path):
    # A gain and a bias, which must drop out.
    model = RewardModel.load(base, seed=0)
    model.gain, model.bias = 2.5, -0.7
    model.save(tmp_path / "scaled")
    return AlignedReward(
        tmp_path / "scaled", pool, CONFIG, reward_training, workdir=tmp_path / "work", vectors=vectors, seed=3
    )


def by_hand(folder) -> list[float]:
    model = RewardModel.load(folder, seed=0)

    def raw(prompt, completion):
        return float(model.raw_scores([prompt], [completion])[0])

    found = []
    for prompt, completion in zip(ASKED, WRITTEN, strict=True):
        chances = [1 / (1 + math.exp(raw(prompt, each) - raw(prompt, completion))) for each in REFERENCES[prompt]]
        found.append(sum(chances) / len(chances))
    return found


def test_it_is_the_mean_probability_of_being_preferred_to_the_references(reward):
    scores = PreferenceAsReward(reward, REFERENCES)(ASKED, WRITTEN)
    assert scores == pytest.approx(by_hand(reward.base), abs=1e-5)
    assert len({round(score, 4) for score in scores}) == 4
    assert all(0 < score < 1 for score in scores)


def test_a_completion_against_itself_is_a_coin(reward):
    only = {prompt: texts[:1] for prompt, texts in REFERENCES.items()}
    assert PreferenceAsReward(reward, only)(ASKED, WRITTEN)[1] == pytest.approx(0.5, abs=1e-6)


def test_after_a_refresh_both_sides_are_scored_by_the_refreshed_model(reward):
    shaped = PreferenceAsReward(reward, REFERENCES)
    before = shaped(ASKED, WRITTEN)
    # What the policy wrote is remembered, and not what it is compared with.
    assert [(prompt, text) for _, prompt, text in reward.observed.everywhere()] == sorted(
        zip(ASKED, WRITTEN, strict=True), key=lambda each: reward.observed.everywhere().index((0, *each))
    )
    refresh = reward.refresh()
    after = shaped(ASKED, WRITTEN)
    assert after == pytest.approx(by_hand(refresh.reward_model.path), abs=1e-5)
    assert after != pytest.approx(before, abs=1e-3)


def test_shares_of_a_batch_are_scored_as_the_batch_is(reward):
    """Each of several processes scores its share, without the others."""
    shaped = PreferenceAsReward(reward, REFERENCES)
    shares = [shaped(ASKED[rank::2], WRITTEN[rank::2]) for rank in (0, 1)]
    assert [shares[row % 2][row // 2] for row in range(4)] == pytest.approx(shaped(ASKED, WRITTEN), abs=1e-6)


def test_a_prompt_without_references_is_an_error(reward):
    shaped = PreferenceAsReward(reward, REFERENCES)
    with pytest.raises(RewardError, match=r"no reference completions of 1 of 2 prompts, .* begins 'Why\?'"):
        shaped([PROMPTS[0], "Why?"], [" a", " b"])


@pytest.mark.parametrize(("references", "said"), [({}, "none"), ({"a": []}, "0"), ({"a": ["x"], "b": []}, "0 and 1")])
def test_every_prompt_has_as_many_references(reward, references, said):
    with pytest.raises(UsageError, match=f"there are {said}"):
        PreferenceAsReward(reward, references)


def test_a_reward_alone_has_no_references(base, pool, reward_training, vectors, tmp_path):
    config = CONFIG.model_copy(update={"reward_shaping": "par"})
    with pytest.raises(UsageError, match="reward_shaping: par compares with completions of the SFT model"):
        AlignedReward(base, pool, config, reward_training, workdir=tmp_path, vectors=vectors)
