"""Requests that come with a trace, or without one, through the middleware."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from fastapi import FastAPI, WebSocket
from fastapi.responses import StreamingResponse
from fastapi.testclient import TestClient
from opentelemetry.trace import SpanKind, StatusCode, get_current_span

from events import agent_run, receiver_failed
from events.bridges.asgi import HTTPEventsMiddleware
from tests.support.recorded_spans import RecordedSpans
from traces import TraceContextMiddleware, trace_events

TRACE_ID, SPAN_ID = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
TRACEPARENT = {"traceparent": f"00-{TRACE_ID}-{SPAN_ID}-01"}


@pytest.fixture
def provider() -> Iterator[RecordedSpans]:
    provider = RecordedSpans()
    with trace_events(provider):
        yield provider


def application(provider: RecordedSpans, **options: Any) -> FastAPI:
    app = FastAPI()

    @app.post("/articles/{number}")
    async def write(number: int) -> str:
        with agent_run(agent_name="writer"):
            return "text"

    @app.get("/broken")
    async def broken() -> None:
        raise LookupError("secret")

    @app.get("/failing", status_code=503)
    async def failing() -> None: ...

    @app.get("/stream")
    async def stream() -> StreamingResponse:
        def parts() -> Iterator[str]:
            with agent_run(agent_name="writer"):
                yield "text"

        return StreamingResponse(parts())

    @app.get("/metrics")
    async def metrics() -> bool:
        return get_current_span().get_span_context().is_valid

    @app.websocket("/socket")
    async def socket(websocket: WebSocket) -> None:
        await websocket.accept()
        with agent_run(agent_name="writer"):
            await websocket.close()

    app.add_middleware(HTTPEventsMiddleware)
    app.add_middleware(TraceContextMiddleware, tracer_provider=provider, **options)
    return app


async def request(app: Any, method: str, path: str, **options: Any) -> httpx.Response:
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        return await client.request(method, path, **options)


async def test_the_spans_of_a_request_hang_under_its_traceparent(provider: RecordedSpans) -> None:
    await request(application(provider), "POST", "/articles/7?secret=earbuds", headers=TRACEPARENT)
    served, agent = provider["POST /articles/{number}"], provider["invoke_agent writer"]
    assert served.parent is not None
    assert (f"{served.parent.trace_id:032x}", f"{served.parent.span_id:016x}") == (TRACE_ID, SPAN_ID)
    assert agent.parent == served.context
    assert f"{agent.context.trace_id:032x}" == TRACE_ID
    assert served.kind is SpanKind.SERVER
    assert served.status.status_code is StatusCode.UNSET
    assert served.attributes == {
        "http.request.method": "POST",
        "http.route": "/articles/{number}",
        "http.request.body.size": 0,
        "http.response.body.size": 6,
        "http.response.status_code": 200,
        "url.scheme": "http",
    }


async def test_a_request_without_a_trace_begins_one(provider: RecordedSpans) -> None:
    await request(application(provider), "POST", "/articles/7")
    assert provider.tree() == {"POST /articles/{number}": None, "invoke_agent writer": "POST /articles/{number}"}
    await request(application(provider), "POST", "/articles/7", headers={"traceparent": "00-nonsense"})
    assert len({span.context.trace_id for span in provider.spans}) == 2


async def test_a_span_around_the_server_is_no_parent_of_a_request(provider: RecordedSpans) -> None:
    """Such as that of a program's start: every request of its life would hang under it."""
    with provider.start_as_current_span("main"):
        await request(application(provider), "POST", "/articles/7")
    assert provider.tree()["POST /articles/{number}"] is None


