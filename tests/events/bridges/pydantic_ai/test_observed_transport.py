"""A transport of httpx is observed once, and no failure to do so reaches the request."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import nullcontext
from functools import wraps
from types import SimpleNamespace
from typing import Any

import httpx2
import pytest
from pydantic_ai.messages import ModelResponse, TextPart
from pydantic_ai.models import ModelRequestParameters
from pydantic_ai.models.test import TestModel

from events import receiver_failed
from events.bridges.pydantic_ai.call_state import RequestSpec
from events.bridges.pydantic_ai.calls import OngoingRequest
from events.bridges.pydantic_ai.current_request import current_request
from events.bridges.pydantic_ai.http_attempts import HTTPAttempt, attempts_at_answer, outcome_of
from events.bridges.pydantic_ai.http_client import (
    begin_at_connection,
    innermost_transports,
    is_http_client,
    observe_http_client,
    observe_model,
    observe_transport,
    record_response,
    start_attempt,
)


@pytest.fixture
def ongoing() -> Any:
    """Yield a request to a model that is under way, which is not streamed."""
    return new_request(streamed=False)


def new_request(*, streamed: bool) -> OngoingRequest:
    parameters = ModelRequestParameters()
    return OngoingRequest(
        TestModel(), RequestSpec(messages=[], settings=None, parameters=parameters, streamed=streamed)
    )


def respond(_: httpx2.Request) -> httpx2.Response:
    return httpx2.Response(200, headers={"a": "b"}, content=b"fine")


async def test_clients_that_share_a_transport_have_one_attempt_for_each_request(ongoing: OngoingRequest) -> None:
    transport = httpx2.MockTransport(respond)
    for _ in range(2):
        async with httpx2.AsyncClient(transport=transport) as client:
            observe_http_client(client)
            observe_http_client(client)
            with ongoing.as_parent():
                await client.get("http://localhost")
    assert [(each.method, each.status_code, each.headers["a"]) for each in ongoing.http_requests] == [
        ("GET", 200, "b")
    ] * 2
    ongoing.finish("success", response=ModelResponse(parts=[TextPart("Fine.")]))


async def test_a_wrapper_around_what_observes_is_not_wrapped_again(ongoing: OngoingRequest) -> None:
    """Another library's, which passes attributes on as `functools.wraps` does."""
    transport: Any = httpx2.MockTransport(respond)
    observe_transport(transport)
    observing = transport.handle_async_request

    @wraps(observing)
    async def traced(request: Any) -> Any:
        return await observing(request)

    transport.handle_async_request = traced
    observe_transport(transport)
    assert transport.handle_async_request is traced


async def test_a_method_that_another_library_replaced_is_observed_and_called(ongoing: OngoingRequest) -> None:
    transport: Any = httpx2.MockTransport(respond)
    sent: list[str] = []

    async def recording(request: Any) -> Any:
        sent.append(request.method)
        return respond(request)

    transport.handle_async_request = recording
    observe_transport(transport)
    async with httpx2.AsyncClient(transport=transport) as client:
        with ongoing.as_parent():
            await client.post("http://localhost")
    assert (sent, [each.method for each in ongoing.http_requests]) == (["POST"], ["POST"])


async def test_a_request_for_no_model_is_left_alone() -> None:
    async with httpx2.AsyncClient(transport=httpx2.MockTransport(respond)) as client:
        observe_http_client(client)
        response = await client.get("http://localhost")
    assert type(response.stream).__name__ != "ObservedBody"
    assert current_request.get() is None


async def test_a_request_that_fails_ends_its_attempt_with_the_error(ongoing: OngoingRequest) -> None:
    error = httpx2.ConnectError("no")

    def fail(_: httpx2.Request) -> httpx2.Response:
        raise error

    async with httpx2.AsyncClient(transport=httpx2.MockTransport(fail)) as client:
        observe_http_client(client)
        with ongoing.as_parent(), pytest.raises(httpx2.ConnectError):
            await client.get("http://localhost")
    [attempt] = ongoing.http_requests
    assert (attempt.error, attempt.has_failed, attempt.error_type) == (error, True, "connection")
    assert (attempt.ended_at or 0) >= attempt.started_at


