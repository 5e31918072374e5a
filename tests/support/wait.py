"""Waiting for a condition instead of sleeping for a time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from time import monotonic


async def until(condition: Callable[[], object], within: float = 5.0) -> None:
    """Return as soon as ``condition()`` is true.

    Raises:
        AssertionError: it was not within that many seconds.
    """
    deadline = monotonic() + within
    while not condition():
        assert monotonic() < deadline, f"not within {within} s: {condition}"
        await asyncio.sleep(0.002)
