"""Read and write files of completions and rollouts, and score them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from frft.models import TruncationCount
from frft.policy import Completions
from frft.results import CompletionRow, CompletionsInfo, RolloutRow, read_rollouts, read_written
from frft.reward import PolicySamples
from frft.store import Artifact, append_rows

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from frft.policy.online import GroupRollout
    from frft.policy.ppo import Rollout

COMPLETIONS = "completions.jsonl"
"""File of sampled completions, one row for each prompt."""
ROLLOUTS = "rollouts.jsonl"
"""File of the completions that a policy was trained on, one row for each sequence of each step."""
JUDGED_ROLLOUTS = 2000
"""Number of rollouts of an arm that a judge scores for a diagnosis, the same number of each step."""

ScoreFunction = Callable[[Sequence[str], Sequence[str]], "NDArray[np.float64]"]
"""Maps N prompts and N completions to scores, float64 (N,)."""


def write_completions(folder: Path, written: Completions) -> None:
    """Write completions.jsonl, one row for each prompt: prompt, completion, has_eos, tokens."""
    columns = zip(written.prompts, written.completions, written.has_eos, written.tokens, strict=True)
    append_rows(folder / COMPLETIONS, [CompletionRow(*row).as_dict() for row in columns])


def read_completions(artifact: Artifact) -> Completions:
    """Read the completions.jsonl of an artifact, with its truncation counts."""
    path, counts = artifact.path / COMPLETIONS, artifact.info_as(CompletionsInfo)
    rows = read_written(path)
    return Completions(
        prompts=[row.prompt for row in rows],
        completions=[row.completion for row in rows],
        has_eos=[row.has_eos for row in rows],
        tokens=[row.tokens for row in rows],
        truncated=TruncationCount(counts.sequences, prompts=counts.prompts_truncated),
    )


def stored_samples(artifact: Artifact) -> PolicySamples:
    """Stored completions as policy samples, read from disk when needed."""

    def load() -> tuple[list[str], list[str]]:
        written = read_completions(artifact)
        return written.prompts, written.completions

    return PolicySamples(artifact, load)


def rollout_rows(step: int, rollout: Rollout | GroupRollout) -> list[dict[str, Any]]:
    """The sequences of one step as rows of rollouts.jsonl: step, prompt, completion, score."""
    columns = zip(rollout.prompts, rollout.completions, rollout.scores_B.tolist(), strict=True)
    return [RolloutRow(step, *row).as_dict() for row in columns]


def rollout_samples(segments: Sequence[Artifact], newest: int | None) -> PolicySamples:
    """The last `newest` rollouts of consecutive segments as samples of the policy; None: all of them."""

    def load() -> tuple[list[str], list[str]]:
        rows = [row for segment in segments for row in read_rollouts(segment.path / ROLLOUTS)]
        rows = rows if newest is None else rows[-newest:]
        return [row.prompt for row in rows], [row.completion for row in rows]

    return PolicySamples({"rollouts": list(segments), "newest": newest}, load)


def score_by_step(score: ScoreFunction, segment: Path) -> dict[int, float]:
    """Mean score of each step's rollouts in a segment's folder, by step; `score` is that of an independent judge."""
    import numpy as np

    rows = read_rollouts(segment / ROLLOUTS)
    scores = score([row.prompt for row in rows], [row.completion for row in rows])
    step_of = np.array([row.step for row in rows])
    return {int(step): float(scores[step_of == step].mean()) for step in np.unique(step_of)}


def means_by_step(rollouts: Sequence[RolloutRow], score: ScoreFunction, each: int | None = None) -> list[float]:
    """Mean score of each step's rollouts, in order of the steps.

    Args:
        rollouts: rollouts of any steps.
        score: scores N completions.
        each: number of rollouts scored per step, the first ones; 0 counts as 1. None: all of them.
    """
    import numpy as np

    of: dict[int, list[RolloutRow]] = {}
    for row in rollouts:
        of.setdefault(row.step, []).append(row)
    chosen = [row for step in sorted(of) for row in of[step][: None if each is None else max(1, each)]]
    scores = score([row.prompt for row in chosen], [row.completion for row in chosen])
    step_N = np.array([row.step for row in chosen])
    return [float(scores[step_N == step].mean()) for step in sorted(of)]
