"""From a file and a command line to a configuration, and back."""

import os
import subprocess
import sys
import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from frft.config import RunConfig, dump_config, load_config
from frft.config.problems import leaves
from frft.errors import ConfigError


@pytest.fixture
def write(tmp_path):
    def write_text(text, name="run.yaml"):
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        return str(path)

    return write_text


def test_command_line_over_file_over_base_over_defaults(write):
    write("data: {pairs: base, split: test}\nppo: {total_steps: 10, kl_coef: 0.5, lam: 0.9}\n", "base.yaml")
    file = write("extends: base.yaml\nppo: {total_steps: 20, kl_coef: 0.6}\n")
    config = load_config(file, ["ppo.total_steps=30", "data.limit=5"])
    assert (config.ppo.total_steps, config.ppo.kl_coef, config.ppo.lam, config.ppo.gamma) == (
        30,
        0.6,
        0.9,
        1.0,
    )
    assert (config.data.pairs, config.data.split, config.data.limit) == ("base", "test", 5)


def test_overrides_are_yaml(write):
    file = write("data: {pairs: x, limit: 9}\nrefresh: {alpha: 2}\n")
    config = load_config(
        file,
        [
            "data.pairs=[../a.jsonl, ../b]",
            "data.limit=null",
            "refresh.at_steps=[4, 8]",
            "refresh.learning_rate=1e-5",
            "ppo.whiten_rewards=yes",
            "data.prompt_key=no",
            "reward.lora={r: 4}",
            "arms.frft.selection.strategy=part4",
            "seed=1",
            "seed=2",
        ],
    )
    assert config.data.pairs == ["../a.jsonl", "../b"]
    assert config.data.limit is None
    assert config.refresh.at_steps == [4, 8]
    assert config.refresh.learning_rate == 1e-5
    assert config.ppo.whiten_rewards is True
    assert config.data.prompt_key == "no"
    assert config.reward.lora is not None
    assert config.reward.lora.r == 4
    assert config.arm("frft").selection.strategy == "part4"
    assert config.seed == 2


def test_pairs_stay_relative_to_the_current_directory(write):
    assert load_config(write("data: {pairs: ../pairs.jsonl}\n")).data.pairs == "../pairs.jsonl"


def test_a_list_is_replaced_not_merged(write):
    assert load_config(write("data: {pairs: [a, b]}\n"), ["data.pairs=[c]"]).data.pairs == ["c"]


def test_arms_are_merged_and_null_removes_one(write):
    file = write("extends: hh-small\ndata: {pairs: x}\narms:\n  part2: null\n  mine: {init: sft}\n")
    config = load_config(file, ["arms.part3=null"])
    assert list(config.arms) == ["vanilla", "random", "part1", "part4", "mine"]


def test_null_removes_no_arm_that_was_not_there(write):
    with pytest.raises(ConfigError, match=r"arms\.mine: must be a section"):
        load_config(write("data: {pairs: x}\narms: {vanilla: {alpha: 0}, mine: null}\n"))


@pytest.mark.parametrize("source", ["hh-small", "paper"])
def test_dump_and_load_give_an_equal_configuration(write, source):
    config = load_config(source, ["data.pairs=[a b, 'no', '1e-4', é]", "reward.lora={}", "seed=7"])
    assert load_config(write(dump_config(config))) == config


@settings(deadline=None, max_examples=50)
@given(pairs=st.text(min_size=1, max_size=20), rate=st.floats(min_value=1e-300, max_value=1e300))
def test_dump_and_load_keep_every_text_and_number(tmp_path_factory, pairs, rate):
    config = RunConfig.model_validate({"data": {"pairs": pairs}, "ppo": {"learning_rate": rate}})
    path = tmp_path_factory.mktemp("dumped") / "run.yaml"
    path.write_text(dump_config(config), encoding="utf-8")
    assert load_config(str(path)) == config


def test_a_broken_configuration_names_all_its_problems(write):
    file = write("data: {pairs: x}\nsed: 1\nppo:\n  total_steps: many\n  cliprange: -1\n")
    with pytest.raises(ConfigError) as caught:
        load_config(file, ["refresh.alpha=-1"])
    assert caught.value.exit_code == 2
    assert sorted(str(caught.value).splitlines()) == sorted(
        [
            f"{file}, line 2: sed: unknown key; did you mean seed?",
            f"{file}, line 4: ppo.total_steps: must be a whole number, got 'many'",
            f"{file}, line 5: ppo.cliprange: must be above 0.0, got -1",
            "command line: refresh.alpha: must be at least 0, got -1",
        ]
    )


@pytest.mark.parametrize("text", ["", "data: {}", "ppo: {total_steps: 5}"])
def test_missing_pairs_say_how_to_give_them(write, text):
    file = write(text or "seed: 1")
    with pytest.raises(ConfigError) as caught:
        load_config(file)
    assert str(caught.value) == (
        f"{file}: data.pairs: is required (Files, folders, globs, or the id of a data set on the Hub). "
        "Give it in the file or as data.pairs=PATH; or, where there are no pairs, data.world={} makes some"
    )


KEYS = [".".join(path) for path, _ in leaves(RunConfig)] + [
    "arms.x",
    "arms.x.alpha",
    "ppo",
    "data.zork",
    "zork",
]
VALUES = ["", "null", "true", "-1", "0", "1e9", ".nan", "x", "[]", "{}", "[1, x]", "{a: {b: 1}}", "[[[]]]"]

ASSIGNMENTS = st.tuples(st.sampled_from(KEYS), st.sampled_from(VALUES) | st.text(max_size=6))


@settings(deadline=None, max_examples=200)
@given(st.lists(ASSIGNMENTS, max_size=3))
def test_any_override_is_taken_or_refused_with_a_reason(overrides):
    try:
        config = load_config("hh-small", ["data.pairs=x", *(f"{key}={value}" for key, value in overrides)])
    except ConfigError as error:
        lines = str(error).splitlines()
        assert lines
        assert all("command line" in line or "preset hh-small" in line for line in lines)
    else:
        assert isinstance(config, RunConfig)


@pytest.mark.parametrize("key", ["refresh.alpha", "arms.x.alpha"])
def test_a_number_too_large_is_refused_and_not_counted_to(key):
    tracemalloc.start()
    try:
        # Counted to, it was a list of a billion steps; a hundredth of that shows it without a long wait.
        with pytest.raises(ConfigError, match=r"does not fit into ppo\.total_steps"):
            load_config("hh-small", ["data.pairs=x", f"{key}=1e7"])
        assert tracemalloc.get_traced_memory()[1] < 2**26
    finally:
        tracemalloc.stop()


def test_loading_imports_nothing_heavy():
    code = (
        "import sys; from frft.config import load_config; load_config('hh-small', ['data.pairs=x']);"
        "print([m for m in ('torch', 'transformers', 'trl', 'numpy', 'pyarrow') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=dict(os.environ)
    )
    assert done.stdout.strip() == "[]"
