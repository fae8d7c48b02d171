"""Tasks of one's own through the real lm-evaluation-harness, against likelihoods and texts computed without it."""

from __future__ import annotations

import json
import sys

import numpy as np
import pytest
import torch

from frft.errors import DataError, ModelError, UsageError
from frft.evaluation import check_tasks, compare_tasks, run_tasks
from frft.progress import LineProgress

DOCUMENTS = 24
NEW_TOKENS = 8
NO_MEANS = {"f1": "f1", "acc": "median"}


@pytest.fixture(scope="module")
def harness():
    return pytest.importorskip("lm_eval", reason="the extra `tasks` is not installed")


@pytest.fixture(scope="module")
def models(tiny_lm_folder, tiny_tokenizer, tmp_path_factory):
    """Two random models with the same tokenizer: one as before a training, one as after it."""
    from frft.config.sections import ScratchConfig
    from frft.models import build_causal_lm, save_model

    config = ScratchConfig(
        vocab_size=320, hidden_size=32, num_hidden_layers=2, num_attention_heads=2, max_position_embeddings=128
    )
    after = tmp_path_factory.mktemp("after")
    save_model(build_causal_lm(config, tiny_tokenizer, seed=5), tiny_tokenizer, after)
    return tiny_lm_folder, after


def language_model(folder):
    from transformers import AutoModelForCausalLM, AutoTokenizer

    return AutoModelForCausalLM.from_pretrained(folder).eval(), AutoTokenizer.from_pretrained(folder)


def likelihood(model, tokenizer, text, continuation):
    """log p(continuation | text) by Transformers alone, one text at a time."""
    start, ids = len(tokenizer(text)["input_ids"]), tokenizer(text + continuation, return_tensors="pt")["input_ids"]
    with torch.no_grad():
        logprobs = model(ids).logits[0].log_softmax(-1)
    return sum(float(logprobs[place - 1, ids[0, place]]) for place in range(start, ids.shape[1]))


def greedy(model, tokenizer, text):
    """What the model writes, by picking the likeliest token again and again."""
    ids = tokenizer(text, return_tensors="pt")["input_ids"]
    written = []
    for _ in range(NEW_TOKENS):
        with torch.no_grad():
            token = int(
                model(torch.cat([ids, torch.tensor([written], dtype=torch.long)], dim=1)).logits[0, -1].argmax()
            )
        if token == tokenizer.eos_token_id:
            break
        written.append(token)
    return tokenizer.decode(written, skip_special_tokens=True).split("\n")[0]


