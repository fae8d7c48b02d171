"""One experiment with several seeds: a whole run for each, and estimates over the seeds.

OUT/seeds/SEED/           the run with this seed, as `frft run` leaves it (runner.py)
OUT/results.json          the figures of every arm over the seeds (`SeedsResults`)

Everything that a run draws at random depends on its seed: the splits, the initial weights, the order of training
examples, samples; in a world, the world itself. So runs with different seeds are independent replicates, and an
interval over seeds covers all of these sources of variance. Arms are paired by seed: with one seed, all arms start from
the same SFT and reward model and have the same prompts, so they are compared by their differences.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from frft import __version__
from frft.config import RunConfig
from frft.config.model import VANILLA
from frft.errors import OutputError
from frft.experiment.folder import SEEDS_FOLDER, launched_alone
from frft.experiment.plan import PlannedStage, plan_run
from frft.experiment.prepare import RUN_FILE, different_settings
from frft.experiment.runner import RESULTS_FILE, run_one
from frft.models import is_main_process, peers
from frft.progress import SILENT, Progress
from frft.results import ArmFigures, OverSeeds, RunResults, SeedsResults
from frft.results.run import MADE_ANEW
from frft.statistics import Estimate, estimate
from frft.store import LAUNCHER_LOCK, RESULTS_FORMAT, format_of, names_in, read_sealed, write_sealed


@dataclass(frozen=True)
class SeedFigure:
    """A metric of an arm that is compared over seeds.

    Attributes:
        title: heading of its column in the table.
        of: takes the results of a run and those of one of its arms, and returns the figure; None: that run has none.
        digits: number of decimals shown.
        is_share: whether it is a fraction in [0, 1], shown in percent.
    """

    title: str
    of: Callable[[RunResults, ArmFigures], float | None]
    digits: int = 2
    is_share: bool = False


def _rate(_: RunResults, arm: ArmFigures) -> float | None:
    win = arm.evaluation.win_rate
    return None if win is None else win.rate


def _held_out(results: RunResults, arm: ArmFigures) -> float | None:
    model = arm.accepted[-1].reward_model if arm.accepted else results.base_reward
    return None if model.held_out is None else model.held_out.accuracy


WIN_RATE_KEY = "win_rate"
_COMMON = {
    WIN_RATE_KEY: SeedFigure("win rate", _rate, 1, is_share=True),
    "kl_sft_k1": SeedFigure("KL", lambda _, arm: arm.evaluation.kl_sft_k1),
    "response_tokens": SeedFigure("tokens", lambda _, arm: arm.evaluation.response_tokens, 1),
}
_IN_A_WORLD = {
    "gold": SeedFigure("gold", lambda _, arm: arm.evaluation.by_gold.gold.mean),
    **_COMMON,
    "on_policy": SeedFigure(
        "RM on own texts", lambda _, arm: arm.evaluation.by_gold.on_policy.accuracy, 1, is_share=True
    ),
    "off_policy": SeedFigure(
        "RM on pool pairs", lambda _, arm: arm.evaluation.by_gold.off_policy.gold.accuracy, 1, is_share=True
    ),
}
_BY_A_JUDGE = {
    "judge_score": SeedFigure("judge", lambda _, arm: arm.evaluation.judge_score, 3),
    **_COMMON,
    "has_eos": SeedFigure("ended", lambda _, arm: arm.evaluation.has_eos, 1, is_share=True),
    "held_out": SeedFigure("RM held-out", _held_out, 1, is_share=True),
}


DOMAIN_KEY = "by_domain."
"""What the names of figures begin with that are about one domain, whose name follows."""


def _in_domain(name: str) -> SeedFigure:
    def accuracy(_: RunResults, arm: ArmFigures) -> float | None:
        found = (arm.evaluation.by_domain or {}).get(name)
        return None if found is None else found.gold.accuracy

    return SeedFigure(f"RM on {name}", accuracy, 1, is_share=True)


def figures_of(*, in_a_world: bool, scores: bool, domains: Iterable[str] = ()) -> dict[str, SeedFigure]:
    """The metrics compared over seeds, by their names in the results; the first is the primary one.

    Args:
        in_a_world: whether the gold reward is known.
        scores: whether the judge gives scores; where it does not, the win rate is the primary metric.
        domains: names of the domains in which reward models were measured.
    """
    if in_a_world:
        return {**_IN_A_WORLD, **{f"{DOMAIN_KEY}{name}": _in_domain(name) for name in domains}}
    return {key: figure for key, figure in _BY_A_JUDGE.items() if scores or key != "judge_score"}


def with_seed(config: RunConfig, seed: int) -> RunConfig:
    """The configuration of the run with one seed; in a world, the seed is added to the world's own (0 by default)."""
    values = {**config.model_dump(), "seed": seed, "seeds": None}
    if config.data.world is not None:
        values["data"]["world"]["seed"] += seed
    return RunConfig.model_validate(values)


def run_seeds(
    config: RunConfig, out: Path, progress: Progress = SILENT, *, store: str | Path | None = None
) -> SeedsResults:
    """Run the experiment with every seed, or go on where it was stopped; arguments and errors as `frft.run`."""
    check_seeds_folder(out, config)
    with launched_alone(out, peers(), progress):
        return _run_seeds(config, out, progress, store)


