"""Points, seeds and arms as configuration."""

from __future__ import annotations

import pytest

from frft.errors import ConfigError
from frft.study import load_study, study_names


def test_averaging_has_the_points_and_arms_that_its_predictions_name(averaging):
    from frft.study.predictions import AVERAGING

    assert study_names() == ["averaging"]
    named = {*AVERAGING, "rm-small", "kl-high", "outside", "anti-gold", "symmetric"}
    assert named <= set(averaging.config.points)
    assert averaging.config.seeds >= 8
    named_arms = {"shuffled", "source", "placebo3", "placebo4", "placebo-density"}
    assert named_arms <= set(averaging.cell("centre", 0).config.arms)


def test_the_pilots_are_in_no_cell(averaging):
    assert {cell.seed for cell in averaging.cells} == set(range(6, 6 + averaging.config.seeds))
    assert {cell.seed for cell in load_study("averaging", ["first_seed=5", "seeds=3"]).cells} == {5, 6, 7}


def test_placebos_of_the_shortcut_never_saw_a_true_label_and_that_of_frft_is_frft(averaging):
    config = averaging.cell("centre", 2).config
    assert {config.arm(f"placebo{part}").init for part in (1, 2, 3, 4)} == {"sft"}
    frft, placebo = config.arm("density"), config.arm("placebo-density")
    selection = frft.selection.model_copy(update={"shuffle_labels": True})
    assert placebo == frft.model_copy(update={"selection": selection})


def test_seeds_are_paired(averaging):
    cells = [cell for cell in averaging.cells if cell.seed == 7]
    assert [cell.point for cell in cells] == list(averaging.config.points)
    assert {(cell.config.seed, cell.config.data.world.seed) for cell in cells} == {(7, 7)}


def test_a_point_changes_what_it_names_and_nothing_else(averaging):
    centre, other = (averaging.cell(point, 0).config for point in ("centre", "kappa-half"))
    assert other.data.world == centre.data.world.model_copy(update={"kappa": 0.5})
    rest = {"data", "arms"}
    assert other.model_dump(exclude=rest) == centre.model_dump(exclude=rest)


def test_all_refreshes_have_one_budget(averaging):
    config = averaging.cell("centre", 0).config
    refreshed = {name: config.arm(name) for name in config.arms if config.arm(name).alpha}
    # One that is trained in place of the base reward model is trained as that is.
    static = refreshed.pop("static-random")
    assert static.max_steps == config.reward.train.max_steps
    refreshed = list(refreshed.values())
    assert {arm.max_steps for arm in refreshed} == {config.refresh.max_steps}
    assert {arm.selection.size for arm in refreshed} == {config.refresh.selection.size}
    assert config.refresh.max_steps is not None


def test_one_setting_scales_it_up():
    assert len(load_study("averaging", ["seeds=16"]).cells) == 2 * len(load_study("averaging").cells)


def test_the_command_line_reaches_every_point():
    study = load_study("averaging", ["base.ppo.total_steps=32", "points.centre.more_arms=[uwo]", "points.kl-low=null"])
    assert {cell.config.ppo.total_steps for cell in study.cells} == {32}
    assert "uwo" in study.cell("centre", 0).config.arms
    assert "kl-low" not in study.config.points


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("first_seed=-1", r"command line: first_seed: .*greater than or equal to 0, got -1"),
        ("seeds=0", r"command line: seeds: .*greater than 0, got 0"),
        ("sedes=2", r"command line: sedes: "),
        ("everywhere=[vanilla, random]", r"everywhere must hold density, oracle"),
        ("points.centre.more_arms=[part7]", r"points\.centre\.more_arms: part7: no such arm"),
        ("base.seed=3", r"base\.seed: is the study's own"),
        ("base.ppo.totl_steps=3", r"base: ppo\.totl_steps: unknown key; did you mean total_steps"),
        ("points.kappa-0.changes.data.world.kappa=2", r"points\.kappa-0\.changes: data\.world\.kappa: .* at most 1"),
        (
            "points.kappa-0.changes.data.world.near_policy=1",
            r"arms\.source: source 'hedging' is not the one near which the policy of point kappa-0 starts, which is '",
        ),
        ("points=[]", r"command line: points: .* dictionary, got \[\]"),
    ],
)
def test_what_is_wrong_is_named(override, message):
    with pytest.raises(ConfigError, match=message):
        load_study("averaging", [override])


def test_an_unknown_study_is_named():
    with pytest.raises(ConfigError, match=r"'avreaging' is no study\. Studies: averaging"):
        load_study("avreaging")
