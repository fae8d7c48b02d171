"""TRL's reward model gives frft's scores."""

from __future__ import annotations

import pytest
import torch
from benchmarks.arithmetic import Shape
from benchmarks.closing import ClosedByEos
from benchmarks.models import random_model

PAD, EOS = 0, 1


def test_scores_are_those_of_sequences_that_end_with_eos():
    """Left-padded prompts and right-padded responses in TRL's form, against each sequence by itself."""
    from transformers import GPT2ForSequenceClassification

    config = random_model(Shape(16, 2, 2, 50), eos_token_id=EOS, pad_token_id=PAD).config
    config.num_labels = 1
    torch.manual_seed(0)
    classifier = GPT2ForSequenceClassification(config).eval()
    sequences = [([5, 6, 7], [8, 9, 10]), ([11], [12, EOS]), ([13, 14], [15, 16, EOS])]
    rows = [[PAD] * (3 - len(p)) + p + r + [PAD] * (3 - len(r)) for p, r in sequences]
    queries_BT = torch.tensor(rows)
    mask_BT = queries_BT != PAD
    with torch.no_grad():
        hidden_BTD = (
            ClosedByEos(classifier, EOS)
            .backbone(queries_BT, mask_BT, (mask_BT.cumsum(1) - 1).clamp_min(0))
            .hidden_states[-1]
        )
        found = classifier.score(hidden_BTD)[torch.arange(3), [2 + len(r) for _, r in sequences], 0].tolist()
        closed = [p + (r if r[-1] == EOS else [*r, EOS]) for p, r in sequences]
        expected = [float(classifier(torch.tensor([ids])).logits) for ids in closed]
    assert hidden_BTD.shape == (3, 6, 16)
    assert found == pytest.approx(expected, abs=1e-5)
