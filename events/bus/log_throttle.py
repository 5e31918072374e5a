"""Limits log lines about one subject to one a minute."""

from __future__ import annotations

from collections.abc import Hashable
from time import monotonic


class LogThrottle:
    """Decides when a log line is due: at the first occurrence, then at most once every ``interval`` seconds a subject.

    It remembers a thousand subjects, so they are to be few: names in the code, not values of requests.
    """

    MAX_SUBJECTS = 1000
    """Subjects that are remembered; with one more, all are forgotten."""

    def __init__(self, interval: float = 60.0) -> None:
        self._interval = interval
        self._last_logged: dict[Hashable, float] = {}

    def is_due(self, subject: Hashable) -> bool:
        """Return whether a line about the subject may be logged now; if so, the next one is due an interval later."""
        now = monotonic()
        if now - self._last_logged.get(subject, -self._interval) < self._interval:
            return False
        if len(self._last_logged) >= self.MAX_SUBJECTS:
            self._last_logged.clear()
        self._last_logged[subject] = now
        return True
