"""The typed, frozen configuration of a run: its sections, and what must hold between them."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    StringConstraints,
    ValidationInfo,
    field_validator,
    model_validator,
)

from frft.config.algorithms import ALGORITHMS, PolicyAlgorithm, known_algorithm
from frft.config.sections import (
    DataConfig,
    EmbedderConfig,
    EvaluationConfig,
    GroupConfig,
    JudgeOptions,
    LabelsConfig,
    MonitorConfig,
    PolicyConfig,
    PPOConfig,
    RefreshConfig,
    RewardModelConfig,
    Section,
    WorldConfig,
)
from frft.config.sections.refresh import TEST_SIZE

MOST_SEEDS = 1000
"""Largest number of seeds that `seeds` may ask for."""
VANILLA = "vanilla"
"""The baseline arm: its reward model is never refreshed, and all other arms are compared with it."""


def _checked_arm(changes: dict[str, Any], info: ValidationInfo) -> dict[str, Any]:
    """Validate an arm: return its changes with values of the right types, or raise if `refresh` with them is invalid.

    Pydantic puts the arm's name before the keys of errors that are raised here.
    """
    arm = _arm(info.data.get("refresh", RefreshConfig()), changes)
    ppo = info.data.get("ppo")
    named = arm.at_steps is not None or arm.every is not None
    last = arm.last_refresh
    if ppo is not None and last >= ppo.total_steps:
        raise ValueError(
            f"{f'a refresh after step {last}' if named else f'alpha {last}'} does not fit into "
            f"ppo.total_steps ({ppo.total_steps}): a refresh at or after the last step changes nothing"
        )
    return _picked(arm.model_dump(), changes)


def _checked_seeds(seeds: Any) -> Any:
    """Validate `seeds` with one message, where pydantic would report a number and a list apart."""
    if isinstance(seeds, list):
        plain = all(isinstance(seed, int) and not isinstance(seed, bool) and 0 <= seed < 2**32 for seed in seeds)
        if plain and len(seeds) > 1 and len(set(seeds)) == len(seeds):
            return seeds
    elif seeds is None or (isinstance(seeds, int) and not isinstance(seeds, bool) and 1 < seeds <= MOST_SEEDS):
        return seeds
    raise ValueError(
        f"must be a number of seeds (2 to {MOST_SEEDS}), or a list of at least two different ones (0 to {2**32 - 1})"
    )


class RunConfig(Section):
    """Everything that decides the outcome of `frft run`."""

    seed: int = Field(default=0, ge=0, lt=2**32)
    """Random seed of the run; every stage derives its own from this and the stage's name."""
    seeds: Annotated[int | list[int] | None, BeforeValidator(_checked_seeds)] = None
    """Number of seeds to repeat the run with, the first being `seed`, or a list of seeds; none: `seed` only.
    In a world, each seed is added to `data.world.seed`."""
    report_to: Literal["none", "tensorboard", "wandb"] = "none"
    """Where to log training curves, beside the files of the run."""
    threads: int | None = Field(default=None, gt=0)
    """CPU threads for each worker; none: 1 for models under 50 million parameters, else all cores."""
    workers: int | None = Field(default=None, gt=0)
    """Processes that work on different arms at the same time; none: as many as a short measurement at the start finds
    worth it (on a GPU, and under a launcher: 1). Changes no result."""
    data: DataConfig
    """Preference pairs, or the world that makes them."""
    policy: PolicyConfig = PolicyConfig()
    """The policy and its SFT."""
    reward: RewardModelConfig = RewardModelConfig()
    """The base reward model."""
    judge: RewardModelConfig | None = None
    """How the judge is trained, a reward model on rows that nothing else saw; none: as `reward` says. Not used where
    another judge is named (evaluation.judge), nor for win rates in a world, where the gold reward judges."""
    embedder: EmbedderConfig = EmbedderConfig()
    """Sentence embeddings."""
    algorithm: Annotated[str, AfterValidator(known_algorithm)] = "ppo"
    """How the policy is trained: by PPO with a critic, or without one by RLOO or GRPO, which are TRL's."""
    ppo: PPOConfig = PPOConfig()
    """Training of the policy; shared by PPO, RLOO and GRPO."""
    group: GroupConfig = GroupConfig()
    """Settings of RLOO and GRPO only."""
    refresh: RefreshConfig = Field(default=RefreshConfig(), validate_default=True)
    """Refresh settings that all arms share; an arm overrides them."""
    monitor: MonitorConfig = MonitorConfig()
    """Diagnoses of the arms during training."""
    arms: dict[
        Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$")],
        Annotated[dict[str, Any], AfterValidator(_checked_arm)],
    ] = Field(default={"vanilla": {"alpha": 0}, "frft": {}}, validate_default=True)
    """Arms by name: what each changes in `refresh`. One of them must be `vanilla` with alpha 0."""
    evaluation: EvaluationConfig = EvaluationConfig()
    """Win rates."""

    def arm(self, name: str) -> RefreshConfig:
        """The refresh settings of arm `name`: `refresh` with the arm's own changes.

        An arm with alpha 0 does not inherit `at_steps`. An arm that sets its own schedule (`at_steps`, `every`, or a
        `when` by looks) does not inherit the other two of these settings, which would contradict it.
        """
        return _arm(self.refresh, self.arms[name])

    @property
    def seed_list(self) -> list[int]:
        """All seeds of the run, at least one."""
        if isinstance(self.seeds, list):
            return self.seeds
        return [self.seed + number for number in range(self.seeds or 1)]

    @property
    def judge_model(self) -> RewardModelConfig:
        """Settings of a trained judge: `judge`, or else `reward`."""
        return self.judge or self.reward

    @property
    def has_gate(self) -> bool:
        """Whether any arm with refreshes has a gate."""
        return any((arm := self.arm(name)).alpha and arm.gate is not None for name in self.arms)

    @property
    def trains_judge(self) -> bool:
        """Whether a judge is trained: a reward model for the win rates, or for looks alone."""
        own = self.data.world is None and self.evaluation.judge is None
        return own or (self.monitor.every is not None and self.judge_of_looks == "held_out")

    @property
    def judge_of_looks(self) -> Literal["held_out", "gold", "evaluation"]:
        """`monitor.judge`, or its default: the judge that `evaluation.judge` names, else the held-out one."""
        return self.monitor.judge or ("held_out" if self.evaluation.judge is None else "evaluation")

    def labelling_judge(self, labels: LabelsConfig) -> str:
        """Name of the judge that gives fresh labels (`from: judge`).

        Raises:
            ValueError: neither labels.judge nor evaluation.judge names one.
        """
        name = labels.judge or self.evaluation.judge
        if name is None:
            raise ValueError(
                "labels: from: judge needs a judge; name it by labels.judge (rm:FOLDER, openai:MODEL, ...) or by "
                "evaluation.judge"
            )
        return name

    @property
    def trained_by(self) -> PolicyAlgorithm:
        """The properties of `algorithm`."""
        return ALGORITHMS[self.algorithm]

    def unread(self) -> list[str]:
        """Dotted keys of settings that differ from their default and have no effect on this run.

        That may be because of `algorithm`, of a world, or because there are no looks. They are reported and not
        refused, so that a preset or a file for one algorithm serves the others, too. With an algorithm whose KL penalty
        is in the loss, `ppo.kl_penalty` is among them unless it is "loss".
        """
        keys = [
            f"{section}.{name}"
            for section, names in self.trained_by.unread.items()
            for name in names
            if getattr(getattr(self, section), name) != type(getattr(self, section)).model_fields[name].default
        ]
        if self.trained_by.kl_in == "loss" and self.ppo.kl_penalty != "loss":
            keys.append("ppo.kl_penalty")
        if self.monitor.every is None:
            keys += [f"monitor.{name}" for name in self.monitor.model_dump(exclude_defaults=True)]
        world = self.data.world
        if not self.trains_judge:
            keys += ["judge"] * (self.judge is not None)
        if self.evaluation.judge is None:
            # Which options a named judge reads depends on its kind: `frft.evaluation.unread_options` lists the others.
            own = {"tie_margin"} if world is None else set()
            keys += [
                f"evaluation.{name}"
                for name, field in JudgeOptions.model_fields.items()
                if name not in own and getattr(self.evaluation, name) != field.default
            ]
        if world is not None:
            if not self.trains_judge:
                share = type(self.data).model_fields["judge_fraction"].default
                keys += ["data.judge_fraction"] * (self.data.judge_fraction != share)
            # In a run, policies are trained and sampled on the pool's prompts, in a world as with pairs.
            keys += ["data.world.train_prompts"] * (world.train_prompts != WorldConfig().train_prompts)
        return keys

    @field_validator("refresh")
    @classmethod
    def _tests_refreshes(cls, refresh: RefreshConfig) -> RefreshConfig:
        return _with_test_pairs(refresh)

    @field_validator("arms")
    @classmethod
    def _vanilla_is_there(cls, arms: dict[str, dict[str, Any]], info: ValidationInfo) -> dict[str, dict[str, Any]]:
        if "refresh" in info.data and (VANILLA not in arms or _arm(info.data["refresh"], arms[VANILLA]).alpha):
            raise ValueError("must hold `vanilla: {alpha: 0}`, what all others are compared with")
        return arms

    @model_validator(mode="after")
    def _seeds_are_named_once(self) -> Self:
        if isinstance(self.seeds, list) and self.seed != type(self).model_fields["seed"].default:
            raise ValueError(f"seeds: {self.seeds} names all seeds; leave seed ({self.seed}) out")
        return self

    @model_validator(mode="after")
    def _fits_the_world(self) -> Self:
        if self.data.world is not None and self.evaluation.prompts is not None:
            raise ValueError(
                "evaluation.prompts cannot be used with data.world, whose gold reward knows its own prompts alone; "
                "leave it out (data.world.evaluation_prompts says how many there are)"
            )
        return self

    @model_validator(mode="after")
    def _looks_can_be_had(self) -> Self:
        if self.monitor.judge == "gold" and self.data.world is None:
            raise ValueError("monitor.judge: gold needs data.world; the gold reward of other texts is not known")
        if self.monitor.stop and self.monitor.every is None:
            raise ValueError("monitor.stop stops at a look; set how often to look (monitor.every)")
        return self

    @model_validator(mode="after")
    def _arms_can_be_had(self) -> Self:
        for name in self.arms:
            arm = self.arm(name)
            if arm.when != "scheduled" and arm.alpha and self.monitor.every is None:
                raise ValueError(f"arms.{name}: when: {arm.when} needs looks; set how often to look (monitor.every)")
            if arm.when == "drift" and arm.alpha and not self.monitor.drift:
                raise ValueError(f"arms.{name}: when: drift needs monitor.drift")
            by_gold = arm.labels == "gold" or (arm.fresh is not None and arm.fresh.from_ == "gold")
            if by_gold and arm.alpha and self.data.world is None:
                raise ValueError(
                    f"arms.{name}: labels: gold needs data.world; the gold reward of pairs from people is not known"
                )
            if arm.alpha and arm.fresh is not None and arm.fresh.from_ == "judge":
                self.labelling_judge(arm.fresh)
            if arm.ensemble > 1 and not self.reward.normalise_samples:
                raise ValueError(
                    f"arms.{name}: an ensemble needs scores of one scale; reward.normalise_samples must not be 0"
                )
            for setting in ("reset_optimizer", "restart_policy"):
                if getattr(arm, setting) and not self.trained_by.can_reset_optimizer:
                    raise ValueError(
                        f"arms.{name}: {setting} cannot be used with algorithm: {self.algorithm}, whose optimizer is "
                        "TRL's; leave it out"
                    )
        return self

    @model_validator(mode="after")
    def _fits_the_algorithm(self) -> Self:
        default = PPOConfig()
        for name in self.trained_by.refused:
            if getattr(self.ppo, name) != getattr(default, name):
                raise ValueError(f"ppo.{name} is not supported by algorithm: {self.algorithm}; leave it out")
        if self.trained_by.kl_in == "reward" and self.ppo.kl_penalty == "loss":
            raise ValueError(
                f"algorithm: {self.algorithm} has its KL penalty in the reward; leave out ppo.kl_penalty: loss"
            )
        if self.trained_by.has_critic:
            return self
        whole = self.ppo.rollout_batch_size
        parts = {"group.num_generations": self.group.num_generations, "ppo.mini_batch_size": self.ppo.mini_batch_size}
        for name, part in parts.items():
            if whole % part:
                raise ValueError(
                    f"ppo.rollout_batch_size ({whole}) must be a multiple of {name} ({part}) for algorithm: "
                    f"{self.algorithm}"
                )
        return self

    @model_validator(mode="after")
    def _fits_the_scratch_model(self) -> Self:
        if self.policy.model_name_or_path is not None:
            return self
        longest = self.policy.scratch.max_position_embeddings
        lengths = {"policy.sft.max_length": self.policy.sft.max_length}
        for name, model in (("reward", self.reward), ("judge", self.judge)):
            if model is None or (name == "judge" and not self.trains_judge):
                continue
            if model.model_name_or_path is None:
                lengths[f"{name}.train.max_length"] = model.train.max_length
        samplings = {section: getattr(self, section).sampling for section in ("ppo", "refresh", "evaluation")}
        samplings |= {f"arms.{name}": self.arm(name).sampling for name in self.arms if "sampling" in self.arms[name]}
        for name, sampling in samplings.items():
            if sampling is not None:
                tokens = sampling.max_prompt_tokens + sampling.max_new_tokens
                lengths[f"{name}.sampling.max_prompt_tokens + {name}.sampling.max_new_tokens"] = tokens
        too_long = [f"{key} ({tokens})" for key, tokens in lengths.items() if tokens > longest]
        if too_long:
            raise ValueError(f"{', '.join(too_long)}: more than policy.scratch.max_position_embeddings ({longest})")
        return self


