"""What all stages of a run have in common: its configuration and rows, and what makes stages."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from frft.config import RunConfig
from frft.models import choose_threads, seed_for, use_threads
from frft.progress import Progress
from frft.reward import model_identity, pairs_identity
from frft.selection import Embedder, VectorCache
from frft.stages import Runner, Stage, StageRunner, Workload
from frft.store import ALONE, Artifact, ArtifactStore, Peers

if TYPE_CHECKING:
    from frft.evaluation.judge_names import NamedJudge
    from frft.experiment.splits import Splits
    from frft.worlds import World


class RunContext:
    """One configuration over one set of rows.

    Args:
        config: the run.
        splits: the rows by purpose.
        store: where artifacts are kept.
        embeddings: folder of the vector cache.
        progress: told of everything that takes long.
        evaluation_prompts: what to compare the policies on; none: the held-out prompts.
        peers: the processes that train policies together; what else there is, one of them makes for all.
        world: where the rows come from, if they come from a world: its gold reward judges, if no judge is named.
        named_judge: the judge that `evaluation.judge` names; none: it names none.

    Attributes:
        runner: makes the stages.
        vectors: embeddings of texts.
        sampling: how completions are sampled that are evaluated.
        evaluation_prompts: distinct prompts that policies are compared on.
        evaluation_prompt_counts: how many were given, were distinct, are used, and stand in training pairs.
        look_steps: PPO steps at which every arm is looked at.
        cuts: PPO steps at which any arm refreshes or is looked at, and the last one: where all arms are cut.
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
        named_judge: NamedJudge | None = None,
    ) -> None:
        self.config, self.splits, self.progress = config, splits, progress
        self.runner: Runner = StageRunner(store)
        self.peers, self.world, self.named_judge = peers, world, named_judge
        self.vectors = VectorCache(embeddings, Embedder(config.embedder, progress), store.shared)
        self.sampling = config.evaluation.sampling or config.ppo.sampling
        given = evaluation_prompts or splits.evaluation["prompt"].to_pylist()
        distinct = list(dict.fromkeys(given))
        self.evaluation_prompts = self.draw(distinct, config.evaluation.max_prompts, "evaluation-prompts")
        known = {*splits.pool["prompt"].to_pylist(), *splits.judge["prompt"].to_pylist()}
        self.evaluation_prompt_counts = {
            "given": len(given),
            "distinct": len(distinct),
            "used": len(self.evaluation_prompts),
            "trained_on": sum(prompt in known for prompt in self.evaluation_prompts),
        }
        total, every = config.ppo.total_steps, config.monitor.every
        refreshes = {step for name in config.arms for step in config.arm(name).refresh_steps(total)}
        self.look_steps = set() if every is None else {*range(0, total, every), total}
        self.cuts = sorted(refreshes | self.look_steps | {total})
        self._models: dict[str, Any] = {}

    def with_runner(self, runner: Runner) -> RunContext:
        """The same context, whose stages are handed to another runner."""
        other = copy.copy(self)
        other.runner = runner
        return other

    def make(self, stage: Stage) -> Artifact:
        """The artifact of a stage."""
        return self.runner(stage)

    @cached_property
    def identities(self) -> Mapping[str, str]:
        """A digest of the rows of each purpose."""
        return {
            name: pairs_identity(getattr(self.splits, name)) for name in ("judge", "evaluation", "gate", "pool", "sft")
        }

    def model_identity_of(self, name: str) -> Any:
        """The identity of a model by name, which for a folder takes reading it whole: once a run."""
        if name not in self._models:
            self._models[name] = model_identity(name)
        return self._models[name]

    def seed(self, *stage: str | int) -> int:
        """The seed of a stage, derived from the run's."""
        return seed_for(self.config.seed, *stage)

    def draw(self, texts: list[str], most: int | None, purpose: str) -> list[str]:
        """At most so many of the texts, drawn at random, in their order."""
        if most is None or len(texts) <= most:
            return texts
        drawn = np.random.default_rng(self.seed(purpose)).choice(len(texts), size=most, replace=False)
        return [texts[index] for index in sorted(drawn)]

    @property
    def trust(self) -> bool:
        """Whether code that comes with models is run."""
        return self.config.policy.trust_remote_code

    def use_threads(self, parameters: int) -> None:
        """Let torch use as many threads as a policy of this size makes use of."""
        use_threads(choose_threads(parameters, self.config.threads))

    def scoring_bytes(self, workload: Workload) -> float:
        """Memory of what an arm scores with: the most members that the ensemble of any arm has."""
        members = max(self.config.arm(name).ensemble for name in self.config.arms)
        return members * workload.classifier_bytes(self.config.reward)
