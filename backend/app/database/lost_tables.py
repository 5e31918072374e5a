"""The studio's tables that are lost: they come from a backup, where those of the workflow engine are created again."""

from __future__ import annotations

import re

from .advice import error_line
from .models import Base

# Not after a dot: that is a column, or of another schema. The words and quotes around it may be of any language.
_NAMES = re.compile(rf"(?<![\w.])(?:{'|'.join(Base.metadata.tables)})(?!\w)")


def lost_studio_table(error: Exception) -> str | None:
    """Return which of the studio's tables the error of a statement names that misses a table or a column of one."""
    found = _NAMES.search(error_line(error))
    return None if found is None else found[0]
