"""Every finding on a reward model, made by a model that has it; and the verdict."""

from __future__ import annotations

import numpy as np

from frft.diagnosis.fitness import findings_of
from frft.diagnosis.reward_check import measure_reward_model
from frft.diagnosis.subject import Scored
from frft.models import load_tokenizer, quiet, seeded
from frft.reward import RewardModel

from .conftest import CHATML, PAIRS, SAMPLES, check, constant


def test_another_template_than_the_models_own_is_a_fault(saved, tiny_tokenizer):
    found, findings, verdict = check(saved("rm", tiny_tokenizer, template=CHATML), choice="plain")
    assert verdict == "not fit"
    assert "plain HH-RLHF text, the model's own tokenizer by the chat template" in findings["tokens differ"].advice
    assert found.agreement.other_tokens == found.agreement.compared
    assert found.agreement.difference > found.agreement.tolerance
    assert found.agreement.difference_of_equal is None


def test_a_token_across_the_boundary_of_prompt_and_completion_is_a_remark(saved, tiny_tokenizer):
    prompts = ["What is a good way to lea", "Start with simple cho"]
    table = {"prompt": prompts, "chosen": ["rn the guitar?", "rds."], "rejected": ["rn?", "rds and play."]}
    found, findings, _ = check(saved("rm", tiny_tokenizer), pairs=table)
    assert found.agreement.other_tokens > 0
    assert not findings["tokens differ"].fault
    assert "straddles the boundary" in findings["tokens differ"].advice


def test_absolute_positions_and_padding_on_the_left_are_a_remark(saved, tiny_tokenizer):
    found, findings, verdict = check(saved("rm", tiny_tokenizer, template=CHATML, kind="gpt2"))
    assert (verdict, list(findings)) == ("fit with remarks", ["padding on the left changes scores elsewhere"])
    sides = {each.side: each.difference for each in found.batches if each.by == "own" and each.size == 8}
    assert sides["right"] < 1e-5 < 1e-3 < sides["left"]


def test_a_padding_token_that_texts_end_with_is_read_before_the_end(saved, tiny_tokenizer):
    folder = saved("rm", tiny_tokenizer, pad_token_id=tiny_tokenizer.eos_token_id)
    found, findings, verdict = check(folder)
    assert verdict == "fit with remarks"
    assert found.agreement.ends_in_padding == found.agreement.compared
    assert f"end with {tiny_tokenizer.eos_token}" in findings["read before the end"].found
    assert found.agreement.before_the_end > found.agreement.tolerance


def test_a_padding_token_that_the_head_does_not_know_changes_scores_elsewhere(saved, tiny_tokenizer):
    # The tokenizer pads by one token, and the configuration names another.
    _, findings, verdict = check(saved("rm", tiny_tokenizer, template=CHATML, pad_token_id=5))
    assert verdict == "fit with remarks"
    assert "padding on the right changes scores elsewhere" in findings


def test_a_tokenizer_without_padding_makes_no_batches_elsewhere(saved, tiny_lm_folder, tmp_path):
    tokenizer = load_tokenizer(tiny_lm_folder)
    tokenizer.pad_token = None
    found, findings, verdict = check(saved("rm", tokenizer, template=CHATML, pad_token_id=None))
    assert (verdict, list(findings)) == ("fit with remarks", ["no batches elsewhere"])
    assert all(each.difference is None for each in found.batches if each.by == "own")
    assert all(each.difference < 1e-5 for each in found.batches if each.by == "frft")


