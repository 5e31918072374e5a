"""Which of the two libraries with an event loop the running code is on: asyncio, or trio as hypercorn can have it."""

from __future__ import annotations

import sys
from typing import Any


def running_trio() -> Any | None:
    """Return the module trio if the running code is on its event loop, else None. It is never imported here."""
    trio = sys.modules.get("trio")
    return trio if trio is not None and trio.lowlevel.in_trio_run() else None
