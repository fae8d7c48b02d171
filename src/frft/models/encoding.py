"""Tokenize prompts and completions, in one place for SFT, reward models and PPO, so that they cannot disagree.

Prompt and completion are tokenized apart and joined, so the boundary between them is exact: a completion that
the policy sampled token by token has the same context in training and in generation. (TRL tokenizes the
joined text, where a token may straddle the boundary.)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Self

from pydantic import Field

from frft.errors import DataError, ModelError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


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
        completion: token ids of the completion, the last of which is EOS.
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

    Where a sequence is too long, the prompt loses its beginning first (the last turns of a dialogue matter
    most) but keeps at least one token; only then does the completion lose its end. EOS always stays, and so
    do tokens that the tokenizer puts before every text (BOS, CLS).

    Args:
        tokenizer: any Transformers tokenizer with an EOS token.
        max_length: longest sequence in tokens, special tokens included.

    Raises:
        ModelError: `max_length` leaves no room for one token of the prompt and EOS.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase, max_length: int) -> None:
        self.tokenizer = tokenizer
        self.max_length = max_length
        self.truncated = TruncationCount()
        # The number of special tokens before the text (BOS, CLS): a cut must keep them.
        probe = tokenizer("a", return_special_tokens_mask=True)
        self._leading = next(n for n, special in enumerate(probe["special_tokens_mask"]) if not special)
        if max_length < self._leading + 2:
            raise ModelError(
                f"max_length is {max_length}; this tokenizer needs at least {self._leading + 2} tokens: its special "
                "tokens, one of the prompt, and EOS. Raise max_length."
            )

    def encode(self, prompts: Sequence[str], completions: Sequence[str]) -> list[EncodedPair]:
        """Encode pairs of texts; every completion ends with EOS."""
        if not prompts:
            return []
        eos = self.tokenizer.eos_token_id
        prompt_ids = self._tokenize(prompts, special_tokens=True)
        completion_ids = self._tokenize(completions, special_tokens=False)
        pairs = []
        for prompt, completion in zip(prompt_ids, completion_ids, strict=True):
            self.truncated.sequences += 1
            # Of max_length, the special tokens, one token of the prompt and EOS are taken.
            kept_completion = [*completion[: self.max_length - self._leading - 2], eos]
            kept_prompt = self._without_beginning(prompt, self.max_length - len(kept_completion))
            cut = len(kept_completion) - 1 < len(completion)
            self.truncated.completions += cut
            self.truncated.prompts += len(kept_prompt) < len(prompt)
            pairs.append(EncodedPair(kept_prompt, kept_completion, cut))
        return pairs

    def encode_prompts(self, prompts: Sequence[str], max_tokens: int) -> list[list[int]]:
        """Encode prompts alone to at most `max_tokens` tokens; longer ones lose their beginning.

        Raises:
            DataError: a prompt has no tokens, so nothing could be predicted from it.
        """
        if not prompts:
            return []
        encoded = self._tokenize(prompts, special_tokens=True)
        for index, ids in enumerate(encoded):
            if not ids:
                raise DataError(
                    f"Prompt {index} of {len(prompts)} (counting from 0) has no tokens: {prompts[index][:80]!a}. "
                    "A policy needs at least one to write after; remove that prompt."
                )
        self.truncated.sequences += len(encoded)
        self.truncated.prompts += sum(len(ids) > max_tokens for ids in encoded)
        return [self._without_beginning(ids, max_tokens) for ids in encoded]

    def _without_beginning(self, ids: list[int], room: int) -> list[int]:
        if len(ids) <= room:
            return ids
        return ids[: self._leading] + ids[len(ids) - (room - self._leading) :]

    def _tokenize(self, texts: Sequence[str], *, special_tokens: bool) -> list[list[int]]:
        # With split_special_tokens, "<|endoftext|>" in a text is tokenized as text and not as EOS: data must not be
        # able to end a sequence.
        encoded = self.tokenizer(
            list(texts), add_special_tokens=special_tokens, split_special_tokens=True, verbose=False
        )
        ids: list[list[int]] = encoded["input_ids"]
        return ids
