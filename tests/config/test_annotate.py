"""A preset written out in full."""

from functools import reduce

import pytest
import yaml

from frft.config import RunConfig, annotated_preset, load_config
from frft.config.presets import preset_names
from frft.config.problems import leaves
from frft.errors import ConfigError

PAIRS = {"demo": [], "hh-small": ["data.pairs=x"], "paper": ["data.pairs=x"]}


@pytest.mark.parametrize("name", preset_names())
def test_it_loads_to_what_the_preset_loads_to(tmp_path, name):
    path = tmp_path / "run.yaml"
    path.write_text(annotated_preset(name), encoding="utf-8")
    assert load_config(str(path), PAIRS[name]) == load_config(name, PAIRS[name])
    if name != "hh-small":
        assert load_config(str(path)) == load_config(name)


@pytest.mark.parametrize("name", preset_names())
def test_every_setting_is_there_under_its_description(name):
    config, text = load_config(name, PAIRS[name]), annotated_preset(name)
    words = " ".join(text.replace("#", " ").split())
    for path, field in leaves(RunConfig):
        if reduce(lambda section, key: section and getattr(section, key), path[:-1], config) is None:
            continue  # a section that is absent from this preset
        assert f"{path[-1]}:" in text
        assert " ".join(field.description.split()) in words
    assert all(len(line) <= 100 for line in text.splitlines()[1:])


def test_settings_without_a_value_in_the_preset_are_written_with_their_default():
    values = yaml.safe_load(annotated_preset("hh-small"))
    assert values["ppo"]["gamma"] == 1.0
    assert values["policy"]["scratch"]["architecture"] == "gpt2"


def test_open_pairs_stand_as_a_comment_to_fill_in(tmp_path):
    path = tmp_path / "run.yaml"
    path.write_text(annotated_preset("hh-small").replace("  # pairs: PATH", "  pairs: mine.jsonl"))
    assert load_config(str(path)).data.pairs == "mine.jsonl"


def test_absent_sections_name_their_keys_where_they_are_explained_elsewhere():
    comments = " ".join(annotated_preset("paper").replace("#", " ").split())
    assert "(a section with keys r, lora_alpha, lora_dropout, target_modules or null)" in comments
    assert comments.count("Dropout on the adapters' input.") == 1


@pytest.mark.parametrize("key", ["gate", "lora", "world"])
def test_an_absent_section_can_be_had_by_taking_the_comment_away(key, tmp_path):
    lines = annotated_preset("hh-small").splitlines()
    start = next(n for n, line in enumerate(lines) if line.strip() == f"# {key}:")
    indent = lines[start].index("#")
    end = next(n for n, line in enumerate(lines[start + 1 :], start + 1) if not line.startswith(" " * indent + "#   "))
    with_it = [line[:indent] + line[indent + 2 :] for line in lines[start:end]]
    path = tmp_path / "run.yaml"
    path.write_text("\n".join([*lines[:start], *with_it, *lines[end:]]))
    config = load_config(str(path), [] if key == "world" else ["data.pairs=x"])
    found = {"gate": config.refresh.gate, "lora": config.policy.lora, "world": config.data.world}[key]
    assert found == type(found)()


def test_choices_are_named():
    assert "(one of gpt2, llama)" in annotated_preset("paper")


def test_an_unknown_preset_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="There is no preset 'zork'"):
        annotated_preset("zork")
