"""A chat model behind an OpenAI-compatible endpoint as a judge."""

from __future__ import annotations

import math
import os
import random
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryFile
from typing import TYPE_CHECKING, Any

from frft.config.web_address import check_web_address, without_secrets
from frft.errors import ArtifactError, ModelError, UsageError, printable
from frft.evaluation.chat_prompt import TEMPLATE_VERSION, judge_messages, read_verdict
from frft.progress import SILENT, Progress
from frft.store import ChainedJournal, digest_of, locked

if TYPE_CHECKING:
    from openai import APIStatusError, OpenAI

KEY_VARIABLE = "OPENAI_API_KEY"
ADDRESS_VARIABLE = "OPENAI_BASE_URL"
NO_KEY = "none"
"""The key sent where none is set: the client requires one even for a server that needs none."""
FAILURES_IN_A_ROW = 5
"""Consecutive questions without a reply after which the endpoint is considered down."""
FIRST_WAIT_S, LONGEST_WAIT_S = 0.5, 60.0
_SHOWN_CHARACTERS = 300
"""Length at which an error cuts an endpoint's own message."""
KEPT_CHARACTERS = 200
"""Characters of a reply's end that are kept in the journal."""
_ASKED_AGAIN = "Keep its first {sound} lines, which are sound: the others are asked again. Or name another file."
"""What to do about a damaged journal."""

Question = tuple[str, str, str]


@dataclass
class ChatUsage:
    """Counts of a chat judge's questions by outcome, and of tokens. Each question has one of the first five outcomes.

    Attributes:
        judged: questions that got a verdict from the endpoint.
        unparsable: questions that got a reply without a verdict.
        failed: questions that got no reply after all tries.
        cached: questions whose reply was in the journal or had been given before, with a verdict or without.
        identical: questions about two equal completions: a tie, for which no request is sent.
        retries: requests beyond the first of a question.
        prompt_tokens, completion_tokens: tokens of this judge's requests and replies, as the endpoint counts them.
        uncounted: replies for which the endpoint gave no token counts.
    """

    judged: int = 0
    unparsable: int = 0
    failed: int = 0
    cached: int = 0
    identical: int = 0
    retries: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    uncounted: int = 0

    def cost(self, prompt_price: float, completion_price: float) -> float:
        """Cost of the counted tokens, given the prices of a million prompt and of a million completion tokens."""
        return (self.prompt_tokens * prompt_price + self.completion_tokens * completion_price) / 1e6

    def as_dict(self) -> dict[str, int]:
        """All fields as JSON-able values, for a results file."""
        return asdict(self)