class Body(httpx2.AsyncByteStream):
    """A body in two pieces, which breaks off or ends after them."""

    def __init__(self, error: Exception | None) -> None:
        self.error = error
        self.is_closed = False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield b"one"
        yield b"two"
        if self.error is not None:
            raise self.error

    async def aclose(self) -> None:
        self.is_closed = True


@pytest.mark.parametrize("error", [None, httpx2.ReadError("cut")])
async def test_the_attempt_ends_where_the_body_ends_or_breaks_off(
    ongoing: OngoingRequest, error: Exception | None
) -> None:
    body = Body(error)
    response = httpx2.Response(200, stream=body)
    with ongoing.as_parent():
        attempt = start_attempt(httpx2.Request("GET", "http://localhost"))
        assert attempt is not None
        record_response(attempt, response)
        began = attempt.ended_at
        pieces = []
        with nullcontext() if error is None else pytest.raises(httpx2.ReadError, match="cut"):
            async for piece in response.stream:  # type: ignore[union-attr]  # it is asynchronous
                pieces.append(piece)
                assert attempt.ended_at == began
        await response.stream.aclose()  # type: ignore[union-attr]  # as above
    assert pieces == [b"one", b"two"]
    assert attempt.error is error
    assert attempt.ended_at != began
    assert body.is_closed


async def test_a_body_that_is_left_half_way_changes_nothing(ongoing: OngoingRequest) -> None:
    response = httpx2.Response(200, stream=Body(None))
    attempt = HTTPAttempt("GET", "http://localhost")
    with ongoing.as_parent():
        record_response(attempt, response)
    began = attempt.ended_at
    reading: Any = aiter(response.stream)  # type: ignore[arg-type]  # it is asynchronous
    assert await anext(reading) == b"one"
    await reading.aclose()
    assert (attempt.ended_at, attempt.error) == (began, None)


@pytest.mark.parametrize("has_request", [True, False])
def test_the_body_of_a_stream_is_left_as_it_is(has_request: bool) -> None:
    """A stream's end is seen by its events; without a request there is nothing to end."""
    body, request = Body(None), new_request(streamed=True)
    response = httpx2.Response(200, stream=body)
    with request.as_parent() if has_request else nullcontext():
        record_response(HTTPAttempt("GET", "http://localhost"), response)
    assert response.stream is body


@pytest.mark.lenient
def test_a_response_that_cannot_be_read_is_reported(ongoing: OngoingRequest) -> None:
    attempt = HTTPAttempt("GET", "http://localhost")
    with receiver_failed.captured() as failures, ongoing.as_parent():
        record_response(attempt, object())
    assert [(each.signal, each.receiver, each.error) for each in failures] == [
        ("llm_attempted", "pydantic_ai", "AttributeError")
    ]
    assert attempt.ended_at is not None


class NotToBeRead(httpx2.AsyncByteStream):
    """A body that somebody has read before."""

    def __aiter__(self) -> AsyncIterator[bytes]:
        raise httpx2.StreamConsumed


@pytest.mark.lenient
async def test_an_error_whose_body_cannot_be_looked_at_is_reported_and_returned() -> None:
    ongoing = new_request(streamed=True)
    response = httpx2.Response(429, stream=NotToBeRead())
    transport = httpx2.MockTransport(lambda _: response)
    observe_transport(transport)
    with receiver_failed.captured() as failures, ongoing.as_parent():
        assert await transport.handle_async_request(httpx2.Request("GET", "http://localhost")) is response
    assert [(each.signal, each.receiver, each.error) for each in failures] == [
        ("llm_attempted", "pydantic_ai", "StreamConsumed")
    ]
    [attempt] = ongoing.http_requests
    assert (attempt.status_code, attempt.exceeds_quota) == (429, False)


@pytest.mark.lenient
def test_a_request_that_cannot_be_read_is_reported_and_no_attempt(ongoing: OngoingRequest) -> None:
    with receiver_failed.captured() as failures, ongoing.as_parent():
        assert start_attempt(object()) is None
    assert [(each.signal, each.error) for each in failures] == [("llm_attempted", "AttributeError")]
    assert ongoing.http_requests == []


