"""A vocabulary so small that responses end soon, and by chance, and all of them can be written down."""

from __future__ import annotations

import itertools

import pytest


@pytest.fixture(scope="session")
def words_tokenizer():
    """Five tokens: padding, EOS, and three words."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    words = Tokenizer(models.WordLevel({"<pad>": 0, "<eos>": 1, "a": 2, "b": 3, "c": 4}, unk_token="a"))
    words.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(tokenizer_object=words, pad_token="<pad>", eos_token="<eos>")


class Space:
    """All responses of at most `length` tokens (1 or 2) to the prompt "a", their gold rewards, and a random model.

    The rewards are such that the best response of two tokens takes a large KL in its second token.

    Attributes:
        responses: Y token tuples; `rewards`: their gold rewards, (Y,); `policy`: the model.
    """

    def __init__(self, tokenizer, length: int) -> None:
        import torch

        from frft.config.sections import ScratchConfig
        from frft.models import build_causal_lm

        self.tokenizer = tokenizer
        others = [0, 2, 3, 4]
        longest = [(x,) for x in others] if length == 1 else [*itertools.product(others, others)]
        ended = [(1,)] if length == 1 else [(1,), *((x, 1) for x in others)]
        self.responses = [*ended, *longest]
        texts = tokenizer.batch_decode([list(y) for y in self.responses], skip_special_tokens=True)
        self.rewards = torch.tensor([self.gold(text) for text in texts])
        config = ScratchConfig(hidden_size=32, num_hidden_layers=1, num_attention_heads=2, max_position_embeddings=16)
        self.policy = build_causal_lm(config, tokenizer, seed=0)

    @staticmethod
    def gold(text: str) -> float:
        return 2.0 * (text == "b c") + text.startswith("a")

    def reward(self, prompts, completions) -> list[float]:
        return [self.gold(text) for text in completions]

    def distribution(self, model):
        """The probability of each response, (Y,), one by one: no padding, no batch."""
        import torch

        probabilities = []
        with torch.no_grad():
            for response in self.responses:
                ids = torch.tensor([[2, *response]])
                logprobs_TV = model(input_ids=ids, attention_mask=torch.ones_like(ids)).logits[0].log_softmax(-1)
                probabilities.append(sum(logprobs_TV[t, token] for t, token in enumerate(response)).exp())
        return torch.stack(probabilities)

    def optimum(self, start_Y, beta: float):
        """pi_ref(y) exp(r(y) / beta) / Z."""
        tilted_Y = start_Y * (self.rewards / beta).exp()
        return tilted_Y / tilted_Y.sum()


@pytest.fixture
def space(words_tokenizer):
    return lambda length: Space(words_tokenizer, length)
