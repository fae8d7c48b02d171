"""The pairs that could be labelled: any two completions of a policy to one prompt, or pairs of a pool."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

from frft.conversation import opening
from frft.errors import DataError, UsageError

if TYPE_CHECKING:
    import pyarrow as pa

    from frft.labels.rows import LabelQuestion


@dataclass(frozen=True)
class LabelCandidate:
    """A pair that could be labelled.

    Attributes:
        prompt: text of the prompt.
        first, second: the two completions; of a pair of the pool, chosen and rejected.
        pair: id in the pool; None: the completions are a policy's own.
        labelled: whether `first` is what the pool calls chosen; False: the pool's order says nothing.
        policy: name of the policy; None: unknown, or of a pool.
        step: PPO steps after which the policy wrote them; None: unknown, or of a pool.
        sources: sources whose labels of this pair are audited, each with whether it prefers the first completion.
    """

    prompt: str
    first: str
    second: str
    pair: str | None = None
    policy: str | None = None
    step: int | None = None
    labelled: bool = False
    sources: tuple[tuple[str, bool], ...] = ()


class PromptCandidates(Protocol):
    """The pairs of one prompt, numbered from 0; no two have the same texts."""

    @property
    def prompt(self) -> str:
        """Text of the prompt."""

    def __len__(self) -> int:
        """Number of pairs, at least 1."""

    def pair(self, number: int) -> LabelCandidate:
        """The pair with this number."""

    def number_of(self, one: str, other: str) -> int | None:
        """The number of the pair with these completions, in either order; None: there is none."""


@dataclass(frozen=True)
class LabelCandidates:
    """All pairs that could be labelled. Texts that differ in white space around them alone count as the same.

    Attributes:
        prompts: the pairs of each prompt that has any.
        left_out: completions or pairs that are in no candidate, by reason, each counted once: `blank`, `repeated`,
            `alone` (the only different completion of its prompt), `same_sides`; `nul`, completions of a policy with a
            NUL character; and `other_source`, pairs of which there is a candidate already, but that another source has
            labelled: they are audited with that one.
        read: number of completions or pairs that were read.
        asked_before: number of pairs that would be candidates, but they, or others of their conversations where there
            must be one of each, were asked about before.
        audits: whether the candidates know their sources.
    """

    prompts: Sequence[PromptCandidates]
    left_out: dict[str, int]
    read: int
    asked_before: int = 0
    audits: bool = False

    @property
    def pairs(self) -> int:
        """Number of candidates."""
        return sum(map(len, self.prompts))

    def outside(self, conversations: Collection[str]) -> LabelCandidates:
        """The candidates of other conversations than these (`frft.conversation.opening`)."""
        return replace(self, prompts=[each for each in self.prompts if opening(each.prompt) not in conversations])

    def without(self, questions: Iterable[LabelQuestion]) -> LabelCandidates:
        """The candidates without those that these questions ask about, whichever side they show on the left."""
        asked: dict[str, set[int]] = {}
        by_prompt = {each.prompt: each for each in self.prompts}
        for question in questions:
            found = by_prompt.get(question.prompt)
            number = None if found is None else found.number_of(question.left, question.right)
            if number is not None:
                asked.setdefault(question.prompt, set()).add(number)
        left = [_Remaining(each, sorted(asked.get(each.prompt, ()))) for each in self.prompts]
        before = sum(map(len, asked.values()))
        return replace(self, prompts=[each for each in left if len(each)], asked_before=self.asked_before + before)

    def without_conversations(self, questions: Iterable[LabelQuestion]) -> LabelCandidates:
        """The candidates without all pairs of the conversations that these questions are of."""
        asked = {opening(question.prompt) for question in questions}
        left = [each for each in self.prompts if opening(each.prompt) not in asked]
        gone = self.pairs - sum(map(len, left))
        return replace(self, prompts=left, asked_before=self.asked_before + gone)


@dataclass(frozen=True)
class _Remaining:
    """The pairs of a prompt without those of certain numbers, in ascending order."""

    all: PromptCandidates
    gone: list[int]

    @property
    def prompt(self) -> str:
        return self.all.prompt

    def __len__(self) -> int:
        return len(self.all) - len(self.gone)

    def pair(self, number: int) -> LabelCandidate:
        return self.all.pair(self._before(number))

    def number_of(self, one: str, other: str) -> int | None:
        number = self.all.number_of(one, other)
        return None if number is None or number in self.gone else number - sum(each < number for each in self.gone)

    def _before(self, number: int) -> int:
        for each in self.gone:
            number += each <= number
        return number


@dataclass(frozen=True)
class _PolicyTexts:
    """Different completions of one prompt; any two are a pair. They are not listed: 1000 texts have 499,500."""

    prompt: str
    texts: list[str]
    policy: str | None
    step: int | None

    def __len__(self) -> int:
        return len(self.texts) * (len(self.texts) - 1) // 2

    def pair(self, number: int) -> LabelCandidate:
        # In the order (0, 1), (0, 2), (1, 2), (0, 3), ..., text n is the later one of n pairs.
        later = 1
        while number >= later:
            number -= later
            later += 1
        return LabelCandidate(self.prompt, self.texts[number], self.texts[later], None, self.policy, self.step)

    def number_of(self, one: str, other: str) -> int | None:
        places = {text.strip(): place for place, text in enumerate(self.texts)}
        first, later = sorted(places.get(text.strip(), -1) for text in (one, other))
        return later * (later - 1) // 2 + first if 0 <= first < later else None


@dataclass(frozen=True)
class _PoolPairs:
    prompt: str
    pairs: list[LabelCandidate]

    def __len__(self) -> int:
        return len(self.pairs)

    def pair(self, number: int) -> LabelCandidate:
        return self.pairs[number]

    def number_of(self, one: str, other: str) -> int | None:
        sides = {one.strip(), other.strip()}
        found = (n for n, pair in enumerate(self.pairs) if {pair.first.strip(), pair.second.strip()} == sides)
        return next(found, None)


def policy_candidates(
    prompts: Iterable[str],
    completions: Iterable[str],
    *,
    policy: str | None = None,
    step: int | None = None,
    for_pools: bool = False,
) -> LabelCandidates:
    """Any two different completions of one prompt, of samples in which prompts occur several times.

    Args:
        prompts, completions: the samples.
        policy: name of the policy that wrote them.
        step: number of PPO steps after which it wrote them.
        for_pools: leave out completions with a NUL character, which no file of pairs may hold (`frft reward train`
            would refuse the labelled pairs). A run trains on its own labels without such a file.
    """
    different: dict[str, dict[str, str]] = {}
    left_out = {"blank": 0, "repeated": 0, "alone": 0, **({"nul": 0} if for_pools else {})}
    read = 0
    for prompt, completion in zip(prompts, completions, strict=True):
        read += 1
        texts = different.setdefault(prompt, {})
        if not completion.strip():
            left_out["blank"] += 1
        elif for_pools and "\0" in completion:
            left_out["nul"] += 1
        elif completion.strip() in texts:
            left_out["repeated"] += 1
        else:
            texts[completion.strip()] = completion
    left_out["alone"] = sum(len(texts) == 1 for texts in different.values())
    found = [
        _PolicyTexts(prompt, list(texts.values()), policy, step)
        for prompt, texts in different.items()
        if len(texts) > 1
    ]
    return LabelCandidates(found, left_out, read)


ALL_PAIRS = "all"
"""Name of the one source of a pool that is audited as a whole."""


def pool_candidates(
    pool: pa.Table, *, labelled: bool = True, audit: bool = False, by: str | None = None
) -> LabelCandidates:
    """The different pairs of a pool (columns id, prompt, chosen, rejected), in either direction.

    Args:
        pool: the pairs.
        labelled: whether chosen is the better one; False: the two stand in any order.
        audit: whether the candidates are to know their sources. A pair that several sources have labelled is one
            candidate; of a source that has labelled it twice, the first label counts.
        by: name of the column that says the source of a pair; a missing value is the source "null". None: the whole
            pool is one source.

    Raises:
        UsageError: an audit of pairs without labels.
        DataError: there is no such column.
    """
    if audit and not labelled:
        raise UsageError("An audit is of labels that there are, and these pairs are said to have none (--unlabelled).")
    if by is not None and by not in pool.column_names:
        raise DataError(f"The pool has no column {by!r} to take sources from. It has {', '.join(pool.column_names)}.")
    by_prompt: dict[str, dict[frozenset[str], LabelCandidate]] = {}
    left_out = {"blank": 0, "repeated": 0, "same_sides": 0, **({"other_source": 0} if audit else {})}
    columns = (pool[name].to_pylist() for name in ("id", "prompt", "chosen", "rejected"))
    sources = [ALL_PAIRS] * pool.num_rows if by is None else pool[by].to_pylist()
    for name, prompt, chosen, rejected, value in zip(*columns, sources, strict=True):
        sides = frozenset((chosen.strip(), rejected.strip()))
        known = by_prompt.get(prompt, {})
        source = ("null" if value is None else str(value)) if audit else None
        before = known.get(sides)
        if "" in sides:
            left_out["blank"] += 1
        elif len(sides) == 1:
            left_out["same_sides"] += 1
        elif before is None:
            own = () if source is None else ((source, True),)
            by_prompt.setdefault(prompt, {})[sides] = LabelCandidate(
                prompt, chosen, rejected, name, labelled=labelled, sources=own
            )
        elif source is None or source in dict(before.sources):
            left_out["repeated"] += 1
        else:
            left_out["other_source"] += 1
            prefers_first = chosen.strip() == before.first.strip()
            known[sides] = replace(before, sources=(*before.sources, (source, prefers_first)))
    found = [_PoolPairs(prompt, list(pairs.values())) for prompt, pairs in by_prompt.items()]
    return LabelCandidates(found, left_out, pool.num_rows, audits=audit)
