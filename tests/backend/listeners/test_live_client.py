"""A client of the live feed gets what it asked for, in order; one that does not read gets no more."""

from __future__ import annotations

import asyncio

import pytest

from app.listeners.live_buffer import EventBuffer
from app.listeners.live_client import CHUNK_BYTES, QUEUE_SIZE, FeedClient, Wanted
from events.bus.records import Record


def record(signal: str = "tool_called", **fields: str) -> Record:
    return {"schema": 1, "signal": signal, "time": 1.5, "fields": {**fields}}


@pytest.mark.parametrize(
    ("wanted", "taken"),
    [
        (Wanted(), True),
        (Wanted(signals=frozenset({"tool_called", "llm_called"})), True),
        (Wanted(signals=frozenset({"llm_called"})), False),
        (Wanted(run_id="r1"), True),
        (Wanted(run_id="r2"), False),
        (Wanted(workflow_type="campaign"), True),
        (Wanted(workflow_type="brand_identity"), False),
        (Wanted(signals=frozenset({"tool_called"}), run_id="r1", workflow_type="campaign"), True),
        (Wanted(signals=frozenset({"tool_called"}), run_id="r1", workflow_type="other"), False),
    ],
)
def test_a_client_takes_what_meets_every_condition(wanted: Wanted, taken: bool) -> None:
    assert wanted.takes(record(run_id="r1", workflow_type="campaign")) is taken


def test_an_event_of_no_run_is_none_of_a_runs() -> None:
    assert not Wanted(run_id="r1").takes(record("http_request_finished"))
    assert not Wanted(workflow_type="campaign").takes(record("http_request_finished"))


async def read(client: FeedClient) -> list[bytes]:
    """Return the messages of a client that has ended."""
    return [chunk async for chunk in client.messages()]


async def test_what_was_missed_comes_before_what_is_new() -> None:
    buffer = EventBuffer("p", 10)
    missed = [buffer.add(record(run_id=run)) for run in ("r1", "r2", "r1")]
    client = FeedClient(Wanted(run_id="r1"), b"first", missed)
    assert client.put(b"new")
    client.end()
    assert await read(client) == [b"first", missed[0].message + missed[2].message + b"new"]


async def test_a_client_waits_for_news() -> None:
    client = FeedClient(Wanted(), b"first")
    messages = client.messages()
    assert await anext(messages) == b"first"
    following = asyncio.ensure_future(anext(messages))
    await asyncio.sleep(0)
    assert not following.done()
    client.put(b"one")
    client.put(b"two")
    assert await following == b"onetwo"


async def test_messages_that_wait_are_sent_together_up_to_a_size() -> None:
    client = FeedClient(Wanted(), b"first")
    for _ in range(10):
        client.put(b"x" * (CHUNK_BYTES // 4))
    client.end()
    assert [len(chunk) * 4 // CHUNK_BYTES for chunk in (await read(client))[1:]] == [4, 4, 2]


async def test_others_have_their_turn_while_a_client_gets_what_it_missed() -> None:
    """And it ends where the client is gone: what is written to a lost connection fills asyncio's log."""
    client = FeedClient(Wanted(), b"first")
    for _ in range(20):
        client.put(b"x" * CHUNK_BYTES)
    reading = asyncio.ensure_future(read(client))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading


async def test_a_client_that_does_not_read_gets_no_more() -> None:
    """What waited for it is gone: it resumes from the buffer."""
    buffer = EventBuffer("p", 10)
    client = FeedClient(Wanted(), b"first", [buffer.add(record())])
    assert all(client.put(b"x") for _ in range(QUEUE_SIZE))
    assert not client.put(b"x")
    assert client.put(b"x")  # it is no news again
    assert await read(client) == [b"first"]


async def test_the_messages_that_wait_at_the_end_are_sent() -> None:
    client = FeedClient(Wanted(), b"first")
    client.put(b"last")
    client.end()
    client.put(b"too late")
    assert await read(client) == [b"first", b"last"]
