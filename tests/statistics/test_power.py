"""Numbers of prompts against published tables and against simulation."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from frft.errors import UsageError
from frft.statistics import prompts_needed


@pytest.mark.parametrize(("size", "published"), [(0.2, 199), (0.5, 34), (0.8, 15)])
def test_against_g_power(size, published):
    """One-sample t test, two-sided, alpha .05, power .80 (Faul et al. 2007)."""
    assert prompts_needed(size, 1.0) == published
    assert prompts_needed(-size / 4, 0.25) == published


def test_the_power_is_there_and_one_prompt_fewer_has_less():
    n = prompts_needed(0.1, 0.4, power=0.9)
    rng = np.random.default_rng(0)
    seen = stats.ttest_1samp(rng.normal(0.1, 0.4, size=(20_000, n)), 0.0, axis=1).pvalue < 0.05
    # Standard error 0.2 points.
    assert seen.mean() == pytest.approx(0.9, abs=0.008)


def test_what_no_number_would_settle():
    assert prompts_needed(0.0, 0.4) is None
    assert prompts_needed(1e-6, 0.5) is None
    assert prompts_needed(0.1, 0.0) == 2


@pytest.mark.parametrize(("sd", "alpha", "power"), [(-1, 0.05, 0.8), (1, 0, 0.8), (1, 0.05, 1.0), (1, 0.8, 0.5)])
def test_nonsense_is_refused(sd, alpha, power):
    with pytest.raises(UsageError, match="give sd >= 0"):
        prompts_needed(0.1, sd, alpha=alpha, power=power)
