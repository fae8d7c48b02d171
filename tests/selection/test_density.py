"""Density ratios against closed forms: texts are names, and their vectors are drawn from known densities."""

import numpy as np
import pytest
from scipy.stats import norm, spearmanr
from sklearn.metrics import log_loss

from frft.errors import SelectionError
from frft.selection import density
from frft.selection.density import EmbeddedCompletions, calibrate, cross_fit, density_ratios


def on_own_prompts(texts, vectors):
    """Each text on a prompt of its own."""
    return EmbeddedCompletions(texts, texts, np.asarray(vectors, dtype=np.float32))


def named(letter, count):
    """Texts of one length, so that the length tells nothing."""
    return [f"{letter}{row:05d}" for row in range(count)]


def gaussians(pairs, samples, size, shift, seed=0):
    """A pool of N(0, 1), samples of N(mu, 1) with |mu| = shift, and the pool's true log ratios."""
    rng = np.random.default_rng(seed)
    mean = rng.standard_normal(size)
    mean *= shift / np.linalg.norm(mean)
    pool_ND = rng.standard_normal((pairs, size))
    samples_SD = rng.standard_normal((samples, size)) + mean
    return pool_ND.astype(np.float32), samples_SD.astype(np.float32), pool_ND @ mean - shift**2 / 2


def test_two_gaussians():
    pool_ND, samples_SD, true_N = gaussians(6000, 2000, 16, 1.0)
    found = density_ratios(
        on_own_prompts(named("a", 6000), pool_ND), on_own_prompts(named("b", 2000), samples_SD), seed=0
    )
    assert np.corrcoef(found.log_ratios_N, true_N)[0, 1] > 0.98
    slope, intercept = np.polyfit(found.log_ratios_N, true_N, 1)
    assert slope == pytest.approx(1, abs=0.1)
    assert intercept == pytest.approx(0, abs=0.1)
    assert found.auc == pytest.approx(norm.cdf(1 / np.sqrt(2)), abs=0.02)


@pytest.mark.parametrize("samples", [300, 3000])
def test_ratios_are_calibrated_in_many_dimensions_and_whatever_the_numbers_of_texts(samples, monkeypatch):
    # As many numbers as texts to learn from: a classifier that is not held back would claim e^10.
    monkeypatch.setattr(density, "AT_MOST", 1500)
    pool_ND, samples_SD, true_N = gaussians(4000, samples, 200, 1.5)
    found = density_ratios(
        on_own_prompts(named("a", 4000), pool_ND), on_own_prompts(named("b", samples), samples_SD), seed=0
    )
    ratios_N = np.exp(found.log_ratios_N)
    assert ratios_N.mean() == pytest.approx(np.exp(true_N).mean(), rel=0.12)  # which is 1 but for chance
    by_ratio = np.argsort(ratios_N)
    for tenth in np.array_split(by_ratio, 5)[1:]:
        assert np.exp(true_N[tenth]).mean() == pytest.approx(ratios_N[tenth].mean(), rel=0.3)


def test_a_policy_that_is_a_fifth_of_the_pool():
    """log N(m) / (N(m) / 5 + 4 N(-m) / 5), at most log 5: a linear function of the features would go on rising."""
    rng = np.random.default_rng(1)
    mean = np.zeros(8)
    mean[2] = 1.2
    own_N = rng.random(5000) < 0.2
    pool_ND = rng.standard_normal((5000, 8)) + np.where(own_N[:, None], mean, -mean)
    samples_SD = rng.standard_normal((1000, 8)) + mean
    true_N = -np.log(0.2 + 0.8 * np.exp(-2 * pool_ND @ mean))
    found = density_ratios(
        on_own_prompts(named("a", 5000), pool_ND), on_own_prompts(named("b", 1000), samples_SD), seed=0
    )
    assert spearmanr(found.log_ratios_N, true_N).statistic > 0.97
    assert np.exp(found.log_ratios_N.max()) == pytest.approx(5, rel=0.15)
    # 0.2 p_policy / p_pool is the probability that the pool's text is the policy's own.
    for tenth in np.array_split(np.argsort(found.log_ratios_N), 10):
        assert 0.2 * np.exp(found.log_ratios_N[tenth]).mean() == pytest.approx(own_N[tenth].mean(), abs=0.05)


