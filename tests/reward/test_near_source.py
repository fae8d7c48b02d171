"""Refreshes on the source that the policy's texts before its training are taken for."""

from __future__ import annotations

import pyarrow as pa
import pytest

from frft.config.sections import RefreshConfig, SelectionConfig
from frft.errors import SelectionError, UsageError
from frft.reward import AlignedReward, PolicySamples
from frft.selection.sources import nearest_source
from frft.store import ArtifactStore

STYLES = {"warm": "Dear friend, what a joy {} is!", "dry": "Re {}: see the manual."}


def written(style, numbers):
    """Texts in this style on prompts that no pair has."""
    return PolicySamples.of([f"Elsewhere {n}?" for n in numbers], [STYLES[style].format(f"thing {n}") for n in numbers])


@pytest.fixture(scope="module")
def sourced():
    rows = [
        {
            "id": f"{style}-{n}",
            "prompt": f"What of thing {n}?",
            "chosen": STYLES[style].format(f"thing {n}"),
            "rejected": STYLES[style].format(f"thing {n}, or not"),
            "chosen_source": style,
            "rejected_source": style,
        }
        for style in STYLES
        for n in range(20)
    ]
    return pa.Table.from_pylist(rows)


@pytest.fixture
def refreshed(base, sourced, reward_training, tmp_path):
    selection = SelectionConfig(strategy="near_source", size=8)

    def refresh(start, now):
        return AlignedReward(
            base, sourced, RefreshConfig(selection=selection), reward_training, store=ArtifactStore(tmp_path / "store"),
            reference_samples=start,
        ).refresh(now)  # fmt: skip

    return refresh


def test_the_source_is_that_of_the_start_whatever_the_policy_writes_now(refreshed):
    warm, dry = written("warm", range(30)), written("dry", range(30))
    made = refreshed(warm, dry)
    selection = made.read_selection()
    assert {id_.split("-")[0] for id_ in selection.train_ids} == {"warm"}
    found = selection.metadata["nearest_source"]
    assert (found["name"], found["share_now"], found["shares"]["warm"]) == ("warm", 0, 1)
    # Both are part of what the selection is known by.
    assert refreshed(warm, dry) == made
    assert refreshed(warm, warm).selection.digest != made.selection.digest
    other = refreshed(dry, dry)
    assert other.selection.digest != made.selection.digest
    assert {id_.split("-")[0] for id_ in other.read_selection().train_ids} == {"dry"}


def test_without_texts_of_the_start_there_is_nothing_to_name_it_by(base, sourced, reward_training):
    """It is said when the reward is made, and not at its first refresh."""
    config = RefreshConfig(selection=SelectionConfig(strategy="near_source", size=8))
    with pytest.raises(UsageError, match=r"near_source needs texts .*reference_samples .*normalise_samples"):
        AlignedReward(base, sourced, config, reward_training)


@pytest.mark.parametrize("prompts", [{"warm": ["A?"], "dry": ["A?"]}, {"warm": ["A?", "C?"], "dry": ["B?"]}])
def test_sources_with_too_few_prompts_are_refused_in_words(prompts):
    rows = [
        (prompts[style][n % len(prompts[style])], f"{style} text {n}", style) for style in STYLES for n in range(40)
    ]
    with pytest.raises(SelectionError, match=r"2 sources \(dry, warm\) have \d prompts together, too few"):
        nearest_source(*zip(*rows, strict=True), ["warm text"], seed=0)
