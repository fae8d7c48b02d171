"""Bradley-Terry training of a reward model, by TRL's RewardTrainer.

The loss of a pair is -log sigmoid(r(chosen) - r(rejected) - margin), plus, where asked for, the centering
term c * (r(chosen) + r(rejected))^2 (Eisenstein et al. 2312.09244, eq. 2). Pairs are tokenized here, by the
`Encoder` that scoring uses, so that the model reads the same tokens in training as later. The model's dropout
is off (METHOD section 4, item 1; adapters have their own); weights and arithmetic are float32; the learning
rate rises over `warmup_ratio` of the steps and falls linearly to 0.

Adapters (LoRA) are merged into the weights when training ends: a trained reward model is always a plain one. With
`freeze_backbone` the weights of the head alone are trained, and all others stay as they are to the bit.
"""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Self

from frft.config.sections import RewardModelConfig
from frft.errors import DataError, UsageError
from frft.models import TruncationCount, add_adapters
from frft.models.heads import frozen_backbone, head_modules
from frft.models.training import (
    ReportTo,
    check_reporter,
    check_trainable,
    loss_watcher,
    on_one_device,
    own_forwards,
    trainer_arguments,
    trainer_class,
    trainer_session,
)
from frft.progress import SILENT, Progress
from frft.reward.label_errors import COLUMN, check_errors, with_label_errors
from frft.reward.model import RewardModel, filler_id
from frft.reward.pairs import Pairs, PairTable, margins
from frft.reward.reward_file import SEEN
from frft.store import OMITTED, plain

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

SIDES = ("chosen_ids", "rejected_ids")
_NAME = "Training the reward model"
"""What progress and errors call it."""
ENCODE_AT_ONCE = 1024
"""Pairs per call of the tokenizer; progress is shown between calls."""


@dataclass(frozen=True)
class TrainSummary:
    """Size, duration and losses of a training of a reward model.

    Attributes:
        pairs: pairs trained on.
        identical: pairs left out because chosen and rejected are the same tokens (differing only in what was
            cut off); pairs + identical = rows given.
        steps: optimizer steps.
        truncated: sequences, two a pair with those of the left-out pairs, and how many of them had to be cut.
        seconds: wall-clock seconds of the optimisation.
        mean_loss: mean training loss over all steps, in nats a pair.
        final_loss: mean training loss over the last tenth of the steps, in nats a pair.
        trained_parameters: number of weights that were trained: all, those of adapters and head, or of the head alone;
            left out by older versions, which did not count them.
    """

    pairs: int
    identical: int
    steps: int
    truncated: TruncationCount
    seconds: float
    mean_loss: float
    final_loss: float
    trained_parameters: Annotated[int | None, OMITTED] = field(default=None, kw_only=True)


@dataclass(frozen=True)
class TrainReport(TrainSummary):
    """Size, duration and losses of a training of a reward model, with the loss of every step.

    Attributes:
        losses: mean training loss of each step's batch in nats a pair, with the weights before the step.
    """

    losses: list[float]

    @property
    def summary(self) -> TrainSummary:
        """This report without the loss of every step."""
        return TrainSummary(**{each.name: getattr(self, each.name) for each in fields(TrainSummary)})

    @classmethod
    def of(
        cls,
        losses: list[float],
        *,
        pairs: int,
        identical: int,
        truncated: TruncationCount,
        seconds: float,
        trained_parameters: int,
    ) -> Self:
        """The report of a training from its losses (one for each step, at least one), counts and duration."""
        last = losses[-math.ceil(len(losses) / 10) :]
        mean, final = (math.fsum(each) / len(each) for each in (losses, last))
        counts = (pairs, identical, len(losses), truncated, seconds)
        return cls(*counts, mean, final, losses, trained_parameters=trained_parameters)

    def as_dict(self) -> dict[str, Any]:
        """All fields as JSON-able values, for a results file."""
        return plain(self)