def test_calibration_finds_the_bend():
    a, b, c, n = 1.0, 2.0, -0.5, 200_000
    rng = np.random.default_rng(0)
    given_M, log_odds_M = rng.normal(-1, 2, n), np.where(rng.random(n) < 0.5, -1.0, 0.3)
    true_M = a + b * given_M - np.log1p(np.exp(c + b * given_M))
    is_policy_M = (rng.random(n) < 1 / (1 + np.exp(-true_M - log_odds_M))).astype(int)
    bend, log_loss = calibrate(given_M, is_policy_M, log_odds_M)
    assert bend(given_M) == pytest.approx(true_M, abs=0.15)
    p_M = 1 / (1 + np.exp(-true_M - log_odds_M))
    assert log_loss == pytest.approx(-(p_M * np.log(p_M) + (1 - p_M) * np.log1p(-p_M)).mean(), abs=0.005)


def test_length_alone_can_tell():
    rng = np.random.default_rng(2)
    long, short = (["y" * length + f"{row}" for row, length in enumerate(rng.poisson(mean, 400))] for mean in (40, 20))
    vectors = rng.standard_normal((400, 4))
    found = density_ratios(
        on_own_prompts(short + long, np.tile(vectors, (2, 1))),
        on_own_prompts([f"{text}!" for text in long], vectors),
        seed=0,
    )
    assert found.log_ratios_N[400:].mean() > found.log_ratios_N[:400].mean() + 2
    lengths = [len(text) for text in short + long]
    assert spearmanr(found.log_ratios_N, lengths).statistic > 0.95


def test_what_cannot_be_told_apart_is_not():
    pool_ND, samples_SD, _ = gaussians(400, 400, 500, 0.0)
    found = density_ratios(
        on_own_prompts(named("a", 400), pool_ND), on_own_prompts(named("b", 400), samples_SD), seed=0
    )
    assert found.auc == pytest.approx(0.5, abs=0.08)
    assert found.log_ratios_N.std() < 0.1


def test_no_text_is_judged_by_a_classifier_that_saw_it_under_another_row():
    # 300 numbers tell 60 texts apart without fail, so any text seen in training would be known for what it is.
    pool_ND, samples_SD, _ = gaussians(30, 30, 300, 0.0)
    pool, samples = named("a", 30) * 20, named("b", 30) * 20
    found = density_ratios(
        on_own_prompts(pool, np.tile(pool_ND, (20, 1))), on_own_prompts(samples, np.tile(samples_SD, (20, 1))), seed=0
    )
    assert found.auc < 0.7
    assert found.log_ratios_N.std() < 0.5
    # A text that both wrote, 20 times each, is judged by texts other than itself, too.
    samples_SD[:6] = pool_ND[:6]
    samples[:] = [*pool[:6], *named("b", 24)] * 20
    found = density_ratios(
        on_own_prompts(pool, np.tile(pool_ND, (20, 1))), on_own_prompts(samples, np.tile(samples_SD, (20, 1))), seed=0
    )
    assert found.auc < 0.7


def test_order_changes_nothing_and_equal_texts_have_equal_ratios(monkeypatch):
    monkeypatch.setattr(density, "AT_MOST", 100)
    pool_ND, samples_SD, _ = gaussians(300, 150, 5, 1.0)
    pool, samples = named("a", 300), named("b", 150)
    pool[20:40], pool_ND[20:40] = pool[:20], pool_ND[:20]
    found = density_ratios(on_own_prompts(pool, pool_ND), on_own_prompts(samples, samples_SD), seed=3)
    assert np.array_equal(found.log_ratios_N[20:40], found.log_ratios_N[:20])
    rng = np.random.default_rng(0)
    rows, order = rng.permutation(300), rng.permutation(150)
    again = density_ratios(
        on_own_prompts([pool[row] for row in rows], pool_ND[rows]),
        on_own_prompts([samples[row] for row in order], samples_SD[order]),
        seed=3,
    )
    assert np.array_equal(again.log_ratios_N, found.log_ratios_N[rows])
    assert (again.auc, again.log_loss, again.strength) == (found.auc, found.log_loss, found.strength)
    other = density_ratios(on_own_prompts(pool, pool_ND), on_own_prompts(samples, samples_SD), seed=4)
    assert not np.array_equal(other.log_ratios_N, found.log_ratios_N)


