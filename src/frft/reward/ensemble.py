"""An ensemble of reward models: the reward is lowered where they disagree (UWO, Coste et al. 2310.02743, eq. 4)."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from frft.errors import UsageError
from frft.models import TruncationCount
from frft.reward.finite import check_finite
from frft.reward.model import RewardModel

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from frft.reward.refresh import Refresh
    from frft.store import Artifact


class RewardModelEnsemble:
    """Combined score of K models: their mean minus `coef` times their variance (divisor K).

    Args:
        members: K >= 1 reward models, normalised to one scale; otherwise their variance measures scale, not doubt.
        coef: weight of the variance, >= 0; 0 gives the mean.

    Raises:
        UsageError: there is no model.
    """

    def __init__(self, members: Sequence[RewardModel], coef: float) -> None:
        if not members:
            raise UsageError("An ensemble needs at least one reward model.")
        self.members, self.coef = list(members), coef

    def score(self, prompts: Sequence[str], completions: Sequence[str]) -> NDArray[np.float64]:
        """Scores of N completions, float64 (N,).

        Raises:
            RewardError: as `RewardModel.score`; or the variance is so large that float32 cannot hold the score.
        """
        scores_KN = np.stack([member.score(prompts, completions) for member in self.members])
        with np.errstate(over="ignore"):  # an infinite variance is an error below
            scores_N = np.asarray(scores_KN.mean(axis=0) - self.coef * scores_KN.var(axis=0))
        advice = f"The members are on no common scale, or the weight of their variance ({self.coef:g}) is absurd."
        return check_finite(scores_N, prompts, completions, f"{advice} Normalise them on the same samples.")

    @property
    def truncated(self) -> TruncationCount:
        """Truncated texts of the first member; all members read the same texts."""
        return self.members[0].truncated


class FrozenEnsembleReward:
    """An ensemble of base reward models as a reward `(prompts, completions) -> scores` that is never refreshed.

    Args:
        current: artifacts of the K reward models.
        coef: weight of the variance of their scores, as in `RewardModelEnsemble`.
        trust_remote_code: run code that comes with the models.
    """

    def __init__(self, current: Sequence[Artifact], coef: float, *, trust_remote_code: bool = False) -> None:
        self.current, self.coef = list(current), coef
        self.refreshes: list[Refresh] = []
        self._trust_remote_code = trust_remote_code

    @cached_property
    def model(self) -> RewardModelEnsemble:
        """The ensemble; its models are loaded on first use."""
        paths = (artifact.path for artifact in self.current)
        members = [RewardModel.load(path, seed=0, trust_remote_code=self._trust_remote_code) for path in paths]
        return RewardModelEnsemble(members, self.coef)

    def unload(self) -> None:
        """Free the models; they are reloaded on demand."""
        self.__dict__.pop("model", None)

    def __call__(self, prompts: Sequence[str], completions: Sequence[str], **_: Any) -> list[float]:
        return [float(score) for score in self.model.score(prompts, completions)]
