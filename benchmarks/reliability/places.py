"""Places of a training where a number enters: scores, logits, values, advantages, losses, gradients, learning rates."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

from benchmarks.reliability.workshop import PROMPTS, Workshop, count_vowels, tiny_models

NAMES_PROMPT = r"Assistant:"
"""All prompts end so: an error that names one shows it."""
NAMES_STEP = r"step \d"


@dataclass(frozen=True)
class Place:
    """A place where a number enters.

    Attributes:
        name: the place.
        group: the row of the table.
        act: puts the number there, and does what would use it.
        names: pattern of what the error must name.
        values: which numbers; None: all. Some places hold integers, or accept an infinity that means something.
    """

    name: str
    group: str
    act: Callable[[Workshop, float], None]
    names: str
    values: tuple[str, ...] | None = None


def spoilt(value: Any) -> Callable[[Any, Any], list[Any]]:
    """A reward that gives this for the last completion."""
    return lambda prompts, completions: [*count_vowels(prompts, completions)[:-1], value]


def spoil_weight(model: Any, value: float, nth: int = 0) -> Any:
    """Put a number into the first element of a model's nth weight."""
    import torch

    with torch.no_grad():
        list(model.parameters())[nth].view(-1)[0] = value
    return model


@contextmanager
def spoilt_output(model: Any, value: float, *, training: bool | None = None) -> Iterator[None]:
    """Within this block, a number stands in a model's logits, or hidden states, of the first sequence's last tokens.

    Args:
        model: a model of Transformers.
        value: the number.
        training: only where gradients are computed (True), or only where not (False); None: everywhere.
    """
    import torch

    def spoil(_: Any, __: Any, output: Any) -> Any:
        if training is not None and torch.is_grad_enabled() is not training:
            return output
        name = "logits" if "logits" in output else "last_hidden_state"
        spoiled = output[name].clone()
        spoiled[0, -3:] = value
        output[name] = spoiled
        return output

    with model.register_forward_hook(spoil):
        yield


def _spoilt_gradient(model: Any, value: float) -> Any:
    return next(model.parameters()).register_hook(lambda gradient: gradient + value)


def _ppo_reward(cast: Callable[[float], Any]) -> Callable[[Workshop, float], None]:
    return lambda workshop, value: workshop.ppo(reward=spoilt(cast(value))).step()


def _as_array(value: float) -> Any:
    import numpy as np

    return np.float16(value)


def _as_tensor(value: float) -> Any:
    import torch

    return torch.tensor(value, dtype=torch.bfloat16)


def _ppo_logits(whose: str, *, training: bool) -> Callable[[Workshop, float], None]:
    def act(workshop: Workshop, value: float) -> None:
        models = {"reference": workshop.policy(), "sft": workshop.policy(), "policy": workshop.policy()}
        trainer = workshop.ppo(**models)
        with spoilt_output(models[whose], value, training=training):
            trainer.step()

    return act


def _ppo_weights(whose: str) -> Callable[[Workshop, float], None]:
    def act(workshop: Workshop, value: float) -> None:
        models = {"reference": workshop.policy(), "sft": workshop.policy(), "policy": workshop.policy()}
        spoil_weight(models[whose], value)
        workshop.ppo(**models).step()

    return act


def _critic_weights(workshop: Workshop, value: float) -> None:
    trainer = workshop.ppo()
    spoil_weight(trainer.actor_critic.critic, value)
    workshop.watch("critic as it was spoilt", trainer.actor_critic.critic)
    workshop._watched.pop(0)
    workshop.watch("policy", trainer.actor_critic.policy)
    trainer.step()


def _targets(name: str) -> Callable[[Workshop, float], None]:
    def act(workshop: Workshop, value: float) -> None:
        trainer = workshop.ppo(warm=True, kl_penalty="loss")
        rollout = trainer.collect()
        targets, _ = trainer.targets(rollout)
        spoiled = getattr(targets, name)
        spoiled = value if name == "kl_coef" else spoiled.index_fill(0, spoiled.new_zeros(1).long(), value)
        trainer.update(rollout, targets._replace(**{name: spoiled}))

    return act


def _rollout(name: str) -> Callable[[Workshop, float], None]:
    def act(workshop: Workshop, value: float) -> None:
        trainer = workshop.ppo(warm=True)
        rollout = trainer.collect()
        getattr(rollout, name).view(-1)[0] = value
        targets, _ = trainer.targets(rollout)
        trainer.update(rollout, targets)

    return act


def _kl_controller(workshop: Workshop, value: float) -> None:
    trainer = workshop.ppo(warm=True)
    trainer.kl.coef = value
    trainer.step()


def _ppo_gradient(whose: str) -> Callable[[Workshop, float], None]:
    def act(workshop: Workshop, value: float) -> None:
        trainer = workshop.ppo(warm=True)
        _spoilt_gradient(getattr(trainer.actor_critic, whose), value)
        trainer.step()

    return act


def _ppo_rate(workshop: Workshop, value: float) -> None:
    trainer = workshop.ppo(warm=True)
    trainer.config = trainer.config.model_copy(update={"learning_rate": value})
    trainer.step()


def _checkpoint(workshop: Workshop, value: float) -> None:
    trainer = workshop.ppo(warm=True)
    workshop._watched.clear()
    spoil_weight(trainer.actor_critic.policy, value)
    trainer.save(workshop.folder / "checkpoint")


