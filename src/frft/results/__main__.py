"""`python -m frft.results`: print docs/results.md."""

from __future__ import annotations

import sys

from frft.results.page import results_page

sys.stdout.write(results_page())
