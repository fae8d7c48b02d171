"""`python -m frft`, for launchers that start modules."""

from __future__ import annotations

import sys

from frft.cli import main

if __name__ == "__main__":
    sys.exit(main())
