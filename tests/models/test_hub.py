"""A model by name: the Hub is asked once, and a mistyped folder is one error at once."""

from __future__ import annotations

import pytest
from huggingface_hub import HfApi, constants
from huggingface_hub.errors import RepositoryNotFoundError

from frft.errors import ModelError
from frft.models import hub, load_model_config, load_tokenizer


@pytest.fixture
def asked(monkeypatch):
    """Names that the Hub is asked for, which answers by raising what a test sets."""
    names = []

    def model_info(self, name, timeout):
        names.append(name)
        raise names.error

    class Names(list):
        error: Exception = ConnectionError("no network")

    names = Names()
    monkeypatch.setattr(HfApi, "model_info", model_info)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(hub, "_answers", {})
    return names


@pytest.mark.parametrize("name", ["rm", "owner/name"])
def test_where_the_hub_does_not_answer_it_is_asked_once_and_nothing_is_tried_again(name, asked, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for load in (load_model_config, load_tokenizer):
        with pytest.raises(ModelError, match=rf"Cannot load the .*'{name}'.* Give a folder that exists"):
            load(name)
    assert asked == [name]
    assert constants.HF_HUB_OFFLINE is False


def test_what_the_hub_does_not_have_is_said(asked, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    # Made without the reply of a server, which it would want.
    asked.error = RepositoryNotFoundError.__new__(RepositoryNotFoundError)
    with pytest.raises(ModelError, match=r"no folder 'rm' here, and the Hugging Face Hub has no model of that name"):
        load_model_config("rm")


def test_a_folder_is_not_asked_for(asked, tiny_lm_folder):
    load_model_config(tiny_lm_folder)
    assert asked == []