@pytest.fixture(scope="module")
def folder(models, tmp_path_factory):
    """Tasks in the harness's YAML over two dozen documents; half of them ask for what the first model writes."""
    folder = tmp_path_factory.mktemp("tasks")
    model, tokenizer = language_model(models[0])
    rng = np.random.default_rng(0)
    rows = []
    for number in range(DOCUMENTS):
        text = f"What is {number} plus {number}?\nAnswer:"
        choices = [f"{2 * number}", f"{2 * number + 1} or more", "red", "It rises and bakes."]
        written = greedy(model, tokenizer, text) if number % 2 else "never this"
        rows.append({"text": text, "choices": choices, "label": int(rng.integers(4)), "written": written})
    (folder / "documents.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "few.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows[:6]))
    long = {**rows[0], "text": "Mix flour and water. " * 40}
    (folder / "long.jsonl").write_text("".join(json.dumps(row) + "\n" for row in [rows[0], long, long]))

    def task(name, data="documents", **more):
        settings = {
            "task": name,
            "dataset_path": "json",
            "dataset_kwargs": {"data_files": {"test": str(folder / f"{data}.jsonl")}, "cache_dir": str(folder / "c")},
            "test_split": "test",
            "fewshot_split": "test",
            "doc_to_text": "{{text}}",
            "metadata": {"version": 1.0},
            **more,
        }
        # JSON is YAML.
        (folder / f"{name}.yaml").write_text(json.dumps(settings))

    mean = {"aggregation": "mean", "higher_is_better": True}
    accuracy = [{"metric": "acc", **mean}, {"metric": "acc_norm", **mean}]
    choice = {"output_type": "multiple_choice", "doc_to_choice": "choices", "doc_to_target": "label"}
    write = {"output_type": "generate_until", "doc_to_target": "written"}
    exact = [{"metric": "exact_match", **mean}]
    task("own_choice", **choice, metric_list=accuracy)
    task("own_few", "few", **choice, metric_list=accuracy)
    task("own_long", "long", **choice, metric_list=accuracy[:1])
    no_or_yes = {**choice, "doc_to_choice": ["no", "yes"], "doc_to_target": "{{label % 2}}"}
    no_means = [{"metric": name, "aggregation": how, "higher_is_better": True} for name, how in NO_MEANS.items()]
    task("own_f1", **no_or_yes, metric_list=no_means)
    limits = {"until": ["\n"], "max_gen_toks": NEW_TOKENS}
    task("own_writing", **write, metric_list=exact, generation_kwargs=limits)
    task("own_essay", **write, metric_list=exact, generation_kwargs={"until": [], "max_gen_toks": 500})
    task("own_missing", **choice, metric_list=accuracy)
    settings = json.loads((folder / "own_missing.yaml").read_text())
    (folder / "own_missing.yaml").write_text(json.dumps({**settings, "dataset_path": "nobody/nothing-of-this-name"}))
    group = {
        "group": "own_group",
        "task": ["own_choice", "own_few"],
        "aggregate_metric_list": [
            {"metric": "acc", "weight_by_size": False},
            {"metric": "acc_norm", "weight_by_size": True},
        ],
    }
    (folder / "own_group.yaml").write_text(json.dumps(group))
    (folder / "own_outer.yaml").write_text(json.dumps({"group": "own_outer", "task": ["own_group", "own_f1"]}))
    top = {"group": "own_top", "task": ["own_group"], "aggregate_metric_list": [{"metric": "acc"}]}
    (folder / "own_top.yaml").write_text(json.dumps(top))
    # A task that says that it runs code, whose module would be seen to be imported.
    (folder / "dangerous.py").write_text(
        f"open({str(folder / 'imported')!r}, 'w').close()\ndef same(documents):\n    return documents\n"
    )
    (folder / "own_code.yaml").write_text(
        (folder / "own_few.yaml").read_text().replace("own_few", "own_code").rstrip("}")
        + ', "unsafe_code": true, "process_docs": !function dangerous.same }'
    )
    (folder / "own_coders.yaml").write_text(json.dumps({"group": "own_coders", "task": ["own_few", "own_code"]}))
    return folder


@pytest.fixture(scope="module")
def rows(folder):
    return [json.loads(line) for line in (folder / "documents.jsonl").read_text().splitlines()]


@pytest.fixture(scope="module")
def scores(harness, models, folder):
    """Both models on everything that runs."""
    return [run_tasks(model, ["own_outer", "own_writing"], include_path=folder) for model in models]


def value_of(scores, task, metric):
    (found,) = (score for score in scores.scores if (score.task, score.metric) == (task, metric))
    return found


def chosen(model, tokenizer, row):
    """Right or not: by likelihood, and by likelihood per character."""
    plain = [likelihood(model, tokenizer, row["text"], f" {choice}") for choice in row["choices"]]
    by_length = [value / len(choice) for value, choice in zip(plain, row["choices"], strict=True)]
    return [float(np.argmax(values) == row["label"]) for values in (plain, by_length)]


