"""What the words under the table say follows from the figures."""

from __future__ import annotations

import pytest
from scipy import stats

from frft.experiment import interpret
from frft.results import RunResults

from ..completed import completed


def told(found: dict) -> list[str]:
    return interpret(completed(RunResults, found))


def win_rate(low, high) -> dict:
    """What a normal estimate with this interval says."""
    rate, error = (low + high) / 2, (high - low) / 2 / stats.norm.ppf(0.975)
    p_value = float(2 * stats.norm.sf(abs(rate - 0.5) / error))
    return {
        "rate": rate,
        "interval": (low, high),
        "p_value": p_value,
        "n_to_settle": 1234 if low < 0.5 < high else None,
    }


NOTHING_CUT = {"chosen": 0, "rejected": 0, "samples": 0}


def results(**intervals) -> dict:
    arms = {
        name: {
            "evaluation": {
                "win_rate": interval and win_rate(*interval),
            },
            "when": "scheduled",
            "refreshes": [],
            "looks": [],
            "refreshed_after": [],
            "restarted_after": [],
            "stopped_after": None,
        }
        for name, interval in {"vanilla": None, **intervals}.items()
    }
    models = {
        name: {"held_out": {"accuracy": 0.6, "interval": [0.51, 0.69], "n": 90}} for name in ("judge", "base_reward")
    }
    prompts = {"given": 25, "distinct": 22, "used": 20, "trained_on": 0}
    models["judge"]["kind"] = "reward_model"
    data = {"evaluation_prompts": prompts}
    return {**models, "config": {"ppo": {"total_steps": 12}}, "data": data, "arms": arms, "stages": []}


def in_a_world(start: float, gold: float, error: float | None, own: tuple[float, float] | None) -> dict:
    """A run whose vanilla arm has this gold reward and its error, and a reward model with this interval on it."""
    found = results()
    found["judge"] = {"kind": "gold"}
    accuracy = own and sum(own) / 2
    before = {"accuracy": 0.65, "interval": (0.6, 0.7)}
    found["start"] = {"gold": {"mean": start, "standard_error": error}, "on_policy": before, "off_policy": {}}
    found["arms"]["vanilla"]["evaluation"] |= {
        "gold": {"mean": gold, "standard_error": error},
        "on_policy": {"accuracy": accuracy, "interval": own},
        "off_policy": {},
    }
    return found


@pytest.mark.parametrize(
    ("intervals", "verdict"),
    [
        (
            {"a": (0.4, 0.6), "b": (0.45, 0.7)},
            ["By the judge, no arm can be told from vanilla (", "Prompts that would settle", "The judge agrees"],
        ),
        (
            {"a": (0.55, 0.65), "b": (0.45, 0.7)},
            ["By the judge, a is better than vanilla (", "Prompts that would settle", "The judge agrees"],
        ),
        (
            {"a": (0.55, 0.65), "b": (0.3, 0.45), "c": (0.2, 0.4)},
            ["By the judge, a is better than vanilla and b, c are worse than vanilla (", "The judge agrees"],
        ),
        # Both stand apart alone; of the two the nearer one does not.
        (
            {"a": (0.505, 0.6), "b": (0.45, 0.7)},
            [
                "By the judge, no arm can be told from vanilla (",
                "Told from vanilla only if it were the one comparison made: a.",
                "Prompts that would settle a difference of the size seen (power 80 %): b 1,234.",
                "The judge agrees with the labels of 60.0 % [51.0, 69.0] of 90 held-out pairs",
            ],
        ),
    ],
)
def test_the_verdict_is_corrected_for_the_number_of_comparisons(intervals, verdict):
    lines = told(results(**intervals))
    assert [line[: len(begin)] for line, begin in zip(lines, verdict, strict=False)] == verdict


@pytest.mark.parametrize(
    ("interval", "judge", "base"),
    [
        ([0.51, 0.69], "a win rate says no more than its judge does", None),
        (
            [0.49, 0.6],
            "not shown to be above chance: these win rates may say",
            "not shown to be above chance: there may",
        ),
        ([0.3, 0.49], "below chance: these win rates say the opposite", "below chance: there may"),
    ],
)
def test_a_model_is_called_above_chance_below_it_or_neither(interval, judge, base):
    found = results(a=(0.51, 0.6))
    found["judge"]["held_out"]["interval"] = found["base_reward"]["held_out"]["interval"] = interval
    lines = told(found)
    assert judge in lines[1]
    assert any("little signal for a refresh" in line for line in lines) == (base is not None)
    assert base is None or base in lines[2]


def test_cut_and_known_prompts_are_named():
    found = results(a=(0.4, 0.6))
    assert not any("prompts" in line for line in told(found))
    found["data"]["evaluation_prompts"]["trained_on"] = 3
    assert any(line.startswith("3 of the 20 evaluation prompts were also trained on") for line in told(found))


