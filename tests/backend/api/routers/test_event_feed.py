"""The route of the live feed: server-sent events, as a client of the standard reads them, over a real socket."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AsyncExitStack, contextmanager
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from httpx_sse import ServerSentEvent, aconnect_sse

from app import api
from app.api import EdgeMiddleware
from app.api.keyring import open_keyring
from app.listeners.live_feed import LiveFeed, listen
from app.settings import Settings
from events import access_refused, listener_delivered, tool_called
from tests.support.asgi_server import running_server
from tests.support.limited_server import Served, serving
from tests.support.wait import until

EVENTS = "/api/v1/events"
KEY = "alices-long-key-0001"
TOOL: dict[str, Any] = {"tool_name": "search", "status": "success", "duration": 0.1}


@pytest.fixture
async def feed() -> AsyncIterator[LiveFeed]:
    async with listen(Settings(live_clients=3)) as opened:
        yield opened


@pytest.fixture
def app(feed: LiveFeed) -> FastAPI:
    created = FastAPI()
    api.include(created)
    created.state.live_feed = feed
    return created


@pytest.fixture
async def served(app: FastAPI) -> AsyncIterator[Served]:
    async with serving(app) as running:
        yield running


@pytest.fixture
async def client(served: Served) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{served.port}", timeout=30) as opened:
        yield opened


@pytest.fixture
async def streams(client: httpx.AsyncClient) -> AsyncIterator[Any]:
    """Return a function that opens a stream, and returns what yields its messages."""
    async with AsyncExitStack() as stack:

        async def open_stream(**options: Any) -> AsyncIterator[ServerSentEvent]:
            source = await stack.enter_async_context(aconnect_sse(client, "GET", EVENTS, **options))
            source.response.raise_for_status()
            return source.aiter_sse()

        yield open_stream


async def emit_tools(count: int) -> None:
    """Emit events, and wait until the feed has them."""
    with listener_delivered.captured() as delivered:
        for _ in range(count):
            tool_called.emit(**TOOL)
        await until(lambda: sum(event.count for event in delivered) == count)


async def next_events(stream: AsyncIterator[ServerSentEvent], count: int) -> list[ServerSentEvent]:
    async with asyncio.timeout(30):
        return [await anext(stream) for _ in range(count)]


async def test_a_client_follows_what_happens(feed: LiveFeed, streams: Any) -> None:
    stream = await streams()
    tool_called.emit(**TOOL, run_id="r1")
    status, event = await next_events(stream, 2)
    assert (status.event, status.retry) == ("status", 2000)
    assert status.json() == {"resumed": False, "missed": 0, "reach": "process", "processes": 1}
    assert (event.event, event.id) == ("message", f"{feed.process}-1")
    assert event.json() | {"time": 0.0} == {
        "schema": 1,
        "signal": "tool_called",
        "time": 0.0,
        "fields": {**TOOL, "run_id": "r1"},
        "process": feed.process,
    }


async def test_a_client_may_ask_for_signals_a_run_and_a_workflow(streams: Any) -> None:
    stream = await streams(
        params={"signal": ["tool_called", "llm_called"], "run_id": "r1", "workflow_type": "campaign"}
    )
    tool_called.emit(**TOOL, run_id="r2", workflow_type="campaign")
    tool_called.emit(**TOOL, run_id="r1", workflow_type="campaign")
    _, event = await next_events(stream, 2)
    assert event.json()["fields"]["run_id"] == "r1"


@pytest.mark.parametrize("by", ["header", "query"])
async def test_a_client_resumes_after_the_event_that_it_names(feed: LiveFeed, streams: Any, by: str) -> None:
    await emit_tools(3)
    last = f"{feed.process}-2"
    options = {"headers": {"Last-Event-ID": last}, "params": {"last_event_id": "0"}}
    stream = await streams(**(options if by == "header" else {"params": {"last_event_id": last}}))
    status, event = await next_events(stream, 2)
    assert status.json()["resumed"] is True
    assert event.id == f"{feed.process}-3"


async def test_a_client_may_ask_for_all_that_is_kept(feed: LiveFeed, streams: Any) -> None:
    await emit_tools(300)
    stream = await streams(params={"last_event_id": "0"})
    _, *all_events = await next_events(stream, 301)
    assert [event.id for event in all_events] == [f"{feed.process}-{number}" for number in range(1, 301)]


async def test_the_numbers_come_where_they_are_asked_for(app: FastAPI, streams: Any) -> None:
    class Numbers:
        @contextmanager
        def watch(self) -> Iterator[None]:
            yield

        def current(self) -> Mapping[str, Any]:
            return {"time": 1.5}

    app.state.live_numbers = Numbers()
    _, numbers = await next_events(await streams(params={"numbers": "1"}), 2)
    assert (numbers.event, numbers.json(), numbers.id) == ("numbers", {"time": 1.5}, "")


async def test_numbers_that_there_are_none_of_are_no_error(streams: Any) -> None:
    [status] = await next_events(await streams(params={"numbers": "1"}), 1)
    assert status.event == "status"


@pytest.mark.parametrize(
    "params",
    [{"signal": "tool_caled"}, {"signal": "query_executed"}, {"run_id": "x" * 65}, {"last_event_id": "1" * 65}],
)
async def test_what_cannot_be_asked_for_is_refused(client: httpx.AsyncClient, params: dict[str, str]) -> None:
    answer = await client.get(EVENTS, params=params)
    assert answer.status_code == 422
    assert answer.json()["detail"][0]["loc"][1] == next(iter(params))


async def test_more_clients_than_may_be_are_told_to_come_back(
    feed: LiveFeed, client: httpx.AsyncClient, streams: Any
) -> None:
    for _ in range(3):
        await streams()
    answer = await client.get(EVENTS)
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
    assert "SPARKLIO_LIVE_CLIENTS" in answer.json()["detail"]


async def test_a_client_that_goes_away_leaves_its_place(feed: LiveFeed, client: httpx.AsyncClient) -> None:
    async with aconnect_sse(client, "GET", EVENTS) as source:
        await next_events(source.aiter_sse(), 1)
        assert feed.is_watched
    await until(lambda: not feed.is_watched)


async def test_a_stream_ends_well_when_the_process_stops(
    feed: LiveFeed, client: httpx.AsyncClient, streams: Any
) -> None:
    stream = await streams()
    await next_events(stream, 1)
    feed.close()
    with pytest.raises(StopAsyncIteration):
        await next_events(stream, 1)
    answer = await client.get(EVENTS)
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")


@pytest.mark.slow
async def test_a_stream_ends_well_when_uvicorn_stops_by_itself(app: FastAPI, feed: LiveFeed) -> None:
    """It tells the responses, since nobody calls the feed then."""
    async with httpx.AsyncClient(timeout=30) as client, AsyncExitStack() as server:
        url = await server.enter_async_context(running_server(app))
        async with aconnect_sse(client, "GET", f"{url}{EVENTS}") as source:
            stream = source.aiter_sse()
            await next_events(stream, 1)
            stopping = asyncio.create_task(server.aclose())
            with pytest.raises(StopAsyncIteration):
                await next_events(stream, 1)
        await stopping
    assert not feed.is_watched


async def test_without_a_feed_there_is_none(app: FastAPI, client: httpx.AsyncClient) -> None:
    app.state.live_feed = None
    answer = await client.get(EVENTS)
    assert answer.status_code == 404
    assert "SPARKLIO_LIVE" in answer.json()["detail"]


async def test_keys_and_hosts_hold_for_the_feed(app: FastAPI) -> None:
    keyring = open_keyring(Settings(api_keys=f"alice:{KEY}"))
    app.add_middleware(EdgeMiddleware, hosts=[], keyring=keyring, max_body=1000, receive_timeout=10.0)
    async with (
        serving(app) as served,
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{served.port}", timeout=30) as client,
    ):
        with access_refused.captured() as refused:
            assert (await client.get(EVENTS)).status_code == 401
            assert (await client.get(EVENTS, headers={"host": "evil.example"})).status_code == 421
        assert [event.reason for event in refused] == ["key", "host"]
        async with aconnect_sse(client, "GET", EVENTS, headers={"Authorization": f"Bearer {KEY}"}) as source:
            [status] = await next_events(source.aiter_sse(), 1)
            headers = source.response.headers
        assert status.event == "status"
        assert headers["cache-control"] == "no-store"
        assert headers["x-accel-buffering"] == "no"
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cross-origin-resource-policy"] == "same-origin"


def test_the_feed_is_described(app: FastAPI) -> None:
    operation = app.openapi()["paths"][EVENTS]["get"]
    assert operation["operationId"] == "follow_events"
    assert set(operation["responses"]) == {"200", "401", "404", "421", "422", "503"}
    assert set(operation["responses"]["200"]["content"]) == {"text/event-stream"}
    names = {parameter["name"]: parameter for parameter in operation["parameters"]}
    assert set(names) == {
        "signal", "run_id", "workflow_type", "numbers", "last_event_id", "Last-Event-ID",
    }  # fmt: skip
    assert "tool_called" in json.dumps(names["signal"])
