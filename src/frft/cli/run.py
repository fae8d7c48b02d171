"""`frft run`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from frft.config.model import RunConfig

if TYPE_CHECKING:
    from frft.results import RunResults, SeedsResults

if TYPE_CHECKING:
    from frft.experiment import PlannedStage


def run_command(
    config: str,
    /,
    *overrides: str,
    out: Path,
    store: str | None = None,
    limit: int | None = None,
    dry_run: bool = False,
    json: bool = False,
) -> None:
    """Run an experiment: train all arms, compare them, write everything to one folder.

    If it is stopped, the same command resumes it where it stopped, within PPO at the last checkpoint.
    Several processes train each arm together when they are launched: accelerate launch -m frft run ...

    Parameters
    ----------
    config
        A preset (see `frft presets`) or a YAML file (see `frft init`).
    overrides
        Settings as key=value, with dotted keys: data.pairs=PATH ppo.total_steps=8 seeds=3
    out
        The folder of the run; new, empty, or that of the same run.
    store
        Folder of the shared store of finished stages, or none. Default: the environment variable FRFT_STORE, or
        ~/.cache/frft/store.
    limit
        A smoke run on this many pairs.
    dry_run
        Print the resolved configuration and the plan, with what is finished already; write nothing.
    json
        Print the results (or the plan) as JSON.
    """
    from frft.config import load_config
    from frft.models import is_main_process

    resolved = load_config(config, overrides, limit=limit)
    if dry_run:
        if is_main_process():
            _plan(resolved, out, store, json=json)
        return
    from frft import experiment
    from frft.cli.output import print_json
    from frft.progress import SILENT, for_terminal
    from frft.results import SeedsResults

    try:
        results = experiment.run(resolved, out, for_terminal() if is_main_process() else SILENT, store=store)
    except BaseException as stop:
        stop.add_note("The same command goes on where this one stopped.")
        raise
    if not is_main_process():
        return
    if json:
        print_json(results.as_dict())
    elif isinstance(results, SeedsResults):
        _show_seeds(results, out)
    else:
        _show(results, out)


def _show(results: RunResults, out: Path) -> None:
    from frft import experiment
    from frft.cli.output import print_table, print_text
    from frft.progress import duration

    print_table(experiment.columns(results), experiment.results_table(results))
    for name, meaning in experiment.legend(results):
        print_text(f"  {name:<15} {meaning}")
    print_text("")
    for line in experiment.interpret(results):
        print_text(f"• {line}")
    print_text(
        f"\n{duration(results.seconds_of_this_start)} ({duration(results.seconds)} of stages in all), "
        f"{experiment.memory_line(results)}."
    )
    stored = [stage for stage in results.stages if stage.from_store]
    if stored:
        saved = sum(stage.seconds for stage in stored)
        print_text(f"From the store: {len(stored)} of {len(results.stages)} stages, which took {duration(saved)}.")
    places = {"all figures": "results.json", "a picture": "training.svg", "what each arm wrote": "arms"}
    print_text("; ".join(f"{what}: {out / name}" for what, name in places.items()))


def _show_seeds(found: SeedsResults, out: Path) -> None:
    from frft import experiment
    from frft.cli.output import print_table, print_text
    from frft.progress import duration

    print_table(experiment.seeds_columns(found), experiment.seeds_table(found))
    for name, meaning in experiment.seeds_legend(found):
        print_text(f"  {name:<15} {meaning}")
    print_text("")
    for line in experiment.interpret_seeds(found):
        print_text(f"• {line}")
    print_text(f"\n{duration(found.seconds_of_this_start)} ({duration(found.seconds)} of stages in all).")
    print_text(f"all figures: {out / 'results.json'}; the run with each seed: {out / 'seeds'}")


def _plan(config: RunConfig, out: Path, store: str | None, *, json: bool) -> None:
    from frft import experiment
    from frft.cli.output import print_json, print_table, print_text, print_verbatim
    from frft.config import dump_config
    from frft.progress import duration, for_terminal

    if config.seeds is not None:
        _show_plans(config, experiment.plan_seeds(config, out, for_terminal(), store=store), json=json)
        return
    stages = experiment.plan_run(config, out, for_terminal(), store=store)
    left = sum(stage.seconds for stage in stages)
    if json:
        print_json({"config": config.model_dump(), "stages": _as_json(stages), "seconds": round(left, 1)})
        return
    print_verbatim(dump_config(config))
    rows = [
        (
            stage.name,
            ", ".join(stage.arms),
            "finished" if stage.done else "in the store" if stage.stored else f"about {duration(stage.seconds)}",
            f"{stage.memory / 2**30:.1f} GiB",
        )
        for stage in stages
    ]
    print_table(("stage", "for", "cost", "memory"), rows, texts=2)
    done = sum(stage.done for stage in stages)
    stored = sum(stage.stored for stage in stages)
    in_store = f", {stored} in the store" if stored else ""
    print_text(
        f"{done} of {len(stages)} stages are finished{in_store}; the rest takes very roughly {duration(left)} on this "
        "machine."
    )
    _remark_on_looks(config)
    most = max(stage.memory for stage in stages) / 2**30
    print_text(f"A process needs about {most:.1f} GiB at most.")


def _show_plans(config: RunConfig, plans: dict[int, list[PlannedStage]], *, json: bool) -> None:
    """Print the plan of a run with several seeds: a row for each seed, and the time of all of them."""
    from frft.cli.output import print_json, print_table, print_text, print_verbatim
    from frft.config import dump_config
    from frft.progress import duration

    # A stage that several seeds share is built once: its time counts for the first of them.
    first: dict[str, int] = {}
    for seed, stages in plans.items():
        for stage in stages:
            first.setdefault(stage.name, seed)
    own = {seed: sum(stage.seconds for stage in stages if first[stage.name] == seed) for seed, stages in plans.items()}
    if json:
        seeds = {str(seed): _as_json(stages) for seed, stages in plans.items()}
        print_json({"config": config.model_dump(), "seeds": seeds, "seconds": round(sum(own.values()), 1)})
        return
    print_verbatim(dump_config(config))
    rows = [
        (
            str(seed),
            str(len(stages)),
            str(sum(stage.done for stage in stages)),
            str(sum(stage.stored for stage in stages)),
            duration(own[seed]),
        )
        for seed, stages in plans.items()
    ]
    print_table(("seed", "stages", "finished", "in the store", "the rest takes about"), rows)
    every = [stage for stages in plans.values() for stage in stages]
    print_text(
        f"{len(every)} stages, {len(first)} different ones; {sum(stage.done or stage.stored for stage in every)} are "
        f"finished or in the store; the rest takes very roughly {duration(sum(own.values()))} on this machine. "
        "Without seeds, the plan of a single run shows every stage."
    )
    _remark_on_looks(config)
    print_text(f"A process needs about {max(stage.memory for stage in every) / 2**30:.1f} GiB at most.")


def _as_json(stages: list[PlannedStage]) -> list[dict[str, Any]]:
    return [
        {
            "stage": stage.name,
            "arms": stage.arms,
            "done": stage.done,
            "in_store": stage.stored,
            "seconds": round(stage.seconds, 1),
            "peak_memory_bytes": stage.memory,
        }
        for stage in stages
    ]


def _remark_on_looks(config: RunConfig) -> None:
    from frft.cli.output import print_text

    undecided = [name for name in config.arms if (arm := config.arm(name)).alpha and arm.when != "scheduled"]
    if undecided:
        print_text(
            f"Looks decide on the refreshes of {', '.join(undecided)}; the plan counts as if every look called for one."
        )
