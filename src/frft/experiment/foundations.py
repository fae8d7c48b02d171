"""What all arms have in common: the models that they start from, what policies write, and where chance comes from.

Everything that costs time happens inside the `build` that is handed to `store.make`, so that a store that only notes
what it is asked for (`frft run --dry-run`) can walk through a whole experiment in no time.

The stages of an experiment are one object in three files: what all arms share (here), looks (monitor.py), and what an
arm does (stages.py).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from frft.config import RunConfig
from frft.config.sections import RewardModelConfig, SamplingConfig
from frft.experiment.splits import Splits
from frft.experiment.texts import (
    stored_samples,
    write_completions,
)
from frft.experiment.trainers import load_policy
from frft.models import (
    build_causal_lm,
    choose_threads,
    load_causal_lm,
    load_tokenizer,
    save_model,
    seed_for,
    train_tokenizer,
    use_threads,
)
from frft.policy import fine_tune, generate
from frft.progress import Progress
from frft.reward import (
    PolicySamples,
    RewardModel,
    evaluate_reward_model,
    model_identity,
    pairs_identity,
    train_reward_model,
)
from frft.selection import Embedder, VectorCache
from frft.store import ALONE, Artifact, ArtifactStore, Peers, digest_of
from frft.worlds import World

if TYPE_CHECKING:
    import pyarrow as pa
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


def policy_folder(artifact: Artifact) -> Path:
    """Where the policy of an SFT model or of a trained segment lies."""
    return artifact.path if artifact.kind == "sft" else artifact.path / "policy"


class Foundations:
    """The foundations of one configuration over one set of rows.

    Args:
        config: the run.
        splits: the rows by purpose.
        store: where artifacts are kept.
        embeddings: folder of the vector cache.
        progress: told of everything that takes long.
        evaluation_prompts: what to compare the policies on; none: the held-out prompts.
        peers: the processes that train policies together; what else there is, one of them makes for all.
        world: where the rows come from, if they come from a world: its gold reward is then the judge.
    """

    def __init__(
        self,
        config: RunConfig,
        splits: Splits,
        store: ArtifactStore,
        embeddings: Path,
        progress: Progress,
        evaluation_prompts: Sequence[str] | None = None,
        peers: Peers = ALONE,
        *,
        world: World | None = None,
    ) -> None:
        self.config, self.splits, self.store, self.progress = config, splits, store, progress
        self.peers, self.world = peers, world
        self.vectors = VectorCache(embeddings, Embedder(config.embedder, progress), store.shared)
        self.sampling = config.evaluation.sampling or config.ppo.sampling
        given = evaluation_prompts or splits.evaluation["prompt"].to_pylist()
        distinct = list(dict.fromkeys(given))
        self.evaluation_prompts = self._draw(distinct, config.evaluation.max_prompts, "evaluation-prompts")
        known = {*splits.pool["prompt"].to_pylist(), *splits.judge["prompt"].to_pylist()}
        self.evaluation_prompt_counts = {
            "given": len(given),
            "distinct": len(distinct),
            "used": len(self.evaluation_prompts),
            "trained_on": sum(prompt in known for prompt in self.evaluation_prompts),
        }
        total = config.ppo.total_steps
        refreshes = {step for name in config.arms for step in config.arm(name).refresh_steps(total)}
        every = config.monitor.every
        self.look_steps = set() if every is None else {*range(0, total, every), total}
        """PPO steps at which every arm is looked at."""
        self._models: dict[str, Any] = {}
        self._identities = {
            name: pairs_identity(getattr(splits, name)) for name in ("judge", "evaluation", "gate", "pool", "sft")
        }
        self.cuts = sorted(refreshes | self.look_steps | {total})
        """PPO steps at which any arm refreshes or is looked at, and the last one: where all arms are cut."""

    @property
    def sft(self) -> Artifact:
        """The SFT model: the first policy, the KL reference, and the backbone of reward models."""
        config, rows, seed = self.config.policy, self.splits.sft, self._seed("sft")
        scratch = config.model_name_or_path is None

        def build(path: Path) -> Mapping[str, Any]:
            tokenizer, policy = self._base_policy()
            self._use_threads(policy.num_parameters())
            report = fine_tune(
                policy,
                tokenizer,
                rows["prompt"].to_pylist(),
                rows["chosen"].to_pylist(),
                config.sft,
                seed=seed,
                workdir=path / "logs",
                # A model from nothing has to learn what prompts look like, too.
                whole_text=scratch,
                progress=self.progress,
                report_to=self.config.report_to,
            )
            save_model(policy, tokenizer, path)
            return {"parameters": policy.num_parameters(), **report.as_dict()}

        inputs = {
            # Adapters come with reinforcement learning.
            "policy": config.model_dump(exclude={"lora"}),
            "model": "scratch" if config.model_name_or_path is None else self._model(config.model_name_or_path),
            "rows": self._identities["sft"],
            "tokenizer_rows": self._identities[self._tokenizer_rows] if scratch else None,
            "seed": seed,
        }
        artifact = self.store.make("sft", inputs, build)
        # Every other stage follows this one, also where it was found and not built: one number of threads for all.
        if "parameters" in artifact.info:
            self._use_threads(artifact.info["parameters"])
        return artifact

    @property
    def base_reward(self) -> Artifact:
        """The reward model that all arms start with, trained on all of D."""
        return self._reward_model("reward", "pool", self.config.reward)

    @property
    def judge(self) -> Artifact | None:
        """The judge, trained on rows that nothing else saw; none in a world, where the gold reward judges."""
        return None if self.world is not None else self.held_out_judge

    @property
    def held_out_judge(self) -> Artifact:
        """A reward model trained on rows that nothing else saw, which a world has only for looks."""
        return self._reward_model("judge", "judge", self.config.judge_model)

    def _reward_model(self, kind: str, rows: str, config: RewardModelConfig, member: int = 0) -> Artifact:
        start = config.model_name_or_path or self.sft
        table: pa.Table = getattr(self.splits, rows)
        reference, held_out, seed = (
            self.reference_samples(config),
            self.splits.evaluation,
            self._seed(kind, *(member,) * (member > 0)),
        )

        def build(path: Path) -> Mapping[str, Any]:
            model, report = train_reward_model(
                start.path if isinstance(start, Artifact) else start,
                table,
                config,
                seed=seed,
                workdir=path / "logs",
                progress=self.progress,
                report_to=self.config.report_to,
                trust_remote_code=self._trust,
            )
            if reference is not None:
                model.normalise(*reference.load(), progress=self.progress)
            model.save(path)
            evaluation = evaluate_reward_model(model, held_out, progress=self.progress)
            numbers = {"parameters": model.parameters, "gain": model.gain, "bias": model.bias}
            figures = {"training": report.as_dict(), "held_out": evaluation.as_dict()}
            return {**numbers, **figures, "scoring_truncated": model.truncated.as_dict()}

        inputs = {
            "start": start if isinstance(start, Artifact) else self._model(start),
            "rows": self._identities[rows],
            "training": config.model_dump(),
            "reference_samples": None if reference is None else reference.identity,
            "held_out": self._identities["evaluation"],
            "seed": seed,
        }
        return self.store.make(kind, inputs, build)

    def reference_samples(self, config: RewardModelConfig) -> PolicySamples | None:
        """The SFT model's samples, on which reward models are normalised."""
        if not config.normalise_samples:
            return None
        prompts = self._draw(self.splits.prompts, config.normalise_samples, "reference-samples")
        return stored_samples(self._completions(self.sft, prompts, self.config.ppo.sampling))

    def _completions(self, policy: Artifact, prompts: list[str], sampling: SamplingConfig, *more: str) -> Artifact:
        seed = self._seed("completions", *more)

        def build(path: Path) -> Mapping[str, Any]:
            tokenizer, model = self._load_policy(policy)
            written = generate(model, tokenizer, prompts, sampling, seed=seed, progress=self.progress)
            write_completions(path, written)
            return written.truncated.as_dict()

        inputs = {
            "policy": policy,
            "prompts": digest_of(prompts),
            "count": len(prompts),
            "sampling": sampling.model_dump(),
            "seed": seed,
        }
        return self.store.make("completions", inputs, build)

    def _model(self, name: str) -> Any:
        """The identity of a model by name, which for a folder takes reading it whole: once a run."""
        if name not in self._models:
            self._models[name] = model_identity(name)
        return self._models[name]

    @property
    def _tokenizer_rows(self) -> str:
        """What a tokenizer learns from: the pool; in a world, the demonstrations, which have no labels.

        So worlds that differ in their labels alone share their SFT model.
        """
        return "pool" if self.world is None else "sft"

    def _base_policy(self) -> tuple[PreTrainedTokenizerBase, PreTrainedModel]:
        config, trust = self.config.policy, self._trust
        name = config.model_name_or_path
        if name is not None:
            tokenizer = load_tokenizer(name, trust_remote_code=trust)
            return tokenizer, load_causal_lm(name, tokenizer, trust_remote_code=trust)
        table: pa.Table = getattr(self.splits, self._tokenizer_rows)
        columns = (
            table[column].to_pylist() for column in ("prompt", "chosen", "rejected") if column in table.column_names
        )
        tokenizer = train_tokenizer((text for column in columns for text in column), config.scratch)
        return tokenizer, build_causal_lm(config.scratch, tokenizer, self._seed("sft"))

    def _load_reward(self, artifact: Artifact) -> RewardModel:
        return RewardModel.load(artifact.path, seed=0, trust_remote_code=self._trust)

    def _load_policy(self, artifact: Artifact) -> tuple[PreTrainedTokenizerBase, PreTrainedModel]:
        return load_policy(policy_folder(artifact), trust_remote_code=self._trust)

    def _draw(self, texts: list[str], most: int | None, purpose: str) -> list[str]:
        """At most so many of the texts, drawn at random, in their order."""
        if most is None or len(texts) <= most:
            return texts
        drawn = np.random.default_rng(self._seed(purpose)).choice(len(texts), size=most, replace=False)
        return [texts[index] for index in sorted(drawn)]

    @property
    def _trust(self) -> bool:
        return self.config.policy.trust_remote_code

    def _use_threads(self, parameters: int) -> None:
        use_threads(choose_threads(parameters, self.config.threads))

    def _seed(self, *stage: str | int) -> int:
        return seed_for(self.config.seed, *stage)
