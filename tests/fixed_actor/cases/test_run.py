"""Cases are measured once, and those of other embedders are not mixed."""

from __future__ import annotations

import json
import shutil

import pytest

from frft.cli import main
from frft.errors import ArtifactError, OutputError
from frft.fixed_actor.cases import CASES, run_cases
from frft.fixed_actor.cases.run import CASE_SETTINGS, read_cases
from frft.progress import SilentProgress
from frft.store import read_sealed, write_sealed


def test_a_repeated_command_measures_nothing_anew(measured, planned, minilm_vectors):
    before = (measured / CASES).read_text()

    def never():
        raise AssertionError

    run_cases([(key, never) for key, _ in planned], minilm_vectors, measured)
    assert (measured / CASES).read_text() == before


def test_half_a_case_at_the_end_is_told_of_and_measured_again(measured, planned, minilm_vectors, tmp_path):
    said = []

    class Saying(SilentProgress):
        def say(self, text):
            said.append(text)

    shutil.copytree(measured, tmp_path / "out")
    path = tmp_path / "out" / CASES
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(ArtifactError, match=r"line \d+, the last one, is half a case.*Run it again to the end"):
        read_cases(tmp_path / "out")
    run_cases(planned, minilm_vectors, tmp_path / "out", Saying())
    assert said == [f"The last line of {path} is half a case, which is measured again."]
    assert [line.gain for line in read_cases(tmp_path / "out")] == [line.gain for line in read_cases(measured)]


def test_an_edited_figure_of_a_case_is_found(measured, planned, minilm_vectors, tmp_path):
    shutil.copytree(measured, tmp_path / "out")
    path = tmp_path / "out" / CASES
    first, second, *rest = path.read_text().splitlines(keepends=True)
    row = json.loads(second)
    path.write_text("".join([first, json.dumps({**row, "seed": 5}) + "\n", *rest]))
    for reader in (read_cases, lambda out: run_cases(planned, minilm_vectors, out)):
        with pytest.raises(ArtifactError, match=r"line 2: damaged.*Keep its first 1 lines.*measured anew"):
            reader(tmp_path / "out")
    settings = tmp_path / "out" / CASE_SETTINGS
    settings.write_text(settings.read_text().replace('"frft": "', '"frft": "9'))
    with pytest.raises(ArtifactError, match=r"cases.json was changed after it was written"):
        run_cases(planned, minilm_vectors, tmp_path / "out")


def test_cases_of_another_embedder_are_not_mixed(measured, planned, minilm_vectors, tmp_path):
    settings = read_sealed(measured / CASE_SETTINGS)
    write_sealed(tmp_path / CASE_SETTINGS, settings | {"embedder": "another"})
    with pytest.raises(OutputError, match="another embedder"):
        run_cases(planned, minilm_vectors, tmp_path)


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--worlds", "2", "--pairs", "p"], "either --worlds"),
        ([], "either --worlds"),
        (["--worlds", "0"], "at least 1"),
        (["--worlds", "1", "--family", "f"], "give --pairs"),
        (["--pairs", "p", "--actor", "a"], "give --family"),
        (["--pairs", "p", "--family", "f", "--actor", "a", "--weights", "50"], "without --actor-of"),
    ],
)
def test_options_that_contradict_each_other(arguments, complaint, tmp_path, capsys):
    assert main(["advise", "cases", "--out", str(tmp_path / "out"), *arguments]) == 2
    assert complaint in " ".join(capsys.readouterr().err.split())


def test_the_command_says_what_it_measured(two_domains, minilm_vectors, tmp_path, shown, fits, capsys):
    for domain in ("cooking", "computers"):
        rows = [row for row in two_domains.to_pylist() if row["kind"] == domain]
        (tmp_path / f"{domain}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    pairs = [str(tmp_path / f"{domain}.jsonl") for domain in ("cooking", "computers")]
    command = ["advise", "cases", "--out", str(tmp_path / "out"), "--pairs", *pairs, "--actor-of", "cooking"]
    assert main([*command, "--family", "made up", "--folds", "3", "--store", str(tmp_path / "store")]) == 0
    fits(shown)
    text, rows = " ".join(capsys.readouterr().out.split()), (tmp_path / "out" / CASES).read_text().splitlines()
    assert len(rows) == 3
    assert "│ made up │ 3 │ 1 │" in text
