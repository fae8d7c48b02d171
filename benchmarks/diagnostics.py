"""Are the diagnostics right? What looks at a training say, against the gold reward, which a world knows.

The judge of the looks is a held-out reward model, as on people's pairs: trained on pairs that nothing else saw. Each
look says the same once more by gold. Worlds and sizes: diagnostics.yaml.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from benchmarks.results import FOLDER, machine, report
from frft.config import RunConfig
from frft.config.model import merged
from frft.diagnosis.links import POLICY_EVALUATION, TRAINING_POLICY, Link
from frft.experiment.looks import BROKEN
from frft.progress import for_terminal
from frft.results import GoldView, LookInfo
from frft.results.cell import CellArm, CellRecord
from frft.statistics import Estimate
from frft.statistics.estimates import estimate, share, smoothed
from frft.statistics.intervals import share_interval
from frft.study.cell import digest, read_record
from frft.study.config import Cell
from frft.study.measured import MEASURES
from frft.study.runner import run_cells

View = LookInfo | GoldView
"""What one judge made of a look."""
Row = dict[str, str]

SETTINGS = Path(__file__).with_suffix(".yaml")
SIGNS = {
    "over-optimisation or past the peak": {"over-optimisation", "past the peak"},
    "accuracy on own texts no better than a coin": {f"{BROKEN}{TRAINING_POLICY}"},
}
FIGURES: dict[str, Callable[[View], float | None]] = {
    "accuracy on own texts": lambda view: view.links[0].figure,
    "share of prompts with proxy up and judge down": lambda view: (
        None if view.movement is None else view.movement.proxy_up_judge_down.mean
    ),
    "rank correlation of proxy and judge": lambda view: view.links[1].figure,
}
VIEWS: dict[str, Callable[[LookInfo], View]] = {"the judge": lambda look: look, "gold": lambda look: by_gold(look)}
SAME = "same texts"
OVER = SIGNS["over-optimisation or past the peak"] | {
    f"{BROKEN}{name}" for name in (TRAINING_POLICY, POLICY_EVALUATION)
}
COLUMNS = {"what": "{what}", "where": "{where}", "figure [95 %]": "{figure}", "of": "{of}"}
FELL = 0.1
"""How far gold must fall for a peak to count: a tenth of its standard deviation in a pool.

Rollouts say where the peak is, but not whether it is one: of a curve that never falls the highest of many noisy points
lies this much above the last one in a third to a half of all runs (simulated, with the noise of these). Whether gold
fell is said by other texts, those of the looks.
"""


def main() -> None:
    """Run what is left, write results/diagnostics.*, and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", type=Path, default=FOLDER / "diagnostics", help="what was run; the same goes on")
    parser.add_argument("--workers", type=int, default=2, help="processes, each with one seed")
    options = parser.parse_args()
    cells = make_cells(yaml.safe_load(SETTINGS.read_text()))
    left = [cell for cell in cells if _digest_of(options.work, cell) != digest(cell)]
    if left:
        run_cells(left, options.work, options.workers, for_terminal())
    records = [record for cell in cells if (record := read_record(options.work, cell)) is not None]
    seeds = sorted({record.seed for record in records})
    notes = [
        f"{machine()}. Seeds {seeds[0]} to {seeds[-1]}; {len(records)} of {len(cells)} runs.",
        "Intervals: Student's over seeds; Wilson's for shares, looks of one run being a cluster.",
    ]
    report("diagnostics", notes, table(records), COLUMNS)


def _digest_of(work: Path, cell: Cell) -> str | None:
    record = read_record(work, cell)
    return None if record is None else record.digest


def by_gold(look: LookInfo) -> GoldView:
    """What the gold reward says, which a world always knows beside a judge."""
    assert look.by_gold is not None
    return look.by_gold


def make_cells(settings: Mapping[str, Any]) -> list[Cell]:
    """Every point with every seed, seed by seed."""
    cells = []
    for seed in range(settings["first_seed"], settings["first_seed"] + settings["seeds"]):
        for name, point in settings["points"].items():
            run = merged(settings["base"], point.get("changes", {}))
            run = merged(run, {"seed": seed, "threads": 1, "workers": 1, "data": {"world": {"seed": seed}}})
            run["arms"] = {arm: settings["arms"][arm] for arm in point["arms"]}
            cells.append(Cell(name, seed, RunConfig.model_validate(run)))
    return cells


