"""Logging: one plain line a record, on standard error."""

from __future__ import annotations

import logging
import logging.config
import re
import traceback
from collections.abc import Iterator
from typing import Any

from events.bus.log_throttle import LogThrottle

_MONITORING_PATHS = ("/metrics", "/health")  # requested every few seconds by monitoring systems


_LINE = "%(asctime)s %(levelname)s %(name)s: %(message)s"
_LINE_OF_MANY = "%(asctime)s %(levelname)s %(name)s[%(process)d]: %(message)s"


def configure(level: str, *, show_process: bool = False) -> None:
    """Configure logging for the whole process.

    Args:
        level: What is logged at least.
        show_process: Whether each line has the id of its process, as where several write to one log.
    """
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "formatters": {"line": {"()": PrivateFormatter, "fmt": _LINE_OF_MANY if show_process else _LINE}},
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
_QUOTING = ("aiosqlite", "anthropic", "google_genai", "openai", "psycopg", "sse_starlette")
"""Loggers that at level debug quote whole requests, answers and statements: they belong in no log."""


_DRIVER_TEXT = re.compile(
    r"(\((?:psycopg|sqlite3|aiosqlite)[\w.]*\)) .*?(?=\s*\[SQL:|\s*\(Background on|\Z)", re.DOTALL
)
# A URL with the user's part and the query. A password may have any character but an @.
_URL = re.compile(
    r"""(\b[a-z][a-z0-9+.-]{0,40}://)(?:[^\s:/@"'<>]*(?::[^\s@"'<>]*)?@)?([^\s?"'<>]*)(\?[^\s"'<>)]*)?""", re.IGNORECASE
)


class PrivateFormatter(logging.Formatter):
    """A formatter that leaves out what exceptions say: they quote values, such as briefs, answers and keys.

    Of a traceback it keeps places and classes. Of an error of SQLAlchemy's in a message it drops the driver's text:
    PostgreSQL's quotes the row that fails. Of a URL it keeps what is between the user's part and the query.
    """

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's name
        """Return the line of a record."""
        record.message = _DRIVER_TEXT.sub(r"\1", record.message)
        if "://" in record.message:
            record.message = _URL.sub(_public_part, record.message)
        return super().formatMessage(record)

    def formatException(self, ei: Any) -> str:  # noqa: N802 - logging's name
        """Return the traceback of an exception and of those that led to it, without their messages."""
        return "\n".join(_describe(ei[1], set())) if ei[1] is not None else ""


def _public_part(url: re.Match[str]) -> str:
    return f"{url[1]}{url[2]}{'?...' if url[3] else ''}"


def _describe(error: BaseException, seen: set[int]) -> Iterator[str]:
    seen.add(id(error))
    before = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    if before is not None and id(before) not in seen:
        yield from _describe(before, seen)
        yield "which led to:"
    yield "Traceback (most recent call last):"
    yield "".join(traceback.format_tb(error.__traceback__)).rstrip()
    yield f"{type(error).__module__}.{type(error).__qualname__}"
    if isinstance(error, BaseExceptionGroup):
        for number, inner in enumerate(error.exceptions, 1):
            if id(inner) not in seen:
                yield f"of which number {number}:"
                yield from _describe(inner, seen)


class AccessLogFilter(logging.Filter):
    """A filter of uvicorn's access log that drops requests of monitoring systems, and what is asked for in a query."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether to log a record, whose arguments are client, method, path with query, HTTP version, status."""
        match record.args:
            case (client, method, str(target), *rest):
                path = target.partition("?")[0]
                record.args = (client, method, path, *rest)
                return not path.startswith(_MONITORING_PATHS)
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
