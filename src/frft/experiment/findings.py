"""What the figures of a run say in plain sentences, and how far they can be trusted."""

from __future__ import annotations

import math
from collections import Counter

from frft.errors import printable
from frft.experiment.table import percent_with_interval, who_judges
from frft.labels import ALL_PAIRS
from frft.results import ArmFigures, GoldJudgeFigures, NamedJudgeFigures, RunResults
from frft.reward import AuditInfo, RewardEvaluation, why_refused
from frft.statistics import OrderAccuracy, holm
from frft.statistics.intervals import SIGNIFICANCE_LEVEL

ABOVE, NOT_SHOWN, BELOW, NOTHING = "above", "not shown to be above", "below", "nothing to order"
"""How an accuracy compares with chance (50 %), by whether its confidence interval lies above, around or below it."""


def interpret(results: RunResults) -> list[str]:
    """The findings of a run, one or two sentences a line: verdict, judge, base model, cut texts, looks, refreshes."""
    lines = [*_verdict(results), *_without_verdict(results)]
    lines += [*(_by_gold(results) if results.in_a_world else []), *_by_the_judge(results), *_base_model(results)]
    prompts = results.data.evaluation_prompts
    if prompts.trained_on:
        lines.append(
            f"{prompts.trained_on} of the {prompts.used} evaluation prompts were also trained on; the win rates "
            "say less about others."
        )
    lines += _cut_texts(results)
    lines.append(
        "One seed: before believing a difference, repeat with others: the same command with seeds=3 and another --out."
    )
    return [
        *lines,
        *_shaped(results),
        *_restarts(results),
        *_looks(results),
        *_fresh_labels(results),
        *_gates(results),
        *_short_selections(results),
    ]


def memory_line(results: RunResults) -> str:
    """Peak memory of one process, and the prediction for it."""
    predicted = max(stage.predicted_peak_memory_bytes for stage in results.stages) / 2**30
    workers = results.workers.count
    where = f" in each of {workers} worker processes" if workers > 1 else ""
    return f"{results.peak_memory_bytes / 2**30:.1f} GiB at most{where} (predicted: {predicted:.1f})"


def _verdict(results: RunResults) -> list[str]:
    compared = {
        name: arm.evaluation.win_rate for name, arm in results.arms.items() if arm.evaluation.win_rate is not None
    }
    if not compared:
        return []
    p_values = holm({name: win.p_value for name, win in compared.items()})
    decided = [name for name, p in p_values.items() if p < SIGNIFICANCE_LEVEL]
    apart = [
        f"{', '.join(names)} {'is' if len(names) == 1 else 'are'} {how} than vanilla"
        for names, how in (
            ([name for name in decided if compared[name].rate > 0.5], "better"),
            ([name for name in decided if compared[name].rate < 0.5], "worse"),
        )
        if names
    ]
    verdict = " and ".join(apart) or "no arm can be told from vanilla"
    whose = "the true reward" if isinstance(results.judge, GoldJudgeFigures) else who_judges(results)
    lines = [f"By {whose}, {verdict} (level 5 %, corrected for the number of comparisons, {len(compared)}, by Holm)."]
    alone = [name for name in compared if name not in decided and compared[name].p_value < SIGNIFICANCE_LEVEL]
    if alone:
        lines.append(f"Told from vanilla only if it were the one comparison made: {', '.join(alone)}.")
    needed = {name: win.n_to_settle for name, win in compared.items() if win.n_to_settle is not None}
    if needed:
        most = ", ".join(f"{name} {prompts:,}" for name, prompts in needed.items())
        lines.append(f"Prompts that would settle a difference of the size seen (power 80 %): {most}.")
    return lines


def _without_verdict(results: RunResults) -> list[str]:
    """Pairs that the judge had no verdict on, arm by arm."""
    rates = {name: arm.evaluation.win_rate for name, arm in results.arms.items()}
    return [
        f"Arm {name}: {rate.unjudged} of {rate.pairs + rate.unjudged} pairs have no verdict in both orders, and are "
        "left out of its win rate."
        for name, rate in rates.items()
        if rate is not None and rate.unjudged
    ]


