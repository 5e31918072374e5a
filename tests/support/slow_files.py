"""Which files have slow tests, and which no others, as their text says: a file of which none is run is not imported.

What the files import takes seconds, and each worker of a run imports all that may have tests for it.
"""

from __future__ import annotations

import re
from pathlib import Path

ALL_SLOW = re.compile(r"^pytestmark = (\[\s*)?(pytest\.mark\.\w+\(.*\),\s*)?pytest\.mark\.slow\b", re.MULTILINE)
SOME_SLOW = re.compile(r"\bmark\.slow\b")
STUDIO = Path(__file__).parents[1] / "backend"
"""The folder of tests whose fixtures give them a database: first a file, then a server, with which they are slow."""
ON_EACH_DATABASE = re.compile(
    r"\b(database_url: str|database: Database|settings: Settings|app: FastAPI|client: (httpx\.)?AsyncClient)\b"
    r'|usefixtures|parametrize\("database_url"'
)
"""How tests ask for one of these fixtures. A run that leaves a slow test out fails where its file does not say so."""


def is_all_slow(file: Path) -> bool:
    """Return whether a file has nothing but slow tests."""
    return ALL_SLOW.search(file.read_text()) is not None


def may_have_slow(file: Path) -> bool:
    """Return whether a file may have slow tests."""
    text = file.read_text()
    return bool(SOME_SLOW.search(text) or (STUDIO in file.parents and ON_EACH_DATABASE.search(text)))
