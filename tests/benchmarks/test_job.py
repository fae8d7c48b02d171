"""What the two sides are told, and what they write."""

from __future__ import annotations

import json

from benchmarks.job import Job, StepLog


def test_a_job_is_read_as_it_was_written(tmp_path):
    job = Job("start", "out", seed=3, steps=4, save_every=2, micro_batch=16, learning_rate=1e-3)
    job.save(tmp_path / "job.json")
    assert Job.load(str(tmp_path / "job.json")) == job


def test_every_step_is_logged_and_policies_are_saved_on_the_way(tmp_path):
    saved = []
    log = StepLog(Job("start", str(tmp_path), 0, steps=5, save_every=2, micro_batch=16), saved.append)
    for step in range(5):
        log.step_done({"score": step})
    rows = [json.loads(line) for line in (tmp_path / "steps.jsonl").read_text().splitlines()]
    assert [(row["step"], row["score"]) for row in rows] == [(1, 0), (2, 1), (3, 2), (4, 3), (5, 4)]
    assert all(row["seconds"] >= 0 and row["cpu_seconds"] >= 0 for row in rows)
    assert saved == [tmp_path / "policy-2", tmp_path / "policy-4"]
