"""Refreshes that have selected pairs labelled once more, and use only those whose labels are shown to be right."""

from __future__ import annotations

import pyarrow as pa
import pytest

from frft.config.sections import RefreshConfig
from frft.errors import LabelsPendingError, SelectionError, SettingsError
from frft.labels import GivenLabel, NamedLabeller, open_queue, read_queue
from frft.reward import AlignedReward, AuditInfo, Labelling, PolicySamples, Refresh, RefreshedModelInfo
from frft.reward.refresh import LABELS_FILE
from frft.store import ArtifactStore

from .labellers import Kinder

TEXTS = PolicySamples.of(
    [f"\n\nHuman: Number {n}?\n\nAssistant:" for n in range(90)] * 2,
    [f" I like it, {n}." for n in range(90)] + [f" I hate it, {n}." for n in range(90)],
)


@pytest.fixture
def annotated(pool) -> pa.Table:
    """Six pairs on each of twelve prompts: half of them by an annotator who is always right, half by the opposite."""
    rows = pool.to_pylist()
    right = [{**row, "annotator": "right"} for row in rows]
    # Other texts: a pair that both have labelled would be one question.
    wrong = [
        {
            **row,
            "id": f"w-{row['id']}",
            "chosen": row["rejected"].replace("hate", "do hate"),
            "rejected": row["chosen"].replace("like", "do like"),
            "annotator": "wrong",
        }
        for row in rows
    ]
    return pa.Table.from_pylist([*right, *wrong])


@pytest.fixture
def make(base, annotated, reward_training, tmp_path):
    def make_reward(labels, size: int = 60, replay: float = 0.0, pairs: pa.Table = annotated) -> AlignedReward:
        selection = {"strategy": "random", "size": size, "test_size": 0}
        settings = {"selection": selection, "replay": replay, "labels": {"from": "gold", "budget": 40, **labels}}
        return AlignedReward(
            base,
            pairs,
            RefreshConfig.model_validate(settings),
            reward_training,
            workdir=tmp_path / "work",
            store=ArtifactStore(tmp_path / "store"),
        )

    return make_reward


def refreshed(reward: AlignedReward, labeller: Kinder) -> tuple[Refresh, AuditInfo, RefreshedModelInfo]:
    assert reward.config.fresh is not None
    labelling = Labelling(
        reward.config.fresh,
        NamedLabeller("kinder", "kinder", lambda: labeller),
        TEXTS,
        earlier=tuple(each.labels for each in reward.refreshes if each.labels is not None),
        audits=tuple(each.audit for each in reward.refreshes if each.audit is not None),
    )
    made = reward.refresh(TEXTS, labelling=labelling)
    assert made.audit is not None
    return made, made.audit.info_as(AuditInfo), made.reward_model.info_as(RefreshedModelInfo)


def decisions(info: AuditInfo) -> dict[str, str]:
    return {name: source.audit.decision for name, source in info.sources.items()}


def test_of_two_annotators_the_one_who_is_right_is_used(make):
    made, info, model = refreshed(make({"audit": 24, "audit_by": "annotator"}), Kinder())
    assert decisions(info) == {"right": "use", "wrong": "refuse"}
    selected = [id_.startswith("w-") for id_ in made.read_selection().train_ids]
    assert info.pairs == {"right": selected.count(False), "wrong": selected.count(True)}
    assert info.used == selected.count(False)
    assert model.fresh is not None
    assert model.training.pairs == info.used + model.fresh.rows


def test_it_stops_when_the_answer_is_clear_and_leaves_the_rest_to_fresh_labels(make):
    labeller = Kinder()
    made, info, model = refreshed(make({"audit": 24, "audit_by": "annotator"}), labeller)
    assert 10 <= info.asked < 24
    assert model.fresh is not None
    assert model.fresh.distinct == 40 - info.asked
    assert labeller.asked == 40, "the whole budget, and no more"
    assert made.audit is not None
    questions = read_queue(made.audit.path / LABELS_FILE).questions.values()
    assert {question.purpose for question in questions} == {"audit"}


def test_a_refused_source_is_not_replayed_either(make, monkeypatch):
    seen = []

    def noted(base, table, *rest, **options):
        seen.append(table)
        return train(base, table, *rest, **options)

    from frft.reward.stages import fine_tuning

    train = fine_tuning.train_reward_model
    monkeypatch.setattr(fine_tuning, "train_reward_model", noted)
    _, info, model = refreshed(make({"audit": 24, "audit_by": "annotator"}, size=30, replay=0.3), Kinder())
    assert decisions(info)["wrong"] == "refuse"
    assert model.replayed > 0
    assert not [id_ for id_ in seen[0]["id"].to_pylist() if id_.startswith("w-")]


def test_without_a_column_all_selected_pairs_are_one_source(make, pool):
    _, info, model = refreshed(make({"audit": 12}, size=30, pairs=pool), Kinder())
    assert decisions(info) == {"all": "use"}
    assert info.used == sum(info.pairs.values()) == 30
    assert model.training.pairs == 30 + 40 - info.asked


def test_a_source_that_is_unknown_is_replayed(make):
    _, info, model = refreshed(make({"audit": 3, "audit_by": "annotator"}, size=30, replay=0.3), Kinder())
    assert set(decisions(info).values()) == {"unknown"}
    assert model.replayed > 0