def train_reward_model(
    base: str | Path | RewardModel,
    table: PairTable,
    config: RewardModelConfig,
    *,
    seed: int,
    workdir: Path,
    progress: Progress = SILENT,
    report_to: ReportTo = "none",
    trust_remote_code: bool = False,
    label_errors: Sequence[float] | None = None,
) -> tuple[RewardModel, TrainReport]:
    """Train a reward model on preference pairs. Equal arguments (and threads) give equal weights.

    The global random generators are left as they were found.

    Args:
        base: the model to start from: a folder or name as in `RewardModel.load`, or a reward model, which is
            copied and stays as it is.
        table: columns prompt, chosen, rejected, and margin where the configuration uses it; N rows.
        config: training settings. `model_name_or_path` and `normalise_samples` are not read here: the caller chooses
            `base`, and normalises.
        seed: seed of a fresh head, of adapters, and of the order of the pairs.
        workdir: folder into which `report_to` may write its logs.
        progress: gets a task with a step as its unit.
        report_to: experiment tracker that training curves are logged to as well.
        trust_remote_code: run code that comes with `base`.
        label_errors: how often the label of each row is wrong, N values from 0 to below 1/2, for a loss that expects it
            (`frft.reward.label_errors`); None: all labels are taken for right.

    Returns:
        The trained model, not normalised (gain 1, bias 0), since its scale is a new one; and the training's report.

    Raises:
        UsageError: the package for `report_to` is not installed; or `base` is a reward model that reads something else
            of a text than `config.reads`.
        ModelError: `base` cannot be loaded, lacks positions for `max_length` or LoRA's `target_modules`, is frozen, or
            has a backbone that cannot be frozen.
        DataError: pairs or margins cannot be used, or in every pair chosen and rejected are the same tokens.
        TrainingError: a loss or gradient is not finite.
    """
    check_reporter(report_to)
    pairs = Pairs.of(table)
    margins_N = margins(table) if config.use_margin else None
    length = config.train.max_length
    if isinstance(base, RewardModel):
        if base.reads != config.reads:
            raise UsageError(
                f"The model to start from reads {SEEN[base.reads]}, and the settings say reads: {config.reads}. Load "
                f"it by RewardModel.load(..., reads={config.reads!r}), or set reads: {base.reads}."
            )
        own = copy.deepcopy(base.model).float()
        start = RewardModel(own, base.tokenizer, length, head=base.head, reads=base.reads)
    else:
        start = RewardModel.load(
            base,
            seed=seed,
            max_length=length,
            chat_template=config.chat_template,
            trust_remote_code=trust_remote_code,
            reads=config.reads,
        )
    if label_errors is not None:
        check_errors(label_errors, len(pairs.prompts))
    of_pairs = {"margin": margins_N, COLUMN: label_errors}
    examples = _tokenize(
        pairs, {name: values for name, values in of_pairs.items() if values is not None}, start, progress
    )
    count = len(examples["chosen_ids"])
    losses: list[float] = []
    frozen = frozen_backbone(start.model, start.head.drawn) if config.freeze_backbone else nullcontext()
    with trainer_session(seed) as tasks, own_forwards(start.model), frozen:
        from datasets import Dataset
        from transformers import PrinterCallback
        from trl import RewardConfig, RewardTrainer
        from trl.trainer.utils import disable_dropout_in_model

        filler = filler_id(start.model, start.tokenizer, {ids[-1] for name in SIDES for ids in examples[name]})
        said = start.model.config.get_text_config().pad_token_id
        sides = zip(examples["chosen_ids"], examples["rejected_ids"], strict=True)
        lengths = [max(len(chosen), len(rejected)) for chosen, rejected in sides]
        # Before adapters are added: the trainer's own `disable_dropout` would turn off the adapters' dropout as well.
        disable_dropout_in_model(start.model)
        model = start.model
        if config.lora:
            model = add_adapters(model, config.lora, "SEQ_CLS", seed=seed, whole=head_modules(model))
        check_trainable(model, "reward model")
        trained_parameters = sum(weight.numel() for weight in model.parameters() if weight.requires_grad)
        base_class = RewardTrainer if label_errors is None else with_label_errors(RewardTrainer)
        trainer = trainer_class(base_class, lengths, config.train.per_device_train_batch_size, seed, _NAME)(
            model=model,
            args=on_one_device(
                RewardConfig(
                    **trainer_arguments(config.train, count, seed=seed, workdir=workdir, report_to=report_to),
                    disable_dropout=False,
                    center_rewards_coefficient=config.center_rewards_coefficient,
                )
            ),
            train_dataset=Dataset.from_dict(examples),
            processing_class=_padding_by(start.tokenizer, filler),
            callbacks=[loss_watcher(losses, tasks, progress, _NAME, _note)],
        )
        trainer.remove_callback(PrinterCallback)
        started = time.monotonic()
        trainer.train()
        seconds = time.monotonic() - started
        trained = trainer.accelerator.unwrap_model(trainer.model)
        trained.zero_grad(set_to_none=True)
        trained.config.get_text_config().pad_token_id = said
        if config.lora:
            trained = trained.merge_and_unload()
    report = TrainReport.of(
        losses,
        pairs=count,
        identical=len(pairs.prompts) - count,
        truncated=start.truncated,
        seconds=seconds,
        trained_parameters=trained_parameters,
    )
    return RewardModel(trained, start.tokenizer, length, reads=start.reads), report


def _padding_by(tokenizer: PreTrainedTokenizerBase, filler: int) -> PreTrainedTokenizerBase:
    """A copy of a tokenizer whose padding is this token.

    Trainers pad by it, and write it into the model's configuration when they begin, wherever that came from. With EOS
    the head would read at the token before it.
    """
    tokenizer = copy.deepcopy(tokenizer)
    tokenizer.pad_token = tokenizer.convert_ids_to_tokens(filler)
    return tokenizer


def _note(logs: dict[str, float]) -> str:
    return f"loss {logs['loss']:.3f}, accuracy {logs['accuracy']:.2f}"


def _tokenize(
    pairs: Pairs, of_pairs: Mapping[str, Sequence[float]], start: RewardModel, progress: Progress
) -> dict[str, list[Any]]:
    """The columns that the trainer reads, without pairs whose two sides are the same tokens.

    Args:
        pairs: N pairs.
        of_pairs: by name, further columns of N values each.
        start: the model, whose tokens they become.
        progress: gets a task with a pair as its unit.
    """
    examples: dict[str, list[Any]] = {name: [] for name in (*SIDES, *of_pairs)}
    total = len(pairs.prompts)
    with progress.task("Tokenizing", total) as task:
        for begin in range(0, total, ENCODE_AT_ONCE):
            rows = slice(begin, begin + ENCODE_AT_ONCE)
            chosen = start.token_ids(pairs.prompts[rows], pairs.chosen[rows])
            rejected = start.token_ids(pairs.prompts[rows], pairs.rejected[rows])
            for offset, (better, worse) in enumerate(zip(chosen, rejected, strict=True)):
                if better == worse:
                    # Equal scores whatever the weights: the loss would be log 2 with no gradient.
                    continue
                examples["chosen_ids"].append(better)
                examples["rejected_ids"].append(worse)
                for name, values in of_pairs.items():
                    examples[name].append(values[begin + offset])
            task.advance(len(chosen))
    if not examples["chosen_ids"]:
        raise DataError(
            f"In all {total} pairs, chosen and rejected are the same tokens once cut to max_length "
            f"({start.max_length}), so there is nothing to learn. Raise max_length."
        )
    return examples
