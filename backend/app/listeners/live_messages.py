"""The messages of the live feed, as server-sent events: an event, the status that a stream opens with, the numbers.

Source: https://html.spec.whatwg.org/multipage/server-sent-events.html (``id``, ``event``, ``retry``)
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sse_starlette import JSONServerSentEvent

from events.bus.records import Record


def event_message(event_id: str, process: str, record: Record) -> bytes:
    """Return the message of an event, with the process that emitted it."""
    return JSONServerSentEvent({**record, "process": process}, id=event_id).encode()


def status_message(status: Mapping[str, Any], retry: int | None = None) -> bytes:
    """Return the message about the feed itself; ``retry``: milliseconds until a client that was lost comes back."""
    return JSONServerSentEvent(status, event="status", retry=retry).encode()


def numbers_message(numbers: Mapping[str, Any]) -> bytes:
    """Return the message of the numbers that a client gets once a second."""
    return JSONServerSentEvent(numbers, event="numbers").encode()
