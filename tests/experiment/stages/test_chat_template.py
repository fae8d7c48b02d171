"""What a chat template's file says is part of what a stage depends on, wherever the file lies."""

from __future__ import annotations

import pytest

from frft.config import load_config
from frft.errors import ChatTemplateError, ConfigError
from frft.models.chat import identified


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


def test_a_policy_from_scratch_has_no_template():
    with pytest.raises(ConfigError, match=r"chat_template is 'none', but a policy from scratch reads plain text"):
        load_config("hh-small", ["data.pairs=x", "policy.chat_template=none"])