def test_a_choice_is_the_likeliest_answer(scores, models, rows):
    for folder, found in zip(models, scores, strict=True):
        right = np.array([chosen(*language_model(folder), row) for row in rows])
        for column, metric in enumerate(("acc", "acc_norm")):
            score = value_of(found, "own_choice", metric)
            assert list(score.documents.values()) == list(right[:, column])
            assert score.value == pytest.approx(right[:, column].mean())
            assert score.stderr == pytest.approx(right[:, column].std(ddof=1) / DOCUMENTS**0.5)
            assert (score.n, score.shots, score.higher_is_better) == (DOCUMENTS, 0, True)


def test_a_written_answer_is_what_greedy_decoding_writes(scores, models, rows):
    for folder, found in zip(models, scores, strict=True):
        right = [float(greedy(*language_model(folder), row["text"]) == row["written"]) for row in rows]
        assert list(value_of(found, "own_writing", "exact_match").documents.values()) == right
    assert value_of(scores[0], "own_writing", "exact_match").value == 0.5


def test_before_and_after_are_compared_document_by_document(scores, models, rows):
    found = {each.row: each for each in compare_tasks(*scores)}
    assert found.keys() == {score.row for score in scores[0].scores}
    right = np.array([[chosen(*language_model(folder), row)[0] for row in rows] for folder in models])
    difference = found["own_choice", "acc", "none"]
    assert difference.difference == pytest.approx(right[1].mean() - right[0].mean())
    assert (difference.up, difference.down) == ((right[1] > right[0]).sum(), (right[1] < right[0]).sum())
    assert found["own_writing", "exact_match", "none"].reading() == "got worse"


def test_a_group_counts_its_tasks_alike_or_its_documents(scores):
    outer = scores[0]
    assert outer.asked == ["own_group", "own_f1", "own_writing"]
    parts = [value_of(outer, task, "acc") for task in ("own_choice", "own_few")]
    group = value_of(outer, "own_group", "acc")
    assert group.value == pytest.approx(np.mean([part.value for part in parts]))
    assert np.mean(list(group.documents.values())) == pytest.approx(group.value)
    by_size = value_of(outer, "own_group", "acc_norm")
    pooled = [
        value for task in ("own_choice", "own_few") for value in value_of(outer, task, "acc_norm").documents.values()
    ]
    assert list(by_size.documents.values()) == pooled
    assert (group.heaviest, by_size.heaviest) == (30 / 2 / 6, 1.0)


def test_a_group_of_groups_knows_what_is_better(harness, models, folder):
    found = run_tasks(models[0], ["own_top"], include_path=folder, limit=4)
    (score,) = found.headline
    assert (score.task, score.n, score.shots, score.higher_is_better) == ("own_top", 8, 0, True)


def test_a_value_that_is_no_mean_of_documents_is_not_taken_for_one(scores, models, rows):
    from sklearn.metrics import f1_score

    language = language_model(models[0])
    said = [np.argmax([likelihood(*language, row["text"], f" {word}") for word in ("no", "yes")]) for row in rows]
    truth = [row["label"] % 2 for row in rows]
    values = {"f1": f1_score(truth, said), "acc": np.median(np.equal(truth, said))}
    for metric in NO_MEANS:
        score = value_of(scores[0], "own_f1", metric)
        assert (score.documents, score.interval, score.n) == (None, None, DOCUMENTS)
        assert score.value == pytest.approx(values[metric])
    assert 0.02 < value_of(scores[0], "own_f1", "f1").stderr < 0.5


def test_nothing_is_printed_and_no_generator_moves(harness, models, folder, capsys):
    state = torch.random.get_rng_state()
    found = run_tasks(models[0], ["own_few"], include_path=folder)
    assert torch.equal(state, torch.random.get_rng_state())
    assert capsys.readouterr() == ("", "")
    assert (found.requests, found.truncated, found.harness) == (24, 0, harness.__version__)


def test_progress_reaches_the_terminal_and_the_harness_does_not(harness, models, folder, capsys, monkeypatch):
    monkeypatch.setattr("frft.progress.LINE_INTERVAL_S", 0.0)
    run_tasks(models[0], ["own_few"], include_path=folder, progress=LineProgress())
    out, told = capsys.readouterr()
    first, *lines = told.splitlines()
    assert (out, first) == ("", "Loading own_few")
    assert [line.partition(",")[0] for line in lines] == [f"weighing answers: {done}/24" for done in range(1, 24)]


