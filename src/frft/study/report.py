"""The page of a study's results: tables of every grid point that was run, and the verdicts on the predictions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from frft.errors import printable
from frft.progress import duration
from frft.results.predictions import PredictionVerdict
from frft.results.study import ArmComparison, PointResults, StudyBudget, StudyResults
from frft.study.formats import (
    NO_FIGURE,
    Rows,
    markdown_table,
    p_value,
    percent_estimate,
    plain_estimate,
    row_name,
    signed_estimate,
    whole_estimate,
)
from frft.study.label_table import LABELS_BOUGHT_COLUMNS, LABELS_BOUGHT_LEGEND, label_rows

OUTCOME_COLUMNS = (
    "arm", "gold", "− vanilla", "p", "− control", "p", "at equal KL − vanilla", "− control", "at the end", "KL",
    "win rate", "recovery", "steps to vanilla's", "d*",
)  # fmt: skip
DIAGNOSIS_COLUMNS = (
    "arm", "on-policy", "at the end", "off-policy, gold", "off-policy, labels", "reward variance", "at the end",
    "own test rows", "pairs", "distinct", "effective", "seen", "steps", "near source, first", "last", "seconds",
)  # fmt: skip
DOMAIN_COLUMNS = (
    "arm", "own domain, gold", "labels", "other domains, gold", "labels", "pairs of own domain, first", "last",
)  # fmt: skip
VERDICT_COLUMNS = ("prediction", "outcome", "statistic", "seeds", "predicted")
OVERVIEW_COLUMNS = (
    "point", "seeds", "FRFT − control", "p", "perfect filter − control", "FRFT − vanilla", "control − vanilla",
    "ceiling − vanilla",
)  # fmt: skip

LEGEND = """\
All figures are means over seeds with 95 % intervals (Student's t). **Gold** is the mean gold reward of what the policy
writes in all steps after the first refresh, on training prompts. KL (from SFT, k1, nats a completion), win rate
(against vanilla, by gold), gold **at the end** and accuracies are those of the final policies on held-out prompts. A
difference is paired by seed, its p that of a paired t test, corrected by Holm over the arms of the point; in the table
of every point, over the points.

- **at equal KL**: the difference of gold reward where both were at the smaller of their two final KLs for the last
  time, by smoothed curves (5 steps) of the rollouts; in brackets, in how many seeds one of them was
  there while the two were still one arm, before any refresh told them apart.
- **recovery**: (arm − vanilla) / (ceiling − vanilla), ratio of means with Fieller's interval; – where the ceiling
  is not above vanilla, or cannot be told from it.
- **steps to vanilla's**: median of the first step at which the arm's smoothed gold reward is that with which vanilla
  ends; in brackets, in how many seeds it got there, of those in which vanilla ends above its start (the others have
  nothing to reach).
- **d***: the peak of Gao et al.'s curve R(d) = d (α − β log d), d = √KL, median; in brackets, in how many seeds the
  curve has one, and in how many of them that lies within the range of d that was observed: the others are
  extrapolated, beyond 100 for a curve that hardly bends.
- **on-policy**: how often the reward model orders two completions of the policy *at the first refresh* as gold does:
  of refreshed arms the model after it; of vanilla the one before it. The texts are the same in all arms that are
  refreshed at that step. **At the end**: the arm's last reward model, and its own final policy, which has exploited the
  one more than the other; so arms differ in their texts, too.
- **off-policy**: how often the arm's last reward model orders held-out pairs of the pool as gold, and as their labels
  do.
- **reward variance**: within a prompt, of the normalised reward, likewise at the first refresh and at the end.
- **own test rows**: accuracy on the test rows of the arm's own selection; the placebos show how much of it is the
  selection itself.
- **pairs**: that the last refresh trained on; **distinct**: how many different ones, and **effective**: Kish's size of
  what was drawn, (Σc)² / Σc² of c copies each; **seen**: pairs that went through its optimizer **steps**, repetitions
  included; **near source**: share of the pairs of the *first* and the *last* refresh whose source is the one near which
  the policy starts; **seconds**: of the arm's PPO and refreshes, those included that it shares.
"""
DOMAIN_LEGEND = """\
- **own domain**: how often the arm's last reward model orders held-out pairs on prompts of the policy's domains as
  gold, and as their labels do; **other domains**: the same on prompts of all others; **pairs of own domain**: share of
  the pairs of the first and the last refresh that are on prompts of the policy's domains.
"""


def overview(results: StudyResults) -> Rows:
    """A row for each point, in the order of `OVERVIEW_COLUMNS`."""
    frft, control, ceiling, perfect = (
        results.config.primary,
        results.config.control,
        results.config.ceiling,
        results.config.perfect,
    )
    rows: Rows = []
    for point, found in results.points.items():
        arms = found.arms
        rows.append(
            (
                point,
                str(len(found.seeds)),
                _gold(arms[frft].against_control),
                _p_over_points(arms[frft].against_control),
                _gold(arms[perfect].against_control) if perfect in arms else NO_FIGURE,
                *(_gold(arms[name].against_vanilla) for name in (frft, control, ceiling)),
            )
        )
    return rows


def verdicts(results: StudyResults) -> Rows:
    """A row for each prediction, in the order of `VERDICT_COLUMNS`."""
    expected = {"above": "> 0", "below": "< 0", "none": "within ±"}
    rows: Rows = []
    for each in results.predictions:
        rule = expected[each.expected] + (f"{each.margin:g}" if each.expected == "none" else "")
        found = each.estimate
        number = _statistic(each)
        rows.append((each.name, each.outcome, number, str(found.n) if found else NO_FIGURE, rule))
    return rows


def _statistic(verdict: PredictionVerdict) -> str:
    """The statistic of a prediction in words, with its confidence unless that is 95 %, and its corrected p."""
    if verdict.estimate is None:
        return verdict.why or f"no {verdict.missing}"
    level = "" if verdict.confidence is None else f" ({100 * verdict.confidence:g} %)"
    p = "" if verdict.p_holm is None else f", p {p_value(verdict.p_holm)} by Holm over {verdict.family}"
    return f"{signed_estimate(verdict.estimate)}{level}{p}"


def outcome_rows(found: PointResults) -> Rows:
    """A row for each arm of a point, in the order of `OUTCOME_COLUMNS`."""
    rows: Rows = []
    for name, arm in found.arms.items():
        vanilla, control = arm.against_vanilla, arm.against_control
        steps, peak = arm.steps_to_vanilla, arm.peak
        rows.append(
            (
                row_name(found, name),
                signed_estimate(arm.gold),
                _gold(vanilla),
                _p(vanilla),
                _gold(control),
                _p(control),
                _equal_kl(vanilla),
                _equal_kl(control),
                signed_estimate(arm.gold_final),
                plain_estimate(arm.kl),
                percent_estimate(arm.win_rate),
                plain_estimate(arm.recovery),
                f"{_median(steps.median, 'g')} ({steps.reached} of {steps.n})",
                f"{_peak(peak.median)} ({peak.found}, {peak.within} within)",
            )
        )
    return rows


def _median(median: float | None, form: str) -> str:
    return NO_FIGURE if median is None else format(median, form)


def _peak(median: float | None) -> str:
    # A curve that hardly bends has its peak nowhere near; a number of twenty digits would say no more.
    return "> 100" if median is not None and median > 100 else _median(median, ".2f")


def diagnosis_rows(found: PointResults) -> Rows:
    """A row for each arm of a point, in the order of `DIAGNOSIS_COLUMNS`."""
    return [
        (
            row_name(found, name),
            *map(percent_estimate, (arm.on_policy, arm.on_policy_final, arm.off_policy_gold, arm.off_policy_labels)),
            *map(plain_estimate, (arm.reward_variance, arm.reward_variance_final)),
            percent_estimate(arm.own_test),
            *map(
                whole_estimate,
                (arm.refresh_pairs, arm.distinct_pairs, arm.effective_pairs, arm.pairs_seen, arm.refresh_steps),
            ),
            *(percent_estimate(share, interval=False) for share in (arm.near_share_first, arm.near_share)),
            whole_estimate(arm.seconds),
        )
        for name, arm in found.arms.items()
    ]


def domain_rows(found: PointResults) -> Rows:
    """A row for each arm of a point, in the order of `DOMAIN_COLUMNS`; none in a world of one domain."""
    return [
        (
            row_name(found, name),
            *map(percent_estimate, (arm.own_domain_gold, arm.own_domain_labels)),
            *map(percent_estimate, (arm.other_domains_gold, arm.other_domains_labels)),
            *(percent_estimate(share, interval=False) for share in (arm.domain_share_first, arm.domain_share)),
        )
        for name, arm in found.arms.items()
        if arm.own_domain_gold is not None
    ]


def markdown(results: StudyResults, command: str) -> str:
    """The results of the whole study as a page in Markdown; `command` is the command line that made it."""
    cells, config = results.cells, results.config
    unfinished = cells.wanted - cells.done
    parts = [
        f"# Study {results.study}",
        f"Made by `{printable(command)}` (frft {results.frft}): {cells.done} of {cells.wanted} cells, "
        f"{duration(results.seconds_of_cells)} of one core. FRFT here is the arm `{config.primary}`, "
        f"its control `{config.control}`, the ceiling `{config.ceiling}`"
        + (f", the perfect filter `{config.perfect}`." if config.perfect else "."),
        _budget(results.budget),
    ]
    if unfinished:
        parts.append(f"**{unfinished} cells are missing**, of which {len(cells.failed)} failed.")
        parts += [f"- {printable(line)}" for line in cells.failed]
    if results.sanity is not None and not results.sanity.held:
        parts.append(f"**{results.sanity.otherwise}: the outcomes below are no evidence.**")
    parts += [
        *(["![gains along the dials](panels.svg)"] if config.panels else []),
        *(["![gains by the number of labels](curves.svg)"] if config.curves else []),
        "![gains at every point](gains.svg)",
        "## Every point",
        markdown_table(OVERVIEW_COLUMNS, overview(results)),
        *_predictions(results),
        "## How to read the tables",
        LEGEND
        + (DOMAIN_LEGEND if any(map(domain_rows, results.points.values())) else "")
        + (LABELS_BOUGHT_LEGEND if any(map(label_rows, results.points.values())) else ""),
    ]
    for point, found in results.points.items():
        base = found.base_reward
        parts += [
            f"## {point}",
            f"{len(found.seeds)} seeds. Changes: {_changes(results, point)}. Base reward model: "
            f"{base.pairs:.0f} pairs, {base.steps:.0f} steps.",
            markdown_table(OUTCOME_COLUMNS, outcome_rows(found)),
            markdown_table(DIAGNOSIS_COLUMNS, diagnosis_rows(found)),
            *([markdown_table(DOMAIN_COLUMNS, rows)] if (rows := domain_rows(found)) else []),
            *([markdown_table(LABELS_BOUGHT_COLUMNS, rows)] if (rows := label_rows(found)) else []),
        ]
    return "\n\n".join(parts) + "\n"


def claim_line(results: StudyResults) -> str | None:
    """What the study may claim, or may not, and what that takes; None where it claims nothing."""
    claim = results.claim
    if claim is None:
        return None
    can = "can" if claim.holds else "can not"
    return f"{claim.statement} {can} be claimed: that takes {_names(claim.needs)} to hold."


def _predictions(results: StudyResults) -> list[str]:
    """The paragraphs about the predictions; none where the study predicts nothing."""
    if not results.predictions:
        return []
    claim = claim_line(results)
    return [
        "## Predictions",
        results.config.preregistration or "`docs/study.md` has the rule that decides each.",
        markdown_table(
            (*VERDICT_COLUMNS, "in words"),
            [(*row, each.statement) for row, each in zip(verdicts(results), results.predictions, strict=True)],
        ),
        *_families(results),
        *([claim] if claim else []),
    ]


def _families(results: StudyResults) -> list[str]:
    """A paragraph for each family of predictions: which these are, and what corrects them."""
    families: dict[str, list[str]] = {}
    for each in results.predictions:
        if each.family is not None:
            families.setdefault(each.family, []).append(each.name)
    return [
        f"Family {family}: {_names(names)} are corrected together by Holm (two-sided p of paired t tests); one is held "
        "only if its corrected p is below .05, too."
        for family, names in families.items()
    ]


def _budget(budget: StudyBudget) -> str:
    """PPO steps, refreshes and optimizer steps of every arm in words, without the changes of single points."""
    arms = budget.arms
    base = "one base reward model" + (f" of {budget.base_steps} optimizer steps" if budget.base_steps else "")
    sentences = [
        f"Every arm gets {budget.ppo_steps} PPO steps of {budget.completions_a_step} completions, and starts "
        f"with {base}, as far as a point changes nothing of that."
    ]
    by_steps: dict[Any, list[str]] = {}
    for name, arm in arms.items():
        if arm.refreshes:
            by_steps.setdefault((arm.refreshes, arm.refresh_steps), []).append(name)
    for (refreshes, steps), names in by_steps.items():
        given = f"{steps} optimizer steps" if steps else "as many optimizer steps as its pairs take"
        sentences.append(
            f"Refreshed {'once, by' if refreshes == 1 else f'{refreshes} times, each by'} {given}: {_names(names)}."
        )
    groups = {
        "Of these, from SFT, so that the refresh's steps are all that their last reward model has seen": [
            name for name, arm in arms.items() if arm.init == "sft"
        ],
        "Never refreshed, so without any steps beyond the base reward model's": [
            name for name, arm in arms.items() if not arm.refreshes
        ],
    }
    sentences += [f"{what}: {_names(names)}." for what, names in groups.items() if names]
    sentences += [
        f"`{name}` trains {arm.base_models} base reward models." for name, arm in arms.items() if arm.base_models > 1
    ]
    return " ".join(sentences)


def _names(names: Sequence[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _changes(results: StudyResults, point: str) -> str:
    changes = list(_leaves(results.config.points[point].changes))
    return ", ".join(f"`{key}={printable(str(value))}`" for key, value in changes) or "none"


def _leaves(values: dict[str, Any], key: str = "") -> list[tuple[str, Any]]:
    return [
        leaf
        for name, value in values.items()
        for leaf in (_leaves(value, f"{key}{name}.") if isinstance(value, dict) else [(f"{key}{name}", value)])
    ]


def _p(against: ArmComparison | None) -> str:
    return p_value(None if against is None else against.p_holm)


def _p_over_points(against: ArmComparison | None) -> str:
    return p_value(None if against is None else against.p_holm_over_points)


def _gold(against: ArmComparison | None) -> str:
    return NO_FIGURE if against is None else signed_estimate(against.gold)


def _equal_kl(against: ArmComparison | None) -> str:
    return NO_FIGURE if against is None else f"{signed_estimate(against.at_equal_kl)} ({against.before_refresh})"
