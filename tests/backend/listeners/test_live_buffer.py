"""The buffer of the live feed gives a client that comes back what it missed, and says how much it could not give."""

from __future__ import annotations

import json

import pytest

from app.listeners.live_buffer import EventBuffer, Resumption
from events.bus.records import Record


def record(number: int = 0) -> Record:
    return {"schema": 1, "signal": "tool_called", "time": 1.5, "fields": {"tool_name": f"tool {number}"}}


@pytest.fixture
def buffer() -> EventBuffer:
    """A buffer for five events that has had eight."""
    made = EventBuffer("here", 5)
    for number in range(1, 9):
        made.add(record(number))
    return made


def numbers(resumption: Resumption) -> list[int]:
    return [event.number for event in resumption.events]


def test_an_event_is_a_message_with_its_id_and_its_process() -> None:
    event = EventBuffer("here", 5).add(record(3))
    id_line, data_line, *rest = event.message.decode().split("\r\n")
    assert id_line == "id: here-1"
    assert json.loads(data_line.removeprefix("data: ")) == {**record(3), "process": "here"}
    assert rest == ["", ""]


def test_a_client_gets_what_came_after_the_event_that_it_has(buffer: EventBuffer) -> None:
    found = buffer.since("here-6")
    assert (numbers(found), found.resumed, found.missed) == ([7, 8], True, 0)


def test_a_client_that_has_the_last_event_gets_none(buffer: EventBuffer) -> None:
    found = buffer.since("here-8")
    assert (numbers(found), found.resumed, found.missed) == ([], True, 0)


@pytest.mark.parametrize(("last", "missed"), [("here-3", 0), ("here-2", 1), ("here-1", 2), ("here-0", 3)])
def test_what_the_buffer_has_no_more_is_counted(buffer: EventBuffer, last: str, missed: int) -> None:
    found = buffer.since(last)
    assert (numbers(found), found.resumed, found.missed) == ([4, 5, 6, 7, 8], True, missed)


@pytest.mark.parametrize(
    "last", ["there-7", "here-9", "here-x", "here-", "nonsense", "", "here--1", "here-" + "9" * 50]
)
def test_a_client_with_an_unknown_event_gets_all_that_there_are(buffer: EventBuffer, last: str) -> None:
    """As after a restart: all of them may be new to it."""
    found = buffer.since(last)
    assert (numbers(found), found.resumed, found.missed) == ([4, 5, 6, 7, 8], False, None)


def test_the_id_zero_asks_for_everything(buffer: EventBuffer) -> None:
    found = buffer.since("0")
    assert (numbers(found), found.resumed, found.missed) == ([4, 5, 6, 7, 8], True, 0)
    assert EventBuffer("here", 5).since("0") == Resumption((), resumed=True, missed=0)


def test_an_event_of_another_process_keeps_its_id_and_can_be_resumed_from() -> None:
    """So a client may come back to any of several workers."""
    buffer = EventBuffer("here", 5)
    buffer.add(record())
    relayed = buffer.add_relayed("there", 70, record())
    buffer.add(record())
    assert (relayed.id, relayed.number, relayed.process) == ("there-70", 2, "there")
    assert numbers(buffer.since("there-70")) == [3]
    assert numbers(buffer.since("here-1")) == [2, 3]
    assert not buffer.since("there-69").resumed


def test_a_buffer_has_a_bound() -> None:
    buffer = EventBuffer("here", 3)
    for number in range(1000):
        buffer.add(record(number))
    assert numbers(buffer.since("0")) == [998, 999, 1000]
