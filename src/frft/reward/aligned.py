"""The reward that refreshes its reward model where the policy writes: FRFT (arXiv 2412.10529).

    AlignedReward(prompts, completions)     score, and remember what the policy wrote
    AlignedReward.refresh()                 select the pairs of the pool that lie where it wrote (frft.selection),
                                            fine-tune the reward model on them (Bradley-Terry),
                                            bring its scores back to the old scale, measure it, swap it in

It is a reward like any other, `(prompts, completions) -> scores`, so any trainer can call it. With TRL's trainers:

    reward = frft.AlignedReward("reward-model", "pairs.jsonl")
    trainer = RLOOTrainer(..., reward_funcs=reward, callbacks=[reward.callback()])

A refresh keeps its selection and its reward model as artifacts, named by a digest of everything that they depend on:
a refresh with inputs that were used before is read back, not computed, also by another reward with the same store.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from frft.config.sections import EmbedderConfig, RefreshConfig, RewardModelConfig
from frft.errors import ArtifactError, UsageError
from frft.labels import Labeller, NamedLabeller, PreferenceFunction
from frft.models.training import ReportTo
from frft.preferences import PairSource, pairs_table
from frft.progress import SILENT, Progress
from frft.reward.arguments import (
    check_callback,
    check_kinds,
    check_labeller,
    check_models,
    check_settings,
    check_workdir,
    labeller_for,
    training_for,
)
from frft.reward.defaults import default_refresh
from frft.reward.deferred import DeferredRefreshes
from frft.reward.gate import Alarms, check_gate
from frft.reward.identity import model_identity, model_path, reward_identity
from frft.reward.messages import Conversation, as_texts
from frft.reward.model import RewardModel
from frft.reward.refresh import Refresh
from frft.reward.refreshing import make_refresh
from frft.reward.reward_file import REWARD_FILE
from frft.reward.samples import ObservedSamples, PolicySamples
from frft.reward.stages import Labelling, RefreshInputs
from frft.selection import Embedder, LogRatios, VectorCache
from frft.stages import Runner, StageRunner
from frft.store import MANIFEST, Artifact, ArtifactStore, digest_of, sha256_file

if TYPE_CHECKING:
    import pyarrow as pa
    from transformers import TrainerCallback


class AlignedReward:
    """A reward model that `refresh` fine-tunes on the preference pairs closest to what the policy writes.

    Args:
        reward_model: the base reward model: an artifact, a folder (written by `RewardModel.save`, or by a trainer of
            sequence classifiers with one output), or a name on the Hub.
        pool: the offline preference pairs D: a table with columns id, prompt, chosen, rejected (N rows), what
            `frft.load_pool` returns, or files, folders or ids of data sets that it reads.
        config: when to refresh, how to select pairs, and how to fine-tune on them. None: one refresh, by what the
            studies support (`default_refresh`): 100 fresh labels of the policy's texts where there is a `labeller`;
            else pairs of its own source, where there are `reference_samples` and `pool` names its sources; else pairs
            by density ratio. Which it is, `progress` is told, and the attribute `config` holds.
        training: training settings of the base model; a refresh takes from them all that `config` does not set. None:
            the defaults, with the base model's own `max_length`.
        backbone: the model that the base reward model was trained from, a folder or a name; `init: sft` starts every
            refresh from it. None will do for `init: current`.
        workdir: folder for `vectors` and `store` where these are None. All processes of a training must share it.
        vectors: cache of sentence embeddings; None: the default embedder's, in `workdir`/embeddings.
        store: keeps selections and reward models; None: in `workdir`/stages.
        reference_samples: the reference policy's samples, on which every refreshed model is normalised to mean 0 and
            variance 1 (METHOD section 1). None: it gets the mean and variance that the one before had on the samples
            of the refresh; or, with `training.normalise_samples` 0, scores stay as they come.
        held_out: *unfiltered* pairs to judge refreshed models on; a model's own filtered test rows flatter it, because
            "looks like the policy" predicts their label (METHOD section 1, selection shortcut). In any form of `pool`.
        gate_pairs: other unfiltered pairs, by which the gate accepts or refuses a model, so that the accuracy on
            `held_out` is not that of a model chosen by it; None: `held_out` serves both.
        seed: every random draw is derived from it.
        progress: receives the progress of embedding, training and scoring.
        alarms: function that looks for further failures for which the gate refuses a model (`gate.alarms`), such as
            `frft.diagnosis.refresh_alarms`.
        report_to: experiment tracker that training curves are logged to as well.
        trust_remote_code: run code that comes with the models.
        labeller: who gives the fresh labels that `config.labels` asks a judge for: a labeller, or a function (prompts,
            first, second completions) -> preferences for the first, 0 to 1. Answers are kept in `workdir`/labels, and
            two labellers of one name are taken for the same. None: nobody, or every refresh is given a `Labelling`;
            or, with `from: queue`, people, whose questions lie in `workdir`/labels.

    Attributes:
        config: the settings of refreshes, those given or those chosen, complete.
        current: the reward model that scores now.
        refreshes: all refreshes so far, oldest first, those that the gate refused included.
        runner: makes the stages of a refresh in `store`; a plan puts in its place one that only records them.
        deferred: the refresh that waits for people while a trainer goes on, and the steps of those that were made.
        is_observing: whether scored completions are remembered as samples of the policy; the callback sets it.

    Raises:
        UsageError: an argument has a wrong type; the configuration asks for an ensemble, or for a backbone, pairs or
            alarms that are not given; or nothing says how long the reward model's sequences may be.
        DataError: pairs cannot be read, or there are none.
        ModelError: there is no such model, or the reward model has more than one output.
        OutputError: `workdir` cannot be written.
    """

    __name__ = "aligned_reward"
    """The reward's name in TRL's logs: `rewards/aligned_reward/mean`."""

    def __init__(
        self,
        reward_model: Artifact | str | Path,
        pool: PairSource,
        config: RefreshConfig | None = None,
        training: RewardModelConfig | None = None,
        *,
        backbone: Artifact | str | Path | None = None,
        workdir: str | Path = "aligned-reward",
        vectors: VectorCache | None = None,
        store: ArtifactStore | None = None,
        reference_samples: PolicySamples | None = None,
        held_out: PairSource | None = None,
        gate_pairs: PairSource | None = None,
        seed: int = 0,
        progress: Progress = SILENT,
        alarms: Alarms | None = None,
        report_to: ReportTo = "none",
        trust_remote_code: bool = False,
        labeller: NamedLabeller | Labeller | PreferenceFunction | None = None,
    ) -> None:
        check_kinds(locals())
        check_workdir(Path(workdir))
        table = pairs_table(pool, "pool", progress=progress)
        config = default_refresh(table, labeller, reference_samples, progress) if config is None else config
        check_settings(config, backbone, table, reference_samples)
        held_out, gate_pairs = (
            None if pairs is None else pairs_table(pairs, name, progress=progress)
            for name, pairs in (("held_out", held_out), ("gate_pairs", gate_pairs))
        )
        gate_pairs = held_out if gate_pairs is None else gate_pairs
        check_gate(config.gate, gate_pairs, alarms)
        check_models(reward_model, backbone, trust_remote_code=trust_remote_code)
        training = training_for(reward_model, training, progress, trust_remote_code=trust_remote_code)
        self.labeller = labeller_for(config, labeller, Path(workdir) / "labels")
        self.deferred = DeferredRefreshes(Path(workdir) / "labels")
        self._alarms = alarms
        self._report_to, self._trust_remote_code = report_to, trust_remote_code
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
            given: other arguments of TRL's trainers, such as `trainer_state` and columns of the data; not scored.

        Raises:
            RewardError: a score cannot be computed.
            UsageError: called by a trainer of TRL without the callback that refreshes the reward, though `alpha` asks
                for refreshes.
        """
        if "trainer_state" in given and self.config.alpha and not self._has_callback:
            raise UsageError(
                f"The configuration asks for refreshes (alpha: {self.config.alpha}), but the trainer lacks the "
                "callback that makes them: give the trainer callbacks=[reward.callback()], or set alpha: 0."
            )
        texts = as_texts(prompts, completions)
        scores = self.model(*texts)
        if self.is_observing:
            self.observe(*texts)
        return scores

    def callback(self, checkpoint: str | Path | None = None) -> TrainerCallback:
        """A callback for TRL's trainers that refreshes this reward at the configured steps, saves and restores it.

        From then on, completions are remembered only if they are scored within a training step and a refresh is still
        to come: the completions of an evaluation are not among the samples of a refresh.

        Args:
            checkpoint: the checkpoint that the trainer resumes from, where it lies outside of the trainer's
                `output_dir`; None: it lies there, or the trainer starts anew.

        Raises:
            UsageError: the configuration asks for what only `frft run` can do (fresh samples or labels, the policy's
                likelihoods, refreshes on demand, changes of the optimizers or the KL anchor); or selects no pairs.
        """
        check_callback(self.config)
        if self.config.alpha:
            check_labeller(self.config, self.labeller)
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
                chat_template=self.training.chat_template,
                trust_remote_code=self._trust_remote_code,
                allow_fresh_head=False,
                reads=self.training.reads,
            )
        return self._model

    def unload(self) -> None:
        """Free the model; it is reloaded on demand."""
        self._model = None

    @property
    def version(self) -> str:
        """Digest of the current reward model's files; equal versions give equal scores."""
        if isinstance(self.current, Artifact):
            return sha256_file(self.current.path / MANIFEST)
        return digest_of(model_identity(self.current))

    def observe(self, prompts: Sequence[str], completions: Sequence[str]) -> None:
        """Remember completions of the policy for the next refresh: the newest `config.max_samples`; None keeps all.

        With `samples: fresh` nothing is remembered, since the policy is sampled anew for each refresh.
        """
        if self.config.samples == "rollouts":
            self.observed.add(prompts, completions)

    def refresh(
        self,
        samples: PolicySamples | None = None,
        *,
        log_ratios: LogRatios | Artifact | None = None,
        pool: pa.Table | Artifact | None = None,
        labelling: Labelling | None = None,
        step: int | None = None,
    ) -> Refresh:
        """Fine-tune the reward model on pairs near the policy, and score with the new one unless the gate refuses it.

        Args:
            samples: completions of the policy as it is now. None: those that all processes have observed since the last
                refresh; then every process must call this, and all of them score with the same new model.
            log_ratios: log ratios of the policy and the SFT model for the strategy `policy_ratio`, in the order of the
                pairs selected from, or an artifact that holds them (log_ratios.npy); None for every other strategy.
            pool: pairs to select from instead of the offline pairs D, such as freshly labelled ones, or an artifact
                that holds them (pairs.parquet); None: D.
            labelling: what fresh labels are asked for, where the configuration has a section `labels`; None: those of
                different samples of one prompt, by `labeller`.
            step: number of steps that the policy has done, which is kept with fresh labels; None: unknown.

        Raises:
            SelectionError: there are no samples, or no pair qualifies; or fresh labels are to be asked for, and no two
                different samples have the same prompt, or none was preferred.
            UsageError: log ratios are missing, or given for a strategy that does not read them; the strategy is `none`;
                or `labels` asks for fresh labels, and neither `pool` nor `labelling` brings them.
            LabelsPendingError: questions of the refresh are not answered yet; nothing has changed.
            TrainingError, RewardError: the fine-tuned model is unusable; the current one stays.
        """
        if self.config.labels == "gold" and pool is None:
            raise UsageError(
                "labels: gold refreshes on freshly labelled pairs, and none are given. Pass them by `pool`, or set "
                "labels: offline."
            )
        if labelling is None:
            check_labeller(self.config, self.labeller)
        if samples is None:
            observed = self.observed.everywhere()
            samples = PolicySamples.of([prompt for _, prompt, _ in observed], [text for _, _, text in observed])
        if self.config.fresh is not None and labelling is None:
            assert self.labeller is not None
            labelling = Labelling.of(self.config.fresh, self.labeller, samples, step, self.refreshes)
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
        refresh = make_refresh(inputs, self.runner, log_ratios, labelling)
        self.refreshes.append(refresh)
        self.observed.replace(())
        if refresh.accepted:
            self.current, self._model = refresh.reward_model, None
        return refresh

    def state(self) -> dict[str, Any]:
        """State for `restore`, as JSON-able values. Every process must call this, since observed samples are gathered.

        Reward models are named, not contained: they stay in the store.
        """
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
            "deferred": self.deferred.state(),
        }

    def restore(self, state: Mapping[str, Any], *, observed: bool = True) -> None:
        """Return to a saved state; training goes on from there as if it had not been interrupted.

        Args:
            state: what `state` returned, in this process or in another.
            observed: whether this process takes over the observed samples of all; of several processes, exactly one
                must, or each sample would count several times.

        Raises:
            UsageError: the state is that of a reward with another base model, pool or settings.
            ArtifactError: an artifact of a refresh is missing from the store.
        """
        if state["made_from"] != self._made_from:
            raise UsageError(
                "The checkpoint is of a reward with another base model, other preference pairs or other settings. Use "
                "those that it was saved with, or start the training anew."
            )
        self.refreshes = [
            Refresh(**{kind: self._stored(kind, made) for kind, made in entry.items()}) for entry in state["refreshes"]
        ]
        accepted = [refresh.reward_model for refresh in self.refreshes if refresh.accepted]
        self.current, self._model = accepted[-1] if accepted else self.base, None
        if "deferred" in state:  # states of older versions waited for nobody
            self.deferred.restore(state["deferred"])
        self.observed.scorings = state["scorings"]
        self.observed.replace([(scoring, prompt, text) for scoring, prompt, text in state["observed"] if observed])

    def _stored(self, kind: str, made: Mapping[str, str]) -> Artifact:
        found = self.store.read(made["folder"])
        if found is not None and found.digest == made["digest"]:
            return found
        raise ArtifactError(
            f"The checkpoint names a {kind.replace('_', ' ')} in {self.store.root / made['folder']}, which is "
            "missing or has other content. Use the workdir that the run was started with."
        )

    @cached_property
    def _made_from(self) -> str:
        return reward_identity(self)
