"""A model by name: the Hub is asked once, and a mistyped folder is one error at once."""

from __future__ import annotations

import pytest
from huggingface_hub import HfApi, constants
from huggingface_hub.errors import RepositoryNotFoundError

from frft.config.sections import EmbedderConfig, EvaluationConfig
from frft.errors import ModelError
from frft.evaluation.judge_names import JudgeRequest, named_judge
from frft.models import hub, load_model_config, load_tokenizer
from frft.reward import RewardModel
from frft.selection import Embedder


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
    with pytest.raises(ModelError, match=r"no folder 'rm' here\. Nor does the Hugging Face Hub have a model"):
        load_model_config("rm")


def test_a_folder_is_not_asked_for(asked, tiny_lm_folder):
    load_model_config(tiny_lm_folder)
    assert asked == []


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("./judeg", "judge"),
        ("runs/x/rewrad", "runs/x/reward"),
        ("rusn/x/reward", "runs/x/reward"),
        ("runs/z", ""),
        ("{here}/judeg", "{here}/judge"),
    ],
)
def test_what_is_a_path_is_not_asked_for(name, near, asked, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "judge").mkdir()
    (tmp_path / "judge.jsonl").touch()  # a file is no model
    (tmp_path / "runs" / "x" / "reward").mkdir(parents=True)
    name, near = name.format(here=tmp_path), near.format(here=tmp_path)
    hint = f" Did you mean {near!r}?" if near else ""
    loaders = (
        load_tokenizer,
        load_model_config,
        lambda name: RewardModel.load(name, seed=0),
        lambda name: Embedder(EmbedderConfig(model_name_or_path=name)).folder,
        lambda name: named_judge(f"rm:{name}", JudgeRequest("", EvaluationConfig())).open(),
    )
    for load in loaders:
        with pytest.raises(ModelError) as caught:
            load(name)
        assert str(caught.value).startswith(f"There is no folder {name!r} here.{hint} Give a folder that exists")
    assert asked == []


def test_below_a_folder_a_model_that_was_fetched_before_is_asked_for(asked, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    (tmp_path / "owner").mkdir()
    with pytest.raises(ModelError, match=r"or fetch the model of that name from the Hub first \(`hf download owner/n`"):
        load_model_config("owner/n")
    assert asked == []
    (tmp_path / "cache" / "models--owner--n").mkdir(parents=True)
    with pytest.raises(ModelError, match="Cannot load"):
        load_model_config("owner/n")
    assert asked == ["owner/n"]


def test_a_name_that_the_hub_does_not_have_is_told_what_folder_lies_near(asked, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "judge").mkdir()
    with pytest.raises(ModelError, match=r"Cannot load .*'judeg'.* Did you mean 'judge'\? Give a folder"):
        load_model_config("judeg")
    assert asked == ["judeg"]
