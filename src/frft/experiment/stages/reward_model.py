"""Train a reward model on all pairs of one purpose: the base reward model, members of an ensemble, the judge."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from frft.config import RunConfig
from frft.config.sections import RewardModelConfig
from frft.experiment.stages.completions import completions_of
from frft.experiment.stages.context import RunContext
from frft.experiment.stages.sft import sft_model
from frft.experiment.texts import stored_samples
from frft.models import load_tokenizer
from frft.models.chat import AUTO, identified, template_digest
from frft.reward import PolicySamples, RewardModelInfo, evaluate_reward_model, train_reward_model
from frft.reward.model import check_reads_alone
from frft.stages import Stage, Workload, trained_pairs, training_passes
from frft.store import Artifact

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class RewardModelStage(Stage):
    """A reward model's folder, and its accuracy on held-out pairs (`RewardModelInfo`).

    Attributes:
        context: the run.
        purpose: "reward": trained on the pool D; "judge": trained on the judge's pairs.
        config: settings of the training.
        start: the backbone: the SFT model's artifact, or the name or folder of a model.
        reference: samples of the SFT model on which scores are normalised to mean 0 and standard deviation 1; None:
            they are not normalised.
        member: index in an ensemble, from 0; each member has a seed, and so a head, of its own.
    """

    context: RunContext
    purpose: Literal["reward", "judge"]
    config: RewardModelConfig
    start: Artifact | str
    reference: PolicySamples | None
    member: int = 0

    @property
    def kind(self) -> str:
        return self.purpose

    @property
    def _rows(self) -> str:
        return "pool" if self.purpose == "reward" else "judge"

    @property
    def _table(self) -> pa.Table:
        return getattr(self.context.splits, self._rows)

    @property
    def _seed(self) -> int:
        # Member 0 has the seed of a reward model without an ensemble, so that all arms share it.
        return self.context.seed(self.purpose, *(self.member,) * (self.member > 0))

    def inputs(self) -> Mapping[str, Any]:
        context, start = self.context, self.start
        return {
            "start": start if isinstance(start, Artifact) else context.model_identity_of(start),
            "rows": context.identities[self._rows],
            "training": identified(self.config.identity()),
            "reference_samples": None if self.reference is None else self.reference.identity,
            "held_out": context.identities["evaluation"],
            "seed": self._seed,
        }

    def build(self, folder: Path) -> Mapping[str, Any]:
        context = self.context
        model, report = train_reward_model(
            self.start.path if isinstance(self.start, Artifact) else self.start,
            self._table,
            self.config,
            seed=self._seed,
            workdir=folder / "logs",
            progress=context.progress,
            report_to=context.config.report_to,
            trust_remote_code=context.trust,
        )
        if self.reference is not None:
            model.normalise(*self.reference.load(), progress=context.progress)
        model.save(folder)
        evaluation = evaluate_reward_model(model, context.splits.evaluation, progress=context.progress)
        return RewardModelInfo(
            parameters=model.parameters,
            chat_template=template_digest(model.tokenizer),
            reads=model.reads,
            gain=model.gain,
            bias=model.bias,
            training=report,
            held_out=evaluation,
            scoring_truncated=model.truncated,
        ).as_dict()

    def flops(self, workload: Workload) -> float:
        # Two sequences to a pair; the held-out pairs take one forward pass.
        trained = training_passes(self.config) * trained_pairs(self.config.train, self._table.num_rows)
        texts = 2 * (trained + self.context.splits.evaluation.num_rows)
        return workload.flops(texts * workload.read_tokens(self.config))

    def memory(self, workload: Workload) -> float:
        return workload.classifier_training_bytes(self.config)


def check_reading(config: RunConfig) -> None:
    """Check now that reward models can read what they are to read, and not after supervised fine-tuning.

    Raises:
        ChatTemplateError: one reads completions without their prompts, which its chat template does not render.
        ModelError: its tokenizer cannot be loaded.
    """
    policy = config.policy
    for section in (config.reward, config.judge_model) if config.trains_judge else (config.reward,):
        name = section.model_name_or_path or policy.model_name_or_path
        if section.reads == "conversation" or name is None:
            continue
        # What starts from the SFT model finds the policy's template in its folder.
        inherits = section.model_name_or_path is None and section.chat_template == AUTO
        choice = policy.chat_template if inherits else section.chat_template
        check_reads_alone(load_tokenizer(name, chat_template=choice, trust_remote_code=policy.trust_remote_code))


def base_reward_model(context: RunContext, member: int = 0) -> Artifact:
    """The reward model that all arms start with, trained on the whole pool D; `member` > 0: another of an ensemble."""
    return _reward_model(context, "reward", context.config.reward, member)


def held_out_judge(context: RunContext) -> Artifact:
    """The trained judge: a reward model trained on pairs of its own (`Splits.judge`); in a world, for looks only."""
    return _reward_model(context, "judge", context.config.judge_model)


def reference_samples(context: RunContext, config: RewardModelConfig) -> PolicySamples | None:
    """Samples of the SFT model on which a reward model's scores are normalised; None: `normalise_samples` is 0."""
    if not config.normalise_samples:
        return None
    prompts = context.draw(context.splits.prompts, config.normalise_samples, "reference-samples")
    return stored_samples(completions_of(context, sft_model(context), prompts, context.config.ppo.sampling))


def _reward_model(
    context: RunContext, purpose: Literal["reward", "judge"], config: RewardModelConfig, member: int = 0
) -> Artifact:
    start = config.model_name_or_path or sft_model(context)
    return context.make(RewardModelStage(context, purpose, config, start, reference_samples(context, config), member))
