"""Pairs of several domains, divided by conversation into what is trained on, what the actor wrote, and what is tested.

    conversations of every domain -> K folds, anew for each seed
    fold f: the pairs of f are tested; the completions of f + 1, unlabelled, are the actor's samples; all others are the
    pool

So every pair is tested once a seed, and no conversation is in two of the three.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from frft.conversation import opening
from frft.errors import DataError, UsageError, printable
from frft.selection.mixture import proportional_order
from frft.statistics.numbers import Indices

if TYPE_CHECKING:
    import pyarrow as pa

FEWEST_CONVERSATIONS = 20
"""Fewest conversations of a domain in each fold, on average: fewer can neither be tested nor select anything."""


@dataclass(frozen=True)
class PairsOfDomains:
    """N pairs, and the domain and conversation of each.

    Attributes:
        table: the pairs, as a pool's table.
        domains: the name of each pair's domain, N.
        conversation_N: number of each pair's conversation; prompts with the same first turn are one.
    """

    table: pa.Table
    domains: list[str]
    conversation_N: npt.NDArray[np.int64]

    @classmethod
    def of(cls, table: pa.Table, column: str | None) -> PairsOfDomains:
        """The domains by a column of the pairs; None: by the names of the files that they were read from.

        Raises:
            DataError: there is no such column, it has no value in some rows, or all pairs are of one domain.
        """
        if column is not None and column not in table.column_names:
            raise DataError(
                f"The pairs have no column {printable(column)} (--domain-column). They have "
                f"{', '.join(map(printable, table.column_names))}; without the option, each file is a domain."
            )
        values = table[column or "origin_file"].to_pylist()
        if missing := sum(value is None for value in values):
            raise DataError(
                f"{missing} of {len(values)} pairs have no value in the column {printable(column or 'origin_file')}, "
                f"which "
                "is to say their domain. Give them one, or leave these pairs out."
            )
        domains = [_file_name(value) if column is None else str(value) for value in values]
        if len(set(domains)) < 2:
            raise DataError(
                f"All {len(domains)} pairs are of one domain, {printable(domains[0])}. Give --pairs several files, or "
                f"name "
                "by --domain-column the column that says the domain."
            )
        openings = [opening(prompt) for prompt in table["prompt"].to_pylist()]
        number_of = {text: number for number, text in enumerate(sorted(set(openings)))}
        return cls(table, domains, np.array([number_of[text] for text in openings]))

    def check_actor(self, name: str, folds: int) -> None:
        """Refuse an actor of a domain that is not there, or too small.

        Raises:
            UsageError: there is no such domain.
            DataError: a domain is too small to be divided.
        """
        if name not in self.domains:
            known = ", ".join(
                f"{printable(each)} ({count:,} pairs)" for each, count in Counter(self.domains).most_common(10)
            )
            raise UsageError(f"--actor-of {printable(name)}: there is no such domain; there are: {known}.")
        rows = np.array(self.domains, dtype=object) == name
        conversations = len(set(self.conversation_N[rows].tolist()))
        if conversations < folds * FEWEST_CONVERSATIONS:
            raise DataError(
                f"The domain {printable(name)} has {conversations} conversations, which is too few for --folds "
                f"{folds}, "
                f"of at least {FEWEST_CONVERSATIONS} each. Give more pairs of it, or ask for fewer folds."
            )


@dataclass(frozen=True)
class DividedFold:
    """One fold of one seed: row numbers of the three parts among the N pairs, each ascending.

    Attributes:
        pool: pairs that are selected from and trained on.
        sampled: pairs whose completions stand for what actors write.
        tested: pairs that are tested on.
    """

    pool: Indices
    sampled: Indices
    tested: Indices


def divide_conversations(pairs: PairsOfDomains, folds: int, seed: int) -> list[DividedFold]:
    """The folds of a seed. They depend on the conversations and the seed, not on the order of rows.

    Conversations are dealt out within each domain, so that all folds have about equally many of it. One that has pairs
    of several domains is of the one whose name comes first.
    """
    domain_of: dict[int, str] = {}
    for number, domain in zip(pairs.conversation_N.tolist(), pairs.domains, strict=True):
        domain_of[number] = min(domain, domain_of.get(number, domain))
    rng = np.random.default_rng([seed, 0])
    fold_of: dict[int, int] = {}
    for domain in sorted(set(domain_of.values())):
        own = sorted(number for number, each in domain_of.items() if each == domain)
        fold_of.update((own[place], n % folds) for n, place in enumerate(rng.permutation(len(own))))
    fold_N = np.array([fold_of[number] for number in pairs.conversation_N.tolist()])
    return [
        DividedFold(
            pool=np.flatnonzero((fold_N != fold) & (fold_N != (fold + 1) % folds)),
            sampled=np.flatnonzero(fold_N == (fold + 1) % folds),
            tested=np.flatnonzero(fold_N == fold),
        )
        for fold in range(folds)
    ]


@dataclass(frozen=True)
class DomainActor:
    """A policy that writes in one domain, or in a mixture of it with the others.

    Attributes:
        domain: the name of the domain.
        weight: per cent of what it writes, and is tested on, that is of that domain, above 0 to 100; the rest is of the
            other domains, in the proportions of the data.
    """

    domain: str
    weight: float = 100

    @property
    def label(self) -> str:
        """The actor in words: the domain, or the domain and its weight."""
        return self.domain if self.weight == 100 else f"{self.weight:g} % {self.domain}"

    def shares(self, counts: dict[str, int]) -> dict[str, float]:
        """The share of each domain in what it writes, 0 to 1, given the pairs of each domain."""
        others = sum(count for name, count in counts.items() if name != self.domain)
        own = self.weight / 100
        return {name: own if name == self.domain else (1 - own) * count / others for name, count in counts.items()}

    def labelled_rows(self, pairs: PairsOfDomains, sampled: Indices, rng: np.random.Generator) -> Indices:
        """Rows of the pairs that can be labelled, in random order, in which every beginning has the actor's mixture.

        As many as there are in these proportions: where a domain is used up, they end.
        """
        shares = self.shares(Counter(pairs.domains))
        order = rng.permutation(sampled)
        order = order[proportional_order([pairs.domains[row] for row in order], shares)]
        counts = Counter(pairs.domains[row] for row in order)
        return order[: int(min(counts[name] / share for name, share in shares.items() if share))]

    def samples(self, pairs: PairsOfDomains, sampled: Indices, rng: np.random.Generator) -> tuple[list[str], list[str]]:
        """Prompts and completions that the actor wrote, drawn without replacement from both sides of these pairs.

        As many as its domain has, or fewer where the others have not enough for its mixture.
        """
        texts = [
            (pairs.domains[row] == self.domain, prompt, completion)
            for row, prompt, *sides in zip(
                sampled.tolist(),
                *(pairs.table[name].take(sampled).to_pylist() for name in ("prompt", "chosen", "rejected")),
                strict=True,
            )
            for completion in sides
        ]
        own, rest = ([n for n, text in enumerate(texts) if text[0] is wanted] for wanted in (True, False))
        weight, total = self.weight / 100, len(own)
        if weight < 1:
            total = int(min(total, len(own) / weight, len(rest) / (1 - weight)))
        number = round(weight * total)
        taken = sorted([*rng.permutation(own)[:number], *rng.permutation(rest)[: total - number]])
        return [texts[n][1] for n in taken], [texts[n][2] for n in taken]


def _file_name(path: str) -> str:
    """The name of a file without its folder and its endings: helpful-base of data/helpful-base.jsonl.gz."""
    return path.replace("\\", "/").rsplit("/", 1)[-1].split(".", 1)[0]
