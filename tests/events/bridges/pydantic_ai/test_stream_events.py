"""The events of a provider's stream as its consumer reads them: whether any came, and how they ended."""

from __future__ import annotations

from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import pytest

from events.bridges.pydantic_ai import stream_events
from events.bridges.pydantic_ai.stream_events import StreamEvents

PIECE = SimpleNamespace(delta=SimpleNamespace(content_delta="ab"))


class Ends:
    """What was told of the end of a stream's events."""

    def __init__(self) -> None:
        self.errors: list[BaseException | None] = []

    def __call__(self, _stream: Any, error: BaseException | None) -> None:
        self.errors.append(error)


async def pieces(*, error: BaseException | None = None) -> AsyncIterator[Any]:
    yield PIECE
    yield PIECE
    if error is not None:
        raise error


def tracked(events: StreamEvents, ends: Ends, **options: Any) -> Any:
    return events._track(pieces(**options), None, ends)  # type: ignore[arg-type]  # it is only passed on


async def test_events_that_are_read_to_their_end_end_once() -> None:
    events, ends = StreamEvents(), Ends()
    reader = tracked(events, ends)
    assert (events.has_any, events.token_times.first_at) == (False, None)
    assert await anext(reader) is PIECE
    assert (events.has_any, events.token_times.first_at is None, ends.errors) == (True, False, [])
    assert [each async for each in reader] == [PIECE]
    assert (ends.errors, events.interruption, events.ended_at) == ([None], None, None)


async def test_an_error_of_the_provider_ends_them() -> None:
    events, ends, error = StreamEvents(), Ends(), LookupError()
    with pytest.raises(LookupError):
        [each async for each in tracked(events, ends, error=error)]
    assert (ends.errors, events.interruption, events.ended_at) == ([error], None, None)


async def test_a_consumer_that_leaves_interrupts_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who did it, and why, is known when the stream is closed."""
    monkeypatch.setattr(stream_events, "perf_counter", lambda: 7.0)
    events, ends = StreamEvents(), Ends()
    reader = tracked(events, ends)
    await anext(reader)
    await reader.aclose()
    assert (ends.errors, type(events.interruption), events.ended_at) == ([], GeneratorExit, 7.0)


def test_the_events_of_a_call_end_as_those_of_its_attempt() -> None:
    events = StreamEvents()
    assert (events.are_tracked, events.ended_at) == (False, None)
    events.end_as(5.0, 2.0)
    assert (events.ended_at, events.pause_seconds()) == (5.0, 2.0)
