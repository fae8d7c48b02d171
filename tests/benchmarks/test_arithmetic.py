"""Operations against torch's own counter, which sees what a model really does."""

from __future__ import annotations

import pytest
import torch
from benchmarks.arithmetic import BACKWARD, Lengths, Shape, peak_flops
from benchmarks.models import SHAPES, random_model
from torch.utils.flop_counter import FlopCounterMode

SHAPE = Shape(hidden_size=16, num_hidden_layers=3, num_attention_heads=2, vocab_size=50)


@pytest.fixture(scope="module")
def model():
    model = random_model(SHAPE)
    # As matrix products, which the counter knows; it computes what is masked as well.
    model.set_attn_implementation("eager")
    return model


def counted(work):
    with FlopCounterMode(display=False) as counter:
        work()
    return counter.get_total_flops()


def test_forward_pass(model):
    ids = torch.ones(2, 7, dtype=torch.long)
    measured = counted(lambda: model(ids, use_cache=False, logits_to_keep=4))
    assert SHAPE.forward_flops(tokens=14, visible=2 * 7 * 7, logits=8) == measured


def test_backward_pass(model):
    ids = torch.ones(2, 7, dtype=torch.long)
    logits = model(ids, use_cache=False).logits
    forward = SHAPE.forward_flops(tokens=14, visible=2 * 7 * 7, logits=14)
    assert counted(lambda: logits.sum().backward()) == BACKWARD * forward


def test_sampling_with_a_cache_sees_no_more_than_what_came_before(model):
    """Two prompts of 3 tokens, 4 new ones: the prompt in one pass, then one token at a time."""

    def sample():
        with torch.no_grad():
            model.generate(
                torch.full((2, 3), 2),
                attention_mask=torch.ones(2, 3),
                max_new_tokens=4,
                eos_token_id=None,
                pad_token_id=0,
            )

    # Of a prompt of 3 tokens, torch computes 9 scores, of which 6 are visible.
    unseen = SHAPE.forward_flops(tokens=0, visible=2 * 3, logits=0)
    assert SHAPE.sequences_flops([Lengths(3, 4)] * 2, logits=True) + unseen == counted(sample)


def test_a_step_is_its_parts():
    lengths = [Lengths(5, 4), Lengths(2, 1)]
    lm, other = (SHAPE.sequences_flops(lengths, logits=logits) for logits in (True, False))
    assert lm - other == 2 * 16 * 50 * 5
    # Sampling, reference; critic, reward model; then forward and backward of two models in each of 4 epochs.
    assert SHAPE.step_flops(lengths, epochs=4) == 2 * lm + 2 * other + 4 * 3 * (lm + other)


@pytest.mark.parametrize("name", ["0.5M", "0.9M", "2.7M", "4.3M", "20M", "124M", "355M"])
def test_sizes_are_what_they_are_called(name):
    with torch.device("meta"):
        parameters = random_model(SHAPES[name]).num_parameters()
    assert parameters == pytest.approx(float(name[:-1]) * 1e6, rel=0.08)


def test_peak_is_that_of_the_faster_library():
    """Not a timing: whatever the machine, it multiplies, and not at the rate of a million cores."""
    assert 1e8 < peak_flops(seconds=0.01) < 1e16
