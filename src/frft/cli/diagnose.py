"""`frft diagnose`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from frft.cli.judges import JudgeArguments, Judging
from frft.cli.pool import PoolOptions, Reading
from frft.errors import UsageError
from frft.progress import Progress, for_terminal

if TYPE_CHECKING:
    from frft.diagnosis import Diagnosis, Link
    from frft.evaluation import Judge


def diagnose_command(
    run: Path | None = None,
    /,
    *,
    reward_model: str | None = None,
    pairs: list[str] | None = None,
    completions: str | None = None,
    completions_before: str | None = None,
    judge: str | None = None,
    judge_scores: str | None = None,
    options: Judging = JudgeArguments(),
    reading: Reading = PoolOptions(),
    max_length: int | None = None,
    json: bool = False,
) -> int:
    """Say whether the reward can still be trusted: three links, the failure signatures, and what to do.

    Exit status: 0 nothing was found, in what could be measured; 1 an alarm fired or a link is broken; 2 no verdict,
    because the request, the data or a model is wrong.

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
    judge
        Who says which of two completions is better: gold:WORLD_FOLDER, rm:REWARD_MODEL (another one),
        annotations:FILE, or openai:MODEL, a chat model.
    judge_scores
        Or a judge's score of every one of these completions: rows of prompt, completion and score.
    options
        More about the judge.
    reading
        How to read the pairs; --split and --max-rejected count for the completions, too.
    max_length
        Longest sequence in tokens, for a reward model that was not trained by frft.
    json
        Print everything as JSON.
    """
    parts = {"--reward-model": reward_model, "--pairs": pairs, "--completions": completions}
    more = {
        "--completions-before": completions_before,
        "--judge": judge,
        "--judge-scores": judge_scores,
        "--max-length": max_length,
    }
    if run is not None:
        given = [name for name, value in {**parts, **more}.items() if value is not None]
        if given:
            raise UsageError(f"The folder of a run brings its own parts; leave out {', '.join(given)}, or the folder.")
        options.check_unused()
        with _no_verdict():
            return _run(run, json=json)
    if reward_model is None or pairs is None or completions is None:
        missing = [name for name, value in parts.items() if value is None]
        raise UsageError(f"Name the folder of a run, or give your own parts; {', '.join(missing)} missing.")
    if judge is not None and judge_scores is not None:
        raise UsageError("--judge and --judge-scores are two judges; leave one of them out.")
    if judge is None:
        options.check_unused()
    elif judge.startswith("rm:") and _is_one(judge.removeprefix("rm:"), reward_model):
        raise UsageError(f"--judge is {judge!r}, the reward model that is to be judged. Name another one.")
    with _no_verdict():
        progress = for_terminal()
        asked = None if judge is None else options.judge(judge, reading.split, reading.max_rejected, progress)
        sources = (completions, completions_before)
        with options.accounted(asked, progress):
            found = _parts(reward_model, pairs, sources, asked, judge_scores, reading, max_length, progress)
        account = None if asked is None else {"name": judge, **asked.counts()}
        return _report(found, account, json=json)


def _is_one(first: str, second: str) -> bool:
    """Whether two names are those of one model."""
    return first == second or Path(first).resolve() == Path(second).resolve()


@contextmanager
def _no_verdict() -> Iterator[None]:
    """Whatever is raised has exit status 2: 1 is a verdict on the reward."""
    try:
        yield
    except Exception as error:
        error.exit_code = UsageError.exit_code  # type: ignore[attr-defined]
        raise


def _parts(
    reward_model: str,
    pairs: list[str],
    sources: tuple[str, str | None],
    judge: Judge | None,
    judge_scores: str | None,
    reading: Reading,
    max_length: int | None,
    progress: Progress,
) -> Diagnosis:
    from frft.cli.reward import load_scorer
    from frft.diagnosis import diagnose as diagnosed
    from frft.diagnosis import load_judge_scores, subject_of_parts
    from frft.preferences import load_samples

    pool = reading.load(pairs, progress)
    split, most = reading.split, reading.max_rejected
    written = [
        None if source is None else load_samples(source, split=split, max_rejected=most, blank=True, progress=progress)
        for source in sources
    ]
    after, before = (None if texts is None else (texts.prompts, texts.completions) for texts in written)
    assert after is not None
    scores = None if judge_scores is None else load_judge_scores(judge_scores, split=split, progress=progress)
    model = load_scorer(reward_model, max_length)
    return diagnosed(subject_of_parts(model, pool.table, after, before, judge or scores, progress=progress))


def _report(found: Diagnosis, account: dict[str, Any] | None, *, json: bool) -> int:
    from frft.cli.output import print_json, print_text
    from frft.diagnosis import training_to_evaluation
    from frft.evaluation import counts_in_words

    # One reward model is one point of a link that takes five.
    assert found.held_out is not None
    assert found.held_out.accuracy is not None
    across = training_to_evaluation([found.held_out.accuracy], [0.0])
    if json:
        print_json({**found.as_dict(), "across": across.as_dict(), "judge": account})
    else:
        _print(found, [*found.links, across])
        for line in counts_in_words(account or {}):
            print_text(line)
    return 0 if found.healthy else 1


def _run(folder: Path, *, json: bool) -> int:
    from frft.cli.output import print_json
    from frft.experiment.diagnose import diagnose_run

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

    print_text(f"{found.name}: {_state(found, links)}")
    _print_links(links)
    print_table(
        ("alarm", "", "figure [95 %]", "fires"),
        [
            (
                alarm.name,
                "FIRED" if alarm.fired else "silent",
                _figure(alarm.figure, alarm.interval),
                f"{alarm.side} {alarm.threshold:.3g}",
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


def _state(found: Diagnosis, links: list[Link]) -> str:
    if not found.healthy:
        return "not healthy"
    blind = sum(link.state == "not measured" for link in links)
    return f"nothing found, but {blind} of {len(links)} links could not be measured" if blind else "healthy"


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
        print_text(f"• {link.name} ({link.measured}): {link.verdict} {link.advice}")


def _figures(found: Diagnosis) -> list[str]:
    lines = []
    for spread, where in ((found.spread, "the policy"), (found.spread_before, "the policy at the start")):
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
    for accuracy, where in ((found.held_out, "their labels say"), (found.off_policy, "the judge does")):
        if accuracy is not None and accuracy.accuracy is not None:
            ordered = _figure(accuracy.accuracy, accuracy.interval)
            lines.append(f"It orders {accuracy.n} held-out pairs as {where} with accuracy {ordered}.")
    if found.lost is not None:
        lost = _figure(found.lost.mean, found.lost.interval)
        lines.append(f"Accuracy on the policy's own texts less that on held-out pairs is {lost}.")
    if found.calibration_error is not None:
        lines.append(f"Its calibration error on held-out pairs is {found.calibration_error:.3f}.")
    if found.kl is not None:
        lines.append(f"KL from the SFT model is {_figure(found.kl.mean, found.kl.interval)} nats a completion.")
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
