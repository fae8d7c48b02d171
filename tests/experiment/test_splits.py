"""Whole conversations are dealt out, and every row lands once."""

from __future__ import annotations

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from frft.config.sections import DataConfig, WorldConfig
from frft.conversation import opening, render_dialogue
from frft.errors import DataError
from frft.experiment import split, world_splits
from frft.worlds import World


def pairs(conversations: int, turns: int = 2) -> pa.Table:
    rows = []
    for number in range(conversations):
        prompt = f"\n\nHuman: Question {number}\n\nAssistant:"
        for turn in range(turns):
            rows.append({"id": f"{number}-{turn}", "prompt": prompt, "chosen": " a", "rejected": " b"})
            prompt += f" Answer {turn}\n\nHuman: And then?\n\nAssistant:"
    return pa.Table.from_pylist(rows)


@given(st.integers(8, 60), st.integers(1, 3), st.integers(0, 5))
@settings(max_examples=30, deadline=None)
def test_every_row_has_one_purpose_and_conversations_stay_together(conversations, turns, seed):
    table = pairs(conversations, turns)
    splits = split(table, DataConfig(pairs="x", judge_fraction=0.25, evaluation_fraction=0.2), seed)
    parts = [set(part["id"].to_pylist()) for part in (splits.judge, splits.evaluation, splits.pool)]
    assert sum(len(part) for part in parts) == table.num_rows
    assert set().union(*parts) == set(table["id"].to_pylist())
    conversations_of = [{row_id.split("-")[0] for row_id in part} for part in parts]
    assert not conversations_of[0] & conversations_of[1]
    assert not conversations_of[0] & conversations_of[2]
    assert not conversations_of[1] & conversations_of[2]
    assert set(splits.sft["id"].to_pylist()) <= parts[2]
    assert set(splits.prompts) == set(splits.pool["prompt"].to_pylist())


def test_the_shares_are_those_of_the_configuration():
    config = DataConfig(pairs="x", judge_fraction=0.3, evaluation_fraction=0.2, sft_fraction=0.5)
    counts = split(pairs(100, 1), config, seed=0).counts()
    assert counts == {"judge": 30, "evaluation": 20, "pool": 50, "sft": 25, "prompts": 50}


def test_the_seed_decides_and_the_order_of_rows_does_not():
    table, config = pairs(40), DataConfig(pairs="x")
    judge = set(split(table, config, 0).judge["id"].to_pylist())
    shuffled = table.take(list(reversed(range(table.num_rows))))
    assert set(split(shuffled, config, 0).judge["id"].to_pylist()) == judge
    assert set(split(table, config, 1).judge["id"].to_pylist()) != judge


def test_too_little_data_for_a_purpose_is_an_error():
    with pytest.raises(DataError, match="leave none for the purpose 'evaluation'"):
        split(pairs(3), DataConfig(pairs="x", evaluation_fraction=0.1), 0)


def test_a_plain_prompt_is_its_own_conversation():
    assert opening("Write a poem") == "Human: Write a poem"
    assert opening("\n\nHuman: Hi\n\nAssistant: Hello\n\nHuman: Bye\n\nAssistant:") == "Human: Hi"


@given(st.integers(0, 5))
@settings(max_examples=6, deadline=None)
def test_a_question_as_text_and_as_messages_is_one_conversation(seed):
    asked = [f"Question {number}" for number in range(40)]
    prompts = [[{"role": "user", "content": text}] for text in asked]
    with_system = [[{"role": "system", "content": "Be kind."}, *turns] for turns in prompts]
    forms = [asked, [render_dialogue(turns) for turns in prompts], [render_dialogue(turns) for turns in with_system]]
    rows = [
        {"id": f"{number}-{form}", "prompt": prompt, "chosen": " a", "rejected": " b"}
        for form, column in enumerate(forms)
        for number, prompt in enumerate(column)
    ]
    splits = split(
        pa.Table.from_pylist(rows), DataConfig(pairs="x", judge_fraction=0.25, evaluation_fraction=0.25), seed
    )
    parts = [
        {row.split("-")[0] for row in part["id"].to_pylist()} for part in (splits.judge, splits.evaluation, splits.pool)
    ]
    assert sum(map(len, parts)) == len(asked)


def test_a_world_deals_out_rows_that_share_no_request():
    world = World(WorldConfig(pool_size=700, demonstrations=60, evaluation_prompts=20))
    splits = world_splits(world)
    assert splits.counts() == {
        "judge": 0,
        "evaluation": 1000,
        "pool": 700,
        "sft": 60,
        "prompts": len(set(splits.pool["prompt"].to_pylist())),
    }
    assert splits.pool.equals(world.pairs(0, 700))
    assert splits.sft["chosen"].to_pylist() == world.demonstrations(0, 60)["completion"].to_pylist()
    purposes = [set(table["prompt"].to_pylist()) for table in (splits.pool, splits.evaluation, splits.sft)]
    assert not purposes[0] & purposes[1]
    assert not purposes[0] & purposes[2]
    assert not purposes[1] & purposes[2]
    assert set(splits.prompts) == purposes[0]


