"""The outcome of a request: its status code, or what ended it."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from events import HTTPRequestFinished
from events.bridges.asgi import HTTPEventsMiddleware
from tests.support.asgi_apps import (
    EITHER_INSTALLATION,
    app_with_every_route,
    client_for,
    receive_nothing,
    send_nowhere,
    serve_get,
    with_middleware,
)

Requests = list[HTTPRequestFinished]


@EITHER_INSTALLATION
async def test_an_exception_before_the_first_byte_is_a_500(install: Any, files: Path, requests: Requests) -> None:
    """Inside the framework's handler of errors the exception has a name; around it only the response is seen."""
    async with client_for(install(app_with_every_route(files))) as client:
        assert (await client.get("/broken")).status_code == 500
        assert (await client.get("/slow")).status_code == 500
    assert [(request.status_code, request.error, request.outcome) for request in requests] == (
        [(500, "LookupError", "server_error"), (500, "TimeoutError", "timeout")]
        if install is with_middleware
        else [(500, "", "server_error")] * 2
    )
    assert "secret" not in str(requests)


@EITHER_INSTALLATION
async def test_an_exception_after_the_first_byte_keeps_the_code_that_was_sent(
    install: Any, files: Path, requests: Requests
) -> None:
    async with client_for(install(app_with_every_route(files))) as client:
        await client.get("/stream")
    assert [(request.status_code, request.error, request.endpoint, request.outcome) for request in requests] == [
        (200, "LookupError", "/stream", "stream_aborted")
    ]


async def test_a_response_that_the_application_does_not_finish_is_incomplete(requests: Requests) -> None:
    async def silent(scope: Any, receive: Any, send: Any) -> None:
        pass

    async def half(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 201, "headers": []})
        await send({"type": "http.response.body", "body": b"one", "more_body": True})

    scope = {"type": "http", "method": "GET", "path": "/", "headers": []}
    await HTTPEventsMiddleware(silent)(dict(scope), receive_nothing, send_nowhere)
    await HTTPEventsMiddleware(half)(dict(scope), receive_nothing, send_nowhere)
    assert [(request.status_code, request.error, request.outcome, request.first_byte) for request in requests] == [
        (500, "IncompleteResponse", "server_error", None),
        (201, "IncompleteResponse", "stream_aborted", pytest.approx(0, abs=1)),
    ]


async def test_a_cancelled_request_emits_an_event_and_stays_cancelled(requests: Requests) -> None:
    async def waits(scope: Any, receive: Any, send: Any) -> None:
        await asyncio.Event().wait()

    scope = {"type": "http", "method": "GET", "path": "/", "headers": []}
    task = asyncio.create_task(HTTPEventsMiddleware(waits)(scope, receive_nothing, send_nowhere))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert [(request.status_code, request.error, request.outcome) for request in requests] == [
        (500, "CancelledError", "cancelled")
    ]


@pytest.mark.parametrize(("code", "outcome"), [(200, "ok"), (307, "ok"), (404, "client_error"), (503, "server_error")])
async def test_a_complete_response_has_the_outcome_of_its_code(code: int, outcome: str, requests: Requests) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": code, "headers": []})
        await send({"type": "http.response.body", "body": b"here"})

    await serve_get(app)
    assert [(request.status_code, request.outcome) for request in requests] == [(code, outcome)]


async def test_a_timeout_inside_is_a_timeout_also_after_the_response_started(requests: Requests) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"one", "more_body": True})
        async with asyncio.timeout(0):
            await asyncio.Event().wait()

    with pytest.raises(TimeoutError):
        await serve_get(app)
    assert [(request.status_code, request.outcome) for request in requests] == [(200, "timeout")]


@pytest.mark.parametrize(
    ("raised", "outcome", "error"), [(TimeoutError, "timeout", "TimeoutError"), (KeyError, "server_error", "KeyError")]
)
async def test_a_group_of_one_exception_is_recorded_as_that_exception(
    raised: Any, outcome: str, error: str, requests: Requests
) -> None:
    async def fails() -> None:
        raise raised

    async def app(scope: Any, receive: Any, send: Any) -> None:
        async with asyncio.TaskGroup() as outer:
            outer.create_task(fails())

    with pytest.raises(ExceptionGroup):
        await serve_get(app)
    assert [(request.status_code, request.outcome, request.error) for request in requests] == [(500, outcome, error)]
