"""Where the time of a request went: its phases add up to it, whatever ran side by side, and are told by endpoint."""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextvars import Context, copy_context
from math import isclose

import httpx
import pytest
import sqlalchemy as sa
from prometheus_client import CollectorRegistry
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

import events
from events import DatabaseUsed, HTTPRequestFinished, HTTPRequestWaited, llm_called, tool_called
from events.bridges.asgi import HTTPEventsMiddleware
from events.bridges.asgi.request import RequestTracker
from events.bridges.asgi_types import Message, Receive, Send
from events.bridges.sqlalchemy import instrument
from events.bus.scope import Scope, current_scope
from events.request_phases import RequestPhases
from metrics import DATABASE, HTTP, subscribe
from tests.support.asgi_apps import receive_nothing, send_nowhere, with_middleware
from tests.support.asgi_server import running_server
from tests.support.wait import until

PAUSE = 0.03  # seconds
HALF = sa.text(f"select pause({PAUSE / 2})")


@pytest.fixture
def engine() -> Iterator[sa.Engine]:
    """Return an engine whose SQLite can wait, as a database that is slow."""
    made = sa.create_engine("sqlite://", poolclass=sa.StaticPool, connect_args={"check_same_thread": False})

    @sa.event.listens_for(made, "connect")
    def add_pause(connection: object, _: object) -> None:
        connection.create_function("pause", 1, time.sleep)  # type: ignore[attr-defined]

    with instrument(made):
        yield made
    made.dispose()


@pytest.fixture
def waited() -> Iterator[list[HTTPRequestWaited]]:
    with events.http_request_waited.captured() as captured:
        yield captured


@pytest.fixture
def used() -> Iterator[list[DatabaseUsed]]:
    with events.database_used.captured() as captured:
        yield captured


async def get(respond: Callable[[Request], Awaitable[Response]], route: str = "/items/{item}") -> None:
    """Send one request for ``/items/1`` to an application that responds so."""
    app = with_middleware(Starlette(routes=[Route(route, respond)]))
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://a") as client:
        await client.get("/items/1")


def ask(engine: sa.Engine) -> None:
    """Have the database work for one pause, half of it in each of two statements."""
    with engine.connect() as connection:
        for _ in range(2):
            connection.execute(HALF).all()


async def call_model() -> None:
    await asyncio.sleep(PAUSE)
    llm_called.emit(model="m", status="success", duration=PAUSE, backoff=0.0)


def total(event: HTTPRequestWaited, request: HTTPRequestFinished) -> float:
    """Return the sum of a request's phases."""
    assert request.self_time is not None
    return event.database_time + event.llm_time + event.tool_time + event.backoff_time + request.self_time


async def test_the_phases_of_a_request_add_up_to_its_duration(
    engine: sa.Engine, requests: list[HTTPRequestFinished], waited: list[HTTPRequestWaited]
) -> None:
    """The statement that a tool sends is the database's time, the rest of the tool is the tool's."""

    tool_seconds = 0.0

    async def respond(_: Request) -> Response:
        nonlocal tool_seconds
        began = time.perf_counter()
        ask(engine)
        await asyncio.sleep(PAUSE)
        tool_seconds = time.perf_counter() - began
        tool_called.emit(tool_name="search", status="success", duration=tool_seconds)
        await call_model()
        await asyncio.sleep(PAUSE)
        return PlainTextResponse("done")

    await get(respond)
    [request], [event] = requests, waited
    assert event.endpoint == request.endpoint == "/items/{item}"
    assert isclose(total(event, request), request.duration)
    assert min(event.database_time, event.llm_time, event.tool_time) > 0.9 * PAUSE
    assert isclose(event.tool_time + event.database_time, tool_seconds, abs_tol=PAUSE / 3)
    assert request.self_time is not None
    assert request.self_time > 0.9 * PAUSE


async def test_what_runs_side_by_side_counts_once(
    requests: list[HTTPRequestFinished], waited: list[HTTPRequestWaited]
) -> None:
    async def respond(_: Request) -> Response:
        await asyncio.gather(*(call_model() for _ in range(5)))
        return PlainTextResponse("done")

    await get(respond)
    assert isclose(total(waited[0], requests[0]), requests[0].duration)
    assert 0.9 * PAUSE < waited[0].llm_time <= requests[0].duration


