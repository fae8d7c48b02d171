"""The audit of sources: is a source's preference label right more often than not? Decided label by label.

A labeller who is right with probability q > 1/2 labels pairs of a source. Let g be the share of the source's labels
that agree with gold. If the labeller's errors do not depend on whether the source is right, both agree on a pair with
probability

    theta = g q + (1 - g) (1 - q) = 1/2 + (2 q - 1) (g - 1/2),

so theta <= 1/2 exactly where g <= 1/2, whatever q is: the decision needs no value of q, only q > 1/2, and q sets how
many labels it takes. Errors that source and labeller share (both prefer the longer completion, say) raise theta by
2 Cov(source right, labeller right), and no number of labels shows it. The pairs must be a random sample, in random
order, of those that the claim is about, at most one of a prompt.

Two null hypotheses are tested for each source: g <= 1/2, whose rejection means `use`, and g >= 1/2, whose rejection
means `refuse`. Each p-value may be looked at after every label. With at most N labels it is exact: with S_n agreements
among the first n and the statistic of Wang and Tsiatis (1987, Biometrics 43:193) with exponent 1/4,

    T_n = (S_n - n/2) / n^(1/4),     p = P_{theta = 1/2}(max over all n <= N of T_n >= max over the n so far),

the probability by dynamic programming over (n, S_n). Between Pocock's exponent 1/2, which decides clear cases earlier,
and O'Brien and Fleming's 0, which decides more of the close ones, 1/4 has nearly the power of the latter. Without a
largest N the p-value is the smallest 1 / M_n so far, of the martingale

    M_n = 2 * integral over t from 1/2 to 1 of (2 t)^S_n (2 (1 - t))^(n - S_n) dt,

whose mean is at most 1 under the null hypothesis, so that it ever reaches 1 / alpha with probability at most alpha
(Ville 1939; Robbins 1970, Ann. Math. Stat. 41:1397). Holm's correction is over the sources.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from frft.errors import DataError
from frft.statistics.estimates import Estimate
from frft.statistics.intervals import CONFIDENCE_LEVEL, SIGNIFICANCE_LEVEL
from frft.statistics.numbers import Floats, Indices
from frft.statistics.rates import holm

AuditAnswer: TypeAlias = Literal["agrees", "disagrees", "tie", "skip"]
"""What a labeller said of one pair: the source's label, the opposite, neither is better, or no answer."""
AuditDecision: TypeAlias = Literal["use", "refuse", "unknown"]
AuditReason: TypeAlias = Literal["significant", "too few labels", "out of labels", "contradictory", "labeller"]
"""Why a decision is what it is. `significant`: use or refuse. Otherwise unknown: `too few labels`, more may tell;
`out of labels`, no answers to the labels that are left could decide; `contradictory`, both null hypotheses are
rejected, as where agreement changed on the way; `labeller`, the labeller's accuracy cannot be told from 1/2."""

_EXPONENT = 0.25
_TOLERANCE = 1e-9
"""Values of T_n that differ by less are the same; they are floats of a few different roots."""


@dataclass(frozen=True)
class SourceAudit:
    """What the labels say of one source.

    Attributes:
        decision: `use`, `refuse` or `unknown`.
        reason: why it is use, refuse or unknown: one of `AuditReason`.
        agreements, disagreements: answers that were tested; their sum is the number of labels that tell something.
        ties, skips: answers that say nothing.
        unused: agreements and disagreements beyond the largest number of labels; they came too late for the test.
        p_use, p_refuse: p-values of "right at most half of the time" and "right at least half of the time", corrected
            over the sources.
        with_gold: estimate of g, the share of the source's labels that agree with gold, in [0, 1]. Its interval holds
            at every look: with 95 % where the labeller's accuracy was given, with at least 90 % where it was estimated.
            None where nothing can be said: no answers, or a labeller who may be no better than chance.
    """

    decision: AuditDecision
    reason: AuditReason
    agreements: int
    disagreements: int
    ties: int
    skips: int
    unused: int
    p_use: float
    p_refuse: float
    with_gold: Estimate | None


@dataclass(frozen=True)
class AuditCharacteristics:
    """What an audit of one source comes to: exact probabilities, or shares of simulated audits.

    Attributes:
        use, refuse, unknown: probabilities, or shares, of the three decisions; they add up to 1.
        mean_labels: mean number of labels when labelling stops at a decision, or when none can be reached any more.
    """

    use: float
    refuse: float
    unknown: float
    mean_labels: float


