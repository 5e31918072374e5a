"""Scrapes that other workers answered: what a worker shows since the last scrape begins anew with those too."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

SUFFIX = ".scraped"


class ScrapeNotice:
    """An empty file in the workers' folder whose modification time is that of the last scrape."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._seen = 0

    def mark(self, application: str) -> None:
        """Note that this worker answered a scrape; a folder that cannot be written is somebody else's to report."""
        path = self._path(application)
        with suppress(OSError):
            path.touch()
            self._seen = path.stat().st_mtime_ns

    def was_marked(self, application: str) -> bool:
        """Return whether another worker answered a scrape since the last call."""
        try:
            at = self._path(application).stat().st_mtime_ns
        except OSError:
            return False
        was_seen, self._seen = at == self._seen, at
        return not was_seen

    def _path(self, application: str) -> Path:
        return self._folder / f"{application or 'workers'}{SUFFIX}"