def _run_seeds(config: RunConfig, out: Path, progress: Progress, store: str | Path | None) -> SeedsResults:
    started = time.monotonic()
    found = {}
    for number, seed in enumerate(config.seed_list, start=1):
        progress.say(f"— seed {seed} ({number} of {len(config.seed_list)})")
        found[seed] = run_one(with_seed(config, seed), out / SEEDS_FOLDER / str(seed), progress, store=store)
    results = summarise_seeds(config, found, time.monotonic() - started)
    if is_main_process():
        write_sealed(out / RESULTS_FILE, results.as_dict())
    return results


def plan_seeds(
    config: RunConfig, out: Path, progress: Progress = SILENT, *, store: str | Path | None = None
) -> dict[int, list[PlannedStage]]:
    """The stages of the run with each seed. Nothing is written.

    Raises:
        OutputError: `out` holds something else.
        DataError: the preference data cannot be used.
    """
    check_seeds_folder(out, config)
    return {
        seed: plan_run(with_seed(config, seed), out / SEEDS_FOLDER / str(seed), progress, store=store)
        for seed in config.seed_list
    }


def check_seeds_folder(out: Path, config: RunConfig) -> None:
    """Raise `OutputError` unless `out` is new, empty, or holds runs of this experiment, with these or other seeds."""
    if not out.exists():
        return
    if not out.is_dir():
        raise OutputError(f"--out {out} is a file. Name a folder.")
    if names_in(out) - {LAUNCHER_LOCK} and not (out / SEEDS_FOLDER).is_dir():
        raise OutputError(
            f"--out {out} is not empty and holds no runs with several seeds. Name a new folder; stages of other runs "
            "are found in the store all the same."
        )
    for path in sorted(out.glob(f"{SEEDS_FOLDER}/*/{RUN_FILE}")):
        changed = different_settings(path, with_seed(config, int(path.parent.name)))
        if changed:
            raise OutputError(
                f"--out {out} holds runs of another configuration ({'; '.join(changed[:5])}). Name a new folder, or "
                "repeat the old settings to go on with them."
            )


def seeds_in(out: Path) -> list[int]:
    """The seeds of the runs in this folder; empty where it holds none."""
    return sorted(int(path.parent.name) for path in out.glob(f"{SEEDS_FOLDER}/*/{RUN_FILE}"))


def summarise_seeds(config: RunConfig, found: Mapping[int, RunResults], seconds: float) -> SeedsResults:
    """Estimates over the seeds of every figure of every arm, and of its difference to vanilla.

    Args:
        config: the experiment.
        found: the results of its runs, by seed.
        seconds: wall-clock seconds since this start.
    """
    runs = list(found.values())
    judge = runs[0].judge.kind
    scores = any(arm.evaluation.judge_score is not None for run in runs for arm in run.arms.values())
    figures = figures_of(in_a_world=config.data.world is not None, scores=scores, domains=runs[0].start.by_domain or ())
    values = {
        name: {key: [_number(figure.of(run, run.arms[name])) for run in runs] for key, figure in figures.items()}
        for name in config.arms
    }
    return SeedsResults(
        format=RESULTS_FORMAT,
        kind=SEEDS_FOLDER,
        frft=__version__,
        config=config.model_dump(mode="json"),
        seeds=list(found),
        runs={str(seed): f"{SEEDS_FOLDER}/{seed}" for seed in found},
        judge=judge,
        arms={
            name: {
                key: OverSeeds(own, over, _less(own, values[VANILLA][key]) if _compares(name, key) else None)
                for key, own in each.items()
                if (over := _over(own)) is not None
            }
            for name, each in values.items()
        },
        seconds=round(sum(run.seconds for run in runs), 1),
        seconds_of_this_start=round(seconds, 1),
        peak_memory_bytes=max(run.peak_memory_bytes for run in runs),
    )


def read_seeds(out: Path) -> SeedsResults | None:
    """The results of a run with several seeds; None: the folder holds none, or those of something else."""
    path = out / RESULTS_FILE
    value = read_sealed(path, MADE_ANEW) if path.is_file() else {}
    if value.get("kind") != SEEDS_FOLDER:
        return None
    _ = format_of(value, path)
    return SeedsResults.of(value, path)


def _compares(name: str, key: str) -> bool:
    """Whether a figure has a difference to vanilla; a win rate is a comparison with vanilla already."""
    return name != VANILLA and key != WIN_RATE_KEY


def _over(values: list[float | None]) -> Estimate | None:
    """Mean and interval of the figures that are there; the estimate's `n` tells where some are missing."""
    there = [value for value in values if value is not None]
    return estimate(there) if there else None


def _less(own: list[float | None], vanilla: list[float | None]) -> Estimate | None:
    """Mean and interval of the differences, paired by seed; a seed without either figure has none."""
    return _over([None if a is None or b is None else a - b for a, b in zip(own, vanilla, strict=True)])


def _number(value: float | None) -> float | None:
    return None if value is None or math.isnan(value) else float(value)
