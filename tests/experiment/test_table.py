"""The table that ends a run."""

from __future__ import annotations

import pytest

from frft.experiment import columns, legend, results_table
from frft.results import RunResults

from ..completed import completed

MODEL = {"training": {"pairs": 640}, "held_out": {"accuracy": 0.6, "interval": (0.55, 0.65)}}
REFRESHED = {"training": {"pairs": 90}, "held_out": {"accuracy": 0.5, "interval": (0.45, 0.55)}}
WIN = {"rate": 0.55, "interval": (0.5, 0.6)}
ORDER = {"accuracy": 0.625, "interval": (0.6, 0.65)}


def evaluation(win, **more) -> dict:
    return {"win_rate": win, "kl_sft_k1": 3.456, "response_tokens": 20.0, "has_eos": 0.9, **more}


def results(kind: str, **more) -> dict:
    refresh = {"accepted": True, "reward_model": REFRESHED | {"selected_test": {"accuracy": 0.8}}}
    return {
        "judge": {"kind": kind},
        "base_reward": MODEL,
        "start": evaluation(WIN, **more),
        "arms": {
            "vanilla": {"evaluation": evaluation(None, **more), "refreshes": []},
            "frft": {"evaluation": evaluation(WIN, **more), "refreshes": [refresh]},
        },
    }


def cells(found: dict, name: str) -> dict[str, str]:
    typed = completed(RunResults, found)
    (row,) = (row for row in results_table(typed) if row[0] == name)
    return dict(zip(columns(typed), row, strict=True))


def test_with_a_judge():
    found = results("reward_model", judge_score=0.25)
    assert [row[0] for row in results_table(completed(RunResults, found))] == ["(SFT)", "vanilla", "frft"]
    vanilla, frft, start = (cells(found, name) for name in ("vanilla", "frft", "(SFT)"))
    assert vanilla["win rate [95 %]"] == "baseline"
    assert (vanilla["judge"], vanilla["KL"], vanilla["pairs"], vanilla["RM own test"]) == ("+0.250", "3.46", "640", "–")
    assert frft["win rate [95 %]"] == "55.0 % [50.0, 60.0]"
    assert (frft["RM held-out"], frft["RM own test"], frft["pairs"]) == ("50.0 % [45.0, 55.0]", "80.0 %", "90")
    assert (start["RM held-out"], start["RM own test"], start["pairs"]) == ("–", "–", "–")


def test_in_a_world():
    gold = {"gold": {"mean": 1.234}, "on_policy": ORDER, "off_policy": {"gold": {"accuracy": 0.71}}}
    found = results("gold", **gold)
    frft = cells(found, "frft")
    assert "judge" not in frft
    assert (frft["gold"], frft["win rate [95 %]"]) == ("+1.23", "55.0 % [50.0, 60.0]")
    assert (frft["RM on own texts [95 %]"], frft["RM on pool pairs"]) == ("62.5 % [60.0, 65.0]", "71.0 %")
    assert not any("domain" in head for head in frft)


def test_in_a_world_of_several_domains():
    by_domain = {
        f"domain-{n}": {"gold": {"accuracy": gold}, "labels": {"accuracy": labels}}
        for n, (gold, labels) in enumerate([(0.71, 0.64), (0.4, None)])
    }
    gold = {"gold": {"mean": 1.234}, "on_policy": ORDER, "off_policy": {}, "by_domain": by_domain}
    found = results("gold", **gold)
    frft = cells(found, "frft")
    assert (frft["RM on domain-0"], frft["RM on domain-1"]) == ("71.0 % (64.0 %)", "40.0 % (–)")
    explained = dict(legend(completed(RunResults, found)))
    assert explained["RM on domain-1"] == "the same for those of domain-1, and in brackets by labels"
    assert cells(found, "(SFT)")["gold"] == "+1.23"
    found["arms"]["frft"]["evaluation"]["on_policy"] = {"accuracy": None, "interval": None}
    assert cells(found, "frft")["RM on own texts [95 %]"] == "–"


@pytest.mark.parametrize(("kind", "judge"), [("gold", "by the gold reward"), ("reward_model", "by the judge")])
def test_every_column_is_explained(kind, judge):
    found = completed(RunResults, results(kind))
    explained = [name.removesuffix(" ...") for name, _ in legend(found) if name]
    heads = columns(found)[1:]
    assert [head for head, name in zip(heads, explained, strict=True) if not head.startswith(name)] == []
    assert any(judge in meaning for _, meaning in legend(found))
    # What a win rate is the mean over.
    assert ("requests" in dict(legend(found))["win rate"]) == (kind == "gold")


def test_with_a_judge_that_is_named():
    gold = {"gold": {"mean": 1.234}, "on_policy": ORDER, "off_policy": {"gold": {"accuracy": 0.71}}}

    def heads(scores, data, **more):
        named = {"judge": {"kind": "named", "name": "openai:m", "scores": scores}, "data": data}
        typed = completed(RunResults, results("reward_model", judge_score=0.25 if scores else None, **more) | named)
        assert any("by openai:m" in meaning for _, meaning in legend(typed))
        return columns(typed), [name for name, _ in legend(typed)]

    assert not any("judge" in each for each in heads(False, {}))
    assert all("judge" in each for each in heads(True, {}))
    # In a world the gold reward is shown whoever judges.
    in_a_world = heads(True, {"world": {"seed": 0}}, **gold)
    assert all("gold" in each and "judge" in each for each in in_a_world)
