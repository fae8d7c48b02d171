"""Cases with a known outcome, for the predictor of `frft advise`: what can be measured of a pool and unlabelled samples
of an actor, and what a selection then gained on labelled pairs of that actor."""

from frft.fixed_actor.cases.case import PlannedCase
from frft.fixed_actor.cases.fit import fit_on_cases
from frft.fixed_actor.cases.of_data import domain_cases, source_cases
from frft.fixed_actor.cases.of_worlds import CASE_WORLDS, world_cases
from frft.fixed_actor.cases.run import CASES, read_cases, run_cases, summary_of_cases

__all__ = [
    "CASES",
    "CASE_WORLDS",
    "PlannedCase",
    "domain_cases",
    "fit_on_cases",
    "read_cases",
    "run_cases",
    "source_cases",
    "summary_of_cases",
    "world_cases",
]
