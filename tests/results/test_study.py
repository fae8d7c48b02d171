"""study.json, read back: the one in docs/ is of format 0, from before files had a number."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import pytest

from frft.errors import UsageError
from frft.results.study import ArmMeasures, StudyResults
from frft.store import read_json, write_json
from frft.study.curves import curves_picture
from frft.study.measured import MEASURES
from frft.study.panels import panels_picture
from frft.study.picture import gains_picture
from frft.study.report import markdown

FOLDER = Path(__file__).parents[2] / "docs" / "study"


def test_a_study_of_format_0_is_read_whole():
    found = StudyResults.read(FOLDER / "study.json")
    assert found.format == 0
    written = found.as_dict()
    kept = read_json(FOLDER / "study.json")
    # What the predictions' Python said is data since.
    assert written["claim"].pop("holds") is kept.pop("averaging_is_claimed") is False
    assert written["sanity"]["held"]
    for name in ("format", "claim", "sanity"):
        del written[name]
    assert written["config"].pop("panels") == written["config"].pop("curves") == {}
    for point in written["config"]["points"].values():
        # A point has seeds of its own since.
        assert point.pop("seeds", None) is point.pop("on_fewer_seeds", None) is None
    del written["config"]["preregistration"]
    assert written == kept


@pytest.mark.parametrize(
    "folder", [FOLDER, FOLDER / "domains", FOLDER / "labels"], ids=["averaging", "domains", "labels"]
)
def test_page_and_pictures_are_those_of_the_figures_beside_them(folder):
    found, page = StudyResults.read(folder / "study.json"), (folder / "study.md").read_text()
    assert markdown(found, page.split("`")[1]) == page
    assert gains_picture(found) == (folder / "gains.svg").read_text()
    for name, picture in {"curves": curves_picture, "panels": panels_picture}.items():
        file = folder / f"{name}.svg"
        assert picture(found) == (file.read_text() if file.exists() else None)


def test_every_measure_is_a_field_of_an_arm():
    assert {field.name for field in fields(ArmMeasures)} == set(MEASURES) - {"peak"}


def test_a_study_of_a_newer_version_is_refused(tmp_path):
    write_json(tmp_path / "study.json", {**read_json(FOLDER / "study.json"), "format": 99})
    with pytest.raises(UsageError, match=r"study\.json has format 99"):
        StudyResults.read(tmp_path / "study.json")
