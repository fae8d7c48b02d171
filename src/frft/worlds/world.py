"""A preference world: prompts, completions and preference pairs whose true reward is known.

Row i of anything depends on the dials and on i alone: it is the same in whatever portions and order rows are asked for.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import ValidationError

from frft.config.sections import WorldConfig
from frft.errors import ConfigError, RewardError, UsageError, check_type
from frft.statistics.numbers import Floats
from frft.store import read_json, verify_beside
from frft.worlds.annotators import Annotators, calibrated, follower, prefers_first
from frft.worlds.domains import DomainRequests, DomainRewards, domain_rewards, domain_shares, domains_drawn
from frft.worlds.drafts import Drafts
from frft.worlds.draws import RowNumbers, integers, stream, uniforms
from frft.worlds.gold import gold_rewards
from frft.worlds.lexicon import STYLE_NAMES, VOCABULARY
from frft.worlds.requests import SHARES, Requests, read_prompts, write_prompts
from frft.worlds.sources import make_sources
from frft.worlds.style import style_counts

CALIBRATION_PAIRS = 4096
"""The pool's first pairs, on which biases are standardised."""
CHUNK = 8192
"""Rows that are made at a time, which bounds memory."""
WORLD_FILE = "world.json"


class World:
    """The world of one configuration; its rows are made when they are asked for.

    Attributes:
        config: the dials.
        sources: who writes completions, the last being the style that no source has (see `frft.worlds.sources`).
        domains: the names of its domains.
        vocabulary: every token, as it is written, of all prompts and completions of all worlds.
        style_names: the columns of `style`.
    """

    vocabulary = VOCABULARY
    style_names = STYLE_NAMES

    def __init__(self, config: WorldConfig | None = None) -> None:
        check_type("config", config, (WorldConfig, type(None)), "Give frft.WorldConfig(seed=1, ...).")
        config = config or WorldConfig()
        self.config = config
        self.sources = make_sources(config.sources, config.seed).with_foreign(config.near_policy)
        self._requests = DomainRequests(config)
        self.domains = self._requests.names

    @classmethod
    def load(cls, folder: Path) -> World:
        """The world whose files lie in `folder`, as `write_world` writes them.

        Raises:
            ArtifactError: world.json is missing, damaged, or was changed after it was written.
            ConfigError: the values in world.json are not a valid configuration of a world.
        """
        path = folder / WORLD_FILE
        verify_beside(path)
        try:
            return cls(WorldConfig.model_validate(read_json(path)))
        except ValidationError as error:
            fault = error.errors(include_url=False)[0]
            where = ".".join(map(str, fault["loc"])) or "dials"
            raise ConfigError(f"{path}: {where}: {fault['msg']}. Make the world again.") from None

    @cached_property
    def _calibration(self) -> list[Drafts]:
        """CALIBRATION_PAIRS pairs of the pool in each domain, whatever its weight: tastes depend on no mixture."""
        return [self.drafts(np.arange(CALIBRATION_PAIRS), "pool", domain) for domain in range(len(self.domains))]

    @cached_property
    def domain_rewards(self) -> DomainRewards | None:
        """The gold rewards of the domains; None: there is one domain, whose gold reward is r* itself."""
        if len(self.domains) == 1:
            return None
        base, style = (np.stack([getattr(each, name) for each in self._calibration]) for name in ("base", "style"))
        return domain_rewards(self.config, base, style)

    @cached_property
    def annotators(self) -> Annotators:
        """The annotators, with biases standardised on CALIBRATION_PAIRS pairs of the pool in each domain."""
        drafts = self._calibration
        return calibrated(self.config, [each.gold for each in drafts], [each.style for each in drafts])

    def prompts(self, start: int, stop: int, purpose: str = "train", domain: int | None = None) -> list[str]:
        """Prompts `start` to `stop` for a purpose: pool, demonstrations, train (RL) or evaluation.

        Their domains follow `pool_mixture` in the pool and `policy_mixture` elsewhere, or all are of `domain`.

        No request of one purpose is made for another, in whatever wording. Requests come again, in another wording,
        after all of the purpose's have been used (of 12 categories 16,587 for the pool, about 2,370 for each of the
        others; of 6, 918 and 131).

        Raises:
            UsageError: there is no such purpose or domain, or no such rows.
        """
        texts: list[str] = []
        for rows in _chunks(start, stop):
            texts += self._prompts(rows, purpose, self._domains(rows, purpose, domain))[0].to_pylist()
        return texts

    @property
    def policy_shares(self) -> Floats:
        """Probability of each domain among the policy's prompts: float64 (D,)."""
        return domain_shares(self.config, "train")

    def domains_of(self, prompts: Sequence[str]) -> RowNumbers:
        """Index of the domain of each of N prompts, by its text: int64 (N,); see `domains`.

        Raises:
            RewardError: a prompt is none of this world's.
        """
        return self._requests.domains_of(prompts, read_prompts(prompts))

    def request_ids(self, prompts: Sequence[str]) -> list[str]:
        """Identifiers of the requests of N prompts: equal where prompts ask for the same, in any wording and order.

        Prompts with one identifier are one cluster: what is measured on them is not independent.

        Raises:
            RewardError: a prompt is none of a world's.
        """
        requests = read_prompts(prompts)
        asked = (requests.counts, requests.forbidden[:, None], requests.short[:, None])
        return ["-".join(map(str, row)) for row in np.concatenate(asked, axis=1).tolist()]

    def pairs(self, start: int, stop: int, purpose: str = "pool", domain: int | None = None) -> pa.Table:
        """Preference pairs `start` to `stop`, labelled by the world's annotators, on the prompts of a purpose (or those
        of one domain); see `prompts`.

        Returns:
            id, prompt, chosen, rejected, chosen_source, rejected_source, annotator, and domain where there are several:
            text.
        """
        sources, annotators = pa.array(self.sources.names), pa.array(self.annotators.names)
        tables = []
        for rows in _chunks(start, stop):
            drafts = self.drafts(rows, purpose, domain)
            keeps = self.judge(drafts)
            first, second = drafts.completions
            first_source, second_source = (sources.take(source) for source in drafts.sources)
            columns = {
                "id": [f"{purpose}-{row:09d}" for row in rows],
                "prompt": drafts.prompts,
                **_in_order(keeps, chosen=first, rejected=second),
                **_in_order(keeps, chosen_source=first_source, rejected_source=second_source),
                "annotator": annotators.take(drafts.annotator),
                **self._domain_column(drafts.domain),
            }
            tables.append(pa.table(columns))
        return pa.concat_tables(tables)

    def drafts(self, rows: RowNumbers, purpose: str = "pool", domain: int | None = None) -> Drafts:
        """The pairs of these rows before they are judged; `pairs` gives them labelled."""
        config = self.config
        u_NK = self._draw(rows, 4, "pairs", purpose)
        first_source = integers(u_NK[:, 0], config.sources)
        second_source = first_source
        if not config.pairs_within_source:
            # Uniform over all sources but the first one's.
            second_source = (first_source + 1 + integers(u_NK[:, 1], config.sources - 1)) % config.sources
        domain_N = self._domains(rows, purpose, domain)
        annotator = follower(first_source if config.annotators_follow == "source" else domain_N, config, u_NK[:, 2:])
        prompts, requests = self._prompts(rows, purpose, domain_N)
        first = self.sources.write(requests, first_source, self._stream("completions", purpose, 0), rows)
        second = self.sources.write(requests, second_source, self._stream("completions", purpose, 1), rows)
        attempt = 2
        # Two draws can give one text, which is no pair.
        while (same := np.asarray(pc.equal(first, second))).any():
            key = self._stream("completions", purpose, attempt)
            again = self.sources.write(requests.take(same), second_source[same], key, rows[same])
            second = pc.replace_with_mask(second, pa.array(same), again)
            attempt += 1
        sources = np.stack([first_source, second_source])
        return Drafts(purpose, rows, prompts, requests, domain_N, (first, second), sources, annotator, self)

    def utility_steps(self, drafts: Drafts) -> Floats:
        """u_a(first) - u_a(second) of N pairs, with the utility of the annotator who judges each: float64 (N,)."""
        first, second = (
            self.annotators.utilities(gold, style, drafts.annotator, drafts.domain)
            for gold, style in zip(drafts.gold, drafts.style, strict=True)
        )
        return np.asarray(first - second)

    def judge(self, drafts: Drafts) -> npt.NDArray[np.bool_]:
        """Whether the first completion of each pair is the chosen one, as in `pairs`: bool (N,)."""
        u_N = self._draw(drafts.rows, 1, drafts.purpose, "labels")[:, 0]
        return prefers_first(self.utility_steps(drafts), self.config.temperature, u_N)

    def demonstrations(self, start: int, stop: int) -> pa.Table:
        """Demonstrations `start` to `stop`, which the SFT model learns from: a table of prompt, completion, source,
        and domain where there are several.

        Source `near_policy` writes them, but for a share `drift` in the style that no source has.
        """
        tables = []
        for rows in _chunks(start, stop):
            domain = self._domains(rows, "demonstrations")
            prompts, requests = self._prompts(rows, "demonstrations", domain)
            drifted = self._draw(rows, 1, "drift")[:, 0] < self.config.drift
            source = np.where(drifted, self.config.sources, self.config.near_policy)
            completions = self.sources.write(requests, source, self._stream("demonstrations"), rows)
            names = pa.array(self.sources.names).take(source)
            columns = {"prompt": prompts, "completion": completions, "source": names}
            tables.append(pa.table(columns | self._domain_column(domain)))
        return pa.concat_tables(tables)

    def write(self, prompts: Sequence[str], source: int, seed: int = 0) -> list[str]:
        """A completion of each of N prompts by one source, the i-th drawn with `seed` and i.

        Raises:
            RewardError: a prompt is none of a world's.
            UsageError: there is no such source.
        """
        _check_index("source", source, len(self.sources.names))
        rows = np.arange(len(prompts))
        requests = read_prompts(prompts)
        return list(
            self.sources.write(requests, np.full(len(rows), source), self._stream("write", seed), rows).to_pylist()
        )

    def gold(self, prompts: Sequence[str], completions: Sequence[str]) -> Floats:
        """The gold reward of N completions, float64 (N,), that of their prompt's domain where there are several: see
        `frft.worlds.gold` and `frft.worlds.domains`. A reward for RL, an oracle.

        Raises:
            RewardError: the lengths differ, or a prompt is none of a world's.
        """
        if len(prompts) != len(completions):
            raise RewardError(
                f"{len(prompts)} prompts and {len(completions)} completions: give one completion for each prompt."
            )
        requests = read_prompts(prompts)
        base = gold_rewards(requests, completions)
        if self.domain_rewards is None:
            return base
        return self.domain_rewards.rewards(base, self.style(completions), self._requests.domains_of(prompts, requests))

    def style(self, completions: Sequence[str]) -> RowNumbers:
        """Style counts of N texts: int64 (N, styles), by `style_names`; see `frft.worlds.style`."""
        return style_counts(completions)

    def utility(self, prompts: Sequence[str], completions: Sequence[str], annotator: int) -> Floats:
        """The utility u_a = r* + lambda * bias_a of N completions to one annotator (its index): float64 (N,).

        Raises:
            RewardError: the lengths differ, or a prompt is none of a world's.
            UsageError: there is no such annotator.
        """
        _check_index("annotator", annotator, self.config.annotators)
        who = np.full(len(completions), annotator)
        gold = self.gold(prompts, completions)
        return self.annotators.utilities(gold, self.style(completions), who, self.domains_of(prompts))

    def label(
        self,
        prompts: Sequence[str],
        first: Sequence[str],
        second: Sequence[str],
        annotator: int | None = None,
        seed: int = 0,
    ) -> npt.NDArray[np.bool_]:
        """Whether an annotator prefers the first of two completions, drawn by Bradley-Terry: bool (N,).

        Args:
            annotator: index of the annotator who judges; None: the gold reward itself, without noise.
            seed: seed of the noise, and of the coin that decides between equals; draw i depends on it and on i.

        Raises:
            RewardError: the lengths differ, or a prompt is none of a world's.
            UsageError: there is no such annotator.
        """
        if annotator is None:
            steps = self.gold(prompts, first) - self.gold(prompts, second)
        else:
            steps = self.utility(prompts, first, annotator) - self.utility(prompts, second, annotator)
        u_N = uniforms(self._stream("label", seed), np.arange(len(prompts)), 1)[:, 0]
        return prefers_first(steps, 0.0 if annotator is None else self.config.temperature, u_N)

    def labelled_pairs(
        self,
        prompts: Sequence[str],
        first: Sequence[str],
        second: Sequence[str],
        annotator: int | None = None,
        seed: int = 0,
    ) -> pa.Table:
        """Two samples of a policy to each prompt, as preference pairs with fresh labels; see `label`.

        Returns:
            id, prompt, chosen, rejected, annotator (and domain), in the order given. Two equal samples stay a pair,
            which no training can use: `train_reward_model` leaves such out and counts them.
        """
        keeps = self.label(prompts, first, second, annotator, seed)
        who = "gold" if annotator is None else self.annotators.names[annotator]
        columns = {
            "id": [f"fresh-{seed}-{row:09d}" for row in range(len(prompts))],
            "prompt": pa.array(prompts, pa.string()),
            **_in_order(keeps, chosen=pa.array(first, pa.string()), rejected=pa.array(second, pa.string())),
            "annotator": [who] * len(prompts),
            **self._domain_column(self.domains_of(prompts)),
        }
        return pa.table(columns)

    def _stream(self, *names: Any) -> int:
        return stream(self.config.seed, *names)

    def _draw(self, rows: RowNumbers, slots: int, *names: Any) -> Floats:
        return uniforms(self._stream(*names), rows, slots)

    def _domains(self, rows: RowNumbers, purpose: str, domain: int | None = None) -> RowNumbers:
        """The domain of each of N rows, by the purpose's mixture, or `domain` for all of them: int64 (N,)."""
        if purpose not in SHARES:
            raise UsageError(f"purpose is {purpose!r}; it must be one of {', '.join(SHARES)}.")
        if domain is not None:
            _check_index("domain", domain, len(self.domains))
            return np.full(len(rows), domain)
        shares = domain_shares(self.config, purpose)
        return domains_drawn(shares, self._draw(rows, 1, "domains", purpose)[:, 0])

    def _domain_column(self, domain: RowNumbers) -> dict[str, Any]:
        return {"domain": pa.array(self.domains).take(pa.array(domain))} if len(self.domains) > 1 else {}

    def _prompts(self, rows: RowNumbers, purpose: str, domain: RowNumbers) -> tuple[Any, Requests]:
        requests = self._requests.pick(purpose, rows, domain)
        return write_prompts(requests, self._stream("prompts", purpose), rows)


def _in_order(keeps: npt.NDArray[np.bool_], **both: Any) -> dict[str, Any]:
    """Two columns by name, with the values of a row exchanged where `keeps` is false."""
    (one, first), (other, second) = both.items()
    mask = pa.array(keeps)
    return {one: pc.if_else(mask, first, second), other: pc.if_else(mask, second, first)}


def _chunks(start: int, stop: int) -> list[RowNumbers]:
    if not 0 <= start < stop:
        raise UsageError(f"There are no rows {start} to {stop}: start must be at least 0 and below stop.")
    return [np.arange(low, min(low + CHUNK, stop)) for low in range(start, stop, CHUNK)]


def _check_index(what: str, index: int, number: int) -> None:
    if not 0 <= index < number:
        raise UsageError(f"There is no {what} {index}; this world has {what}s 0 to {number - 1}.")
