"""The pairs by which the sources of a pool are audited: random ones of each source, shared where sources overlap."""

from __future__ import annotations

import random
from collections import defaultdict
from dataclasses import replace

from frft.conversation import opening
from frft.labels.candidates import LabelCandidate, LabelCandidates


def spread_over_sources(candidates: LabelCandidates, size: int, rng: random.Random) -> list[LabelCandidate]:
    """At most `size` pairs: of each source as many as of every other one that has so many, one of a conversation.

    All sources go through the conversations, and through the pairs of each, in one random order. So the pairs of a
    source are a simple random sample of its conversations, as the audit needs them, and sources that have labelled the
    same pairs share the labels.

    Args:
        candidates: pairs that know their sources.
        size: largest number of pairs.
        rng: draws the order.

    Returns:
        The pairs, each with the sources for which it was drawn. A pair may be drawn for one of its sources and not
        for another one, of which it would be no random pair.
    """
    conversations: defaultdict[str, list[LabelCandidate]] = defaultdict(list)
    for each in candidates.prompts:
        conversations[opening(each.prompt)] += [each.pair(number) for number in range(len(each))]
    order = list(conversations.values())
    rng.shuffle(order)
    of_source: defaultdict[str, list[LabelCandidate]] = defaultdict(list)
    for pairs in order:
        rng.shuffle(pairs)
        seen: set[str] = set()
        for pair in pairs:
            for name, _ in pair.sources:
                if name not in seen:
                    seen.add(name)
                    of_source[name].append(pair)
    names = sorted(of_source)
    # Which sources get one pair more, where the budget ends within a round.
    rng.shuffle(names)
    drawn: dict[int, set[str]] = {}
    pair_of: dict[int, LabelCandidate] = {}
    for place in range(max(map(len, of_source.values()), default=0)):
        for name in names:
            if place >= len(of_source[name]):
                continue
            pair = of_source[name][place]
            if id(pair) not in drawn and len(drawn) == size:
                return _for_sources(drawn, pair_of)
            drawn.setdefault(id(pair), set()).add(name)
            pair_of[id(pair)] = pair
    return _for_sources(drawn, pair_of)


def _for_sources(drawn: dict[int, set[str]], pair_of: dict[int, LabelCandidate]) -> list[LabelCandidate]:
    return [
        replace(pair_of[key], sources=tuple(each for each in pair_of[key].sources if each[0] in names))
        for key, names in drawn.items()
    ]
