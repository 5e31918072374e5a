"""Logging: one plain line a record, on standard error."""

from __future__ import annotations

import logging
import logging.config

from events.bus.log_throttle import LogThrottle

_MONITORING_PATHS = ("/metrics", "/health")  # requested every few seconds by monitoring systems


def configure(level: str) -> None:
    """Configure logging for the whole process."""
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "formatters": {"line": {"format": "%(asctime)s %(levelname)s %(name)s: %(message)s"}},
            "filters": {"access": {"()": AccessLogFilter}, "clients": {"()": ClientFaultFilter}},
            "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
            "root": {"level": level.upper(), "handlers": ["stderr"]},
            "loggers": {
                "uvicorn.access": {"filters": ["access"]},
                # The studio itself logs what they would at level info.
                **{name: {"level": "DEBUG" if level == "debug" else "WARNING"} for name in _CHATTY},
                "uvicorn.error": {"level": "DEBUG" if level == "debug" else "WARNING", "filters": ["clients"]},
                **{name: {"level": "WARNING"} for name in _QUOTING},
            },
        }
    )


_CHATTY = ("alembic", "httpx", "httpx2", "httpcore", "httpcore2", "asyncio")
_QUOTING = ("aiosqlite", "anthropic", "google_genai", "openai")
"""Loggers that at level debug quote whole requests and statements: prompts and answers, which belong in no log."""


class AccessLogFilter(logging.Filter):
    """A filter of uvicorn's access log that drops the requests of monitoring systems."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether to log a record, whose arguments are client, method, path with query, HTTP version, status."""
        match record.args:
            case (_, _, str(path), *_):
                return not path.partition("?")[0].startswith(_MONITORING_PATHS)
            case _:
                return True


_CLIENT_FAULTS = ("Invalid HTTP request received.", "Unsupported upgrade request.", "No supported WebSocket library")


class ClientFaultFilter(logging.Filter):
    """A filter of uvicorn's log that passes one line a minute about each fault of clients: they may send thousands."""

    def __init__(self, name: str = "") -> None:
        super().__init__(name)
        self._throttle = LogThrottle()

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether to log a record."""
        fault = next((fault for fault in _CLIENT_FAULTS if str(record.msg).startswith(fault)), None)
        return fault is None or self._throttle.is_due(fault)
