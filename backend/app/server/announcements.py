"""The announcements of the launcher: that the studio starts, is ready, stops and has stopped."""

from __future__ import annotations

import logging

from app.server_settings import WILDCARD_ADDRESSES
from app.settings import Role, Settings

from .sockets import Listeners

log = logging.getLogger("app")

READY: dict[Role, str] = {
    "all": "Sparklio is",
    "api": "Sparklio's API, whose runs workers execute, is",
    "worker": "Sparklio's worker, which executes runs, is",
}


class Announcements:
    """Announces the stages of a studio's life, each once, whatever the number of workers.

    Args:
        settings: The settings.
        listeners: The listening sockets, whose addresses are announced.
    """

    def __init__(self, settings: Settings, listeners: Listeners) -> None:
        self._settings = settings
        self._listeners = listeners
        self._is_ready = False
        self._is_stopping = False

    def starting(self) -> None:
        """Log the address that is listened on, and the role if it is not to do all."""
        role = "" if self._settings.role == "all" else f" as {self._settings.role}"
        log.info("starting on %s:%s%s", *self._listeners.api.getsockname()[:2], role)

    def ready(self) -> None:
        """Print where the studio is, and what is there."""
        self._is_ready = True
        host = "127.0.0.1" if self._settings.host in WILDCARD_ADDRESSES else self._settings.host
        name = f"[{host}]" if ":" in host else host
        sockets = (self._listeners.api, self._listeners.metrics)
        base, metrics = (f"http://{name}:{listener.getsockname()[1]}" for listener in sockets)
        first = f"API {base}/docs" if self._settings.serves_api else f"health {base}/health"
        print(f"{READY[self._settings.role]} ready at {base}")  # noqa: T201 - for the person at the terminal
        print(f"  {first}   metrics {metrics}/metrics   stop with Ctrl-C", flush=True)  # noqa: T201 - the same

    def stopping(self) -> None:
        """Log at the first signal that the studio stops, and how long it goes on serving."""
        if self._is_stopping:
            return
        self._is_stopping = True
        drain_time = self._settings.drain_time
        if self._is_ready and drain_time:
            log.info("stopping, draining for %g s: /health/ready answers 503; a second signal ends it", drain_time)
        else:
            log.info("stopping")

    def stopped(self) -> None:
        """Log that the studio has stopped, if it had said that it does."""
        if self._is_stopping:
            log.info("stopped")
