"""`frft label`: `pick`, `ask` and `status` (the others are in `label_exchange` and `label_answer`)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import App, Parameter

from frft.cli.judges import JudgeArguments, Judging
from frft.cli.label_answer import answer_command
from frft.cli.label_exchange import export_command, import_command
from frft.cli.pool import PoolOptions, Reading, as_in_a_run
from frft.cli.samples import SampleKeys, SamplesBesidePairs
from frft.config.sections import Section
from frft.errors import UsageError

if TYPE_CHECKING:
    from frft.labels import DrawnQuestions, LabelCandidates, LabellerAgreement, LabellerSummary, QueueSummary
    from frft.progress import Progress
    from frft.statistics.estimates import Estimate

label_app = App(
    name="label", help="Fresh labels: choose pairs, have them labelled by judges or people, and use the answers."
)
label_app.command(answer_command, name="answer")
label_app.command(export_command, name="export")
label_app.command(import_command, name="import")


class AnnotationOptions(Section):
    """Options for reading stored annotations."""

    split: str = as_in_a_run("split")
    max_rejected: float = as_in_a_run("max_rejected")


Annotating = Annotated[AnnotationOptions, Parameter(name="*")]


@label_app.command(name="pick")
def pick_command(
    *,
    out: Path,
    budget: int,
    samples: list[str] | None = None,
    pairs: list[str] | None = None,
    pick: Literal["random"] = "random",
    reading: Reading = PoolOptions(),
    keys: SamplesBesidePairs = SampleKeys(),
    model: str | None = None,
    step: int | None = None,
    purpose: Literal["train", "test", "audit", "gate"] = "train",
    test_share: float = 0.0,
    repeat_share: float = 0.0,
    not_in: list[Path] | None = None,
    seed: int = 0,
    json: bool = False,
) -> None:
    """Choose pairs to have labelled: of a policy's own completions, or of a pool of preference pairs.

    The budget is spread evenly over the prompts. No pair is asked about twice, and a coin decides which completion is
    shown on the left.

    Parameters
    ----------
    out
        File of the questions and of all answers to them; a new one.
    budget
        Number of labels: training, test and repetitions together.
    samples
        The policy's completions, two or more for a prompt: rows of prompt and completion. Any two different completions
        of one prompt are a pair. Files, folders, globs, or ids of data sets on the Hub.
    pairs
        Instead of samples: preference pairs, whose own labels nobody is shown.
    pick
        How pairs are chosen: random, the control of every other rule.
    reading
        How to read pairs and samples.
    keys
        How to read the samples.
    model
        Use only the samples whose column `model` has this value; needed where they are of several.
    step
        PPO steps after which the policy wrote the samples; kept with the labels.
    purpose
        What the labels are for.
    test_share
        Share of the budget to set aside for a test, 0 to 1; a conversation is in one of the two alone.
    repeat_share
        Share of the budget for hidden repetitions of earlier questions, below 0.5, half of them with their sides
        exchanged: they measure how consistent a labeller is.
    not_in
        Earlier files of labels, whose pairs are not asked about again.
    seed
        Random seed of the draw; take another one for another refresh.
    json
        Print the counts as JSON.
    """
    from frft.cli.output import print_json, print_text
    from frft.cli.targets import check_file, check_not_read
    from frft.labels import DrawShares, QueueHead, draw_questions, read_queue, write_queue
    from frft.labels.queue import check_free
    from frft.labels.rows import QUEUE_FORMAT, now
    from frft.progress import for_terminal

    sources = samples if pairs is None else pairs
    if sources is None or None not in (samples, pairs):
        raise UsageError("Give either --samples or --pairs: what to choose pairs of.")
    if pairs is not None and (model is not None or step is not None or keys.model_fields_set):
        raise UsageError(
            "--model, --step, --samples-prompt-key and --completion-key describe --samples; leave them out with "
            "--pairs."
        )
    if pairs is None and reading.model_fields_set & {"prompt_key", "chosen_key", "rejected_key"}:
        raise UsageError(
            "--prompt-key, --chosen-key and --rejected-key name columns of --pairs. Those of samples are named by "
            "--samples-prompt-key and --completion-key."
        )
    if step is not None and step < 0:
        raise UsageError(f"--step is {step}; it must be at least 0.")
    shares = DrawShares(purpose, test_share, repeat_share)
    check_file(out)
    check_not_read([out], sources, split=reading.split)
    check_free(out)
    progress = for_terminal()
    earlier = [read_queue(each, progress) for each in not_in or []]
    candidates = _candidates(samples, pairs, reading, keys, model, step, progress)
    candidates = candidates.without(question for each in earlier for question in each.questions.values())
    drawn = draw_questions(candidates, budget, seed=seed, shares=shares)
    head = QueueHead(
        format=QUEUE_FORMAT,
        made=now(),
        pick=pick,
        seed=seed,
        budget=budget,
        read={"samples" if pairs is None else "pairs": sources, "not_in": [str(each) for each in not_in or []]},
        counts=drawn.counts,
    )
    write_queue(out, head, drawn.questions)
    if json:
        print_json({"file": str(out), "pick": pick, "seed": seed, "budget": budget, "counts": drawn.counts})
        return
    for line in _drawn_in_words(drawn, out, budget, "completions" if pairs is None else "pairs"):
        print_text(line)


def _candidates(
    samples: list[str] | None,
    pairs: list[str] | None,
    reading: PoolOptions,
    keys: SampleKeys,
    model: str | None,
    step: int | None,
    progress: Progress,
) -> LabelCandidates:
    from frft.labels import policy_candidates, pool_candidates

    if pairs is not None:
        return pool_candidates(reading.load(pairs, progress).table)
    written = keys.beside(reading).load(samples or [], progress, model=model)
    if model is None and len(written.models) > 1:
        names = ", ".join(sorted(written.models))
        raise UsageError(f"The samples are of several models: {names}. Name the one to have labelled: --model NAME.")
    policy = model or next(iter(written.models), None)
    return policy_candidates(written.prompts, written.completions, policy=policy, step=step)


_REASONS = {
    "blank": "without text",
    "repeated": "that repeat another one",
    "alone": "alone with their prompt",
    "same_sides": "with two equal sides",
}


def _drawn_in_words(drawn: DrawnQuestions, out: Path, budget: int, what: str) -> list[str]:
    counts = drawn.counts
    lines = [f"Wrote {out}: {counts['questions']} questions ({_purposes_in_words(counts)})."]
    left_out = [f"{counts[name]} {said}" for name, said in _REASONS.items() if counts.get(name)]
    out_of = f", {', '.join(left_out)}, which are left out" if left_out else ""
    lines.append(
        f"Read {counts['read']} {what}{out_of}. There are {counts['candidates']} pairs to choose from, on "
        f"{counts['prompts']} prompts."
    )
    if counts["asked_before"]:
        lines.append(f"Another {counts['asked_before']} pairs are in the files of --not-in.")
    if counts["questions"] < budget:
        lines.append(f"That is fewer than the budget of {budget} labels: there are no more pairs.")
    lines.append(f"Next: `frft label answer {out} --as NAME` or `frft label ask {out} --judge JUDGE`.")
    return lines


def _purposes_in_words(counts: Mapping[str, int]) -> str:
    found = [f"{counts[name]} {name}" for name in ("train", "test", "audit", "gate") if counts.get(name)]
    return ", ".join([*found, *([f"{counts['repeat']} hidden repetitions"] if counts.get("repeat") else [])])


@label_app.command(name="ask")
def ask_command(
    queue: Path,
    *,
    judge: str,
    options: Judging = JudgeArguments(),
    reading: Annotating = AnnotationOptions(),
    labeller: str | None = None,
    budget: int | None = None,
    budget_tokens: int | None = None,
    budget_cost: float | None = None,
    json: bool = False,
) -> None:
    """Have a judge answer the questions of a file that it has not answered yet.

    Each question is asked once, in the order in which its sides are shown. A question without a usable reply has no
    label, is counted, and is asked again by the same command.

    Parameters
    ----------
    queue
        File of `frft label pick`.
    judge
        gold:WORLD_FOLDER, rm:REWARD_MODEL, annotations:FILE, or openai:MODEL, a chat model.
    options
        Options of the judge.
    reading
        How to read annotations.
    labeller
        Name under which the answers are kept; default: the judge's.
    budget
        Maximum number of labels of this labeller in the file; default: no limit.
    budget_tokens
        Maximum number of tokens of its requests and replies; default: no limit.
    budget_cost
        Maximum cost, in the unit of --price; default: no limit.
    json
        Print the counts as JSON.
    """
    from frft.cli.output import print_json, print_text
    from frft.evaluation import JudgeLabeller, counts_in_words
    from frft.labels import LabelBudget, ask_labeller, open_queue
    from frft.progress import for_terminal

    limits = LabelBudget(budget, budget_tokens, budget_cost)
    progress = for_terminal()
    with open_queue(queue, progress) as file:
        asked = options.judge(judge, reading.split, reading.max_rejected, progress)
        name = labeller or judge
        try:
            with options.accounted(asked, progress):
                report = ask_labeller(file, JudgeLabeller(asked, name), limits, progress)
        except BaseException as stop:
            if not getattr(stop, "__notes__", None):
                stop.add_note("Answers so far are kept, and the same command goes on with them.")
            raise
        counts = file.counts(name)
    if json:
        print_json(
            {
                "labeller": name,
                "answered": report.answered,
                "failed": report.failed,
                "stopped": report.stopped,
                "counts": counts.as_dict(),
                "judge": {"name": judge, **asked.counts()},
            }
        )
        return
    print_text(
        f"{report.answered} questions answered by {name}; {report.failed} without a usable reply. Of "
        f"{counts.questions} questions it has answered {counts.answered}, and {counts.pending} are open."
    )
    if report.stopped:
        print_text(f"Stopped at the budget in {report.stopped}.")
    for line in counts_in_words(asked.counts()):
        print_text(line)


@label_app.command
def status(queue: Path, *, json: bool = False) -> None:
    """Say what a file of labels holds: who answered how many questions, how fast, and how consistently.

    Parameters
    ----------
    queue
        File of `frft label pick`.
    json
        Print JSON.
    """
    from frft.cli.output import print_json
    from frft.labels import read_queue, summarise_queue
    from frft.progress import for_terminal

    summary = summarise_queue(read_queue(queue, for_terminal()))
    if json:
        print_json({"file": str(queue), **summary.as_dict()})
    else:
        _print(summary)


def _print(summary: QueueSummary) -> None:
    from frft.cli.output import print_table, print_text

    whole = summary.all
    print_text(
        f"{whole.questions} questions ({_purposes_in_words(summary.purposes)}): {whole.answered} answered, "
        f"{whole.skipped} skipped by all who saw them, {whole.pending} open."
    )
    if summary.steps:
        steps = ", ".join(f"{step} ({count})" for step, count in summary.steps.items())
        print_text(f"Written by a policy after so many PPO steps (questions): {steps}.")
    if not summary.labellers:
        print_text("Nobody has answered yet.")
        return
    print_table(
        ("labeller", "answered", "left", "right", "tie", "skipped", "open", "failed", "undone", "median time"),
        [(name, *_cells(each)) for name, each in summary.labellers.items()],
    )
    for name, each in summary.labellers.items():
        for line in _remarks(name, each):
            print_text(line)
    if summary.agreement is not None:
        for line in _agreement_in_words(summary.agreement):
            print_text(line)


def _cells(each: LabellerSummary) -> tuple[str, ...]:
    counts = each.counts
    numbers = (counts.answered, each.left, each.right, each.tie, counts.skipped, counts.pending, counts.failed)
    seconds = "–" if each.median_seconds is None else f"{each.median_seconds:.1f} s"
    return (*map(str, numbers), str(each.undone), seconds)


def _percent(estimate: Estimate) -> str:
    low, high = estimate.interval or (estimate.mean, estimate.mean)
    return f"{100 * estimate.mean:.0f} % [{100 * low:.0f}, {100 * high:.0f}]"


def _agreement_in_words(found: LabellerAgreement) -> list[str]:
    alpha = found.alpha
    value = "undefined, because all answers are the same"
    if alpha.alpha is not None:
        low, high = alpha.alpha.interval or (alpha.alpha.mean, alpha.alpha.mean)
        value = f"{alpha.alpha.mean:.2f} [{low:.2f}, {high:.2f}]"
    lines = [f"Krippendorff's alpha of {alpha.answers} answers to questions with two or more: {value}."]
    if alpha.single:
        lines.append(f"{alpha.single} questions have fewer than two answers.")
    if alpha.undefined_draws:
        lines.append(f"{alpha.undefined_draws} of the interval's bootstrap samples have no alpha, and are left out.")
    lines += [
        f"{pair.first} and {pair.second} agree in {pair.agree} of {pair.questions} questions, ties aside. If they err "
        f"independently, each is right in about {_percent(pair.accuracy)}; in fewer if they err alike."
        for pair in found.pairs
        if pair.accuracy is not None
    ]
    return lines


def _remarks(name: str, each: LabellerSummary) -> list[str]:
    lines = []
    if (same := each.consistency) is not None:
        low, high = same.interval
        lines.append(
            f"{name}: {same.same} of {same.repeats} repetitions answered as before, {100 * same.share:.0f} % "
            f"[{100 * low:.0f}, {100 * high:.0f}]; of {same.exchanged} with exchanged sides, {same.same_side} with the "
            "same side again."
        )
        if same.accuracy is not None:
            lines.append(
                f"{name}: whoever is that consistent is right in at most {_percent(same.accuracy)} of such pairs, ties "
                "aside; less, if the same errors come twice."
            )
    if each.pool:
        lines.append(f"{name}: agrees with the pool's own label in {each.pool_agrees} of {each.pool} pairs.")
    if each.tokens is not None:
        cost = "" if each.cost is None else f", which cost {each.cost:.4f}"
        lines.append(f"{name}: {each.tokens} tokens{cost}.")
    return lines