def audit_sources(
    answers: Mapping[str, Sequence[AuditAnswer]],
    labeller: float | Estimate,
    at_most: int | Mapping[str, int] | None = None,
) -> dict[str, SourceAudit]:
    """Decide for each source whether to use it; may be asked again after every label.

    Over all sources together, each of the two wrong decisions (use of a source with g <= 1/2, refusal of one with
    g >= 1/2) has a probability of at most 5 %.

    Args:
        answers: by source, the answers to its pairs, in the order in which they were given. Sources without answers
            count in the correction.
        labeller: q, the probability that the labeller is right; an Estimate brings its uncertainty along.
        at_most: largest number N of telling answers per source, or that of each source by its name, fixed before the
            first; None: no limit, at the price of more labels for a decision.

    Raises:
        DataError: an answer is none of the four, q is not above 1/2 or not a probability, or at_most is below 1.
    """
    q_low, q, q_high = _accuracy(labeller)
    most = {source: at_most[source] if isinstance(at_most, Mapping) else at_most for source in answers}
    for limit in most.values():
        if limit is not None and limit < 1:
            raise DataError(f"An audit needs at least one label for each source; at_most is {limit}.")
    told = {source: _telling(source, given) for source, given in answers.items()}
    tested = {source: agrees[: most[source]] for source, agrees in told.items()}
    p_use = holm({source: sequential_p_value(agrees, most[source]) for source, agrees in tested.items()})
    p_refuse = holm({source: sequential_p_value(~agrees, most[source]) for source, agrees in tested.items()})
    found = {}
    for source, agrees in tested.items():
        decision, reason = _decide(agrees, p_use[source], p_refuse[source], most[source], can_tell=q_low > 0.5)
        right = int(agrees.sum())
        gold = _with_gold(right, len(agrees), (q_low, q, q_high)) if q_low > 0.5 and len(agrees) else None
        count = answers[source].count
        found[source] = SourceAudit(
            decision,
            reason,
            right,
            len(agrees) - right,
            count("tie"),
            count("skip"),
            len(told[source]) - len(agrees),
            p_use[source],
            p_refuse[source],
            gold,
        )
    return found


def sequential_p_value(agrees: Sequence[bool] | npt.NDArray[np.bool_], at_most: int | None) -> float:
    """p-value of "both agree on at most half of the pairs", valid at every look.

    Args:
        agrees: whether source and labeller agree on each pair so far, in order.
        at_most: the largest number of pairs, fixed beforehand; None: no limit.

    Raises:
        DataError: there are more pairs than at_most.
    """
    agree_n = np.asarray(agrees, bool)
    count = len(agree_n)
    if at_most is not None and count > at_most:
        raise DataError(f"{count} labels were given to a test that was calibrated for at most {at_most}.")
    if not count:
        return 1.0
    n, right_n = np.arange(1, count + 1), np.cumsum(agree_n)
    if at_most is None:
        return float(min(1.0, np.exp(-_log_martingale(right_n, n).max())))
    highest = float(((right_n - n / 2) / n**_EXPONENT).max())
    return _null_tail(round(highest, 9), at_most)


def audit_boundary(at_most: int, level: float = SIGNIFICANCE_LEVEL) -> Indices:
    """The fewest agreements among the first n labels that decide for `use`, (N,) for n = 1 to N = `at_most`.

    n + 1 where none do. As many disagreements decide for `refuse`. The probability that fair coins ever reach it is at
    most `level`, and as near to it as the statistic allows.
    """
    n, s = np.arange(1, at_most + 1)[:, None], np.arange(at_most + 1)
    positive = (s <= n) & (2 * s > n)
    values = np.unique(np.round(((s - n / 2) / n**_EXPONENT)[positive], 9))
    # The crossing probability falls as the critical value rises: the first value with which it is at most `level`.
    first, last = 0, len(values)
    while first < last:
        middle = (first + last) // 2
        if _null_tail(float(values[middle]), at_most) <= level:
            last = middle
        else:
            first = middle + 1
    return _boundary_at(values[first] if first < len(values) else np.inf, at_most)


def anytime_boundary(count: int, level: float = SIGNIFICANCE_LEVEL) -> Indices:
    """As `audit_boundary`, of the test without a largest number of labels: for its first `count` labels, (count,)."""
    n, s = np.arange(1, count + 1)[:, None], np.arange(count + 1)
    passes = (_log_martingale(np.minimum(s, n), n) >= -np.log(level)) & (s <= n)
    return np.where(passes.any(axis=1), passes.argmax(axis=1), n[:, 0] + 1)


