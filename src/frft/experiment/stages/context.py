"""What all stages of a run share: configuration, preference pairs, embedder, seeds, and the runner that builds them."""

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
    """A configuration together with its preference pairs: the context in which stages are made.

    Args:
        config: the run.
        splits: the preference pairs by purpose.
        store: where artifacts are kept.
        embeddings: folder of the vector cache.
        progress: told of everything that takes long.
        evaluation_prompts: prompts to compare the policies on; None: the prompts of the held-out pairs.
        peers: the processes that train policies together; of all other stages, one of them builds each for all.
        world: the world that the pairs come from, whose gold reward judges unless `named_judge` is given; None: the
            pairs were read.
        named_judge: the judge that `evaluation.judge` names; None: the setting is empty.
        labelling_judges: the judges that give fresh labels, by name; None: there are none.
        labels_folder: folder for files of labels whose answers are dear; None: beside `embeddings`.

    Attributes:
        runner: builds stages, or only records them for a plan.
        vectors: cache of the embeddings of texts.
        sampling: how the completions for the evaluation are sampled.
        evaluation_prompts: the distinct prompts that policies are compared on, at most `evaluation.max_prompts`.
        evaluation_prompt_counts: how many were given, are distinct, are used, and are also prompts of training pairs.
        look_steps: numbers of completed PPO steps at which every arm is looked at; empty without `monitor.every`.
        cuts: numbers of completed PPO steps at which any arm may refresh or is looked at, and the total, ascending.
            All arms are cut into segments there, so that they share those that are equal.
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
        labelling_judges: Mapping[str, NamedJudge] | None = None,
        labels_folder: Path | None = None,
    ) -> None:
        self.config, self.splits, self.progress = config, splits, progress
        self.runner: Runner = StageRunner(store)
        self.peers, self.world, self.named_judge = peers, world, named_judge
        self.labelling_judges = labelling_judges or {}
        self.labels_folder = labels_folder or embeddings.parent / "labels"
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
        """A shallow copy of this context that hands its stages to `runner`."""
        other = copy.copy(self)
        other.runner = runner
        return other

    def make(self, stage: Stage) -> Artifact:
        """The artifact of a stage, built unless it is finished already."""
        return self.runner(stage)

    @cached_property
    def identities(self) -> Mapping[str, str]:
        """SHA-256 digest of the pairs of each purpose: "judge", "evaluation", "gate", "pool", "sft"."""
        return {
            name: pairs_identity(getattr(self.splits, name)) for name in ("judge", "evaluation", "gate", "pool", "sft")
        }

    @cached_property
    def domain_identities(self) -> Mapping[str, str]:
        """SHA-256 digest of the held-out pairs of each domain, by its name; empty unless there are several."""
        return {name: pairs_identity(pairs) for name, pairs in self.splits.by_domain.items()}

    def model_identity_of(self, name: str) -> Any:
        """The identity of a model by name or folder, cached: that of a folder is a digest of all its files."""
        if name not in self._models:
            self._models[name] = model_identity(name)
        return self._models[name]

    def seed(self, *stage: str | int) -> int:
        """The seed of a stage: a hash of the run's seed and the stage's name, so that no two stages share one."""
        return seed_for(self.config.seed, *stage)

    def draw(self, texts: list[str], most: int | None, purpose: str) -> list[str]:
        """At most `most` of the texts, drawn without replacement and kept in their order; None: all of them.

        Equal `purpose` and texts give the same draw.
        """
        if most is None or len(texts) <= most:
            return texts
        drawn = np.random.default_rng(self.seed(purpose)).choice(len(texts), size=most, replace=False)
        return [texts[index] for index in sorted(drawn)]

    @property
    def trust(self) -> bool:
        """Whether Python code in a model's repository may be executed (`policy.trust_remote_code`)."""
        return self.config.policy.trust_remote_code

    def use_threads(self, parameters: int) -> None:
        """Set torch's number of threads to `threads`, or to what a policy of this many parameters gains from."""
        use_threads(choose_threads(parameters, self.config.threads))

    def scoring_bytes(self, workload: Workload) -> float:
        """Bytes of the reward models that an arm holds: one, or the members of the largest ensemble of any arm."""
        members = max(self.config.arm(name).ensemble for name in self.config.arms)
        return members * workload.classifier_bytes(self.config.reward)
