"""The table that ends a run: a row for the SFT model and one for each arm, and what its columns mean."""

from __future__ import annotations

from collections.abc import Callable

from frft.evaluation.winrate import WinRate
from frft.results import EvaluationInfo, GoldJudgeFigures, NamedJudgeFigures, RunResults
from frft.reward import RefreshedModelInfo, RewardEvaluation, RewardModelInfo
from frft.statistics import OrderAccuracy

LastModel = RewardModelInfo | RefreshedModelInfo
Cells = Callable[[EvaluationInfo, LastModel | None], str]

WIN_RATE, KL, TOKENS = "win rate [95 %]", "KL", "tokens"
FRESH_LABELS = "labels"
GOLD, ON_POLICY = "gold", "RM on own texts [95 %]"
NOTHING_TO_SHOW = "–"
SFT_ROW = "(SFT)"
"""Name of the SFT model's row, with which all arms start; no arm can have this name."""


def columns(results: RunResults) -> tuple[str, ...]:
    """The table's column headings, which differ between a world and preference data."""
    return ("arm", *_cells(results), *([FRESH_LABELS] if _has_labels(results) else []))


def results_table(results: RunResults) -> list[tuple[str, ...]]:
    """One row for the SFT model and one for each arm, in the order of `columns`."""
    cells, labelled = _cells(results).values(), _has_labels(results)
    rows = [(SFT_ROW, *(cell(results.start, None) for cell in cells), *([NOTHING_TO_SHOW] if labelled else []))]
    for name, arm in results.arms.items():
        model = arm.accepted[-1].reward_model if arm.accepted else results.base_reward
        asked = [str(arm.asked)] if labelled else []
        rows.append((name, *(cell(arm.evaluation, model) for cell in cells), *asked))
    return rows


def _has_labels(results: RunResults) -> bool:
    """Whether any arm asked for fresh labels."""
    return any(arm.labels for arm in results.arms.values())


def legend(results: RunResults) -> list[tuple[str, str]]:
    """What the columns mean, in their order."""
    asked = (FRESH_LABELS, "fresh labels that its refreshes asked for, all uses counted")
    return [*_legend(results), *([asked] if _has_labels(results) else [])]


def _legend(results: RunResults) -> list[tuple[str, str]]:
    in_a_world, judge = results.in_a_world, who_judges(results)
    over = "the requests of the evaluation prompts, wordings of one as one" if in_a_world else "the evaluation prompts"
    lines = [("win rate", f"against vanilla, by {judge}, over {over}; ties count one half")]
    # Worlds of earlier versions have no such dial and one domain.
    of_domains = (results.data.world or {}).get("domains", 1) > 1
    if in_a_world:
        bounds = "of its prompt's domain" if of_domains else "(between -5 and 3)"
        what = f"mean true reward of what the arm writes {bounds}, which no training saw"
        lines.insert(0, ("gold", what))
    if _has_judge_scores(results):
        lines.append(("judge", "its mean score"))
    lines += [("KL", "from SFT, nats a completion (k1)"), ("tokens", "mean length of a completion")]
    if in_a_world:
        like = "held-out pairs on prompts like the policy's" if of_domains else "pairs like the pool's"
        return [
            *lines,
            ("RM on own ...", "how often the arm's last reward model orders two texts of the arm itself as gold does"),
            ("RM on pool ...", f"the same for {like}, which no training saw; a coin: 50 %"),
            *(
                (f"RM on {name}", f"the same for those of {name}, and in brackets by labels")
                for name in _domains(results)
            ),
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


def who_judges(results: RunResults) -> str:
    """The judge behind the win rates, in words."""
    match results.judge:
        case GoldJudgeFigures():
            return "the gold reward"
        case NamedJudgeFigures(name=name):
            return name
    return "the judge"


def _has_judge_scores(results: RunResults) -> bool:
    """Whether the table has a column of the judge's mean score; the gold reward's has a column of its own."""
    judge = results.judge
    return judge.scores if isinstance(judge, NamedJudgeFigures) else not isinstance(judge, GoldJudgeFigures)


def percent(share: float) -> str:
    """A fraction in percent with one decimal: 0.51 as "51.0 %"."""
    return f"{100 * share:.1f} %"


def percent_with_interval(share: float | None, interval: tuple[float, float] | None) -> str:
    """A fraction and its interval in percent: "51.0 % [48.2, 53.8]"; "–" where either is None (no observations)."""
    if share is None or interval is None:
        return NOTHING_TO_SHOW
    low, high = interval
    return f"{percent(share)} [{100 * low:.1f}, {100 * high:.1f}]"


def _cells(results: RunResults) -> dict[str, Cells]:
    """By heading, how a column's cell is made from an evaluation and a reward model (None in the SFT model's row)."""
    common: dict[str, Cells] = {
        WIN_RATE: lambda found, _: _win_rate(found.win_rate),
        KL: lambda found, _: f"{found.kl_sft_k1:.2f}",
        TOKENS: lambda found, _: f"{found.response_tokens:.1f}",
    }
    pairs: dict[str, Cells] = {"pairs": lambda _, model: str(model.training.pairs) if model else NOTHING_TO_SHOW}
    scores: dict[str, Cells] = {}
    if _has_judge_scores(results):
        scores["judge"] = lambda found, _: NOTHING_TO_SHOW if found.judge_score is None else f"{found.judge_score:+.3f}"
    if results.in_a_world:
        return {
            GOLD: lambda found, _: f"{found.by_gold.gold.mean:+.2f}",
            WIN_RATE: common[WIN_RATE],
            **scores,
            **common,
            ON_POLICY: lambda found, _: _accuracy(found.by_gold.on_policy),
            "RM on pool pairs": lambda found, _: _percent(found.by_gold.off_policy.gold.accuracy),
            **{f"RM on {name}": _in_domain(name) for name in _domains(results)},
            **pairs,
        }
    return {
        WIN_RATE: common[WIN_RATE],
        **scores,
        **common,
        "ended": lambda found, _: percent(found.has_eos),
        **pairs,
        "RM held-out": lambda _, model: _accuracy(model.held_out) if model else NOTHING_TO_SHOW,
        "RM own test": lambda _, model: _own_test(model),
    }


def _domains(results: RunResults) -> list[str]:
    """The domains in which reward models were measured; none in a world of one, and of earlier versions."""
    return list(results.start.by_domain or {})


def _in_domain(name: str) -> Cells:
    def cell(found: EvaluationInfo, _: LastModel | None) -> str:
        pairs = (found.by_domain or {})[name]
        return f"{_percent(pairs.gold.accuracy)} ({_percent(pairs.labels.accuracy)})"

    return cell


def _percent(share: float | None) -> str:
    return NOTHING_TO_SHOW if share is None else percent(share)


def _accuracy(found: OrderAccuracy | RewardEvaluation | None) -> str:
    return NOTHING_TO_SHOW if found is None else percent_with_interval(found.accuracy, found.interval)


def _own_test(model: LastModel | None) -> str:
    tested = model.selected_test if isinstance(model, RefreshedModelInfo) else None
    return NOTHING_TO_SHOW if tested is None else percent(tested.accuracy)


def _win_rate(found: WinRate | None) -> str:
    return "baseline" if found is None else percent_with_interval(found.rate, found.interval)
