"""Requests of a small SDK, which are told as those of the real ones are, in no time."""

from __future__ import annotations

import gc
import gzip
import json
from collections.abc import Generator, Iterator
from contextlib import suppress
from contextvars import copy_context
from typing import Any

import httpx
import pytest

from events import receiver_failed
from events.bridges.model_calls.openai_chat_answer import ChatAnswer
from events.bridges.openai import instrument
from events.bridges.sdk_clients import sdk_request
from tests.events.bridges.sdk_clients.conftest import Told
from tests.support.small_sdk import (
    ANSWER,
    CHUNKS,
    AsyncSmallClient,
    AsyncStream,
    Body,
    Reply,
    SmallClient,
    Stream,
    answers,
    raises,
    streams,
)


@pytest.fixture(autouse=True)
def small_sdk(monkeypatch: pytest.MonkeyPatch) -> None:
    package = type("Package", (), {"__version__": "9.0", "Stream": Stream})
    monkeypatch.setitem(__import__("sys").modules, "openai", package)


def client_of(*replies: Reply, retries: int = 0) -> SmallClient:
    return instrument(SmallClient(replies, retries)).client


def async_client_of(*replies: Reply, retries: int = 0) -> Any:
    return instrument(AsyncSmallClient(replies, retries)).client


@pytest.fixture
def no_garbage() -> Iterator[None]:
    """Collect no garbage: what is seen without it does not wait for it."""
    gc.disable()
    yield
    gc.enable()


async def test_an_answer_ends_its_call(told: Told) -> None:
    assert client_of(answers(ANSWER)).ask() == ANSWER
    assert await async_client_of(answers(ANSWER)).ask() == ANSWER
    for call in told.called:
        assert (call.model, call.response_model, call.provider) == ("m", "m-1", "openai")
        assert (call.status, call.finish_reason, call.attempts) == ("success", "stop", 1)
        assert (call.prompt_tokens, call.completion_tokens, call.streamed) == (100, 20, False)
    assert len(told.called) == 2


def test_each_retry_is_an_attempt(told: Told) -> None:
    limits = {"x-ratelimit-limit-requests": "500", "retry-after-ms": "20", "x-other": "1"}
    client = client_of(answers({}, 503, **limits), raises(httpx.ConnectError("no")), answers(ANSWER), retries=2)
    client.ask()
    assert [attempt.outcome for attempt in told.attempts] == ["error", "error", "success"]
    assert [attempt.error_type for attempt in told.attempts] == ["provider_5xx", "connection", None]
    assert [attempt.status_code for attempt in told.attempts] == [503, None, 200]
    assert [attempt.retry_reason for attempt in told.attempts] == [None, "provider_5xx", "connection"]
    assert (told.attempts[0].limit_requests, told.attempts[0].retry_after) == (500, 0.02)
    assert told.call.attempts == 3


@pytest.mark.parametrize(
    ("reply", "status", "error_type"),
    [
        (answers({"error": {"code": "insufficient_quota"}}, 429), "error", "quota_exceeded"),
        (answers({"error": {"code": "rate_limit_exceeded"}}, 429), "error", "rate_limited"),
        (answers({"error": {}}, 401), "error", "auth"),
        (raises(httpx.ReadTimeout("late")), "timeout", "timeout"),
        (raises(httpx.ConnectError("no")), "error", "connection"),
        (lambda _: httpx.Response(200, content=b"{half"), "error", "invalid_response"),
    ],
)
def test_what_fails_says_why(reply: Reply, status: str, error_type: str, told: Told) -> None:
    with pytest.raises(Exception, match=r"."):
        client_of(reply).ask()
    assert (told.call.status, told.call.error_type) == (status, error_type)
    assert [attempt.error_type for attempt in told.attempts] == [error_type]


def test_an_answer_that_cannot_be_parsed_is_billed_all_the_same(told: Told) -> None:
    with pytest.raises(LookupError):
        client_of(answers(ANSWER)).ask(parse=lambda body: body["of another kind"])
    assert (told.call.error_type, told.call.prompt_tokens, told.call.error) == ("invalid_response", 100, "KeyError")


