"""Accuracies with respect to the actor, and the guesses that read no text."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from frft.errors import DataError
from frft.fixed_actor.sides import ActorSides, accuracies, constant_margins

TEXTS = {("p", "mine"), ("p", "mine, too")}


def pair(id_, chosen, rejected, chosen_source="me", rejected_source="x"):
    return {
        "id": id_, "prompt": "p", "chosen": chosen, "rejected": rejected,
        "chosen_source": chosen_source, "rejected_source": rejected_source,
    }  # fmt: skip


def test_the_actor_is_where_its_text_is():
    rows = [
        pair("1", "mine", "other"),
        pair("2", "other", "mine", "y", "me"),
        pair("3", "mine", "mine, too", "me", "me"),
    ]
    sides = ActorSides.of("me", pa.Table.from_pylist(rows), TEXTS)
    assert sides.side_N.tolist() == [1, -1, 0]
    assert sides.opponents[:2] == ["x", "y"]
    assert sides.opponent_count == 2
    unnamed = ActorSides.of("me", pa.Table.from_pylist(rows).drop_columns(["rejected_source"]), TEXTS)
    assert (unnamed.opponents, unnamed.opponent_count) == ([None] * 3, None)


def test_pairs_without_the_actor_are_refused_with_the_first_of_them():
    table = pa.Table.from_pylist([pair("1", "mine", "other"), pair("2", "a", "b"), pair("3", "c", "d")])
    with pytest.raises(DataError, match=r"2 of 3 labelled pairs of the actor me hold none of its samples .*first: 2"):
        ActorSides.of("me", table, TEXTS)


def test_balanced_accuracy_is_scikit_learns():
    from sklearn.metrics import balanced_accuracy_score

    rng = np.random.default_rng(0)
    side_N = rng.choice([1, -1], size=200, p=[0.9, 0.1])
    margins_N = rng.normal(size=200) + 0.5
    found = accuracies(margins_N, ActorSides(side_N, [None] * 200))
    # Who wins: the actor (1) or the other (-1), as labelled and as scored.
    assert found.balanced_accuracy == pytest.approx(balanced_accuracy_score(side_N, side_N * np.sign(margins_N)))
    assert found.accuracy == pytest.approx((margins_N > 0).mean())


def test_ties_count_one_half_and_pairs_of_two_own_completions_on_both_sides():
    found = accuracies(np.array([2.0, 0.0, -1.0, 3.0]), ActorSides(np.array([1, 1, -1, 0]), [None] * 4))
    assert found.as_dict() == {
        "balanced_accuracy": pytest.approx((2.5 / 3 + 1 / 2) / 2),
        "accuracy": 2.5 / 4,
        "accuracy_chosen": pytest.approx(2.5 / 3),
        "accuracy_rejected": 1 / 2,
    }


def test_a_constant_guess_is_the_majority_of_training_and_balanced_one_half():
    trained = ActorSides(np.array([1] * 7 + [-1] * 3), ["weak"] * 6 + ["strong"] * 4)  # of strong: 1 win, 3 losses
    tested = ActorSides(np.array([1, 1, -1, 1, -1, 0]), ["weak", "strong", "strong", "new", "new", "weak"])
    constant = constant_margins(trained, tested, by_opponent=False)
    np.testing.assert_allclose(constant, np.log(8 / 4) * tested.side_N)
    without_own = ActorSides(tested.side_N[:5], tested.opponents[:5])
    assert accuracies(constant[:5], without_own).balanced_accuracy == 0.5
    assert accuracies(constant[:5], without_own).accuracy == 3 / 5
    by_opponent = constant_margins(trained, tested, by_opponent=True)
    weak, strong, new = np.log(7 / 1), np.log(2 / 4), np.log(8 / 4)
    np.testing.assert_allclose(by_opponent, [weak, strong, -strong, new, -new, 0])