def _by_the_judge(results: RunResults) -> list[str]:
    """How reliable the judge is, by its accuracy on labelled pairs."""
    match results.judge:
        case GoldJudgeFigures():
            return []
        case NamedJudgeFigures():
            return _by_a_named_judge(results.judge)
    return _by_a_trained_judge(results.judge.held_out)


def _by_a_named_judge(judge: NamedJudgeFigures) -> list[str]:
    lines = [
        f"How often {judge.name} agrees with the labels was not measured; a win rate says no more than its judge does."
    ]
    if not judge.scores:
        lines.append(f"{judge.name} compares and gives no scores: there is no column of its mean score.")
    if judge.replies:
        took = judge.replies
        unread = f", {took.unparsable} of them without a readable verdict" if took.unparsable else ""
        cost = "" if took.cost is None else f", which cost {took.cost:.4f}"
        lines.append(
            f"It gave {took.judged + took.unparsable} replies to this run{unread}: {took.prompt_tokens} prompt tokens "
            f"and {took.completion_tokens} completion tokens{cost}."
        )
    return lines


def _by_gold(results: RunResults) -> list[str]:
    start = results.start.by_gold
    arms = {name: arm.evaluation.by_gold for name, arm in results.arms.items()}
    before, vanilla = start.gold, arms["vanilla"].gold
    # sqrt(a^2 + b^2) takes both means for independent. They share prompts, so the true error is smaller: an upper
    # bound. Of a single request there is no standard error, and no difference is shown.
    errors = [math.inf if each.standard_error is None else each.standard_error for each in (before, vanilla)]
    error = math.hypot(*errors)
    moved = vanilla.mean - before.mean
    what = "raised" if moved > 2 * error else "lowered" if moved < -2 * error else "is not shown to have changed"
    at_the_end = ", ".join(f"{name} {_in_percent(found.on_policy)}" for name, found in arms.items())
    lines = [
        f"Reinforcement learning {what} the true reward: {before.mean:+.2f} before it, "
        f"{vanilla.mean:+.2f} in vanilla (standard error of the difference at most {error:.2f}).",
        "Of two texts by the policy itself, the reward model names the truly better one in "
        f"{_in_percent(start.on_policy)} before it; at the end: {at_the_end}. A coin: 50 %.",
    ]
    by_chance: dict[str, list[str]] = {}
    for name, found in arms.items():
        by_chance.setdefault(_against_chance(found.on_policy), []).append(name)
    meanings = {
        NOT_SHOWN: (
            "Not shown to be better than a coin at the end",
            "There, a higher score of the reward model may no longer mean a higher reward.",
        ),
        BELOW: (
            "Worse than a coin at the end",
            "There, the text with the higher score is more often the worse one.",
        ),
        NOTHING: (
            "Nothing to tell apart at the end",
            "There, both texts to every prompt have equal true rewards.",
        ),
    }
    return lines + [
        f"{what}: {', '.join(by_chance[chance])}. {meaning}"
        for chance, (what, meaning) in meanings.items()
        if chance in by_chance
    ]


def _by_a_trained_judge(judge: RewardEvaluation) -> list[str]:
    chance = _against_chance(judge)
    meaning = {
        ABOVE: "; a win rate says no more than its judge does.",
        NOT_SHOWN: ", which is not shown to be above chance: these win rates may say nothing about quality.",
        BELOW: ", which is below chance: these win rates say the opposite of what the labels say.",
    }[chance]
    return [f"The judge agrees with the labels of {_in_percent(judge)} of {judge.n} held-out pairs{meaning}"]


def _base_model(results: RunResults) -> list[str]:
    base = results.base_reward.held_out
    chance = _against_chance(base)
    if chance == ABOVE:
        return []
    return [
        f"The reward model that all arms start with agrees with the labels of {_in_percent(base)} "
        f"of {base.n} held-out pairs, which is {chance} chance: there may be little signal for a refresh to work with."
    ]