async def test_a_stream_that_is_exhausted_is_a_success(told: Told) -> None:
    assert list(client_of(streams(*CHUNKS)).ask(stream=True)) == list(CHUNKS)
    stream = await async_client_of(streams(*CHUNKS)).ask(stream=True)
    assert [chunk async for chunk in stream] == list(CHUNKS)
    for call in told.called:
        assert (call.status, call.prompt_tokens, call.streamed) == ("success", 100, True)
        assert call.time_to_first_token is not None
    assert len(told.called) == 2


async def test_a_stream_may_be_read_in_parts_and_beyond_its_end(told: Told) -> None:
    stream = client_of(streams(*CHUNKS)).ask(stream=True)
    for _ in stream:
        break
    assert (next(stream), next(stream)) == CHUNKS[1:]
    assert list(stream) == []
    assert list(stream) == []
    later = await async_client_of(streams(*CHUNKS)).ask(stream=True)
    assert [await anext(later) for _ in CHUNKS] == list(CHUNKS)
    for _ in range(2):
        with pytest.raises(StopAsyncIteration):
            await anext(later)
    assert [call.status for call in told.called] == ["success"] * 2


@pytest.mark.parametrize(
    ("chunks", "error", "error_type"),
    [
        (CHUNKS[:1], httpx.RemoteProtocolError("broken"), "connection"),
        (CHUNKS[:1], httpx.ReadTimeout("late"), "timeout"),
        (CHUNKS[:1], None, "invalid_response"),
    ],
)
async def test_a_stream_without_an_end_is_no_success(
    chunks: Any, error: Exception | None, error_type: str, told: Told
) -> None:
    for stream in (
        client_of(streams(*chunks, error=error)).ask(stream=True),
        await async_client_of(streams(*chunks, error=error)).ask(stream=True),
    ):
        with suppress(httpx.HTTPError):
            if isinstance(stream, AsyncStream):
                [chunk async for chunk in stream]
            else:
                list(stream)
    assert [call.error_type for call in told.called] == [error_type] * 2
    assert [attempt.error_type for attempt in told.attempts] == [error_type] * 2


@pytest.mark.usefixtures("no_garbage")
async def test_a_reader_that_leaves_cancels(told: Told) -> None:
    closed = client_of(streams(*CHUNKS)).ask(stream=True)
    next(closed)
    closed.close()
    later = await async_client_of(streams(*CHUNKS)).ask(stream=True)
    await anext(later)
    await later.close()
    client_of(streams(*CHUNKS)).ask(stream=True)  # and nobody has it
    for _ in client_of(streams(*CHUNKS)).ask(stream=True):
        break
    assert [(call.status, call.finish_reason) for call in told.called] == [("cancelled", None)] * 4


def test_a_reader_that_leaves_after_the_end_does_not(told: Told) -> None:
    stream = client_of(streams(*CHUNKS)).ask(stream=True)
    next(stream)
    next(stream)
    stream.close()
    assert (told.call.status, told.call.usage_source) == ("success", "none")


async def test_a_raw_response_ends_its_call_with_its_body(told: Told) -> None:
    response = client_of(answers(ANSWER)).ask(raw="parsed later")
    assert len(told.called) == 1
    assert response.parse() == ANSWER
    later = client_of(answers(ANSWER)).ask(raw="streamed")
    assert len(told.called) == 1
    assert later.parse() == ANSWER
    response = await async_client_of(answers(ANSWER)).ask(raw="streamed")
    await response.http_response.aread()
    assert [call.prompt_tokens for call in told.called] == [100] * 3


async def test_a_raw_response_that_breaks_off_ends_its_call_with_the_error(told: Told) -> None:
    def broken(_: httpx.Request) -> httpx.Response:
        return httpx.Response(200, stream=Body([b'{"model": '], httpx.ReadError("broken")))

    with receiver_failed.captured() as failed:
        with pytest.raises(httpx.ReadError):
            client_of(broken).ask(raw="streamed").parse()
        later = await async_client_of(broken).ask(raw="streamed")
        with pytest.raises(httpx.ReadError):
            await later.http_response.aread()
    assert [(call.status, call.error_type, call.usage_source) for call in told.called] == [
        ("error", "connection", "none")
    ] * 2
    assert failed == []


def test_responses_of_one_class_are_observed_by_one_class() -> None:
    """One for each of them would take time to make, and be left to the garbage collector."""
    one, other = (client_of(streams(*CHUNKS)).ask(stream=True, raw="parsed later") for _ in range(2))
    assert type(one) is type(other)
    assert type(one.http_response.stream) is type(other.http_response.stream)
    for each in (one, other):
        each.http_response.close()  # or the garbage collector would, in another test


