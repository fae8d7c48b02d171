"""The campaigns, whose short forms are here, are scripts beside the package, found from the project's root."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))
