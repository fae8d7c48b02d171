"""The gain and bias of a reward model, put into its weights."""

from __future__ import annotations

import torch
from benchmarks.arithmetic import Shape
from benchmarks.models import random_model
from benchmarks.start import folded


def test_folding_scales_and_shifts_every_score():
    from transformers import GPT2ForSequenceClassification

    config = random_model(Shape(16, 2, 2, 50)).config
    config.num_labels = 1
    torch.manual_seed(0)
    classifier = GPT2ForSequenceClassification(config).eval()
    ids = torch.randint(2, 50, (8, 5))
    with torch.no_grad():
        before = classifier(ids).logits
        after = folded(classifier, gain=3.0, bias=-2.0)(ids).logits
    torch.testing.assert_close(after, 3 * before - 2)
