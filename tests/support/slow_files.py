"""Which files have slow tests, and which no others, as their text says: a file of which none is run is not imported.

What the files import takes seconds, and each worker of a run imports all that may have tests for it.
"""

from __future__ import annotations

import re
from pathlib import Path

ALL_SLOW = re.compile(r"^pytestmark = (\[\s*)?(pytest\.mark\.\w+\(.*\),\s*)?pytest\.mark\.slow\b", re.MULTILINE)
ON_EACH_DATABASE = Path(__file__).parents[1] / "backend"
"""A folder of which any test may be slow: where a fixture of its gives it a database server."""


def is_all_slow(file: Path) -> bool:
    """Return whether a file has nothing but slow tests."""
    return ALL_SLOW.search(file.read_text()) is not None


def may_have_slow(file: Path) -> bool:
    """Return whether a file may have slow tests."""
    return ON_EACH_DATABASE in file.parents or "slow" in file.read_text()
