"""The stages of an experiment: each takes artifacts and returns an artifact, computed where it is not there yet.

Everything that costs time happens inside the `build` that is handed to `store.make`, so that a store that only notes
what it is asked for (`frft run --dry-run`) can walk through a whole experiment in no time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from frft.config import RunConfig
from frft.config.sections import RefreshConfig, RewardModelConfig, SamplingConfig
from frft.evaluation import RewardJudge, win_rate
from frft.experiment.checkpoints import PATTERN as CHECKPOINTS
from frft.experiment.segment import LOGS, train_segment
from frft.experiment.splits import Splits
from frft.experiment.texts import (
    read_completions,
    rollout_samples,
    stored_samples,
    write_completions,
)
from frft.experiment.trainers import load_policy, make_trainer
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
from frft.policy import divergence, fine_tune, generate
from frft.progress import Progress
from frft.reward import (
    AlignedReward,
    PolicySamples,
    RewardModel,
    evaluate_reward_model,
    model_identity,
    pairs_identity,
    train_reward_model,
)
from frft.selection import Embedder, VectorCache
from frft.store import ALONE, Artifact, ArtifactStore, Peers, digest_of

if TYPE_CHECKING:
    import pyarrow as pa
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


def policy_folder(artifact: Artifact) -> Path:
    """Where the policy of an SFT model or of a trained segment lies."""
    return artifact.path if artifact.kind == "sft" else artifact.path / "policy"


class Stages:
    """The stages of one configuration over one set of rows.

    Args:
        config: the run.
        splits: the rows by purpose.
        store: where artifacts are kept.
        embeddings: folder of the vector cache.
        progress: told of everything that takes long.
        evaluation_prompts: what to compare the policies on; none: the held-out prompts.
        peers: the processes that train policies together; what else there is, one of them makes for all.
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
    ) -> None:
        self.config, self.splits, self.store, self.progress = config, splits, store, progress
        self.peers = peers
        self.vectors = VectorCache(embeddings, Embedder(config.embedder, progress))
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
        self._identities = {
            name: pairs_identity(getattr(splits, name)) for name in ("judge", "evaluation", "pool", "sft")
        }
        self.checkpoints = sorted(refreshes | {total})
        """PPO steps at which any arm refreshes, and the last one: where all arms are cut."""

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
            "model": model_identity(config.model_name_or_path or "scratch"),
            "rows": self._identities["sft"],
            "tokenizer_rows": self._identities["pool"] if scratch else None,
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
    def judge(self) -> Artifact:
        """The judge, trained on rows that nothing else saw."""
        return self._reward_model("judge", "judge", self.config.judge)

    def aligned_reward(self, arm: RefreshConfig) -> AlignedReward:
        """The reward of an arm, before its first refresh."""
        return AlignedReward(
            self.base_reward,
            self.splits.pool,
            arm,
            self.config.reward,
            backbone=self.config.reward.model_name_or_path or self.sft,
            vectors=self.vectors,
            store=self.store,
            reference_samples=self._reference_samples(self.config.reward),
            held_out=self.splits.evaluation,
            seed=self._seed("aligned"),
            progress=self.progress,
            report_to=self.config.report_to,
            trust_remote_code=self._trust,
        )

    def train(self, policy: Artifact, reward: AlignedReward, anchor: Artifact, *, until_step: int) -> Artifact:
        """Train on from `policy` (the SFT model or an earlier segment) until `until_step` steps are done.

        Processes that were launched together train it together; stopped, it goes on from its last checkpoint.
        """
        config, prompts, seed = self.config.ppo, self.splits.prompts, self._seed("ppo")
        base, sft = self.base_reward, self.sft

        def build(path: Path) -> Mapping[str, Any]:
            trainer = make_trainer(
                self.config,
                sft.path,
                None if anchor is sft else policy_folder(anchor),
                base.path,
                reward,
                prompts,
                seed=seed,
                logs=path / LOGS,
            )
            found = train_segment(
                path,
                trainer,
                None if policy is sft else policy.path,
                until_step,
                scored=lambda: reward.model.truncated,
                save_steps=config.save_steps,
                peers=self.peers,
                progress=self.progress,
            )
            # Not `end_training`, which would disconnect the processes for good.
            for tracker in trainer.accelerator.trackers:
                tracker.finish()
            return found

        inputs = {
            "policy": policy,
            "reward": reward.current,
            "critic": base,
            "anchor": anchor,
            "sft": sft,
            "lora": self.config.policy.model_dump()["lora"],
            # How often it is saved changes nothing.
            "ppo": config.model_dump(exclude={"save_steps"}),
            "group": None if self.config.algorithm == "ppo" else self.config.group.model_dump(),
            "prompts": digest_of(prompts),
            "until_step": until_step,
            "seed": seed,
        }
        return self.store.make(self.config.algorithm, inputs, build, scratch=CHECKPOINTS, peers=self.peers)

    def samples(self, policy: Artifact, segments: Sequence[Artifact], arm: RefreshConfig) -> PolicySamples:
        """What the frozen policy writes: a fresh pass over prompts of D, or its rollouts in these segments."""
        if arm.samples == "rollouts":
            return rollout_samples(segments, arm.max_samples)
        prompts = self._draw(self.splits.prompts, arm.max_samples, "samples")
        return stored_samples(self._completions(policy, prompts, arm.sampling or self.config.ppo.sampling))

    def evaluation_completions(self, policy: Artifact) -> Artifact:
        """What a policy writes for the evaluation prompts."""
        return self._completions(policy, self.evaluation_prompts, self.sampling)

    def evaluation(self, policy: Artifact, baseline: Artifact) -> Artifact:
        """A policy against `baseline` (vanilla's), by the judge; the baseline itself has no win rate."""
        config, seed = self.config.evaluation, self._seed("bootstrap")
        own, other = self.evaluation_completions(policy), self.evaluation_completions(baseline)
        judge_artifact, base_artifact = self.judge, self.base_reward

        def build(path: Path) -> Mapping[str, Any]:
            del path
            written, against = read_completions(own), read_completions(other)
            texts = (written.prompts, written.completions)
            judge, base = (
                RewardModel.load(artifact.path, seed=0, trust_remote_code=self._trust)
                for artifact in (judge_artifact, base_artifact)
            )
            compared = win_rate(
                RewardJudge(judge, config.tie_margin),
                *texts,
                against.completions,
                resamples=config.bootstrap_resamples,
                seed=seed,
            )
            tokenizer, model = self._load_policy(policy)
            moved = divergence(
                model,
                self._load_policy(self.sft)[1],
                tokenizer,
                written,
                temperature=self.sampling.temperature,
                max_prompt_tokens=self.sampling.max_prompt_tokens,
                progress=self.progress,
            )
            count = len(written.prompts)
            return {
                "win_rate": None if own.digest == other.digest else compared.as_dict(),
                "judge_score": float(judge.score(*texts).mean()),
                "base_reward_score": float(base.score(*texts).mean()),
                "kl_sft_k1": moved.k1,
                "kl_sft_k3": moved.k3,
                "response_tokens": sum(map(len, written.tokens)) / count,
                "has_eos": sum(written.has_eos) / count,
                "distinct_completions": len(set(written.completions)) / count,
                "written_truncated": written.truncated.as_dict(),
                "judge_truncated": judge.truncated.as_dict(),
            }

        inputs = {
            "own": own,
            "baseline": other,
            "judge": judge_artifact,
            "base_reward": base_artifact,
            "sft": self.sft,
            "tie_margin": config.tie_margin,
            "resamples": config.bootstrap_resamples,
            "seed": seed,
        }
        return self.store.make("evaluation", inputs, build)

    def _reward_model(self, kind: str, rows: str, config: RewardModelConfig) -> Artifact:
        start = config.model_name_or_path or self.sft
        table: pa.Table = getattr(self.splits, rows)
        reference, held_out, seed = self._reference_samples(config), self.splits.evaluation, self._seed(kind)

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
            "start": model_identity(start),
            "rows": self._identities[rows],
            "training": config.model_dump(),
            "reference_samples": None if reference is None else reference.identity,
            "held_out": self._identities["evaluation"],
            "seed": seed,
        }
        return self.store.make(kind, inputs, build)

    def _reference_samples(self, config: RewardModelConfig) -> PolicySamples | None:
        """The SFT model's samples, on which reward models are normalised."""
        if not config.normalise_samples:
            return None
        prompts = self._draw(self.splits.prompts, config.normalise_samples, "reference-samples")
        return stored_samples(self._completions(self.sft, prompts, self.config.ppo.sampling))

    def _completions(self, policy: Artifact, prompts: list[str], sampling: SamplingConfig) -> Artifact:
        seed = self._seed("completions")

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

    def _base_policy(self) -> tuple[PreTrainedTokenizerBase, PreTrainedModel]:
        config, trust = self.config.policy, self._trust
        name = config.model_name_or_path
        if name is not None:
            tokenizer = load_tokenizer(name, trust_remote_code=trust)
            return tokenizer, load_causal_lm(name, tokenizer, trust_remote_code=trust)
        columns = (self.splits.pool[column].to_pylist() for column in ("prompt", "chosen", "rejected"))
        tokenizer = train_tokenizer((text for column in columns for text in column), config.scratch)
        return tokenizer, build_causal_lm(config.scratch, tokenizer, self._seed("sft"))

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

    def _seed(self, stage: str) -> int:
        return seed_for(self.config.seed, stage)
