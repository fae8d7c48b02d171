"""Runs with several seeds: which runs they are, what they share, and what they say together."""

from __future__ import annotations

import json

import numpy as np
import pytest
from scipy import stats

from frft.cli import main
from frft.config import load_config
from frft.errors import ConfigError, OutputError
from frft.experiment import interpret_seeds, seeds_columns, seeds_table
from frft.experiment.seeds import check_seeds_folder, read_seeds, seeds_in, summarise_seeds, with_seed
from frft.results import EvaluationInfo, RunResults, SeedsResults

from ..completed import completed


@pytest.mark.parametrize(
    ("overrides", "seeds"),
    [
        ([], [0]),
        (["seed=7"], [7]),
        (["seeds=3"], [0, 1, 2]),
        (["seeds=2", "seed=5"], [5, 6]),
        (["seeds=[0,7,9]"], [0, 7, 9]),
    ],
)
def test_the_seeds_of_a_configuration(overrides, seeds):
    assert load_config("demo", overrides).seed_list == seeds


def test_seeds_stand_in_a_file_too(tmp_path):
    (tmp_path / "mine.yaml").write_text("extends: demo\nseeds: [3, 4]\n")
    assert load_config(str(tmp_path / "mine.yaml")).seed_list == [3, 4]


@pytest.mark.parametrize(
    "value", ["1", "0", "-2", "[1]", "[1,1]", "[1,-1]", "many", "[1,true]", "true", "1.5", "100000"]
)
def test_what_is_no_number_of_seeds_is_refused_in_one_line(value):
    with pytest.raises(ConfigError) as refused:
        load_config("demo", [f"seeds={value}"])
    assert str(refused.value).startswith("command line: seeds: ")
    assert "\n" not in str(refused.value)


def test_a_list_of_seeds_and_a_seed_contradict_each_other():
    with pytest.raises(ConfigError, match=r"names all seeds; leave seed \(4\) out"):
        load_config("demo", ["seeds=[1,2]", "seed=4"])


def test_the_run_with_a_seed_is_that_of_the_same_command_with_this_seed():
    config = load_config("demo", ["seeds=3"])
    assert with_seed(config, 0) == load_config("demo")
    assert with_seed(config, 2) == load_config("demo", ["seed=2", "data.world.seed=2"])
    elsewhere = load_config("demo", ["seeds=3", "data.world.seed=10"])
    assert with_seed(elsewhere, 2) == load_config("demo", ["seed=2", "data.world.seed=12"])
    pairs = load_config("hh-small", ["data.pairs=x.jsonl", "seeds=2"])
    assert with_seed(pairs, 1) == load_config("hh-small", ["data.pairs=x.jsonl", "seed=1"])


def run_results(gold: dict[str, float], rate: float, *, on_policy: float | None = 0.5):
    """As much of the results of a run in a world as is summarise_seedsd."""

    def arm(name):
        return {
            "evaluation": {
                "gold": {"mean": gold[name]},
                "win_rate": None if name == "vanilla" else {"rate": rate},
                "kl_sft_k1": 2.0,
                "response_tokens": 20.0,
                "on_policy": {"accuracy": on_policy},
                "off_policy": {"gold": {"accuracy": 0.7}},
            },
            "refreshes": [],
        }

    found = {
        "judge": {"kind": "gold"},
        "arms": {name: arm(name) for name in gold},
        "seconds": 10.0,
        "peak_memory_bytes": 5,
    }
    return completed(RunResults, found)


GOLD = {
    "vanilla": [1.0, 0.2, 0.9, 0.4],
    "random": [1.1, 0.1, 1.3, 0.5],
    "frft": [1.5, 0.8, 1.4, 1.1],
    "labelled": [1.6, 0.9, 1.2, 1.3],
}


@pytest.fixture
def summary():
    config = load_config("demo", ["seeds=4"])
    runs = {
        seed: run_results({name: values[seed] for name, values in GOLD.items()}, 0.5 + seed / 10) for seed in range(4)
    }
    return summarise_seeds(config, runs, 1.0)


def test_intervals_are_students_over_seeds_and_differences_are_paired(summary):
    for name, values in GOLD.items():
        found = summary.arms[name]["gold"]
        assert found.values == values
        assert found.over_seeds.mean == pytest.approx(np.mean(values))
        low, high = stats.t.interval(0.95, 3, np.mean(values), stats.sem(values))
        assert found.over_seeds.interval == pytest.approx((low, high))
    less = np.subtract(GOLD["frft"], GOLD["vanilla"])
    paired = stats.ttest_rel(GOLD["frft"], GOLD["vanilla"]).confidence_interval(0.95)
    found = summary.arms["frft"]["gold"].less_vanilla
    assert found.mean == pytest.approx(less.mean())
    assert found.interval == pytest.approx((paired.low, paired.high))
    assert summary.arms["vanilla"]["gold"].less_vanilla is None
    assert summary.arms["frft"]["win_rate"].less_vanilla is None
    assert summary.arms["frft"]["win_rate"].values == pytest.approx([0.5, 0.6, 0.7, 0.8])
    assert "win_rate" not in summary.arms["vanilla"]


