"""The refresh of a reward model: the filter, the samples, the fine-tuning."""

from __future__ import annotations

from math import ceil
from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from frft.config.sections.base import Section
from frft.config.sections.labels import LabelsConfig
from frft.errors import UsageError
from frft.strategies import Strategy, described_strategies, get_strategy

TEST_SIZE = 200
"""Default number of test pairs for each refresh of `frft run`."""


class SelectionConfig(Section):
    """Which pairs of the pool lie where the policy writes (METHOD: FRFT, section on the four filters)."""

    newer = frozenset({"clusters", "column", "value", "source_clusters"})

    strategy: str = Field(default="density", description=described_strategies())
    # The description lists what frft.strategies holds.
    threshold: float = Field(default=0.8, ge=-1, le=1)
    """Cosine that a pair must exceed for `part1` and reach for `either`."""
    size: int = Field(default=2000, gt=0)
    """Number of pairs to train on; the strategy `all` ignores it and takes the whole pool."""
    test_size: int | None = Field(default=None, ge=0)
    """Further pairs, kept by the same rule, to test on: size + test_size pairs are kept, and the test pairs are drawn
    from them at random. None: 0, so that the `size` best are trained on; in `frft run`, 200."""
    duplicates: Literal["once", "twice"] = "once"
    """part2's pairs that are top by both: taken once and the lists filled up from further down, or twice."""
    match: Literal["prompt", "nearest"] = "prompt"
    """Compare a pair with the policy's samples for the same prompt, or with the nearest sample of any prompt."""
    source: str | None = Field(default=None, min_length=1)
    """What the pool's columns chosen_source and rejected_source say of the pairs that the strategy source keeps."""
    source_clusters: int | None = Field(default=None, gt=1)
    """near_source where the pool does not name its sources: put the pairs into so many clusters by what their two
    completions have in common, and take a whole cluster for a source. Assumes that both completions of a pair come from
    one source. None: the pool's columns chosen_source and rejected_source name the sources."""
    column: str | None = Field(default=None, min_length=1)
    """The column of the pool (domain, annotator, ...) by which the strategy column selects."""
    value: str | None = Field(default=None, min_length=1)
    """What that column says of the pairs that the strategy column keeps; numbers as Python prints them."""
    take: Literal["top", "sample"] = "top"
    """density and policy_ratio: the best pairs, or draws with replacement in proportion to exp(tau * log ratio), with
    the largest tau up to 1 whose effective sample size is at least `size`: the weighted loss, without bias."""
    clusters: int | None = Field(default=None, gt=1)
    """Keep the policy's mixture of prompts: the prompts of the pool and of the policy's samples are put into so many
    clusters by their embeddings (k-means), and each cluster gets pairs in proportion to the samples in it, in the
    strategy's order. None: the strategy's order alone decides."""
    shuffle_embeddings: bool = False
    """A control: what the filter knows of the pairs is dealt out to them at random, so that it sees nothing."""
    noise: float = Field(default=0.0, ge=0)
    """A control: the length of the Gaussian noise that is added to each text's vector (of length 1), the same for
    equal texts, to make a worse embedder of it."""
    shuffle_labels: bool = False
    """The placebo: a coin exchanges chosen and rejected of every pair before the filter sees it."""

    @property
    def test_places(self) -> int:
        """Number of test pairs: `test_size`, 0 if it is None."""
        return self.test_size or 0

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the pool's columns that the strategy reads besides the texts."""
        strategy = known_strategy(self.strategy)
        if self.source_clusters is not None:
            return ()
        return (*strategy.columns, *([self.column] if strategy.needs_column and self.column else []))

    @property
    def embeds(self) -> bool:
        """Whether it needs embeddings: for its strategy, or for clusters of prompts."""
        return known_strategy(self.strategy).embeds or self.clusters is not None

    @property
    def places(self) -> int:
        """Number of pairs to keep, for training and testing: size + test_size."""
        return self.size + self.test_places

    @field_validator("strategy")
    @classmethod
    def _is_there(cls, name: str) -> str:
        return known_strategy(name).name

    @model_validator(mode="after")
    def _fits_the_strategy(self) -> Self:
        strategy = known_strategy(self.strategy)
        if strategy.needs_source and self.source is None:
            raise ValueError(f"strategy: {strategy.name} needs the name of one; set source")
        if self.source_clusters is not None and not strategy.names_source:
            raise ValueError(
                f"source_clusters makes the sources that near_source chooses among, and {strategy.name} chooses among "
                "none; leave it out"
            )
        if strategy.needs_column and (self.column is None or self.value is None):
            raise ValueError(f"strategy: {strategy.name} needs a column and what it says; set column and value")
        if self.take == "sample" and not strategy.has_ratios:
            raise ValueError(f"take: sample draws by a density ratio, which {strategy.name} has none of; use take: top")
        if self.clusters is not None and not strategy.chooses:
            raise ValueError(
                f"clusters says from which prompts pairs are chosen, and {strategy.name} chooses none; leave it out"
            )
        if self.clusters is not None and self.take == "sample":
            raise ValueError(
                "take: sample draws pairs by their density ratio alone; leave out clusters, or take: sample"
            )
        if (self.shuffle_embeddings or self.noise) and not strategy.embeds:
            raise ValueError(
                f"shuffle_embeddings and noise change nothing for {strategy.name}, which looks at no embeddings; "
                "leave them out"
            )
        return self


