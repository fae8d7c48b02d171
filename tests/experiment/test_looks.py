"""What a look decides, and the parts that it is made of."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from frft.config.sections import RefreshConfig
from frft.diagnosis import Scored, Subject, diagnose
from frft.experiment.looks import course_of, fired, is_due, is_over_optimised, scored
from frft.models import TruncationCount
from frft.policy import Completions
from frft.results import LookInfo, StepMetrics
from frft.store import Artifact

from ..completed import completed

DRIFT, ALARMS = RefreshConfig(when="drift", drift=0.7), RefreshConfig(when="alarms")


def look(**info):
    found = completed(LookInfo, info).as_dict() if info else {}
    return Artifact(Path("look"), "look", "0", found, seconds=0.0, peak_memory=0)


def moved(mean, low):
    return {"mean": mean, "low": low, "high": 1.0, "n": 50}


@pytest.mark.parametrize(
    ("arm", "found", "due"),
    [
        (DRIFT, {"drift": moved(0.9, 0.71), "fired": []}, True),
        # Above the threshold, but it cannot be told from it.
        (DRIFT, {"drift": moved(0.9, 0.7), "fired": ["over-optimisation"]}, False),
        (DRIFT, {"drift": None, "fired": []}, False),
        (ALARMS, {"drift": moved(0.99, 0.98), "fired": []}, False),
        (ALARMS, {"drift": None, "fired": ["reward model saturated"]}, True),
        (ALARMS, {"drift": None, "fired": ["broken link: policy training <-> evaluation"]}, True),
        (RefreshConfig(), {"drift": moved(0.99, 0.98), "fired": ["past the peak"]}, False),
    ],
)
def test_when_a_refresh_is_due(arm, found, due):
    assert is_due(arm, look(**found)) is due


def test_a_plan_that_has_not_looked_counts_with_every_refresh():
    assert is_due(DRIFT, look())
    assert is_due(ALARMS, look())
    assert not is_due(RefreshConfig(), look())
    assert not is_over_optimised(look())


@pytest.mark.parametrize(
    ("fired", "over"),
    [
        (["over-optimisation"], True),
        (["broken link: policy training <-> evaluation"], False),
        (["past the peak", "policy stuck"], True),
        (["policy stuck"], False),
        ([], False),
    ],
)
def test_which_alarms_stop(fired, over):
    assert is_over_optimised(look(fired=fired)) is over


def test_scores_stand_beside_their_texts():
    class Lengths:
        def score(self, prompts, completions):
            return np.array(
                [float(len(prompt) + 10 * len(text)) for prompt, text in zip(prompts, completions, strict=True)]
            )

    prompts = ["p", "qq"]
    both = [
        Completions(prompts, texts, [True, True], [[1], [1]], TruncationCount(2))
        for texts in (["a", "bb"], ["ccc", ""])
    ]

    class Longer:
        description = "whoever writes more"

        def prefer(self, prompts, first, second):
            return [float(len(one) > len(two)) for one, two in zip(first, second, strict=True)]

        def counts(self):
            return {}

    class LongerByHowMuch(Longer):
        def score(self, prompts, completions):
            return np.array([float(len(text)) for text in completions])

    assert scored(both, Lengths(), Longer(), None).judge_N is None
    found = scored(both, Lengths(), LongerByHowMuch(), None)
    assert list(zip(found.prompts, found.completions, strict=True)) == [
        ("p", "a"),
        ("qq", "bb"),
        ("p", "ccc"),
        ("qq", ""),
    ]
    np.testing.assert_array_equal(found.proxy_N, [11, 22, 31, 2])
    np.testing.assert_array_equal(found.judge_N, [1, 2, 3, 0])


def test_a_course_is_that_of_its_steps():
    steps = [{"score": 1.0, "kl_sft_k1": 0.1, "score_std": 2.0}, {"score": 3.0, "kl_sft_k1": 0.4, "score_std": 9.0}]
    found = course_of([completed(StepMetrics, step) for step in steps], [0.5, 0.25])
    assert (found.proxy_T.tolist(), found.kl_T.tolist(), found.judge_T.tolist()) == ([1, 3], [0.1, 0.4], [0.5, 0.25])
    assert found.spread == 2.0
    assert course_of([], []) is None


def test_what_is_not_healthy_is_named():
    texts = Scored(
        [f"prompt {n // 2}" for n in range(80)],
        [str(n) for n in range(80)],
        np.tile([1.0, 2.0], 40),
        np.tile([2.0, 1.0], 40),
    )
    found = diagnose(Subject("worse texts score higher", after=texts))
    assert found.verdict == "broken"
    assert fired(found) == ["broken link: reward-model training <-> policy training"]
    agreed = Scored(texts.prompts, texts.completions, texts.proxy_N, texts.proxy_N)
    assert fired(diagnose(Subject("better ones do", after=agreed))) == []
