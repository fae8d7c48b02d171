"""Point estimates with confidence intervals, hypothesis tests and sample sizes, each defined once for all of frft."""

from frft.statistics.accuracy import OrderAccuracy, order_accuracy, within_prompt_variance
from frft.statistics.crossed import crossed_estimate
from frft.statistics.estimates import (
    Change,
    Estimate,
    difference,
    estimate,
    paired_change,
    proportion,
    ratio_interval,
    share,
    share_of,
    slope,
    smoothed,
    spearman,
    student,
    trend,
)
from frft.statistics.intervals import CONFIDENCE_LEVEL, SIGNIFICANCE_LEVEL, share_interval, standard_error, wilson
from frft.statistics.power import prompts_needed
from frft.statistics.rates import holm, rate_interval, rate_p_value

__all__ = [
    "CONFIDENCE_LEVEL",
    "SIGNIFICANCE_LEVEL",
    "Change",
    "Estimate",
    "OrderAccuracy",
    "crossed_estimate",
    "difference",
    "estimate",
    "holm",
    "order_accuracy",
    "paired_change",
    "prompts_needed",
    "proportion",
    "rate_interval",
    "rate_p_value",
    "ratio_interval",
    "share",
    "share_interval",
    "share_of",
    "slope",
    "smoothed",
    "spearman",
    "standard_error",
    "student",
    "trend",
    "wilson",
    "within_prompt_variance",
]
