"""What a run with several seeds prints: a table of means over the seeds, and its findings in sentences."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from frft.experiment.seeds import DOMAIN_KEY, WIN_RATE_KEY, SeedFigure, figures_of
from frft.results import OverSeeds, SeedsResults
from frft.statistics import Estimate

LESS_VANILLA = "less vanilla"
"""Heading of the column of differences: arm minus vanilla, paired by seed."""
_DECIDES = {
    "gold": ("true reward", "mean true reward of what the arm writes"),
    "judge_score": ("judge's score", "mean score that the judge gives to what the arm writes"),
    WIN_RATE_KEY: ("win rate", "against vanilla; the judge only compares, and gives no scores"),
}
"""By key of the primary metric: its name in a sentence, and its explanation in the legend."""


def seeds_columns(results: SeedsResults) -> tuple[str, ...]:
    """The table's column headings."""
    first, *others = (figure.title for figure in _figures(results).values())
    return ("arm", first, LESS_VANILLA, *others)


def seeds_table(results: SeedsResults) -> list[tuple[str, ...]]:
    """One row for each arm: means over the seeds, each with the half-width of its 95 % interval."""
    rows = []
    for name, found in results.arms.items():
        first, *others = (_cell(results, key, found.get(key)) for key in _figures(results))
        less = _less_vanilla(results, found)
        rows.append((name, first, "baseline" if less is None else _signed(less), *others))
    return rows


def seeds_legend(results: SeedsResults) -> list[tuple[str, str]]:
    """What the columns mean."""
    seeds, primary = ", ".join(map(str, results.seeds)), _primary(results)
    less = "the win rate less one half" if primary == WIN_RATE_KEY else "its difference to vanilla's with the same seed"
    return [
        ("all", f"means over the seeds {seeds}; ± and [ ]: Student's 95 % interval over the seeds"),
        (_figures(results)[primary].title, _DECIDES[primary][1]),
        (LESS_VANILLA, less),
        ("others", "as in the table of each run; `frft diagnose` takes the folder of one seed"),
    ]


def interpret_seeds(results: SeedsResults) -> list[str]:
    """The findings over all seeds, one or two sentences a line: each arm against vanilla by the primary metric."""
    what = _DECIDES[_primary(results)][0]
    compared = {name: less for name, each in results.arms.items() if (less := _less_vanilla(results, each)) is not None}
    lines = []
    for name, less in compared.items():
        if less.interval is None:
            lines.append(f"{name}: there is only one seed with this figure, so there is no interval.")
            continue
        low, high = less.interval
        verdict = "above" if low > 0 else "below" if high < 0 else "not shown to differ from"
        lines.append(
            f"Over {less.n} seeds, the {what} of {name} is {verdict} vanilla's: "
            f"{less.mean:+.3f} [{low:+.3f}, {high:+.3f}]."
        )
    if len(compared) > 1:
        lines.append(
            f"Each of the {len(compared)} intervals covers 95 % by itself; they are not corrected for their number."
        )
    # Student's t at 95 %: 12.7 standard errors with 2 seeds, 4.3 with 3, 2.4 with 8, against 1.96 with many.
    if len(results.seeds) < 8:
        named = isinstance(results.config["seeds"], list)
        more = "more seeds in its list" if named else f"seeds={2 * len(results.seeds)}"
        lines.append(
            f"{len(results.seeds)} seeds make wide intervals. The same command with {more} goes on after these."
        )
    return lines


def _figures(results: SeedsResults) -> dict[str, SeedFigure]:
    in_a_world = results.config["data"]["world"] is not None
    keys = dict.fromkeys(key for arm in results.arms.values() for key in arm)
    domains = [key.removeprefix(DOMAIN_KEY) for key in keys if key.startswith(DOMAIN_KEY)]
    return figures_of(in_a_world=in_a_world, scores="judge_score" in keys, domains=domains)


def _less_vanilla(results: SeedsResults, found: Mapping[str, OverSeeds]) -> Estimate | None:
    """The arm's difference from vanilla in the primary metric; None for vanilla itself."""
    key = _primary(results)
    if key not in found:
        return None
    if key != WIN_RATE_KEY:
        return found[key].less_vanilla
    rate = found[key].over_seeds
    low, high = (None if end is None else end - 0.5 for end in (rate.low, rate.high))
    # A win rate compares with vanilla already, which would win half of the comparisons with itself.
    return replace(rate, mean=rate.mean - 0.5, low=low, high=high)


def _primary(results: SeedsResults) -> str:
    """Key of the primary metric, which is the first one."""
    return next(iter(_figures(results)))


def _cell(results: SeedsResults, key: str, found: OverSeeds | None) -> str:
    if found is None:
        return "baseline" if key == WIN_RATE_KEY else "–"
    figure = _figures(results)[key]
    scale, unit = (100, " %") if figure.is_share else (1, "")
    mean = f"{scale * found.over_seeds.mean:.{figure.digits}f}"
    return f"{mean}{_half(found.over_seeds, scale, figure.digits)}{unit}"


def _half(found: Estimate, scale: float, digits: int) -> str:
    return "" if found.interval is None else f" ± {scale * (found.interval[1] - found.mean):.{digits}f}"


def _signed(found: Estimate) -> str:
    if found.interval is None:
        return f"{found.mean:+.2f}"
    return f"{found.mean:+.2f} [{found.interval[0]:+.2f}, {found.interval[1]:+.2f}]"
