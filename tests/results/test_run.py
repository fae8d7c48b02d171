"""Results of runs: those of format 0, which an older version wrote, and those of other versions."""

from __future__ import annotations

from pathlib import Path

import pytest

from frft.errors import ArtifactError, UsageError
from frft.experiment import draw_picture, interpret, memory_line, results_table
from frft.results import GoldJudgeFigures, RunResults
from frft.store import RESULTS_FORMAT, read_json, write_json

OLDER = {name: Path(__file__).parent / f"format-0-{name}.json" for name in ("pairs", "world")}
"""As the version before wrote them, cut short: lists have their first values, runs two arms."""


@pytest.mark.parametrize("name", OLDER)
def test_a_run_of_format_0_is_read_whole(name):
    found, file = RunResults.read(OLDER[name]), read_json(OLDER[name])
    assert found.format == 0
    written = found.as_dict()
    del written["format"]
    # All models read plain text then, and nothing said so.
    models = [written["sft"], written["base_reward"], *([written["judge"]] if "training" in written["judge"] else [])]
    assert {model.pop("chat_template") for model in models} == {"plain"}
    # And all reward models read the prompt.
    assert {model.pop("reads") for model in models[1:]} == {"conversation"}
    # It had no store to take a stage from, and no verdict of three words.
    assert {stage.pop("from_store") for stage in written["stages"]} == {False}
    for arm, older in zip(written["arms"].values(), file["arms"].values(), strict=True):
        # Neither was there a policy that starts again, nor a reward that is shaped by references.
        assert (arm.pop("restarted_after"), arm.pop("references")) == ([], 0)
        for look, then in zip(arm["looks"], older["looks"], strict=True):
            assert (look.pop("verdict"), bool(look.pop("decided_by"))) == ("undecided", True)
            assert then.pop("healthy")
    assert written == file


@pytest.mark.parametrize("name", OLDER)
def test_figures_are_attributes(name):
    found, file = RunResults.read(OLDER[name]), read_json(OLDER[name])
    assert found.in_a_world == (name == "world") == isinstance(found.judge, GoldJudgeFigures)
    assert found.total_steps == file["config"]["ppo"]["total_steps"]
    last = list(found.arms)[-1]
    assert found.arms[last].evaluation.win_rate.rate == file["arms"][last]["evaluation"]["win_rate"]["rate"]
    assert [made.after_step for made in found.arms[last].accepted] == file["arms"][last]["refreshed_after"]
    cut = found.arms[last].evaluation.written_truncated
    assert cut.prompts == file["arms"][last]["evaluation"]["written_truncated"]["prompts_truncated"]
    assert len(results_table(found)) == 3
    assert interpret(found)
    assert "GiB" in memory_line(found)
    assert draw_picture(found).startswith("<svg")


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"format": RESULTS_FORMAT + 1}, UsageError, "has format"),
        ({"format": "one"}, ArtifactError, "not a format number"),
        ({"arms": None}, ArtifactError, "no results file of frft"),
        ({"format": 1, "stages": 3}, ArtifactError, "RunResults: stages: "),
        ({"new_figure": 1.0}, ArtifactError, "RunResults: new_figure: "),
    ],
)
def test_what_is_no_results_file_is_refused_in_words(tmp_path, change, error, message):
    write_json(tmp_path / "results.json", read_json(OLDER["pairs"]) | change)
    with pytest.raises(error, match=rf"results\.json .*{message}"):
        RunResults.read(tmp_path / "results.json")


def test_a_run_too_old_to_say_what_it_evaluated_is_refused(tmp_path):
    older = read_json(OLDER["pairs"])
    del older["start_stage"]
    write_json(tmp_path / "results.json", older)
    with pytest.raises(
        UsageError, match=r"older version of frft, which did not record the evaluated stages\. Run it again"
    ):
        RunResults.read(tmp_path / "results.json")