async def test_the_innermost_of_nested_transports_is_observed(ongoing: OngoingRequest) -> None:
    """A proxy's place may be empty; a transport that retries holds the one that sends."""

    class Retrying(httpx2.AsyncBaseTransport):
        def __init__(self, wrapped: Any) -> None:
            self.wrapped = wrapped

    inner = httpx2.MockTransport(respond)
    outer = Retrying(Retrying(inner))
    assert [*innermost_transports(outer)] == [inner]
    assert [*innermost_transports(inner)] == [inner]
    async with httpx2.AsyncClient(transport=outer, mounts={"all://none": None}) as client:
        observe_model(SimpleNamespace(client=SimpleNamespace(_client=client)))  # type: ignore[arg-type]  # like one
        assert "handle_async_request" in vars(inner)
        assert "handle_async_request" not in vars(outer)
        del inner.handle_async_request
        observe_model(SimpleNamespace(client=SimpleNamespace(_client=client)))  # type: ignore[arg-type]  # as above
        assert "handle_async_request" not in vars(inner)  # the client was observed before


def test_a_client_is_httpxs_by_its_name_and_its_module() -> None:
    class AsyncClient:
        pass

    class Derived(httpx2.AsyncClient):
        pass

    assert is_http_client(Derived())
    assert not is_http_client(AsyncClient())
    assert not is_http_client(httpx2.Client())


def attempt_at(url: str, status_code: int | None, method: str = "POST", error: Any = None) -> HTTPAttempt:
    return HTTPAttempt(method, url, started_at=1.0, ended_at=3.0, status_code=status_code, error=error)


@pytest.mark.parametrize(
    ("requests", "chosen"),
    [
        ([], []),
        ([("/chat", 200)], [0]),
        ([("/chat", 500), ("/chat", 200)], [0, 1]),
        ([("/files", 200), ("/chat", 500), ("/chat", 200)], [1, 2]),
        ([("/chat", 200, "GET"), ("/chat", 200)], [1]),
        ([("/old", 300), ("/chat", 200)], [1]),
        ([("/chat", 399), ("/chat", 200)], [1]),
        ([("/chat", 299), ("/chat", 400), ("/chat", None)], [0, 1, 2]),
        ([("/chat", 302)], []),
    ],
)
def test_attempts_are_the_requests_like_the_last_without_redirects(requests: Any, chosen: list[int]) -> None:
    made = [attempt_at(*each) for each in requests]
    assert attempts_at_answer(made) == [made[index] for index in chosen]


@pytest.mark.parametrize(
    ("status_code", "error", "status", "error_type"),
    [
        (200, None, "success", None),
        (399, None, "success", None),
        (400, None, "error", "invalid_request"),
        (429, None, "error", "rate_limited"),
        (503, None, "error", "provider_5xx"),
        (408, None, "timeout", "timeout"),
        (None, httpx2.ReadTimeout("slow"), "timeout", "timeout"),
        (None, httpx2.ConnectError("no"), "error", "connection"),
        (200, httpx2.ReadError("cut"), "error", "connection"),
        (None, LookupError(), "error", "other"),
    ],
)
def test_an_attempt_whose_error_the_sdk_kept_ends_by_its_response(
    status_code: int | None, error: Any, status: str, error_type: str | None
) -> None:
    attempt = attempt_at("/chat", status_code, error=error)
    outcome = outcome_of(attempt)
    assert (outcome.status, outcome.error, outcome.fault) == (status, error, error_type)
    assert (outcome.started_at, outcome.ended_at) == (1.0, 3.0)
    assert attempt.has_failed is (status != "success")


@pytest.mark.parametrize("has_other", [False, True])
async def test_a_request_is_traced_until_it_has_a_connection(has_other: bool) -> None:
    """httpcore has a dozen more events of each request, and calls for each the trace that is in the extensions."""
    seen: list[str] = []

    async def other(event: str, _info: Any) -> None:
        seen.append(event)

    attempt = HTTPAttempt("POST", "/chat")
    extensions: dict[str, Any] = {"trace": other} if has_other else {}
    begin_at_connection(attempt, extensions)
    trace = extensions["trace"]
    await trace("connection.connect_tcp.started", {})
    assert attempt.has_connection
    assert extensions == ({"trace": other} if has_other else {})
    begun_at = attempt.started_at
    await trace("connection.connect_tcp.complete", {})  # of the event that has begun, httpcore has the trace still
    assert attempt.started_at == begun_at
    assert seen == (["connection.connect_tcp.started", "connection.connect_tcp.complete"] if has_other else [])
