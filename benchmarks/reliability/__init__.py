"""Campaigns against runs: what a run promises (docs/reliability.md), tried by force."""
