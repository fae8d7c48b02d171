"""`frft eval winrate`; `frft eval tasks` is in `eval_tasks`."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import TYPE_CHECKING

from cyclopts import App

from frft.cli.eval_tasks import tasks
from frft.cli.judges import JudgeArguments, Judging
from frft.cli.samples import SampleOptions, SamplesAlone
from frft.errors import DataError, UsageError

if TYPE_CHECKING:
    from frft.evaluation import LengthControlled, Ranked, WinRate

eval_app = App(name="eval", help="Compare policies: win rates of their completions, and scores on benchmarks.")
eval_app.command(tasks)
_SHOWN = 60
"""Characters of a prompt that an error quotes."""
LITTLE_OVERLAP = 0.1
"""If one side is the longer one in less than this fraction of the pairs, the length-controlled rate is called an
extrapolation."""


@eval_app.command
def winrate(
    *completions: str,
    judge: str,
    options: Judging = JudgeArguments(),
    reading: SamplesAlone = SampleOptions(),
    seed: int = 0,
    json: bool = False,
) -> None:
    """Compare files of completions of the same prompts: win rates with confidence intervals.

    Each pair is judged in both orders. With more than two files, every two are compared, and all are ranked.

    Parameters
    ----------
    completions
        Two files or more (or folders, or data sets on the Hub), with rows of prompt and completion.
    judge
        gold:WORLD_FOLDER, rm:REWARD_MODEL, annotations:FILE, or openai:MODEL, a chat model.
    options
        Options of the judge.
    reading
        How to read the completions.
    seed
        Random seed of the resampling for a ranking's intervals.
    json
        Print JSON.
    """
    from frft.cli.output import print_json, print_text
    from frft.evaluation import compare, counts_in_words, length_controlled, match, rank, rate_of
    from frft.progress import for_terminal
    from frft.statistics import holm

    if len(completions) < 2:
        raise UsageError("A win rate needs two files of completions, or more.")
    if len(set(completions)) < len(completions):
        raise UsageError("A file of completions is given twice; it would be compared with itself.")
    progress = for_terminal()
    asked = options.judge(judge, reading.split, reading.max_rejected, progress)
    arms = {name: reading.load(name, progress) for name in completions}
    # Match all files before the judge is asked anything, which may cost money.
    pairs = {}
    for first, second in combinations(arms, 2):
        one, two = arms[first], arms[second]
        pairs[first, second] = match(one.prompts, one.completions, two.prompts, two.completions)
        if not pairs[first, second].prompts:
            raise DataError(
                f"{first} and {second} share no prompt, so nothing can be compared. The first prompt of one begins "
                f"{one.prompts[0][:_SHOWN]!a}, that of the other {two.prompts[0][:_SHOWN]!a}."
            )
    found, comparisons = {}, {}
    with options.accounted(asked, progress):
        for (first, second), matched in pairs.items():
            comparison = compare(asked, matched.prompts, matched.first, matched.second)
            lengths = [[len(text.strip()) for text in side] for side in (matched.first, matched.second)]
            comparisons[first, second] = comparison
            found[first, second] = (rate_of(comparison), length_controlled(comparison, *lengths), matched.unmatched)
    corrected = holm({pair: rate.p_value for pair, (rate, _, _) in found.items()})
    ranking = rank(comparisons, seed=seed) if len(arms) > 2 else []
    if json:
        print_json(
            {
                "judge": {"name": judge, **asked.counts()},
                "completions": {name: samples.report.as_dict() for name, samples in arms.items()},
                "comparisons": [
                    {
                        "first": first,
                        "second": second,
                        **rate.as_dict(),
                        "p_holm": corrected[first, second],
                        "length_controlled": None if controlled is None else controlled.as_dict(),
                        "unmatched": {"first": unmatched[0], "second": unmatched[1]},
                    }
                    for (first, second), (rate, controlled, unmatched) in found.items()
                ],
                "ranking": [each.as_dict() for each in ranking],
            }
        )
        return
    _print(found, corrected, ranking)
    for line in counts_in_words(asked.counts()):
        print_text(line)


def _print(
    found: dict[tuple[str, str], tuple[WinRate, LengthControlled | None, tuple[int, int]]],
    corrected: dict[tuple[str, str], float],
    ranking: Sequence[Ranked],
) -> None:
    from frft.cli.output import print_table, print_text
    from frft.statistics.intervals import SIGNIFICANCE_LEVEL

    def percent(rate: float, interval: tuple[float, float]) -> str:
        return f"{100 * rate:.1f} % [{100 * interval[0]:.1f}, {100 * interval[1]:.1f}]"

    print_table(
        ("first", "second", "win rate, 95 %", "at equal length", "W / T / L", "prompts", "pairs", "flips", "p (Holm)"),
        [
            (
                first,
                second,
                percent(rate.rate, rate.interval),
                "–" if controlled is None else percent(controlled.rate, controlled.interval),
                f"{rate.wins} / {rate.ties} / {rate.losses}",
                str(rate.n),
                str(rate.pairs),
                "–" if rate.flips is None else str(rate.flips),
                f"{corrected[first, second]:.3g}",
            )
            for (first, second), (rate, controlled, _) in found.items()
        ],
        texts=2,
    )
    for (first, second), (rate, controlled, unmatched) in found.items():
        where = f"{first} against {second}"
        if any(unmatched):
            print_text(f"{where}: {unmatched[0]} and {unmatched[1]} completions have no partner and are left out.")
        if rate.unjudged:
            print_text(f"{where}: {rate.unjudged} pairs have no verdict in both orders and are left out.")
        if controlled is not None and min(controlled.longer, 1 - controlled.longer) < LITTLE_OVERLAP:
            print_text(
                f"{where}: the first is longer in {100 * controlled.longer:.0f} % of the pairs; pairs of equal length "
                "are rare, so the win rate at equal length is an extrapolation."
            )
        if rate.n_to_settle is not None:
            print_text(
                f"{where}: undecided. If the difference is what it seems, about {rate.n_to_settle} prompts would show "
                "it (power 80 %)."
            )
        elif rate.interval[0] <= 0.5 <= rate.interval[1]:
            why = (
                "no difference is seen that more prompts could settle"
                if rate.rate == 0.5
                else f"{rate.n} prompts, which all agree, are too few to tell"
            )
            print_text(f"{where}: undecided; {why}.")
        elif corrected[first, second] >= SIGNIFICANCE_LEVEL:
            print_text(
                f"{where}: significant by itself, but undecided after correction for {len(found)} comparisons (p "
                f"{corrected[first, second]:.2g} by Holm)."
            )
    if ranking:
        print_table(
            ("rank", "arm", "strength, 95 %", "ranks, 95 %", "beats another"),
            [
                (
                    str(place),
                    each.arm,
                    f"{each.strength:+.2f} [{each.interval[0]:+.2f}, {each.interval[1]:+.2f}]",
                    f"{each.ranks[0]} to {each.ranks[1]}",
                    f"{100 * each.win_rate:.1f} %",
                )
                for place, each in enumerate(ranking, start=1)
            ],
            texts=2,
        )
