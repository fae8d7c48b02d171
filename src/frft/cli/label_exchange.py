"""`frft label export` and `frft label import`."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from frft.errors import UsageError, quantity

AskedFor = Literal["train", "test", "audit", "gate", "repeat"]


def export_command(
    queue: Path,
    *,
    out: Path,
    format: Literal["pairs", "jsonl", "csv", "argilla", "label-studio"],  # noqa: A002 - the option's name
    purpose: list[AskedFor] | None = None,
    labellers: list[str] | None = None,
    consensus: bool = False,
    open_for: str | None = None,
    json: bool = False,
) -> None:
    """Write answers as preference pairs to train on, or questions for other software to have them answered there.

    Parameters
    ----------
    queue
        File of `frft label pick`.
    out
        File to write.
    format
        pairs: answers as preference pairs, which `frft reward train --pairs` reads. jsonl, csv: questions, and the
        answers that there are. argilla, label-studio: questions as their JSON. None of the last four says where texts
        are from or what a question is for.
    purpose
        With pairs: purposes of the questions to take. Default: train.
    labellers
        With pairs: names of the labellers whose answers to take. Default: all.
    consensus
        With pairs: one row for each pair that somebody preferred a side of, with the probability of the side that all
        labellers, three or more, together prefer (Dawid and Skene), instead of one for each answer.
    open_for
        Without pairs: only the questions that the labeller of this name has not answered, without anybody's answers.
    json
        Print the counts as JSON.
    """
    from frft.cli.output import print_json, print_text
    from frft.cli.targets import check_file
    from frft.labels import consensus_pairs, export_questions, labelled_answers, read_queue
    from frft.progress import for_terminal

    if format == "pairs" and open_for is not None:
        raise UsageError("--open-for belongs to questions, and pairs are answers. Leave it out.")
    if format != "pairs" and (purpose is not None or labellers is not None or consensus):
        raise UsageError("--purpose, --labellers and --consensus are for --format pairs. Leave them out.")
    check_file(out)
    file = read_queue(queue, for_terminal())
    if out.exists() and out.samefile(queue):
        raise UsageError(f"{out} is the file of labels itself. Name another file.")
    if format != "pairs":
        written = export_questions(file, out, format, open_for=open_for)
        if json:
            print_json({"file": str(out), "format": format, "questions": written})
        else:
            print_text(f"Wrote {out}: {quantity(written, 'question')}.")
        return
    if unknown := sorted({*(labellers or [])} - {*file.labellers}):
        raise UsageError(f"--labellers: nobody here is called {', '.join(unknown)}. {_known(file.labellers)}")
    made = consensus_pairs if consensus else labelled_answers
    found = made(file, purposes=purpose or ["train"], labellers=labellers)
    found.write(out)
    if json:
        print_json({"file": str(out), "format": format, "pairs": found.table.num_rows, "left_out": found.left_out})
        return
    what = "Questions" if consensus else "Answers"
    left_out = ", ".join(f"{count} {reason}" for reason, count in found.left_out.items())
    rest = (
        f" {what} left out: {left_out}." if left_out else "" if found.table.num_rows else " There are no answers yet."
    )
    print_text(f"Wrote {out}: {quantity(found.table.num_rows, 'pair')}.{rest}")


def import_command(queue: Path, answers: Path, *, labeller: str | None = None, json: bool = False) -> None:
    """Add answers that were given elsewhere: all that a file holds or, if one of them cannot be used, none.

    Rows, records and tasks are told apart by their fields, and answers are matched by the id of their question.
    Imported a second time, an answer changes nothing.

    Parameters
    ----------
    queue
        File of `frft label pick`.
    answers
        Rows of `frft label export --format jsonl` or `csv` with `choice` filled in; records of Argilla as JSON, flat
        ones where there are drafts or discarded responses, which others do not mark; or an export of Label Studio's:
        JSON, JSON-MIN or CSV.
    labeller
        Name of the labeller of all answers; default: each answer says its own.
    json
        Print the counts as JSON.
    """
    from frft.cli.output import print_json, print_text
    from frft.labels import import_answers, open_queue
    from frft.progress import for_terminal

    progress = for_terminal()
    with open_queue(queue, progress) as file:
        report = import_answers(file, answers, labeller=labeller, progress=progress)
        counts = file.counts()
    if json:
        print_json({**report.as_dict(), "counts": counts.as_dict()})
        return
    print_text(
        f"{quantity(report.added, 'answer')} added; there already: {report.known}; rows without an answer: "
        f"{report.empty}. Of {quantity(counts.questions, 'question')}, {counts.answered} answered, "
        f"{counts.skipped} skipped, {counts.pending} open."
    )


def _known(names: list[str]) -> str:
    return f"There are: {', '.join(names)}." if names else "There are no answers yet."
