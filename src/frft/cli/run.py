"""`frft run`."""

from __future__ import annotations

from pathlib import Path

from frft.config.model import RunConfig


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

    Stopped and started again with the same command, it goes on where it stopped, within PPO at the last checkpoint.
    Several processes train each arm together when they are launched: accelerate launch -m frft run ...

    Parameters
    ----------
    config
        A preset (see `frft presets`) or a YAML file (see `frft init`).
    overrides
        Settings as key=value, with dotted keys: data.pairs=PATH ppo.total_steps=8
    out
        The folder of the run; new, empty, or that of the same run.
    store
        The folder of the stages that runs share, or none. Default: the variable FRFT_STORE, or ~/.cache/frft/store.
    limit
        A smoke run on this many pairs.
    dry_run
        Print the resolved configuration and the plan, and what is there already; write nothing.
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
    from frft.cli.output import print_json, print_table, print_text
    from frft.progress import SILENT, duration, for_terminal

    try:
        results = experiment.run(resolved, out, for_terminal() if is_main_process() else SILENT, store=store)
    except BaseException as stop:
        stop.add_note("The same command goes on where this one stopped.")
        raise
    if not is_main_process():
        return
    if json:
        print_json(results)
        return
    print_table(experiment.columns(results), experiment.results_table(results))
    for name, meaning in experiment.legend(results):
        print_text(f"  {name:<15} {meaning}")
    print_text("")
    for line in experiment.interpret(results):
        print_text(f"• {line}")
    print_text(
        f"\n{duration(results['seconds_of_this_start'])} ({duration(results['seconds'])} of stages in all), "
        f"{experiment.memory_line(results)}."
    )
    places = {"all figures": "results.json", "a picture": "training.svg", "what each arm wrote": "arms"}
    print_text("; ".join(f"{what}: {out / name}" for what, name in places.items()))


def _plan(config: RunConfig, out: Path, store: str | None, *, json: bool) -> None:
    from frft import experiment
    from frft.cli.output import print_json, print_table, print_text, print_verbatim
    from frft.config import dump_config
    from frft.progress import duration, for_terminal

    stages = experiment.plan_run(config, out, for_terminal(), store=store)
    left = sum(stage.seconds for stage in stages)
    if json:
        steps = [
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
        print_json({"config": config.model_dump(), "stages": steps, "seconds": round(left, 1)})
        return
    print_verbatim(dump_config(config))
    rows = [
        (
            stage.name,
            ", ".join(stage.arms),
            "is there" if stage.done else "in the store" if stage.stored else f"about {duration(stage.seconds)}",
            f"{stage.memory / 2**30:.1f} GiB",
        )
        for stage in stages
    ]
    print_table(("stage", "for", "cost", "memory"), rows, texts=2)
    done = sum(stage.done for stage in stages)
    stored = sum(stage.stored for stage in stages)
    in_store = f", {stored} in the store" if stored else ""
    print_text(
        f"{done} of {len(stages)} stages are there{in_store}; the rest takes very roughly {duration(left)} on this "
        "machine."
    )
    undecided = [name for name in config.arms if (arm := config.arm(name)).alpha and arm.when != "scheduled"]
    if undecided:
        print_text(f"Looks decide on refreshes of {', '.join(undecided)}: counted as if every look called for one.")
    most = max(stage.memory for stage in stages) / 2**30
    print_text(f"A process needs about {most:.1f} GiB at most.")
