"""Preference pairs or a world: one of the two, and nothing that only the other has a use for."""

from __future__ import annotations

import pytest

from frft.config import load_config
from frft.errors import ConfigError

WORLD = "data.world={}"


def test_a_world_takes_the_place_of_pairs():
    config = load_config("hh-small", ["data.world.lambda_=2", "data.world.kappa=0.5"])
    assert config.data.pairs is None
    assert (config.data.world.lambda_, config.data.world.kappa) == (2, 0.5)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ([], r"data\.pairs: is required .* Give it in the file or as data\.pairs=PATH; or, .* data\.world=\{\}"),
        (["data.pairs=null"], r"command line: data\.pairs: is required"),
        (["data.pairs=x", WORLD], r"command line: data\.pairs: is given, and data\.world, too; leave one"),
        (["data.pairs=''"], r"data\.pairs: must not be empty"),
        ([WORLD, "data.limit=5"], "data: limit: of no use with data.world"),
        ([WORLD, "data.split=test", "data.sft_fraction=0.3"], "data: split, sft_fraction: of no use"),
        (["data.world={zork: 1}"], r"data\.world\.zork: unknown key"),
        (["data.world={lambda_: -1}"], r"data\.world\.lambda_: must be at least 0"),
        ([WORLD, "evaluation.prompts=x.jsonl"], "evaluation.prompts cannot be used with data.world"),
    ],
)
def test_what_does_not_go_together_is_refused(overrides, message):
    with pytest.raises(ConfigError, match=message) as caught:
        load_config("hh-small", overrides)
    assert len(str(caught.value).splitlines()) == 1


def test_what_belongs_to_a_trained_judge_is_of_no_use_in_a_world():
    assert load_config("hh-small", ["data.pairs=x", "evaluation.tie_margin=0.1"]).unread() == []
    assert load_config("hh-small", [WORLD, "judge={}", "evaluation.tie_margin=0.1"]).unread() == [
        "judge",
        "evaluation.tie_margin",
    ]
    assert load_config("demo").unread() == []


def test_the_length_of_a_judge_that_is_not_trained_does_not_matter():
    assert load_config("hh-small", [WORLD, "judge.train.max_length=9999"]).judge.train.max_length == 9999


def test_a_smoke_run_makes_a_small_world():
    world = load_config("demo", limit=200).data.world
    assert (world.pool_size, world.demonstrations) == (200, 200)
    assert load_config("demo", ["data.world.pool_size=150"], limit=200).data.world.pool_size == 150
