"""What a reward does that is given no settings of its refreshes, by what it is given."""

from __future__ import annotations

import json

import pyarrow as pa
import pytest

import frft
from frft.config.sections import RefreshConfig
from frft.errors import SelectionError, UsageError
from frft.labels import read_queue
from frft.reward import AlignedReward, LabelsInfo, PolicySamples, RefreshedModelInfo
from frft.reward.refresh import LABELS_FILE

from .labellers import Kinder

PEOPLE = frft.NamedLabeller("people", "people", None)
START = PolicySamples.of(
    [f"Before {n}?" for n in range(30)], [f"Dear friend, what a joy thing {n} is!" for n in range(30)]
)
STYLES = {"warm": "Dear friend, what a joy {} is!", "dry": "Re {}: see the manual."}


def longer(prompts, first, second):
    return [float(len(one) > len(other)) for one, other in zip(first, second, strict=True)]


def sourced(counts, rejected_source=None):
    """So many pairs by each source, on prompts of their own; both texts are its, or the rejected ones another's."""
    return pa.Table.from_pylist(
        [
            {
                "id": f"{style}-{n}",
                "prompt": f"What of thing {n}?",
                "chosen": STYLES[style].format(f"thing {n}"),
                "rejected": STYLES[style].format(f"thing {n}, or not"),
                "chosen_source": style,
                "rejected_source": rejected_source or style,
            }
            for style, count in counts.items()
            for n in range(count)
        ]
    )


class Said:
    """A Progress that notes what is said."""

    def __init__(self):
        self.lines = []

    def task(self, description, total):
        return frft.progress.SILENT.task(description, total)

    def say(self, text):
        self.lines.append(text)


@pytest.fixture
def make(base, pool, reward_training, tmp_path):
    def make_reward(pairs=pool, config=None, **given) -> AlignedReward:
        return AlignedReward(base, pairs, config, reward_training, workdir=tmp_path / "work", **given)

    return make_reward


@pytest.mark.parametrize(("labeller", "asked"), [(longer, "judge"), (Kinder(), "judge"), (PEOPLE, "queue")])
def test_with_a_labeller_fresh_labels_alone(make, labeller, asked):
    said = Said()
    # Also where pairs of the policy's own source could be had.
    reward = make(sourced({"warm": 30, "dry": 30}), labeller=labeller, reference_samples=START, progress=said)
    assert reward.config == RefreshConfig.model_validate(
        {
            "samples": "rollouts",
            "selection": {"strategy": "none"},
            "labels": {"from": asked, "budget": 100},
            "replay": 0.5,
            "num_train_epochs": 5,
        }
    )
    assert (reward.config.alpha, reward.labeller.open is None) == (1, asked == "queue")
    assert len(said.lines) == 1
    assert "trains on 100 labels of the policy's own texts and as many pairs of the pool" in said.lines[0]
    assert f"selection.strategy: none, labels.from: {asked}, replay: 0.5, num_train_epochs: 5;" in said.lines[0]


def test_without_one_pairs_of_the_source_that_the_policy_started_from(make):
    said = Said()
    pairs = sourced({"warm": 30, "dry": 31})
    reward = make(pairs, reference_samples=START, progress=said)
    near = {"samples": "rollouts", "selection": {"strategy": "near_source"}, "replay": 0.5}
    assert reward.config == RefreshConfig.model_validate(near)
    assert len(said.lines) == 1
    assert "selection.strategy: near_source, replay: 0.5; docs/study-labels.md" in said.lines[0]
    # It is a refresh that can be made, by samples that are like the other source.
    made = reward.refresh(PolicySamples.of(["What of thing 3?"], ["Re thing 3: see the manual."]))
    assert {id_.split("-")[0] for id_ in made.read_selection().train_ids} == {"warm"}
    assert made.reward_model.info_as(RefreshedModelInfo).replayed == 30


BY_DENSITY = {
    "no samples": (sourced({"warm": 30, "dry": 30}), None, "no reference_samples"),
    "blank samples": (sourced({"warm": 30, "dry": 30}), PolicySamples.of(["Before?"], [" "]), "no reference_samples"),
    "no columns": (None, START, "no columns chosen_source and rejected_source in the pool"),
    "too few texts": (sourced({"warm": 90, "dry": 14}), START, "1 sources of at least 30 texts in the pool"),
    "sources unknown": (
        pa.Table.from_pylist(
            [
                row | {"chosen_source": None, "rejected_source": None}
                for row in sourced({"warm": 40, "dry": 40}).to_pylist()
            ]
        ),
        START,
        "0 sources of at least 30 texts in the pool",
    ),
    # The source could be named, and no pair has both texts by it.
    "no pair of one source": (
        sourced({"warm": 40, "dry": 40}, "dry"),
        START,
        "fewer than 30 pairs in the pool with both texts by warm",
    ),
}