def test_other_prompts_are_no_other_style():
    # 40 prompts on each side, six texts to each, which lie close together; nothing else tells the sides apart.
    rng = np.random.default_rng(0)
    sides = []
    for letter in "ab":
        topics = np.repeat(rng.standard_normal((40, 60)), 6, axis=0)
        texts = named(letter, 240)
        prompts = [f"about {letter}{row // 6}" for row in range(240)]
        sides.append(
            EmbeddedCompletions(prompts, texts, (topics + 0.1 * rng.standard_normal((240, 60))).astype(np.float32))
        )
    by_prompt = density_ratios(*sides, seed=0)
    assert by_prompt.auc < 0.7
    as_if_alone = [on_own_prompts(side.texts, side.vectors_ND) for side in sides]
    by_text = density_ratios(*as_if_alone, seed=0)
    assert by_text.auc > 0.9
    assert by_prompt.log_ratios_N.std() < by_text.log_ratios_N.std() / 3


@pytest.mark.parametrize(
    ("pool", "samples", "message"),
    [
        (named("a", 20), named("b", 4) * 5, "The samples of the policy are on 4 different prompts"),
        (named("a", 2) * 10, named("b", 20), "The pairs of the pool are on 2 different prompts"),
        (named("a", 20), named("b", 1) * 20, "The samples of the policy are on a single prompt"),
    ],
)
def test_too_few_different_prompts(pool, samples, message):
    vectors = np.ones((20, 3))
    with pytest.raises(SelectionError, match=message):
        density_ratios(on_own_prompts(pool, vectors), on_own_prompts(samples, vectors), seed=0)


def test_one_text_to_all_prompts_leaves_nothing_to_learn_from():
    vectors, prompts = np.ones((20, 3), dtype=np.float32), named("p", 20)
    policy = EmbeddedCompletions(prompts, ["I cannot help."] * 20, vectors)
    with pytest.raises(SelectionError, match="too much alike to hold some out"):
        density_ratios(EmbeddedCompletions(prompts, named("a", 20), vectors), policy, seed=0)


def of_prompts(numbers, seed, own=0.5, dimension=30):
    """A text to each prompt, whose vector is mostly its prompt's."""
    rng = np.random.default_rng(seed)
    prompts = np.random.default_rng(7).normal(size=(200, dimension))
    vectors = np.stack([prompts[number] for number in numbers]) + own * rng.normal(size=(len(numbers), dimension))
    texts = [f"{seed} {place}" for place in range(len(numbers))]
    return EmbeddedCompletions([f"prompt {number}" for number in numbers], texts, vectors.astype(np.float32))


def test_the_policy_s_prompts_do_not_pass_for_its_style():
    """Samples are on half of the prompts, and written as the pool is: nothing tells them on prompts never seen."""
    pool = of_prompts([number for number in range(200) for _ in range(4)], seed=1)
    samples = of_prompts([number for number in range(100) for _ in range(4)], seed=2)
    assert density_ratios(pool, samples, seed=0).auc < 0.6


def test_the_strength_is_the_one_with_the_least_log_loss_on_unseen_texts():
    for shift in (0.0, 3.0):
        pool, samples = of_prompts(range(150), seed=1, own=2), of_prompts(range(150), seed=2, own=2)
        samples.vectors_ND[:, 0] += shift
        fit = cross_fit(pool, samples, seed=0)
        losses = [log_loss(fit.is_policy_M, 1 / (1 + np.exp(-logits_M))) for logits_M in fit.logits_CM]
        assert fit.best == int(np.argmin(losses))
        # Nothing to tell takes the strongest regularisation, or nearly; a shift does not.
        assert (fit.best <= 2) is (shift == 0)