async def test_a_request_that_waits_for_nothing_is_all_its_own(
    requests: list[HTTPRequestFinished], waited: list[HTTPRequestWaited]
) -> None:
    async def respond(_: Request) -> Response:
        return PlainTextResponse("done")

    await get(respond)
    assert waited == []
    assert requests[0].self_time == requests[0].duration


async def test_work_after_the_answer_is_in_no_phase_and_used_the_database_of_the_endpoint(
    engine: sa.Engine, requests: list[HTTPRequestFinished], waited: list[HTTPRequestWaited], used: list[DatabaseUsed]
) -> None:
    before_work: list[HTTPRequestFinished] = []

    def work() -> None:
        before_work.extend(requests)
        ask(engine)

    async def respond(_: Request) -> Response:
        return PlainTextResponse("now", background=BackgroundTask(work))

    await get(respond)
    assert waited == []
    assert requests == before_work, "its duration has no work that came later"
    assert requests[0].self_time == requests[0].duration
    assert [(each.scope, each.endpoint, each.queries) for each in used] == [("http", "/items/{item}", 2)]


async def test_a_request_of_a_pipeline_is_in_no_scope_of_the_one_before(
    engine: sa.Engine, used: list[DatabaseUsed]
) -> None:
    """uvicorn begins the next one while it sends the response to the one before, in the context of that."""
    depths: list[int] = []

    async def respond(request: Request) -> Response:
        scope, depth = current_scope.get(), 0
        while scope is not None:
            scope, depth = scope.parent, depth + 1
        depths.append(depth)
        with engine.connect() as connection:
            for _ in range(int(request.path_params["item"])):
                connection.execute(sa.text("select 1"))
        return PlainTextResponse("now", background=BackgroundTask(asyncio.sleep, PAUSE))

    app = with_middleware(Starlette(routes=[Route("/items/{item}", respond)]))
    async with running_server(app, http="h11") as url:
        reader, writer = await asyncio.open_connection("127.0.0.1", int(url.rpartition(":")[2]))
        writer.write(b"".join(b"GET /items/%d HTTP/1.1\r\nHost: a\r\n\r\n" % number for number in (1, 2, 3)))
        await until(lambda: len(used) == 3)
        assert (await reader.read(65536)).count(b"200 OK") == 3
        writer.close()
    assert depths == [1, 1, 1]
    assert sorted(each.queries for each in used) == [1, 2, 3]


async def test_what_outlives_a_request_of_a_pipeline_holds_none_of_those_before() -> None:
    contexts: list[Context | None] = [None]
    outliving: list[Scope | None] = []

    async def respond(_: Message, __: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body"})
        outliving[:] = [current_scope.get()]
        contexts[:] = [copy_context()]

    app = HTTPEventsMiddleware(respond, application="pipeline")
    for _ in range(5):
        scope = {"type": "http", "method": "GET", "path": "/", "headers": [], "asgi": {"spec_version": "2.3"}}
        await asyncio.create_task(app(scope, receive_nothing, send_nowhere), context=contexts.pop())
    await asyncio.sleep(0)  # by then the loop has let go of the last task, and of its context
    gc.collect()
    alive = [each for each in gc.get_objects() if type(each) is RequestTracker and each.applications == ["pipeline"]]
    assert alive == outliving


async def test_a_request_that_another_one_makes_is_in_its_scope(engine: sa.Engine, used: list[DatabaseUsed]) -> None:
    async def respond_inside(_: Request) -> Response:
        ask(engine)
        return PlainTextResponse("inside")

    inner = with_middleware(Starlette(routes=[Route("/items/{item}", respond_inside)]))

    async def respond(_: Request) -> Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(inner), base_url="http://inner") as client:
            return PlainTextResponse((await client.get("/items/1")).text)

    await get(respond)
    assert [each.queries for each in used] == [2, 2]


async def test_what_a_stream_waits_for_between_its_chunks_is_in_its_phases(
    engine: sa.Engine, requests: list[HTTPRequestFinished], waited: list[HTTPRequestWaited]
) -> None:
    async def chunks() -> AsyncIterator[str]:
        for _ in range(2):
            ask(engine)
            yield "chunk"

    async def respond(_: Request) -> Response:
        return StreamingResponse(chunks())

    await get(respond)
    assert requests[0].streamed
    assert isclose(total(waited[0], requests[0]), requests[0].duration)
    assert waited[0].database_time > 1.9 * PAUSE


