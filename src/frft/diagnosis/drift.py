"""How far the policy's texts have moved: how well a classifier tells them from those that it wrote before.

A classifier two-sample test (Lopez-Paz and Oquab 1610.06545) on embedding and log length, cross-fitted by prompt
(`frft.selection.density.cross_fit`).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from frft.progress import SILENT, Progress
from frft.selection.density import EmbeddedCompletions, cross_fit
from frft.statistics.estimates import Estimate, student
from frft.statistics.numbers import Floats


def measure_drift(
    before: EmbeddedCompletions, now: EmbeddedCompletions, seed: int, progress: Progress = SILENT
) -> Estimate:
    """The probability (AUC) that a text of now looks more like now than one of before does; 0.5: nothing has moved.

    Args:
        before, now: what the policy wrote, to the same prompts or to others like them.
        seed: of the folds.
        progress: told of the classifiers trained.

    Returns:
        The AUC with its 95 % interval over prompts, see `auc_by_prompt`. Classifiers count as known, so it is a little
        too narrow. Of few texts that have not moved, held-out figures lean below 0.5.

    Raises:
        SelectionError: too few different prompts or texts.
    """
    # A policy that writes the same text to every prompt has moved as far as can be.
    fit = cross_fit(before, now, seed, progress, by_text=False)
    return auc_by_prompt(fit.logits_CM[fit.best], fit.is_policy_M, fit.prompts_M)


def auc_by_prompt(scores_M: Floats, is_now_M: npt.NDArray[np.int64], prompts_M: Sequence[str]) -> Estimate:
    """The area under the ROC curve, ties counting a half, with an interval for texts that depend by prompt.

    Each text has the share of the other class that it is on the right side of (DeLong et al. 1988); what these depart
    from the AUC, over the size of the class, is summed up by prompt (Obuchowski 1997), and Student's interval with one
    degree of freedom less than there are prompts is that of the sums' root mean square.

    Returns:
        An estimate whose n is the number of prompts.
    """
    from scipy import stats

    now_M = np.asarray(is_now_M) == 1
    ranks_M, own_M = stats.rankdata(scores_M), np.empty(len(scores_M))
    for of_class_M in (now_M, ~now_M):
        own_M[of_class_M] = stats.rankdata(np.asarray(scores_M)[of_class_M])
    # Of the other class so many are below; a text of before should be below, so there it is those above that count.
    below_M = (ranks_M - own_M) / np.where(now_M, (~now_M).sum(), now_M.sum())
    placed_M = np.where(now_M, below_M, 1 - below_M)
    auc = float(placed_M[now_M].mean())
    share_M = (placed_M - auc) / np.where(now_M, now_M.sum(), (~now_M).sum())
    prompts = {prompt: place for place, prompt in enumerate(dict.fromkeys(prompts_M))}
    sums_P = np.bincount([prompts[prompt] for prompt in prompts_M], weights=share_M)
    count = len(prompts)
    found = student(auc, float(np.sqrt(count / (count - 1) * (sums_P**2).sum())), count - 1, count)
    assert found.low is not None
    assert found.high is not None
    return Estimate(auc, max(0.0, found.low), min(1.0, found.high), count)
