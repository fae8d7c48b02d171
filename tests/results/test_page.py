"""docs/results.md is what the code says, and says something of every field."""

from __future__ import annotations

import re
from pathlib import Path

from frft.experiment.stages.policy_training import PolicyTrainingStage
from frft.experiment.stages.reward_model import RewardModelStage
from frft.results.kinds import INFO_OF_KIND
from frft.results.page import documented_kinds, fields_of, results_page
from frft.stages import Stage

PAGE = Path(__file__).parents[2] / "docs" / "results.md"


def test_the_page_is_up_to_date():
    assert PAGE.read_text() == results_page(), "A field was changed: run `make pages`."


def test_every_field_has_a_meaning():
    fields = [(kind.__name__, field) for kind in documented_kinds() for field in fields_of(kind)]
    assert len(fields) > 300
    assert not [f"{name}.{field.name}" for name, field in fields if len(field.meaning.split()) < 2]


def test_every_link_leads_to_a_section():
    text = PAGE.read_text()
    sections = {line.removeprefix("### ").lower() for line in text.splitlines() if line.startswith("### ")}
    assert set(re.findall(r"\(#([a-z0-9-]+)\)", text)) == sections


def stages(of=Stage):
    for kind in of.__subclasses__():
        yield kind
        yield from stages(kind)


def test_every_stage_says_what_it_found_in_a_documented_form():
    # Those whose kind depends on the run are of several.
    several = {PolicyTrainingStage: {"ppo", "rloo", "grpo"}, RewardModelStage: {"reward", "judge"}}
    kinds: set[str] = set()
    for stage in stages():
        if stage.__module__.startswith("frft."):
            kinds |= several.get(stage) or {stage.kind}
    assert kinds == set(INFO_OF_KIND)
