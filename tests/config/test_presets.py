"""The presets that come with the package."""

import pytest

from frft.config import list_presets, load_config
from frft.config.presets import preset_names, preset_text
from frft.reward.defaults import LABELS_ALONE

PAIRS = ["data.pairs=x"]


def test_presets_are_listed_with_a_line_each():
    presets = dict(list_presets())
    assert sorted(presets) == preset_names() == ["demo", "hh-small", "paper"]
    assert all(10 < len(text) <= 110 and "\n" not in text and "#" not in text for text in presets.values())


@pytest.mark.parametrize("name", preset_names())
def test_every_preset_loads(name):
    config = load_config(name, PAIRS if name != "demo" else [])
    assert config.arm("vanilla").alpha == 0
    sizes = {config.arm(arm).selection.size for arm in config.arms}
    assert len(sizes) == 1, "arms are compared at one size"


@pytest.mark.parametrize("name", preset_names())
def test_preset_files_are_text_without_tabs(name):
    assert preset_text(name).startswith("# ")
    assert "\t" not in preset_text(name)


def test_hh_small_asks_for_its_pairs():
    with pytest.raises(Exception, match=r"data\.pairs=PATH"):
        load_config("hh-small")


def test_hh_small_has_the_arms_of_the_paper_and_the_random_one():
    config = load_config("hh-small", PAIRS)
    strategies = {name: config.arm(name).selection.strategy for name in config.arms if name != "vanilla"}
    assert strategies == {name: name for name in ("random", "part1", "part2", "part3", "part4")}
    assert {config.arm(name).alpha for name in strategies} == {1}


def test_hh_small_selects_from_a_pool_that_holds_enough():
    config = load_config("hh-small", PAIRS)
    pool = 3600 * (1 - config.data.judge_fraction - config.data.evaluation_fraction)
    assert config.refresh.selection.size + config.refresh.selection.test_size < pool / 2


def test_the_demo_is_a_world_in_which_refreshes_can_help():
    config = load_config("demo")
    world = config.data.world
    assert (world.lambda_, world.kappa, world.near_lambda) == (2, 1, 0)
    assert list(config.arms) == ["vanilla", "random", "frft", "labelled"]
    labelled = config.arm("labelled")
    assert labelled.fresh is not None
    assert (labelled.fresh.from_, labelled.fresh.budget, labelled.fresh.noise) == ("gold", 60, 0.2)
    default = config.arm("frft").model_copy(
        update={name: getattr(LABELS_ALONE, name) for name in ("replay", "num_train_epochs")}
    )
    assert labelled.selection == default.selection.model_copy(update={"strategy": LABELS_ALONE.selection.strategy})
    assert labelled.model_copy(update={"selection": default.selection, "labels": default.labels}) == default
    selection = config.arm("frft").selection
    assert config.arm("random").selection == selection.model_copy(update={"strategy": "random"})
    assert selection.size + selection.test_size < world.pool_size / 5, "a source owns a sixth of the pool"


def test_paper_is_the_papers_set_up():
    config = load_config("paper")
    assert config.policy.model_name_or_path == "gpt2-medium"
    assert config.data.pairs == "Dahoas/rm-static"
    assert config.embedder.model_name_or_path == "AnnaWegmann/Style-Embedding"
    selection, ppo = config.refresh.selection, config.ppo
    assert (selection.threshold, selection.size, selection.test_size) == (0.8, 2000, 200)
    assert (ppo.learning_rate, ppo.critic_learning_rate, ppo.kl_coef, ppo.cliprange) == (
        5e-6,
        9e-6,
        0.02,
        0.2,
    )
    assert (ppo.sampling.temperature, ppo.sampling.top_k, ppo.sampling.max_new_tokens) == (1.0, 50, 128)
    samples = config.refresh.sampling
    assert samples is not None
    assert (samples.temperature, samples.top_k, samples.max_new_tokens) == (0.9, 200, 100)
    # 2,000 prompts before the refresh and the next 2,000 after it, each seen in one epoch.
    assert ppo.total_steps * ppo.rollout_batch_size == 4000
    assert ppo.num_ppo_epochs == 1
    train = config.reward.train
    assert (train.num_train_epochs, train.per_device_train_batch_size, train.learning_rate) == (1, 1, 1e-4)
    assert (config.refresh.init, config.refresh.kl_anchor, selection.duplicates) == (
        "sft",
        "previous",
        "twice",
    )