def test_cut_texts_are_counted_by_kind_of_stage():
    found = results(a=(0.4, 0.6))

    def stage(kind, **counts):
        cut = {
            name: dict(zip(("sequences", "prompts_truncated", "completions_truncated"), each, strict=True))
            for name, each in counts.items()
        }
        return {"kind": kind, "truncated": cut}

    found["stages"] = [stage("sft"), stage("ppo", rollouts=(8, 0, 0)), stage("reward", a=(50, 3, 0), b=(20, 1, 2))]
    assert not any("window" in line for line in told(found))
    counts = {"taken": 70, "wanted": 70, "truncated": {"chosen": 20, "rejected": 0, "samples": 8}}
    found["arms"]["a"]["refreshes"] = [{"selection": {"counts": counts, "strategy": "part1"}}]
    (cut,) = (line for line in told(found) if line.startswith("Texts that were cut to fit"))
    assert ": reward 4 and 2 of 70." in cut
    (window,) = (line for line in told(found) if "window" in line)
    assert window.endswith(": a 20 chosen, 8 samples.")


def test_a_selection_that_came_up_short_is_named():
    found = results(a=(0.4, 0.6))
    counts = {"taken": 31, "wanted": 70, "truncated": NOTHING_CUT}
    found["arms"]["a"]["refreshes"] = [{"selection": {"counts": counts, "strategy": "part1"}}]
    assert any("Arm a, refresh 1: only 31 of the 70" in line for line in told(found))


@pytest.mark.parametrize(
    ("start", "gold", "verb"),
    [(0.5, 0.79, "raised"), (0.5, 0.77, "is not shown to have changed"), (0.5, 0.21, "lowered")],
)
def test_what_training_did_to_the_true_reward(start, gold, verb):
    # Standard errors 0.1: twice their root of the sum of squares is 0.283.
    lines = told(in_a_world(start, gold, 0.1, (0.45, 0.6)))
    assert lines[0].startswith(
        f"Reinforcement learning {verb} the true reward: +0.50 before it, {gold:+.2f} in vanilla"
    )
    assert "standard error of the difference at most 0.14" in lines[0]
    assert "is not shown to have changed" in told(in_a_world(start, gold, None, (0.45, 0.6)))[0]


@pytest.mark.parametrize(
    ("own", "shown", "said"),
    [
        ((0.52, 0.6), "56.0 % [52.0, 60.0]", None),
        ((0.45, 0.6), "52.5 % [45.0, 60.0]", "Not shown to be better than a coin at the end: vanilla."),
        ((0.3, 0.48), "39.0 % [30.0, 48.0]", "Worse than a coin at the end: vanilla."),
        (None, "–", "Nothing to tell apart at the end: vanilla."),
    ],
)
def test_what_the_reward_model_knows_of_its_own_policy(own, shown, said):
    lines = told(in_a_world(0.0, 1.0, 0.1, own))
    assert f"in 65.0 % [60.0, 70.0] before it; at the end: vanilla {shown}. A coin: 50 %." in lines[1]
    warnings = [line for line in lines if "at the end: vanilla. " in line]
    assert len(warnings) == (said is not None)
    assert all(line.startswith(said) for line in warnings)


def test_what_looks_saw_and_decided_is_told():
    found = results(a=(0.4, 0.6), b=(0.4, 0.6))
    quiet, loud = {"step": 4, "fired": []}, {"step": 8, "fired": ["over-optimisation", "policy stuck"]}
    found["arms"]["vanilla"] |= {"looks": [quiet, loud], "stopped_after": 8}
    model = {
        "accepted": True,
        "selection": {"counts": {"taken": 1, "wanted": 1, "truncated": NOTHING_CUT}, "strategy": "part1"},
    }
    shut = {"alarms": [], "no_worse": False, "before": 0.6, "after": 0.5, "pairs": 9}
    made = [model | {"after_step": step} for step in (4, 6, 8)]
    made[1] |= {"accepted": False, "gate": shut}
    found["arms"]["a"] |= {"when": "drift", "looks": [quiet], "refreshed_after": [4, 6, 8], "refreshes": made}
    # As scheduled, and nobody looked: nothing that the settings do not say.
    found["arms"]["b"] |= {"refreshed_after": [6]}
    said = "\n".join(told(found))
    assert "Arm vanilla, alarms while it was trained: after step 8: over-optimisation, policy stuck." in said
    assert "Arm vanilla stopped after step 8 of 12" in said
    assert "Arm a was refreshed after steps 4, 8 (when: drift)." in said
    assert "Arm b" not in said
    assert "Never refreshed" not in said
    found["arms"]["a"] |= {"refreshed_after": [], "refreshes": []}
    assert "no look called for it or the gate refused, and so the same as vanilla: a." in "\n".join(told(found))


def test_a_named_judge_is_named_with_what_its_replies_took():
    found = results(frft=(0.55, 0.75))
    replies = {"judged": 38, "unparsable": 2, "prompt_tokens": 900, "completion_tokens": 80, "cost": 0.25}
    found["judge"] = {"kind": "named", "name": "openai:m", "scores": False, "replies": replies}
    found["arms"]["frft"]["evaluation"]["win_rate"] |= {"pairs": 18, "unjudged": 2}
    lines = told(found)
    assert lines[0].startswith("By openai:m, frft is better than vanilla")
    assert "Arm frft: 2 of 20 pairs have no verdict in both orders, and are left out of its win rate." in lines
    assert "openai:m compares and gives no scores: there is no column of its mean score." in lines
    assert (
        "It gave 40 replies to this run, 2 of them without a readable verdict: 900 prompt tokens and 80 completion "
        "tokens, which cost 0.2500." in lines
    )
    found["judge"] |= {"scores": True, "replies": None}
    lines = told(found)
    assert not any("replies" in line or "compares" in line for line in lines)
    assert any("How often openai:m agrees with the labels was not measured" in line for line in lines)
