"""`frft diagnose`."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from frft.cli.judges import JudgeArguments, Judging
from frft.cli.pool import PoolOptions, Reading
from frft.cli.reward import load_scorer
from frft.cli.samples import SampleKeys, SamplesBesidePairs
from frft.errors import UsageError
from frft.progress import Progress, for_terminal

if TYPE_CHECKING:
    from frft.diagnosis import Diagnosis
    from frft.evaluation import Judge
    from frft.reward import RewardModel


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
    keys: SamplesBesidePairs = SampleKeys(),
    max_length: int | None = None,
    chat_template: str = "auto",
    arm: list[str] | None = None,
    verbose: Annotated[bool, Parameter(name=("--verbose", "-v"))] = False,
    json: bool = False,
) -> int:
    """Diagnose whether the reward can still be trusted: a verdict, what decided it, and what to do.

    The verdict is `healthy` (all links between training, policy and evaluation hold, and no alarm fired), `broken` (a
    link is broken, or an alarm fired), or `undecided` (nothing is broken, but not enough was measured to say more).
    Exit status: 0 healthy or undecided; 1 broken; 2 no verdict, because the request, the data or a model is wrong.

    Parameters
    ----------
    run
        The folder of a `frft run`, finished or under way. Or give your own reward model, pairs and completions:
    reward_model
        The reward model that the policy was trained with: a folder, or a name.
    pairs
        Labelled preference pairs that the reward model was not trained on.
    completions
        The policy's completions: rows of prompt and completion, preferably two or more for each prompt.
    completions_before
        Completions of the same prompts by the policy before training.
    judge
        The judge that says which of two completions is better: gold:WORLD_FOLDER, rm:REWARD_MODEL (another one),
        annotations:FILE, or openai:MODEL, a chat model.
    judge_scores
        Instead of --judge: a judge's score of each of these completions, in rows of prompt, completion and score.
    options
        Options of the judge.
    reading
        How to read the pairs; --split and --max-rejected apply to the completions, too.
    keys
        How to read the completions.
    max_length
        Longest sequence in tokens, for a reward model that was not trained by frft.
    chat_template
        How the reward model reads conversations: auto (what it was trained with, or its tokenizer's own chat template,
        else plain HH-RLHF text), plain, none (contents alone), or the path of a file with a template.
    arm
        For a run: show the links, alarms and symptoms of these arms.
    verbose
        Show all links, alarms and symptoms.
    json
        Print everything as JSON; with --arm, for these arms only.
    """
    parts = {"--reward-model": reward_model, "--pairs": pairs, "--completions": completions}
    more = {
        "--completions-before": completions_before,
        "--judge": judge,
        "--judge-scores": judge_scores,
        "--max-length": max_length,
        "--chat-template": None if chat_template == "auto" else chat_template,
    }
    if run is not None:
        given = [name for name, value in {**parts, **more}.items() if value is not None]
        if given:
            raise UsageError(
                f"A run has its own reward model, pairs, completions and judge; leave out {', '.join(given)}, or the "
                "folder of the run."
            )
        options.check_unused()
        with _no_verdict():
            return _run(run, arm or [], verbose=verbose, json=json)
    if reward_model is None or pairs is None or completions is None:
        missing = [name for name, value in parts.items() if value is None]
        raise UsageError(
            "Name the folder of a run, or give your own reward model, pairs and completions; "
            f"{', '.join(missing)} missing."
        )
    if arm:
        raise UsageError("--arm names an arm of a run, and no run is given. Leave it out (--verbose shows everything).")
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
            scorer = partial(load_scorer, reward_model, max_length, chat_template)
            found = _parts(scorer, pairs, sources, asked, judge_scores, reading, keys, progress)
        account = None if asked is None else {"name": judge, **asked.counts()}
        return _report(found, account, verbose=verbose, json=json)


def _is_one(first: str, second: str) -> bool:
    """Whether two names or paths mean the same model."""
    return first == second or Path(first).resolve() == Path(second).resolve()


@contextmanager
def _no_verdict() -> Iterator[None]:
    """Give every error exit status 2, since 1 means that the reward is broken."""
    try:
        yield
    except Exception as error:
        error.exit_code = UsageError.exit_code  # type: ignore[attr-defined]
        raise


def _parts(
    scorer: Callable[[], RewardModel],
    pairs: list[str],
    sources: tuple[str, str | None],
    judge: Judge | None,
    judge_scores: str | None,
    reading: Reading,
    keys: SampleKeys,
    progress: Progress,
) -> Diagnosis:
    from frft.diagnosis import diagnose as diagnosed
    from frft.diagnosis import load_judge_scores, subject_of_parts

    pool = reading.load(pairs, progress)
    written = [None if source is None else keys.beside(reading).load(source, progress) for source in sources]
    after, before = (None if texts is None else (texts.prompts, texts.completions) for texts in written)
    assert after is not None
    scores = None if judge_scores is None else load_judge_scores(judge_scores, split=reading.split, progress=progress)
    return diagnosed(subject_of_parts(scorer(), pool.table, after, before, judge or scores, progress=progress))


def _report(found: Diagnosis, account: dict[str, Any] | None, *, verbose: bool, json: bool) -> int:
    from frft.cli.diagnosis_output import print_details, print_summary
    from frft.cli.output import print_json, print_text
    from frft.diagnosis import training_to_evaluation
    from frft.evaluation import counts_in_words

    # The link across arms needs five reward models; with this one it is reported as not measured.
    assert found.held_out is not None
    assert found.held_out.accuracy is not None
    across = training_to_evaluation([found.held_out.accuracy], [0.0])
    if json:
        print_json({**found.as_dict(), "across": across.as_dict(), "judge": account})
        return _status(found.verdict)
    print_summary(found.verdict, [(ground, [found.name]) for ground in found.grounds], [found])
    if verbose:
        print_details(found, [*found.links, across])
    else:
        print_text("Links, alarms and symptoms: --verbose.")
    for line in counts_in_words(account or {}):
        print_text(line)
    return _status(found.verdict)


def _run(folder: Path, shown: list[str], *, verbose: bool, json: bool) -> int:
    from frft.cli.diagnosis_output import print_details, print_links, print_looks, print_summary
    from frft.cli.output import print_json, print_text
    from frft.experiment.diagnose import arms_of_run, diagnose_run

    # Checked first: a diagnosis takes minutes.
    if unknown := [name for name in shown if name not in (known := arms_of_run(folder))]:
        raise UsageError(f"--arm {', '.join(unknown)}: no such arm in {folder}; its arms are {', '.join(known)}.")
    try:
        found = diagnose_run(folder, for_terminal())
    except OSError as error:
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT):
            error.add_note(
                "A diagnosis keeps embeddings, and the replies of a judge over the network, in the run's folder. If "
                f"that is what cannot be written, diagnose a copy elsewhere: cp -r {folder} COPY."
            )
        raise
    names = [arm.name for arm in found.arms]
    if json:
        values = found.as_dict()
        print_json({**values, "arms": {name: values["arms"][name] for name in names if name in (shown or names)}})
        return _status(found.verdict)
    print_summary(found.verdict, found.grounds, found.arms)
    if not found.verified:
        print_text(
            "Unverified: the run was made by an older version of frft, which kept no checksums of its figures. "
            "They could not be verified and are used as they are."
        )
    if not found.finished:
        print_text("The run is under way: this diagnosis covers its steps so far.")
    for arm in found.arms:
        if verbose or arm.name in shown:
            print_details(arm, arm.links)
            print_looks(found.looks.get(arm.name, []))
    if verbose:
        print_text("\nOver all arms")
        print_links([found.across])
    elif not shown:
        print_text(f"Links, alarms and symptoms: --arm NAME for those of an arm, --verbose for all {len(names)}.")
    return _status(found.verdict)


def _status(verdict: str) -> int:
    return 1 if verdict == "broken" else 0
