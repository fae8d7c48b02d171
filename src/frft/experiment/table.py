"""The table that ends a run: a row for the SFT model and one for each arm, and what its columns mean."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Cells = Callable[[dict[str, Any], dict[str, Any] | None], str]

WIN_RATE, KL, TOKENS = "win rate [95 %]", "KL", "tokens"
GOLD, ON_POLICY = "gold", "RM on own texts [95 %]"
SFT_ROW = "(SFT)"
"""Where all arms start; no arm can have this name."""


def columns(results: dict[str, Any]) -> tuple[str, ...]:
    """The heads of the table: those of a world, or those of preference data."""
    return ("arm", *_cells(results))


def results_table(results: dict[str, Any]) -> list[tuple[str, ...]]:
    """One row for the SFT model and one for each arm, in the order of `columns`."""
    cells = _cells(results).values()
    rows = [(SFT_ROW, *(cell(results["start"], None) for cell in cells))]
    for name, arm in results["arms"].items():
        accepted = [each["reward_model"] for each in arm["refreshes"] if each["accepted"]]
        model = accepted[-1] if accepted else results["base_reward"]
        rows.append((name, *(cell(arm["evaluation"], model) for cell in cells)))
    return rows


def legend(results: dict[str, Any]) -> list[tuple[str, str]]:
    """What the columns mean, in their order."""
    in_a_world = results["judge"]["kind"] == "gold"
    judge = "the gold reward" if in_a_world else "the judge"
    over = "the requests of the evaluation prompts, wordings of one as one" if in_a_world else "the evaluation prompts"
    lines = [("win rate", f"against vanilla, by {judge}, over {over}; ties count one half")]
    if in_a_world:
        lines.insert(0, ("gold", "mean true reward of what the arm writes (between -5 and 3), which no training saw"))
    else:
        lines.append(("judge", "its mean score"))
    lines += [("KL", "from SFT, nats a completion (k1)"), ("tokens", "mean length of a completion")]
    if in_a_world:
        return [
            *lines,
            ("RM on own ...", "how often the arm's last reward model orders two texts of the arm itself as gold does"),
            ("RM on pool ...", "the same for pairs like the pool's, which no training saw; a coin: 50 %"),
            ("pairs", "what that reward model was trained on last"),
        ]
    return [
        *lines,
        ("ended", "completions that came to their end (EOS); the others were cut off, and judged as they stood"),
        ("pairs", "what the arm's last reward model was trained on"),
        ("RM held-out", "its accuracy on unfiltered pairs that no training saw"),
        (
            "RM own test",
            "its accuracy on the test rows of its own selection. Believe the other one: the filter makes 'looks like "
            "the policy' predict the label, and with init: current the base model was trained on these rows",
        ),
    ]


def percent(share: float) -> str:
    """0.51 as "51.0 %"."""
    return f"{100 * share:.1f} %"


def percent_with_interval(accuracy: dict[str, Any]) -> str:
    """An accuracy and its interval, in percent: "51.0 % [48.2, 53.8]"; "–" where there was nothing to order."""
    if accuracy["interval"] is None:
        return "–"
    low, high = accuracy["interval"]
    return f"{percent(accuracy['accuracy'])} [{100 * low:.1f}, {100 * high:.1f}]"


def _cells(results: dict[str, Any]) -> dict[str, Cells]:
    common: dict[str, Cells] = {
        WIN_RATE: lambda found, _: _win_rate(found["win_rate"]),
        KL: lambda found, _: f"{found['kl_sft_k1']:.2f}",
        TOKENS: lambda found, _: f"{found['response_tokens']:.1f}",
    }
    pairs: dict[str, Cells] = {"pairs": lambda _, model: str(model["training"]["pairs"]) if model else "–"}
    if results["judge"]["kind"] == "gold":
        return {
            GOLD: lambda found, _: f"{found['gold']['mean']:+.2f}",
            **common,
            ON_POLICY: lambda found, _: percent_with_interval(found["on_policy"]),
            "RM on pool pairs": lambda found, _: percent(found["off_policy"]["gold"]["accuracy"]),
            **pairs,
        }
    return {
        WIN_RATE: common[WIN_RATE],
        "judge": lambda found, _: f"{found['judge_score']:+.3f}",
        **common,
        "ended": lambda found, _: percent(found["has_eos"]),
        **pairs,
        "RM held-out": lambda _, model: percent_with_interval(model["held_out"]) if model else "–",
        "RM own test": lambda _, model: (
            percent(model["selected_test"]["accuracy"]) if model and "selected_test" in model else "–"
        ),
    }


def _win_rate(found: dict[str, Any] | None) -> str:
    return (
        "baseline"
        if found is None
        else percent_with_interval({"accuracy": found["rate"], "interval": found["interval"]})
    )
