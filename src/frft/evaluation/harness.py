"""The model interface of lm-evaluation-harness, with counts and progress. Needs the extra `tasks`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import redirect_stderr
from typing import TYPE_CHECKING, Any, TextIO

from lm_eval.api.model import CacheHook
from lm_eval.models.huggingface import HFLM

from frft.errors import ModelError
from frft.progress import Progress, Task

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


class HarnessModel(HFLM):  # type: ignore[misc]
    """The harness's model for Transformers, which also counts truncated requests and reports progress.

    Args:
        model, tokenizer: a causal language model, and its tokenizer.
        batch_size: sequences in a batch.
        progress: gets tasks with a request as their unit.
        terminal: standard error for `progress`, while the harness's own output is discarded.

    Attributes:
        requests: number of requests so far.
        truncated: number of requests whose text lost its beginning, being longer than the model can read.

    Raises:
        ModelError: a continuation has more tokens than the model can read.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        batch_size: int,
        progress: Progress,
        terminal: TextIO,
    ) -> None:
        super().__init__(pretrained=model, backend="causal", tokenizer=tokenizer, batch_size=batch_size)
        self.requests = self.truncated = 0
        self._progress = progress
        self._terminal = terminal

    def loglikelihood(self, requests: list[Any], disable_tqdm: bool = False) -> list[tuple[float, bool]]:
        """Log-likelihood of each continuation, in nats, and whether greedy decoding would give it."""
        del disable_tqdm
        return self._watched("weighing answers", super().loglikelihood, requests)

    def loglikelihood_rolling(self, requests: list[Any], disable_tqdm: bool = False) -> list[float]:
        """Log-likelihood of each whole text, in nats."""
        del disable_tqdm
        return self._watched("weighing texts", super().loglikelihood_rolling, requests)

    def generate_until(self, requests: list[Any], disable_tqdm: bool = False) -> list[str]:
        """Continuation of each context up to a stop string."""
        del disable_tqdm
        return self._watched("writing answers", super().generate_until, requests)

    def _watched(self, description: str, answer: Callable[..., list[Any]], requests: list[Any]) -> list[Any]:
        self.requests += len(requests)
        # Standard error is redirected to discard the harness's progress bars; frft's own must reach the terminal.
        with redirect_stderr(self._terminal), self._progress.task(description, len(requests)) as task:
            # The harness calls its cache hook once for every answer; nothing else of it reports single answers.
            self.set_cache_hook(_Advance(task))
            return answer(requests, disable_tqdm=True)

    def _loglikelihood_tokens(
        self,
        requests: Sequence[tuple[Any, list[int], list[int]]],
        disable_tqdm: bool = False,
        override_bs: int | None = None,
    ) -> list[tuple[float, bool]]:
        del disable_tqdm
        for _, context, continuation in requests:
            if len(continuation) > self.max_length:
                raise ModelError(
                    f"An answer of a task has {len(continuation)} tokens, but the model reads at most "
                    f"{self.max_length}. Leave out the task, or use a model with more positions."
                )
            # The last token is predicted, not read: logits for it come from the token before.
            self.truncated += len(context) + len(continuation) - 1 > self.max_length
        return super()._loglikelihood_tokens(requests, disable_tqdm=True, override_bs=override_bs)  # type: ignore[no-any-return]

    def tok_batch_encode(
        self, strings: Sequence[str], *arguments: Any, left_truncate_len: int | None = None, **others: Any
    ) -> tuple[Any, Any]:
        """Token ids and mask of texts, left-padded and cut to their last `left_truncate_len` tokens; None: not cut."""
        if left_truncate_len is not None:
            self.truncated += sum(len(self.tok_encode(text)) > left_truncate_len for text in strings)
        return super().tok_batch_encode(strings, *arguments, left_truncate_len=left_truncate_len, **others)  # type: ignore[no-any-return]


class _Advance(CacheHook):  # type: ignore[misc]
    def __init__(self, task: Task) -> None:
        super().__init__(None)
        self._task = task

    def add_partial(self, attr: str, req: Any, res: Any) -> None:
        del attr, req, res
        self._task.advance()
