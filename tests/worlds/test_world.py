"""A world as a whole: determinism, dials, and the judge that knows the truth."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from scipy.special import expit
from scipy.stats import chi2_contingency

from frft.config.sections import WorldConfig
from frft.errors import ArtifactError, ConfigError, RewardError, UsageError
from frft.worlds import World
from frft.worlds.lexicon import FOREIGN, STYLE_NAMES, TOKEN
from frft.worlds.requests import SHARES, read_prompts
from frft.worlds.world import CHUNK

NUMBER = 6000


def world(**dials):
    return World(WorldConfig(**dials))


def gold_steps(made, table):
    return made.gold(table["prompt"], table["chosen"]) - made.gold(table["prompt"], table["rejected"])


@pytest.fixture(scope="module")
def default():
    return World()


def test_rows_are_the_same_in_whatever_portions(default):
    whole = default.pairs(0, CHUNK + 20)
    assert whole.num_rows == CHUNK + 20
    for start, stop in ((0, 1), (7, 40), (CHUNK - 3, CHUNK + 4)):
        assert World().pairs(start, stop).equals(whole.slice(start, stop - start).combine_chunks())
    assert default.prompts(3, 9) == World().prompts(0, 20)[3:9]
    assert World().demonstrations(5, 9).equals(default.demonstrations(0, 30).slice(5, 4))


def test_another_process_makes_the_same_world(default):
    code = """if True:
        import json
        from frft.worlds import World
        print(json.dumps([World().pairs(100, 300).to_pylist(), World().demonstrations(0, 50).to_pylist()]))"""
    environment = {**os.environ, "PYTHONHASHSEED": "123"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    assert json.loads(done.stdout) == [default.pairs(100, 300).to_pylist(), default.demonstrations(0, 50).to_pylist()]


def test_the_default_world_stays_what_it_is(default):
    # Whoever changes a word, a draw or a weight changes all results that were ever published: on purpose only.
    text = json.dumps([default.pairs(0, 2000).to_pylist(), default.demonstrations(0, 500).to_pylist()])
    assert hashlib.sha256(text.encode()).hexdigest()[:16] == "9111b528cf60d5fe"


GOLDEN = [
    ({}, "169fc079215a5b2a", "b056f2215a2cf551"),
    ({"categories": 6, "lambda_": 2.0, "near_lambda": 0.0, "seed": 3}, "6234856e5b6156cd", "0c4338ad5d0fa7a3"),
    (
        {"sources": 7, "annotators": 4, "kappa": 0.3, "pairs_within_source": False, "drift": 0.3, "anti_gold": True,
         "near_policy": 2, "seed": 11},
        "c3c3c68617e43f34", "738abbd5bd23962c",
    ),
]  # fmt: skip
"""Digests of rows and of rewards, taken before there were domains."""


@pytest.mark.parametrize(("dials", "rows", "rewards"), GOLDEN)
def test_worlds_of_one_domain_stay_what_they_were(dials, rows, rewards):
    def digest(value):
        return hashlib.sha256(json.dumps(value).encode()).hexdigest()[:16]

    made = world(**dials)
    tables = [made.pairs(0, 1200), made.pairs(0, 200, "evaluation"), made.demonstrations(0, 300)]
    assert digest([*(table.to_pylist() for table in tables), made.prompts(0, 200)]) == rows
    pairs = made.pairs(0, 500)
    found = [made.gold(pairs["prompt"], pairs["chosen"]), made.utility(pairs["prompt"], pairs["rejected"], 2)]
    assert digest([np.round(each, 9).tolist() for each in found]) == rewards


def test_rows_are_whole(default):
    table = default.pairs(0, NUMBER)
    assert table.column_names == ["id", "prompt", "chosen", "rejected", "chosen_source", "rejected_source", "annotator"]
    assert len(set(table["id"].to_pylist())) == NUMBER
    assert not any(row["chosen"].strip() == row["rejected"].strip() for row in table.slice(0, 2000).to_pylist())
    assert table["chosen_source"].equals(table["rejected_source"])
    assert table["prompt"].null_count == 0
    assert len(set(table["prompt"].to_pylist())) > 0.99 * NUMBER


def test_two_equal_completions_are_drawn_again(default):
    made = World()
    made.sources = replace(
        made.sources, styles=made.sources.styles * 0, quality=made.sources.quality * 0 + [1, 0, 0, 0, 0]
    )
    drafts = made.drafts(np.arange(60_000))
    first = made.sources.write(drafts.requests, drafts.sources[0], made._stream("completions", "pool", 0), drafts.rows)
    second = made.sources.write(drafts.requests, drafts.sources[1], made._stream("completions", "pool", 1), drafts.rows)
    equal = np.array([a == b for a, b in zip(first.to_pylist(), second.to_pylist(), strict=True)])
    assert equal.sum() > 3
    pairs = zip(*(texts.to_pylist() for texts in drafts.completions), strict=True)
    assert not any(one == other for one, other in pairs)
    assert (drafts.completions[0].equals(first), drafts.completions[1].equals(second)) == (True, False)


def test_purposes_share_no_request(default):
    seen = {}
    for purpose in SHARES:
        requests = read_prompts(default.prompts(0, 4000, purpose))
        columns = np.sort(requests.asked, axis=1).tolist(), requests.forbidden.tolist(), requests.short.tolist()
        seen[purpose] = {(tuple(asked), forbidden, short) for asked, forbidden, short in zip(*columns, strict=True)}
    assert len(set.union(*seen.values())) == sum(map(len, seen.values()))
    written = set(default.demonstrations(0, 4000)["prompt"].to_pylist())
    assert written == set(default.prompts(0, 4000, "demonstrations"))


def test_held_out_pairs_are_on_the_prompts_of_their_purpose(default):
    assert default.pairs(0, 50, "evaluation")["prompt"].to_pylist() == default.prompts(0, 50, "evaluation")


def test_every_word_is_in_the_vocabulary(default):
    texts = [text for purpose in SHARES for text in default.prompts(0, 1500, purpose)]
    table = world(drift=0.5, sources=12).demonstrations(0, 500)
    words = {token for text in [*texts, *table["completion"].to_pylist()] for token in TOKEN.findall(text)}
    assert words <= set(default.vocabulary)
    assert len(default.vocabulary) == len(set(default.vocabulary)) < 400


def contingency(made):
    table = made.pairs(0, NUMBER)
    sources, annotators = (
        np.unique(table[name].to_pylist(), return_inverse=True)[1] for name in ("chosen_source", "annotator")
    )
    counts = np.zeros((sources.max() + 1, annotators.max() + 1))
    np.add.at(counts, (sources, annotators), 1)
    return counts


def test_kappa_1_couples_and_kappa_0_does_not(default):
    assert ((contingency(default) > 0).sum(axis=1) == 1).all()
    assert chi2_contingency(contingency(world(kappa=0.0))).pvalue > 1e-3
    assert chi2_contingency(contingency(world(kappa=0.3))).pvalue < 1e-9


@pytest.mark.parametrize("temperature", [0.5, 1.0])
def test_without_bias_labels_agree_with_gold_as_often_as_noise_allows(temperature):
    made = world(lambda_=0.0, temperature=temperature)
    steps = gold_steps(made, made.pairs(0, NUMBER))
    differing = steps[steps != 0]
    chance = expit(np.abs(differing) / temperature)
    error = np.sqrt((chance * (1 - chance)).sum()) / len(differing)
    assert abs((differing > 0).mean() - chance.mean()) < 4 * error


def test_labels_of_biased_annotators_follow_their_utilities(default):
    table = default.pairs(0, NUMBER)
    for number in range(6):
        mine = table.filter([name == f"annotator-{number}" for name in table["annotator"].to_pylist()])
        steps = default.utility(mine["prompt"], mine["chosen"], number) - default.utility(
            mine["prompt"], mine["rejected"], number
        )
        chance = expit(np.abs(steps))
        assert abs((steps > 0).mean() - chance.mean()) < 5 * np.sqrt((chance * (1 - chance)).sum()) / len(steps)


def test_an_anti_gold_annotator_turns_labels_round():
    made = world(anti_gold=True, near_lambda=3.0, temperature=0.0, near_policy=1)
    table = made.pairs(0, NUMBER)
    steps = gold_steps(made, table)
    near = np.array(table["annotator"].to_pylist()) == "annotator-1"
    assert near.sum() > 500
    assert (steps[near] <= 0).all()
    assert (steps[~near] > 0).mean() > 0.6


CHANGES = {
    "seed": 1,
    "categories": 6,
    "sources": 7,
    "annotators": 3,
    "lambda_": 0.5,
    "kappa": 0.5,
    "temperature": 0.0,
    "pairs_within_source": False,
    "near_policy": 1,
    "near_lambda": 0.0,
    "gold_annotator": 3,
    "anti_gold": True,
    "drift": 0.5,
}
DOMAINS = {
    "domains": 3,
    "conflict": 0.5,
    "domain_taste": 0.9,
    "pool_mixture": (1.0, 3.0),
    "policy_mixture": (1.0, 1.0),
    "annotators_follow": "domain",
}
SIZES = {"pool_size", "demonstrations", "train_prompts", "evaluation_prompts", "held_out_pairs"}


@pytest.mark.parametrize("dial", CHANGES)
def test_every_dial_changes_the_world_and_only_what_it_should(dial, default):
    changed = world(**{dial: CHANGES[dial]} | ({"near_lambda": 2.0} if dial == "near_policy" else {}))
    pairs, others = default.pairs(0, 1500), changed.pairs(0, 1500)
    demonstrations_differ = not changed.demonstrations(0, 200).equals(default.demonstrations(0, 200))
    assert not others.equals(pairs) or demonstrations_differ
    same_texts = sorted(pairs["chosen"].to_pylist() + pairs["rejected"].to_pylist()) == sorted(
        others["chosen"].to_pylist() + others["rejected"].to_pylist()
    )
    assert same_texts == (dial not in {"seed", "categories", "sources", "pairs_within_source"})
    assert demonstrations_differ == (dial in {"seed", "categories", "near_policy", "drift"})


def test_all_dials_are_tried():
    assert {*CHANGES, *DOMAINS, *SIZES} == set(WorldConfig.model_fields)


@pytest.mark.parametrize("dial", DOMAINS)
def test_every_dial_of_domains_changes_the_world_and_only_what_it_should(dial):
    base = {"domains": 2, "annotators": 2}
    plain, changed = world(**base), world(**base | {dial: DOMAINS[dial]})
    texts = [
        sorted(zip(*(table[name].to_pylist() for name in ("prompt", "chosen", "rejected")), strict=True))
        for table in (plain.pairs(0, 1500), changed.pairs(0, 1500))
    ]
    same_texts = [sorted((prompt, *sorted(two)) for prompt, *two in each) for each in texts]
    assert (same_texts[0] == same_texts[1]) == (dial not in {"domains", "pool_mixture"})
    # What differs in the pool differs by labels, if not by texts; the policy's mixture is no matter of the pool.
    assert (texts[0] == texts[1]) == (dial == "policy_mixture")
    told = [made.demonstrations(0, 300) for made in (plain, changed)]
    assert told[0].equals(told[1]) == (dial not in {"domains", "policy_mixture"})


def test_pairs_can_come_from_two_sources():
    table = world(pairs_within_source=False).pairs(0, 2000)
    assert not any(row["chosen_source"] == row["rejected_source"] for row in table.to_pylist())


def test_the_policy_starts_at_its_source_and_drifts_to_none():
    made = world(near_policy=3, drift=0.25)
    table = made.demonstrations(0, 4000)
    foreign = np.array(table["source"].to_pylist()) == FOREIGN
    assert abs(foreign.mean() - 0.25) < 0.04
    assert set(np.array(table["source"].to_pylist())[~foreign]) == {"structured"}
    counts = made.style(table["completion"])
    assert counts[foreign].mean(axis=0).argmax() == STYLE_NAMES.index(FOREIGN)
    assert counts[~foreign].mean(axis=0).argmax() == STYLE_NAMES.index("structured")
    pool = made.pairs(0, 2000)
    assert made.style(pool["chosen"])[:, STYLE_NAMES.index(FOREIGN)].sum() == 0


def test_a_source_writes_on_request(default):
    prompts = default.prompts(0, 300, "evaluation")
    texts = default.write(prompts, 4)
    assert texts == default.write(prompts, 4) != default.write(prompts, 4, seed=1)
    assert default.style(texts).mean(axis=0).argmax() == 4
    assert default.gold(prompts, texts).mean() > default.gold(prompts, texts[1:] + texts[:1]).mean() + 0.5


def test_prompts_that_ask_for_the_same_are_known_whatever_their_wording(default):
    def asked(text):
        return default.request_ids([f"\n\nHuman: {text}\n\nAssistant:"])[0]

    assert asked("Name two fruits and a tool.") == asked("I need a tool and two fruits, please.")
    others = ["Name a fruit and a tool.", "Name two fruits and a tool. Be brief.", "Name a fruit, a tree and a tool."]
    others += ["Name two fruits and a tool. Do not mention animals."]
    assert len({asked(text) for text in ["Name two fruits and a tool.", *others]}) == 5
    few = world(categories=6)
    assert len(set(few.request_ids(few.prompts(0, 400, "evaluation")))) == 131


def test_fresh_labels(default):
    prompts = default.prompts(0, 4000)
    first, second = default.write(prompts, 0, seed=1), default.write(prompts, 0, seed=2)
    steps = default.gold(prompts, first) - default.gold(prompts, second)
    labels = default.label(prompts, first, second)
    assert (labels == default.label(prompts, first, second)).all()
    assert (labels == (steps > 0))[steps != 0].all(), "gold itself makes no mistakes"
    assert 0.4 < labels[steps == 0].mean() < 0.6
    biased = default.utility(prompts, first, 2) - default.utility(prompts, second, 2)
    theirs = default.label(prompts, first, second, annotator=2, seed=5)
    assert abs((theirs - expit(biased)).mean()) < 0.03
    assert (theirs != default.label(prompts, first, second, annotator=2, seed=6)).mean() > 0.2
    assert np.corrcoef(theirs, biased)[0, 1] > np.corrcoef(theirs, steps)[0, 1] + 0.1
    table = default.labelled_pairs(prompts, first, second)
    assert table["chosen"].to_pylist() == [a if keep else b for a, b, keep in zip(first, second, labels, strict=True)]
    assert table["rejected"].to_pylist() == [b if keep else a for a, b, keep in zip(first, second, labels, strict=True)]
    assert set(table["annotator"].to_pylist()) == {"gold"}
    assert len(set(table["id"].to_pylist())) == 4000
    assert (
        default.labelled_pairs(prompts[:2], first[:2], second[:2], annotator=1)["annotator"][0].as_py() == "annotator-1"
    )


@pytest.mark.parametrize(
    ("ask", "error", "message"),
    [
        (lambda made: made.pairs(5, 5), UsageError, "There are no rows 5 to 5"),
        (lambda made: made.pairs(-1, 5), UsageError, "at least 0"),
        (lambda made: made.prompts(0, 1, "test"), UsageError, "one of pool, demonstrations, train, evaluation"),
        (lambda made: made.write(["Name a tool."], 7), UsageError, "no source 7"),
        (lambda made: made.utility(["Name a tool."], ["saw"], -1), UsageError, "no annotator -1"),
        (lambda made: made.gold(["Name a tool."] * 2, ["saw"]), RewardError, "2 prompts and 1 completions"),
        (lambda made: made.gold(["Hello"], ["saw"]), RewardError, "asks for nothing"),
    ],
)
def test_what_cannot_be_had_is_an_error(default, ask, error, message):
    with pytest.raises(error, match=message):
        ask(default)


def test_a_folder_that_is_no_world(tmp_path):
    with pytest.raises(ArtifactError, match="missing"):
        World.load(tmp_path)
    (tmp_path / "world.json").write_text('{"kappa": 2}')
    with pytest.raises(ConfigError, match=r"world.json: kappa: "):
        World.load(tmp_path)
