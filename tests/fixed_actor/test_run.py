"""The benchmark as a whole, on a small pool: what is learned, what is written, and how it goes on."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace

import pytest

from frft.config.sections import FixedActorConfig
from frft.errors import ArtifactError, OutputError, UsageError
from frft.fixed_actor import named_actors, read_table, run_fixed_actor
from frft.fixed_actor.arms import BASE, GUESSES, HeadArm, arms_of
from frft.fixed_actor.run import RESULTS, read_results
from frft.store import append_rows, read_sealed, write_json
from frft.store.chained import is_chained

SMALL = FixedActorConfig(
    seeds=1, strategies=["part1", "part4", "density"], sizes=[30], steps=40, continue_steps=10, batch_size=16
)


@pytest.fixture(scope="module")
def actors(sourced_pairs):
    return named_actors(sourced_pairs, ["warm"])


def without_times(out):
    return [replace(line, seconds=0.0) for line in read_results(out)]


@pytest.fixture(scope="module")
def finished(sourced_pairs, actors, minilm_vectors, tmp_path_factory):
    out = tmp_path_factory.mktemp("finished")
    run_fixed_actor(sourced_pairs, actors, SMALL, minilm_vectors, out)
    return out


def test_there_is_a_line_for_every_arm(finished):
    rows = read_results(finished)
    assert [HeadArm.of(row) for row in rows] == list(arms_of(SMALL))
    by_arm = {HeadArm.of(row): row for row in rows}
    # 20 training prompts with 3 pairs each that do not hold the actor, and 3 that do; as many of those to test on.
    assert (by_arm[BASE].pairs, by_arm[HeadArm("continue", "oracle")].pairs) == (60, 60)
    assert {row.test_pairs for row in rows} == {60}
    assert {row.pairs for row in rows if row.size is not None} == {30}
    assert {row.selected_accuracy is not None for row in rows if row.placebo} == {True}
    assert {row.selected_accuracy is not None for row in rows if not row.placebo} == {False}


def test_the_oracle_learns_what_the_pool_cannot_teach(finished):
    # The pool never shows that the actor's style is the second best of four; its own pairs do.
    by_arm = {HeadArm.of(row): row for row in read_results(finished)}
    assert by_arm[HeadArm("scratch", "oracle")].accuracy > 0.95
    assert by_arm[HeadArm("scratch", "oracle")].accuracy > by_arm[BASE].accuracy


def test_a_line_has_the_balanced_accuracy_and_its_parts(finished):
    for row in read_results(finished):
        assert row.balanced_accuracy == (row.accuracy_chosen + row.accuracy_rejected) / 2
        # On every prompt the actor wins two pairs and loses one.
        assert row.accuracy == pytest.approx((2 * row.accuracy_chosen + row.accuracy_rejected) / 3)
        assert row.opponents == 3


def test_the_constants_are_right_where_the_majority_is(finished):
    by_arm = {HeadArm.of(row): row for row in read_results(finished)}
    constant, by_opponent = (by_arm[arm] for arm in GUESSES)
    assert (constant.accuracy, constant.balanced_accuracy) == (pytest.approx(2 / 3), 0.5)
    # Against each source, the actor always wins or always loses.
    assert (by_opponent.accuracy, by_opponent.balanced_accuracy) == (1, 1)


@pytest.mark.parametrize("kind", ["top", "full"])
def test_what_is_cut_is_in_every_line_also_after_a_stop(
    kind, sourced_pairs, actors, minilm_vectors, tiny_lm_folder, tmp_path
):
    backbone = {"backbone": str(tiny_lm_folder)} if kind == "full" else {}
    config = FixedActorConfig(
        train=kind, max_tokens=16, seeds=1, strategies=["random"], sizes=[20], starts=["continue"], steps=2,
        continue_steps=2, batch_size=8, **backbone,
    )  # fmt: skip
    run_fixed_actor(sourced_pairs, actors, config, minilm_vectors, tmp_path)
    rows = without_times(tmp_path)
    for row in rows:
        if HeadArm.of(row) in GUESSES:
            assert row.cut == {}
        else:
            assert row.cut["sequences"] == 2 * row.pairs
            assert row.cut["truncated" if kind == "top" else "completions_truncated"] > 0
    (tmp_path / RESULTS).unlink()  # the models of all pairs stay
    run_fixed_actor(sourced_pairs, actors, config, minilm_vectors, tmp_path)
    assert [row.cut for row in without_times(tmp_path)] == [row.cut for row in rows]


def test_a_run_that_was_stopped_goes_on_to_the_same_lines(sourced_pairs, actors, minilm_vectors, finished, tmp_path):
    lines = (finished / RESULTS).read_bytes().splitlines(keepends=True)
    (tmp_path / "settings.json").write_bytes((finished / "settings.json").read_bytes())
    (tmp_path / RESULTS).write_bytes(b"".join(lines[:7]) + lines[7][:20])  # the eighth was cut off
    run_fixed_actor(sourced_pairs, actors, SMALL, minilm_vectors, tmp_path)
    assert without_times(tmp_path) == without_times(finished)


@pytest.mark.parametrize("name", [RESULTS, "settings.json", "models/seed-0-scratch.json", "models/seed-0-scratch/*.s*"])
def test_what_goes_on_is_verified(sourced_pairs, actors, minilm_vectors, finished, tmp_path, name):
    out = tmp_path / "out"
    shutil.copytree(finished, out)
    (out / RESULTS).write_bytes(b"".join((out / RESULTS).read_bytes().splitlines(keepends=True)[:4]))
    (path,) = out.glob(name)
    content = bytearray(path.read_bytes())
    # A digit of a figure, or the last weight.
    place = next((at for at in range(len(content) - 1) if content[at : at + 1].isdigit()), -1)
    place = -2 if path.suffix == ".safetensors" else place
    content[place] ^= 1
    path.write_bytes(content)
    with pytest.raises(ArtifactError) as caught:
        run_fixed_actor(sourced_pairs, actors, SMALL, minilm_vectors, out)
    assert str(path) in str(caught.value)
    if name == RESULTS:
        with pytest.raises(ArtifactError, match=r"results\.jsonl, line 1: damaged"):
            read_table(out)


def test_folders_from_before_there_were_digests_go_on(sourced_pairs, actors, minilm_vectors, finished, tmp_path):
    out = tmp_path / "out"
    shutil.copytree(finished, out)
    rows = [json.loads(line) for line in (out / RESULTS).read_text().splitlines()]
    (out / RESULTS).unlink()
    append_rows(out / RESULTS, [{name: value for name, value in row.items() if name != "digest"} for row in rows[:6]])
    for path in (out / "settings.json", *out.glob("models/*.json")):
        write_json(path, read_sealed(path))
    for path in out.glob("models/*/manifest.json"):
        path.unlink()
    run_fixed_actor(sourced_pairs, actors, SMALL, minilm_vectors, out)
    assert without_times(out) == without_times(finished)
    assert is_chained(out / RESULTS)


def test_more_can_be_asked_for_later(sourced_pairs, actors, minilm_vectors, tmp_path):
    first = SMALL.model_copy(update={"strategies": ["random"], "starts": ["continue"]})
    run_fixed_actor(sourced_pairs, actors, first, minilm_vectors, tmp_path)
    before = read_results(tmp_path)
    more = first.model_copy(update={"seeds": 2, "strategies": ["part1"]})
    run_fixed_actor(sourced_pairs, actors, more, minilm_vectors, tmp_path)
    after = read_results(tmp_path)
    assert after[: len(before)] == before
    assert len(after) == 2 * len(list(arms_of(more)))
    assert read_table(tmp_path).seeds == [0, 1]


def test_results_of_other_settings_are_not_mixed(sourced_pairs, actors, minilm_vectors, finished):
    other = SMALL.model_copy(update={"learning_rate": 0.1})
    with pytest.raises(OutputError, match="made with another learning_rate"):
        run_fixed_actor(sourced_pairs, actors, other, minilm_vectors, finished)
    with pytest.raises(OutputError, match="made with another actors"):
        run_fixed_actor(sourced_pairs, named_actors(sourced_pairs, ["dry"]), SMALL, minilm_vectors, finished)


def test_results_without_settings_are_not_trusted(sourced_pairs, actors, minilm_vectors, tmp_path):
    append_rows(tmp_path / RESULTS, [{}])
    with pytest.raises(OutputError, match=r"no settings\.json to say what the results were made with"):
        run_fixed_actor(sourced_pairs, actors, SMALL, minilm_vectors, tmp_path)


def test_a_size_that_the_pool_has_not_is_refused(sourced_pairs, actors, minilm_vectors, tmp_path):
    large = SMALL.model_copy(update={"sizes": [30, 61]})
    with pytest.raises(UsageError, match=r"--sizes asks for 61 pairs .* there are 60"):
        run_fixed_actor(sourced_pairs, actors, large, minilm_vectors, tmp_path)


def test_random_is_always_compared_with_and_all_pairs_are_always_there():
    arms = list(arms_of(FixedActorConfig(strategies=["part4"], sizes=[20, 10], starts=["continue"])))
    assert arms == [
        BASE,
        *GUESSES,
        HeadArm("continue", "all"),
        *(HeadArm("continue", strategy, size) for strategy in ("random", "part4") for size in (10, 20)),
        HeadArm("continue", "oracle"),
    ]


OWN = """
from frft.strategies import Strategy
STRATEGY = Strategy(name="{name}", description="", rank=lambda pool: range(len(pool)))
"""


def test_lines_of_a_strategy_of_ones_own_are_those_of_its_code(
    sourced_pairs, actors, minilm_vectors, install_package, tmp_path
):
    base = {"seeds": 1, "sizes": [20], "starts": ["scratch"], "steps": 2, "continue_steps": 2, "batch_size": 8}

    def run(*strategies):
        config = FixedActorConfig(strategies=strategies, **base)
        run_fixed_actor(sourced_pairs, actors, config, minilm_vectors, tmp_path)

    run("random")
    install_package("my_own", OWN.format(name="own"), "[frft.strategies]\nown = my_own:STRATEGY\n")
    run("own")
    lines = without_times(tmp_path)
    assert {line.strategy for line in lines} >= {"random", "own"}
    run("own")
    assert without_times(tmp_path) == lines
    install_package("my_own", OWN.format(name="own") + "#", "[frft.strategies]\nown = my_own:STRATEGY\n")
    run("random")
    with pytest.raises(OutputError, match="made with another strategy own"):
        run("own")


def test_a_strategy_that_is_called_like_an_arm_is_refused(
    sourced_pairs, actors, minilm_vectors, install_package, tmp_path
):
    install_package("my_own", OWN.format(name="oracle"), "[frft.strategies]\noracle = my_own:STRATEGY\n")
    with pytest.raises(UsageError, match="A strategy is named oracle, as an arm of this benchmark is"):
        run_fixed_actor(
            sourced_pairs, actors, FixedActorConfig(strategies=["oracle"]), minilm_vectors, tmp_path / "out"
        )
    assert not (tmp_path / "out").exists()
