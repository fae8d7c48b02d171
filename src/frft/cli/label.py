"""`frft label`: `ask` and `status` (the others are in the files beside this one, `label_*.py`)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import App, Parameter

from frft.cli.judges import JudgeArguments, Judging
from frft.cli.label_agreement import agreement_in_words, percent_in_words
from frft.cli.label_answer import answer_command
from frft.cli.label_audit import audit_sources_command
from frft.cli.label_exchange import export_command, import_command
from frft.cli.label_pick import pick_command, purposes_in_words
from frft.cli.label_plan import plan_command
from frft.cli.pool import as_in_a_run
from frft.config.sections import Section
from frft.errors import quantity

if TYPE_CHECKING:
    from frft.labels import LabellerSummary, QueueSummary

label_app = App(
    name="label", help="Fresh labels: choose pairs, have them labelled by judges or people, and use the answers."
)
label_app.command(pick_command, name="pick")
label_app.command(answer_command, name="answer")
label_app.command(audit_sources_command, name="audit")
label_app.command(export_command, name="export")
label_app.command(import_command, name="import")
label_app.command(plan_command, name="plan")


class AnnotationOptions(Section):
    """Options for reading stored annotations."""

    split: str = as_in_a_run("split")
    max_rejected: float = as_in_a_run("max_rejected")


Annotating = Annotated[AnnotationOptions, Parameter(name="*")]


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
        f"{quantity(report.answered, 'question')} answered by {name}; {report.failed} without a usable reply. Of "
        f"{quantity(counts.questions, 'question')} it has answered {counts.answered}; {counts.pending} still open."
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
        f"{quantity(whole.questions, 'question')} ({purposes_in_words(summary.purposes)}): {whole.answered} answered, "
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
        for line in agreement_in_words(summary.agreement):
            print_text(line)


def _cells(each: LabellerSummary) -> tuple[str, ...]:
    counts = each.counts
    numbers = (counts.answered, each.left, each.right, each.tie, counts.skipped, counts.pending, counts.failed)
    seconds = "–" if each.median_seconds is None else f"{each.median_seconds:.1f} s"
    return (*map(str, numbers), str(each.undone), seconds)


def _remarks(name: str, each: LabellerSummary) -> list[str]:
    lines = []
    if (same := each.consistency) is not None:
        low, high = same.interval
        repeats = quantity(same.repeats, "repetition")
        lines.append(
            f"{name}: {same.same} of {repeats} answered as before, {100 * same.share:.0f} % "
            f"[{100 * low:.0f}, {100 * high:.0f}]; of {same.exchanged} with exchanged sides, {same.same_side} with the "
            "same side again."
        )
        if same.accuracy is not None:
            lines.append(
                f"{name}: whoever is that consistent is right in at most {percent_in_words(same.accuracy)} of such "
                "pairs, ties aside; less, if the same errors come twice."
            )
    if each.pool:
        pairs = quantity(each.pool, "pair")
        lines.append(f"{name}: agrees with the pool's own label in {each.pool_agrees} of {pairs}.")
    if each.tokens is not None:
        cost = "" if each.cost is None else f", which cost {each.cost:.4f}"
        lines.append(f"{name}: {quantity(each.tokens, 'token')}{cost}.")
    return lines
