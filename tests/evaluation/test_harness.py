"""The harness's model: what it counts and reports, and that it answers as the model does."""

from __future__ import annotations

import sys
from contextlib import contextmanager

import pytest
import torch

from frft.errors import ModelError


class Counting:
    """A progress that keeps, for every task, how much is done and its total."""

    def __init__(self):
        self.tasks = {}

    @contextmanager
    def task(self, description, total):
        counts = self.tasks[description] = [0, total]

        class Counted:
            def advance(self, amount=1, note=""):
                counts[0] += amount

        yield Counted()


@pytest.fixture(scope="module")
def ask(tiny_lm_folder):
    """Ask a model with 128 positions: kind of question and arguments of each -> answers, model, and progress."""
    instances = pytest.importorskip("lm_eval.api.instance", reason="the extra `tasks` is not installed")
    from frft.evaluation.harness import HarnessModel
    from frft.models import load_causal_lm, load_tokenizer

    tokenizer = load_tokenizer(tiny_lm_folder)
    policy = load_causal_lm(tiny_lm_folder, tokenizer).eval()

    def asked(kind, questions):
        progress = Counting()
        model = HarnessModel(policy, tokenizer, 2, progress, sys.stderr)
        requests = [
            instances.Instance(request_type=kind, doc={}, arguments=arguments, idx=number)
            for number, arguments in enumerate(questions)
        ]
        return getattr(model, kind)(requests), model, progress.tasks

    return asked


def test_answers_are_weighed_and_counted(ask):
    questions = [("Is it so? " * repeats, answer) for repeats in (1, 40) for answer in (" yes", " no")]
    answers, model, tasks = ask("loglikelihood", questions)
    assert all(value < 0 for value, _ in answers)
    assert (model.requests, model.truncated) == (4, 2)
    assert tasks == {"weighing answers": [4, 4]}


def test_a_text_that_just_fits_is_not_counted(ask):
    # A token of this tokenizer is a byte where it learnt no merge; the last one of all is not read.
    fits, cut = ("~" * 128, "^"), ("~" * 129, "^")
    assert ask("loglikelihood", [fits])[1].truncated == 0
    assert ask("loglikelihood", [cut])[1].truncated == 1


def test_whole_texts_are_weighed_in_windows(ask):
    texts = [("Mix flour and water. " * repeats,) for repeats in (1, 30)]
    answers, model, tasks = ask("loglikelihood_rolling", texts)
    ids = model.tokenizer(texts[0][0])["input_ids"]
    with torch.no_grad():
        logprobs = model.model(torch.tensor([[model.tokenizer.eos_token_id, *ids]])).logits[0].log_softmax(-1)
    assert answers[0] == pytest.approx(sum(float(logprobs[place, token]) for place, token in enumerate(ids)), rel=1e-4)
    assert (model.requests, model.truncated) == (2, 0)
    assert tasks == {"weighing texts": [2, 2]}


def test_what_is_cut_before_it_is_answered_in_words_is_counted(ask):
    settings = {"until": ["\n"], "max_gen_toks": 8}
    answers, model, tasks = ask("generate_until", [("Why? " * repeats, settings) for repeats in (1, 2, 80)])
    assert len(answers) == 3
    assert (model.requests, model.truncated) == (3, 1)
    assert tasks == {"writing answers": [3, 3]}


def test_an_answer_longer_than_the_model_reads_is_an_error(ask):
    with pytest.raises(ModelError, match="An answer of a task has 129 tokens, but the model reads at most 128"):
        ask("loglikelihood", [("a", "~" * 129)])
