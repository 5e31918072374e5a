"""The end of a usual request: its events are the ones that every other request would have had."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic_ai.messages import ModelMessage, ModelRequest, ModelResponse, TextPart, ToolCallPart
from pydantic_ai.models import ModelRequestParameters
from pydantic_ai.models.fallback import FallbackModel
from pydantic_ai.models.test import TestModel
from pydantic_ai.usage import RequestUsage

from events import llm_attempted, llm_called
from events.bridges.pydantic_ai import calls, list_price
from events.bridges.pydantic_ai.call_state import RequestSpec
from events.bridges.pydantic_ai.calls import OngoingRequest
from events.bridges.pydantic_ai.http_attempts import HTTPAttempt
from events.bridges.pydantic_ai.reported import Reported
from events.bridges.pydantic_ai.usual_end import is_usual

PROMPT: list[ModelMessage] = [ModelRequest.user_text_prompt("Say something.")]
HEADERS = {"x-ratelimit-limit-requests": "9", "x-ratelimit-remaining-tokens": "7", "x-litellm-response-cost": "0.25"}
TIMES = ("call_id", "duration")


def answer(*parts: Any, usage: Any = None, reported: Any = None, **more: Any) -> ModelResponse:
    response = ModelResponse(
        parts=parts or [TextPart("Fine.")],
        usage=RequestUsage(**(usage or {"input_tokens": 1200, "output_tokens": 85})),
        **{"model_name": "gpt-4o-mini-2024-07-18", "provider_name": "openai", "finish_reason": "stop", **more},
    )
    response._events_reported = Reported(reported)  # type: ignore[attr-defined]  # as `observe_usage` does
    return response


ANSWERS: dict[str, Callable[[], ModelResponse]] = {
    "of a text": answer,
    "of nothing": lambda: answer(TextPart(" ")),
    "of a tool's call": lambda: answer(ToolCallPart("search", {}), finish_reason="tool_call"),
    "that is cut off": lambda: answer(finish_reason="length"),
    "without a reason": lambda: answer(finish_reason=None),
    "with a reason that was made up": lambda: answer(provider_details={"timestamp": datetime.now(UTC)}),
    "of nobody": lambda: answer(model_name=None, provider_name=None),
    "of cached tokens": lambda: answer(usage={"input_tokens": 1200, "output_tokens": 85, "cache_read_tokens": 1024}),
    "of details": lambda: answer(usage={"input_tokens": 9, "output_tokens": 8, "details": {"reasoning_tokens": 3}}),
    "of reasoning beside it": lambda: answer(
        usage={"input_tokens": 9, "output_tokens": 2, "details": {"reasoning_tokens": 30}},
        reported={"completion_tokens": 2, "total_tokens": 41},
    ),
    "that was not counted": lambda: answer(usage={"details": {}}),
    "that the seller prices": lambda: answer(reported={"cost": 0.5}),
}


def end(model: Any, response: ModelResponse, *, price: Any, sent: bool) -> list[dict[str, Any]]:
    """Return the events of a request that ends with a response, without what differs each time."""
    spec = RequestSpec(messages=PROMPT, settings=None, parameters=ModelRequestParameters(), streamed=False, price=price)
    with llm_attempted.captured() as attempts, llm_called.captured() as ends:
        request = OngoingRequest(model, spec)
        if sent:
            http_request = HTTPAttempt("POST", "https://example.com", status_code=200, headers=HEADERS)
            request.start_http_request(http_request)
        request.finish("success", response=response)
    emitted: list[Any] = [*attempts, *ends]
    return [{name: value for name, value in asdict(each).items() if name not in TIMES} for each in emitted]


@pytest.mark.parametrize("price", [None, list_price])
@pytest.mark.parametrize("sent", [True, False])
@pytest.mark.parametrize("name", ANSWERS)
def test_a_usual_end_has_the_events_of_every_other_end(
    name: str, sent: bool, price: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, ways = TestModel(model_name="gpt-4o-mini"), []
    assert is_usual(OngoingRequest(model, spec_of()), ANSWERS[name]())
    usual = end(model, ANSWERS[name](), price=price, sent=sent)
    monkeypatch.setattr(calls, "is_usual", lambda *way: ways.append(way))
    assert end(model, ANSWERS[name](), price=price, sent=sent) == usual
    assert (len(usual), len(ways)) == (2, 1)


@pytest.mark.parametrize("usual", [True, False])
def test_a_listener_of_attempts_that_is_interrupted_leaves_the_call_its_tokens(
    usual: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not usual:
        monkeypatch.setattr(calls, "is_usual", lambda *_: False)
    request, interruption = OngoingRequest(TestModel(), spec_of()), KeyboardInterrupt()

    def interrupt(_: object) -> None:
        raise interruption

    llm_attempted.connect(interrupt)
    try:
        with llm_called.captured() as ends, pytest.raises(KeyboardInterrupt):
            request.finish("success", response=answer())
    finally:
        llm_attempted.disconnect(interrupt)
    [call] = ends
    assert (call.status, call.attempts, call.prompt_tokens, call.completion_tokens) == ("success", 1, 1200, 85)


def spec_of(*, streamed: bool = False) -> RequestSpec:
    return RequestSpec(messages=PROMPT, settings=None, parameters=ModelRequestParameters(), streamed=streamed)


def retried() -> OngoingRequest:
    request = OngoingRequest(TestModel(), spec_of())
    for status_code in (500, 200):
        request.start_http_request(HTTPAttempt("POST", "https://example.com", status_code=status_code))
    return request


def waited() -> OngoingRequest:
    request = OngoingRequest(TestModel(), spec_of())
    request.start_http_request(HTTPAttempt("POST", "https://example.com", status_code=200, pool_wait=1.0))
    return request


def wrapped() -> OngoingRequest:
    request = OngoingRequest(TestModel(), spec_of())
    with request.as_parent():
        OngoingRequest(TestModel(), spec_of()).finish("success", response=answer())
    return request


def inner() -> OngoingRequest:
    with OngoingRequest(TestModel(), spec_of()).as_parent():
        return OngoingRequest(TestModel(), spec_of())


@pytest.mark.parametrize(
    "make",
    [
        retried,
        waited,
        wrapped,
        inner,
        lambda: OngoingRequest(TestModel(), spec_of(streamed=True)),
        lambda: OngoingRequest(FallbackModel(TestModel(), TestModel()), spec_of()),
    ],
    ids=["sent again", "in a queue", "by others", "inside another", "streamed", "of several models"],
)
def test_a_request_of_more_than_one_answer_at_once_is_not_usual(make: Any) -> None:
    assert not is_usual(make(), answer())


@pytest.mark.parametrize(
    "response", [None, answer(finish_reason="error"), answer(TextPart(""), finish_reason="content_filter")]
)
def test_what_is_no_answer_is_not_usual(response: Any) -> None:
    assert not is_usual(OngoingRequest(TestModel(), spec_of()), response)
