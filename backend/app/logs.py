"""What the studio logs, and how: one plain line each, on standard error."""

from __future__ import annotations

import logging
import logging.config

_QUIET = ("/metrics", "/health")  # asked every few seconds, by machines


def configure(level: str) -> None:
    """Set up logging for the whole process."""
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "formatters": {"line": {"format": "%(asctime)s %(levelname)s %(name)s: %(message)s"}},
            "filters": {"people": {"()": PeopleOnly}},
            "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
            "root": {"level": level.upper(), "handlers": ["stderr"]},
            "loggers": {
                "uvicorn.access": {"filters": ["people"]},
                # What they do at level info is told by the studio's own lines.
                **{name: {"level": "DEBUG" if level == "debug" else "WARNING"} for name in _CHATTY},
                **{name: {"level": "WARNING"} for name in _QUOTING},
            },
        }
    )


_CHATTY = ("alembic", "httpx", "httpx2", "httpcore", "httpcore2", "asyncio", "uvicorn.error")
_QUOTING = ("aiosqlite", "anthropic", "google_genai", "openai")
"""Those that log at level debug whole requests and statements: prompts and answers, which belong in no log."""


class PeopleOnly(logging.Filter):
    """Leaves out the requests of monitoring systems."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Read uvicorn's arguments: client, method, path with query, HTTP version, status code."""
        match record.args:
            case (_, _, str(path), *_):
                return not path.partition("?")[0].startswith(_QUIET)
            case _:
                return True