class ChatJudge:
    """A judge that asks a chat model which of two completions is better.

    The key is read from the environment variable OPENAI_API_KEY and sent to `base_url`, and appears nowhere else.

    Against prompt injection, the texts are shown as data between lines with a mark that they cannot contain, and a
    verdict counts only on the reply's last line. This does not make a model immune: texts of either side may still
    steer it. Look at `flips`, and compare with a judge that follows no instructions (a reward model).

    Args:
        model: the model's name at the endpoint.
        base_url: URL of the endpoint; None: the `openai` package's default.
        journal: a JSON Lines file of replies, so that no question is asked twice, in later runs either; None: replies
            are remembered by this object only.
        options: further fields of the request's JSON, such as max_completion_tokens; None: temperature 0, which some
            reasoning models refuse.
        concurrency: number of simultaneous requests.
        timeout_s: time limit of a request, in seconds.
        tries: requests for one question before it counts as failed.
        price: cost of a million prompt tokens and of a million completion tokens; None: the cost is unknown.
        progress: receives the number of questions done.

    Attributes:
        usage: counts over all questions that this object was asked.

    Raises:
        UsageError: the extra `judge` is not installed, there is no key for the default endpoint, or the base URL or
            another setting is out of range.
        ArtifactError: the journal is damaged.
    """

    def __init__(
        self,
        model: str,
        *,
        base_url: str | None = None,
        journal: Path | None = None,
        options: Mapping[str, Any] | None = None,
        concurrency: int = 8,
        timeout_s: float = 120.0,
        tries: int = 5,
        price: tuple[float, float] | None = None,
        progress: Progress = SILENT,
    ) -> None:
        if concurrency < 1 or tries < 1 or timeout_s <= 0:
            raise UsageError(f"concurrency {concurrency}, tries {tries}, timeout {timeout_s} s: all must be above 0.")
        if price is not None and not all(0 <= each < math.inf for each in price):
            raise UsageError(f"The price of a million tokens is {price}; it must be two numbers of at least 0.")
        self.model, self.journal, self.progress = model, journal, progress
        self.options = {"temperature": 0} if options is None else dict(options)
        self.concurrency, self.tries, self.price = concurrency, tries, price
        self.usage = ChatUsage()
        self._client = _client(base_url, timeout_s)
        self._lock = threading.Lock()
        self._failures_in_a_row = 0
        self._answered = False
        self._stopping = threading.Event()
        self._why_none = ""
        self._kept = None if journal is None else ChainedJournal(journal, _ASKED_AGAIN)
        self._replies = {} if self._kept is None else _replies(self._kept)

    def prefer(self, prompts: Sequence[str], first: Sequence[str], second: Sequence[str]) -> list[float | None]:
        """1 where the first completion is better, 0 where the second is, 1/2 for a tie; None without a usable reply.

        Raises:
            ModelError: the endpoint refuses all requests (key, model, quota), or does not answer. Replies so far are
                in the journal.
            OSError: the journal cannot be written; nothing was asked.
        """
        from openai import DefaultHttpxClient

        questions = list(zip(prompts, first, second, strict=True))
        keys = {question: self._key(question) for question in questions if question[1] != question[2]}
        unknown = [question for question, key in keys.items() if key not in self._replies]
        if unknown and self.journal is not None:
            # What cannot be kept is not asked for and paid.
            with locked(self._journal_lock):
                _try_to_write(self.journal)
        asked: dict[str, float | None] = {}
        self._failures_in_a_row = 0
        self._stopping.clear()
        with (
            # A client of this call's own, so that its connections are closed here, not by the garbage collector.
            self._client.copy(http_client=DefaultHttpxClient()) as client,
            self.progress.task(f"Asking {self.model}", total=len(unknown)) as task,
            ThreadPoolExecutor(min(self.concurrency, max(1, len(unknown)))) as pool,
        ):
            try:
                for question, preference in zip(unknown, pool.map(partial(self._ask, client), unknown), strict=True):
                    asked[keys[question]] = preference
                    task.advance()
            except BaseException:
                # Requests that wait for their next try give up, and questions that have not begun are cancelled.
                self._stopping.set()
                pool.shutdown(cancel_futures=True)
                raise
        self.usage.identical += len(questions) - sum(question in keys for question in questions)
        self.usage.cached += sum(question in keys for question in questions) - len(unknown)
        known = {**self._replies, **asked}
        if missing := sum(known[key] is None for key in keys.values()):
            self.progress.say(f"{self.model}: {missing} of {len(keys)} questions have no verdict.{self._why_none}")
        return [known[keys[question]] if question in keys else 0.5 for question in questions]

    @property
    def _journal_lock(self) -> Path:
        assert self.journal is not None
        return self.journal.with_name(f"{self.journal.name}.lock")

    @property
    def description(self) -> str:
        """Model and endpoint."""
        return f"{self.model} at {without_secrets(str(self._client.base_url))}"

    def counts(self) -> dict[str, Any]:
        """`questions`: what became of them, with the tokens (see `ChatUsage`); `cost`: None without a price."""
        return {
            "questions": self.usage.as_dict(),
            "cost": None if self.price is None else self.usage.cost(*self.price),
        }

    def _key(self, question: Question) -> str:
        # The endpoint is part of the key: small servers answer to any name of a model.
        return digest_of(
            [str(self._client.base_url), self.model, TEMPLATE_VERSION, sorted(self.options.items()), *question]
        )

    def _ask(self, client: OpenAI, question: Question) -> float | None:
        """The endpoint's verdict, written to the journal; None where there is none. A missing reply is not written."""
        import openai

        if self._stopping.is_set():
            return None
        messages = judge_messages(*question)
        for attempt in range(1, self.tries + 1):
            try:
                completion = client.chat.completions.create(
                    model=self.model, messages=messages, extra_body=self.options
                )
                reply, counts = completion.choices[0].message.content, completion.usage
            except openai.APIStatusError as error:
                if _is_for_all(error):
                    key = f"key ({KEY_VARIABLE} is not set)" if self._client.api_key == NO_KEY else "key"
                    self._stopping.set()
                    raise ModelError(
                        f"{self.description} refuses: {self._said(error)}. Check the URL (most end in /v1), {key}, "
                        "model and quota."
                    ) from None
                if error.status_code not in (408, 409, 429) and error.status_code < 500:
                    # A client error concerns this question alone (too long, or filtered): another try would fail, too.
                    self._fail(error, alone=True)
                    return None
                failure: Exception = error
            except (openai.APIError, AttributeError, IndexError, TypeError, ValueError) as error:
                # No connection, a time-out, or status 200 without a completion: the client passes on any JSON.
                failure = error
            else:
                return self._keep(question, reply, counts)
            if attempt < self.tries:
                if self._stopping.wait(_wait_s(failure, attempt)):
                    break
                with self._lock:
                    self.usage.retries += 1
        self._fail(failure, alone=False)
        return None

    def _keep(self, question: Question, reply: Any, counts: Any) -> float | None:
        preference = read_verdict(reply) if isinstance(reply, str) else None
        tokens = [getattr(counts, name, None) for name in ("prompt_tokens", "completion_tokens")]
        counted = [count for count in tokens if isinstance(count, int)]
        # A lone surrogate in a reply could not be encoded as UTF-8.
        said = reply.encode(errors="replace").decode() if isinstance(reply, str) else ""
        end = self._without_key(said)[-KEPT_CHARACTERS:]
        key = self._key(question)
        with self._lock:
            self._failures_in_a_row = 0
            self._answered = True
            if preference is None:
                self.usage.unparsable += 1
                self._why_none = f" One reply ends in {end!r}."
            else:
                self.usage.judged += 1
            if len(counted) == 2:
                self.usage.prompt_tokens += counted[0]
                self.usage.completion_tokens += counted[1]
            else:
                self.usage.uncounted += 1
            self._replies[key] = preference
            if self.journal is not None and self._kept is not None:
                row = {"key": key, "preference": preference, "model": self.model, "tokens": tokens, "reply_end": end}
                with locked(self._journal_lock):
                    self._kept.append(row)
        return preference

    def _fail(self, error: Exception, *, alone: bool) -> None:
        """Count a question without a reply, and raise `ModelError` if the endpoint seems to be down.

        A failure of this question alone does not count towards that once the endpoint has answered others.
        """
        import openai

        with self._lock:
            self.usage.failed += 1
            self._why_none = f" One got no reply: {self._said(error)}."
            if not (alone and self._answered):
                self._failures_in_a_row += 1
            if self._failures_in_a_row >= FAILURES_IN_A_ROW:
                self._stopping.set()
                down = " Is the server running there?" if isinstance(error, openai.APIConnectionError) else ""
                raise ModelError(
                    f"{self.description} has not answered {self._failures_in_a_row} questions in a row; the last time: "
                    f"{self._said(error)}.{down} Its earlier replies are kept."
                ) from None

    def _said(self, error: Exception) -> str:
        """An error's message on one line, without the key, which some endpoints quote."""
        text = f"{type(error).__name__}: {str(error).rstrip('.')}"
        body = getattr(error, "body", None)
        if body and text.endswith(str(getattr(error, "status_code", None))):
            # The client's message lacks errors that are not in OpenAI's form, as other servers send.
            text += f" - {body}"
        if error.__cause__ is not None:
            text += f" ({error.__cause__})"
        return printable(self._without_key(text))[:_SHOWN_CHARACTERS]

    def _without_key(self, text: str) -> str:
        key = self._client.api_key
        return text if key == NO_KEY else text.replace(key, "***").replace(ascii(key)[1:-1], "***")


