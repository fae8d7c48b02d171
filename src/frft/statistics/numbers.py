"""Type aliases for arrays and sequences of numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

Floats: TypeAlias = npt.NDArray[np.float64]
"""An array of float64; the dimension suffixes of its name say its shape."""

Indices: TypeAlias = npt.NDArray[np.intp]
"""Positions in an array, such as rows of a pool."""

Numbers: TypeAlias = Sequence[float] | Floats
"""Real numbers as a list, a tuple or a float64 array."""