def test_a_body_may_be_compressed_or_none_of_json(told: Told) -> None:
    packed = gzip.compress(json.dumps(ANSWER).encode())
    client = client_of(
        lambda _: httpx.Response(200, headers={"content-encoding": "gzip"}, stream=Body([packed[:9], packed[9:]])),
        lambda _: httpx.Response(200, stream=Body([b"a text"])),
    )
    for _ in range(2):
        client.ask(raw="streamed").http_response.read()
    assert [(call.status, call.prompt_tokens) for call in told.called] == [("success", 100), ("error", None)]


async def test_a_stream_is_parsed_of_a_raw_response(told: Told) -> None:
    response = client_of(streams(*CHUNKS)).ask(stream=True, raw="parsed later")
    assert response.parse() is response.parse()
    assert list(response.parse()) == list(CHUNKS)
    later = await async_client_of(streams(*CHUNKS)).ask(stream=True, raw="parsed later")
    assert [chunk async for chunk in await later.parse()] == list(CHUNKS)
    assert [(call.status, call.prompt_tokens) for call in told.called] == [("success", 100)] * 2


async def test_lines_of_a_raw_response_have_unknown_tokens(told: Told) -> None:
    read = client_of(streams(*CHUNKS)).ask(stream=True, raw="parsed later")
    assert len(list(read.http_response.iter_lines())) == len(CHUNKS)
    left = client_of(streams(*CHUNKS)).ask(stream=True, raw="parsed later")
    left.http_response.close()
    broken = client_of(streams(CHUNKS[0], error=httpx.ReadError("broken"))).ask(stream=True, raw="parsed later")
    with pytest.raises(httpx.ReadError):
        broken.http_response.read()
    later = await async_client_of(streams(CHUNKS[0], error=httpx.ReadError("x"))).ask(stream=True, raw="parsed later")
    with pytest.raises(httpx.ReadError):
        await later.http_response.aread()
    assert [call.status for call in told.called] == ["success", "cancelled", "error", "error"]
    assert {call.usage_source for call in told.called} == {"none"}


async def test_a_call_that_ends_while_it_waits_to_retry_keeps_what_failed(told: Told) -> None:
    class Interrupted(BaseException):
        pass

    def interrupt(_: httpx.Request) -> httpx.Response:
        raise Interrupted

    with pytest.raises(Interrupted):
        await async_client_of(answers({}, 500), interrupt, retries=1).ask()
    assert told.call.status == "cancelled"
    assert [attempt.outcome for attempt in told.attempts] == ["error", "cancelled"]


def test_a_request_that_is_closed_in_another_context_is_cancelled(told: Told) -> None:
    """As the garbage collector closes one whose event loop is gone."""

    async def wait(_: httpx.Request) -> httpx.Response:
        await Waits()
        raise AssertionError

    class Waits:
        def __await__(self) -> Generator[None]:
            yield

    client = async_client_of()
    client._client = httpx.AsyncClient(transport=httpx.MockTransport(wait))
    request = client.ask()
    copy_context().run(request.send, None)
    request.close()
    assert (told.call.status, told.call.attempts) == ("cancelled", 1)


@pytest.mark.lenient
async def test_a_failure_of_the_bridge_harms_nobody(monkeypatch: pytest.MonkeyPatch, told: Told) -> None:
    def broken(*_: Any) -> Any:
        raise LookupError

    for name in ("add_whole", "add_chunk", "usage"):
        monkeypatch.setattr(ChatAnswer, name, broken)
    with receiver_failed.captured() as failed:
        assert client_of(answers(ANSWER)).ask() == ANSWER
        assert list(client_of(streams(*CHUNKS)).ask(stream=True)) == list(CHUNKS)
        assert client_of(answers(ANSWER)).ask(raw="streamed").parse() == ANSWER
        with pytest.raises(LookupError):
            client_of(answers(ANSWER)).ask(parse=broken)
        monkeypatch.setattr(sdk_request, "attempt_of", broken)
        assert client_of(answers(ANSWER)).ask() == ANSWER
        with pytest.raises(httpx.ConnectError):
            client_of(raises(httpx.ConnectError("no"))).ask()
    assert [call.status for call in told.called] == ["success", "success", "success", "error", "success", "error"]
    assert {failure.receiver for failure in failed} == {"openai"}