def _client(base_url: str | None, timeout_s: float) -> OpenAI:
    try:
        from openai import OpenAI
    except ImportError:
        raise UsageError("A chat model as judge needs the extra `judge`: pip install 'frft[judge]'.") from None
    key = os.environ.get(KEY_VARIABLE, "").strip()
    if not key.isascii() or not key.isprintable() or " " in key:
        # Checked here, because the client cannot send such a key in a header, and its error would quote it.
        raise UsageError(
            f"{KEY_VARIABLE} holds a space, a control character or a character outside ASCII. Set it again."
        )
    if not key and base_url is None:
        raise UsageError(f"No key: set the environment variable {KEY_VARIABLE}, or give the base URL of a server.")
    # The client takes this variable where it is given no address; an empty one counts as none.
    address = os.environ.get(ADDRESS_VARIABLE) or None if base_url is None else base_url
    if address is not None:
        try:
            _ = check_web_address(address)
        except ValueError as error:
            where = f"{ADDRESS_VARIABLE}: " if base_url is None else ""
            raise UsageError(f"{where}{error}.") from None
    # Retries are counted here, so the client makes none.
    return OpenAI(api_key=key or NO_KEY, base_url=base_url, timeout=timeout_s, max_retries=0)


def _replies(kept: ChainedJournal) -> dict[str, float | None]:
    try:
        return {row["key"]: row["preference"] for row in kept.rows}
    except KeyError:
        raise ArtifactError(
            f"{kept.path} holds a line that is no verdict of a judge. Name another file, or remove this one."
        ) from None