def merged(base: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """`base` with the values of `changes` in place of its own; dicts are merged key by key, at any depth."""
    result = dict(base)
    for key, value in changes.items():
        nested = isinstance(value, dict) and isinstance(result.get(key), dict)
        result[key] = merged(result[key], value) if nested else value
    return result


def _arm(refresh: RefreshConfig, changes: dict[str, Any]) -> RefreshConfig:
    values = merged(refresh.model_dump(), changes)
    by_steps = [name for name in ("at_steps", "every") if changes.get(name) is not None]
    if by_steps or changes.get("when", "scheduled") != "scheduled":
        # Two schedules contradict each other: the arm's own one replaces those that it would inherit.
        defaults = {name: RefreshConfig.model_fields[name].default for name in ("when", "at_steps", "every")}
        values |= {name: default for name, default in defaults.items() if name not in changes}
    if values["when"] != "drift" and "drift" not in changes:
        values["drift"] = RefreshConfig.model_fields["drift"].default
    if values["reward_shaping"] == "none" and "references" not in changes:
        values["references"] = RefreshConfig.model_fields["references"].default
    if values["alpha"] == 0 and "at_steps" not in changes:
        values["at_steps"] = None
    return _with_test_pairs(RefreshConfig.model_validate(values))


def _with_test_pairs(refresh: RefreshConfig) -> RefreshConfig:
    """The refresh settings with `test_size` filled in where it is None, because a run tests every refresh."""
    if refresh.selection.test_size is not None:
        return refresh
    selection = refresh.selection.model_copy(update={"test_size": TEST_SIZE})
    return refresh.model_copy(update={"selection": selection})


def _picked(values: dict[str, Any], like: dict[str, Any]) -> dict[str, Any]:
    """The entries of `values` whose keys are also in `like`, at any depth."""
    return {
        key: _picked(values[key], wanted) if isinstance(wanted, dict) and wanted else values[key]
        for key, wanted in like.items()
    }
