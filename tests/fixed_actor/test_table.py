"""Means, paired differences and intervals."""

from __future__ import annotations

import numpy as np
import pytest

from frft.errors import OutputError, UsageError
from frft.fixed_actor.run import RESULTS
from frft.fixed_actor.table import read_table
from frft.statistics import crossed_estimate
from frft.store import append_rows


@pytest.mark.parametrize("deviations", [(1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0), (0.5, 1.0, 0.7)])
def test_the_interval_covers_the_truth_whatever_varies(deviations):
    of_actor, of_seed, of_both = deviations
    rng = np.random.default_rng(0)
    covered = 0
    for _ in range(1000):
        values_AS = (
            of_actor * rng.normal(size=(8, 1)) + of_seed * rng.normal(size=(1, 5)) + of_both * rng.normal(size=(8, 5))
        )
        low, high = crossed_estimate(values_AS).interval
        covered += low <= 0 <= high
    # Below 95 % by what chance allows in 1,000 trials; above, because degrees of freedom have a floor.
    assert covered >= 930


def test_one_seed_has_students_interval_over_actors():
    from scipy import stats

    values = np.array([[0.7], [0.75], [0.72], [0.8]])
    expected = stats.ttest_1samp(values[:, 0], 0).confidence_interval()
    assert crossed_estimate(values).interval == pytest.approx((expected.low, expected.high))


def test_one_value_has_no_interval_and_equal_ones_an_empty_one():
    assert crossed_estimate(np.array([[0.7]])).interval is None
    assert crossed_estimate(np.full((3, 2), 0.75)).interval == (0.75, 0.75)


def line(actor, seed, accuracy, start="scratch", strategy="all", size=None, placebo=False, selected=None, opponents=7):
    return {
        "seed": seed, "actor": actor, "start": start, "strategy": strategy, "size": size, "placebo": placebo,
        "pairs": size or 900, "test_pairs": 50, "opponents": opponents, "balanced_accuracy": accuracy,
        "accuracy": accuracy + 0.05, "accuracy_chosen": accuracy + 0.1, "accuracy_rejected": accuracy - 0.1,
        "log_loss": 0.6, "selected_accuracy": selected, "cut": {}, "seconds": 1.0,
    }  # fmt: skip


def test_differences_are_paired_by_actor_and_seed(tmp_path):
    for actor, base in (("a", 0.6), ("b", 0.9)):
        for seed in range(3):
            accuracy = base + 0.01 * seed
            append_rows(
                tmp_path / RESULTS,
                [
                    line(actor, seed, accuracy),
                    line(actor, seed, accuracy - 0.02, "continue"),
                    line(actor, seed, accuracy - 0.03, "continue", "random", 10),
                    line(actor, seed, accuracy + 0.01, "continue", "part1", 10),
                    line(actor, seed, 0.5, "scratch", "part1", 10, placebo=True, selected=0.9),
                ],
            )
    base, continued, random, part1, placebo = read_table(tmp_path).lines
    assert (base.balanced.mean, base.accuracy.mean) == pytest.approx((0.76, 0.81))
    assert (base.over_random, base.over_all, base.over_continued) == (None, None, None)
    assert continued.over_all.mean == pytest.approx(-0.02)
    assert random.over_random is None
    for estimate, gain in ((part1.over_random, 0.04), (part1.over_all, 0.01), (part1.over_continued, 0.03)):
        assert (estimate.mean, *estimate.interval) == pytest.approx((gain, gain, gain))
    assert placebo.selected.mean == pytest.approx(0.9)
    assert placebo.over_all is None
    page = read_table(tmp_path).markdown()
    assert "| continue | part1 | 10 | 77.0 [" in page
    assert "| part1 | 10 | 90.0 [90.0, 90.0] | 50.0 [50.0, 50.0] |" in page


def test_seeds_that_are_not_finished_are_left_out_and_counted(tmp_path):
    rows = [line("a", 0, 0.5), line("b", 0, 0.7), line("a", 1, 0.9)]
    append_rows(tmp_path / RESULTS, rows)
    table = read_table(tmp_path)
    assert (table.seeds, table.left_out, table.lines[0].balanced.mean) == ([0], 1, pytest.approx(0.6))
    assert "Unfinished: 1 lines" in table.markdown()


def test_a_folder_without_a_finished_seed_has_no_table(tmp_path):
    with pytest.raises(UsageError, match="no finished seed"):
        read_table(tmp_path)


def test_names_are_no_markup(tmp_path):
    append_rows(tmp_path / RESULTS, [line("`<b>\n", 0, 0.5)])
    assert "1 actors (`'<b>\\n` against 7 sources)" in read_table(tmp_path).markdown()


def test_constants_have_no_start_and_unnamed_opponents_no_number(tmp_path):
    rows = [line("a", 0, 0.7, opponents=None), line("a", 0, 0.5, strategy="constant", opponents=None)]
    append_rows(tmp_path / RESULTS, rows)
    page = read_table(tmp_path).markdown()
    assert "| – | constant | 900 | 50.0 | 55.0 | – | -20.0 | – |" in page
    assert "1 actors (`a`), 1 seeds" in page


def test_lines_of_an_earlier_version_are_refused(tmp_path):
    older = line("a", 0, 0.7)
    del older["balanced_accuracy"]
    append_rows(tmp_path / RESULTS, [older])
    with pytest.raises(OutputError, match=r"balanced_accuracy: Field required\. Another version of frft wrote it"):
        read_table(tmp_path)