def table(records: Sequence[CellRecord]) -> list[Row]:
    """All figures, a row each."""
    of: dict[str, list[CellRecord]] = {}
    for record in records:
        of.setdefault(record.point, []).append(record)
    rows = []
    for point, own in of.items():
        vanilla = [record.arms["vanilla"] for record in own]
        rows += _estimates(point, vanilla) + _alarms(point, vanilla)
        if "gated" in own[0].arms:
            rows += _gate(point, own)
        for name in own[0].arms:
            if name != "vanilla":
                rows += _gain(point, own, name, "vanilla")
    return rows


def _estimates(point: str, arms: Sequence[CellArm]) -> list[Row]:
    """What looks say against what is true; a mean for each run.

    Of the same texts and reward models: how far the judge is from gold. Of other texts by the same last policy: how far
    the accuracy of the last look is from that of the run's evaluation.
    """
    rows = []
    for what, figure in FIGURES.items():
        by_run = [
            [(figure(look), figure(by_gold(look))) for look in arm.looks[1:] if _both(figure, look)] for arm in arms
        ]
        pairs_RK2 = [np.array(pairs, float) for pairs in by_run if pairs]
        if pairs_RK2:
            seen, true = np.concatenate(pairs_RK2).mean(axis=0)
            means = f"runs; mean {seen:.2f} by the judge, {true:.2f} by gold"
            errors = [pairs[:, 0] - pairs[:, 1] for pairs in pairs_RK2]
            mean, size = estimate([each.mean() for each in errors]), [np.abs(each).mean() for each in errors]
            rows.append(_row(f"{what}: the judge's less gold's, {SAME}", point, mean, means))
            rows.append(_row(f"{what}: size of that difference", point, estimate(size), "runs"))
    within = [
        (record, mine.interval[0] <= true <= mine.interval[1])
        for record, arm in enumerate(arms)
        for look in arm.looks[1:]
        if (mine := look.links[0]).interval and (true := by_gold(look).links[0].figure) is not None
    ]
    rows.append(_looks(f"accuracy on own texts: gold's figure lies in the judge's interval, {SAME}", point, within))
    for name, view in VIEWS.items():
        rows += _on_other_texts(name, point, [(view(arm.looks[-1]).links[0], arm) for arm in arms])
    fell = [(peak, arm.looks[-1]) for arm in arms if (peak := fall_of(arm)) is not None and peak[1]]
    for name, view in VIEWS.items():
        off = [float(np.log(d / peak[1])) for peak, look in fell if (d := fitted(view(look)))]
        if off:
            what = f"log of d* as fitted by {name} over d at gold's smoothed peak, both of the rollouts"
            rows.append(_row(what, point, estimate(off), f"of {len(fell)} runs in which gold fell"))
    return rows


def _on_other_texts(name: str, point: str, links: Sequence[tuple[Link, CellArm]]) -> list[Row]:
    measured = [(link, link.figure, arm.evaluation.by_gold.on_policy.accuracy) for link, arm in links]
    known = [(link, seen, true) for link, seen, true in measured if seen is not None and true is not None]
    if not known:
        return []
    within = [link.interval[0] <= true <= link.interval[1] for link, _, true in known if link.interval]
    what = f"accuracy on own texts at the end, by {name}"
    off = estimate([seen - true for _, seen, true in known])
    return [
        _row(f"{what}, less gold's on other texts", point, off, "runs"),
        _row(f"{what}: gold's on other texts lies in the interval", point, share(sum(within), len(within)), "runs"),
    ]


def _both(figure: Callable[[View], float | None], look: LookInfo) -> bool:
    return figure(look) is not None and figure(by_gold(look)) is not None


