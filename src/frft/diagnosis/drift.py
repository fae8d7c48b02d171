"""Drift of a policy: how well a classifier tells its texts from those that it wrote before.

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
    """AUC of a classifier of the policy's texts now against its earlier ones; 0.5 means no drift, 1 complete drift.

    Args:
        before, now: earlier and present completions, to the same prompts or to others like them.
        seed: seed of the folds.
        progress: receives the number of classifiers trained.

    Returns:
        The AUC with its 95 % interval over prompts, see `auc_by_prompt`. The interval takes the classifiers as given,
        so it is a little too narrow. For few texts without drift, cross-fitted AUCs are biased below 0.5.

    Raises:
        SelectionError: too few different prompts or texts.
    """
    # by_text=False: a policy that repeats one text under all prompts has drifted, and classifiers may learn this text.
    fit = cross_fit(before, now, seed, progress, by_text=False)
    return auc_by_prompt(fit.logits_CM[fit.best], fit.is_policy_M, fit.prompts_M)


def auc_by_prompt(scores_M: Floats, is_now_M: npt.NDArray[np.int64], prompts_M: Sequence[str]) -> Estimate:
    """Area under the ROC curve, ties counting one half, with an interval that is cluster-robust by prompt.

    The placement value of a text is the share of the other class that it is ordered rightly against (DeLong et al.
    1988). With u_p the sum over prompt p's texts of (placement value - AUC) / size of the class, and P prompts,

        variance of the AUC = P / (P - 1) * sum_p u_p^2        (Obuchowski 1997)

    and the interval is Student's with P - 1 degrees of freedom, cut to [0, 1].

    Args:
        scores_M: score of each of M texts, higher for "now".
        is_now_M: true class of each text: 1 for now, 0 for before.
        prompts_M: prompt of each text.

    Returns:
        An estimate whose n is P, the number of prompts.
    """
    from scipy import stats

    now_M = np.asarray(is_now_M) == 1
    ranks_M, own_M = stats.rankdata(scores_M), np.empty(len(scores_M))
    for of_class_M in (now_M, ~now_M):
        own_M[of_class_M] = stats.rankdata(np.asarray(scores_M)[of_class_M])
    # Rank among all less rank within the own class = number of texts of the other class below. For a text of now these
    # are ordered rightly, for one of before those above are.
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
