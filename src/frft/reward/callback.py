"""The callback by which a trainer of TRL refreshes its reward.

At the configured steps, all processes call `AlignedReward.refresh` with the samples that all of them have observed. The
process that gets the store's lock trains; the others wait and read what it made. After every refresh, and when training
begins, the processes compare digests of the reward models that they score with.

Each checkpoint of the trainer gets one more file, with `AlignedReward.state`. A trainer that resumes restores its
reward from there, also with another number of processes. A refresh on the step of a checkpoint is part of it.

Where people label (`labels: {from: queue}`), training goes on while they do; see `frft.reward.deferred`.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import distributed
from transformers import TrainerCallback

from frft.errors import ArtifactError, LabelsPendingError, RewardError, UsageError
from frft.labels import read_queue
from frft.models import decided_by_main
from frft.reward.deferred import MainFirst, check_has_pairs
from frft.reward.gate import why_refused
from frft.reward.infos import LabelsInfo, SelectionInfo
from frft.store import is_whole, read_json, stamped, write_json

if TYPE_CHECKING:
    from transformers import TrainerControl, TrainerState, TrainingArguments

    from frft.reward.aligned import AlignedReward
    from frft.reward.refresh import Refresh

STATE_FILE = "aligned_reward.json"
CALLBACK_FORMAT = 2


class RefreshCallback(TrainerCallback):  # type: ignore[misc]
    """Refreshes `reward` while a trainer of TRL runs.

    Args:
        reward: the reward of the trainer.
        checkpoint: the checkpoint that the trainer resumes from; None: that of its step in its `output_dir`.

    Raises (from within the trainer):
        UsageError: a refresh would come at or after the last step, two fall on one step, or the checkpoint is of
            another reward.
        ArtifactError: the checkpoint that is resumed from lacks the reward's state.
        SelectionError: pairs are to be labelled, and no two different completions have the same prompt.
        RewardError: the processes score with different reward models.
    """

    def __init__(self, reward: AlignedReward, checkpoint: Path | None) -> None:
        self._reward, self._checkpoint = reward, checkpoint
        self._steps: list[int] = []
        self._waits = reward.labeller is not None and reward.labeller.open is None
        if self._waits and not isinstance(reward.runner, MainFirst):
            reward.runner = MainFirst(reward.runner)

    def on_init_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Stop observing: what is scored before training begins is an evaluation."""
        del args, state, control
        self._reward.is_observing = False

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Schedule the refreshes; restore the reward's state if the trainer resumes from a checkpoint."""
        del control
        self._steps = self._reward.config.refresh_steps(state.max_steps)
        if any(step <= 0 for step in self._steps) or sorted(set(self._steps)) != self._steps:
            raise UsageError(
                f"A training of {state.max_steps} steps is too short for alpha {self._reward.config.alpha}: refreshes "
                f"would come after steps {self._steps}, which must be positive and rising. Train longer, or set a "
                "smaller alpha."
            )
        if self._steps and self._steps[-1] >= state.max_steps:
            raise UsageError(
                f"A refresh after step {self._steps[-1]} does not fit into a training of {state.max_steps} steps: at "
                "or after the last step it changes nothing. Train longer, or set another alpha or other at_steps."
            )
        self._reward.deferred.begin()
        if state.global_step:
            self._restore(self._checkpoint or _folder(args, state), state.global_step)
            self._say_what_waits(state.global_step)
        self._check_version()

    def on_step_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Observe the completions of this step if a refresh is still to come."""
        del args, control
        self._reward.is_observing = any(step > state.global_step for step in self._steps)

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Refresh if this step is one of the schedule's; stop observing, since evaluations run between steps."""
        del args, control
        self._reward.is_observing = False
        step, deferred = state.global_step, self._reward.deferred
        if deferred.waiting is not None and decided_by_main(lambda: deferred.is_due(step)):
            self._try_refresh(step)
        if step in self._steps:
            self._ask_for_refresh(step)

    def on_train_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Warn of a refresh that was never made, because its questions were not answered in time."""
        del args, control
        waiting = self._reward.deferred.waiting
        if waiting is not None:
            _warn_once(
                f"The training ended after step {state.global_step}, and the refresh after step {waiting.step} was not "
                f"made: {_in_words(waiting.file)}. Answer them, and start the training again, from a checkpoint "
                "(resume_from_checkpoint) or from its beginning, with the same settings and workdir."
            )

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Write the reward's state into the checkpoint."""
        del control
        values = {"format_version": CALLBACK_FORMAT, "step": state.global_step, "reward": self._reward.state()}
        if state.is_world_process_zero:
            write_json(_folder(args, state) / STATE_FILE, stamped(values))

    def _ask_for_refresh(self, step: int) -> None:
        """Make the refresh that the schedule has after this step, or begin to wait for its answers."""
        reward, deferred = self._reward, self._reward.deferred
        if deferred.waiting is not None:
            _warn_once(
                f"The refresh after step {step} is skipped, because that after step {deferred.waiting.step} still "
                f"waits: {_in_words(deferred.waiting.file)}."
            )
            return
        samples = [(prompt, text) for _, prompt, text in reward.observed.everywhere()]
        if reward.config.fresh is not None:
            check_has_pairs(samples)
        reward.observed.replace(())
        deferred.ask(step, samples)
        # Where this training has been here before, the journal says when the answers had come.
        journalled = decided_by_main(deferred.journalled) if self._waits else None
        if journalled is None or journalled <= step:
            self._try_refresh(step)
        else:
            reward.progress.say(_again(step, journalled))

    def _try_refresh(self, step: int) -> None:
        """Make the refresh that waits; if questions are still open, or there are new ones, say so and go on waiting."""
        reward, deferred = self._reward, self._reward.deferred
        assert deferred.waiting is not None
        asked, since = deferred.waiting.step, reward.observed.here
        try:
            made = reward.refresh(deferred.waiting.policy_samples(), step=asked)
        except LabelsPendingError as error:
            if error.file is None:
                raise
            counts = deferred.wait_for(error.file)
            _warn_once(
                f"The refresh after step {asked} waits: {counts.pending} of {counts.questions} questions in "
                f"{error.file} are open. Answer them, for instance by `frft label answer {error.file} --as NAME` or "
                f"`frft label ask {error.file} --judge JUDGE`. Training goes on with the reward model that it has, and "
                "the refresh is made after the first step at whose end all are answered."
            )
            return
        reward.observed.replace(since)
        deferred.finish(step, writes=_rank() == 0)
        if step != asked and _rank() == 0:
            reward.progress.say(f"The refresh that was asked for after step {asked} was made after step {step}.")
        self._warn(made)
        self._check_version()

    def _say_what_waits(self, step: int) -> None:
        """Where a training resumes that waits for answers: until when, or for which."""
        deferred = self._reward.deferred
        if deferred.waiting is None or _rank():
            return
        asked, journalled = deferred.waiting.step, deferred.journalled()
        if journalled is not None:
            self._reward.progress.say(_again(asked, journalled))
        elif deferred.is_answered():
            _warn_once(
                f"The questions of the refresh after step {asked} were answered while the training was stopped: the "
                f"refresh is made after step {step + 1}."
            )
        else:
            _warn_once(f"The refresh after step {asked} waits: {_in_words(deferred.waiting.file)}.")

    def _warn(self, refresh: Refresh) -> None:
        """Warn with Python's `warnings`: a script that trains with TRL shows no report of frft."""
        verdict = refresh.verdict
        if verdict is not None and not verdict.accepted:
            _warn_once(
                f"The gate refused a refreshed reward model ({why_refused(verdict)}); training goes on with the "
                "previous one."
            )
        made = refresh.selection.info_as(SelectionInfo)
        taken, wanted = made.counts.taken, made.counts.wanted
        if taken < wanted:
            _warn_once(
                f"A reward model was trained on {taken} pairs, not on the {wanted} that were asked for: no more "
                f"qualified ({made.strategy})."
            )
        labels = None if refresh.labels is None else refresh.labels.info_as(LabelsInfo)
        if labels is not None and labels.drawn["questions"] < labels.budget:
            _warn_once(
                f"{labels.drawn['questions']} labels were asked for, not the {labels.budget} of the budget: the "
                "policy's completions since the last refresh have no more pairs."
            )

    def _restore(self, folder: Path, step: int) -> None:
        file = folder / STATE_FILE
        if not file.exists():
            raise ArtifactError(
                f"The trainer resumes at step {step}, but {file}, the state of its reward, is missing. Resume "
                "from a checkpoint that was saved with this callback; if it does not lie in the trainer's output_dir, "
                "name it: reward.callback(checkpoint)."
            )
        values = read_json(file, "Resume from another checkpoint, or start the training anew.")
        # Format 1 was the same without a checksum.
        is_older = isinstance(values, dict) and values.get("format_version") == 1 and "sha256" not in values
        is_known = isinstance(values, dict) and (is_older or values.get("format_version") == CALLBACK_FORMAT)
        if not is_known or values.get("step") != step:
            raise ArtifactError(
                f"{file} is not the state of a reward at step {step} in format version {CALLBACK_FORMAT}. Resume from "
                "a checkpoint as it was saved."
            )
        if not is_older and not is_whole(values):
            raise ArtifactError(
                f"{file} was changed after it was written: its checksum does not fit its content. Resume from another "
                "checkpoint, or start the training anew."
            )
        # The state holds the samples of all processes in one list; if every process took it, each would count once per
        # process at the next refresh.
        self._reward.restore(values["reward"], observed=_rank() == 0)

    def _check_version(self) -> None:
        if not _is_distributed():
            return
        versions = [""] * distributed.get_world_size()
        distributed.all_gather_object(versions, self._reward.version)
        if len(set(versions)) > 1:
            raise RewardError(
                "The processes score with different reward models (SHA-256, by rank: "
                f"{', '.join(version[:12] for version in versions)}). Give all of them the same base model, and a "
                "workdir that they share."
            )


def _folder(args: TrainingArguments, state: TrainerState) -> Path:
    """The trainer's checkpoint of this step."""
    from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR

    return Path(args.output_dir) / f"{PREFIX_CHECKPOINT_DIR}-{state.global_step}"


def _warn_once(text: str) -> None:
    """Warn in the main process alone."""
    if _rank() == 0:
        warnings.warn(text, stacklevel=3)


def _again(asked: int, made: int) -> str:
    """That a training that has been here before does as it did then."""
    return f"The refresh that was asked for after step {asked} is made after step {made}, as before the stop."


def _in_words(file: Path | None) -> str:
    """What is waited for in a file of labels."""
    if file is None or not file.exists():
        return "its questions are not asked yet"
    counts = read_queue(file).counts()
    if not counts.pending:
        return f"all {counts.questions} questions in {file} are answered"
    return f"{counts.pending} of {counts.questions} questions in {file} are open (`frft label answer {file} --as NAME`)"


def _is_distributed() -> bool:
    return bool(distributed.is_available() and distributed.is_initialized())


def _rank() -> int:
    return int(distributed.get_rank()) if _is_distributed() else 0