def known_strategy(name: str) -> Strategy:
    """The strategy of this name, for a validator.

    Raises:
        ValueError: there is none, or the package that brings it is broken.
    """
    try:
        return get_strategy(name)
    except UsageError as error:
        raise ValueError(str(error)) from None


class SamplingConfig(Section):
    """Sampling from the policy."""

    temperature: float = Field(default=1.0, gt=0)
    """Softmax temperature; log-probabilities use the same."""
    top_k: int = Field(default=0, ge=0)
    """Sample from the k most likely tokens; 0: from all. Cut-off sampling biases the KL estimates, even below
    0, because log-probabilities are those of the whole distribution."""
    max_new_tokens: int = Field(default=128, gt=0)
    """Longest completion in tokens."""
    max_prompt_tokens: int = Field(default=256, gt=0)
    """Longest prompt in tokens; longer ones lose their beginning (counted)."""


class GateConfig(Section):
    """Whether a refreshed reward model may take the place of the current one."""

    newer = frozenset({"labels"})

    pairs: int = Field(default=400, gt=1)
    """Unfiltered held-out pairs, those nearest to the policy's samples, on which the two are compared."""
    margin: float = Field(default=0.05, ge=0, le=1)
    """Accuracy there by which it may be worse: it passes if the lower bound of its gain is above minus this."""
    level: float = Field(default=0.05, gt=0, lt=0.5)
    """Confidence level of that one-sided bound."""
    alarms: bool = True
    """Refuse it as well if it raises an alarm (docs/diagnosis.md)."""
    labels: int = Field(default=0, ge=0)
    """At most so many fresh labels, of the budget of `labels`, decide in place of the held-out pairs, whose labels are
    the pool's: they are asked about the policy's own texts on which the two models disagree."""

    @property
    def prompts_to_label(self) -> int:
        """Prompts to compare two reward models on for `labels`, by two of the policy's texts each; 0 without `labels`.

        Four for each label, and at least 8 / margin (at most 2000): that two models differ on none of n pairs bounds a
        loss by 3.84 / (n + 3.84) (Wilson's interval), so that fewer than 3.84 / margin never pass an unchanged model.
        Conversations that were trained on are then left out.
        """
        if not self.labels:
            return 0
        return max(4 * self.labels, min(2000, ceil(8 / self.margin)) if self.margin else 0)