def test_what_is_written_is_what_is_read(summary):
    text = json.dumps(summary.as_dict(), allow_nan=False)
    assert SeedsResults.of(json.loads(text), "results.json") == summary


def test_a_figure_that_a_seed_has_not_is_left_out_and_counted():
    config = load_config("demo", ["seeds=3"])
    runs = {
        seed: run_results({name: float(seed) for name in GOLD}, 0.5, on_policy=None if seed == 1 else seed / 4)
        for seed in range(3)
    }
    found = summarise_seeds(config, runs, 1.0).arms["frft"]["on_policy"]
    assert found.values == [0.0, None, 0.5]
    assert (found.over_seeds.n, found.over_seeds.mean) == (2, 0.25)


def test_accuracy_in_each_domain_of_a_world_of_several(summary):
    def run(seed: int):
        found = run_results(dict.fromkeys(GOLD, 1.0), 0.5).as_dict()
        by_domain = {f"domain-{n}": {"gold": {"accuracy": 0.6 + n / 10 + seed / 100}} for n in (0, 1)}
        for each in (found["start"], *(arm["evaluation"] for arm in found["arms"].values())):
            each["by_domain"] = completed(EvaluationInfo, {"by_domain": by_domain}).as_dict()["by_domain"]
        return completed(RunResults, found)

    found = summarise_seeds(load_config("demo", ["seeds=2"]), {seed: run(seed) for seed in (0, 1)}, 1.0)
    assert found.arms["frft"]["by_domain.domain-1"].values == pytest.approx([0.7, 0.71])
    rows = {row[0]: dict(zip(seeds_columns(found), row, strict=True)) for row in seeds_table(found)}
    assert rows["frft"]["RM on domain-0"].startswith("60.5 ")
    assert not any("domain" in column for column in seeds_columns(summary))


def test_the_table_and_the_words(summary):
    rows = {row[0]: dict(zip(seeds_columns(summary), row, strict=True)) for row in seeds_table(summary)}
    assert rows["vanilla"]["less vanilla"] == rows["vanilla"]["win rate"] == "baseline"
    less = summary.arms["frft"]["gold"].less_vanilla
    assert rows["frft"]["less vanilla"] == f"{less.mean:+.2f} [{less.low:+.2f}, {less.high:+.2f}]"
    assert rows["frft"]["gold"].startswith("1.20 ± ")
    words = interpret_seeds(summary)
    assert words[0].startswith(
        "Over 4 seeds, the true reward of random is not shown to differ from vanilla's: +0.125 ["
    )
    assert words[1].startswith("Over 4 seeds, the true reward of frft is above vanilla's: +0.575 [")
    assert "seeds=8 goes on after these" in words[-1]


def test_a_folder_of_something_else_is_refused(tmp_path):
    config = load_config("demo", ["seeds=2"])
    check_seeds_folder(tmp_path / "new", config)
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="holds no runs with several seeds"):
        check_seeds_folder(tmp_path, config)
    with pytest.raises(OutputError, match="is a file"):
        check_seeds_folder(tmp_path / "file", config)


SMALL = [
    "workers=1",
    "arms.random=null",
    "arms.frft=null",
    "data.world.pool_size=200",
    "data.world.held_out_pairs=200",
    "data.world.demonstrations=64",
    "data.world.evaluation_prompts=24",
    "policy.scratch={vocab_size: 400, hidden_size: 16, num_hidden_layers: 1, num_attention_heads: 2}",
    "policy.sft.num_train_epochs=1",
    "reward.normalise_samples=16",
    "reward.train.max_steps=2",
    "ppo={total_steps: 2, rollout_batch_size: 8, mini_batch_size: 8, num_ppo_epochs: 1}",
    "ppo.sampling.max_new_tokens=8",
    "evaluation={max_prompts: 24}",
]


@pytest.fixture(scope="module")
def small_seeds(tmp_path_factory):
    """A run with two seeds and a store of its own; the folder of both."""
    root = tmp_path_factory.mktemp("seeds")
    command = ["run", "demo", *SMALL, "seeds=2", "--store", str(root / "store"), "--out", str(root / "out")]
    assert main(command) == 0
    return root


def stages_of(out, seed):
    return json.loads((out / "seeds" / str(seed) / "results.json").read_text())["stages"]


