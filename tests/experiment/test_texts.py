"""Completions and rollouts come back from disk as they were."""

from __future__ import annotations

from frft.experiment.texts import (
    ROLLOUTS,
    read_completions,
    rollout_samples,
    stored_samples,
    write_completions,
)
from frft.models import TruncationCount
from frft.policy import Completions
from frft.results import RolloutRow
from frft.store import ArtifactStore, append_rows

WRITTEN = Completions(["p\n", "q\u2028"], [" yes", ""], [True, False], [[3, 1], [5]], TruncationCount(2, prompts=1))


def test_completions_round_trip(tmp_path):
    def build(path):
        write_completions(path, WRITTEN)
        return WRITTEN.truncated.as_dict()

    artifact = ArtifactStore(tmp_path).make("completions", {}, build)
    assert read_completions(artifact) == WRITTEN
    assert stored_samples(artifact).load() == (WRITTEN.prompts, WRITTEN.completions)


def test_the_newest_rollouts_of_several_segments(tmp_path):
    store = ArtifactStore(tmp_path)

    def segment(first):
        def build(path):
            rows = [RolloutRow(1, f"p{n}", f"c{n}", 0.0) for n in range(first, first + 3)]
            append_rows(path / ROLLOUTS, [row.as_dict() for row in rows])
            return {}

        return store.make("ppo", {"first": first}, build)

    segments = [segment(0), segment(3)]
    assert rollout_samples(segments, 4).load() == (["p2", "p3", "p4", "p5"], ["c2", "c3", "c4", "c5"])
    assert len(rollout_samples(segments, None).load()[0]) == 6