def audit_characteristics(with_gold: float, labeller: float, boundary: Indices) -> AuditCharacteristics:
    """Exact probabilities of the decisions about one source, and the mean number of labels.

    Args:
        with_gold: g, the share of the source's labels that agree with gold.
        labeller: q, the probability that the labeller is right.
        boundary: from `audit_boundary` or `anytime_boundary`. With K sources, at level 5 % / K it is that of Holm's
            first step; decisions about other sources then only make one about this source easier.
    """
    return _passage(boundary, 0.5 + (2 * labeller - 1) * (with_gold - 0.5))


def audit_labels_needed(
    with_gold: float, labeller: float, sources: int = 1, power: float = 0.8, limit: int = 1000
) -> int | None:
    """About the smallest `at_most` with which the right decision has a given probability; None: above `limit`.

    Found by bisection. Because counts are whole numbers, power does not rise with every single label, so that slightly
    fewer may do.

    Args:
        with_gold: g, the share of the source's labels that agree with gold; not 1/2.
        labeller: q, the probability that the labeller is right.
        sources: number of sources that are audited together.
        power: the probability of `use`, or of `refuse` where g is below 1/2.
        limit: the largest number of labels to consider.
    """

    def enough(at_most: int) -> bool:
        found = audit_characteristics(with_gold, labeller, audit_boundary(at_most, SIGNIFICANCE_LEVEL / sources))
        return (found.use if with_gold > 0.5 else found.refuse) >= power

    below, above = 0, 16
    while above < limit and not enough(above):
        below, above = above, min(limit, 2 * above)
    if not enough(above):
        return None
    while above - below > 1:
        middle = (below + above) // 2
        below, above = (below, middle) if enough(middle) else (middle, above)
    return above


def can_still_decide(boundary: Indices, count: int, agreements_R: Indices) -> npt.NDArray[np.bool_]:
    """Whether answers to the labels that are left could reach a boundary: for R audits with `count` answers each, (R,).

    Args:
        boundary: from `audit_boundary`, for `count` labels or more.
        count: number of answers so far.
        agreements_R: number of agreements among them.
    """
    if count == len(boundary):
        return np.zeros(len(agreements_R), bool)
    needed = count + _lead(boundary)[count]
    possible_R: npt.NDArray[np.bool_] = (agreements_R >= needed) | (count - agreements_R >= needed)
    return possible_R


def _telling(source: str, answers: Sequence[AuditAnswer]) -> npt.NDArray[np.bool_]:
    """Agreement (true) or disagreement of the answers that are neither ties nor skips, in order."""
    for place, answer in enumerate(answers):
        if answer not in ("agrees", "disagrees", "tie", "skip"):
            raise DataError(
                f"Answer {place} about source {source!r} is {answer!r}; give agrees, disagrees, tie or skip."
            )
    return np.array([answer == "agrees" for answer in answers if answer in ("agrees", "disagrees")], bool)


def _accuracy(labeller: float | Estimate) -> tuple[float, float, float]:
    """Lower bound, point estimate and upper bound of q; without an interval, q may be anything from 0 to 1."""
    if isinstance(labeller, Estimate):
        low, high = labeller.interval or (0.0, 1.0)
        return low, labeller.mean, high
    if not 0.5 < labeller <= 1:
        raise DataError(
            f"An audit needs a labeller who is right more often than not: q above 0.5 and at most 1, got {labeller}."
        )
    return labeller, labeller, labeller


def _decide(
    agrees: npt.NDArray[np.bool_], p_use: float, p_refuse: float, at_most: int | None, *, can_tell: bool
) -> tuple[AuditDecision, AuditReason]:
    if not can_tell:
        return "unknown", "labeller"
    use, refuse = p_use <= SIGNIFICANCE_LEVEL, p_refuse <= SIGNIFICANCE_LEVEL
    if use and refuse:
        return "unknown", "contradictory"
    if use or refuse:
        return ("use" if use else "refuse"), "significant"
    if at_most is None or _can_decide(agrees, at_most):
        return "unknown", "too few labels"
    return "unknown", "out of labels"


def _can_decide(agrees: npt.NDArray[np.bool_], at_most: int) -> bool:
    """Whether further answers could decide at the uncorrected level, the loosest that Holm's correction comes to."""
    boundary = np.asarray(_cached_boundary(at_most, SIGNIFICANCE_LEVEL))
    return bool(can_still_decide(boundary, len(agrees), np.array([agrees.sum()]))[0])


