"""Rows of the journals in the folders of stages: completions, rollouts and metrics."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from frft.results.infos import StepMetrics
from frft.store import StoredValue, read_rows, verify_beside


@dataclass(frozen=True)
class CompletionRow(StoredValue):
    """A row of completions.jsonl.

    Attributes:
        prompt: the prompt.
        completion: the policy's completion.
        has_eos: whether it ended with EOS; otherwise it was cut off.
        tokens: its token ids.
    """

    prompt: str
    completion: str
    has_eos: bool
    tokens: list[int]


@dataclass(frozen=True)
class RolloutRow(StoredValue):
    """A row of rollouts.jsonl.

    Attributes:
        step: number of the step, from 1.
        prompt: the prompt.
        completion: the policy's completion.
        score: normalised score of the reward model, or PAR (reward_shaping); for a completion without EOS,
            missing_eos_penalty if that is set.
    """

    step: int
    prompt: str
    completion: str
    score: float


def read_steps(path: Path) -> list[StepMetrics]:
    """The rows of a segment's metrics.jsonl; of a finished segment they are verified.

    Raises:
        ArtifactError: a row lacks a field, or has one of another type; the file was changed after the segment was done.
    """
    verify_beside(path)
    return [StepMetrics.of(row, path) for row in read_rows(path)]


def read_written(path: Path) -> list[CompletionRow]:
    """The rows of a stage's completions.jsonl; raises as `read_steps`."""
    verify_beside(path)
    return [CompletionRow.of(row, path) for row in read_rows(path)]


def read_rollouts(path: Path) -> list[RolloutRow]:
    """The rows of a segment's rollouts.jsonl; raises as `read_steps`."""
    verify_beside(path)
    return [RolloutRow.of(row, path) for row in read_rows(path)]
