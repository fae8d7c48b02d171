"""The stages of an experiment: each takes artifacts and returns an artifact, computed where it is not there yet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from frft.config.sections import RefreshConfig
from frft.diagnosis import refresh_alarms
from frft.experiment.checkpoints import PATTERN as CHECKPOINTS
from frft.experiment.evaluation import against_gold, judged, ordered_as_gold, variance_under_policy
from frft.experiment.foundations import policy_folder
from frft.experiment.monitor import Monitor
from frft.experiment.segment import LOGS, train_segment
from frft.experiment.texts import (
    read_completions,
    rollout_samples,
    stored_samples,
)
from frft.experiment.trainers import make_policy_trainer
from frft.policy import log_likelihoods, measure_divergence
from frft.reward import (
    AlignedReward,
    EnsembleReward,
    PolicySamples,
    Refresh,
)
from frft.reward.refresh import LOG_RATIOS_FILE, PAIRS_FILE
from frft.selection import LogRatios
from frft.store import Artifact, digest_of
from frft.strategies import get_strategy

LIKELIHOODS = "likelihoods.npy"


class Stages(Monitor):
    """The stages of one configuration over one set of rows, arm by arm."""

    def reward(self, arm: RefreshConfig) -> AlignedReward | EnsembleReward:
        """The reward of an arm, before its first refresh."""
        if arm.ensemble > 1:
            members = [self._reward_model("reward", "pool", self.config.reward, n) for n in range(arm.ensemble)]
            return EnsembleReward(members, arm.ensemble_coef, trust_remote_code=self._trust)
        return AlignedReward(
            self.base_reward,
            self.splits.pool,
            arm,
            self.config.reward,
            backbone=self.config.reward.model_name_or_path or self.sft,
            vectors=self.vectors,
            store=self.store,
            reference_samples=self.reference_samples(self.config.reward),
            held_out=self.splits.evaluation,
            gate_pairs=self.splits.gate if arm.gate else None,
            seed=self._seed("aligned"),
            progress=self.progress,
            alarms=refresh_alarms,
            report_to=self.config.report_to,
            trust_remote_code=self._trust,
        )

    def train(
        self,
        policy: Artifact,
        reward: AlignedReward | EnsembleReward,
        anchor: Artifact,
        *,
        until_step: int,
        reset_optimizer: bool = False,
    ) -> Artifact:
        """Train on from `policy` (the SFT model or an earlier segment) until `until_step` steps are done.

        Processes that were launched together train it together; stopped, it goes on from its last checkpoint.
        """
        config, prompts, seed = self.config.ppo, self.splits.prompts, self._seed("ppo")
        base, sft = self.base_reward, self.sft

        def build(path: Path) -> Mapping[str, Any]:
            trainer = make_policy_trainer(
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
                reset_optimizer=reset_optimizer,
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
            **self._of_reward(reward),
            "critic": base,
            "anchor": anchor,
            "sft": sft,
            "lora": self.config.policy.model_dump()["lora"],
            # How often it is saved changes nothing.
            "ppo": config.model_dump(exclude={"save_steps"}),
            "group": None if self.config.algorithm == "ppo" else self.config.group.model_dump(),
            "prompts": digest_of(prompts),
            "until_step": until_step,
            "reset_optimizer": reset_optimizer,
            "seed": seed,
        }
        return self.store.make(self.config.algorithm, inputs, build, scratch=CHECKPOINTS, peers=self.peers)

    def refresh(
        self,
        reward: AlignedReward | EnsembleReward,
        policy: Artifact,
        segments: Sequence[Artifact],
        arm: RefreshConfig,
    ) -> tuple[Refresh | None, tuple[Artifact, Artifact] | None]:
        """Realign an arm's reward model with `policy`, whose rollouts since the last refresh are in these segments.

        Returns:
            The refresh, if there was something to do, and then, in a world, how the model before and the one after
            order what `policy` writes. Its texts are the same in all arms, and neither model has been exploited by
            more than they all have.
        """
        if isinstance(reward, EnsembleReward) or not get_strategy(arm.selection.strategy).selects:
            return None, None
        before = reward.current
        samples = self.samples(policy, segments, arm)
        if arm.labels == "gold":
            made = reward.refresh(samples, pool=self._labelled_pairs(policy, arm))
        elif get_strategy(arm.selection.strategy).needs_models:
            made = reward.refresh(samples, log_ratios=self._log_ratios(policy, arm))
        else:
            made = reward.refresh(samples)
        if self.world is None:
            return made, None
        assert isinstance(before, Artifact)
        return made, (self._on_policy(policy, before), self._on_policy(policy, made.reward_model))

    def samples(self, policy: Artifact, segments: Sequence[Artifact], arm: RefreshConfig) -> PolicySamples:
        """What the frozen policy writes: a fresh pass over prompts of D, or its rollouts in these segments.

        None at all for an arm that looks at none of it.
        """
        if not get_strategy(arm.selection.strategy).embeds and arm.gate is None:
            return PolicySamples.of([], [])
        if arm.samples == "rollouts":
            return rollout_samples(segments, arm.max_samples)
        prompts = self._draw(self.splits.prompts, arm.max_samples, "samples")
        return stored_samples(self._completions(policy, prompts, arm.sampling or self.config.ppo.sampling))

    def evaluation_completions(self, policy: Artifact) -> tuple[Artifact, Artifact]:
        """What a policy writes for the evaluation prompts, twice; the first is what is compared with other arms."""
        given = (policy, self.evaluation_prompts, self.sampling)
        return self._completions(*given), self._completions(*given, "second")

    def evaluation(self, policy: Artifact, baseline: Artifact, reward: AlignedReward | EnsembleReward) -> Artifact:
        """A policy, trained with `reward`, against `baseline` (vanilla's) by the judge; that has no win rate itself."""
        config, world, held_out = self.config.evaluation, self.world, self.splits.evaluation
        own, second = self.evaluation_completions(policy)
        other, _ = self.evaluation_completions(baseline)
        judge_artifact, base_artifact = self.judge, self.base_reward

        def build(path: Path) -> Mapping[str, Any]:
            del path
            written, again = read_completions(own), read_completions(second)
            judge = world if judge_artifact is None else self._load_reward(judge_artifact)
            assert judge is not None
            against = None if own.digest == other.digest else read_completions(other)
            found = judged(written, against, judge, config)
            found["base_reward_score"] = float(
                self._load_reward(base_artifact).score(written.prompts, written.completions).mean()
            )
            found["reward_variance"] = variance_under_policy(reward.model, written, again)
            if world is not None:
                found |= against_gold(world, reward.model, written, again, held_out)
            tokenizer, model = self._load_policy(policy)
            moved = measure_divergence(
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
                **found,
                "kl_sft_k1": moved.k1,
                "kl_sft_k3": moved.k3,
                "response_tokens": sum(map(len, written.tokens)) / count,
                "has_eos": sum(written.has_eos) / count,
                "distinct_completions": len(set(written.completions)) / count,
                "written_truncated": written.truncated.as_dict(),
            }

        inputs = {
            "own": own,
            "second": second,
            "baseline": other,
            "judge": judge_artifact or "gold",
            **self._of_reward(reward),
            "base_reward": base_artifact,
            "held_out": None if world is None else self._identities["evaluation"],
            "sft": self.sft,
            "tie_margin": config.tie_margin,
        }
        return self.store.make("evaluation", inputs, build)

    def _on_policy(self, policy: Artifact, reward_model: Artifact) -> Artifact:
        """How a reward model orders two completions of `policy` to each evaluation prompt, by the gold reward."""
        world = self.world
        written, again = self.evaluation_completions(policy)

        def build(path: Path) -> Mapping[str, Any]:
            del path
            assert world is not None
            texts = (read_completions(written), read_completions(again))
            return ordered_as_gold(world, self._load_reward(reward_model), *texts)

        inputs = {"reward": reward_model, "written": written, "again": again}
        return self.store.make("on_policy", inputs, build)

    def _labelled_pairs(self, policy: Artifact, arm: RefreshConfig) -> Artifact:
        """Pairs of what `policy` writes, freshly labelled by the gold reward of the world: pairs.parquet."""
        world, size, seed = self.world, arm.selection.places, self._seed("labelled-pairs")
        prompts = self._draw(self.splits.prompts, size, "labelled-pairs")
        sampling = arm.sampling or self.config.ppo.sampling
        first, second = (self._completions(policy, prompts, sampling, which) for which in ("first", "second"))

        def build(path: Path) -> Mapping[str, Any]:
            assert world is not None
            one, two = (read_completions(written).completions for written in (first, second))
            pairs = world.labelled_pairs(prompts, one, two, seed=seed)
            pq.write_table(pairs, path / PAIRS_FILE)
            return {"pairs": pairs.num_rows}

        inputs = {"first": first, "second": second, "world": self.config.data.model_dump()["world"], "seed": seed}
        return self.store.make("labelled", inputs, build)

    def _log_ratios(self, policy: Artifact, arm: RefreshConfig) -> Artifact:
        """log pi(y|x) - log pi_SFT(y|x) of the pool's completions, in nats."""
        sampling = arm.sampling or self.config.ppo.sampling
        own, sft = (self._likelihoods(model, sampling.temperature) for model in (policy, self.sft))

        def build(path: Path) -> Mapping[str, Any]:
            own_2N, sft_2N = (np.load(each.path / LIKELIHOODS, allow_pickle=False) for each in (own, sft))
            LogRatios(*(own_2N - sft_2N)).write(path / LOG_RATIOS_FILE)
            return {}

        return self.store.make("log_ratios", {"policy": own, "sft": sft}, build)

    def _likelihoods(self, policy: Artifact, temperature: float) -> Artifact:
        """log pi(y|x) of the pool's chosen and rejected completions, in nats."""
        pool, sampling = self.splits.pool, self.config.ppo.sampling
        length = sampling.max_prompt_tokens + sampling.max_new_tokens

        def build(path: Path) -> Mapping[str, Any]:
            tokenizer, model = self._load_policy(policy)
            found, cut = [], {}
            for side in ("chosen", "rejected"):
                given = (model, tokenizer, pool["prompt"].to_pylist(), pool[side].to_pylist())
                sums, truncated = log_likelihoods(
                    *given, max_length=length, temperature=temperature, progress=self.progress
                )
                found.append(sums)
                cut[side] = truncated.as_dict()
            np.save(path / LIKELIHOODS, np.stack(found), allow_pickle=False)
            return {"truncated": cut}

        inputs = {"policy": policy, "rows": self._identities["pool"], "length": length, "temperature": temperature}
        return self.store.make("likelihoods", inputs, build)
