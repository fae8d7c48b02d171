"""Measurements of a reward model, compared with what Transformers and numpy give by themselves."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from frft.diagnosis.subject import Scored
from frft.models import quiet
from frft.reward import RewardModel, evaluate_reward_model

from .conftest import CHATML, PAIRS, SAMPLES, check


def test_a_model_that_is_read_as_its_own_tokenizer_writes_is_fit(saved, tiny_tokenizer):
    found, findings, verdict = check(saved("rm", tiny_tokenizer, template=CHATML))
    assert (verdict, findings) == ("fit", {})
    assert found.agreement.compared == found.agreement.texts == 8
    assert found.agreement.by_itself
    assert found.agreement.difference < 1e-5
    assert {(each.by, each.size, each.side) for each in found.batches} == {
        *(("frft", size, "right") for size in (1, 2, 8)),
        *(("own", size, side) for size in (2, 8) for side in ("left", "right")),
    }
    facts = found.facts
    assert (facts.architecture, facts.head.kind) == ("LlamaForSequenceClassification", "saved")
    assert (facts.dtype_saved, facts.dtype, facts.max_length) == ("float32", "float32", 512)
    assert facts.chat_template.startswith("sha256:")
    assert facts.trained_with is None
    assert (facts.gain, facts.bias, facts.padding) == (1.0, 0.0, tiny_tokenizer.pad_token)


def test_the_built_in_scores_are_those_of_transformers_alone(saved, tiny_tokenizer):
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    folder = saved("rm", tiny_tokenizer, template=CHATML)
    found, _, _ = check(folder)
    with quiet():
        tokenizer = AutoTokenizer.from_pretrained(folder)
        model = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    asked = [{"role": "user", "content": "Why is the sky blue?"}]
    said = {"role": "assistant", "content": "Because air scatters blue light more than red light."}
    ids = tokenizer.apply_chat_template([*asked, said], return_tensors="pt", return_dict=False)
    with torch.no_grad():
        assert found.scores[0] == pytest.approx(float(model(ids).logits), abs=1e-5)


def test_pairs_and_samples_are_measured_as_numpy_measures_them(saved, tiny_tokenizer):
    folder = saved("rm", tiny_tokenizer, template=CHATML)
    found, _, _ = check(folder, pairs=PAIRS, samples=SAMPLES)
    scorer = RewardModel.load(folder, seed=0)
    margins = np.array(scorer(PAIRS["prompt"], PAIRS["chosen"])) - scorer(PAIRS["prompt"], PAIRS["rejected"])
    assert found.pairs.evaluation.accuracy == (margins > 0).mean()
    assert found.pairs.evaluation == replace(evaluate_reward_model(scorer, PAIRS), by={})
    # Words: "Mix", "flour" n % 4 times, "for", n; and "No", "never" n % 3 times, n.
    longer = np.array([3 + n % 4 - (2 + n % 3) for n in range(24)])
    keep = longer != 0
    slope = np.linalg.lstsq(longer[keep, None] / 100, margins[keep], rcond=None)[0][0]
    assert found.pairs.length.per_100_words.mean == pytest.approx(slope)
    higher = (margins[keep] > 0) == (longer[keep] > 0)
    assert found.pairs.length.longer_scores_higher == pytest.approx(higher.mean())
    assert found.pairs.length.longer_is_chosen == pytest.approx((longer[keep] > 0).mean())
    scores = np.array(scorer(*SAMPLES))
    by_prompt = [scores[[n, n + 1, n + 24, n + 25]] for n in range(0, 24, 2)]
    assert found.samples.spread.within.mean == pytest.approx(np.mean([each.var(ddof=1) for each in by_prompt]))
    assert found.samples.spread == Scored(*SAMPLES, scores).spread()
    assert found.agreement.texts == 8 + 32
    assert found.truncated == {"sequences": 96, "prompts_truncated": 0, "completions_truncated": 0}


def test_a_limit_takes_the_first_pairs_and_whole_prompts_of_samples(saved, tiny_tokenizer):
    found, _, _ = check(saved("rm", tiny_tokenizer), pairs=PAIRS, samples=SAMPLES, limit=8)
    assert (found.pairs.of, found.pairs.evaluation.n) == (24, 8)
    assert (found.samples.of, found.samples.scores.texts, found.samples.spread.within.n) == (48, 8, 2)


def test_lower_precision_is_compared_in_its_own_format(saved, tiny_tokenizer):
    found, _, verdict = check(saved("rm", tiny_tokenizer, template=CHATML), dtype="bfloat16")
    assert (found.facts.dtype, found.facts.dtype_saved) == ("bfloat16", "float32")
    assert found.agreement.tolerance >= 0.1
    assert verdict == "fit"


def test_two_outputs_are_compared_with_the_difference_of_the_models_own_logits(saved, tiny_tokenizer):
    found, _, verdict = check(saved("two", tiny_tokenizer, template=CHATML, num_labels=2))
    assert (verdict, found.facts.head.kind, found.agreement.by_itself) == ("fit", "difference", True)
    assert found.agreement.difference < 1e-5


def test_adapters_are_compared_by_the_weights_that_were_merged(tiny_lm_folder, saved_adapters, tmp_path):
    saved_adapters(tiny_lm_folder, tmp_path / "adapters", "SEQ_CLS")
    found, findings, _ = check(tmp_path / "adapters")
    assert not found.agreement.by_itself
    assert found.facts.architecture == "GPT2LMHeadModel"
    assert not any(each.fault for each in findings.values())