def _group(algorithm: str, where: str) -> Callable[[Workshop, float], None]:
    def act(workshop: Workshop, value: float) -> None:
        policy, reference = workshop.policy(), workshop.policy()
        if where == "weights":
            spoil_weight(policy, value)
        if where == "reference":
            spoil_weight(reference, value)
        reward = spoilt(value) if where == "reward" else count_vowels
        trainer = workshop.group(algorithm, policy=policy, reference=reference, reward=reward)
        if where == "gradient":
            _spoilt_gradient(policy, value)
        if where == "rate":
            trainer._trl.add_callback(_rate_of_each_step(value))
        trainer.train(1, lambda *_: None)

    return act


def _rate_of_each_step(value: float) -> Any:
    from transformers import TrainerCallback

    class Rate(TrainerCallback):  # type: ignore[misc]
        def on_step_begin(self, *_: Any, optimizer: Any, **__: Any) -> None:
            """Set it, as a scheduler that broke down would."""
            for group in optimizer.param_groups:
                group["lr"] = value

    return Rate()


def _supervised(kind: str, where: str) -> Callable[[Workshop, float], None]:
    def act(workshop: Workshop, value: float) -> None:
        from frft.config.sections import RewardModelConfig, TrainConfig
        from frft.policy import fine_tune
        from frft.reward import train_reward_model

        train = TrainConfig(max_length=64, num_train_epochs=1, learning_rate=1e-3)
        completions = [" Red.", " Mix flour.", " Blue."]
        if kind == "sft":
            policy = workshop.policy()
            with ExitStack() as stack:
                _spoil_training(stack, policy, where, value)
                workshop.watch("policy", policy)
                texts = tiny_models()[1], PROMPTS, completions
                _ = fine_tune(policy, *texts, train, seed=0, workdir=workshop.folder)
            return
        pairs: dict[str, Any] = {"prompt": PROMPTS, "chosen": completions, "rejected": [" No.", " Never.", " None."]}
        pairs["margin"] = [0.5, value if where == "margin" else 0.5, 0.5]
        base = workshop.reward_model()
        workshop.watch("reward model to start from", base.model)
        if where == "weights":
            workshop._watched.clear()
            spoil_weight(base.model, value)
            workshop.watch("reward model to start from", base.model)
        config = RewardModelConfig(train=train, use_margin=True)
        errors = [0.1, value, 0.1] if where == "label error" else None
        _ = train_reward_model(base, pairs, config, seed=0, workdir=workshop.folder, label_errors=errors)

    return act


def _spoil_training(stack: ExitStack, model: Any, where: str, value: float) -> None:
    if where == "weights":
        spoil_weight(model, value)
    if where == "gradient":
        handle = _spoilt_gradient(model, value)
        stack.callback(handle.remove)
    if where == "logits":
        # The loss is computed from hidden states, without logits in between.
        stack.enter_context(spoilt_output(model.base_model, value, training=True))


_LOSS = "loss and gradients"
PLACES = (
    Place("ppo reward", "scores", _ppo_reward(float), NAMES_PROMPT),
    Place("ppo reward as an array of float16", "scores", _ppo_reward(_as_array), NAMES_PROMPT),
    Place("ppo reward as a bfloat16 tensor", "scores", _ppo_reward(_as_tensor), NAMES_PROMPT),
    *(
        Place(f"ppo {whose} logits of a rollout", "logits", _ppo_logits(whose, training=False), NAMES_PROMPT)
        for whose in ("policy", "reference", "sft")
    ),
    Place("ppo policy logits of an update", "logits", _ppo_logits("policy", training=True), NAMES_STEP),
    *(
        Place(f"ppo {whose} weights", "weights", _ppo_weights(whose), NAMES_PROMPT)
        for whose in ("policy", "reference", "sft")
    ),
    Place("ppo critic weights", "weights", _critic_weights, NAMES_PROMPT),
    *(
        Place(f"ppo {name}", "advantages and KL", _targets(name), NAMES_STEP)
        for name in ("advantages_BT", "returns_BT", "kl_coef")
    ),
    *(
        Place(f"ppo {name} of a rollout", "advantages and KL", _rollout(name), "rollout|step")
        for name in ("logprobs_BT", "reference_logprobs_BT", "sft_logprobs_BT", "values_BT", "scores_B")
    ),
    Place("ppo kl controller", "advantages and KL", _kl_controller, "rollout|step"),
    *(Place(f"ppo {whose} gradient", _LOSS, _ppo_gradient(whose), NAMES_STEP) for whose in ("policy", "critic")),
    Place("ppo learning rate in a training", "learning rates", _ppo_rate, NAMES_STEP),
    Place("ppo checkpoint of a broken policy", "weights", _checkpoint, "checkpoint"),
    *(
        Place(f"{algorithm} {where}", group, _group(algorithm, where), names)
        for algorithm in ("rloo", "grpo")
        for where, group, names in (
            ("reward", "scores", NAMES_PROMPT),
            ("weights", "weights", NAMES_PROMPT),
            ("reference", "weights", NAMES_PROMPT),
            ("gradient", _LOSS, NAMES_STEP),
            ("rate", "learning rates", NAMES_STEP),
        )
    ),
    *(
        Place(f"{kind} {where}", group, _supervised(kind, where), names)
        for kind, where, group, names in (
            ("sft", "weights", "weights", NAMES_STEP),
            ("sft", "logits", "logits", NAMES_STEP),
            ("sft", "gradient", _LOSS, NAMES_STEP),
            ("reward model", "weights", "weights", NAMES_STEP),
            ("reward model", "margin", "labels and pairs", "Row 1"),
            ("reward model", "label error", "labels and pairs", "Row 1"),
        )
    ),
)