def test_what_is_too_long_is_counted(harness, models, folder):
    found = run_tasks(models[0], ["own_long"], include_path=folder)
    # Two of three documents, of four choices each.
    assert (found.requests, found.truncated) == (12, 8)


def test_examples_and_limits_make_it_another_question(harness, models, folder):
    plain, shots, fewer = (
        run_tasks(models[0], ["own_choice"], include_path=folder, **settings)
        for settings in ({"limit": 8}, {"limit": 8, "num_fewshot": 1}, {"limit": 4})
    )
    assert [value_of(each, "own_choice", "acc").n for each in (plain, shots, fewer)] == [8, 8, 4]
    assert [value_of(each, "own_choice", "acc").shots for each in (plain, shots, fewer)] == [0, 1, 0]
    for other in (shots, fewer):
        with pytest.raises(DataError, match="were not asked the same in own_choice"):
            compare_tasks(plain, other)


def test_an_answer_for_which_the_model_has_no_room_is_an_error(harness, models, folder):
    with pytest.raises(ModelError, match=r"max tokens to generate \(500\).*maximum sequence length \(128\)"):
        run_tasks(models[0], ["own_essay"], include_path=folder, limit=1)


@pytest.mark.parametrize("name", ["own_code", "own_coders"])
def test_a_task_that_runs_code_is_refused_before_any_of_it_is_imported(harness, models, folder, name):
    with pytest.raises(UsageError, match="Tasks that run code written by the model on this machine: own_code"):
        run_tasks(models[0], [name], include_path=folder)
    assert not (folder / "imported").exists()


def test_a_task_that_runs_code_is_taken_where_it_is_allowed(harness, models, folder):
    found = run_tasks(models[0], ["own_code"], include_path=folder, unsafe_code=True)
    assert value_of(found, "own_code", "acc").n == 6
    (folder / "imported").unlink()


def test_what_is_not_there(harness, models, folder, tmp_path):
    with pytest.raises(UsageError, match=r"'own_choise' is no task.*nor a readable one in .*Did you mean own_choice\?"):
        run_tasks(models[0], ["own_choise"], include_path=folder)
    with pytest.raises(DataError, match=r"Cannot load own_missing: .*nothing-of-this-name"):
        run_tasks(models[0], ["own_missing"], include_path=folder)
    with pytest.raises(UsageError, match="is no folder"):
        run_tasks(models[0], ["own_few"], include_path=tmp_path / "none")
    with pytest.raises(ModelError, match="Cannot load"):
        run_tasks(tmp_path, ["own_few"], include_path=folder)
    with pytest.raises(ModelError, match="Cannot load"):
        check_tasks([models[0], tmp_path / "typo"])
    check_tasks(models)


@pytest.mark.parametrize("settings", [{"limit": 0}, {"num_fewshot": -1}, {"batch_size": 0}])
def test_numbers_that_are_none(models, settings):
    with pytest.raises(UsageError, match="must be at least 1, 0 and 1"):
        run_tasks(models[0], ["mmlu"], **settings)
    with pytest.raises(UsageError, match="no tasks to run"):
        run_tasks(models[0], [])


def test_several_processes_would_each_answer_everything(harness, models, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(UsageError, match="2 processes were launched"):
        run_tasks(models[0], ["mmlu"])


def test_without_the_extra_it_says_what_to_install(models, monkeypatch):
    monkeypatch.setitem(sys.modules, "lm_eval", None)
    with pytest.raises(UsageError, match=r"pip install 'frft\[tasks\]'"):
        run_tasks(models[0], ["mmlu"])
    with pytest.raises(UsageError, match=r"pip install 'frft\[tasks\]'"):
        check_tasks(models)
