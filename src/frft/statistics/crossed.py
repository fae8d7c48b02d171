"""The mean over two crossed random factors, such as actors and seeds, with an interval that covers both."""

from __future__ import annotations

from frft.statistics.estimates import Estimate, student
from frft.statistics.intervals import half_width
from frft.statistics.numbers import Floats


def crossed_estimate(values_AS: Floats) -> Estimate:
    """The mean of a table with a row for each of A actors and a column for each of S seeds, float64 (A, S).

    Its variance is that of two crossed random factors, from the mean squares of rows, columns and residuals. Its
    degrees of freedom are Satterthwaite's (1946), kept between the smallest and the largest of those three. With one
    row or one column the interval is Student's; with a single value there is none.
    """
    import numpy as np
    from scipy import stats

    mean = float(values_AS.mean())
    actors, seeds = values_AS.shape
    if values_AS.size == 1:
        return Estimate(mean, None, None, 1)
    if min(actors, seeds) == 1:
        return student(mean, float(stats.sem(values_AS, axis=None)), values_AS.size - 1, values_AS.size)
    of_actor_A, of_seed_S = values_AS.mean(axis=1) - mean, values_AS.mean(axis=0) - mean
    residual_AS = values_AS - mean - of_actor_A[:, None] - of_seed_S
    # Degrees of freedom and sums of squares of rows, columns and residuals, in this order; `parts` are the terms of
    # Var(mean) = (MS_rows + MS_columns - MS_residual) / (A S).
    degrees = np.array([actors - 1, seeds - 1, (actors - 1) * (seeds - 1)])
    squares = np.array([seeds * (of_actor_A**2).sum(), actors * (of_seed_S**2).sum(), (residual_AS**2).sum()])
    parts = squares / degrees / values_AS.size * [1, 1, -1]
    # Where rows and columns vary less than the residuals say they must, the estimated variance would be below zero.
    variance = max(parts.sum(), -parts[2])
    if variance <= 0:
        return Estimate(mean, mean, mean, values_AS.size)
    satterthwaite = variance**2 / (parts**2 / degrees).sum()
    freedom = np.clip(satterthwaite, degrees.min(), degrees.max())
    half = half_width(float(np.sqrt(variance)), float(freedom))
    return Estimate(mean, mean - half, mean + half, values_AS.size)
