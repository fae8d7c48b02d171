"""Coverage against brute force and closed forms."""

import numpy as np
import pytest

from frft.advice.coverage import coverage
from frft.selection.density import EmbeddedCompletions


def unit(vectors):
    vectors = np.asarray(vectors, dtype=np.float32)
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


def random_completions(count, letter, rng, prompts=None, shift=0.0):
    names = [f"{letter}{row}" for row in range(count)]
    return EmbeddedCompletions(prompts or names, names, unit(rng.standard_normal((count, 8)) + shift))


def test_brute_force():
    rng = np.random.default_rng(0)
    samples = random_completions(40, "a", rng, [f"p{row % 15}" for row in range(40)])
    pool = random_completions(25, "b", rng, [f"p{row % 20}" for row in range(25)], shift=0.3)
    covered, expected = 0, 0.0
    for prompt, vector in zip(samples.prompts, samples.vectors_ND, strict=True):
        fellows, strangers = (
            [float(vector @ v) for p, v in zip(each.prompts, each.vectors_ND, strict=True) if p != prompt]
            for each in (samples, pool)
        )
        covered += max(strangers) >= max(fellows)
        expected += len(strangers) / (len(strangers) + len(fellows))
    assert coverage(samples, pool) == (covered / 40, pytest.approx(expected / 40))


def test_a_pool_that_the_policy_wrote_covers_as_much_as_chance_says():
    rng = np.random.default_rng(1)
    found, expected = np.mean(
        [coverage(random_completions(60, "a", rng), random_completions(30, "b", rng)) for _ in range(60)], axis=0
    )
    assert expected == pytest.approx(30 / 89)
    assert found == pytest.approx(expected, abs=0.03)


def test_a_pool_elsewhere_covers_nothing_and_one_of_the_same_texts_everything():
    rng = np.random.default_rng(2)
    samples = random_completions(50, "a", rng, shift=3.0)
    elsewhere = random_completions(500, "b", rng, shift=-3.0)
    assert coverage(samples, elsewhere)[0] == 0
    same = EmbeddedCompletions([f"other {prompt}" for prompt in samples.prompts], samples.texts, samples.vectors_ND)
    assert coverage(samples, same)[0] == 1


def test_what_was_written_to_the_same_prompt_is_no_neighbour():
    rng = np.random.default_rng(3)
    samples = random_completions(20, "a", rng)
    near = np.repeat(rng.standard_normal((10, 8)), 2, axis=0) + 0.01 * rng.standard_normal((20, 8))
    twins = EmbeddedCompletions([f"p{row // 2}" for row in range(20)], samples.texts, unit(near))
    assert coverage(twins, samples) == coverage(EmbeddedCompletions(twins.prompts, twins.texts, unit(near)), samples)
    own = EmbeddedCompletions(twins.prompts, [f"{text}!" for text in twins.texts], unit(near))
    assert coverage(twins, own) == (1.0, pytest.approx(0.5)), "a tie: the same vectors on other prompts, on both sides"


def test_equal_texts_to_one_prompt_count_once():
    samples = random_completions(20, "a", np.random.default_rng(5))
    both = EmbeddedCompletions(samples.prompts * 2, samples.texts * 2, np.tile(samples.vectors_ND, (2, 1)))
    assert coverage(both, samples) == coverage(samples, both) == coverage(samples, samples) == (1.0, 0.5)


def test_order_decides_nothing():
    rng = np.random.default_rng(4)
    sides = [random_completions(30, letter, rng) for letter in "ab"]
    turned = [EmbeddedCompletions(s.prompts[::-1], s.texts[::-1], s.vectors_ND[::-1]) for s in sides]
    assert coverage(*sides) == coverage(*turned)
