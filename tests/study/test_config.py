"""Points, seeds and arms as configuration."""

from __future__ import annotations

from importlib import resources

import pytest

from frft.errors import ConfigError
from frft.study import load_study, study_names


def test_the_studies_of_the_package_are_whole():
    assert study_names() == ["averaging", "domains", "labels"]
    for name in study_names():
        config = load_study(name).config
        assert config.seeds >= 8
        assert config.sanity.prediction in config.predictions
        # What a prediction names runs at its points, or it would be decided by nothing.
        for prediction in config.predictions.values():
            for points in prediction.statistic.named_points.values():
                for point in points:
                    arms = config.arms_at(point)
                    named = prediction.statistic.named_arms.values()
                    assert {config.roles.get(arm, arm) for arm in named} <= set(arms)


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
        ("everywhere=[vanilla, random]", r"command line: everywhere: must hold density, oracle"),
        ("points.centre.more_arms=[part7]", r"points\.centre\.more_arms: part7: no such arm"),
        ("base.seed=3", r"base\.seed: is the study's own"),
        ("base.ppo.totl_steps=3", r"base: ppo\.totl_steps: unknown key; did you mean total_steps"),
        ("points.kappa-0.changes.data.world.kappa=2", r"points\.kappa-0\.changes: data\.world\.kappa: .* at most 1"),
        (
            "points.kappa-0.changes.data.world.near_policy=1",
            r"arms\.source: source 'hedging' is not the one near which the policy of point kappa-0 starts, which is '",
        ),
        ("points=[]", r"command line: points: .* dictionary, got \[\]"),
        (
            "predictions.helps.gain.point=center",
            r"^command line: predictions\.helps\.gain\.point: center: no such point; po",
        ),
        (
            "predictions.helps.gain.over=randon",
            r"predictions\.helps\.gain\.over: randon: no such arm or role; there are p",
        ),
        (
            "predictions.helps.gain.measure=glod",
            r"command line: predictions\.helps\.gain\.measure: 'glod' is no measure",
        ),
        ("predictions.helps.gian={}", r"predictions\.helps\.gian: Extra"),
        ("predictions.helps.mean={point: centre}", r"predictions\.helps: give one of gain, .*, not gain and mean"),
        (
            "predictions.helps.statement='{frft} helps'",
            r"predictions\.helps\.statement: \{frft\}: no such role; roles are",
        ),
        ("predictions.rises.slope.dial=kapa", r"predictions\.rises\.slope\.dial: 'kapa': no dial with a number"),
        (
            "predictions.rises.slope.dial=sources",
            r"predictions\.rises\.slope\.dial: sources is 6 at all of lambda-0, kap",
        ),
        ("predictions.helps=null", r"claim\.needs: helps: no such prediction; "),
        ("sanity.prediction=capacity", r"claim\.needs: must hold capacity, without which"),
        ("panels.A={x: a, points: {center: 1}}", r"panels\.A\.points: center: no such point; points are centre"),
        ("panels.A={x: a, points: {centre: 1}, arms: [randon]}", r"panels\.A\.arms: randon: no such arm or role"),
        ("panels.A={x: a, points: {centre: 1}, arms: [control]}", r"panels\.A\.arms: random: is the control, above"),
        ("panels.A={x: a, points: {centre: 0}, log: true}", r"panels\.A: log: an axis is logarithmic only where"),
        ("panels.A={points: {centre: 0}}", r"panels\.A\.x: Field required"),
        ("arms.control={alpha: 0}", r"arms\.control: is the name of a role"),
    ],
)
def test_what_is_wrong_is_named(override, message):
    with pytest.raises(ConfigError, match=message):
        load_study("averaging", [override])


def test_an_unknown_study_is_named():
    with pytest.raises(
        ConfigError,
        match=r"'avreaging' is no study\. Studies: averaging, domains, labels\. One of your own is the path of",
    ):
        load_study("avreaging")


def test_a_prediction_of_a_removed_point_stays_and_one_that_is_removed_goes():
    study = load_study("averaging", ["points.lambda-0=null", "predictions.labels=null"])
    assert study.config.removed_points == ["lambda-0"]
    assert "no bias" in study.config.predictions
    assert "labels" not in study.config.predictions


def test_a_study_is_also_the_path_of_a_file(tmp_path, monkeypatch):
    text = (resources.files("frft.study") / "domains.yaml").read_text("utf-8")
    mine = tmp_path / "mine.yaml"
    mine.write_text(text)
    study = load_study(str(mine), ["seeds=2"])
    assert (study.name, study.config) == ("mine", load_study("domains", ["seeds=2"]).config)
    # As with presets: what the package brings is found by its name, unless there is such a file.
    monkeypatch.chdir(tmp_path)
    (tmp_path / "averaging").write_text(text)
    assert "domains" in load_study("averaging").config.base["data"]["world"]


SHORT = """\
{{base: {{}}, arms: {{vanilla: {{alpha: 0}}, a: {{}}}}, primary: a, control: a, ceiling: a, points: {{z: {{}}}},
everywhere: {arms},
predictions: {{p: {{
  statement: a, expected: above, margin: 1,
  gain: {{point: {point}}}}}}}}}
"""


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, r"'.*mine\.yaml' is neither a file nor a study\. Studies: averaging, domains, labels"),
        ("- 1", r"mine\.yaml is no study: it must be a mapping of keys, seeds, first_seed"),
        ("seeds: 2\nseeds: 3", r"mine\.yaml, line 2: seeds: given twice"),
        ("seeds: 2", r"mine\.yaml: base: Field required"),
        (
            SHORT.format(point="b", arms="[a, vanilla]"),
            r"mine\.yaml, line 5: predictions\.p\.gain\.point: b: no such point",
        ),
        (SHORT.format(point="z", arms="[a]"), r"mine\.yaml, line 2: everywhere: must hold vanilla: every point"),
    ],
)
def test_what_is_wrong_with_a_file_is_named(tmp_path, text, message):
    path = tmp_path / "mine.yaml"
    if text is not None:
        path.write_text(text)
    with pytest.raises(ConfigError, match=message):
        load_study(str(path))


def test_a_domain_that_no_pair_is_of_is_named_before_anything_runs():
    with pytest.raises(
        ConfigError, match=r"arms\.own: selection\.value 'domain-2' is no domain at point centre, where"
    ):
        load_study("domains", ["arms.own.selection.value=domain-2"])


def test_predictions_that_nothing_will_decide_are_known_before(averaging):
    assert averaging.not_run() == {}
    assert load_study("domains").not_run() == {}
    study = load_study("averaging", ["points.kappa-half=null", "points.centre.more_arms=[placebo3]"])
    assert study.not_run() == {
        "labels": "placebo-density at centre",
        "no eyes": "shuffled at centre",
        "shortcut 4": "placebo4 at centre",
        "rises": "density, random at kappa-half",
        "variance": "density, random at kappa-half",
    }
