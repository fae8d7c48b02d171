"""What a chat template's file says is part of what a stage depends on, wherever the file lies."""

from __future__ import annotations

import json

import pytest

from frft.config import RunConfig, load_config
from frft.errors import ChatTemplateError, ConfigError
from frft.experiment.plan import plan_run
from frft.models.chat import identified
from frft.progress import SILENT


def test_a_template_is_identified_by_its_content(tmp_path):
    one, other = tmp_path / "one.jinja", tmp_path / "other.jinja"
    one.write_text("{{ messages[0]['content'] }}")
    other.write_text("{{ messages[0]['content'] }}")
    assert identified({"chat_template": str(one)}) == identified({"chat_template": str(other)})
    before = identified({"chat_template": str(one), "r": 1})
    one.write_text("{{ messages[-1]['content'] }}")
    assert identified({"chat_template": str(one), "r": 1}) != before
    assert identified({"chat_template": "plain"}) == {"chat_template": "plain"}
    with pytest.raises(ChatTemplateError, match="no file that can be read"):
        identified({"chat_template": "nowhere.jinja"})


@pytest.mark.parametrize(
    ("section", "changed"),
    [("policy", {"sft"}), ("reward", {"reward"}), ("judge", {"judge"})],
)
def test_stages_are_made_anew_where_what_the_file_says_has_changed(section, changed, tiny_lm_folder, tmp_path):
    """Each by its first name: what is built on it follows by its digest, which a plan of another folder shows, too."""
    rows = [{"prompt": f"p{n}", "chosen": "c", "rejected": "r"} for n in range(40)]
    (tmp_path / "pairs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    template = tmp_path / "template.jinja"
    settings = {
        "data": {"pairs": str(tmp_path / "pairs.jsonl")},
        "policy": {"model_name_or_path": str(tiny_lm_folder)},
        "judge": {"normalise_samples": 8},
        "ppo": {"sampling": {"max_prompt_tokens": 16, "max_new_tokens": 8}},
        "arms": {"vanilla": {"alpha": 0}},
    }
    settings[section] = {**settings.get(section, {}), "chat_template": str(template)}

    def names():
        stages = plan_run(RunConfig.model_validate(settings), tmp_path / "out", SILENT)
        return {stage.name.split("-")[0]: stage.name for stage in stages}

    written = []
    for text in ("{{ messages[0]['content'] }}", "{{ messages[0]['content'] }}", "{{ messages[-1]['content'] }}"):
        template.write_text(text)
        written.append(names())
    assert written[0] == written[1]
    differ = {kind for kind in written[0] if written[0][kind] != written[2][kind]}
    assert changed <= differ
    assert ("sft" in differ) == (section == "policy")


@pytest.mark.parametrize(
    ("changes", "refused"),
    [
        ({"reward": {"reads": "completion"}}, True),
        ({"judge": {"reads": "completion"}}, True),
        ({"reward": {"reads": "completion", "chat_template": "none"}, "judge": {}}, False),
        ({}, False),
    ],
)
def test_a_template_that_cannot_render_completions_alone_is_refused_before_anything_is_trained(
    tiny_lm_folder, tmp_path, changes, refused
):
    rows = [{"prompt": f"p{n}", "chosen": "c", "rejected": "r"} for n in range(40)]
    (tmp_path / "pairs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "own.jinja").write_text(
        "{% if messages[0]['role'] != 'user' %}{{ raise_exception('users begin') }}{% endif %}"
        "{% for m in messages %}{{ m['content'] }}{{ eos_token }}{% endfor %}"
    )
    settings = {
        "data": {"pairs": str(tmp_path / "pairs.jsonl")},
        "policy": {"model_name_or_path": str(tiny_lm_folder), "chat_template": str(tmp_path / "own.jinja")},
        "ppo": {"sampling": {"max_prompt_tokens": 16, "max_new_tokens": 8}},
        "arms": {"vanilla": {"alpha": 0}},
        **changes,
    }
    config = RunConfig.model_validate(settings)
    if refused:
        with pytest.raises(ChatTemplateError, match=r"reads: completion\).*users begin"):
            plan_run(config, tmp_path / "out", SILENT)
    else:
        assert plan_run(config, tmp_path / "out", SILENT)


def test_a_policy_from_scratch_has_no_template():
    with pytest.raises(ConfigError, match=r"chat_template is 'none', but a policy from scratch reads plain text"):
        load_config("hh-small", ["data.pairs=x", "policy.chat_template=none"])
