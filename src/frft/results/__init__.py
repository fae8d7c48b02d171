"""Results: what runs, studies and benchmarks write about themselves, field by field (docs/results.md)."""
