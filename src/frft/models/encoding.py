"""Tokenize prompts and completions, in one place for SFT, reward models and PPO, so that they cannot disagree.

A tokenizer with a chat template renders conversations by it (`frft.models.chat`). In plain text, prompt and completion
are tokenized apart and joined, so the boundary between them is exact: a completion that the policy sampled token by
token has the same context in training and in generation. (TRL tokenizes the joined text, where a token may straddle the
boundary.)
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Self, TypeVar

from pydantic import Field

from frft.conversation import content_of, continuation, parse_dialogue, plain_text
from frft.errors import ChatTemplateError, DataError, ModelError
from frft.models.chat import Template

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

Row = TypeVar("Row")


@dataclass
class TruncationCount:
    """Counts of sequences that were cut to fit a maximum length.

    Attributes:
        sequences: sequences encoded, cut or not.
        prompts: of those, how many lost the beginning of their prompt.
        completions: of those, how many lost the end of their completion.
    """

    sequences: int = 0
    # In files they have longer names, which say what is counted.
    prompts: Annotated[int, Field(alias="prompts_truncated")] = 0
    completions: Annotated[int, Field(alias="completions_truncated")] = 0

    def as_dict(self) -> dict[str, int]:
        """The counts, for a results file."""
        return {
            "sequences": self.sequences,
            "prompts_truncated": self.prompts,
            "completions_truncated": self.completions,
        }

    @classmethod
    def of(cls, counts: Mapping[str, int]) -> Self:
        """The inverse of `as_dict`."""
        return cls(counts["sequences"], counts["prompts_truncated"], counts["completions_truncated"])

    def sentence(self, texts: str, max_length: int) -> str | None:
        """The counts as a sentence; None: nothing was cut.

        Args:
            texts: what the sequences are, in the plural ("sequences for training").
            max_length: the limit in tokens.
        """
        if not self.prompts and not self.completions:
            return None
        return (
            f"Of {self.sequences} {texts}, {self.prompts} lost the beginning of their prompt and {self.completions} "
            f"the end of their completion (longer than {max_length} tokens)."
        )


@dataclass(frozen=True)
class EncodedPair:
    """A tokenized prompt and completion.

    Attributes:
        prompt: token ids of the prompt, with leading special tokens (BOS, CLS).
        completion: token ids of the completion, up to and including what ends it (EOS, the end of a turn).
        cut: whether the completion lost its end.
    """

    prompt: list[int]
    completion: list[int]
    cut: bool

    @property
    def ids(self) -> list[int]:
        """Token ids of prompt and completion in one sequence."""
        return self.prompt + self.completion


class Encoder:
    """Tokenizes prompts and completions to at most `max_length` tokens, counting what it cuts.

    Prompts are text as in a pool: a dialogue in HH-RLHF text, or one turn of the user. A tokenizer with a chat template
    renders them by it; without one they are read as plain text, where every completion ends with EOS.

    Where a sequence is too long, the prompt loses its beginning first (the last turns of a dialogue matter
    most) but keeps at least one token; only then does the completion lose its end. What ends a completion (EOS, or the
    template's end of the turn and what follows it) always stays, and so do tokens before every text (BOS, CLS).

    Args:
        tokenizer: any Transformers tokenizer with an EOS token.
        max_length: longest sequence in tokens, special tokens included.

    Raises:
        ModelError: `max_length` leaves no room for a prompt's token and the end.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase, max_length: int) -> None:
        self.tokenizer = tokenizer
        self.max_length = max_length
        self.truncated = TruncationCount()
        self._template = Template(tokenizer) if tokenizer.chat_template is not None else None
        mask = tokenizer("a", return_special_tokens_mask=True)["special_tokens_mask"]
        self._leading = next(n for n, special in enumerate(mask) if not special)
        # Some tokenizers end every text, also a prompt that a completion is to follow. Where that is a separator, as of
        # BERT and RoBERTa, it belongs between the two: their models were made for pairs of texts.
        ends = next(n for n, special in enumerate(reversed(mask)) if not special)
        self._trailing = 0 if ends and tokenizer("a")["input_ids"][-1] == tokenizer.sep_token_id else ends
        if max_length < self._leading + 2:
            raise ModelError(
                f"max_length is {max_length}; this tokenizer needs at least {self._leading + 2} tokens: its special "
                "tokens, one of the prompt, and EOS. Raise max_length."
            )

    @property
    def end(self) -> int:
        """The token that ends a completion in plain text: EOS, or SEP of a tokenizer that has none, as BERT's."""
        tokenizer = self.tokenizer
        return int(tokenizer.sep_token_id if tokenizer.eos_token_id is None else tokenizer.eos_token_id)

    def encode(self, prompts: Sequence[str], completions: Sequence[str]) -> list[EncodedPair]:
        """Encode prompts and completions as a policy reads and writes them: every completion ends at its first end.

        Raises:
            DataError: the chat template refuses one of them; says which.
        """
        if self._template is None:
            return self._encode_plain(prompts, completions)
        ends = {self.end, self._template.end_of_turn}
        pairs = []
        for prompt, _, rest in self._rendered(prompts, completions):
            place = next((n for n, token in enumerate(rest) if token in ends), None)
            written, tail = (rest, [self.end]) if place is None else (rest[:place], [rest[place]])
            pairs.append(self._fitted(prompt, written, tail))
        return pairs

    def encode_whole(self, prompts: Sequence[str], completions: Sequence[str]) -> list[EncodedPair]:
        """Encode conversations as a reward model reads them: by a template, all that it writes, and nothing else.

        Raises:
            DataError: as `encode`.
        """
        if self._template is None:
            return self._encode_plain(prompts, completions)
        pairs = []
        for prompt, whole, _ in self._rendered(prompts, completions):
            # What both begin with: a token may straddle the boundary, and then belongs to the completion here.
            shared = next((n for n, (a, b) in enumerate(zip(prompt, whole, strict=False)) if a != b), len(prompt))
            rest = whole[shared:]
            last = next((n for n in reversed(range(len(rest))) if rest[n] == self._template.end_of_turn), len(rest))
            pairs.append(self._fitted(whole[:shared], rest[:last], rest[last:]))
        return pairs

    def encode_alone(self, completions: Sequence[str]) -> list[EncodedPair]:
        """Encode completions without their prompts: what the tokenizer puts before every text, the completion, its end.

        By a chat template, a completion is a conversation of one message, the assistant's. The space that parts it from
        the mark before it (see `frft.conversation.continuation`) is left out, whatever the prompt was.

        Raises:
            DataError: the chat template refuses one of them; says which.
        """
        template = self._template
        if template is not None:
            contents = [completion.removeprefix(" ") for completion in completions]
            whole = self._by_row(completions, lambda rows: template.answers([contents[n] for n in rows]), "completion")
            return [self._alone([], ids, template.end_of_turn) for ids in whole]
        if not completions:
            return []
        leading = self._tokenize(["a"], special_tokens=True)[0][: self._leading]
        return [
            self._alone(leading, [*ids, self.end], self.end)
            for ids in self._tokenize(completions, special_tokens=False)
        ]

    def encode_prompts(self, prompts: Sequence[str], max_tokens: int) -> list[list[int]]:
        """Encode prompts alone to at most `max_tokens` tokens; longer ones lose their beginning.

        Raises:
            DataError: a prompt has no tokens, so nothing could be predicted from it; or the chat template refuses it.
        """
        if not prompts:
            return []
        if self._template is None:
            encoded = self._tokenize([plain_text(prompt) for prompt in prompts], special_tokens=True)
        else:
            template = self._template
            encoded = self._by_row(prompts, lambda rows: template.prompts([parse_dialogue(prompts[n]) for n in rows]))
        for index, ids in enumerate(encoded):
            if not ids:
                raise DataError(
                    f"Prompt {index} of {len(prompts)} (counting from 0) has no tokens: {prompts[index][:80]!a}. "
                    "A policy needs at least one to write after; remove that prompt."
                )
        self.truncated.sequences += len(encoded)
        self.truncated.prompts += sum(len(ids) > max_tokens for ids in encoded)
        return [self._without_beginning(ids, max_tokens) for ids in encoded]

    def _encode_plain(self, prompts: Sequence[str], completions: Sequence[str]) -> list[EncodedPair]:
        if not prompts:
            return []
        prompt_ids = self._tokenize([plain_text(prompt) for prompt in prompts], special_tokens=True)
        completion_ids = self._tokenize(completions, special_tokens=False)
        return [
            self._fitted(prompt, completion, [self.end])
            for prompt, completion in zip(prompt_ids, completion_ids, strict=True)
        ]

    def _rendered(
        self, prompts: Sequence[str], completions: Sequence[str]
    ) -> list[tuple[list[int], list[int], list[int]]]:
        """Of each conversation the tokens of its prompt, of all of it, and of what follows the prompt."""
        template = self._template
        assert template is not None

        def render(rows: Sequence[int]) -> list[tuple[list[int], list[int], list[int]]]:
            pairs = template.pairs(
                [parse_dialogue(prompts[n]) for n in rows], [content_of(prompts[n], completions[n]) for n in rows]
            )
            return [(pair.prompt, pair.whole, pair.rest) for pair in pairs]

        return self._by_row(prompts, render)

    def _by_row(
        self, texts: Sequence[str], render: Callable[[Sequence[int]], list[Row]], what: str = "prompt"
    ) -> list[Row]:
        """What `render` makes of all rows; where it refuses, row by row, to say of which one."""
        try:
            return render(range(len(texts)))
        except ChatTemplateError:
            for row, text in enumerate(texts):
                try:
                    render([row])
                except ChatTemplateError as error:
                    raise DataError(
                        f"The chat template cannot render {what} {row} of {len(texts)} (counting from 0; it begins "
                        f"{text[:80]!a}). {error}"
                    ) from error
            raise

    def _fitted(self, prompt: list[int], completion: list[int], tail: list[int]) -> EncodedPair:
        """Prompt, completion and what ends it, cut to `max_length`, and counted."""
        self.truncated.sequences += 1
        leading = self._leading_of(prompt)
        kept_completion = [*completion[: max(0, self.max_length - leading - 1 - len(tail))], *tail]
        kept_prompt = self._without_beginning(prompt, self.max_length - len(kept_completion))
        cut = len(kept_completion) - len(tail) < len(completion)
        self.truncated.completions += cut
        self.truncated.prompts += len(kept_prompt) < len(prompt)
        return EncodedPair(kept_prompt, kept_completion, cut)

    def _alone(self, leading: list[int], ids: list[int], end: int | None) -> EncodedPair:
        """A completion without its prompt, cut before its last `end` to `max_length`, and counted."""
        last = next((n for n in reversed(range(len(ids))) if ids[n] == end), len(ids))
        written, tail = ids[:last], ids[last:]
        kept = written[: max(0, self.max_length - len(leading) - len(tail))]
        cut = len(kept) < len(written)
        self.truncated.sequences += 1
        self.truncated.completions += cut
        return EncodedPair(leading, [*kept, *tail], cut)

    def _without_beginning(self, ids: list[int], room: int) -> list[int]:
        if len(ids) <= room:
            return ids
        leading = self._leading_of(ids)
        return ids[:leading] + ids[len(ids) - (room - leading) :]

    def _leading_of(self, ids: list[int]) -> int:
        """How many tokens before the text stay whatever is cut: those of the tokenizer, or the template's BOS."""
        if self._template is None:
            return self._leading
        return int(bool(ids) and ids[0] == self.tokenizer.bos_token_id)

    def _tokenize(self, texts: Sequence[str], *, special_tokens: bool) -> list[list[int]]:
        # With split_special_tokens, "<|endoftext|>" in a text is tokenized as text and not as EOS: data must not be
        # able to end a sequence.
        encoded = self.tokenizer(
            list(texts), add_special_tokens=special_tokens, split_special_tokens=True, verbose=False
        )
        ids: list[list[int]] = encoded["input_ids"]
        if special_tokens and self._trailing:
            return [row[: len(row) - self._trailing] for row in ids]
        return ids


def decode_completions(
    tokenizer: PreTrainedTokenizerBase, prompts: Sequence[str], tokens: Sequence[Sequence[int]]
) -> list[str]:
    """The texts of N completions as they follow their prompts in a pool, without special tokens.

    Args:
        tokenizer: of the policy that wrote them.
        prompts: the N prompts.
        tokens: token ids of the N completions.
    """
    texts: list[str] = tokenizer.batch_decode([list(row) for row in tokens], skip_special_tokens=True)
    if tokenizer.chat_template is None:
        return texts
    # By a template, what is written is a message's content.
    return [continuation(prompt, text) for prompt, text in zip(prompts, texts, strict=True)]