def _in_percent(found: OrderAccuracy | RewardEvaluation) -> str:
    return percent_with_interval(found.accuracy, found.interval)


def _against_chance(found: OrderAccuracy | RewardEvaluation) -> str:
    if found.interval is None:
        return NOTHING
    low, high = found.interval
    return ABOVE if low > 0.5 else BELOW if high < 0.5 else NOT_SHOWN


def _shaped(results: RunResults) -> list[str]:
    """Arms that were trained with a shaped reward."""
    return [
        f"Arm {name} was trained with PAR, against {arm.references} completion{'s' * (arm.references > 1)} of SFT a "
        "prompt: its scores during training are probabilities of being preferred, not to be compared with other arms'."
        for name, arm in results.arms.items()
        if arm.references
    ]


def _restarts(results: RunResults) -> list[str]:
    """Arms whose policy was trained from SFT again, and what is left of their budget."""
    return [
        f"Arm {name}: after step {', '.join(map(str, arm.restarted_after))} its policy was trained from SFT again. The "
        f"policy that is compared has {left} step{'s' * (left != 1)} behind it, not {len(arm.ppo)}, at the learning "
        "rates of the last ones."
        for name, arm in results.arms.items()
        if arm.restarted_after and (left := len(arm.ppo) - arm.restarted_after[-1])
    ]


def _looks(results: RunResults) -> list[str]:
    """What the looks found during training, and the refreshes and stops that followed."""
    lines = []
    for name, arm in results.arms.items():
        seen = [f"after step {look.step}: {', '.join(look.fired)}" for look in arm.looks if look.step and look.fired]
        if seen:
            lines.append(f"Arm {name}, alarms while it was trained: {'; '.join(seen)}. See `frft diagnose`.")
        if arm.stopped_after is not None:
            lines.append(
                f"Arm {name} stopped after step {arm.stopped_after} of {results.total_steps}, where its reward was "
                "found over-optimised (monitor.stop); other arms had more steps."
            )
    decided = {
        name: (_accepted(arm), arm.when) for name, arm in results.arms.items() if arm.when not in (None, "scheduled")
    }
    for name, (steps, when) in decided.items():
        if steps:
            what = "step" if len(steps) == 1 else "steps"
            lines.append(f"Arm {name} was refreshed after {what} {', '.join(map(str, steps))} (when: {when}).")
    never = [name for name, (steps, _) in decided.items() if not steps]
    if never:
        lines.append(
            f"Never refreshed, because no look called for it or the gate refused, and so the same as vanilla: "
            f"{', '.join(never)}."
        )
    return lines


def _accepted(arm: ArmFigures) -> list[int]:
    """Steps after which an arm had an accepted refresh; an arm refreshed without data has no gate to refuse it."""
    if not arm.refreshes:
        return arm.refreshed_after
    return [refresh.after_step for refresh in arm.accepted]


def _gates(results: RunResults) -> list[str]:
    lines = []
    for name, arm in results.arms.items():
        for number, refresh in enumerate(arm.refreshes, start=1):
            if refresh.gate is not None and not refresh.accepted:
                lines.append(
                    f"Arm {name}, refresh {number}: its reward model was kept aside by the gate "
                    f"({why_refused(refresh.gate)}); training went on with the one before."
                )
    return lines


def _cut_texts(results: RunResults) -> list[str]:
    """How many texts were cut, by kind of stage (all arms together), and how many exceeded the embedder's window."""
    sums: dict[str, Counter[str]] = {}
    for stage in results.stages:
        for counts in stage.truncated.values():
            sums.setdefault(stage.kind, Counter()).update(vars(counts))
    cut = [
        f"{kind} {each['prompts']} and {each['completions']} of {each['sequences']}"
        for kind, each in sums.items()
        if each["prompts"] or each["completions"]
    ]
    lines = []
    if cut:
        lines.append(
            "Texts that were cut to fit, by kind of stage (those that lost the beginning of their prompt, and the end "
            f"of their completion, of all sequences): {'; '.join(cut)}. In results.json they stand stage by stage."
        )
    embedded = {
        f"{name} {', '.join(f'{count} {side}' for side, count in truncated.items() if count)}": None
        for name, arm in results.arms.items()
        for refresh in arm.refreshes
        if any((truncated := refresh.selection.counts.truncated).values())
    }
    if embedded:
        lines.append(
            "Texts longer than the embedder's window, of which a selection compared the beginnings only: "
            f"{'; '.join(embedded)}."
        )
    return lines


