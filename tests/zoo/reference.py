"""What a model reads, by Transformers alone: the tokens of a conversation, and the score of one text without padding.

A content that names a special token ("<|im_end|>") is text. Transformers' own `apply_chat_template` takes it for the
token, so the reference is the tokenizer's twin: the same vocabulary, pipeline and template, but every special token has
a private character for its name, which no content holds. The name that is in the content is then nothing but text.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .conversations import Conversation
from .templates import TEMPLATES
from .tokenizers import FAMILIES, Recipe, write_tokenizer

FOREIGN = ("<|im_start|>", "<|im_end|>", "</s>", "<s>", "<|endoftext|>", "<|eot_id|>", "<end_of_turn>", "[SEP]")
"""Names of special tokens of some tokenizer or other."""


class Reference:
    """A tokenizer of the zoo in its model's folder, and its twin in a folder beside it.

    Args:
        recipe: the tokenizer.
        folder: of the model; holds its configuration.
    """

    def __init__(self, recipe: Recipe, folder: Path) -> None:
        from transformers import AutoTokenizer

        from frft.models import quiet

        self.recipe, self.folder = recipe, folder
        family, template = FAMILIES[recipe.family], TEMPLATES[recipe.template]
        self.names = list(dict.fromkeys([*family.tokens.values(), *template.marks]))
        private = {name: chr(0xF0000 + index) for index, name in enumerate(self.names)}
        twin = folder / "twin"
        twin.mkdir()
        (twin / "config.json").write_bytes((folder / "config.json").read_bytes())
        write_tokenizer(recipe, folder)
        write_tokenizer(recipe, twin, private.__getitem__)
        with quiet():
            self.tokenizer = AutoTokenizer.from_pretrained(folder)
            self._twin = AutoTokenizer.from_pretrained(twin)
        assert len(self.tokenizer) == len(self._twin)

    @property
    def special(self) -> list[str]:
        """What hostile contents hold: this tokenizer's special tokens, and those of others."""
        return list(dict.fromkeys([*self.names, *FOREIGN]))

    @property
    def ends(self) -> set[int]:
        """Tokens that end an answer: EOS (SEP where there is none), and what the template puts after one."""
        tokenizer, template = self.tokenizer, TEMPLATES[self.recipe.template]
        eos = tokenizer.sep_token_id if tokenizer.eos_token_id is None else tokenizer.eos_token_id
        return {eos} | ({tokenizer.convert_tokens_to_ids(template.turn_end)} if template.turn_end else set())

    def prompt(self, conversation: Conversation) -> list[int]:
        """Token ids of the prompt, with what the template puts before the assistant's words."""
        return self._ids(self._twin, conversation.messages, begins=True)

    def whole(self, conversation: Conversation) -> list[int]:
        """Token ids of the conversation with its answer."""
        return self._ids(self._twin, conversation.whole, begins=False)

    def own(self, conversation: Conversation) -> list[int]:
        """As `whole`, by the tokenizer itself, which takes names of special tokens in contents for these tokens."""
        return self._ids(self.tokenizer, conversation.whole, begins=False)

    def names_a_token(self, conversation: Conversation) -> bool:
        """Whether a content names one of this tokenizer's special tokens, so that `own` and `whole` may differ."""
        tokens = [str(token) for token in self.tokenizer.added_tokens_decoder.values() if token.special]
        return any(token in message["content"] for message in conversation.whole for token in tokens)

    def _ids(self, tokenizer: Any, messages: list[dict[str, str]], *, begins: bool) -> list[int]:
        return tokenizer.apply_chat_template(messages, tokenize=True, add_generation_prompt=begins, return_dict=False)


def classifier_scores(folder: Path, sequences: Sequence[list[int]]) -> list[float]:
    """What a folder's sequence classifier gives for each sequence, in float32, one at a time and without padding."""
    import torch
    from transformers import AutoModelForSequenceClassification

    from frft.models import quiet

    # Transformers warns of pad tokens in texts that have no mask: here pad may be EOS, which texts hold.
    with torch.no_grad(), quiet():
        model = AutoModelForSequenceClassification.from_pretrained(folder, dtype="float32").eval()
        return [model(input_ids=torch.tensor([ids])).logits[0, 0].item() for ids in sequences]


def own_sequences(folder: Path, talks: Sequence[Conversation]) -> list[list[int]]:
    """Conversations by the tokenizer and template of a folder."""
    from transformers import AutoTokenizer

    from frft.models import quiet

    with quiet():
        tokenizer = AutoTokenizer.from_pretrained(folder)
    return [tokenizer.apply_chat_template(talk.whole, tokenize=True, return_dict=False) for talk in talks]
