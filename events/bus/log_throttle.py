"""Log lines about the same thing, at most one a minute."""

from __future__ import annotations

from collections.abc import Hashable
from time import monotonic


class LogThrottle:
    """Says when a line about something is due: the first time, and then once every ``interval`` seconds."""

    def __init__(self, interval: float = 60.0) -> None:
        self._interval = interval
        self._last: dict[Hashable, float] = {}

    def is_due(self, about: Hashable) -> bool:
        """Return whether a line may be logged now; if so, the next one is due an interval later."""
        now = monotonic()
        if now - self._last.get(about, -self._interval) < self._interval:
            return False
        self._last[about] = now
        return True
