"""What two runs must have in common to be the same."""

from __future__ import annotations

import pyarrow.parquet as pq

from frft.experiment.segment import METRICS
from frft.labels import read_queue
from frft.store import MANIFEST, read_json, read_rows

LABELS, PAIRS = "labels.jsonl", "pairs.parquet"
TIMES = {"seconds", "seconds_rollout", "seconds_update", "tokens_per_second"}


def without_times(value):
    if isinstance(value, dict):
        return {key: without_times(item) for key, item in value.items() if key not in TIMES}
    return [without_times(item) for item in value] if isinstance(value, list) else value


def everything_in(out) -> dict:
    """All that stages of a run made and said, by stage: digests of files, reports, and metrics without times."""
    found = {}
    for manifest in out.glob(f"stages/*/{MANIFEST}"):
        stage = read_json(manifest)
        files = {name: file["sha256"] for name, file in stage["files"].items() if name != METRICS}
        if LABELS in files:
            # The times at which they were given differ.
            queue = read_queue(manifest.parent / LABELS)
            given = [(answer.question, answer.choice, answer.labeller) for answer in queue.answers()]
            files[LABELS] = (list(queue.questions.values()), given)
            if PAIRS in files:
                files[PAIRS] = pq.read_table(manifest.parent / PAIRS).drop_columns("when").to_pylist()
        rows = read_rows(manifest.parent / METRICS) if METRICS in stage["files"] else []
        found[manifest.parent.name] = (files, without_times(stage["info"]), without_times(rows))
    return found