def test_each_seed_has_a_whole_run_and_the_folder_their_summary(small_seeds, capsys):
    out = small_seeds / "out"
    results = read_seeds(out)
    assert (results.seeds, results.runs) == ([0, 1], {"0": "seeds/0", "1": "seeds/1"})
    runs = [json.loads((out / "seeds" / str(seed) / "results.json").read_text()) for seed in (0, 1)]
    expected = [run["arms"]["vanilla"]["evaluation"]["gold"]["mean"] for run in runs]
    assert results.arms["vanilla"]["gold"].values == expected
    assert runs[0]["arms"] != runs[1]["arms"]
    assert {stage["stage"] for stage in stages_of(out, 0)}.isdisjoint(stage["stage"] for stage in stages_of(out, 1)), (
        "everything that is drawn at random depends on the seed"
    )
    assert main(["diagnose", str(out)]) == 2
    assert f"holds runs with the seeds 0, 1. Name the folder of one of them: frft diagnose {out / 'seeds' / '0'}" in (
        capsys.readouterr().err
    )


def test_a_single_run_finds_its_seed_in_the_store_and_is_the_same(small_seeds, capsys):
    store = ["--store", str(small_seeds / "store")]
    alone = small_seeds / "alone"
    command = ["run", "demo", *SMALL, "seed=1", "data.world.seed=1", *store, "--out", str(alone)]
    assert main([*command, "--dry-run", "--json"]) == 0
    assert all(stage["in_store"] for stage in json.loads(capsys.readouterr().out)["stages"])
    assert not alone.exists()
    assert main([*command, "--dry-run"]) == 0
    assert "in the store" in capsys.readouterr().out
    assert main(command) == 0
    assert "From the store: " in capsys.readouterr().out
    found, there = (
        json.loads((folder / "results.json").read_text()) for folder in (alone, small_seeds / "out" / "seeds" / "1")
    )
    assert all(stage["from_store"] and stage["reused"] for stage in found["stages"])
    assert found["arms"] == there["arms"]


def test_built_anew_without_a_store_the_figures_are_the_same(small_seeds):
    from ..e2e.comparison import everything_in

    cold = small_seeds / "cold"
    command = ["run", "demo", *SMALL, "seed=1", "data.world.seed=1", "--store", "none", "--out", str(cold)]
    assert main(command) == 0
    assert everything_in(cold) == everything_in(small_seeds / "out" / "seeds" / "1")


def test_more_seeds_go_on_after_those_that_are_there(small_seeds, capsys):
    command = ["run", "demo", *SMALL, "seeds=3", "--store", str(small_seeds / "store")]
    plan = [*command, "--out", str(small_seeds / "out"), "--dry-run"]
    assert main([*plan, "--json"]) == 0
    planned = json.loads(capsys.readouterr().out)
    assert list(planned["seeds"]) == ["0", "1", "2"]
    assert [all(stage["done"] for stage in stages) for stages in planned["seeds"].values()] == [True, True, False]
    left = sum(stage["seconds"] for stage in planned["seeds"]["2"])
    assert planned["seconds"] == pytest.approx(left, abs=0.5)
    assert main(plan) == 0
    assert f"{sum(map(len, planned['seeds'].values()))} stages" in capsys.readouterr().out
    with pytest.raises(OutputError, match=r"holds runs of another configuration \(ppo\.learning_rate"):
        check_seeds_folder(small_seeds / "out", load_config("demo", [*SMALL, "seeds=2", "ppo.learning_rate=1e-5"]))
    assert seeds_in(small_seeds / "out") == [0, 1]


def test_a_judge_that_only_compares_decides_by_its_win_rates():
    config = load_config("hh-small", ["data.pairs=x.jsonl", "seeds=3", "evaluation.judge=openai:m"])

    def run(rate):
        arms = {
            name: {
                "evaluation": {
                    "judge_score": None,
                    "win_rate": None if name == "vanilla" else {"rate": rate},
                    "kl_sft_k1": 2.0,
                    "response_tokens": 20.0,
                    "has_eos": 1.0,
                },
                "refreshes": [],
            }
            for name in config.arms
        }
        base = {"held_out": {"accuracy": 0.6}}
        judge = {"kind": "named", "name": "openai:m"}
        return completed(RunResults, {"judge": judge, "base_reward": base, "arms": arms})

    rates = [0.6, 0.7, 0.8]
    found = summarise_seeds(config, {seed: run(rate) for seed, rate in enumerate(rates)}, 1.0)
    assert "judge" not in seeds_columns(found)
    rows = {row[0]: dict(zip(seeds_columns(found), row, strict=True)) for row in seeds_table(found)}
    low, high = stats.t.interval(0.95, 2, 0.7 - 0.5, stats.sem(rates))
    assert rows["part1"]["less vanilla"] == f"+0.20 [{low:+.2f}, {high:+.2f}]"
    assert rows["vanilla"]["less vanilla"] == "baseline"
    assert interpret_seeds(found)[0].startswith(
        "Over 3 seeds, the win rate of random is not shown to differ from vanilla's"
    )
