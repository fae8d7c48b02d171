"""The settings of fresh labels: which contradict one another, and how they are written."""

from __future__ import annotations

import pytest
import yaml

from frft.config import RunConfig, dump_config
from frft.config.sections import LabelsConfig, RefreshConfig
from frft.errors import SettingsError

WORLD = {"data": {"world": {}}, "ppo": {"total_steps": 4}}


def labels(**changes) -> LabelsConfig:
    return LabelsConfig(**{"from": "gold", "budget": 20, **changes})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"budget": 0}, "budget: must be above 0"),
        ({"budget_cost": 0}, "budget_cost: must be above 0"),
        ({"budget_tokens": 9}, "budget_tokens and budget_cost are for labels from: judge"),
        ({"from": "me"}, "from: must be one of gold, judge, queue, self"),
        ({"judge": "rm:x"}, "asked with from: judge alone"),
        ({"from": "queue", "noise": 0.2}, "noise: is for labels from: gold"),
        ({"from": "self", "audit": 3}, "there is nothing to audit"),
        ({"from": "self", "repeat_share": 0.1}, "there is nothing to audit or to repeat"),
        ({"budget": 1, "test_share": 0.5}, "a budget of one label leaves nothing to test on"),
        ({"noise": 0.5}, "noise: must be below 0.5"),
        ({"error": 0.5}, "at least 0 and below 0.5"),
        ({"error": "repeats"}, "set repeat_share above 0"),
        ({"test_share": 0.6, "repeat_share": 0.4}, "leave nothing to train on"),
        ({"share": 1}, "share: must be below 1"),
        ({"keep": -1}, "keep: must be at least 0"),
        ({"pick": "best"}, "pick: must be"),
        ({"pick": "gap", "max_candidates": 20}, "raise max_candidates far above the budget"),
        ({"max_candidates": 50}, "for rules other than random"),
        ({"quantile": 0.1}, "read with pick: gap alone"),
        ({"form": "gold"}, "form: unknown key; did you mean from?"),
    ],
)
def test_settings_that_contradict_are_refused(changes, message):
    with pytest.raises(SettingsError, match=message):
        labels(**changes)


def test_shares_of_one_total_leave_something_for_what_is_selected():
    shares = {"replay": 0.5, "labels": {"from": "gold", "budget": 5, "share": 0.5}}
    with pytest.raises(SettingsError, match=r"replay: 0.5 and labels.share: 0.5 are shares of the same pairs"):
        RefreshConfig(**shares)
    assert RefreshConfig.model_validate({**shares, "selection": {"strategy": "none"}}).replay == 0.5
    with pytest.raises(SettingsError, match="lower one"):
        RefreshConfig(**{**shares, "replay": 0.6, "selection": {"strategy": "none"}})


def test_a_word_of_python_is_a_setting_all_the_same():
    config = LabelsConfig(from_="gold", budget=20)
    assert config == labels()
    assert config.model_dump()["from"] == config.identity()["from"] == "gold"
    arms = {"vanilla": {"alpha": 0}, "few": {"labels": {"from": "gold", "budget": 5}}}
    run = RunConfig.model_validate({**WORLD, "arms": arms})
    assert run.arm("few").fresh == LabelsConfig(from_="gold", budget=5)
    again = RunConfig.model_validate(yaml.safe_load(dump_config(run)))
    assert again == run


def test_an_arm_changes_single_settings_of_labels_that_all_arms_share():
    refresh = {"labels": {"from": "gold", "budget": 5}}
    run = RunConfig.model_validate(
        {**WORLD, "refresh": refresh, "arms": {"vanilla": {"alpha": 0}, "more": {"labels": {"budget": 9}}}}
    )
    assert run.arm("more").fresh == LabelsConfig(from_="gold", budget=9)


def test_a_refresh_trains_where_it_selects_or_labels():
    alone = {"selection": {"strategy": "none"}}
    assert not RefreshConfig.model_validate(alone).trains
    fresh = RefreshConfig.model_validate({**alone, "labels": {"from": "gold", "budget": 5}, "replay": 0.5, "gate": {}})
    assert fresh.trains


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"data": {"pairs": "x"}}, "labels: gold needs data.world"),
        ({"arms": {"few": {"labels": {"from": "judge", "budget": 5}}}}, "needs a judge; name it by labels.judge"),
    ],
)
def test_who_labels_must_be_there(settings, message):
    arms = {"vanilla": {"alpha": 0}, "few": {"labels": {"from": "gold", "budget": 5}}, **settings.pop("arms", {})}
    with pytest.raises(SettingsError, match=message):
        RunConfig(**{**WORLD, **settings, "arms": arms})


def test_labels_of_a_judge_are_by_default_those_of_the_evaluations_judge():
    arms = {"vanilla": {"alpha": 0}, "few": {"labels": {"from": "judge", "budget": 5}}}
    run = RunConfig(**WORLD, arms=arms, evaluation={"judge": "rm:folder"})
    few = run.arm("few").fresh
    assert few is not None
    assert run.labelling_judge(few) == "rm:folder"
    assert run.labelling_judge(few.model_copy(update={"judge": "rm:other"})) == "rm:other"