def _try_to_write(journal: Path) -> None:
    try:
        if journal.exists():
            journal.open("ab").close()
        else:
            TemporaryFile(dir=journal.parent).close()
    except OSError as error:
        error.filename = str(journal)
        raise


def kept_replies(journal: Path, price: tuple[float, float] | None = None) -> dict[str, Any]:
    """Counts over all replies in a journal: replies with and without a verdict, tokens, and cost.

    Args:
        journal: the file that `ChatJudge` keeps.
        price: cost of a million prompt tokens and of a million completion tokens; None: `cost` is None.

    Raises:
        ArtifactError: the journal is damaged.
    """
    usage = ChatUsage()
    rows = ChainedJournal(journal, _ASKED_AGAIN).rows
    for preference, tokens in ((row["preference"], row["tokens"]) for row in rows):
        usage.judged += preference is not None
        usage.unparsable += preference is None
        if all(isinstance(count, int) for count in tokens):
            usage.prompt_tokens += tokens[0]
            usage.completion_tokens += tokens[1]
        else:
            usage.uncounted += 1
    names = ("judged", "unparsable", "prompt_tokens", "completion_tokens", "uncounted")
    counts = {name: getattr(usage, name) for name in names}
    return {**counts, "cost": None if price is None else usage.cost(*price)}


def _is_for_all(error: APIStatusError) -> bool:
    """Whether every other question would be refused in the same way: key, permission, model or URL, quota."""
    return error.status_code in (401, 403, 404) or error.code == "insufficient_quota"


def _wait_s(failure: Exception, attempt: int) -> float:
    """Seconds before the next try: what the endpoint asks for, else exponential back-off with jitter; at most 60."""
    response = getattr(failure, "response", None)
    try:
        asked_for = float(response.headers["retry-after"])  # type: ignore[union-attr]
    except (AttributeError, KeyError, ValueError):
        asked_for = FIRST_WAIT_S * 2 ** (attempt - 1) * random.uniform(1, 2)  # noqa: S311 - no secret
    return min(LONGEST_WAIT_S, max(0.0, asked_for))
