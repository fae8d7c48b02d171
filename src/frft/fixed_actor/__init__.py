"""The inverse alignment problem without reinforcement learning (METHOD section 7): an actor is fixed, its labelled
pairs are kept aside, and reward models that were trained on selections of everybody else's pairs are tested on them."""

from frft.fixed_actor.actors import Actor, draw_actors, named_actors, written_actor
from frft.fixed_actor.own_prompts import HELD_OUT, PairsOfDomains, read_own_prompts_table, run_own_prompts
from frft.fixed_actor.run import run_fixed_actor
from frft.fixed_actor.table import read_table

__all__ = [
    "HELD_OUT",
    "Actor",
    "PairsOfDomains",
    "draw_actors",
    "named_actors",
    "read_own_prompts_table",
    "read_table",
    "run_fixed_actor",
    "run_own_prompts",
    "written_actor",
]