@pytest.mark.parametrize("case", BY_DENSITY)
def test_else_by_density(make, pool, case):
    pairs, start, why = BY_DENSITY[case]
    said = Said()
    reward = make(pool if pairs is None else pairs, reference_samples=start, progress=said)
    assert reward.config == RefreshConfig.model_validate({"samples": "rollouts", "selection": {"strategy": "density"}})
    assert len(said.lines) == 1
    assert f"no labeller, and {why}" in said.lines[0]
    assert "selection.strategy: density; docs/study-domains.md" in said.lines[0]


def test_settings_that_are_given_are_used_as_they_are(make):
    said, pairs = Said(), sourced({"warm": 30, "dry": 30})
    given = RefreshConfig.model_validate(
        {"samples": "rollouts", "selection": {"strategy": "part1", "match": "nearest"}}
    )
    assert make(pairs, given, reference_samples=START, progress=said).config is given
    assert said.lines == []
    with pytest.raises(UsageError, match=r"no refresh asks it: config.labels is offline"):
        make(pairs, given, labeller=longer)


def test_a_labeller_that_is_none_is_refused_without_settings_too(make):
    with pytest.raises(UsageError, match=r"labeller must be a labeller or a function .* got int: 3"):
        make(labeller=3)


def rollouts(prompts=40, each=3):
    """Different texts of a policy for each prompt, with 0 to 2 times "like"."""
    asked = [f"\n\nHuman: Number {n}?\n\nAssistant:" for n in range(prompts)]
    return [prompt for prompt in asked for _ in range(each)], [
        " I " + "like " * ((n + number) % 3) + f"it, {number}." for n in range(prompts) for number in range(each)
    ]


def test_a_refresh_by_default_asks_for_its_labels_and_learns_from_them(make, pool, reward_training):
    """120 pairs, none of them a tie: 100 are asked about; all 36 pairs of the pool are replayed."""
    labeller = Kinder()
    reward = make(labeller=labeller)
    texts = rollouts()
    before = reward(*texts)
    made = reward.refresh()
    labels, model = made.labels.info_as(LabelsInfo), made.reward_model.info_as(RefreshedModelInfo)
    assert (labeller.asked, labels.asked, labels.train) == (100, 100, 100)
    assert (made.read_selection().train_ids, model.replayed, model.training.pairs) == ([], 36, 136)
    # 34 batches of 4, five times.
    assert model.training.steps == 170
    asked = read_queue(made.labels.path / LABELS_FILE).questions.values()
    assert {question.prompt for question in asked} <= set(texts[0])

    def right(scores):
        by_text = dict(zip(zip(*texts, strict=True), scores, strict=True))
        sides = [(by_text[each.prompt, each.left], by_text[each.prompt, each.right]) for each in asked]
        likes = [each.left.count("like") > each.right.count("like") for each in asked]
        return sum((left > right) == like for (left, right), like in zip(sides, likes, strict=True))

    assert right(reward(*texts)) > 90 > right(before)
    # What was chosen depends on the arguments alone: another process has the same, and takes over the state.
    again = make(labeller=Kinder())
    again.restore(json.loads(json.dumps(reward.state())))
    assert (again.refreshes, again.version) == (reward.refreshes, reward.version)
    with pytest.raises(UsageError, match="other settings"):
        make().restore(reward.state())


def test_without_two_texts_of_a_prompt_nothing_is_trained(make):
    labeller = Kinder()
    reward = make(labeller=labeller)
    reward(*rollouts(each=1))
    with pytest.raises(SelectionError, match=r"no pair to label in 40 rows: .*give samples with two or more for each"):
        reward.refresh()
    assert (reward.refreshes, reward.current, labeller.asked) == ([], reward.base, 0)


def test_where_all_answers_are_ties_nothing_is_trained(make):
    reward = make(labeller=Kinder(tie=True))
    reward(*rollouts())
    with pytest.raises(SelectionError, match="Of 100 questions to kinder, none to train on was answered"):
        reward.refresh()
    assert (reward.refreshes, reward.current) == ([], reward.base)
