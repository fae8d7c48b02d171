"""The comparison of arms, and what there is to say about a judge."""

from __future__ import annotations

import json
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field

from frft.config.sections.base import Section
from frft.config.sections.refresh import SamplingConfig
from frft.config.web_address import check_web_address


def _as_text(value: Any) -> Any:
    """A JSON object as text: in YAML it may be given as a mapping, on the command line as text only."""
    return json.dumps(value) if isinstance(value, dict) else value


def _holds_an_object(text: str) -> str:
    try:
        value = json.loads(text)
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise ValueError(f'must be a JSON object, such as {{"temperature": 0}}; got {text!r}')
    return text


class JudgeOptions(Section):
    """What there is to say about a judge besides its name. Each kind of judge reads its own (`frft.JudgeKind`)."""

    tie_margin: float = Field(default=0.0, ge=0)
    """Of a reward model as judge: scores that differ by at most this are a tie."""
    judge_max_length: int | None = Field(default=None, gt=0)
    """Of rm: longest sequence in tokens, for a model that was not trained by frft."""
    judge_chat_template: str = "auto"
    """Of rm: how it reads conversations, as reward.chat_template says it."""
    base_url: Annotated[str, AfterValidator(check_web_address)] | None = None
    """Of openai: the endpoint, to which the key in OPENAI_API_KEY is sent; without a user name or password."""
    judge_request: Annotated[str, BeforeValidator(_as_text), AfterValidator(_holds_an_object)] | None = None
    """Of openai: more of each request, as a JSON object; none: {"temperature": 0}."""
    concurrency: int = Field(default=8, gt=0)
    """Of openai: requests at a time."""
    price: tuple[float, float] | None = None
    """Of openai: what a million prompt tokens and a million completion tokens cost."""


class EvaluationConfig(JudgeOptions):
    """The comparison of arms."""

    judge: str | None = None
    """Who says which of two completions is better, as for `frft eval winrate --judge`: rm:REWARD_MODEL, openai:MODEL
    ...; none: in a world its gold reward, else a reward model trained for it (see the section `judge`)."""
    prompts: str | None = None
    """A file of evaluation prompts (column `prompt`); none: the held-out share of the pairs."""
    max_prompts: int = Field(default=300, gt=1)
    """Most prompts to use; drawn at random where there are more (counted)."""
    sampling: SamplingConfig | None = None
    """How evaluation completions are sampled; none: as in PPO."""