def test_questions_without_a_usable_reply_are_paid_for(make, pool):
    labeller = Kinder()
    labeller.label = lambda asked: [  # type: ignore[method-assign]
        None if each.purpose == "audit" else GivenLabel("left") for each in asked
    ]
    _, info, model = refreshed(make({"audit": 12}, size=30, pairs=pool), labeller)
    assert info.asked == info.sources["all"].questions == info.sources["all"].open > 0
    assert model.fresh is not None
    assert model.fresh.distinct == 40 - info.asked


def test_one_labeller_answers_a_whole_audit(make, pool, tmp_path):
    reward = make({"audit": 3}, size=30, pairs=pool)
    assert reward.config.fresh is not None
    people = NamedLabeller("people", "queue", None, tmp_path / "labels")
    labelling = Labelling(reward.config.fresh, people, TEXTS)
    with pytest.raises(LabelsPendingError):
        reward.refresh(TEXTS, labelling=labelling)
    (file,) = (tmp_path / "labels").glob("audit-1-*.jsonl")
    with open_queue(file) as queue:
        for number, question in enumerate(list(queue.questions)):
            queue.answer(question, "left", "ann" if number else "bob")
    with pytest.raises(SelectionError, match="Several have answered the audit: bob, ann"):
        reward.refresh(TEXTS, labelling=labelling)


def test_the_labellers_error_sets_how_far_agreement_is_from_what_is_right(make, pool):
    """g = 1/2 + (theta - 1/2) / (1 - 2 e), at the same answers."""
    lows = []
    for error in (0.0, 0.2):
        _, info, _ = refreshed(make({"audit": 12, "error": error}, size=30, pairs=pool), Kinder())
        found = info.sources["all"].audit.with_gold
        assert found is not None
        assert found.interval is not None
        lows.append(found.interval[0])
    assert lows[1] - 0.5 == pytest.approx((lows[0] - 0.5) / 0.6)


def test_what_is_not_shown_to_be_right_is_not_used(make, pool):
    for labels, labeller in (({"audit": 3}, Kinder()), ({"audit": 12}, Kinder(tie=True))):
        reward = make({**labels, "budget": 20}, size=30, pairs=pool)
        if labeller.tie:
            # Fresh labels tie as well, and there would be nothing to train on: only the audit is looked at here.
            labeller.label = lambda asked: [  # type: ignore[method-assign]
                GivenLabel("tie" if each.purpose == "audit" else "left") for each in asked
            ]
        _, info, model = refreshed(reward, labeller)
        assert decisions(info) == {"all": "unknown"}
        assert info.used == 0
        assert model.fresh is not None
        assert model.training.pairs == model.fresh.rows


def test_a_decision_holds_for_later_refreshes_and_unknown_is_asked_again(make, pool):
    reward = make({"audit": 12}, size=30, pairs=pool)
    refreshed(reward, Kinder())
    _, again, model = refreshed(reward, Kinder())
    assert (again.asked, again.earlier, decisions(again)) == (0, ["all"], {"all": "use"})
    assert model.fresh is not None
    assert model.fresh.distinct - model.fresh.earlier == 40

    unsure = make({"audit": 3}, size=30, pairs=pool)
    refreshed(unsure, Kinder())
    first = unsure.refreshes[0].audit
    _, again, _ = refreshed(unsure, Kinder())
    assert (again.asked, again.earlier) == (3, [])
    second = unsure.refreshes[1].audit
    assert first is not None
    assert second is not None
    pairs = [
        {question.pair for question in read_queue(each.path / LABELS_FILE).questions.values()}
        for each in (first, second)
    ]
    assert not pairs[0] & pairs[1], "no pair is asked about twice"


def test_where_all_pairs_were_asked_about_what_was_found_stands(make, pool):
    of_prompt = {row["prompt"]: row for row in pool.to_pylist()}
    reward = make({"audit": 12}, size=4, pairs=pa.Table.from_pylist(list(of_prompt.values())[:4]))
    _, first, _ = refreshed(reward, Kinder())
    _, again, model = refreshed(reward, Kinder())
    assert (first.asked, again.asked, again.earlier) == (4, 0, ["all"])
    assert again.sources == first.sources
    assert decisions(again) == {"all": "unknown"}
    assert model.fresh is not None
    assert model.fresh.distinct - model.fresh.earlier == 40


def test_a_source_of_which_all_is_asked_does_not_keep_the_audit_going(make, annotated):
    """One pair can decide nothing, and there is no other: the clear source ends the audit."""
    right = [row for row in annotated.to_pylist() if row["annotator"] == "right"]
    rows = [{**row, "prompt": f"\n\nHuman: Is {n} odd?\n\nAssistant:"} for n, row in enumerate(right)]
    rows[0]["annotator"] = "rare"
    _, info, _ = refreshed(
        make({"audit": 30, "audit_by": "annotator"}, size=36, pairs=pa.Table.from_pylist(rows)), Kinder()
    )
    assert info.sources["rare"].questions == 1
    assert decisions(info) == {"right": "use", "rare": "unknown"}
    assert info.asked <= 20


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ({"audit": 40}, "leaves nothing of budget: 40 to train on"),
        ({"audit_by": "annotator"}, "read with audit alone"),
    ],
)
def test_settings_that_contradict_are_refused(labels, message):
    with pytest.raises(SettingsError, match=message):
        RefreshConfig(labels={"from": "gold", "budget": 40, **labels})


def test_an_audit_needs_selected_pairs():
    with pytest.raises(SettingsError, match=r"strategy: none selects none; set labels\.audit: 0"):
        RefreshConfig(selection={"strategy": "none"}, labels={"from": "gold", "budget": 40, "audit": 10})
