"""The reward that refreshes its reward model where the policy writes: FRFT (arXiv 2412.10529).

    AlignedReward(prompts, completions)     score, and remember what the policy wrote
    AlignedReward.refresh()                 select the pairs of the pool that lie where it wrote (frft.selection),
                                            fine-tune the reward model on them (Bradley-Terry),
                                            bring its scores back to the old scale, measure it, swap it in

It is a reward like any other, `(prompts, completions) -> scores`, so any trainer can call it. In TRL's it is two lines:

    reward = frft.AlignedReward("reward-model", "pairs.jsonl")
    trainer = RLOOTrainer(..., reward_funcs=reward, callbacks=[reward.callback()])

What a refresh makes is kept as artifacts named after everything that they depend on: refreshing again with equal inputs
costs nothing, and two rewards that share a store share what they have in common.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from frft.config.sections import EmbedderConfig, RefreshConfig, RewardModelConfig, SelectionConfig
from frft.errors import ArtifactError, UsageError
from frft.models.training import ReportTo
from frft.preferences import PairSource, Render, pairs_table
from frft.progress import SILENT, Progress
from frft.reward.arguments import check_kinds, check_models, check_settings, check_workdir, training_like
from frft.reward.gate import Alarms, check_gate
from frft.reward.identity import model_identity, model_path, pairs_identity
from frft.reward.messages import Conversation, as_texts
from frft.reward.model import REWARD_FILE, RewardModel
from frft.reward.refresh import Refresh
from frft.reward.refreshing import make_refresh
from frft.reward.samples import ObservedSamples, PolicySamples
from frft.reward.stages import RefreshInputs
from frft.selection import Embedder, LogRatios, VectorCache
from frft.stages import Runner, StageRunner
from frft.store import MANIFEST, Artifact, ArtifactStore, digest_of, plain_inputs, sha256_file
from frft.strategies import get_strategy, strategy_origin

if TYPE_CHECKING:
    import pyarrow as pa
    from transformers import TrainerCallback

FROM_ROLLOUTS = RefreshConfig(samples="rollouts", selection=SelectionConfig(strategy="density"))
"""Default refresh settings of a reward that cannot sample from the policy: it selects by the observed rollouts.

