"""Who is the actor, and that nothing of it is trained on that should not be."""

from __future__ import annotations

import pyarrow as pa
import pytest

from frft.errors import DataError, UsageError
from frft.fixed_actor.actors import FEWEST_PAIRS, divide, draw_actors, named_actors, written_actor


def test_an_actor_has_all_pairs_of_its_source_and_one_sample_a_prompt(sourced_pairs):
    (warm,) = named_actors(sourced_pairs, ["warm"])
    rows = [row for row in sourced_pairs.to_pylist() if "warm" in (row["chosen_source"], row["rejected_source"])]
    assert warm.own.to_pylist() == rows
    written = {(row["prompt"], row["chosen" if row["chosen_source"] == "warm" else "rejected"]) for row in rows}
    assert set(zip(warm.prompts, warm.completions, strict=True)) == written
    assert len(warm.prompts) == len(written) == 40


def test_sources_may_be_numbers(sourced_pairs):
    numbers = {name: n for n, name in enumerate(["plain", "warm", "dry", "bot"])}
    pairs = sourced_pairs
    for name in ("chosen_source", "rejected_source"):
        column = pa.array([numbers[source] for source in pairs[name].to_pylist()])
        pairs = pairs.set_column(pairs.column_names.index(name), name, column)
    (warm,), (one,) = named_actors(sourced_pairs, ["warm"]), named_actors(pairs, ["1"])
    assert (one.prompts, one.completions) == (warm.prompts, warm.completions)
    assert one.own["id"].equals(warm.own["id"])


def test_training_and_test_share_no_prompt_and_the_pool_holds_no_text_of_an_actor(sourced_pairs):
    actors = named_actors(sourced_pairs, ["warm", "dry"])
    division = divide(sourced_pairs, actors, seed=0)
    trained = set(division.pool["prompt"].to_pylist())
    assert len(trained) == 20
    rows = division.pool.to_pylist()
    assert {source for row in rows for source in (row["chosen_source"], row["rejected_source"])} == {"plain", "bot"}
    for name, share in division.shares.items():
        assert set(share.prompts) == set(share.own["prompt"].to_pylist()) == trained
        assert not trained & set(share.test["prompt"].to_pylist())
        assert share.own.num_rows + share.test.num_rows == 120
        assert all(name in (row["chosen_source"], row["rejected_source"]) for row in share.test.to_pylist())
    other = divide(sourced_pairs, actors, seed=1)
    assert set(other.pool["prompt"].to_pylist()) != trained


def test_pairs_that_hold_a_sample_leave_the_pool_whatever_their_source_is_called(sourced_pairs):
    (warm,) = named_actors(sourced_pairs, ["warm"])
    unnamed = sourced_pairs.drop_columns(["chosen_source", "rejected_source"])
    labelled = warm.own.set_column(0, "id", pa.array([f"own-{n}" for n in range(warm.own.num_rows)]))
    by_text = divide(unnamed, [written_actor("samples", warm.prompts, warm.completions, labelled)], seed=3)
    by_name = divide(sourced_pairs, [warm], seed=3)
    assert by_text.pool["id"].to_pylist() == by_name.pool["id"].to_pylist()


def test_sources_are_drawn_from_those_that_leave_a_pool(sourced_pairs):
    many = pa.concat_tables([sourced_pairs.filter(sourced_pairs["chosen_source"].to_numpy() == "plain")] * 20)
    rows = []
    for n in range(20):
        rows += [{**row, "rejected_source": f"source {n}"} for row in many.slice(0, FEWEST_PAIRS).to_pylist()]
    table = pa.Table.from_pylist([*rows, {**rows[0], "rejected_source": "rare"}])
    drawn = draw_actors(table, 6, 1)
    assert len(set(drawn)) == 6
    assert set(drawn) <= {f"source {n}" for n in range(20)}  # neither "plain", which is everywhere, nor "rare"
    assert draw_actors(table, 6, 1) == drawn != draw_actors(table, 6, 1, seed=1)


def test_sources_with_few_opponents_are_not_drawn(sourced_pairs):
    (row,) = sourced_pairs.slice(0, 1).to_pylist()
    rows = [{**row, "chosen_source": "duellist", "rejected_source": "star"}] * FEWEST_PAIRS
    rows += [{**row, "chosen_source": f"s{n % 4}", "rejected_source": "open"} for n in range(FEWEST_PAIRS)]
    rows += [{**row, "chosen_source": f"t{n}", "rejected_source": f"u{n}"} for n in range(2000)]
    table = pa.Table.from_pylist(rows)
    assert draw_actors(table, 1, 4) == ["open"]
    assert set(draw_actors(table, 3, 1)) == {"open", "duellist", "star"}
    with pytest.raises(
        DataError, match=r"3 of 4007 sources .* 0 of these have at least 5 opponents; 1 actors are wanted"
    ):
        draw_actors(table, 1, 5)


def test_no_actor_at_all_is_refused(sourced_pairs):
    with pytest.raises(UsageError, match="--actors 0"):
        draw_actors(sourced_pairs, 0, 1)


def test_pairs_without_sources_have_no_actor_to_be_named(sourced_pairs):
    with pytest.raises(DataError, match=r"no column 'chosen_source' and no column 'rejected_source'.*--samples"):
        named_actors(sourced_pairs.drop_columns(["chosen_source", "rejected_source"]), ["warm"])


def test_a_source_that_is_not_there_is_refused_with_those_that_are(sourced_pairs):
    with pytest.raises(UsageError, match=r"--actor wram: is no source.*warm"):
        named_actors(sourced_pairs, ["wram"])
    with pytest.raises(UsageError, match="warm: is given twice"):
        named_actors(sourced_pairs, ["warm", "warm"])


def test_too_few_sources_to_draw_from(sourced_pairs):
    with pytest.raises(DataError, match="0 of 4 sources"):
        draw_actors(sourced_pairs, 2, 1)


def test_actors_that_leave_no_pool(sourced_pairs):
    with pytest.raises(DataError, match="Name fewer actors"):
        divide(sourced_pairs, named_actors(sourced_pairs, ["plain", "warm", "dry"]), seed=0)


def test_an_actor_without_pairs_on_one_half(sourced_pairs):
    (warm,) = named_actors(sourced_pairs, ["warm"])
    with pytest.raises(DataError, match=r"The actor warm has no own (test )?pair on its half"):
        divide(sourced_pairs, [written_actor("warm", warm.prompts, warm.completions, warm.own.slice(0, 1))], seed=0)


@pytest.mark.parametrize(("name", "never"), [("plain", "rejected"), ("bot", "chosen")])
def test_an_actor_that_always_wins_or_always_loses_is_refused(sourced_pairs, name, never):
    with pytest.raises(
        DataError, match=f"In none of its 60 own test pairs is a completion of the actor {name} {never}"
    ):
        divide(sourced_pairs, named_actors(sourced_pairs, [name]), seed=0)
