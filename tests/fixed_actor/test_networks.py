"""The last layer, read at its first token, is the layer that Transformers computes whole."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from transformers import BertConfig, BertModel

from frft.errors import ModelError
from frft.fixed_actor.networks import TopLayerHead


@pytest.fixture(scope="module")
def bert():
    torch.manual_seed(0)
    config = BertConfig(vocab_size=50, hidden_size=24, num_hidden_layers=2, num_attention_heads=4, intermediate_size=40)
    return BertModel(config).eval()


def test_the_first_state_is_that_of_the_whole_layer(bert):
    ids_BT = torch.randint(1, 50, (3, 9))
    mask_BT = torch.arange(9) < torch.tensor([9, 4, 6])[:, None]
    with torch.no_grad():
        outputs = bert(ids_BT, attention_mask=mask_BT.long(), output_hidden_states=True)
        before_last_BTD = outputs.hidden_states[-2]
        before_last_BTD[~mask_BT] = 7.0  # what stands in the padding must not matter
        first_BD = TopLayerHead(5, bert.encoder.layer[-1]).first_state(before_last_BTD, mask_BT)
    torch.testing.assert_close(first_BD, outputs.last_hidden_state[:, 0], atol=1e-6, rtol=1e-5)


def test_the_layer_is_trained_and_the_original_is_not(bert):
    top = TopLayerHead(5, bert.encoder.layer[-1])
    top(torch.randn(2, 5), torch.randn(2, 3, 24), torch.ones(2, 3, dtype=torch.bool)).sum().backward()
    layer = {name: parameter.grad for name, parameter in top.layer.named_parameters()}
    # A bias of the keys moves all logits of a query alike.
    assert [name for name, grad in layer.items() if grad is None or not grad.abs().max() > 1e-7] == [
        "attention.self.key.bias"
    ]
    assert all(parameter.grad is None for parameter in bert.parameters())


def test_a_layer_of_another_build_is_refused():
    with pytest.raises(ModelError, match="not built like BERT's"):
        TopLayerHead(5, nn.TransformerEncoderLayer(8, 2))
