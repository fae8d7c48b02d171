"""`frft diagnose`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from frft.cli.pool import PoolOptions, Reading
from frft.errors import FrftError, UsageError

if TYPE_CHECKING:
    from frft.diagnosis import Diagnosis, Link


def diagnose(
    run: Path | None = None,
    /,
    *,
    reward_model: str | None = None,
    pairs: list[str] | None = None,
    completions: str | None = None,
    completions_before: str | None = None,
    judge_scores: str | None = None,
    reading: Reading = PoolOptions(),
    max_length: int | None = None,
    json: bool = False,
) -> int:
    """Say whether the reward can still be trusted: three links, the failure signatures, and what to do.

    Exit status: 0 healthy; 1 an alarm fired or a link is broken; 2 no verdict, because the request, the data or a model
    is wrong.

    Parameters
    ----------
    run
        The folder of a `frft run`, finished or under way; or give your own parts:
    reward_model
        The reward model that the policy was trained with: a folder, or a name.
    pairs
        Labelled preference pairs that it was not trained on.
    completions
        What the policy writes: rows of prompt and completion, best two or more to a prompt.
    completions_before
        What it wrote before training, to the same prompts.
    judge_scores
        A judge's score of every one of these completions: rows of prompt, completion and score.
    reading
        How to read the pairs; --split and --max-rejected count for the completions, too.
    max_length
        Longest sequence in tokens, for a reward model that was not trained by frft.
    json
        Print everything as JSON.
    """
    parts = {"--reward-model": reward_model, "--pairs": pairs, "--completions": completions}
    more = {"--completions-before": completions_before, "--judge-scores": judge_scores, "--max-length": max_length}
    if run is not None:
        given = [name for name, value in {**parts, **more}.items() if value is not None]
        if given:
            raise UsageError(f"The folder of a run brings its own parts; leave out {', '.join(given)}, or the folder.")
        with _no_verdict():
            return _run(run, json=json)
    if reward_model is None or pairs is None or completions is None:
        missing = [name for name, value in parts.items() if value is None]
        raise UsageError(f"Name the folder of a run, or give your own parts; {', '.join(missing)} missing.")
    with _no_verdict():
        sources = (completions, completions_before)
        return _parts(reward_model, pairs, sources, judge_scores, reading, max_length, json=json)


@contextmanager
def _no_verdict() -> Iterator[None]:
    """Whatever frft raises on purpose has exit status 2: 1 is a verdict on the reward."""
    try:
        yield
    except FrftError as error:
        error.exit_code = UsageError.exit_code
        raise


def _parts(
    reward_model: str,
    pairs: list[str],
    sources: tuple[str, str | None],
    judge_scores: str | None,
    reading: Reading,
    max_length: int | None,
    *,
    json: bool,
) -> int:
    from frft.cli.output import print_json
    from frft.cli.reward import load_scorer
    from frft.diagnosis import diagnose as diagnosed
    from frft.diagnosis import load_judge_scores, subject_of_parts
    from frft.preferences import load_samples
    from frft.progress import for_terminal

    progress = for_terminal()
    pool = reading.load(pairs, progress)
    written = [
        None
        if source is None
        else load_samples(source, split=reading.split, max_rejected=reading.max_rejected, progress=progress)
        for source in sources
    ]
    after, before = (None if texts is None else (texts.prompts, texts.completions) for texts in written)
    assert after is not None
    judge = None if judge_scores is None else load_judge_scores(judge_scores, split=reading.split, progress=progress)
    model = load_scorer(reward_model, max_length)
    found = diagnosed(subject_of_parts(model, pool.table, after, before, judge, progress=progress))
    if json:
        print_json(found.as_dict())
    else:
        _print(found, found.links)
    return 0 if found.healthy else 1


def _run(folder: Path, *, json: bool) -> int:
    from frft.cli.output import print_json
    from frft.experiment.diagnose import diagnose_run
    from frft.progress import for_terminal

    found = diagnose_run(folder, for_terminal())
    if json:
        print_json(found.as_dict())
    else:
        if not found.finished:
            print("The run is under way: this is what its steps tell so far.\n")
        for arm in found.arms:
            _print(arm, arm.links)
            _print_looks(found.looks.get(arm.name, []))
        print("Over all arms")
        _print_links([found.across])
    return 0 if found.healthy else 1


def _print(found: Diagnosis, links: list[Link]) -> None:
    from frft.cli.output import print_table, print_text

    print_text(f"{found.name}: {'healthy' if found.healthy else 'not healthy'}")
    _print_links(links)
    print_table(
        ("alarm", "", "figure [95 %]", "threshold"),
        [
            (
                alarm.name,
                "FIRED" if alarm.fired else "silent",
                _figure(alarm.figure, alarm.interval),
                f"{alarm.threshold:.3g}",
            )
            for alarm in found.alarms
        ],
        texts=2,
    )
    for alarm in found.fired:
        print_text(f"• {alarm.name} ({alarm.measured}). {alarm.meaning} {alarm.advice}")
    print_table(
        ("symptom", "of what", "before", "after", "change [95 %]"),
        [
            (
                each.name,
                each.unit,
                "–" if each.before is None else f"{each.before.mean:.3f}",
                f"{each.after.mean:.3f}",
                "–" if each.change is None else _figure(each.change.estimate.mean, each.change.estimate.interval),
            )
            for each in found.symptoms
        ],
        texts=2,
    )
    for line in _figures(found):
        print_text(f"• {line}")
    if found.unmeasured:
        print("Not measured:")
    for line in found.unmeasured:
        print_text(f"  - {line}")
    print()


def _print_looks(looks: list[dict[str, Any]]) -> None:
    """What was seen while the arm was trained, against its last refresh, or its start."""
    from frft.cli.output import print_table

    def change(look: dict[str, Any], of: str) -> str:
        found = (look["movement"] or {}).get(of, {}).get("estimate")
        return "–" if found is None or found["low"] is None else f"{found['mean']:+.3f}"

    if looks:
        print("While it was trained, since the last refresh:")
        print_table(
            ("after step", "drift (AUC)", "proxy", "judge", "accuracy on own texts", "alarms"),
            [
                (
                    str(look["step"]),
                    "–" if look["drift"] is None else _figure(look["drift"]["mean"], _ends(look["drift"])),
                    change(look, "proxy"),
                    change(look, "judge"),
                    "–" if look["links"][0]["figure"] is None else f"{look['links'][0]['figure']:.3f}",
                    ", ".join(look["fired"]) or "–",
                )
                for look in looks
            ],
            texts=1,
        )
        print()


def _ends(estimate: dict[str, Any]) -> tuple[float, float] | None:
    return None if estimate["low"] is None else (estimate["low"], estimate["high"])


def _print_links(links: list[Link]) -> None:
    from frft.cli.output import print_table, print_text

    print_table(
        ("link", "", "figure [95 %]"),
        [
            (link.name, link.state, "–" if link.figure is None else _figure(link.figure, link.interval))
            for link in links
        ],
        texts=2,
    )
    for link in links:
        print_text(f"• {link.name}: {link.verdict} {link.advice}")


def _figures(found: Diagnosis) -> list[str]:
    lines = []
    for spread, where in ((found.spread, "the policy"), (found.spread_before, "the policy before training")):
        if spread is not None:
            within = _figure(spread.within.mean, spread.within.interval)
            lines.append(
                f"Under {where}, the reward has mean {spread.mean:+.3f} and variance {within} within prompts, "
                f"{spread.between:.3f} between them."
            )
    if found.spread_raw is not None:
        raw = found.spread_raw
        lines.append(
            f"Before normalisation: mean {raw.mean:+.3g}, variance {raw.within.mean:.3g} and {raw.between:.3g}."
        )
    if found.calibration_error is not None:
        lines.append(f"Its calibration error on held-out pairs is {found.calibration_error:.3f}.")
    if found.gao is not None:
        gao = found.gao
        peak = (
            "shows no peak that could be told from noise"
            if gao.peak is None or gao.peak_interval is None
            else "peaks at d* = {:.2f} [{:.2f}, {:.2f}]".format(gao.peak, *gao.peak_interval)
        )
        lines.append(f"Gao's curve of the judge over d = sqrt(KL) {peak}; the policy is at d = {gao.d:.2f}.")
    return lines


def _figure(value: float, interval: tuple[float, float] | None) -> str:
    return f"{value:.3f}" if interval is None else f"{value:.3f} [{interval[0]:.3f}, {interval[1]:.3f}]"