@lru_cache(maxsize=4096)
def _null_tail(critical: float, at_most: int) -> float:
    """P(max over n <= at_most of T_n >= critical) for theta = 1/2."""
    return _passage(_boundary_at(critical, at_most), 0.5, one_sided=True).use


@lru_cache(maxsize=64)
def _cached_boundary(at_most: int, level: float) -> tuple[int, ...]:
    return tuple(audit_boundary(at_most, level).tolist())


def _with_gold(right: int, count: int, accuracy: tuple[float, float, float]) -> Estimate:
    """g = 1/2 + (theta - 1/2) / (2 q - 1), as Rogan and Gladen (1978) correct a prevalence, cut to [0, 1]."""
    q_low, q, q_high = accuracy
    low, high = _confidence_sequence(right, count)

    def gold(theta: float, q: float) -> float:
        return min(1.0, max(0.0, 0.5 + (theta - 0.5) / (2 * q - 1)))

    # Away from 1/2, the smaller q is, the farther is g.
    return Estimate(
        gold(right / count, q),
        gold(low, q_high if low >= 0.5 else q_low),
        gold(high, q_low if high >= 0.5 else q_high),
        count,
    )


def _confidence_sequence(right: int, count: int) -> tuple[float, float]:
    """Bounds of theta that hold at all n at once with 95 %: the theta whose martingale is below 20.

    The martingale is the uniform mixture B(s + 1, n - s + 1) / (theta^s (1 - theta)^(n - s)) (Robbins 1970).
    """
    from scipy.optimize import brentq
    from scipy.special import betaln, xlog1py, xlogy

    wrong, most = count - right, -np.log(1 - CONFIDENCE_LEVEL)

    def excess(theta: float) -> float:
        return float(betaln(right + 1, wrong + 1) - xlogy(right, theta) - xlog1py(wrong, -theta) - most)

    edge, share = 1e-12, right / count
    low = float(brentq(excess, edge, share)) if right and excess(edge) > 0 else 0.0
    high = float(brentq(excess, share, 1 - edge)) if wrong and excess(1 - edge) > 0 else 1.0
    return low, high


def _log_martingale(right: Indices, n: Indices) -> Floats:
    """Log of M_n of the docstring above: 2^(n + 1) times an incomplete beta function."""
    from scipy.special import betaincc, betaln

    a, b = right + 1, n - right + 1
    # The integral underflows to 0 where nearly all answers disagree; its log is then -inf, which is far below any 1/p.
    with np.errstate(divide="ignore"):
        tail = np.log(betaincc(a, b, 0.5))
    log_m: Floats = (n + 1) * np.log(2) + betaln(a, b) + tail
    return log_m


def _boundary_at(critical: float, at_most: int) -> Indices:
    """The fewest agreements with which T_n reaches a critical value, (N,); n + 1 where none do."""
    n = np.arange(1, at_most + 1)
    fewest = np.ceil(n / 2 + (critical - _TOLERANCE) * n**_EXPONENT)
    return np.clip(fewest, 0, n + 1).astype(np.intp)


def _lead(boundary: Indices) -> Indices:
    """l_n = min over m > n of b_m - m for n = 0 to N - 1: with s >= n + l_n agreements, `use` can still be reached."""
    short = boundary - np.arange(1, len(boundary) + 1)
    return np.minimum.accumulate(short[::-1])[::-1]


def _passage(boundary: Indices, theta: float, *, one_sided: bool = False) -> AuditCharacteristics:
    """Where a walk with agreements of probability theta first goes, by forward recursion over (n, S_n); O(N^2)."""
    count = len(boundary)
    open_s = np.zeros(count + 1)  # probability of s agreements and no decision yet
    open_s[0] = 1.0
    s, lead = np.arange(count + 1), _lead(boundary)
    use = refuse = labels = 0.0
    for n in range(1, count + 1):
        labels += float(open_s.sum())
        after_s = open_s * (1 - theta)
        after_s[1:] += open_s[:-1] * theta
        up = s >= boundary[n - 1]
        # A boundary for two decisions lies above n / 2, so that no count is in both.
        down = np.zeros_like(up) if one_sided else s <= n - boundary[n - 1]
        use, refuse = use + float(after_s[up].sum()), refuse + float(after_s[down].sum())
        hopeless = (s < n + lead[n]) & (s > -lead[n]) if n < count and not one_sided else np.zeros_like(up)
        open_s = np.where(up | down | hopeless, 0.0, after_s)
    return AuditCharacteristics(use, refuse, max(0.0, 1 - use - refuse), labels)