async def test_where_another_middleware_has_a_span_of_the_request_there_is_no_second(provider: RecordedSpans) -> None:
    app = application(provider)

    async def instrumented(scope: Any, receive: Any, send: Any) -> None:
        with provider.start_as_current_span("POST", kind=SpanKind.SERVER):
            await app(scope, receive, send)

    await request(instrumented, "POST", "/articles/7", headers=TRACEPARENT)
    assert provider.tree() == {"POST": None, "invoke_agent writer": "POST"}
    await request(TraceContextMiddleware(app, tracer_provider=provider), "POST", "/articles/7")
    assert len([span for span in provider.spans if span.kind is SpanKind.SERVER]) == 2


@pytest.mark.parametrize(
    ("request_line", "name", "status", "error_type"),
    [
        ("GET /broken", "GET /broken", StatusCode.ERROR, "LookupError"),
        ("GET /failing", "GET /failing", StatusCode.ERROR, "503"),
        ("GET /nowhere", "GET", StatusCode.UNSET, None),
        ("BREW /articles/7", "HTTP /articles/{number}", StatusCode.UNSET, None),
    ],
)
async def test_how_a_request_ended(
    provider: RecordedSpans, request_line: str, name: str, status: StatusCode, error_type: str | None
) -> None:
    await request(application(provider), *request_line.split())
    [span] = provider.spans
    assert (span.name, span.status.status_code, span.attributes.get("error.type")) == (name, status, error_type)
    assert "secret" not in repr(span)


async def test_without_the_events_of_requests_a_span_ends_with_the_application(provider: RecordedSpans) -> None:
    async def answers(scope: Any, receive: Any, send: Any) -> None:
        if scope["path"] == "/broken":
            raise LookupError("secret")
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    app = TraceContextMiddleware(answers, tracer_provider=provider)
    await request(app, "GET", "/fine")
    await request(app, "GET", "/broken")
    fine, broken = provider.ended
    assert (fine.name, fine.status.status_code) == ("GET", StatusCode.UNSET)
    assert (broken.status.status_code, broken.attributes["error.type"]) == (StatusCode.ERROR, "LookupError")


async def test_scrapes_have_no_span(provider: RecordedSpans) -> None:
    app = application(provider)
    assert (await request(app, "GET", "/metrics")).json() is False
    assert provider.spans == []
    assert (await request(application(provider, exclude=()), "GET", "/metrics")).json() is True


@pytest.mark.parametrize(
    ("exclude", "error", "says"),
    [
        ("/metrics", TypeError, r"exclude=\('/metrics',\)"),
        (None, TypeError, r"or \(\) for none"),
        ((b"/metrics",), TypeError, "takes paths"),
        (("metrics",), ValueError, "write '/metrics'"),
        (("/runs/{run_id}",), ValueError, "not a template"),
    ],
)
def test_what_is_no_path_is_not_excluded(exclude: Any, error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=says):
        TraceContextMiddleware(FastAPI(), exclude=exclude)


async def test_a_stream_is_inside(provider: RecordedSpans) -> None:
    await request(application(provider), "GET", "/stream", headers=TRACEPARENT)
    assert provider["invoke_agent writer"].parent == provider["GET /stream"].context
    assert all(span.end_time for span in provider.spans)


def test_a_websocket_continues_its_trace(provider: RecordedSpans) -> None:
    with TestClient(application(provider)).websocket_connect("/socket", headers=TRACEPARENT):
        pass
    [agent] = provider.spans
    assert f"{agent.context.trace_id:032x}" == TRACE_ID


@pytest.mark.lenient
async def test_a_scope_that_breaks_the_specification_is_left_to_the_application(provider: RecordedSpans) -> None:
    reached = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        reached.append(scope)

    with receiver_failed.captured() as failures:
        await TraceContextMiddleware(app, tracer_provider=provider)({"type": "http"}, None, None)  # type: ignore[arg-type]
    assert reached == [{"type": "http"}]
    assert [failure.receiver for failure in failures] == ["TraceContextMiddleware"]


async def test_the_context_of_a_server_is_what_it_was(provider: RecordedSpans) -> None:
    await request(application(provider), "POST", "/articles/7", headers=TRACEPARENT)
    assert not get_current_span().get_span_context().is_valid
