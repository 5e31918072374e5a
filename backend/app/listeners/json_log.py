"""The event log: a line of JSON for each event, with its ids and what it happened in, for programs that collect logs.

A line is a record (`events.bus.records`), which has no prompt, no answer and no secret, with a few names on top that
such programs look for: ``timestamp``, ``level``, ``pid``, and the run, the workflow and the agent that it happened
in, whether the event has them or not. ``python -m metrics replay`` plays such a file as well.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import AsyncGenerator, Collection
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from functools import partial
from json import dumps
from pathlib import Path
from typing import Any

import structlog

from events.bus.log_throttle import LogThrottle
from events.bus.records import MAX_TEXT, Record
from events.bus.scope import get_effective_scope
from events.bus.signal import Signal

from .line_file import LineFile
from .record_queue import NO_CONTEXT, Batch, RecordQueue, Taken
from .signals import STORY, connected

log = logging.getLogger("app")

NAME = "json_log"
CONTEXT = ("run_id", "workflow_type", "agent_name", "execution_id")
"""What an event happened in; all of it is among the fields of records."""

STANDARD_ERROR = "-"
FLUSH_SECONDS = 2.0
"""How long a stop waits for lines to be written."""

_TROUBLE = frozenset({"error", "failed", "timeout", "abandoned", "rejected", "rate_limited", "server_error"})
_TROUBLE_SIGNALS = frozenset(
    {"receiver_failed", "event_dropped", "setup_fault_found", "limit_reached", "access_refused"}
)


@asynccontextmanager
async def listen(target: str, signals: Collection[Signal[..., Any]] = STORY) -> AsyncGenerator[None]:
    """Write a line for each event while the block runs, and those that wait at its end.

    Args:
        target: The name of a file, or ``-`` for standard error.
        signals: Whose events are written.
    """
    listener = JsonLog(None if target == STANDARD_ERROR else Path(target))
    try:
        with connected(listener, signals):
            yield
    finally:
        await asyncio.to_thread(listener.close)


class JsonLog:
    """A receiver that writes events as lines of JSON, in a thread of its own.

    Args:
        file: Where to; None for standard error.
        size: How many lines may wait to be written.
    """

    def __init__(self, file: Path | None, size: int = 10_000) -> None:
        self.__qualname__ = NAME  # how a failure names it
        self._name = "standard error" if file is None else str(file)
        self._file = LineFile(file)
        self._lines: list[bytes] = []
        self._log = make_logger(self._lines, pid=os.getpid())
        self._throttle = LogThrottle()
        self._queue = RecordQueue(NAME, self._write, size=size, batch=500, gather=0.05)

    def __call__(self, event: Any) -> None:
        """Take an event; it is written a moment later."""
        scope = get_effective_scope()
        self._queue.put(event, NO_CONTEXT if scope is None else scope.fields)

    def close(self, within: float = FLUSH_SECONDS) -> None:
        """Write what waits, within so many seconds, and close the file; it blocks meanwhile."""
        if self._queue.close(within):
            self._file.close()  # a thread that hangs in a write has it still

    def _write(self, batch: Batch) -> None:
        self._lines.clear()
        for taken in batch:
            record = taken.record
            self._log.log(level_of(record), record["signal"], **context_of(taken), record=record)
        written, error = self._file.write(self._lines)
        self._queue.count("delivered", written)
        if error is not None:
            self._queue.count("failed", len(batch) - written)
            if self._throttle.is_due("write"):
                log.warning("the event log cannot be written to %s: %s", self._name, error.strerror)


def context_of(taken: Taken) -> dict[str, Any]:
    """Return what an event happened in, as it says itself, else as the scope does that it was emitted in."""
    fields, around = taken.record["fields"], taken.context
    return {name: value for name in CONTEXT if (value := fields.get(name) or text_of(around.get(name)))}


def text_of(value: Any) -> str:
    """Return a value that a scope has as a record would have it."""
    return "" if value is None else str(value)[:MAX_TEXT]


def level_of(record: Record) -> int:
    """Return the level of a line: warning where the event tells of trouble."""
    fields = record["fields"]
    how = {fields.get(name) for name in ("status", "outcome", "verdict")}
    is_trouble = record["signal"] in _TROUBLE_SIGNALS or not _TROUBLE.isdisjoint(how) or fields.get("up") is False
    return logging.WARNING if is_trouble else logging.INFO


def make_logger(lines: list[bytes], **values: Any) -> Any:
    """Return a logger of structlog's that appends each line to a list; ``values`` are in every line."""
    return structlog.wrap_logger(
        LineList(lines),
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.EventRenamer("signal"),
            take_apart,
            structlog.processors.JSONRenderer(partial(dumps, separators=(",", ":"), allow_nan=False)),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.NOTSET),
        context_class=dict,
        cache_logger_on_first_use=True,
        **values,
    )


def take_apart(_logger: Any, _method: str, line: Any) -> Any:
    """Return a line with its record's parts in it, and the time as people read it."""
    record = line.pop("record")
    moment = datetime.fromtimestamp(record["time"], UTC).isoformat(timespec="milliseconds")
    timestamp = moment.replace("+00:00", "Z")
    return {"timestamp": timestamp, "level": line.pop("level"), "signal": line.pop("signal"), **line, **record}


class LineList:
    """The logger that structlog writes to: a list of lines."""

    def __init__(self, lines: list[bytes]) -> None:
        self._lines = lines

    def info(self, line: str) -> None:
        """Append a line."""
        self._lines.append(line.encode() + b"\n")

    warning = info
