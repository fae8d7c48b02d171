"""The alarms that a gate looks for in a refresh, before the refreshed reward model is used in training."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from frft.diagnosis.alarms import FAILURE_SIGNATURES, Examined
from frft.diagnosis.subject import Scored, Selected, Subject
from frft.reward import Refresh, RewardModel
from frft.reward.alarm import Alarm


def refresh_alarms(
    refresh: Refresh, model: RewardModel, prompts: Sequence[str], completions: Sequence[str]
) -> list[Alarm]:
    """The alarms that fire for a refresh; to be passed to `AlignedReward` as `alarms`.

    Args:
        refresh: the artifacts of the refresh; its selection is read.
        model: the refreshed reward model, loaded.
        prompts, completions: samples of the policy, S of each.
    """
    table = refresh.read_selection().table
    chosen_N, rejected_N = (
        np.array(table[f"similarity_{side}"].to_pylist(), dtype=np.float64) for side in ("chosen", "rejected")
    )
    kept_N = np.array(table["kept"].to_pylist(), dtype=bool)
    selected = Selected(kept_N, sum(table["copies"].to_pylist()), chosen_N, rejected_N)
    scored = Scored(prompts, completions, model.score(prompts, completions))
    examined = Examined(Subject("the refresh", gain=model.gain, after=scored, selected=selected))
    looked = [signature.look(examined) for signature in FAILURE_SIGNATURES if signature.of_refresh]
    return [alarm for alarm in looked if alarm is not None and alarm.fired]