async def test_a_request_that_fails_has_its_phases_and_its_endpoint(
    engine: sa.Engine, requests: list[HTTPRequestFinished], waited: list[HTTPRequestWaited], used: list[DatabaseUsed]
) -> None:
    async def respond(_: Request) -> Response:
        ask(engine)
        raise RuntimeError

    await get(respond)
    assert requests[0].status_code == 500
    assert isclose(total(waited[0], requests[0]), requests[0].duration)
    assert [each.endpoint for each in used] == ["/items/{item}"]


async def test_the_share_of_the_database_and_the_repeated_statements_are_counted_by_endpoint(engine: sa.Engine) -> None:
    registry = CollectorRegistry()
    route, repetitions = "/items/{counted}", 0  # no other test has it: an endpoint is announced once

    async def respond(_request: Request) -> Response:
        with engine.connect() as connection:
            for _ in range(repetitions):
                connection.execute(sa.text("select 1")).all()
        return PlainTextResponse("done")

    def read(name: str, **labels: str) -> float | None:
        return registry.get_sample_value(f"acme_{name}", {"endpoint": route, **labels})

    with subscribe(HTTP + DATABASE, registry, namespace="acme"):
        await get(respond, route)
        phases = [read("http_request_phase_seconds_total", phase=phase) for phase in ("llm", "tool", "backoff")]
        assert phases == [0, 0, 0]
        assert read("db_repeated_queries_by_endpoint_total") == 0
        repetitions = 8
        await get(respond, route)
        assert read("db_repeated_queries_by_endpoint_total") == 3
        shares = [read("http_request_phase_seconds_total", phase=phase) or 0 for phase in ("database", "self")]
        assert all(shares)
        duration = read("http_request_duration_seconds_sum", method="GET")
        assert duration is not None
        assert isclose(sum(shares), duration)


async def test_a_workflow_has_the_time_of_its_statements_and_their_repetitions(engine: sa.Engine) -> None:
    registry = CollectorRegistry()

    def read(name: str) -> float | None:
        return registry.get_sample_value(f"acme_{name}", {"workflow_type": "campaign"})

    with subscribe(DATABASE, registry, namespace="acme"):
        with events.workflow_run.scope(run_id="r1", workflow_type="campaign"), engine.connect() as connection:
            for _ in range(6):
                connection.execute(sa.text("select 1")).all()
            with events.agent_run(agent_name="copywriter"):
                ask(engine)
        assert read("db_repeated_queries_by_workflow_total") == 1
        assert (read("db_time_by_workflow_seconds_total") or 0) > 0.9 * PAUSE


def test_waiting_for_a_connection_and_committing_are_the_databases_time() -> None:
    began = time.perf_counter()
    phases = RequestPhases(began)
    time.sleep(PAUSE)
    phases.add("connection_acquired", {"duration": PAUSE / 2, "wait": PAUSE})
    time.sleep(PAUSE)
    phases.add("transaction_ended", {"duration": 60.0, "commit": PAUSE / 2})
    phases.add("transaction_ended", {"duration": 60.0, "commit": None})
    ended = time.perf_counter()
    times = phases.result(ended)
    assert isclose(times["database_time"], PAUSE)
    assert isclose(sum(times.values()), ended - began)


@pytest.mark.parametrize("own", [True, False])
async def test_an_engine_of_another_library_takes_no_time_of_a_request(
    own: bool, waited: list[HTTPRequestWaited]
) -> None:
    """By its statements, waits for its connections and COMMIT: none is the database's, or all are."""
    made = sa.create_engine("sqlite://", poolclass=sa.StaticPool, connect_args={"check_same_thread": False})

    async def respond(_: Request) -> Response:
        with made.begin() as connection:
            connection.exec_driver_sql("create table things (id int)")
        return PlainTextResponse("ok")

    with instrument(made, own=own), events.connection_acquired.captured() as acquired:
        await get(respond)
    made.dispose()
    assert [event.own for event in acquired] == [own]
    assert (sum(event.database_time for event in waited) > 0) is own
