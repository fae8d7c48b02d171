"""Preference As Reward (PAR, Fu et al. 2502.18770): a reward that is bounded, and centred prompt by prompt.

    r_PAR(x, y) = 1/M sum_m sigmoid(r(x, y) - r(x, y_m)),    y_1, ..., y_M from the SFT model

where r is the reward model's raw score, so that each term is the Bradley-Terry probability, by that reward model, that
y is preferred to y_m. It is about 1/2 on average while the policy writes like the SFT model, whatever the prompt, and
at most 1, so that ever higher scores are worth ever less.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from frft.errors import RewardError, UsageError
from frft.reward.aligned import AlignedReward


class PreferenceAsReward:
    """PAR of an `AlignedReward`, as a reward `(prompts, completions) -> scores` from 0 to 1.

    The references are scored by the reward model of the moment, in the call in which they are needed: after a refresh,
    both sides of a comparison are scored by the refreshed one. The completions scored, and not the references, are
    remembered as samples of the policy, as `reward` does.

    Args:
        reward: the reward to shape; refreshes are made by it. Its gain drops out: PAR compares raw scores.
        references: completions of the SFT model by prompt, the same number M >= 1 of each.

    Raises:
        UsageError: there are no references, or not the same number of each prompt.
    """

    def __init__(self, reward: AlignedReward, references: Mapping[str, Sequence[str]]) -> None:
        numbers = {len(texts) for texts in references.values()}
        if len(numbers) != 1 or 0 in numbers:
            raise UsageError(
                f"PAR compares with the same number of reference completions of every prompt, at least one; there are "
                f"{' and '.join(map(str, sorted(numbers))) or 'none'}. Give as many of each."
            )
        self.reward, self.references = reward, references

    def __call__(self, prompts: Sequence[str], completions: Sequence[str]) -> list[float]:
        """Scores of N completions.

        Raises:
            RewardError: there are no references of a prompt, or a score cannot be computed.
        """
        # Once for each prompt of a call: RLOO and GRPO sample several completions of one.
        row_of = {prompt: row for row, prompt in enumerate(dict.fromkeys(prompts))}
        if lacking := [prompt for prompt in row_of if prompt not in self.references]:
            raise RewardError(
                f"PAR has no reference completions of {len(lacking)} of {len(row_of)} prompts, the first of which "
                f"begins {lacking[0][:80]!a}. Sample completions of the SFT model for every prompt that the policy is "
                "trained on."
            )
        scores_N = np.array(self.reward(prompts, completions))
        asked = [(prompt, text) for prompt in row_of for text in self.references[prompt]]
        model = self.reward.model
        references_PM = model.score(*zip(*asked, strict=True)).reshape(len(row_of), -1)
        margins_NM = scores_N[:, None] - references_PM[[row_of[prompt] for prompt in prompts]]
        return [float(score) for score in preference_as_reward(margins_NM / model.gain)]


def preference_as_reward(margins_NM: np.ndarray) -> np.ndarray:
    """PAR of N completions, float64 (N,).

    Args:
        margins_NM: raw score of each completion less that of each of its M references.
    """
    from scipy.special import expit

    return np.asarray(expit(margins_NM).mean(axis=1))
