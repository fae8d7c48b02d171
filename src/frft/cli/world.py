"""`frft world make` and `frft world describe`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import App, Parameter

from frft.config.sections import WorldConfig
from frft.errors import UsageError

if TYPE_CHECKING:
    from frft.worlds import Measurements

world_app = App(name="world", help="Preference worlds: generated data whose true reward is known.")
Dials = Annotated[WorldConfig, Parameter(name="*")]


@world_app.command
def make(*, out: Path, config: Dials = WorldConfig(), json: bool = False) -> None:
    """Write a world as files that every other command reads.

    Parameters
    ----------
    out
        Folder of the files; new or empty. It appears when they are complete.
    config
        Settings of the world.
    json
        Print the counts as JSON.
    """
    from frft.cli.output import print_json, print_text
    from frft.cli.targets import check_new_folder, new_folder
    from frft.progress import for_terminal
    from frft.worlds import World, write_world

    check_new_folder(out)
    with new_folder(out) as unfinished:
        rows = write_world(World(config), unfinished, for_terminal())
    if json:
        print_json({"folder": str(out), "rows": rows})
    else:
        print_text("\n".join(f"{count:>9,}  {out / name}" for name, count in rows.items()))


@world_app.command(name="describe")
def world_describe(folder: Path | None = None, *, config: Dials = WorldConfig(), json: bool = False) -> None:
    """Measure a world before any network is trained: rewards, annotators, and the cost of averaging them.

    Parameters
    ----------
    folder
        Folder of `frft world make`; none: the world with the settings given here.
    config
        Settings of the world.
    json
        Print JSON.
    """
    from frft.cli.output import print_json
    from frft.worlds import World, measure_world

    if folder is not None and config != WorldConfig():
        raise UsageError(f"{folder} has dials of its own; give either the folder or dials.")
    measured = measure_world(World(config) if folder is None else World.load(folder))
    if json:
        print_json(measured.as_dict())
    else:
        _print(measured)


def _print(measured: Measurements) -> None:
    from frft.cli.output import print_table, print_text

    print_text(f"{measured.pairs:,} pairs measured, on {measured.distinct_prompts:,} different prompts; "
          f"{measured.vocabulary} words in all texts")  # fmt: skip
    for what, (median, p95) in (("prompt", measured.prompt_tokens), ("completion", measured.completion_tokens)):
        print_text(f"tokens of a {what}: median {median:.0f}, 95 % up to {p95:.0f}")
    print_text(f"gold reward: mean {measured.gold_mean:.2f}, standard deviation {measured.gold_sd:.2f}; "
          f"equal in {measured.gold_ties:.1%} of the pairs, which are left out of every agreement below")  # fmt: skip
    print_text(f"chosen is the longer one in {measured.chosen_longer:.1%} of the pairs of unequal length")
    print_text(f"coupling: {measured.annotators_follow} and annotator share {measured.coupling_bits:.2f} bits; style "
          f"tells the annotator in {measured.style_predicts:.1%} "
          f"(always naming the most frequent: {measured.most_frequent:.1%})")  # fmt: skip
    print_table(
        ("annotator", "pairs", "lambda", "bias sd", "bias ~ gold", "utility agrees with gold", "labels agree"),
        [
            (
                each.annotator,
                f"{each.pairs:,}",
                f"{each.weight:g}",
                f"{each.bias_sd:.2f}",
                "-" if each.bias_gold is None else f"{each.bias_gold:+.2f}",
                f"{each.utility_agrees:.1%}",
                f"{each.labels_agree:.1%}",
            )
            for each in measured.annotators
        ],
    )
    if measured.unmeasured:
        print_text(f"{measured.unmeasured} more annotators judge too few of these pairs to be measured")
    if measured.domains:
        _print_domains(measured)
    reward = "r*" if measured.domains else "gold reward"
    print_text(f"Averaging: Bradley-Terry on {reward} and style, one fit on all pairs and one on each source's own; "
          "held-out pairs")  # fmt: skip
    print_table(
        ("source", "gold", "sd", "tokens", "log loss, all", "own", "averaging costs", "agrees with gold, all", "own"),
        [
            (
                each.source,
                f"{each.gold:.2f}",
                f"{each.gold_sd:.2f}",
                f"{each.tokens:.0f}",
                f"{each.loss_pooled:.3f}",
                f"{each.loss_own:.3f}",
                f"{each.loss_pooled - each.loss_own:+.3f}",
                f"{each.gold_pooled:.1%}",
                f"{each.gold_own:.1%}",
            )
            for each in measured.sources
        ],
    )


def _print_domains(measured: Measurements) -> None:
    from frft.cli.output import print_table, print_text

    print_text("Domains: Bradley-Terry on r* and style, fitted on all pairs (blind to the domain, and given it), on "
          "each domain's own, and on those of the others; held-out pairs of each domain")  # fmt: skip
    fits = ("all", "given domain", "own", "others'")
    for what in ("accuracy", "gold_agreement"):
        title = "agrees with gold" if what == "gold_agreement" else "right on labels"
        print_table(
            ("domain", "pairs", "gold", "sd", f"{title}, {fits[0]}", *fits[1:], "averaging costs"),
            [
                (
                    each.domain,
                    f"{each.pairs:,}",
                    f"{each.gold:.2f}",
                    f"{each.gold_sd:.2f}",
                    *("-" if share is None else f"{share:.1%}" for share in getattr(each, what)),
                    f"{getattr(each, what)[2] - getattr(each, what)[0]:+.1%}",
                )
                for each in measured.domains
            ],
        )
