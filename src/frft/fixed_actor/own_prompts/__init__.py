"""Actors whose prompts are their own: domains of a pool, of which each is judged in its own way, and mixtures of
them."""

from frft.fixed_actor.own_prompts.division import DomainActor, PairsOfDomains
from frft.fixed_actor.own_prompts.run import HELD_OUT, run_own_prompts
from frft.fixed_actor.own_prompts.table import read_own_prompts_table

__all__ = ["HELD_OUT", "DomainActor", "PairsOfDomains", "read_own_prompts_table", "run_own_prompts"]