def _fresh_labels(results: RunResults) -> list[str]:
    """What fresh labels each arm asked for, what became of them, and what they bought."""
    lines = []
    for name, arm in results.arms.items():
        if not arm.labels:
            continue
        uses: Counter[str] = Counter()
        not_asked = 0
        for labels in arm.labels:
            uses.update(
                {"to train on": labels.train, "to test on": labels.test, "without an answer": labels.unanswered}
            )
            not_asked += labels.not_asked or 0
            uses.update(labels.left_out)
        answers = uses.total() - uses["without an answer"]
        uses["for audit and gate"] = arm.asked_to_check
        said = ", ".join(f"{count} {_LEFT_OUT.get(use, use)}" for use, count in uses.items() if count)
        labellers = list(dict.fromkeys(labeller for labels in arm.labels for labeller in labels.labellers))
        who = " and ".join(labellers)
        if len(labellers) > 1:
            # Several may answer one question, so that there are more answers than labels were asked for.
            who += f", who gave {answers} answers"
        left = f" {not_asked} more were not asked for: the budget in tokens or cost was spent." if not_asked else ""
        lines.append(f"Arm {name} asked for {arm.asked} labels by {who}: {said}.{left} {_bought(results, arm)}")
        lines += [
            f"Arm {name}, refresh {number}: {_audit(refresh.audit)}"
            for number, refresh in enumerate(arm.refreshes, start=1)
            if refresh.audit is not None
        ]
    return lines


_LEFT_OUT = {"tie": "ties", "skip": "skipped", "repeat": "repetitions"}


def _audit(audit: AuditInfo) -> str:
    """What an audit said of each source of the selected pairs, and how many of these pairs are used."""
    said = []
    for name, source in audit.sources.items():
        found = source.audit
        answers = found.agreements + found.disagreements
        earlier = ", from an earlier refresh" if name in audit.earlier else ""
        what = "its labels" if name == ALL_PAIRS else printable(name)
        said.append(f"{what}: {found.decision} ({found.agreements} of {answers} as labelled{earlier})")
    return (
        f"the audit ({audit.asked} labels) of the selected pairs says {'; '.join(said)}. "
        f"{audit.used} of {sum(audit.pairs.values())} are used."
    )


def _bought(results: RunResults, arm: ArmFigures) -> str:
    """What an arm has above vanilla, in all and per 100 labels."""
    if results.in_a_world:
        gain = arm.evaluation.by_gold.gold.mean - results.arms["vanilla"].evaluation.by_gold.gold.mean
        each = f", {100 * gain / arm.asked:+.2f} per 100 labels" if arm.asked else ""
        return f"Its gold reward is {gain:+.2f} from vanilla's{each}."
    if arm.evaluation.win_rate is None:
        return ""
    points = 100 * (arm.evaluation.win_rate.rate - 0.5)
    each = f", {100 * points / arm.asked:+.1f} per 100 labels" if arm.asked else ""
    return f"Its win rate is {points:+.1f} points from one half{each}."


def _short_selections(results: RunResults) -> list[str]:
    lines = []
    for name, arm in results.arms.items():
        for number, refresh in enumerate(arm.refreshes, start=1):
            counts = refresh.selection.counts
            if counts.taken < counts.wanted:
                lines.append(
                    f"Arm {name}, refresh {number}: only {counts.taken} of the {counts.wanted} wanted pairs "
                    f"qualified; compare it with care."
                )
    return lines
