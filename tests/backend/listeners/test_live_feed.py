"""The live feed passes on what happens to whoever follows it, and what it cannot pass on is counted."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import contextmanager
from threading import Thread
from typing import Any

import pytest

import events
from app.listeners import live_intake
from app.listeners.live_client import QUEUE_SIZE, Wanted
from app.listeners.live_feed import FeedUnavailable, LiveFeed, listen
from app.listeners.live_presence import Reach
from app.listeners.signals import STORY
from app.settings import Settings
from events import agent_run, feed_clients_read, limit_reached, listener_delivered, tool_called
from events.bus.pollers import run_pollers
from tests.support.following import Following
from tests.support.wait import until

TOOL: dict[str, Any] = {"tool_name": "search", "status": "success", "duration": 0.1}


@pytest.fixture
async def feed() -> AsyncIterator[LiveFeed]:
    async with listen(Settings(live_clients=3, live_buffer=10)) as opened:
        yield opened


async def test_an_event_is_passed_on_as_a_record_with_the_process_that_emitted_it(feed: LiveFeed) -> None:
    following = Following(feed.join(Wanted()))
    with agent_run(agent_name="writer", task="Sell my earbuds"):
        tool_called.emit(**TOOL)
    await until(lambda: len(following.records) == 3)
    assert following.signals == ["agent_started", "tool_called", "agent_finished"]
    assert [key for key, _ in following.records] == [f"{feed.process}-{number}" for number in (1, 2, 3)]
    assert all(record["process"] == feed.process for _, record in following.records)
    assert following.records[1][1]["fields"]["agent_name"] == "writer"
    assert "earbuds" not in json.dumps(following.records)


async def test_events_of_other_threads_are_passed_on_with_the_time_at_which_they_were_emitted(feed: LiveFeed) -> None:
    following = Following(feed.join(Wanted()))

    def emit() -> None:
        for number in range(50):
            tool_called.emit(**{**TOOL, "tool_name": f"{number}"})

    threads = [Thread(target=emit) for _ in range(3)]
    for thread in threads:
        thread.start()
    await until(lambda: len(following.records) == 150)
    times = [record["time"] for _, record in following.records]
    assert max(times) - min(times) < 25  # not that of the batch; a slow machine may pause
    names = Counter(record["fields"]["tool_name"] for _, record in following.records)
    assert set(names.values()) == {3}


async def test_a_client_gets_the_events_that_it_asked_for(feed: LiveFeed) -> None:
    following = Following(feed.join(Wanted(signals=frozenset({"tool_called"}), run_id="r1")))
    tool_called.emit(**TOOL, run_id="r2")
    tool_called.emit(**TOOL, run_id="r1")
    limit_reached.emit(limit="connections")
    everything = Following(feed.join(Wanted(), "0"))
    await until(lambda: len(everything.records) == 3)
    assert [record["fields"]["run_id"] for _, record in following.records] == ["r1"]


async def test_the_first_message_says_how_the_stream_begins(feed: LiveFeed) -> None:
    following = Following(feed.join(Wanted()))
    await until(lambda: following.status)
    assert following.status == [{"resumed": False, "missed": 0, "reach": "process", "processes": 1}]


async def test_a_client_comes_back_to_what_it_missed(feed: LiveFeed) -> None:
    first = Following(feed.join(Wanted()))
    tool_called.emit(**TOOL)
    await until(lambda: first.records)
    feed.leave(first.client)
    for _ in range(11):
        tool_called.emit(**TOOL)
    watching = Following(feed.join(Wanted()))
    await until(lambda: len(watching.records) == 11)
    again = Following(feed.join(Wanted(), first.records[0][0]))
    await until(lambda: len(again.records) == 10)
    assert again.status[0]["resumed"] is True
    assert again.status[0]["missed"] == 1
    assert again.records == watching.records[1:]


async def test_a_change_of_reach_is_told_with_what_was_said_of_the_begin(feed: LiveFeed) -> None:
    following = Following(feed.join(Wanted(), "gone-3"))
    feed.set_reach(Reach("workers", 2))
    feed.set_reach(Reach("workers", 2))
    await until(lambda: len(following.status) == 2)
    assert following.status[1] == {"resumed": False, "missed": None, "reach": "workers", "processes": 2}


async def test_a_client_that_does_not_read_is_left_behind_and_counted(feed: LiveFeed) -> None:
    idle = feed.join(Wanted())
    reading = Following(feed.join(Wanted()))
    with limit_reached.captured() as reached:
        for _ in range(QUEUE_SIZE + 1):
            tool_called.emit(**TOOL)
        await until(lambda: reached)
    await until(lambda: len(reading.records) == QUEUE_SIZE + 2)
    assert [event.limit for event in reached] == ["live_queue"]
    assert reading.signals[-1] == "limit_reached"
    with feed_clients_read.captured() as read:
        run_pollers()
    assert [event.clients for event in read] == [1]
    assert [message async for message in idle.messages()][1:] == []


async def test_a_burst_is_passed_on_to_those_who_read(feed: LiveFeed) -> None:
    """Ten times as many events as may wait for a client, all at once."""
    following = Following(feed.join(Wanted()))
    with limit_reached.captured() as reached, listener_delivered.captured() as delivered:
        for _ in range(10 * QUEUE_SIZE):
            tool_called.emit(**TOOL)
        await until(lambda: len(following.records) == 10 * QUEUE_SIZE)
    assert reached == []
    assert sum(event.count for event in delivered if event.outcome == "delivered") == 10 * QUEUE_SIZE
    assert len(following.records) == len({key for key, _ in following.records})


async def test_events_without_room_are_dropped_and_counted(feed: LiveFeed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live_intake, "MAX_WAITING", 50)
    with listener_delivered.captured() as delivered:
        for _ in range(80):
            tool_called.emit(**TOOL)
        await until(lambda: sum(event.count for event in delivered) == 80)
    assert {(event.listener, event.outcome, event.count) for event in delivered} == {
        ("live_feed", "delivered", 50),
        ("live_feed", "dropped", 30),
    }


async def test_a_flood_of_several_threads_is_counted_event_by_event(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live_intake, "MAX_WAITING", 500)

    def flood() -> None:
        for _ in range(2_000):
            tool_called.emit(**TOOL)

    with listener_delivered.captured() as delivered:
        async with listen(Settings()):
            await asyncio.gather(*(asyncio.to_thread(flood) for _ in range(4)))
    counts = Counter[str]()
    for event in delivered:
        counts[event.outcome] += event.count
    assert counts["dropped"] > 0
    assert counts.total() == 8_000


async def test_more_clients_than_may_be_are_refused_and_counted(feed: LiveFeed) -> None:
    clients = [feed.join(Wanted()) for _ in range(3)]
    with limit_reached.captured() as reached, pytest.raises(FeedUnavailable, match="full"):
        feed.join(Wanted())
    assert [event.limit for event in reached] == ["live_clients"]
    feed.leave(clients[0])
    feed.leave(clients[0])
    feed.join(Wanted())


async def test_the_streams_end_when_the_process_stops(feed: LiveFeed) -> None:
    following = Following(feed.join(Wanted()))
    feed.close()
    await until(lambda: following.has_ended)
    with pytest.raises(FeedUnavailable, match="stopping"):
        feed.join(Wanted())


async def test_the_last_events_are_counted_when_the_feed_ends() -> None:
    with listener_delivered.captured() as delivered:
        async with listen(Settings()):
            tool_called.emit(**TOOL)
    assert [(event.outcome, event.count) for event in delivered] == [("delivered", 1)]


async def test_the_gauge_of_clients_ends_with_the_feed() -> None:
    with feed_clients_read.captured() as read:
        async with listen(Settings()) as feed:
            feed.join(Wanted())
            run_pollers()
        run_pollers()
    assert [event.clients for event in read] == [1, None]


class Numbers:
    """Numbers that count how often they were asked for, and who looks at them."""

    def __init__(self) -> None:
        self.asked = 0
        self.watchers = 0

    @contextmanager
    def watch(self) -> Iterator[None]:
        self.watchers += 1
        try:
            yield
        finally:
            self.watchers -= 1

    def current(self) -> Mapping[str, Any]:
        self.asked += 1
        return {"time": self.asked}


async def test_the_numbers_are_asked_for_once_for_all_clients_while_one_wants_them(feed: LiveFeed) -> None:
    numbers = Numbers()
    plain = Following(feed.join(Wanted()))
    clients = [Following(feed.join(Wanted(), numbers=numbers)) for _ in range(2)]
    await until(lambda: all(client.numbers for client in clients))
    assert numbers.watchers == 1
    assert [client.numbers[0] for client in clients] == [{"time": 1}, {"time": 1}]
    assert plain.numbers == []
    for client in clients:
        feed.leave(client.client)
    await until(lambda: numbers.watchers == 0)


@pytest.mark.lenient
async def test_numbers_that_fail_are_reported_and_the_events_go_on(feed: LiveFeed) -> None:
    class Failing(Numbers):
        def current(self) -> Mapping[str, Any]:
            raise LookupError

    following = Following(feed.join(Wanted(), numbers=Failing()))
    with events.receiver_failed.captured() as failed:
        await until(lambda: failed)
    tool_called.emit(**TOOL)
    await until(lambda: "tool_called" in following.signals)
    assert [(event.receiver, event.error) for event in failed] == [("live_feed", "LookupError")]


def test_the_story_has_no_statements_and_nothing_that_a_scrape_reads() -> None:
    names = {signal.name for signal in STORY}
    assert len(names) == len(STORY)
    assert {"workflow_started", "agent_finished", "llm_called", "http_request_finished"} <= names
    assert not [name for name in names if name.endswith("_read") or name.startswith(("query_", "connection_"))]
