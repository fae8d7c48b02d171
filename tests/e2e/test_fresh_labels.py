"""Runs whose refreshes ask for labels: of the gold reward, and of people, for whom a run waits."""

from __future__ import annotations

import json

import pytest
import yaml

from frft.cli import main
from frft.labels import open_queue
from frft.results import RunResults
from frft.store import read_json

SETTINGS = """
data:
  world:
    {lambda_: 2, near_lambda: 0, categories: 4, pool_size: 120, demonstrations: 60, evaluation_prompts: 30,
     held_out_pairs: 60}
policy:
  scratch:
    {vocab_size: 600, hidden_size: 32, num_hidden_layers: 1, num_attention_heads: 2, max_position_embeddings: 160}
  sft: {max_steps: 4, max_length: 128}
reward: {train: {max_length: 128, max_steps: 4, learning_rate: 1.0e-3}, normalise_samples: 32}
ppo:
  total_steps: 3
  rollout_batch_size: 8
  mini_batch_size: 8
  num_ppo_epochs: 1
  sampling: {max_prompt_tokens: 64, max_new_tokens: 12}
refresh: {alpha: 2, max_steps: 3, selection: {strategy: random, size: 20, test_size: 0}}
arms:
  vanilla: {alpha: 0}
  people: {alpha: 1, at_steps: [1], selection: {strategy: none}, labels: {from: queue, budget: 6}}
  judged: {replay: 0.3, labels: {from: gold, budget: 20, noise: 0.1, error: 0.1, share: 0.5}}
  self: {alpha: 1, at_steps: [1], selection: {strategy: none}, replay: 0,
         labels: {from: self, budget: 8, pick: gap, quantile: 1, max_candidates: 30}}
evaluation: {max_prompts: 10}
"""


def run(folder, workers: int) -> int:
    (folder / "labels.yaml").write_text(yaml.safe_dump({**yaml.safe_load(SETTINGS), "workers": workers}))
    return main(["run", str(folder / "labels.yaml"), "--out", str(folder / "out")])


@pytest.mark.parametrize("workers", [1, 2])
def test_a_run_waits_for_people_while_other_arms_are_trained(tmp_path, monkeypatch, capsys, workers):
    monkeypatch.setenv("FRFT_STORE", "none")
    monkeypatch.setenv("COLUMNS", "80")
    assert run(tmp_path, workers) == 75
    said = capsys.readouterr().err
    (file,) = (tmp_path / "out" / "labels").glob("*.jsonl")
    assert f"6 of 6 questions in {file} wait for an answer" in " ".join(said.split()).replace("/ ", "/")
    made = {path.name for path in (tmp_path / "out" / "stages").iterdir()}
    assert sum(name.startswith("labels-") for name in made) >= 2, "those of the other arm, which has gone on"
    assert not (tmp_path / "out" / "results.json").exists()

    with open_queue(file) as queue:
        assert {question.step for question in queue.questions.values()} == {1}
        for number, question in enumerate(list(queue.questions.values())):
            queue.answer(question.id, "tie" if number == 5 else "left", "ann")
            if number in (1, 2):
                queue.answer(question.id, "skip" if number == 2 else "left", "bob")
    assert run(tmp_path, workers) == 0
    results = RunResults.read(tmp_path / "out" / "results.json")
    (of_people,) = results.arms["people"].labels
    assert (of_people.asked, of_people.train, of_people.left_out) == (6, 6, {"tie": 1, "skip": 1})
    assert list(of_people.labellers) == ["ann", "bob"]
    (refresh,) = results.arms["people"].refreshes
    assert refresh.reward_model.training.pairs == 6

    (of_itself,) = results.arms["self"].labels
    assert (of_itself.labeller, of_itself.train, of_itself.left_out) == ("self", 8, {})
    assert results.arms["self"].asked == 0, "nobody was asked"
    first, second = results.arms["judged"].labels
    assert first.asked == second.asked == 20
    model = results.arms["judged"].refreshes[1].reward_model
    assert model.fresh is not None
    assert model.fresh.distinct == first.train + second.train
    assert model.fresh.errors == {"gold, right on 90%": 0.1}
    said = " ".join(capsys.readouterr().out.split())
    assert "Arm people asked for 6 labels by ann and bob, who gave 8 answers: 6 to train on, 1 ties, 1 skipped." in said
    assert "Arm judged asked for 40 labels by gold, right on 90%:" in said
    # Nothing is left out of what JSON holds.
    assert "labels" not in read_json(tmp_path / "out" / "results.json")["arms"]["vanilla"]


def test_a_budget_in_tokens_is_refused_at_once_for_a_judge_that_counts_none(tmp_path, capsys):
    pairs = tmp_path / "pairs.jsonl"
    pairs.write_text(json.dumps({"prompt": "p", "chosen": " a", "rejected": " b"}) + "\n")
    labels = {"from": "judge", "judge": f"annotations:{pairs}", "budget": 6, "budget_tokens": 100}
    judged = {"alpha": 1, "at_steps": [1], "selection": {"strategy": "none"}, "labels": labels}
    settings = {**yaml.safe_load(SETTINGS), "workers": 1, "arms": {"vanilla": {"alpha": 0}, "judged": judged}}
    (tmp_path / "run.yaml").write_text(yaml.safe_dump(settings))
    assert main(["run", str(tmp_path / "run.yaml"), "--out", str(tmp_path / "out")]) == 2
    said = " ".join(capsys.readouterr().err.split())
    assert "The budget is in tokens, and annotations:" in said
    assert said.endswith("does not say how much an answer takes. Give a budget in labels.")
    assert not list((tmp_path / "out").glob("stages/sft-*"))
