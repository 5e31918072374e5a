"""The notifications by which processes tell each other of events, and that they are there: JSON in ASCII."""

from __future__ import annotations

import json
from collections import deque
from dataclasses import dataclass
from typing import Any

from events.bus.records import Record

from .live_buffer import FeedEvent

MAX_PAYLOAD = 7_900
"""Bytes of a notification; PostgreSQL takes less than 8,000."""

_ENVELOPE = 100  # bytes around the events


@dataclass(frozen=True)
class Announcement:
    """A process is there.

    Attributes:
        process: Its id.
        host: The id of its host.
        watched: Whether it has clients.
    """

    process: str
    host: str
    watched: bool

    def to_json(self) -> str:
        """Return it as a notification has it."""
        return json.dumps({"process": self.process, "host": self.host, "watched": self.watched})


@dataclass(frozen=True)
class Batch:
    """Events of a process, each with its number there."""

    process: str
    events: tuple[tuple[int, Record], ...]


@dataclass(frozen=True)
class Packed:
    """Events that were packed into a notification.

    Attributes:
        payload: The notification; empty where no event fits.
        packed: How many are in it.
        left_out: How many no notification can have.
    """

    payload: str
    packed: int
    left_out: int


def pack(process: str, waiting: deque[FeedEvent]) -> Packed:
    """Pack events that wait, as many as fit into one notification, and remove them."""
    texts: list[str] = []
    room, left_out = MAX_PAYLOAD - _ENVELOPE, 0
    while waiting:
        text = json.dumps([waiting[0].number, waiting[0].record], separators=(",", ":"))
        if len(text) >= MAX_PAYLOAD - _ENVELOPE:
            left_out += 1
        elif len(text) >= room:
            break
        else:
            room -= len(text) + 1
            texts.append(text)
        waiting.popleft()
    payload = f'{{"process":{json.dumps(process)},"events":[{",".join(texts)}]}}' if texts else ""
    return Packed(payload, len(texts), left_out)


def parse(payload: str) -> Announcement | Batch | None:
    """Return what a notification says; None where no process of this program can have sent it."""
    try:
        message = json.loads(payload)
        process = str(message["process"])
        if "events" not in message:
            return Announcement(process, str(message["host"]), bool(message["watched"]))
        return Batch(process, tuple((int(number), _checked(record)) for number, record in message["events"]))
    except (ValueError, TypeError, KeyError, OverflowError, RecursionError):
        return None


def _checked(record: Any) -> Record:
    """Return a record of another process.

    Raises:
        TypeError: It is none.
    """
    if not isinstance(record["signal"], str) or not isinstance(record["fields"], dict):
        raise TypeError("no record")
    return Record(
        schema=int(record["schema"]), signal=record["signal"], time=float(record["time"]), fields=record["fields"]
    )