def _alarms(point: str, arms: Sequence[CellArm]) -> list[Row]:
    """When the signs of over-optimisation come, and whether there was anything to raise one about."""
    peaks = [fall_of(arm) for arm in arms]
    fell = share(sum(peak is not None for peak in peaks), len(peaks))
    rows = [_row(f"gold ends more than {FELL} below what it was near its peak, on other texts", point, fell, "runs")]
    for sign, names in SIGNS.items():
        for judge, view in VIEWS.items():
            first = [next((look.step for look in arm.looks[1:] if names & {*view(look).fired}), None) for arm in arms]
            for outcome, did in (("fell", True), ("did not fall", False)):
                steps = [step for step, peak in zip(first, peaks, strict=True) if (peak is not None) is did]
                if steps:
                    seen = share(sum(step is not None for step in steps), len(steps))
                    rows.append(_row(f"{sign}, by {judge}, where gold {outcome}", point, seen, "runs"))
            lead = [
                float(peak[0] - step)
                for step, peak in zip(first, peaks, strict=True)
                if step is not None and peak is not None
            ]
            if lead:
                what = f"{sign}, by {judge}: steps before gold's peak (below 0: after it)"
                rows.append(_row(what, point, estimate(lead), "runs"))
    others = [(record, {*look.fired} - OVER) for record, arm in enumerate(arms) for look in arm.looks]
    which = ", ".join(sorted(set[str]().union(*(names for _, names in others))))
    rows.append(
        _looks(f"other alarms{which and f': {which}'}", point, [(record, bool(names)) for record, names in others])
    )
    return rows


def _gate(point: str, records: Sequence[CellRecord]) -> list[Row]:
    gates = [
        refresh.gate.accepted
        for record in records
        for refresh in record.arms["gated"].refreshes
        if refresh.gate is not None
    ]
    return [
        _row("refreshes that the gate let in", point, share(sum(gates), len(gates)), "refreshes"),
        *_gain(point, records, "gated", "scheduled"),
    ]


def _gain(point: str, records: Sequence[CellRecord], arm: str, other: str) -> list[Row]:
    """Gold of one arm less another's: in the mean of all steps after the first refresh, and at the end."""
    refreshes = sum(len(record.arms[arm].refreshed_after) for record in records)
    rows = []
    for when, name in {"in the mean after the first refresh": "gold", "at the end": "gold_final"}.items():
        pairs = [(MEASURES[name](record, arm), MEASURES[name](record, other)) for record in records]
        differences = [own - others for own, others in pairs if own is not None and others is not None]
        rows.append(
            _row(
                f"gold reward {when}: {arm} less {other}", point, estimate(differences), f"runs, {refreshes} refreshes"
            )
        )
    return rows


def fall_of(arm: CellArm) -> tuple[int, float] | None:
    """The step of the highest smoothed gold reward and d = sqrt(KL) there; None: gold does not fall after it.

    The look nearest the peak and the last one say whether it falls, each of texts of its own.
    """
    gold_T, kl_T = smoothed(arm.steps.gold), smoothed(arm.steps.kl)
    step = int(gold_T.argmax()) + 1
    near = min(arm.looks, key=lambda look: abs(look.step - step))
    # An arm that is never refreshed is compared with the SFT model at every look.
    high, last = (_gold_moved(by_gold(look)) for look in (near, arm.looks[-1]))
    return (step, float(np.sqrt(max(0.0, kl_T[step - 1])))) if high - last > FELL else None


def _gold_moved(view: GoldView) -> float:
    assert view.movement is not None
    return view.movement.judge.estimate.mean


def fitted(view: View) -> float | None:
    """d* of the curve that a look has fitted."""
    return None if view.gao is None else view.gao.peak


def _looks(what: str, where: str, found: Sequence[tuple[int, bool]]) -> Row:
    """A share of looks, of which those of one run are no independent ones."""
    values = [float(value) for _, value in found]
    low, high = share_interval(values, [run for run, _ in found])
    return _row(what, where, Estimate(float(np.mean(values)), low, high, len(values)), "looks")


def _row(what: str, where: str, found: Estimate, of: str) -> Row:
    ends = "" if found.interval is None else f" [{found.interval[0]:+.2f}, {found.interval[1]:+.2f}]"
    return {"what": what, "where": where, "figure": f"{found.mean:+.2f}{ends}", "of": f"{found.n} {of}"}


if __name__ == "__main__":
    main()
