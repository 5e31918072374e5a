"""The largest value since the last scrape, of what changes far more often than it is scraped."""

from __future__ import annotations

from ...bus.pollers import scrape_count


class Peak:
    """A largest value; whoever changes the value raises ``highest``."""

    __slots__ = ("_scrape", "_shown", "highest")

    def __init__(self) -> None:
        self.highest = self._shown = 0  # since the last reading, and what was returned
        self._scrape: int | None = None  # that it was returned for

    def read(self, now: int) -> int:
        """Return the largest value since the last scrape; ``now`` is the value at present."""
        highest, self.highest = max(self.highest, now), now
        scrape = scrape_count()
        self._shown = highest if scrape != self._scrape else max(self._shown, highest)
        self._scrape = scrape
        return self._shown
