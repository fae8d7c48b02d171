"""What a run with several seeds prints: a table over the seeds, and what it says in words."""

from __future__ import annotations

from frft.experiment.seeds import (
    ENDED,
    GOLD,
    HELD_OUT,
    JUDGE,
    KL,
    OFF_POLICY,
    ON_POLICY,
    TOKENS,
    WIN_RATE,
    OverSeeds,
    SeedsResults,
)
from frft.statistics import Estimate

SHARES = (WIN_RATE, ON_POLICY, OFF_POLICY, ENDED, HELD_OUT)
TITLES = {
    GOLD: "gold",
    JUDGE: "judge",
    WIN_RATE: "win rate",
    KL: "KL",
    TOKENS: "tokens",
    ON_POLICY: "RM on own texts",
    OFF_POLICY: "RM on pool pairs",
    ENDED: "ended",
    HELD_OUT: "RM held-out",
}
LESS_VANILLA = "less vanilla"


def seeds_columns(results: SeedsResults) -> tuple[str, ...]:
    """The heads of the table."""
    return ("arm", TITLES[_primary(results)], LESS_VANILLA, *(TITLES[key] for key in _others(results)))


def seeds_table(results: SeedsResults) -> list[tuple[str, ...]]:
    """One row for each arm: means over the seeds, with the half-width of the 95 % interval where it tells most."""
    primary, rows = _primary(results), []
    for name, figures in results.arms.items():
        less = figures[primary].less_vanilla if primary in figures else None
        rows.append(
            (
                name,
                _cell(primary, figures.get(primary)),
                "baseline" if less is None else _signed(less),
                *(_cell(key, figures.get(key)) for key in _others(results)),
            )
        )
    return rows


def seeds_legend(results: SeedsResults) -> list[tuple[str, str]]:
    """What the columns mean."""
    in_a_world, seeds = results.judge == "gold", ", ".join(map(str, results.seeds))
    score = "true reward of what the arm writes" if in_a_world else "the judge's score of what the arm writes"
    return [
        ("all", f"means over the seeds {seeds}; ± and [ ]: Student's 95 % interval over the seeds"),
        (TITLES[_primary(results)], f"mean {score}"),
        (LESS_VANILLA, "its difference to vanilla's with the same seed"),
        ("others", "as in the table of each run; `frft diagnose` takes the folder of one seed"),
    ]


def interpret_seeds(results: SeedsResults) -> list[str]:
    """What was found, a sentence or two a line."""
    primary = _primary(results)
    what = "true reward" if primary == GOLD else "judge's score"
    compared = {name: less for name, each in results.arms.items() if (less := each[primary].less_vanilla) is not None}
    lines = []
    for name, less in compared.items():
        if less.interval is None:
            lines.append(f"{name}: one seed has no interval.")
            continue
        low, high = less.interval
        verdict = "above" if low > 0 else "below" if high < 0 else "not shown to differ from"
        lines.append(
            f"Over {less.n} seeds, the {what} of {name} is {verdict} vanilla's: "
            f"{less.mean:+.3f} [{low:+.3f}, {high:+.3f}]."
        )
    if len(compared) > 1:
        lines.append(f"Each interval is at the 95 % level by itself; there are {len(compared)} of them.")
    if len(results.seeds) < 8:
        named = isinstance(results.config["seeds"], list)
        more = "more seeds in its list" if named else f"seeds={2 * len(results.seeds)}"
        lines.append(
            f"{len(results.seeds)} seeds make wide intervals. The same command with {more} goes on after these."
        )
    return lines


def _primary(results: SeedsResults) -> str:
    return GOLD if results.judge == "gold" else JUDGE


def _others(results: SeedsResults) -> list[str]:
    own = [WIN_RATE, KL, TOKENS]
    return [*own, ON_POLICY, OFF_POLICY] if results.judge == "gold" else [*own, ENDED, HELD_OUT]


def _cell(key: str, figure: OverSeeds | None) -> str:
    if figure is None:
        return "baseline" if key == WIN_RATE else "–"
    scale, digits, unit = (100, 1, " %") if key in SHARES else (1, 1, "") if key == TOKENS else (1, 2, "")
    return f"{scale * figure.over_seeds.mean:.{digits}f}{_half(figure.over_seeds, scale, digits)}{unit}"


def _half(found: Estimate, scale: float, digits: int) -> str:
    return "" if found.interval is None else f" ± {scale * (found.interval[1] - found.mean):.{digits}f}"


def _signed(found: Estimate) -> str:
    if found.interval is None:
        return f"{found.mean:+.2f}"
    return f"{found.mean:+.2f} [{found.interval[0]:+.2f}, {found.interval[1]:+.2f}]"
