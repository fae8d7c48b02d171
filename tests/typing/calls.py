"""Right and wrong calls of the public surface, for type checkers: `make check` reads this file, and nothing runs it.

A right call must be accepted. A wrong one carries a `type: ignore`, and both type checkers refuse an ignore that hides
nothing: a name that has become `Any` fails here.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import assert_type

from transformers import PreTrainedModel

import frft


def pool_of(path: str) -> frft.Pool:
    pool = frft.load_pool([path, Path("more.jsonl")], prompt_key="question", limit=100)
    assert_type(pool, frft.Pool)
    assert_type(pool.report, frft.ReadReport)
    frft.load_pool(12345)  # type: ignore[arg-type]
    frft.load_pool(path, no_such_argument=True)  # type: ignore[call-arg]
    frft.load_pool(path, limit="100")  # type: ignore[arg-type]
    frft.no_such_name()  # type: ignore[attr-defined]
    return pool


def samples_of(path: str) -> None:
    assert_type(frft.load_samples(path, model="a"), frft.Samples)
    assert_type(frft.load_prompts(path), list[str])
    frft.load_samples(path, model=7)  # type: ignore[arg-type]
    frft.load_prompts()  # type: ignore[call-arg]


def settings() -> frft.RefreshConfig:
    frft.RefreshConfig(alpah=2)  # type: ignore[call-arg]
    frft.RefreshConfig(alpha="two")  # type: ignore[arg-type]
    frft.RefreshConfig(samples="rollout")  # type: ignore[arg-type]
    frft.PPOConfig(sampling=frft.SelectionConfig())  # type: ignore[arg-type]
    frft.EmbedderConfig("all-MiniLM-L6-v2")  # type: ignore[call-arg]
    frft.RewardModelConfig(train=frft.TrainConfig(max_lenght=64))  # type: ignore[call-arg]
    frft.RunConfig()  # type: ignore[call-arg]
    assert_type(frft.load_config("demo", ["seed=1"]), frft.RunConfig)
    frft.load_config(Path("demo"))  # type: ignore[arg-type]
    return frft.RefreshConfig(
        alpha=2,
        samples="rollouts",
        selection=frft.SelectionConfig(strategy="density", size=100),
        sampling=frft.SamplingConfig(max_new_tokens=32),
        gate=frft.GateConfig(),
    )


def prefers_longer(prompts: Sequence[str], first: Sequence[str], second: Sequence[str]) -> list[float | None]:
    return [float(len(one) > len(other)) for one, other in zip(first, second, strict=True)]


def aligned(pool: frft.Pool) -> list[float]:
    reward = frft.AlignedReward(
        "reward-model",
        pool,
        settings(),
        frft.RewardModelConfig(train=frft.TrainConfig(max_length=64)),
        held_out=pool,
        gate_pairs="gate.jsonl",
        vectors=frft.VectorCache("embeddings", frft.Embedder()),
        store=frft.ArtifactStore(Path("stages")),
        alarms=frft.refresh_alarms,
        progress=frft.for_terminal(),
    )
    assert_type(reward.refresh(), frft.Refresh)
    assert_type(reward.refreshes[0].read_selection(), frft.Selection)
    frft.AlignedReward("reward-model", pool, labeller=frft.FunctionLabeller(prefers_longer, "longer"))
    frft.AlignedReward("reward-model", pool, labeller=prefers_longer)
    frft.AlignedReward("reward-model", pool, None, reference_samples=frft.PolicySamples.of(["p"], ["c"]))
    assert_type(reward.config, frft.RefreshConfig)
    frft.AlignedReward("reward-model", pool, labeller="openai:MODEL")  # type: ignore[arg-type]
    assert_type(reward.deferred.made, list[tuple[int, int]])
    frft.AlignedReward("reward-model")  # type: ignore[call-arg]
    frft.AlignedReward("reward-model", pool, 2)  # type: ignore[arg-type]
    frft.AlignedReward("reward-model", pool, held_out=3)  # pyright: ignore[reportArgumentType] (to mypy, Arrow tables are Any)
    frft.AlignedReward("reward-model", pool, store="stages")  # type: ignore[arg-type]
    frft.AlignedReward("reward-model", pool, progress=True)  # type: ignore[arg-type]
    reward.refesh()  # type: ignore[attr-defined]
    return reward(["prompt"], ["completion"])


def reward_models(pool: frft.Pool) -> frft.RewardModel:
    model, report = frft.train_reward_model(
        "backbone", pool.table, frft.RewardModelConfig(), seed=0, workdir=Path("logs")
    )
    assert_type(report, frft.TrainReport)
    assert_type(frft.evaluate_reward_model(model, pool), frft.RewardEvaluation)
    frft.train_reward_model("backbone", pool.table, frft.TrainConfig(), seed=0, workdir=Path())  # type: ignore[arg-type]
    frft.evaluate_reward_model("reward-model", pool.table)  # type: ignore[arg-type]
    frft.RewardModel.load("reward-model")  # type: ignore[call-arg]
    frft.RewardModel.load("reward-model", seed=0, reads="prompt")  # type: ignore[arg-type]
    return frft.RewardModel.load("reward-model", seed=0)


def policies(prompts: list[str], reward: frft.RewardModel) -> None:
    tokenizer = frft.load_tokenizer("policy")
    policy = frft.load_causal_lm("policy", tokenizer)
    written = frft.generate(policy, tokenizer, prompts, frft.SamplingConfig(top_k=50), seed=0)
    assert_type(written, frft.Completions)
    frft.generate(policy, tokenizer, prompts, seed=0)  # type: ignore[call-arg]
    frft.generate(policy, tokenizer, prompts, frft.PPOConfig(), seed=0)  # type: ignore[arg-type]
    frft.load_tokenizer(1)  # type: ignore[arg-type]
    critic = frft.Critic.from_causal_lm(policy)
    trainer = frft.PPOTrainer(policy, critic, policy, tokenizer, reward, prompts, frft.PPOConfig(), seed=0)
    assert_type(trainer.step()[0], frft.Rollout)

    def constant(prompts: Sequence[str], completions: Sequence[str]) -> list[float]:
        return [1.0 for _ in zip(prompts, completions, strict=True)]

    frft.PPOTrainer(policy, critic, policy, tokenizer, constant, prompts, frft.PPOConfig(), seed=0)
    frft.PPOTrainer(policy, critic, policy, tokenizer, 1.0, prompts, frft.PPOConfig(), seed=0)  # type: ignore[arg-type]
    frft.PPOTrainer(policy, critic, policy, tokenizer, constant, prompts, 8, seed=0)  # type: ignore[arg-type]
    frft.Critic.from_causal_lm()  # type: ignore[call-arg]


def selections(pool: frft.Pool, vectors: frft.VectorCache) -> None:
    chosen = frft.select(pool, ["prompt"], ["completion"], frft.SelectionConfig(size=10), vectors, 0)
    assert_type(chosen, frft.Selection)
    frft.select(pool.table, ["prompt"], ["completion"], frft.SelectionConfig(), "cache", 0)  # type: ignore[arg-type]
    frft.SelectionConfig(strategy=4)  # type: ignore[arg-type]
    frft.Embedder("all-MiniLM-L6-v2")  # type: ignore[arg-type]
    frft.VectorCache("embeddings", "all-MiniLM-L6-v2")  # type: ignore[arg-type]


def worlds_and_judges(reward_model: frft.RewardModel, prompts: list[str]) -> None:
    world = frft.World(frft.WorldConfig(seed=1))
    judge: frft.Judge = frft.RewardJudge(reward_model)
    frft.ChatJudge("model", base_url="http://localhost:8000/v1")
    assert_type(frft.StoredAnnotations.load("annotations.json"), frft.StoredAnnotations)
    for each in (judge, frft.GoldJudge(world)):
        frft.win_rate(each, prompts, prompts, prompts)
    frft.World({"seed": 1})  # type: ignore[arg-type]
    frft.WorldConfig(lamda=2)  # type: ignore[call-arg]
    frft.RewardJudge("reward-model")  # type: ignore[arg-type]
    frft.win_rate("rm:reward-model", prompts, prompts, prompts)  # type: ignore[arg-type]


def load_my_reward_model(request: frft.HeadRequest) -> PreTrainedModel:
    assert_type(request.name, str)
    raise NotImplementedError


def reward_heads(reward_model: frft.RewardModel) -> frft.RewardHead:
    assert_type(reward_model.head, frft.ScoreHead)
    frft.RewardHead("MyRewardModel", "my_package:load")  # type: ignore[arg-type]
    return frft.RewardHead("MyRewardModel", load_my_reward_model)


def diagnoses(subject: frft.Subject) -> frft.Diagnosis:
    frft.diagnose("runs/first")  # type: ignore[arg-type]
    return frft.diagnose(subject)


def experiments(config: frft.RunConfig) -> None:
    frft.run(config, Path("runs/first"))
    frft.run("demo", Path("runs/first"))  # type: ignore[arg-type]


def errors() -> int:
    try:
        frft.load_pool("pairs.jsonl")
    except frft.UnreadableError as error:
        return error.exit_code
    except frft.FrftError as error:
        print(error.exit_cod)  # type: ignore[attr-defined]
    return 0
