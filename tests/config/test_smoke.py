"""A run made small."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from frft.config import load_config
from frft.config.model import RunConfig
from frft.config.smoke import scaled_down
from frft.errors import ConfigError


@pytest.mark.parametrize("source", ["hh-small", "paper"])
def test_a_smoke_run_is_small_everywhere(source):
    config = load_config(source, ["data.pairs=x"], limit=160)
    assert config.data.limit == 160
    most = max(config.arm(name).alpha for name in config.arms)
    assert config.ppo.total_steps == 2 * (most + 1)
    assert config.ppo.rollout_batch_size == config.ppo.mini_batch_size == 8
    for sampling in (config.ppo.sampling, config.refresh.sampling, config.evaluation.sampling):
        assert sampling is None or sampling.max_new_tokens == 32
    assert config.evaluation.max_prompts == 16
    assert max(config.reward.normalise_samples, config.judge_model.normalise_samples) <= 32
    for train in (config.policy.sft, config.reward.train, config.judge_model.train):
        assert train.num_train_epochs <= 1
    for name in config.arms:
        assert config.arm(name).selection.size == 20
        assert config.arm(name).selection.test_size == 4


def test_a_smoke_run_looks_at_its_few_steps():
    config = load_config("hh-small", ["data.pairs=x", "monitor.every=100", "refresh.every=4"], limit=160)
    assert (config.monitor.every, config.monitor.prompts) == (2, 20)
    assert config.refresh.every is None
    assert load_config("hh-small", ["data.pairs=x"], limit=160).monitor.every is None


@pytest.mark.parametrize(("changes", "steps"), [("alpha: 100", 6), ("alpha: 1", 4)])
@pytest.mark.parametrize("when", ["drift", "alarms"])
def test_where_looks_decide_alpha_is_only_the_most(when, changes, steps):
    overrides = ["data.pairs=x", "monitor.every=100", f"arms.part1={{when: {when}, {changes}}}"]
    config = load_config("hh-small", [*overrides, "arms.random={alpha: 0}", "arms.part4={alpha: 0}"], limit=160)
    assert config.ppo.total_steps == steps
    assert config.arm("part1").when == when


def test_an_arm_with_a_schedule_keeps_to_one():
    overrides = ["data.pairs=x", "monitor.every=100", "refresh.when=drift", "refresh.drift=0.8", "refresh.alpha=9"]
    config = load_config("hh-small", [*overrides, "arms.part1={every: 3, alpha: 2}"], limit=160)
    assert (config.arm("part1").when, config.arm("part1").every) == ("scheduled", None)
    assert (config.arm("part4").when, config.arm("part4").drift) == ("drift", 0.8)


def test_groups_fit_into_the_small_batch():
    overrides = ["data.pairs=x", "algorithm=grpo", "group.num_generations=16"]
    assert load_config("hh-small", overrides, limit=160).group.num_generations == 2
    kept = [*overrides[:2], "ppo.rollout_batch_size=6", "ppo.mini_batch_size=6", "group.num_generations=3"]
    assert load_config("hh-small", kept, limit=160).group.num_generations == 3


@pytest.mark.parametrize("algorithm", ["ppo", "rloo", "grpo"])
@pytest.mark.parametrize(
    ("sizes", "small"), [((60, 6, 3), (8, 4, 2)), ((64, 64, 4), (8, 8, 2)), ((6, 3, 3), (6, 3, 3))]
)
def test_what_the_batch_is_cut_into_divides_the_small_one_too(algorithm, sizes, small):
    names = ("ppo.rollout_batch_size", "ppo.mini_batch_size", "group.num_generations")
    overrides = [
        f"{name}={size}" for name, size in zip(names, sizes, strict=True) if algorithm != "ppo" or "ppo" in name
    ]
    config = load_config("hh-small", ["data.pairs=x", f"algorithm={algorithm}", *overrides], limit=160)
    assert (config.ppo.rollout_batch_size, config.ppo.mini_batch_size) == small[:2]
    assert config.group.num_generations == (4 if algorithm == "ppo" else small[2]), "PPO has none to make smaller"


def test_what_is_no_size_stays():
    full, small = load_config("paper"), load_config("paper", limit=100)
    assert small.ppo.learning_rate == full.ppo.learning_rate
    assert small.embedder == full.embedder
    assert small.policy.model_name_or_path == full.policy.model_name_or_path
    assert list(small.arms) == list(full.arms)
    assert small.arm("part3").selection.strategy == "part3"


def test_a_schedule_gives_way_where_the_run_is_shortened():
    overrides = ["data.pairs=x", "ppo.total_steps=16", "refresh.at_steps=[12]", "arms.part1.at_steps=[3]"]
    assert load_config("hh-small", overrides, limit=50).arm("part1").at_steps is None
    short = [*overrides, "ppo.total_steps=4", "refresh.at_steps=[2]"]
    assert load_config("hh-small", short, limit=50).arm("part1").at_steps == [3]


def test_arms_with_sizes_of_their_own_shrink_too():
    changes = "arms.part1={selection: {size: 1000, test_size: 0}, num_train_epochs: 5}"
    arm = load_config("hh-small", ["data.pairs=x", changes], limit=80).arm("part1")
    assert (arm.selection.size, arm.selection.test_size, arm.num_train_epochs) == (10, 0, 1)


@pytest.mark.parametrize("limit", [0, -5])
def test_a_limit_must_be_positive(limit):
    with pytest.raises(ConfigError, match=f"positive number of pairs, got {limit}"):
        load_config("paper", limit=limit)


@settings(deadline=None, max_examples=60)
@given(
    limit=st.integers(1, 5000),
    own_limit=st.none() | st.integers(1, 5000),
    steps=st.integers(6, 500),
    batch=st.integers(2, 100),
    alpha=st.integers(0, 5),
    size=st.integers(1, 3000),
    test_size=st.integers(0, 300),
    tokens=st.integers(1, 200),
)
def test_nothing_grows_and_all_checks_still_hold(limit, own_limit, steps, batch, alpha, size, test_size, tokens):
    config = RunConfig.model_validate(
        {
            "data": {"pairs": "x", "limit": own_limit},
            "ppo": {"total_steps": steps, "rollout_batch_size": batch, "mini_batch_size": batch},
            "refresh": {"selection": {"size": size, "test_size": test_size}},
            "arms": {"vanilla": {"alpha": 0}, "a": {"alpha": alpha, "at_steps": list(range(1, alpha + 1))}},
            "evaluation": {"sampling": {"max_new_tokens": tokens}},
        }
    )
    small = scaled_down(config, limit)
    before, after = _numbers(config.model_dump()), _numbers(small.model_dump())
    assert all(after[key] <= before[key] for key in before if key in after)
    assert small.data.limit is not None
    assert small.data.limit <= limit
    assert scaled_down(small, limit) == small


def _numbers(values, prefix=()):
    found = {}
    for key, value in values.items():
        if isinstance(value, dict):
            found |= _numbers(value, (*prefix, key))
        elif isinstance(value, int | float):
            found[*prefix, key] = value
    return found
