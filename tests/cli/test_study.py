"""`frft study`, as far as nothing is trained; the rest is in tests/experiment/study."""

from __future__ import annotations

import json
from importlib import resources

import pytest

from frft.cli import main


def test_a_dry_run_without_any_cell_plans_stages(tmp_path, capsys):
    small = ["seeds=2", "workers=1", "base.data.world.pool_size=200", "base.data.world.demonstrations=50"]
    arguments = [
        "study",
        "averaging",
        *small,
        "--points",
        "kl-low",
        "--out",
        str(tmp_path / "out"),
        "--dry-run",
        "--json",
    ]
    assert main(arguments) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["cells"] == ["kl-low-6", "kl-low-7"]
    assert found["seconds"] > 1
    assert not (tmp_path / "out").exists()


def test_overrides_may_follow_a_point(tmp_path, capsys):
    arguments = ["study", "averaging", "--points", "kl-low", "seeds=1", "--points", "kl-high", "workers=1"]
    assert main([*arguments, "--out", str(tmp_path / "out"), "--dry-run", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["cells"] == ["kl-low-6", "kl-high-6"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["averaging", "--points", "center"], "--points center: no such point; points are centre, lambda-0"),
        (["avreaging"], "'avreaging' is no study. Studies: averaging"),
        (["averaging", "seeds=none"], "command line: seeds: "),
        (["averaging", "seeds"], "'seeds' is not of the form key=value"),
    ],
)
def test_what_is_wrong_is_named(arguments, message, tmp_path, capsys):
    assert main(["study", *arguments, "--out", str(tmp_path / "out"), "--dry-run"]) == 2
    assert message in capsys.readouterr().err


def test_a_study_of_ones_own_is_named_by_its_file(tmp_path, capsys):
    mine = tmp_path / "mine.yaml"
    mine.write_text((resources.files("frft.study") / "domains.yaml").read_text("utf-8"))
    arguments = [
        "study",
        str(mine),
        "seeds=1",
        "first_seed=0",
        "workers=1",
        "--points",
        "centre",
        "--out",
        str(tmp_path / "out"),
    ]
    assert main([*arguments, "--dry-run", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["cells"] == ["centre-0"]
    mine.write_text(mine.read_text().replace("gain: {point: centre}", "gain: {point: center}"))
    assert main([*arguments, "--dry-run"]) == 2
    assert "predictions.helps.gain.point: center: no such point; points are centre" in capsys.readouterr().err
