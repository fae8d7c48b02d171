"""Accuracies of mixtures, paired differences, and what the bootstrap resamples."""

from __future__ import annotations

import numpy as np
import pytest

from frft.errors import UsageError
from frft.fixed_actor import read_own_prompts_table
from frft.fixed_actor.own_prompts.run import HELD_OUT
from frft.fixed_actor.run import RESULTS
from frft.store import append_rows


def line(seed, fold, right, strategy="all", share=None, actor="a", weight=100.0, **more):
    return {
        "seed": seed, "fold": fold, "actor": actor, "weight": weight, "start": "scratch", "strategy": strategy,
        "share": share, "placebo": False, "pairs": 10, "samples": 6, "own_share": 0.5, "right": right,
        "selected_accuracy": None, "cut": {}, "seconds": 1.0, **more,
    }  # fmt: skip


def held_out(out, seeds, conversations, domains, folds=1):
    size = len(domains) // folds
    append_rows(
        out / HELD_OUT,
        [
            {
                "seed": seed, "fold": fold, "domains": domains[fold * size : (fold + 1) * size],
                "conversations": conversations[fold * size : (fold + 1) * size],
            }
            for seed in seeds
            for fold in range(folds)
        ],
    )  # fmt: skip


def test_a_mixture_is_weighted_and_differences_are_paired(tmp_path):
    held_out(tmp_path, [3], [0, 1, 2, 3, 4, 5], ["a", "b", "b", "a", "b", "b"], folds=2)
    append_rows(
        tmp_path / RESULTS,
        [
            row
            for weight in (100.0, 30.0)
            for row in (
                line(3, 0, "110", weight=weight),
                line(3, 1, "01t", weight=weight),
                line(3, 0, "111", "random", 25, weight=weight),
                line(3, 1, "111", "random", 25, weight=weight),
                line(3, 0, "100", "part1", 25, weight=weight),
                line(3, 1, "100", "part1", 25, weight=weight),
            )
        ],
    )
    table = read_own_prompts_table(tmp_path)
    assert (table.pairs, table.conversations, table.folds) == ({"a": 2, "b": 4}, {"a": 2, "b": 4}, 2)
    everything, random, part1 = table.actors["a"]
    assert [each.accuracy.mean for each in (everything, random, part1)] == [0.5, 1, 1]
    assert (random.over_random, random.over_all.mean, everything.over_all) == (None, 0.5, None)
    assert (part1.over_random.mean, part1.over_random.interval) == (0, (0, 0))
    everything, random, part1 = table.actors["30 % a"]
    # .3 of the accuracy on a (1 of 2), .7 of that on b (2.5 of 4).
    assert everything.accuracy.mean == pytest.approx(0.3 * 0.5 + 0.7 * 0.625)
    assert part1.over_random.mean == pytest.approx(-0.7)
    assert "| scratch | part1 | 25 % | 10 | 50.0 | 30.0 [" in table.markdown()
    assert table.as_dict()["actors"]["a"][0]["accuracy"]["mean"] == 0.5


def test_conversations_are_resampled_and_not_their_pairs(tmp_path):
    """Ten conversations of twenty pairs that are right or wrong together are ten observations, not two hundred."""
    conversations = np.repeat(np.arange(10), 20).tolist()
    held_out(tmp_path, [0], conversations, ["a"] * 200)
    append_rows(tmp_path / RESULTS, [line(0, 0, "".join("1" * 20 if n % 2 else "0" * 20 for n in range(10)))])
    low, high = read_own_prompts_table(tmp_path).actors["a"][0].accuracy.interval
    # The standard error of ten coins is .158; of two hundred, .035.
    assert 0.45 < high - low < 0.7


def test_what_texts_add_to_prompts_is_a_difference_of_equal_sizes(tmp_path):
    held_out(tmp_path, [0], [0, 1, 2, 3], ["a", "a", "a", "b"])
    rows = [
        line(0, 0, "1100", "density", 25),
        line(0, 0, "1000", "density_prompt", 25),
        line(0, 0, "1111", "density_prompt", 50),
    ]
    append_rows(tmp_path / RESULTS, rows)
    density, by_prompt, _ = read_own_prompts_table(tmp_path).actors["a"]
    assert density.over_prompts.mean == pytest.approx(1 / 3)
    assert (density.accuracy.n, by_prompt.over_prompts) == (3, None)


def test_seeds_are_resampled_too(tmp_path):
    held_out(tmp_path, [0, 1, 2, 3], list(range(400)), ["a"] * 400)
    append_rows(tmp_path / RESULTS, [line(seed, 0, ("1" if seed % 2 else "0") * 400) for seed in range(4)])
    low, high = read_own_prompts_table(tmp_path).actors["a"][0].accuracy.interval
    # Every pair has a mean of one half: all the spread is of the four seeds, two of which are right.
    assert high - low > 0.8


def test_the_interval_covers_the_truth(tmp_path):
    rng, covered = np.random.default_rng(0), 0
    conversations = np.repeat(np.arange(60), 2).tolist()
    for trial in range(100):
        out = tmp_path / str(trial)
        out.mkdir()
        held_out(out, [0], conversations, ["a"] * 120)
        chance = np.repeat(rng.beta(3, 2, 60), 2)
        append_rows(out / RESULTS, [line(0, 0, "".join("01"[int(each)] for each in rng.random(120) < chance))])
        low, high = read_own_prompts_table(out).actors["a"][0].accuracy.interval
        covered += low <= 0.6 <= high
    # .95 of 100, less three standard errors.
    assert covered >= 88


def test_actors_of_one_weight_have_a_mean(tmp_path):
    held_out(tmp_path, [0], [0, 1], ["a", "b"])
    append_rows(tmp_path / RESULTS, [line(0, 0, "10", actor="a"), line(0, 0, "11", actor="b")])
    table = read_own_prompts_table(tmp_path)
    assert {label: lines[0].accuracy.mean for label, lines in table.actors.items()} == {
        "a": 1, "b": 1, "mean of a, b": 1,
    }  # fmt: skip
    assert "Actor `a`, by 6 unlabelled completions:" in table.markdown()


def test_unfinished_seeds_are_left_out_and_counted(tmp_path):
    held_out(tmp_path, [0, 1], [0, 1], ["a", "a"], folds=2)
    append_rows(tmp_path / RESULTS, [line(0, 0, "1"), line(0, 1, "0"), line(1, 0, "1")])
    table = read_own_prompts_table(tmp_path)
    assert (table.seeds, table.left_out, table.actors["a"][0].accuracy.mean) == ([0], 1, 0.5)
    assert "Unfinished: 1 lines" in table.markdown()


def test_a_folder_without_a_finished_seed_has_no_table(tmp_path):
    with pytest.raises(UsageError, match="no finished seed"):
        read_own_prompts_table(tmp_path)


def test_a_placebo_has_the_accuracy_on_its_own_selection(tmp_path):
    held_out(tmp_path, [0], [0, 1], ["a", "a"])
    placebo = line(0, 0, "10", "part3", 25, placebo=True, selected_accuracy=0.875)
    append_rows(tmp_path / RESULTS, [line(0, 0, "11"), placebo])
    table = read_own_prompts_table(tmp_path)
    assert table.actors["a"][1].over_all is None
    assert "| part3 | 10 | 87.5 | 50.0 [" in table.markdown()
