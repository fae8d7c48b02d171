"""Files, presets and the command line as layers."""

import os

import pytest

from frft.config.layers import MAX_BYTES, Layer, origin_of, override_layers, source_layers
from frft.errors import ConfigError


def refusal(call, *arguments):
    with pytest.raises(ConfigError) as caught:
        call(*arguments)
    assert caught.value.exit_code == 2
    return str(caught.value)


def test_a_file_wins_over_a_preset(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert source_layers("paper")[0].origin == "preset paper"
    (tmp_path / "paper").write_text("seed: 3\n")
    assert source_layers("paper") == [Layer("paper", {"seed": 3}, {("seed",): 1})]


def test_a_folder_does_not_hide_a_preset(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "paper").mkdir()
    assert source_layers("paper")[0].origin == "preset paper"


def test_extends_is_relative_to_its_file_and_lowest_first(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "a.yaml").write_text("extends: b.yaml\nseed: 1\n")
    (tmp_path / "sub" / "b.yaml").write_text("extends: hh-small\nseed: 2\n")
    layers = source_layers("sub/a.yaml")
    assert [layer.origin for layer in layers] == ["preset hh-small", "sub/b.yaml", "sub/a.yaml"]
    assert all("extends" not in layer.values for layer in layers)


def test_files_that_extend_each_other_are_refused(tmp_path):
    (tmp_path / "a.yaml").write_text("extends: b.yaml\n")
    (tmp_path / "b.yaml").write_text("extends: ./a.yaml\n")
    assert "extend each other" in refusal(source_layers, str(tmp_path / "a.yaml"))
    (tmp_path / "self.yaml").write_text("extends: self.yaml\n")
    assert "extend each other" in refusal(source_layers, str(tmp_path / "self.yaml"))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"# nothing\n", "is empty"),
        (b"- 1\n", "holds a list, not a mapping"),
        (b"just text\n", "holds a str, not a mapping"),
        (b"seed: 1\nreport_to: caf\xe9\n", "line 2: not UTF-8 (byte 0xe9)"),
        (b"seed: [1\n", "line 2, column 1: not valid YAML"),
        (b"seed: 1\nseed: 2\n", "line 2: seed: given twice (first on line 1)"),
        (b"extends: [1]\n", "extends: must be the name of a preset or a file's path, got [1]"),
        (b"extends: hh-smal\n", "extends: "),
        (b"#" * (MAX_BYTES + 1), "at most 1000000 bytes"),
    ],
)
def test_unusable_files_are_refused(tmp_path, content, message):
    path = tmp_path / "run.yaml"
    path.write_bytes(content)
    text = refusal(source_layers, str(path))
    assert str(path) in text
    assert message in text


def test_a_byte_order_mark_is_no_fault(tmp_path):
    path = tmp_path / "run.yaml"
    path.write_bytes(b"\xef\xbb\xbfseed: 1\n")
    assert source_layers(str(path))[0].values == {"seed": 1}


def test_an_unknown_name_suggests_the_nearest_preset_and_lists_all():
    text = refusal(source_layers, "hh-smal")
    assert text == "'hh-smal' is neither a file nor a preset. Did you mean hh-small? Presets: demo, hh-small, paper"
    assert "Did you mean" not in refusal(source_layers, "zork.yaml")
    assert "hh-small, paper" in refusal(source_layers, "zork.yaml")


def test_what_is_no_regular_file_is_refused(tmp_path):
    assert "is a folder" in refusal(source_layers, str(tmp_path))
    assert "not a text file" in refusal(source_layers, os.devnull)
    assert "cannot be read" in refusal(source_layers, "x" * 5000)
    assert "cannot be read" in refusal(source_layers, "a\0b")


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_permission_is_refused(tmp_path):
    path = tmp_path / "run.yaml"
    path.write_text("seed: 1\n")
    path.chmod(0)
    assert "cannot be read: Permission denied" in refusal(source_layers, str(path))


def test_overrides_become_nested_values():
    layers = override_layers(["seed=1", "arms.part1.selection.size = 400", "data.pairs=a=b"])
    assert [layer.values for layer in layers] == [
        {"seed": 1},
        {"arms": {"part1": {"selection": {"size": 400}}}},
        {"data": {"pairs": "a=b"}},
    ]


def test_all_malformed_overrides_are_named():
    text = refusal(override_layers, ["seed", "=3", "a..b=1", ".a=1", "seed=[1", "ok=1"])
    lines = text.splitlines()
    assert len(lines) == 5
    assert all(line.startswith("command line: ") for line in lines)
    assert lines[0] == "command line: 'seed' is not of the form key=value, such as ppo.total_steps=16"
    assert lines[4].startswith("command line: seed, line 1, column 3: not valid YAML")


FILE = Layer("f.yaml", {"data": {"pairs": "x", "limit": 3}, "seed": 1}, {("data",): 1, ("data", "limit"): 3})
LINE = Layer("command line", {"data": {"limit": 5}})


@pytest.mark.parametrize(
    ("path", "layers", "origin"),
    [
        (("data", "limit"), [FILE], "f.yaml, line 3"),
        (("data", "limit"), [FILE, LINE], "command line"),
        (("data", "pairs"), [FILE, LINE], "f.yaml"),
        (("data",), [FILE, LINE], "f.yaml, line 1 + command line"),
        (("data",), [LINE, Layer("over.yaml", {"data": 3})], "over.yaml"),
        (("data", "limit", 0), [FILE], "f.yaml, line 3"),
        (("data", "split"), [FILE, LINE], "f.yaml"),
        ((), [FILE, LINE], "f.yaml + command line"),
        (("ppo",), [FILE, LINE], "f.yaml"),
    ],
)
def test_the_origin_of_a_value(path, layers, origin):
    assert origin_of(path, layers) == origin
