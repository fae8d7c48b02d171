"""The alarms of a refresh: each is raised by a selection or a reward model that deserves it, and by no other."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from frft.diagnosis import refresh_alarms
from frft.reward import Refresh, RewardModel
from frft.reward.refresh import SELECTION_FILE
from frft.selection import Selection
from frft.selection.selection import BELOW_CUT, KEPT, SCHEMA, SELECTION_FORMAT, table_counts
from frft.store import ArtifactStore

COLLAPSED, SATURATED = "reward model collapsed", "reward model saturated"
DUPLICATES, SHORTCUT = "selection too narrow: duplicates", "selection shortcut"
PAIRS, KEPT_PAIRS = 200, 80
PROMPTS = ["Why?"] * 20
COMPLETIONS = [f" It is so, for {number} reasons." for number in range(20)]


@pytest.fixture
def raised(tiny_lm_folder, tmp_path):
    """Names of the alarms of a refresh with such a selection: how often kept pairs train, and which side is nearer."""

    def names(copies=1, nearer_is_chosen=0.5, scale=1.0):
        kept = np.arange(PAIRS) < KEPT_PAIRS
        sign = np.where(np.arange(PAIRS) % 2, 1, -1)
        sign[:KEPT_PAIRS] = np.where(np.arange(KEPT_PAIRS) % 10 < 10 * nearer_is_chosen, 1, -1)
        rows = {
            "id": [f"{row:03}" for row in range(PAIRS)],
            "similarity_chosen": 0.5 + 0.1 * sign,
            "similarity_rejected": 0.5 - 0.1 * sign,
            "score": pa.nulls(PAIRS, pa.float64()),
            "kept": kept,
            "split": np.where(kept, "train", None),
            "rank": pa.array(np.arange(1, PAIRS + 1), mask=~kept),
            "copies": copies * kept,
            "reason": np.where(kept, KEPT, BELOW_CUT),
        }
        table = pa.table(rows, schema=SCHEMA)
        selection = Selection(table, {"format": SELECTION_FORMAT, "counts": table_counts(table)})

        def build(path):
            selection.write(path / SELECTION_FILE)
            return {}

        made = ArtifactStore(tmp_path).make("selection", {"of": [copies, nearer_is_chosen]}, build)
        model = RewardModel.load(tiny_lm_folder, seed=0, max_length=48)
        for parameter in model.model.score.parameters():
            parameter.data.mul_(scale)
        fired = refresh_alarms(Refresh(made, made), model, PROMPTS, COMPLETIONS)
        assert all(alarm.fired for alarm in fired)
        return [alarm.name for alarm in fired]

    return names


def test_a_sound_refresh_raises_none(raised):
    assert raised() == []


def test_a_collapsed_reward_model(raised):
    assert raised(scale=1e-3) == [COLLAPSED]


def test_a_reward_model_at_the_end_of_its_range(raised):
    assert raised(scale=0.0) == [COLLAPSED, SATURATED], "all at one end, and so of one score as well"


def test_a_selection_of_repetitions(raised):
    assert raised(copies=3) == [DUPLICATES]


@pytest.mark.parametrize("nearer_is_chosen", [0.9, 0.1])
def test_a_selection_where_likeness_predicts_the_label(raised, nearer_is_chosen):
    assert raised(nearer_is_chosen=nearer_is_chosen) == [SHORTCUT]