By density ratio, because it takes as many pairs as are asked for, whatever the embedder: cosines above the paper's
threshold are as good as never seen with a small one."""


class AlignedReward:
    """A reward model that is fine-tuned, whenever `refresh` is called, on the pairs closest to what the policy writes.

    Args:
        reward_model: the base reward model: an artifact, a folder (written by `RewardModel.save`, or by a trainer of
            sequence classifiers with one output), or a name.
        pool: the offline preference pairs D: a table with columns id, prompt, chosen, rejected (N rows), what
            `frft.load_pool` returns, or files, folders or ids of data sets that it reads.
        config: the filter and how to fine-tune.
        training: how the base model was trained; what a refresh does not set for itself, it takes from here. None:
            as by default, with sequences as long as the base model's.
        backbone: what `init: sft` starts from, a folder or a name; the base reward model came from it.
        workdir: the folder of the next two, where they are not given. Under several processes it is shared by all.
        vectors: where embeddings come from.
        store: where selections and reward models are kept.
        reference_samples: the reference policy's samples, on which every refreshed model is normalised to mean 0 and
            variance 1 (METHOD section 1). None: it gets the mean and variance that the one before had on the samples
            of the refresh; or, with `training.normalise_samples` 0, scores stay as they come.
        held_out: *unfiltered* pairs to judge refreshed models on; a model's own filtered test rows flatter it, because
            "looks like the policy" predicts their label (METHOD section 1, selection shortcut). In any form of `pool`.
        gate_pairs: others of that kind, for the gate, so that `held_out` does not examine a choice that it made; none:
            `held_out`.
        render: what the messages of a prompt become text by, in the pool and in scoring (a chat template, say); none:
            HH-RLHF text.
        seed: what every random draw is derived from.
        progress: told of everything that takes long.
        alarms: what else the gate asks, where the configuration has one: `frft.diagnosis.refresh_alarms`.
        report_to: where to log training curves as well.
        trust_remote_code: run code that comes with the models.

    Attributes:
        current: the reward model that scores now.
        refreshes: those that were made, in order.
        runner: makes the stages of a refresh in `store`; a plan puts in its place what only notes them.
        is_observing: whether what is scored is remembered as the policy's; the callback turns it on and off.

    Raises:
        UsageError: an argument is of another type than it must be; the configuration needs a backbone, and there is
            none; or asks for an ensemble; or a gate lacks what it asks for; or nothing says how long the reward
            model's sequences are.
        DataError: pairs cannot be read, or are none.
        ModelError: there is no such model, or the reward model has more outputs than one.
        OutputError: `workdir` cannot be written.
    """

    __name__ = "aligned_reward"
    """What TRL logs it as: `rewards/aligned_reward/mean`."""

    def __init__(
        self,
        reward_model: Artifact | str | Path,
        pool: PairSource,
        config: RefreshConfig = FROM_ROLLOUTS,
        training: RewardModelConfig | None = None,
        *,
        backbone: Artifact | str | Path | None = None,
        workdir: str | Path = "aligned-reward",
        vectors: VectorCache | None = None,
        store: ArtifactStore | None = None,
        reference_samples: PolicySamples | None = None,
        held_out: PairSource | None = None,
        gate_pairs: PairSource | None = None,
        render: Render | None = None,
        seed: int = 0,
        progress: Progress = SILENT,
        alarms: Alarms | None = None,
        report_to: ReportTo = "none",
        trust_remote_code: bool = False,
    ) -> None:
        check_kinds(locals())
        check_workdir(Path(workdir))
        table = pairs_table(pool, "pool", render=render, progress=progress)
        check_settings(config, backbone, table)
        held_out, gate_pairs = (
            None if pairs is None else pairs_table(pairs, name, render=render, progress=progress)
            for name, pairs in (("held_out", held_out), ("gate_pairs", gate_pairs))
        )
        gate_pairs = held_out if gate_pairs is None else gate_pairs
        check_gate(config.gate, gate_pairs, alarms)
        check_models(reward_model, backbone, trust_remote_code=trust_remote_code)
        if training is None:
            training = training_like(reward_model, progress, trust_remote_code=trust_remote_code)
        self._alarms = alarms
        self._report_to, self._trust_remote_code, self._render = report_to, trust_remote_code, render
        self.config, self.training, self.seed = config, training, seed
        self.pool = table
        self.held_out, self.gate_pairs, self.reference_samples = held_out, gate_pairs, reference_samples
        self.base, self.backbone, self.progress = reward_model, backbone, progress
        self.vectors = vectors or VectorCache(Path(workdir) / "embeddings", Embedder(EmbedderConfig(), progress))
        self.store = store or ArtifactStore(Path(workdir) / "stages")
        self.runner: Runner = StageRunner(self.store)
        self.current = reward_model
        self.refreshes: list[Refresh] = []
        self.observed = ObservedSamples(config.max_samples)
        self.is_observing = True
        self._has_callback = False
        self._model: RewardModel | None = None

    def __call__(
        self, prompts: Sequence[str | Conversation], completions: Sequence[str | Conversation], **given: Any
    ) -> list[float]:
        """Normalised scores of N completions; while `is_observing`, they are remembered as samples of the policy.

        Args:
            prompts, completions: texts, or message lists.
            given: what else TRL's trainers pass: their state, columns of the data, ...

        Raises:
            RewardError: a score cannot be computed.
            UsageError: TRL calls, a refresh is due some time, and the trainer does not have the callback that makes it.
        """
        if "trainer_state" in given and self.config.alpha and not self._has_callback:
            raise UsageError(
                f"This reward is to refresh itself (alpha: {self.config.alpha}), but the trainer does not tell it "
                "when: give the trainer callbacks=[reward.callback()], or set alpha: 0."
            )
        texts = as_texts(prompts, completions, self._render)
        scores = self.model(*texts)
        if self.is_observing:
            self.observe(*texts)
        return scores

    def callback(self, checkpoint: str | Path | None = None) -> TrainerCallback:
        """What makes TRL's trainers refresh this reward at the configured steps, save and restore it.

        From then on, what a trainer scores is remembered within its steps alone, as long as a refresh is to come:
        completions of an evaluation are no samples of a refresh.

        Args:
            checkpoint: the checkpoint that the trainer resumes from, where it lies outside of the trainer's
                `output_dir`.

        Raises:
            UsageError: refreshes need what this reward does not have: a policy to write fresh samples, to tell how
                likely it finds a text, or fresh labels; or are to change what it does not have: optimizers, KL
                anchor; or nothing.
        """
        if self.config.alpha and self.config.samples == "fresh":
            raise UsageError(
                "In a trainer of TRL, this reward sees what the policy writes, but cannot let it write (samples: "
                "fresh). Set samples: rollouts."
            )
        if self.config.alpha and self.config.when != "scheduled":
            raise UsageError(
                f"when: {self.config.when} is decided by looks of `frft run`, which a trainer of one's own has not. "
                "Say when by every, at_steps or alpha alone."
            )
        fields = RefreshConfig.model_fields
        ignored = [
            name
            for name in ("reset_optimizer", "kl_anchor")
            if self.config.alpha and getattr(self.config, name) != fields[name].default
        ]
        if ignored:
            raise UsageError(
                f"{', '.join(ignored)}: optimizers and KL anchor are the trainer's, which in TRL this reward cannot "
                "touch. Leave out."
            )
        strategy = get_strategy(self.config.selection.strategy)
        if self.config.alpha and (self.config.labels == "gold" or strategy.needs_models):
            raise UsageError(
                "In a trainer of TRL, this reward sees texts alone: labels: gold and strategies that read the "
                "likelihoods of two models (policy_ratio) are for `frft run`. Set labels: offline and another strategy."
            )
        if self.config.alpha and not strategy.selects:
            raise UsageError(
                f"strategy: {strategy.name} refreshes without data, which changes no reward. Set alpha: 0."
            )
        from frft.reward.callback import RefreshCallback

        self._has_callback = True
        return RefreshCallback(self, None if checkpoint is None else Path(checkpoint))

    @property
    def model(self) -> RewardModel:
        """The current reward model; loaded on first use."""
        if self._model is None:
            path = model_path(self.current)
            self._model = RewardModel.load(
                path,
                seed=self.seed,
                max_length=None if (Path(path) / REWARD_FILE).exists() else self.training.train.max_length,
                trust_remote_code=self._trust_remote_code,
                allow_fresh_head=False,
            )
        return self._model

    def unload(self) -> None:
        """Free the model; it is reloaded on demand."""
        self._model = None

    @property
    def version(self) -> str:
        """A digest of the current reward model's content."""
        if isinstance(self.current, Artifact):
            return sha256_file(self.current.path / MANIFEST)
        return digest_of(model_identity(self.current))

    def observe(self, prompts: Sequence[str], completions: Sequence[str]) -> None:
        """Keep what the policy wrote: the newest `max_samples`; None keeps all."""
        if self.config.samples == "rollouts":
            self.observed.add(prompts, completions)

    def refresh(
        self,
        samples: PolicySamples | None = None,
        *,
        log_ratios: LogRatios | Artifact | None = None,
        pool: pa.Table | Artifact | None = None,
    ) -> Refresh:
        """Refresh the reward model with what the policy writes, and score with the new one if the gate lets it pass.

        Args:
            samples: what the frozen policy writes; none: what all processes have observed since the last refresh. Then
                all of them must call this, and all score with the same new model.
            log_ratios: what the strategy `policy_ratio` ranks by, in the order of those pairs; or an artifact that
                holds it (log_ratios.npy).
            pool: the pairs to select from, where they are not those of D: freshly labelled ones, say; or an artifact
                that holds them (pairs.parquet).

        Raises:
            SelectionError: there are no samples, or no pair qualifies.
            UsageError: log ratios are missing, or there without need; the strategy is `none`; or fresh labels are asked
                for (`labels: gold`), and no pairs with such are given.
            TrainingError, RewardError: the fine-tuned model is unusable; the current one stays.
        """
        if self.config.labels == "gold" and pool is None:
            raise UsageError(
                "labels: gold means pairs with fresh labels, which only a world can give: hand them in by `pool`."
            )
        if samples is None:
            observed = self.observed.everywhere()
            samples = PolicySamples.of([prompt for _, prompt, _ in observed], [text for _, _, text in observed])
        inputs = RefreshInputs(
            number=len(self.refreshes),
            current=self.current,
            load=lambda: self.model,
            samples=samples,
            pool=self.pool if pool is None else pool,
            config=self.config,
            training=self.training,
            backbone=self.backbone,
            reference_samples=self.reference_samples,
            offline=self.pool,
            held_out=self.held_out,
            gate_pairs=self.gate_pairs,
            vectors=self.vectors,
            seed=self.seed,
            progress=self.progress,
            alarms=self._alarms,
            report_to=self._report_to,
            trust_remote_code=self._trust_remote_code,
        )
        refresh = make_refresh(inputs, self.runner, log_ratios)
        self.refreshes.append(refresh)
        self.observed.replace(())
        if refresh.accepted:
            self.current, self._model = refresh.reward_model, None
        return refresh

    def state(self) -> dict[str, Any]:
        """What `restore` needs to go on from here; JSON-able. Under several processes, all must call this."""
        return {
            "made_from": self._made_from,
            "scorings": self.observed.scorings,
            "observed": self.observed.everywhere(),
            "refreshes": [
                {
                    kind: {"folder": made.path.name, "digest": made.digest}
                    for kind, made in vars(refresh).items()
                    if made is not None
                }
                for refresh in self.refreshes
            ],
        }

    def restore(self, state: Mapping[str, Any], *, observed: bool = True) -> None:
        """Return to a saved state; training goes on from there as if it had not been interrupted.

        Args:
            state: what `state` returned, in this process or in another.
            observed: whether this process takes the observed samples; under several, one of them does.

        Raises:
            UsageError: the state is that of a reward with another base model, pool or settings.
            ArtifactError: a refresh is not in the store any more.
        """
        if state["made_from"] != self._made_from:
            raise UsageError(
                "The checkpoint is of a reward with another base model, other preference pairs or other settings. Give "
                "those that it was made with, or start anew."
            )
        self.refreshes = [
            Refresh(**{kind: self._stored(kind, made) for kind, made in entry.items()}) for entry in state["refreshes"]
        ]
        accepted = [refresh.reward_model for refresh in self.refreshes if refresh.accepted]
        self.current, self._model = accepted[-1] if accepted else self.base, None
        self.observed.scorings = state["scorings"]
        self.observed.replace([(scoring, prompt, text) for scoring, prompt, text in state["observed"] if observed])

    def _stored(self, kind: str, made: Mapping[str, str]) -> Artifact:
        found = self.store.read(made["folder"])
        if found is not None and found.digest == made["digest"]:
            return found
        raise ArtifactError(
            f"The checkpoint names a {kind.replace('_', ' ')} in {self.store.root / made['folder']}, which is "
            "not there or is another. Use the workdir that the run was started with."
        )

    @cached_property
    def _made_from(self) -> str:
        reference, held_out, selection = self.reference_samples, self.held_out, self.config.selection
        strategy, origin = get_strategy(selection.strategy), strategy_origin(selection.strategy)
        embeds = self.config.gate is not None or strategy.embeds
        return digest_of(
            plain_inputs(
                {
                    "reward_model": model_identity(self.base),
                    "backbone": None if self.backbone is None else model_identity(self.backbone),
                    "pool": pairs_identity(self.pool, *strategy.columns),
                    "embedder": self.vectors.embedder.digest if embeds else None,
                    "config": self.config.model_dump(),
                    "training": self.training.model_dump(),
                    "reference_samples": None if reference is None else reference.identity,
                    "held_out": None if held_out is None else pairs_identity(held_out),
                    "gate_pairs": None if self.gate_pairs is None else pairs_identity(self.gate_pairs),
                    "seed": self.seed,
                    **({} if origin is None else {"strategy": origin}),
                }
            )
        )
