"""`frft eval tasks` as a person uses and misuses it."""

from __future__ import annotations

import json
import sys

import pytest

from frft.cli import main


@pytest.fixture(scope="module")
def asked(tiny_lm_folder, tiny_tokenizer, tmp_path_factory):
    """Arguments: two models and two tasks of one's own, of which one has a document that is too long."""
    pytest.importorskip("lm_eval", reason="the extra `tasks` is not installed")
    from frft.config.sections import ScratchConfig
    from frft.models import build_causal_lm, save_model

    config = ScratchConfig(
        vocab_size=320, hidden_size=32, num_hidden_layers=2, num_attention_heads=2, max_position_embeddings=128
    )
    after, folder = tmp_path_factory.mktemp("after"), tmp_path_factory.mktemp("tasks")
    save_model(build_causal_lm(config, tiny_tokenizer, seed=5), tiny_tokenizer, after)
    rows = [{"text": f"Q {n}: " + "flour " * (200 * (n == 3)), "label": n % 3} for n in range(30)]
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    for name, choices in (("own_words", ["red", "blue", "green"]), ("own_letters", ["a", "b", "c"])):
        task = {
            "task": name,
            "dataset_path": "json",
            "dataset_kwargs": {"data_files": {"test": str(folder / "rows.jsonl")}, "cache_dir": str(folder / "cache")},
            "test_split": "test",
            "output_type": "multiple_choice",
            "doc_to_text": "{{text}}",
            "doc_to_choice": choices,
            "doc_to_target": "label",
            "metric_list": [{"metric": "acc", "aggregation": "mean", "higher_is_better": True}],
        }
        (folder / f"{name}.yaml").write_text(json.dumps(task))
    return [str(tiny_lm_folder), str(after), "--tasks", "own_words", "own_letters", "--include-path", str(folder)]


def test_before_and_after_as_json(asked, capsys):
    assert main(["eval", "tasks", *asked, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    before, after = found["models"]
    assert [before["model"], after["model"]] == asked[:2]
    assert before["asked"] == ["own_words", "own_letters"]
    # One document of each task is too long, and is asked with each of three answers.
    assert (before["requests"], before["truncated"]) == (180, 6)
    for difference, score in zip(found["differences"], after["scores"], strict=True):
        assert [difference[key] for key in ("model", "baseline", "task")] == [asked[1], asked[0], score["task"]]
        assert difference["after"] == score["value"]
        assert difference["difference"] == pytest.approx((difference["up"] - difference["down"]) / 30)
        assert difference["p_value"] <= difference["p_holm"]
        assert difference["interval"][0] <= difference["difference"] <= difference["interval"][1]


def test_before_and_after_as_tables(asked, shown, fits, capsys):
    assert main(["eval", "tasks", *asked, "--limit", "5"]) == 0
    printed = capsys.readouterr().out
    assert "reading" in printed
    assert "own_letters" in printed
    assert "6 of 30 requests lost the beginning" in printed
    assert "Only the first 5 documents of each task were asked" in printed
    fits(shown)


def test_one_model_is_compared_with_nothing(asked, capsys):
    assert main(["eval", "tasks", asked[0], *asked[2:], "--limit", "2"]) == 0
    assert "reading" not in capsys.readouterr().out


def test_a_second_model_that_is_none_is_found_before_the_first_is_asked(asked, capsys):
    assert main(["eval", "tasks", asked[0], "no-such-model", *asked[2:]]) == 1
    captured = capsys.readouterr()
    assert "'no-such-model'" in captured.err
    assert "Loading" not in captured.err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--tasks", "mmlu"], "No model"),
        (["a", "a", "--tasks", "mmlu"], "given twice"),
        (["a"], "--tasks"),
    ],
)
def test_a_request_that_is_wrong(arguments, said, capsys):
    assert main(["eval", "tasks", *arguments]) == 2
    assert said in capsys.readouterr().err


def test_without_the_extra_it_says_what_to_install(tiny_lm_folder, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "lm_eval", None)
    assert main(["eval", "tasks", str(tiny_lm_folder), "--tasks", "mmlu"]) == 2
    assert "pip install 'frft[tasks]'" in capsys.readouterr().err
