"""Scale a run down to a smoke run, which shows within minutes whether everything works."""

from __future__ import annotations

from typing import Any

from frft.config.model import RunConfig
from frft.config.sections import RefreshConfig
from frft.errors import ConfigError

ROLLOUT_BATCH_SIZE = 8
GENERATIONS = 2
EVALUATION_PROMPTS = 16
NEW_TOKENS = 32
LOOK_PROMPTS, LOOK_STEPS = 20, 2
DECIDED_REFRESHES = 2
"""Most refreshes of a smoke run whose looks decide when to refresh; there, alpha is an upper bound."""
NORMALISE_SAMPLES = 32


def scaled_down(config: RunConfig, limit: int) -> RunConfig:
    """`config` for a smoke run on `limit` pairs; its numbers say nothing about the method.

    Nothing grows. Capped are: `data.limit` (in a world, `pool_size` and `demonstrations`) at `limit`; every
    `num_train_epochs` at 1; `ppo.total_steps` at 2 (alpha + 1) of the arm that refreshes most, an arm whose refreshes
    looks decide on counting as one of at most 2 (where that shortens the run, `at_steps` and `every` give way to even
    spacing); `ppo.rollout_batch_size`, and the batches it is cut into, at 8, and where that is less, the latter at a
    divisor of 8 and `group.num_generations` at 2; `max_new_tokens` and `normalise_samples` at 32; in every arm
    `selection.size` at an eighth of `limit` and `selection.test_size` at a fortieth; `evaluation.max_prompts` at 16;
    where there are looks, `monitor.every` at 2 and `monitor.prompts` at 20.

    Raises:
        ConfigError: `limit` is not positive.
    """
    if limit <= 0:
        raise ConfigError(f"The limit must be a positive number of pairs, got {limit}")
    values = config.model_dump()
    steps = 2 * (1 + max(_refreshes(config.arm(name)) for name in config.arms))
    shortened = steps < config.ppo.total_steps
    if config.data.world is None:
        values["data"]["limit"] = min(limit, config.data.limit or limit)
    else:
        for rows in ("pool_size", "demonstrations"):
            _cap(values["data"]["world"], rows, limit)
    _cap(values["ppo"], "total_steps", steps)
    for size in ("rollout_batch_size", "mini_batch_size"):
        _cap(values["ppo"], size, ROLLOUT_BATCH_SIZE)
    if config.ppo.rollout_batch_size > ROLLOUT_BATCH_SIZE:
        # What divided the large batch need not divide the small one.
        while ROLLOUT_BATCH_SIZE % values["ppo"]["mini_batch_size"]:
            values["ppo"]["mini_batch_size"] -= 1
        if not config.trained_by.has_critic:
            _cap(values["group"], "num_generations", GENERATIONS)
    for section in (values["ppo"], values["evaluation"], values["refresh"], *values["arms"].values()):
        _cap(section.get("sampling") or {}, "max_new_tokens", NEW_TOKENS)
    _cap(values["evaluation"], "max_prompts", EVALUATION_PROMPTS)
    models = [model for model in (values["reward"], values["judge"]) if model is not None]
    for train in (values["policy"]["sft"], *(model["train"] for model in models)):
        _cap(train, "num_train_epochs", 1.0)
    for model in models:
        _cap(model, "normalise_samples", NORMALISE_SAMPLES)
    for refresh in (values["refresh"], *values["arms"].values()):
        _cap(refresh, "num_train_epochs", 1.0)
        selection = refresh.get("selection", {})
        _cap(selection, "size", max(2, limit // 8))
        _cap(selection, "test_size", max(1, limit // 40))
        if shortened:
            if any(refresh.get(way) is not None for way in ("at_steps", "every")):
                # The arm's own schedule kept it from inheriting a `when` by looks; without it, that must be said.
                refresh["when"] = "scheduled"
            refresh.update({way: None for way in ("at_steps", "every") if way in refresh})
    if config.monitor.every is not None:
        values["monitor"] |= {"every": min(config.monitor.every, LOOK_STEPS), "prompts": LOOK_PROMPTS}
    return RunConfig.model_validate(values)


def _refreshes(arm: RefreshConfig) -> int:
    """Number of refreshes of an arm in a smoke run."""
    return arm.alpha if arm.when == "scheduled" else min(arm.alpha, DECIDED_REFRESHES)


def _cap(section: dict[str, Any], key: str, most: float) -> None:
    """Lower a setting to at most `most`, in place; a section without it (an arm that inherits it) stays as it is."""
    if key in section:
        section[key] = min(section[key], most)
