"""All figures of a study in one JSON object."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from frft import __version__
from frft.config.model import VANILLA
from frft.results.cell import CellRecord
from frft.results.study import (
    ArmBudget,
    ArmComparison,
    ArmMeasures,
    BaseTraining,
    CellCounts,
    CurvePeak,
    PointResults,
    StepsToVanilla,
    StudyArm,
    StudyBudget,
    StudyResults,
    StudySettings,
)
from frft.statistics import holm
from frft.statistics.estimates import Estimate, estimate
from frft.study.analysis import alike_until, equal_kl_gain, fieller, median_step, paired_p
from frft.study.config import Study
from frft.study.label_measures import LABEL_MEASURES
from frft.study.measured import (
    MEASURES,
    StudyMeasurements,
    mean_of,
    peak_is_within,
    steps_to_vanilla,
)
from frft.study.predictions import claim_verdict, sanity_verdict, verdicts_on


def summarise(study: Study, records: Sequence[CellRecord], failed: Sequence[str]) -> StudyResults:
    """The results of a study, as `study.json` holds them.

    Args:
        study: the study.
        records: the records of its finished cells.
        failed: a line for each cell that failed.
    """
    measured = StudyMeasurements(records)
    points = {point: _point(measured, point, study) for point in study.config.points if point in measured.points}
    config = study.config
    verdicts = verdicts_on(config.predictions, measured, config.roles)
    return StudyResults(
        frft=__version__,
        study=study.name,
        config=StudySettings.of(study.config.model_dump(mode="json"), study.name),
        cells=CellCounts(len(study.cells), len(records), list(failed)),
        seconds_of_cells=round(sum(record.seconds for record in records), 1),
        budget=_budget(study),
        points=_corrected_over_points(points, study.config.primary),
        predictions=verdicts,
        sanity=sanity_verdict(config.sanity, verdicts),
        claim=claim_verdict(config.claim, verdicts),
    )


def _corrected_over_points(points: dict[str, PointResults], primary: str) -> dict[str, PointResults]:
    """The points, with the p-value of FRFT against its control corrected by Holm over all points.

    The points are the family of tests because the overview shows them side by side, one in a row.
    """
    found = {point: results.arms[primary].against_control for point, results in points.items()}
    corrected = holm({point: each.p for point, each in found.items() if each is not None and each.p is not None})
    changed = {}
    for point, p in corrected.items():
        arms, against = points[point].arms, found[point]
        assert against is not None
        arm = replace(arms[primary], against_control=replace(against, p_holm_over_points=p))
        changed[point] = replace(points[point], arms={**arms, primary: arm})
    return {**points, **changed}


def _budget(study: Study) -> StudyBudget:
    """Steps, refreshes and base models of each arm, by the settings of the first point that it runs at."""
    config = study.cells[0].config
    arms: dict[str, ArmBudget] = {}
    for cell in (study.cell(point, study.config.first_seed) for point in study.config.points):
        for name in cell.config.arms:
            arm = cell.config.arm(name)
            refreshed = arm.alpha > 0 and arm.trains
            arms.setdefault(
                name,
                ArmBudget(
                    base_models=arm.ensemble,
                    refreshes=arm.alpha if refreshed else 0,
                    refresh_steps=arm.max_steps if refreshed else None,
                    init=arm.init if refreshed else None,
                ),
            )
    return StudyBudget(
        ppo_steps=config.ppo.total_steps,
        completions_a_step=config.ppo.rollout_batch_size,
        base_steps=config.reward.train.max_steps,
        arms=arms,
    )


def _point(measured: StudyMeasurements, point: str, study: Study) -> PointResults:
    arms = {name: _arm(measured, point, name, study) for name in measured.arms(point)}
    # Two families of tests: all arms of the point against vanilla, and all against the control.
    vanilla = holm(_p_values({name: arm.against_vanilla for name, arm in arms.items()}))
    control = holm(_p_values({name: arm.against_control for name, arm in arms.items()}))
    base = [cell.base_reward.training for cell in measured.cells(point)]
    return PointResults(
        seeds=measured.seeds(point),
        base_reward=BaseTraining(
            float(np.mean([each.pairs for each in base])), float(np.mean([each.steps for each in base]))
        ),
        arms={
            name: replace(
                arm,
                against_vanilla=_corrected(arm.against_vanilla, vanilla.get(name)),
                against_control=_corrected(arm.against_control, control.get(name)),
            )
            for name, arm in arms.items()
        },
    )


def _p_values(against: Mapping[str, ArmComparison | None]) -> dict[str, float]:
    return {name: each.p for name, each in against.items() if each is not None and each.p is not None}


def _corrected(against: ArmComparison | None, p_holm: float | None) -> ArmComparison | None:
    return None if against is None else replace(against, p_holm=p_holm)


def _arm(measured: StudyMeasurements, point: str, name: str, study: Study) -> StudyArm:
    seeds, cells, config = measured.seeds(point, arms=[name]), measured.cells(point, name), study.config
    steps = steps_to_vanilla(cells, name)
    peaks = [peak for peak in measured.values(point, name, "peak", seeds) if peak is not None]
    recovered = None
    if name != VANILLA:
        recovered = fieller(_gained(cells, name, VANILLA), _gained(cells, config.ceiling, VANILLA))
    # Studies that ask for no labels have no figures of any, not even of `labels: gold`, which is older.
    skipped = {"peak"} if measured.have_labels else {"peak", *LABEL_MEASURES}
    found = {
        measure: mean_of(measured.values(point, name, measure, seeds)) for measure in MEASURES if measure not in skipped
    }
    if name == VANILLA:
        # Until the control's refresh the two are one policy with one reward model, which vanilla keeps.
        for measure in ("on_policy", "reward_variance"):
            found[measure] = mean_of(measured.values(point, config.control, f"{measure}_before", seeds))
    return StudyArm(
        **vars(ArmMeasures.of(found, point)),
        against_vanilla=None if name == VANILLA else _against(cells, name, VANILLA),
        against_control=None if name == config.control else _against(cells, name, config.control),
        recovery=recovered,
        gain_per_100_labels=_gain_per_100_labels(cells, name) if measured.have_labels and name != VANILLA else None,
        steps_to_vanilla=StepsToVanilla(
            median=median_step(steps), reached=sum(step is not None for step in steps), n=len(steps)
        ),
        peak=CurvePeak(
            median=float(np.median(peaks)) if peaks else None,
            found=len(peaks),
            within=sum(peak_is_within(cell.arms[name]) for cell in cells),
            n=len(seeds),
        ),
    )


def _gained(cells: Sequence[CellRecord], name: str, other: str) -> list[float]:
    """Mean gold reward after the first refresh of arm `name` less that of `other`, one value for each cell."""
    gold = MEASURES["gold"]
    pairs = [(gold(cell, name), gold(cell, other)) for cell in cells]
    return [own - others for own, others in pairs if own is not None and others is not None]


def _gain_per_100_labels(cells: Sequence[CellRecord], name: str) -> Estimate | None:
    """Gain over vanilla of an arm for each 100 labels that it asked for; None: it asked for none in some cell."""
    labels = [LABEL_MEASURES["labels"](cell, name) for cell in cells]
    gains = _gained(cells, name, VANILLA)
    if not all(labels):
        return None
    return estimate([100 * gain / count for gain, count in zip(gains, labels, strict=True) if count])


def _against(cells: Sequence[CellRecord], name: str, other: str) -> ArmComparison:
    """Compare arm `name` with `other`: gold reward after the first refresh (with a paired t test) and at equal KL.

    `before_refresh` counts the seeds in which one arm was at equal KL while the two were still the same.
    """
    gained = _gained(cells, name, other)
    steps = [(cell.arms[name].steps, cell.arms[other].steps) for cell in cells]
    equal = [equal_kl_gain(*both) for both in steps]
    early = sum(alike_until(*both, step) for both, (_, step) in zip(steps, equal, strict=True))
    return ArmComparison(
        gold=estimate(gained),
        p=paired_p(gained),
        p_holm=None,
        at_equal_kl=estimate([gain for gain, _ in equal]),
        before_refresh=early,
    )
