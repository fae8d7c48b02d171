"""Supervised fine-tuning on chosen completions, by TRL's SFTTrainer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from frft.config.sections import TrainConfig
from frft.errors import DataError
from frft.models import EncodedPair, Encoder, TruncationCount, check_positions
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

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

_NAME = "fine-tuning the policy"
"""What progress and errors call it."""
IGNORED = -100
"""The label of tokens that Transformers' losses ignore."""


@dataclass(frozen=True)
class SFTReport:
    """Result of a supervised fine-tuning.

    Attributes:
        examples: prompts with a completion that were trained on.
        steps: optimizer steps.
        losses: training loss of every step in nats a token, before the step.
        truncated: how many sequences were truncated.
    """

    examples: int
    steps: int
    losses: list[float]
    truncated: TruncationCount

    def as_dict(self) -> dict[str, Any]:
        """All fields as JSON-able values, for a results file."""
        return {**asdict(self), "truncated": self.truncated.as_dict()}


def fine_tune(
    policy: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    prompts: Sequence[str],
    completions: Sequence[str],
    config: TrainConfig,
    *,
    seed: int,
    workdir: Path,
    whole_text: bool = False,
    progress: Progress = SILENT,
    report_to: ReportTo = "none",
) -> SFTReport:
    """Train `policy` in place to write the completions; equal arguments (and threads) give equal weights.

    Args:
        policy: a causal language model.
        tokenizer: its tokenizer.
        prompts, completions: the N examples; each completion is learned up to and including EOS, but of one that
            is cut to `max_length`, EOS is not learned: it would teach the policy to stop in mid-sentence.
        config: training settings.
        seed: seed of the order of the examples.
        workdir: folder into which `report_to` may write its logs.
        whole_text: learn the prompts as well, as for a model from scratch, which learns the language from both.
        progress: shows the number of optimizer steps done.
        report_to: service that also receives the training curves.

    Raises:
        DataError: there is no example.
        ModelError: the policy has fewer positions than `max_length`, or is frozen.
        TrainingError: a loss is not finite.
        UsageError: the package for `report_to` is not installed.
    """
    check_reporter(report_to)
    if not prompts:
        raise DataError("There is no example to fine-tune on; raise data.sft_fraction or give more pairs.")
    check_positions(policy, config.max_length, "policy", "max_length")
    check_trainable(policy, "policy")
    encoder = Encoder(tokenizer, config.max_length)
    encoded = encoder.encode(prompts, completions)
    losses: list[float] = []
    with trainer_session(seed) as tasks, own_forwards(policy):
        from datasets import Dataset
        from transformers import PrinterCallback
        from trl import SFTConfig, SFTTrainer

        lengths = [len(pair.ids) for pair in encoded]
        arguments = trainer_arguments(config, len(encoded), seed=seed, workdir=workdir, report_to=report_to)
        trainer = trainer_class(SFTTrainer, lengths, config.per_device_train_batch_size, seed, _NAME)(
            model=policy,
            args=on_one_device(SFTConfig(**arguments, packing=False)),
            train_dataset=Dataset.from_dict(
                {
                    "input_ids": [pair.ids for pair in encoded],
                    "labels": [_labels(pair, whole_text=whole_text) for pair in encoded],
                }
            ),
            processing_class=tokenizer,
            callbacks=[loss_watcher(losses, tasks, progress, _NAME, lambda logs: f"loss {logs['loss']:.3f}")],
        )
        trainer.remove_callback(PrinterCallback)
        trainer.train()
        policy.zero_grad(set_to_none=True)
    return SFTReport(len(encoded), len(losses), losses, encoder.truncated)


def _labels(pair: EncodedPair, *, whole_text: bool) -> list[int]:
    labels = pair.ids if whole_text else [IGNORED] * len(pair.prompt) + pair.completion
    # Nothing predicts the first token; left in, Transformers would count it when it averages the loss.
    labels[0] = IGNORED
    if pair.cut:
        labels[-1] = IGNORED
    return labels
