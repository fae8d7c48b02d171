"""The callback by which a trainer of TRL refreshes its reward.

At the configured steps, all processes call `AlignedReward.refresh` with the samples that all of them have observed. The
process that gets the store's lock trains; the others wait and read what it made. After every refresh, and when training
begins, the processes compare digests of the reward models that they score with.

Each checkpoint of the trainer gets one more file, with `AlignedReward.state`. A trainer that resumes restores its
reward from there, also with another number of processes. A refresh on the step of a checkpoint is part of it.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import distributed
from transformers import TrainerCallback

from frft.errors import ArtifactError, RewardError, UsageError
from frft.reward.gate import why_refused
from frft.reward.infos import SelectionInfo
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
        RewardError: the processes score with different reward models.
    """

    def __init__(self, reward: AlignedReward, checkpoint: Path | None) -> None:
        self._reward, self._checkpoint = reward, checkpoint
        self._steps: list[int] = []

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
        if state.global_step:
            self._restore(self._checkpoint or _folder(args, state), state.global_step)
        self._check_version()

    def on_step_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Observe the completions of this step if a refresh is still to come."""
        del args, control
        self._reward.is_observing = any(step > state.global_step for step in self._steps)

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Refresh if this step is one of the schedule's; stop observing, since evaluations run between steps."""
        del args, control
        self._reward.is_observing = False
        if state.global_step in self._steps:
            self._warn(self._reward.refresh(step=state.global_step))
            self._check_version()

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Write the reward's state into the checkpoint."""
        del control
        values = {"format_version": CALLBACK_FORMAT, "step": state.global_step, "reward": self._reward.state()}
        if state.is_world_process_zero:
            write_json(_folder(args, state) / STATE_FILE, stamped(values))

    def _warn(self, refresh: Refresh) -> None:
        """Warn with Python's `warnings`: a script that trains with TRL shows no report of frft."""
        verdict = refresh.verdict
        if verdict is not None and not verdict.accepted and _rank() == 0:
            warnings.warn(
                f"The gate refused a refreshed reward model ({why_refused(verdict)}); training goes on with the "
                "previous one.",
                stacklevel=2,
            )
        made = refresh.selection.info_as(SelectionInfo)
        taken, wanted = made.counts.taken, made.counts.wanted
        if taken < wanted and _rank() == 0:
            warnings.warn(
                f"A reward model was trained on {taken} pairs, not on the {wanted} that were asked for: no more "
                f"qualified ({made.strategy}).",
                stacklevel=2,
            )

    def _restore(self, folder: Path, step: int) -> None:
        file = folder / STATE_FILE
        if not file.exists():
            raise ArtifactError(
                f"The trainer resumes at step {step}, but {file}, the state of its reward, is missing. Resume "
                "from a checkpoint that was saved with this callback; if it does not lie in the trainer's output_dir, "
                "name it: reward.callback(checkpoint)."
            )
        values = read_json(file)
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


def _is_distributed() -> bool:
    return bool(distributed.is_available() and distributed.is_initialized())


def _rank() -> int:
    return int(distributed.get_rank()) if _is_distributed() else 0
