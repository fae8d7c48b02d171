"""The reward models of all pairs of a pool, which selections are compared with and continue from."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from frft.config.sections import Start
from frft.fixed_actor.trainers import CutPairs, RewardModelTrainer, TrainingBudget
from frft.models import seed_for
from frft.store import read_sealed, verify_beside, write_sealed

if TYPE_CHECKING:
    import pyarrow as pa


class ModelsOfAll:
    """The model trained on all pairs, and that continued on them; each is trained when it is first asked for, and kept.

    Args:
        pool: all pairs.
        trainer: trains them.
        budget: how long.
        path: the beginning of the paths at which they are kept.
        seed: seed of their training.
    """

    def __init__(
        self, pool: pa.Table, trainer: RewardModelTrainer, budget: TrainingBudget, path: Path, seed: int
    ) -> None:
        self._pool, self._trainer, self._budget, self._path, self._seed = pool, trainer, budget, path, seed
        self._found: dict[Start, tuple[Any, CutPairs]] = {}

    def get(self, start: Start) -> tuple[Any, CutPairs]:
        """The model, and how much of its pairs was not read.

        Raises:
            ArtifactError: a model that was kept is damaged.
        """
        if start not in self._found:
            folder = self._path.with_name(f"{self._path.name}-{start}")
            counted = folder.with_suffix(".json")
            if not folder.exists():
                before = None if start == "scratch" else self.get("scratch")[0]
                steps = self._budget.continue_steps if start == "continue" else self._budget.steps
                model, cuts = self._trainer.train(self._pool, before, steps, seed_for(self._seed, start))
                # Before the model, whose folder says that both are there.
                write_sealed(counted, cuts)
                self._trainer.save(model, folder)
            verify_beside(folder)
            cuts = read_sealed(counted, f"Delete it and {folder}: the model is trained again.")
            self._found[start] = self._trainer.load(folder), cuts
        return self._found[start]
