"""Each request that is posted by httpx for a call is an attempt, on a module that stands in for LiteLLM."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from events.bridges.litellm import instrument
from tests.support.stand_in_litellm import answer, words

from .conftest import Told


def transport(*outcomes: int | Exception) -> httpx.MockTransport:
    """Return what answers with status codes, one after the other, or raises."""
    left = list(outcomes)

    def respond(request: httpx.Request) -> httpx.Response:
        outcome = left.pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        return httpx.Response(outcome, headers={"retry-after": "2", "x-ratelimit-limit-requests": "60"})

    return httpx.MockTransport(respond)


def asks(*outcomes: int | Exception, result: Any = None) -> Any:
    """Return what a function does that posts a request for each outcome, and looks something up before."""

    def ask(**options: Any) -> Any:
        with httpx.Client(transport=transport(200, *outcomes)) as client:
            client.get("http://test/image")
            for outcome in outcomes:
                try:
                    client.post("http://test/v1")
                except httpx.HTTPError:
                    if outcome is outcomes[-1]:
                        raise
        return answer() if result is None else result

    return ask


def test_each_request_is_an_attempt_with_its_code_and_its_limits(library: Any, told: Told) -> None:
    library.does = asks(429, 500, 200)
    library.completion(model="openai/m")
    assert told.call.status == "success"
    assert [(each.status_code, each.retry_reason) for each in told.attempted] == [
        (429, None),
        (500, "rate_limited"),
        (200, "provider_5xx"),
    ]
    assert [each.retry_after for each in told.attempted] == [2.0, 2.0, None]
    assert {each.limit_requests for each in told.attempted} == {60}


def test_an_error_of_the_connection_is_the_calls_whatever_is_raised(library: Any, told: Told) -> None:
    def fail(**options: Any) -> Any:
        try:
            asks(httpx.ConnectError("refused"), httpx.ConnectError("refused"))()
        except httpx.ConnectError:
            raise InternalServerError from None

    class InternalServerError(Exception):
        status_code = 500

    library.does = fail
    with pytest.raises(InternalServerError):
        library.completion(model="openai/m")
    assert (told.call.error_type, told.call.error) == ("connection", "InternalServerError")
    assert [each.error_type for each in told.attempted] == ["connection", "connection"]


def test_a_timeout_of_a_request_is_the_attempts(library: Any, told: Told) -> None:
    library.does = asks(httpx.ReadTimeout("late"), 200)
    library.completion(model="openai/m")
    assert [each.outcome for each in told.attempted] == ["timeout", "success"]


async def test_an_asynchronous_request_is_an_attempt(library: Any, told: Told) -> None:
    async def ask() -> Any:
        async with httpx.AsyncClient(transport=transport(503, httpx.ConnectError("refused"), 200)) as client:
            await client.post("http://test/v1")
            with pytest.raises(httpx.ConnectError):
                await client.post("http://test/v1")
            await client.post("http://test/v1")
        return answer()

    library.does = lambda **options: ask()
    await library.acompletion(model="openai/m")
    assert [each.status_code for each in told.attempted] == [503, None, 200]


def test_a_request_of_the_program_itself_is_none(library: Any, told: Told) -> None:
    with httpx.Client(transport=transport(200, 200)) as client:
        client.post("http://test/v1")
        library.completion(model="openai/m")
        client.post("http://test/v1")
    assert len(told.attempted) == 1
    assert told.attempted[0].status_code is None


def test_a_failed_answer_is_that_of_its_request_and_a_fallback_has_its_own(library: Any, told: Told) -> None:
    def ask(**options: Any) -> Any:
        asks(200)()
        if options["model"] == "openai/a":
            raise ValueError  # of an answer that cannot be read
        return answer()

    library.does = ask
    library.Router().completion("group")
    assert [(each.model, each.status_code, each.outcome) for each in told.attempted] == [
        ("a", 200, "error"),
        ("b", 200, "success"),
    ]
    assert told.attempted[1].fallback_reason == "other"


def test_a_stream_after_which_a_router_asks_again_broke_off(library: Any, told: Told) -> None:
    library.does = asks(200, result=words())

    def ask_twice(self: Any, model: str, **options: Any) -> Any:
        library.completion(model="openai/a", stream=True)
        library.does = asks(200, result=words())
        return library.completion(model="anthropic/b", stream=True)

    with instrument() as handle:
        handle.undo()
    library.Router.completion = ask_twice
    with instrument():
        list(library.Router().completion("group", stream=True))
    assert [(each.model, each.outcome) for each in told.attempted] == [("a", "error"), ("b", "success")]
    assert (told.call.model, told.call.status) == ("b", "success")


def test_a_request_is_no_attempt_after_undo(library: Any, told: Told) -> None:
    send = httpx.Client.send
    instrument().undo()
    assert httpx.Client.send is not send
    library.does = asks(200)
    library.completion(model="openai/m")
    assert told.called == []
