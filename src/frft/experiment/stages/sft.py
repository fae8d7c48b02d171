"""Supervised fine-tuning: the SFT model is the initial policy, the KL reference and the default backbone of rewards."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from frft.experiment.stages.context import RunContext
from frft.models import build_causal_lm, load_causal_lm, load_tokenizer, save_model, train_tokenizer
from frft.models.chat import describe_template, identified, template_digest
from frft.policy import fine_tune
from frft.results import SFTInfo
from frft.stages import Stage, Workload
from frft.store import Artifact

if TYPE_CHECKING:
    import pyarrow as pa
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


@dataclass(frozen=True)
class SFTStage(Stage):
    """A plain model folder, and the losses of the training (`SFTInfo`)."""

    context: RunContext

    kind = "sft"

    def inputs(self) -> Mapping[str, Any]:
        context, config = self.context, self.context.config.policy
        name = config.model_name_or_path
        return {
            # SFT trains all weights; LoRA applies to reinforcement learning alone.
            "policy": identified(config.model_dump(exclude={"lora"})),
            "model": "scratch" if name is None else context.model_identity_of(name),
            "rows": context.identities["sft"],
            "tokenizer_rows": context.identities[self._tokenizer_rows] if name is None else None,
            "seed": context.seed("sft"),
        }

    def build(self, folder: Path) -> Mapping[str, Any]:
        context, config, rows = self.context, self.context.config.policy, self.context.splits.sft
        tokenizer, policy = self._start()
        context.use_threads(policy.num_parameters())
        report = fine_tune(
            policy,
            tokenizer,
            rows["prompt"].to_pylist(),
            rows["chosen"].to_pylist(),
            config.sft,
            seed=context.seed("sft"),
            workdir=folder / "logs",
            # A model with random weights has to learn the language, and so trains on prompts as well as completions.
            whole_text=config.model_name_or_path is None,
            progress=context.progress,
            report_to=context.config.report_to,
        )
        if config.model_name_or_path is not None:
            context.progress.say(f"The policy reads conversations by {describe_template(tokenizer)}.")
        save_model(policy, tokenizer, folder)
        return SFTInfo(
            parameters=policy.num_parameters(),
            chat_template=template_digest(tokenizer),
            examples=report.examples,
            steps=report.steps,
            losses=report.losses,
            truncated=report.truncated,
        ).as_dict()

    def flops(self, workload: Workload) -> float:
        epochs = self.context.config.policy.sft.num_train_epochs
        # Forward and backward take 3 forward passes.
        return workload.flops(3 * self.context.splits.sft.num_rows * epochs * workload.sequence)

    def memory(self, workload: Workload) -> float:
        train = self.context.config.policy.sft
        rows = train.per_device_train_batch_size
        kept = workload.once("sft", lambda: workload.backward_bytes(workload.policy, train, rows, use_cache=False))
        # Weights, gradients and Adam's two moments.
        return 4 * workload.policy_bytes + kept + workload.logit_bytes(rows * train.max_length)

    @property
    def _tokenizer_rows(self) -> str:
        """Purpose of the rows that a new tokenizer is trained on: the pool; in a world, the demonstrations.

        Demonstrations have no labels, so worlds that differ in their labels alone share one SFT model.
        """
        return "pool" if self.context.world is None else "sft"

    def _start(self) -> tuple[PreTrainedTokenizerBase, PreTrainedModel]:
        config, trust = self.context.config.policy, self.context.trust
        name = config.model_name_or_path
        if name is not None:
            tokenizer = load_tokenizer(name, chat_template=config.chat_template, trust_remote_code=trust)
            return tokenizer, load_causal_lm(name, tokenizer, trust_remote_code=trust)
        table: pa.Table = getattr(self.context.splits, self._tokenizer_rows)
        columns = (
            table[column].to_pylist() for column in ("prompt", "chosen", "rejected") if column in table.column_names
        )
        tokenizer = train_tokenizer((text for column in columns for text in column), config.scratch)
        return tokenizer, build_causal_lm(config.scratch, tokenizer, self.context.seed("sft"))


def sft_model(context: RunContext) -> Artifact:
    """The SFT model of a run; once it is there, torch's number of threads is set for all later stages."""
    artifact = context.make(SFTStage(context))
    # Every other stage asks for this one first. Threads are set also where it was found and not built: sums in another
    # number of threads differ by rounding, and results must not depend on what the store held.
    if artifact.info:
        context.use_threads(artifact.info_as(SFTInfo).parameters)
    return artifact
