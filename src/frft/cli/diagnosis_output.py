"""What `frft diagnose` prints: the verdict first, then a line for each arm, then details of those asked for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from frft.cli.output import print_table, print_text

if TYPE_CHECKING:
    from frft.diagnosis import Diagnosis, Ground, Link, RewardVerdict
    from frft.results import LookInfo
    from frft.statistics.estimates import Change


def print_summary(
    verdict: RewardVerdict, grounds: Sequence[tuple[Ground, Sequence[str]]], arms: Sequence[Diagnosis]
) -> None:
    """Print the verdict and what decided it, a line for each arm, and what to do.

    Args:
        verdict: the verdict on all arms together.
        grounds: the grounds of the verdict, each with the names of the arms concerned (empty: the link across arms).
        arms: the diagnosis of each arm.
    """
    decided = "; ".join(
        f"{ground.found} ({', '.join(names)})" if len(arms) > 1 and names else ground.found for ground, names in grounds
    )
    print_text(
        {
            "broken": f"Verdict: broken. {decided}.",
            "undecided": f"Verdict: undecided. Nothing broken was found, but not enough was measured to say more. "
            f"{decided}.",
            "healthy": "Verdict: healthy. All links hold, and no alarm fired.",
        }[verdict]
    )
    longest = max(len(arm.name) for arm in arms)
    for arm in arms:
        print_text(f"  {arm.name:<{longest}}  {_line(arm)}")
    # The advice on an undecided link depends on its figures, which differ between arms: it is given for one arm alone.
    if verdict == "broken" or len(arms) == 1:
        for ground, _ in grounds:
            print_text(f"\u2022 {ground.found}: {ground.advice}")


def _line(found: Diagnosis) -> str:
    """An arm in one line: its verdict, what decided it, and how many alarms fired or were not measured."""
    decided = [ground.found for ground in found.grounds] or [f"{len(found.links)} links hold"]
    looked = f"{len(found.fired)} of {len(found.alarms)} alarms fired, {len(found.unmeasured)} not measured"
    return f"{found.verdict}: {'; '.join(decided)} ({looked})"


def print_details(found: Diagnosis, links: Sequence[Link]) -> None:
    """Print everything that was measured of one arm or reward model: links, alarms, symptoms and figures."""
    print_text(f"\n{found.name}: {found.verdict}")
    print_links(links)
    print_table(
        ("alarm", "state", "figure [95 %]", "fires"),
        [
            (
                alarm.name,
                "FIRED" if alarm.fired else "silent",
                _figure(alarm.figure, alarm.interval),
                f"{alarm.side} {alarm.threshold:.3g}",
            )
            for alarm in found.alarms
        ],
        texts=2,
    )
    for alarm in found.fired:
        print_text(f"• {alarm.name} ({alarm.measured}). {alarm.meaning} {alarm.advice}")
    print_table(
        ("symptom", "of what", "before", "after", "change [95 %]"),
        [
            (
                each.name,
                each.unit,
                "–" if each.before is None else f"{each.before.mean:.3f}",
                f"{each.after.mean:.3f}",
                "–" if each.change is None else _figure(each.change.estimate.mean, each.change.estimate.interval),
            )
            for each in found.symptoms
        ],
        texts=2,
    )
    for line in _figures(found):
        print_text(f"• {line}")
    if found.unmeasured:
        print_text("Not measured:")
    for line in found.unmeasured:
        print_text(f"  - {line}")


def print_looks(looks: Sequence[LookInfo]) -> None:
    """Print the looks during an arm's training as a table; changes are since its last refresh, or its start."""

    def change(found: Change) -> str:
        return "–" if found.estimate.low is None else f"{found.estimate.mean:+.3f}"

    if looks:
        print_text("While it was trained, since the last refresh:")
        print_table(
            ("after step", "drift (AUC)", "proxy", "judge", "accuracy on own texts", "alarms"),
            [
                (
                    str(look.step),
                    "–" if look.drift is None else _figure(look.drift.mean, look.drift.interval),
                    "–" if look.movement is None else change(look.movement.proxy),
                    "–" if look.movement is None else change(look.movement.judge),
                    "–" if look.links[0].figure is None else f"{look.links[0].figure:.3f}",
                    ", ".join(look.fired) or "–",
                )
                for look in looks
            ],
            texts=1,
        )


def print_links(links: Sequence[Link]) -> None:
    """Print links as a table, and below it the verdict and advice on each."""
    print_table(
        ("link", "state", "figure [95 %]"),
        [
            (link.name, link.state, "–" if link.figure is None else _figure(link.figure, link.interval))
            for link in links
        ],
        texts=2,
    )
    for link in links:
        print_text(f"• {link.name} ({link.measured}): {link.verdict} {link.advice}")


def _figures(found: Diagnosis) -> list[str]:
    lines = []
    for spread, where in ((found.spread, "the policy"), (found.spread_before, "the policy at the start")):
        if spread is not None:
            within = _figure(spread.within.mean, spread.within.interval)
            lines.append(
                f"Under {where}, the reward has mean {spread.mean:+.3f} and variance {within} within prompts, "
                f"{spread.between:.3f} between them."
            )
    if found.spread_raw is not None:
        raw = found.spread_raw
        lines.append(
            f"Before normalisation: mean {raw.mean:+.3g}, variance {raw.within.mean:.3g} and {raw.between:.3g}."
        )
    for accuracy, where in ((found.held_out, "their labels say"), (found.off_policy, "the judge does")):
        if accuracy is not None and accuracy.accuracy is not None:
            ordered = _figure(accuracy.accuracy, accuracy.interval)
            ties = f"; {accuracy.ties} of them have equal scores, which count one half" if accuracy.ties else ""
            equal = f"; {accuracy.without_order} more are equal to the judge" if accuracy.without_order else ""
            lines.append(f"It orders {accuracy.n} held-out pairs as {where} with accuracy {ordered}{ties}{equal}.")
    if found.lost is not None:
        lost = _figure(found.lost.mean, found.lost.interval)
        lines.append(f"Accuracy on the policy's own texts less that on held-out pairs is {lost}.")
    if found.calibration_error is not None:
        lines.append(f"Its calibration error on held-out pairs is {found.calibration_error:.3f}.")
    if found.kl is not None:
        lines.append(f"KL from the SFT model is {_figure(found.kl.mean, found.kl.interval)} nats a completion.")
    if found.gao is not None:
        gao = found.gao
        peak = (
            "shows no peak that could be told from noise"
            if gao.peak is None or gao.peak_interval is None
            else "peaks at d* = {:.2f} [{:.2f}, {:.2f}]".format(gao.peak, *gao.peak_interval)
        )
        lines.append(f"Gao's curve of the judge over d = sqrt(KL) {peak}; the policy is at d = {gao.d:.2f}.")
    return lines


def _figure(value: float, interval: tuple[float, float] | None) -> str:
    return f"{value:.3f}" if interval is None else f"{value:.3f} [{interval[0]:.3f}, {interval[1]:.3f}]"