class RefreshConfig(Section):
    """When and how an arm refreshes its reward model (FRFT-alpha). `alpha: 0` is vanilla RLHF."""

    newer = frozenset({"restart_policy", "reward_shaping", "references"})

    alpha: int = Field(default=1, ge=0)
    """Number of refreshes in the run; where `when` is not `scheduled`, the maximum number."""
    when: Literal["scheduled", "drift", "alarms"] = "scheduled"
    """Refresh as scheduled; or at a look (`monitor.every`) by which the policy's texts have moved farther than `drift`
    since the last refresh, or that finds an alarm or a broken link."""
    drift: float = Field(default=0.75, ge=0.5, le=1)
    """How well a classifier must tell the policy's texts from those of the last refresh (AUC; 0.5: not at all), the
    lower end of the 95 % interval counting, for `when: drift`."""
    at_steps: list[int] | None = None
    """PPO steps after which to refresh, 0 being before the first; none: as `every` says."""
    every: int | None = Field(default=None, gt=0)
    """PPO steps between two refreshes; none: as many as cut the run into alpha + 1 equal parts."""
    selection: SelectionConfig = SelectionConfig()
    """Which pairs a refresh trains on: the filter."""
    samples: Literal["fresh", "rollouts"] = "fresh"
    """Policy samples from a pass over the pool's prompts (the paper), or from the rollouts already made."""
    sampling: SamplingConfig | None = None
    """Sampling settings of fresh samples; none: those of `ppo`."""
    max_samples: int | None = Field(default=None, gt=0)
    """Maximum number of samples: fresh prompts drawn at random, or the newest rollouts; none: no limit."""
    init: Literal["sft", "current"] = "current"
    """Fine-tune from the SFT model with a fresh head (the authors), or from the current reward model."""
    kl_anchor: Literal["sft", "previous"] = "sft"
    """The KL reference after a refresh: the SFT model, or the policy at the refresh (the authors' code)."""
    reset_optimizer: bool = False
    """Reset the Adam moments of the policy (and the critic) at a refresh, as the authors' code does; weights
    and the learning rate's schedule carry over in any case."""
    restart_policy: bool = False
    """After a refresh, train the policy from the SFT model again, against the refreshed reward model. The critic starts
    again from the base reward model, and both optimizers and an adaptive KL coefficient anew; steps are counted on, so
    that the learning rate goes on falling, and the final policy has only the steps since the last refresh."""
    num_train_epochs: float = Field(default=1.0, gt=0)
    """Epochs over the selected pairs."""
    max_steps: int | None = Field(default=None, gt=0)
    """Optimizer steps of the fine-tuning, over as many passes as they take: the same budget, however many pairs were
    selected; none: as num_train_epochs says."""
    learning_rate: float = Field(default=1e-4, gt=0)
    """Peak learning rate of the refresh."""
    replay: float = Field(default=0.0, ge=0, lt=1)
    """Share of the pairs to fine-tune on that are others of the pool, drawn at random, with the labels that they have:
    a reward model that is fine-tuned on a selection alone forgets what it knew elsewhere, and the policy goes there."""
    labels: Literal["offline", "gold"] | LabelsConfig = "offline"
    """Fresh labels of the policy's own texts beside the pairs that are selected (a section), or `offline`: none, and
    the pairs of the pool with the labels that they have. In a world, `gold`: in place of the pool, pairs of what the
    policy writes now (two samples for each of selection.size + selection.test_size prompts) that the gold reward itself
    has labelled, without noise: what fresh labels could bring at best."""
    gate: GateConfig | None = None
    """Swap the refreshed reward model in only if it is no worse near the policy, else keep it aside and go on with the
    current one; `gate: {}` takes the defaults; none: always swap."""
    reward_shaping: Literal["none", "par"] = "none"
    """What the policy is trained with: the reward model's scores; or PAR (Fu et al. 2502.18770), the probability by the
    reward model that a completion is preferred to a reference, which is a completion of the same prompt by the SFT
    model; of several references, the mean. It lies between 0 and 1, so that ppo.kl_coef weighs more beside it."""
    references: int = Field(default=1, gt=0)
    """References of each prompt for `reward_shaping: par`; the authors find one enough."""
    ensemble: int = Field(default=1, gt=0)
    """Base reward models, trained alike from different seeds, of whose scores the reward is the mean less
    ensemble_coef times the variance (UWO, Coste et al. 2310.02743); only where nothing is refreshed."""
    ensemble_coef: float = Field(default=0.1, ge=0)
    """Weight of the variance in an ensemble's reward; the scores have variance 1 on the SFT model's samples."""

    @property
    def fresh(self) -> LabelsConfig | None:
        """The fresh labels that refreshes ask for; None: none."""
        return self.labels if isinstance(self.labels, LabelsConfig) else None

    @property
    def labels_to_train(self) -> int:
        """Fresh labels of a refresh's budget that are not kept for its gate; an audit takes some of them."""
        if self.fresh is None:
            return 0
        return self.fresh.budget - (0 if self.gate is None else self.gate.labels)

    @property
    def prompts_to_label(self) -> int:
        """Prompts for which a run takes two texts of the policy each, for a refresh's labels and for those of its gate.

        As many as the budget, or `labels.max_candidates` where a rule chooses among them; 0 without fresh labels.
        """
        if self.fresh is None:
            return 0
        most = self.fresh.budget if self.fresh.pick == "random" else self.fresh.max_candidates
        return most + (0 if self.gate is None else self.gate.prompts_to_label)

    @property
    def embeds(self) -> bool:
        """Whether a refresh embeds texts: for its selection, or for the rule by which pairs are labelled."""
        return self.selection.embeds or (self.fresh is not None and self.fresh.embeds)

    @property
    def trains(self) -> bool:
        """Whether a refresh trains a reward model: on selected pairs, on fresh labels, or on both."""
        return known_strategy(self.selection.strategy).selects or self.fresh is not None

    @property
    def last_refresh(self) -> int:
        """PPO step that a run must exceed for the last scheduled refresh to fit; 0: none is scheduled.

        Nothing is listed for it: a schedule that does not fit may have a billion steps.
        """
        if self.when != "scheduled" or not self.alpha:
            return 0
        if self.at_steps is not None:
            return self.at_steps[-1]
        # Evenly spaced refreshes come after different steps, none of them the last.
        return self.alpha * (self.every or 1)

    def refresh_steps(self, total_steps: int) -> list[int]:
        """PPO steps after which a refresh is scheduled: `at_steps`, multiples of `every`, or evenly spaced."""
        if self.when != "scheduled":
            return []
        if self.at_steps is not None:
            return self.at_steps
        if self.every is not None:
            return [self.every * part for part in range(1, self.alpha + 1)]
        return [round(total_steps * part / (self.alpha + 1)) for part in range(1, self.alpha + 1)]

    @model_validator(mode="after")
    def _schedule(self) -> Self:
        if self.at_steps is not None and self.every is not None:
            raise ValueError("at_steps and every are two schedules; leave one of them out")
        if self.when != "scheduled" and (self.at_steps is not None or self.every is not None):
            raise ValueError(
                f"when: {self.when} refreshes at the looks that monitor.every makes; leave out at_steps and every"
            )
        if self.at_steps is not None:
            if len(self.at_steps) != self.alpha:
                raise ValueError(f"at_steps names {len(self.at_steps)} steps, but alpha is {self.alpha}")
            if any(step < 0 for step in self.at_steps) or sorted(set(self.at_steps)) != self.at_steps:
                raise ValueError(f"at_steps must be rising, from 0 on, got {self.at_steps}")
        strategy = known_strategy(self.selection.strategy)
        matches = strategy.matches_prompts and self.selection.match == "prompt"
        if self.samples == "rollouts" and self.alpha > 0 and matches:
            raise ValueError(
                "samples: rollouts covers only the prompts that were rolled out; use selection.match: nearest with it"
            )
        if self.samples == "rollouts" and self.alpha > 0 and self.at_steps is not None and self.at_steps[0] == 0:
            raise ValueError("samples: rollouts has none before the first step (at_steps: 0); use samples: fresh")
        if self.labels == "gold" and self.alpha > 0 and not strategy.takes_all:
            raise ValueError(
                "labels: gold makes pairs of the policy's own samples, of which there is nothing to filter; use "
                "selection.strategy: all with it"
            )
        by_labels = self.gate.labels if self.gate is not None and self.alpha > 0 else 0
        if by_labels and self.fresh is None:
            raise ValueError("gate.labels are fresh labels; say in the section labels who gives them, and how many")
        if by_labels and self.fresh is not None and self.fresh.from_ == "self":
            raise ValueError("gate.labels ask who gives the labels, and from: self asks nobody; set gate.labels: 0")
        if by_labels and self.fresh is not None and self.fresh.audit + by_labels >= self.fresh.budget:
            raise ValueError(
                f"gate.labels: {by_labels} and labels.audit: {self.fresh.audit} leave nothing of labels.budget: "
                f"{self.fresh.budget} to train on; lower them"
            )
        if self.fresh is not None and self.fresh.audit and self.alpha > 0 and not strategy.selects:
            raise ValueError(
                f"labels.audit looks at the pairs that are selected, and strategy: {strategy.name} selects none; set "
                "labels.audit: 0"
            )
        if self.fresh is not None and self.fresh.share is not None and self.alpha > 0:
            taken = round(self.replay + self.fresh.share, 9)
            if taken > 1 or (taken == 1 and strategy.selects):
                raise ValueError(
                    f"replay: {self.replay} and labels.share: {self.fresh.share} are shares of the same pairs, and "
                    "leave nothing for those that are selected; lower one"
                )
        if self.drift != type(self).model_fields["drift"].default and self.when != "drift":
            raise ValueError(f"drift: {self.drift} is read with when: drift alone; set that, or leave it out")
        if self.gate is not None and self.alpha > 0 and not self.trains:
            raise ValueError(
                f"selection.strategy: {strategy.name} trains no reward model that a gate could examine; leave gate "
                "out, or, where an arm inherits one, set gate: null"
            )
        leaves_others = strategy.chooses or (self.fresh is not None and not strategy.takes_all)
        if self.replay and self.alpha > 0 and self.labels != "gold" and not leaves_others:
            raise ValueError(
                f"replay: {self.replay} adds pairs that were not selected to those that were, and strategy: "
                f"{strategy.name} {'leaves none' if strategy.takes_all else 'trains on none'}; set replay: 0"
            )
        if self.restart_policy and self.alpha > 0 and (self.kl_anchor == "previous" or self.reset_optimizer):
            other = "kl_anchor: previous" if self.kl_anchor == "previous" else "reset_optimizer"
            raise ValueError(
                f"restart_policy starts from the SFT model with new optimizers, and {other} is about a policy that is "
                f"trained on; leave {other} out"
            )
        if self.references != type(self).model_fields["references"].default and self.reward_shaping == "none":
            raise ValueError(
                f"references: {self.references} is read with reward_shaping: par alone; set that, or leave it out"
            )
        if self.reward_shaping != "none" and self.ensemble > 1:
            raise ValueError(
                f"reward_shaping: {self.reward_shaping} compares scores of one reward model, not of an ensemble of "
                f"{self.ensemble}; leave one of them out"
            )
        if self.ensemble > 1 and self.alpha > 0:
            raise ValueError(f"an ensemble of {self.ensemble} reward models is not refreshed; set alpha: 0 with it")
        return self