def test_a_model_that_reads_padding_is_not_fit(install_package, saved, tiny_lm_folder, tmp_path):
    from transformers import GPT2Config

    module = """
import torch
from transformers import GPT2Config, GPT2Model, GPT2PreTrainedModel
from transformers.modeling_outputs import SequenceClassifierOutput
from frft import RewardHead

class CarelessRewardModel(GPT2PreTrainedModel):
    def __init__(self, config):
        super().__init__(config)
        self.transformer = GPT2Model(config)
        self.score = torch.nn.Linear(config.n_embd, 1)
        self.post_init()

    def forward(self, input_ids, attention_mask=None, **kwargs):
        return SequenceClassifierOutput(logits=self.score(self.transformer(input_ids).last_hidden_state.mean(1)))

HEAD = RewardHead("CarelessRewardModel", lambda request: CarelessRewardModel.from_pretrained(request.name))
"""
    install_package("careless", module, "[frft.reward_heads]\nCarelessRewardModel = careless:HEAD\n")
    import careless

    with quiet(), seeded(0):
        model = careless.CarelessRewardModel(GPT2Config.from_pretrained(tiny_lm_folder, num_labels=1))
        model.save_pretrained(tmp_path / "careless")
        load_tokenizer(tiny_lm_folder).save_pretrained(tmp_path / "careless")
    found, findings, verdict = check(tmp_path / "careless")
    assert verdict == "not fit"
    assert findings["the batch changes scores"].fault
    assert not found.agreement.by_itself
    assert found.batches[0].difference == 0


def test_scores_that_differ_on_equal_tokens_are_a_fault(saved, tiny_tokenizer):
    import torch

    folder = saved("rm", tiny_tokenizer, template=CHATML)
    scorer = RewardModel.load(folder, seed=0)
    with torch.no_grad():
        scorer.model.score.weight += 0.1
    findings = findings_of(measure_reward_model(folder, scorer, None))
    assert [(each.name, each.fault) for each in findings] == [("scores differ", True)]


def test_a_template_that_refuses_system_prompts_is_a_remark_and_one_that_refuses_all_a_fault(saved, tiny_tokenizer):
    refusing = "{% if messages[0]['role'] == 'system' %}{{ raise_exception('no') }}{% endif %}" + CHATML
    found, findings, verdict = check(saved("rm", tiny_tokenizer, template=refusing))
    assert (verdict, found.agreement.refused) == ("fit with remarks", 1)
    assert "refuses 1 of 8 conversations" in findings["conversations are refused"].found
    folder = saved("short", tiny_tokenizer, template=CHATML, max_position_embeddings=16)
    assert check(folder)[1]["nothing was compared"].fault


def test_bos_twice_is_a_remark(saved, tiny_tokenizer):
    twice = "{{ bos_token }}{{ bos_token }}" + CHATML
    tiny_tokenizer = load_tokenizer_with_bos(tiny_tokenizer)
    found, findings, _ = check(saved("rm", tiny_tokenizer, template=twice))
    assert found.facts.bos == 2
    assert not findings["BOS twice"].fault
    assert check(saved("once", tiny_tokenizer, template="{{ bos_token }}" + CHATML))[0].facts.bos == 1


def load_tokenizer_with_bos(tokenizer):
    import copy

    own = copy.deepcopy(tokenizer)
    own.bos_token = own.eos_token
    return own


def test_a_collapsed_model_is_not_fit_and_its_pairs_are_ties(saved, tiny_tokenizer):
    _, findings, verdict = check(saved("rm", tiny_tokenizer, change=constant), pairs=PAIRS, samples=SAMPLES)
    assert verdict == "not fit"
    assert findings["reward model collapsed"].fault
    assert "24 of 24 pairs have equal scores" in findings["many ties"].found
    assert not findings["not shown to be better than chance"].fault
    assert "many equal scores" in findings


def test_labels_that_are_swapped_are_worse_than_chance(saved, tiny_tokenizer):
    folder = saved("rm", tiny_tokenizer, template=CHATML)
    scorer = RewardModel.load(folder, seed=0)
    prompts = [f"Question {n}?" for n in range(24)]
    sides = [PAIRS["chosen"], PAIRS["rejected"]]
    first, second = (scorer(prompts, side) for side in sides)
    worse = [sides[a > b][n] for n, (a, b) in enumerate(zip(first, second, strict=True))]
    better = [sides[a <= b][n] for n, (a, b) in enumerate(zip(first, second, strict=True))]
    _, findings, verdict = check(folder, pairs={"prompt": prompts, "chosen": worse, "rejected": better})
    assert verdict == "not fit"
    assert findings["worse than chance"].found.startswith("it orders 24 pairs as they are labelled with accuracy 0.000")
    assert check(folder, pairs={"prompt": prompts, "chosen": better, "rejected": worse})[2] == "fit"


