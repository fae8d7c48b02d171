"""Preference worlds: generated pools whose gold reward is known, to ask what a method does with them."""

from frft.worlds.files import write_world
from frft.worlds.measure import Measurements, measure_world
from frft.worlds.world import World

__all__ = ["Measurements", "World", "measure_world", "write_world"]