def test_held_out_pairs_of_a_world_say_which_ask_for_the_same():
    splits = world_splits(World(WorldConfig(pool_size=10, demonstrations=10, categories=6)))
    rows = splits.evaluation.to_pylist()
    requests, prompts = ({row[name] for row in rows} for name in ("request", "prompt"))
    # Six categories make 131 requests for evaluation.
    assert 0 < len(requests) <= 131 < len(prompts)
    assert len({(row["request"], row["prompt"]) for row in rows}) == len(prompts)


def test_a_world_has_held_out_pairs_for_as_many_prompts_as_it_is_asked_for():
    world = World(WorldConfig(pool_size=10, demonstrations=10, evaluation_prompts=1200))
    assert world_splits(world).evaluation.num_rows == 1200


def test_a_world_has_as_many_held_out_pairs_as_it_is_told():
    world = World(WorldConfig(pool_size=10, demonstrations=10, evaluation_prompts=20, held_out_pairs=70))
    splits = world_splits(world, gate=True)
    assert (splits.evaluation.num_rows, splits.gate.num_rows) == (70, 70)
    # The same pairs as of a larger set, from its beginning.
    whole = world_splits(World(world.config.model_copy(update={"held_out_pairs": 100})), gate=True)
    assert splits.evaluation.equals(whole.evaluation.slice(0, 70))


def test_a_world_of_several_domains_has_held_out_pairs_of_each():
    few = {"pool_size": 60, "demonstrations": 10, "evaluation_prompts": 20, "held_out_pairs": 70}
    world = World(WorldConfig(domains=2, **few))
    splits = world_splits(world)
    assert {name: set(table["domain"].to_pylist()) for name, table in splits.by_domain.items()} == {
        name: {name} for name in world.domains
    }
    # The policy is on the first domain alone, and so are the held-out pairs like its prompts.
    assert splits.by_domain["domain-0"].equals(splits.evaluation)
    trained = {*world.request_ids(splits.pool["prompt"].to_pylist()), *world.request_ids(splits.prompts)}
    assert not trained & {each for table in splits.by_domain.values() for each in table["request"].to_pylist()}
    assert not world_splits(World(WorldConfig(**few))).by_domain


def test_a_gate_has_conversations_of_its_own_half_of_those_for_evaluation():
    config = DataConfig(pairs="x", judge_fraction=0.3, evaluation_fraction=0.2)
    without, with_gate = (split(pairs(100), config, 0, gate=gate) for gate in (False, True))
    ids = {name: set(getattr(with_gate, name)["id"].to_pylist()) for name in ("judge", "evaluation", "gate", "pool")}
    assert sum(map(len, ids.values())) == len(set().union(*ids.values())) == 200
    assert with_gate.counts()["gate"] == with_gate.counts()["evaluation"] == 20
    assert ids["evaluation"] | ids["gate"] == set(without.evaluation["id"].to_pylist())
    openings = {name: {row.split("-")[0] for row in rows} for name, rows in ids.items()}
    assert not openings["gate"] & (openings["evaluation"] | openings["pool"] | openings["judge"])
    assert without.gate.num_rows == 0
    with pytest.raises(DataError, match="leave none for the purpose 'gate'"):
        split(pairs(8), DataConfig(pairs="x", judge_fraction=0.25, evaluation_fraction=0.125), 0, gate=True)


def test_a_judge_and_a_gate_in_a_world_share_no_request_with_anything_that_trains_or_examines():
    world = World(WorldConfig(pool_size=300, demonstrations=50, evaluation_prompts=50, categories=6))
    splits = world_splits(world, 120, gate=True)
    asked = {
        name: set(world.request_ids(getattr(splits, name)["prompt"].to_pylist()))
        for name in ("judge", "gate", "evaluation", "pool", "sft")
    }
    for name in ("judge", "gate"):
        assert not asked[name] & (asked["evaluation"] | asked["pool"] | asked["sft"])
    assert splits.judge.num_rows == 120
    assert not set(splits.judge["id"].to_pylist()) & set(splits.gate["id"].to_pylist())
    assert splits.gate["request"].to_pylist() == world.request_ids(splits.gate["prompt"].to_pylist())
    assert (world_splits(world).judge.num_rows, world_splits(world).gate.num_rows) == (0, 0)