def test_saturated_scores_are_a_fault(saved, tiny_tokenizer):
    # All but two samples are at the upper bound of a score that tanh bounds.
    folder = saved("rm", tiny_tokenizer, template=CHATML)
    scorer = RewardModel.load(folder, seed=0)
    import torch

    class Bounded(torch.nn.Module):
        def __init__(self, head, low, high):
            super().__init__()
            self.head, self.low, self.high = head, low, high

        def forward(self, states):
            return torch.tanh(1e3 * (self.head(states) - self.low) / (self.high - self.low))

    raw = np.sort(scorer.raw_scores(*SAMPLES))
    scorer.model.score = Bounded(scorer.model.score, float(raw[4] + raw[5]) / 2, float(raw[-1]))
    found = measure_reward_model(folder, scorer, None, samples=SAMPLES)
    (finding,) = [each for each in findings_of(found) if each.name == "reward model saturated"]
    assert finding.fault
    assert found.samples.alarms[1].figure > 0.5


def test_differences_between_prompts_alone_are_too_little_signal(saved, tiny_tokenizer):
    folder = saved("rm", tiny_tokenizer, template=CHATML)
    # Completions that differ by one letter, and prompts that differ much.
    prompts = [text for n in range(12) for text in [PAIRS["prompt"][2 * n] * (1 + n)] * 2]
    scorer = RewardModel.load(folder, seed=0)
    completions = [" Mix.", " Mix."] * 12
    completions[1] = " Mix"
    spread = Scored(prompts, completions, scorer.raw_scores(prompts, completions)).spread()
    assert spread.within.high < 0.05 * spread.total
    _, findings, verdict = check(folder, samples=(prompts, completions))
    assert verdict == "fit with remarks"
    assert not findings["too little signal within a prompt"].fault


def test_texts_that_are_cut_are_a_remark(saved, tiny_tokenizer):
    folder = saved("rm", tiny_tokenizer, max_position_embeddings=96)
    table = {"prompt": ["Why?", "Who?"], "chosen": [" long" * 90, " So."], "rejected": [" No.", " Nobody."]}
    found, findings, _ = check(folder, pairs=table)
    assert found.truncated["completions_truncated"] == 1
    assert "1 of 4 sequences are longer than 96 tokens" in findings["texts are cut"].found


def test_longer_texts_that_score_higher_than_they_are_labelled_are_a_remark(saved, tiny_tokenizer):
    folder = saved("rm", tiny_tokenizer, template=CHATML)
    scorer = RewardModel.load(folder, seed=0)
    prompts = [f"Question {n}?" for n in range(40)]
    sides = [[f" Mix{' flour' * (n % 4)}." for n in range(40)], [f" No{' never' * (4 - n % 4)}." for n in range(40)]]
    scores = [scorer(prompts, side) for side in sides]
    # The longer one of each pair, where it scores higher; labels say the shorter one.
    rows = [n for n in range(40) if len(sides[0][n].split()) != len(sides[1][n].split())]
    longer = {n: int(len(sides[1][n].split()) > len(sides[0][n].split())) for n in rows}
    rows = [n for n in rows if scores[longer[n]][n] > scores[1 - longer[n]][n]]
    assert len(rows) > 5
    table = {
        "prompt": [prompts[n] for n in rows],
        "chosen": [sides[1 - longer[n]][n] for n in rows],
        "rejected": [sides[longer[n]][n] for n in rows],
    }
    found, findings, _ = check(folder, pairs=table)
    assert (found.pairs.length.longer_scores_higher, found.pairs.length.longer_is_chosen) == (1.0, 0.0)
    assert found.pairs.length.per_100_words.mean > 0
    assert "it prefers longer texts" in findings


def test_what_frft_trained_on_plain_text_is_compared_in_plain_text(saved, tiny_tokenizer):
    found, findings, _ = check(saved("rm", tiny_tokenizer, template=CHATML), choice="plain", trained="plain")
    assert found.agreement.template == "plain HH-RLHF text"
    assert not any(each.fault for each in findings.values())
