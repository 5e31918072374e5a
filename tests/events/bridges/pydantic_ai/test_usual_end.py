"""The end of a usual request: its events are the ones that every other request would have had."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict
from datetime import UTC, datetime
from decimal import Decimal
from itertools import count
from types import MappingProxyType
from typing import Any
from unittest.mock import Mock

import pytest
from pydantic_ai.messages import ModelMessage, ModelRequest, ModelResponse, TextPart, ToolCallPart
from pydantic_ai.models import ModelRequestParameters
from pydantic_ai.models.fallback import FallbackModel
from pydantic_ai.models.test import TestModel
from pydantic_ai.models.wrapper import WrapperModel
from pydantic_ai.tools import ToolDefinition
from pydantic_ai.usage import RequestUsage

from events import agent_finished, agent_run, llm_attempted, llm_called
from events.bridges.model_calls.cost import Cost
from events.bridges.pydantic_ai import call_state, calls, http_attempts, list_price
from events.bridges.pydantic_ai.call_state import RequestSpec
from events.bridges.pydantic_ai.calls import OngoingRequest
from events.bridges.pydantic_ai.http_attempts import HTTPAttempt
from events.bridges.pydantic_ai.reported import Reported
from events.bridges.pydantic_ai.usual_end import emit_usual_end, is_usual

PARAMETERS = ModelRequestParameters(
    output_mode="tool",
    output_tools=[ToolDefinition(name="final_result", parameters_json_schema={"type": "object"})],
)
PROMPT: list[ModelMessage] = [ModelRequest.user_text_prompt("Say something.")]
HEADERS = {"x-ratelimit-limit-requests": "9", "x-ratelimit-remaining-tokens": "7", "x-litellm-response-cost": "0.25"}


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have each look at the clock be a second after the one before, so that durations can be compared."""
    seconds = count(1.0)
    for module in (calls, call_state, http_attempts):
        monkeypatch.setattr(module, "perf_counter", lambda: next(seconds))


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


def end(
    model: Any, response: ModelResponse, *, price: Any, sent: bool, is_valid_output: Any = None, read: Any = None
) -> list[dict[str, Any]]:
    """Return the events of a request that ends with a response, without the id; `read` listens to its attempts."""
    spec = RequestSpec(
        messages=PROMPT,
        settings=None,
        parameters=PARAMETERS if is_valid_output else ModelRequestParameters(),
        streamed=False,
        price=price,
        is_valid_output=is_valid_output,
    )
    with (
        llm_attempted.captured() as attempts,
        llm_called.captured() as ends,
        llm_attempted.connected_to(read or ignore),
    ):
        request = OngoingRequest(model, spec)
        if sent:
            http_request = HTTPAttempt("POST", "https://example.com", status_code=200, headers=HEADERS)
            request.start_http_request(http_request)
        with suppress(KeyboardInterrupt):
            request.finish("success", response=response)
    emitted: list[Any] = [*attempts, *ends]
    return [{**asdict(each), "call_id": ""} for each in emitted]


def ignore(_: object) -> None:
    """Do nothing with an event."""


def assert_both_ways_are_equal(
    monkeypatch: pytest.MonkeyPatch, make: Callable[[], list[dict[str, Any]]]
) -> list[dict[str, Any]]:
    """Have a request end the usual way, then the general one; return their events, which are equal."""
    with monkeypatch.context() as way:
        ends = Mock(wraps=emit_usual_end)
        way.setattr(calls, "emit_usual_end", ends)
        usual = make()
        assert ends.call_count == 1
        way.setattr(calls, "is_usual", lambda *_: False)
        assert make() == usual
        assert ends.call_count == 1
    return usual


@pytest.mark.parametrize("price", [None, list_price])
@pytest.mark.parametrize("sent", [True, False])
@pytest.mark.parametrize("name", ANSWERS)
def test_a_usual_end_has_the_events_of_every_other_end(
    name: str, sent: bool, price: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = TestModel(model_name="gpt-4o-mini")
    events = assert_both_ways_are_equal(monkeypatch, lambda: end(model, ANSWERS[name](), price=price, sent=sent))
    assert len(events) == 2


def changing(change: Callable[[Any], object]) -> Callable[..., Any]:
    """Return a price function that changes the response."""

    def price(_provider: str, _model: str, _usage: RequestUsage, response: ModelResponse) -> float:
        change(response)
        return 0.25

    return price


def interrupted(*_: Any) -> float:
    """Be interrupted, as a price function by Ctrl-C."""
    raise KeyboardInterrupt


def failed(*_: Any) -> float:
    """Fail."""
    raise LookupError


def set_to(**changes: Any) -> Callable[[Any], None]:
    """Return a function that changes a response so."""
    return lambda response: vars(response).update(changes)


CHANGES: dict[str, Callable[[Any], object]] = {
    "another model": set_to(model_name="gpt-4o-mini-2"),
    "no model": set_to(model_name=None),
    "another seller": set_to(provider_name="azure", provider_url="https://azure.example"),
    "another end": set_to(finish_reason="length"),
    "an error": set_to(finish_reason="error"),
    "an error in its details": set_to(finish_reason=None, provider_details={"finish_reason": "error"}),
    "details that cannot be changed": set_to(finish_reason=None, provider_details=MappingProxyType({"refusal": "No."})),
    "a refusal": set_to(finish_reason="content_filter", parts=[]),
    "no parts": set_to(parts=[]),
    "a call of a tool": set_to(parts=[ToolCallPart("final_result", "{")]),
    "other tokens": set_to(usage=RequestUsage(input_tokens=1, output_tokens=2)),
    "details of its tokens": lambda response: response.usage.details.update(reasoning_tokens=7),
    "its time": set_to(timestamp=datetime(2030, 1, 1, tzinfo=UTC)),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_what_a_price_function_changes_of_an_answer_is_in_both(change: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    model = TestModel(model_name="gpt-4o-mini")
    assert_both_ways_are_equal(monkeypatch, lambda: end(model, answer(), price=changing(change), sent=False))


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_what_a_validator_or_a_listener_of_attempts_changes_of_an_answer_is_in_both(
    change: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = TestModel(model_name="gpt-4o-mini")

    def heard() -> list[dict[str, Any]]:
        response = answer()
        return end(model, response, price=list_price, sent=False, read=lambda _: change(response))

    def validated() -> list[dict[str, Any]]:
        response = answer(ToolCallPart("final_result", {"a": 1}))
        is_valid = lambda *_: change(response)  # noqa: E731
        return end(model, response, price=list_price, sent=False, is_valid_output=is_valid)

    assert_both_ways_are_equal(monkeypatch, heard)
    assert_both_ways_are_equal(monkeypatch, validated)


PRICES: dict[str, Callable[..., Any]] = {
    "fails": failed,
    "is interrupted": interrupted,
    "takes three": lambda _provider, _model, usage: usage.input_tokens / 1e6,
    "is no number": lambda *_: float("nan"),
    "is a text": lambda *_: "0.5",
    "is negative": lambda *_: -1.0,
    "is nothing": lambda *_: None,
    "is a decimal": lambda *_: Decimal("0.1"),
    "has parts": lambda *_: Cost(0.5, input=0.25, output=0.25),
    "has more in its parts": lambda *_: Cost(0.5, input=0.5, output=0.25),
}


@pytest.mark.lenient
@pytest.mark.parametrize("price", PRICES.values(), ids=PRICES)
def test_whatever_a_price_is_both_have_it(price: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    model = TestModel(model_name="gpt-4o-mini")
    assert_both_ways_are_equal(monkeypatch, lambda: end(model, answer(), price=price, sent=False))


class Named(TestModel):
    """A model that has another name whenever it is asked."""

    names = count()

    @property
    def model_name(self) -> str:
        """The next name."""
        return f"model-{next(self.names)}"


class Rewording(WrapperModel):
    """A wrapper of an application's own, under a name of its own."""

    @property
    def model_name(self) -> str:
        """That of the wrapper."""
        return "reworded"


class Doubled(RequestUsage):
    """A usage whose tokens are computed."""

    @property
    def output_tokens(self) -> int:  # type: ignore[override]
        """Twice as many as were counted."""
        return 2 * self.details["counted"]


def test_models_and_usages_of_an_applications_own_are_the_same_in_both(monkeypatch: pytest.MonkeyPatch) -> None:
    def named() -> list[dict[str, Any]]:
        model = Named()
        Named.names = count()
        return end(model, answer(model_name=None), price=list_price, sent=False)

    def doubled() -> list[dict[str, Any]]:
        response = answer()
        response.usage = Doubled(input_tokens=1200, details={"counted": 9})
        return end(TestModel(), response, price=list_price, sent=False)

    assert_both_ways_are_equal(monkeypatch, named)
    assert_both_ways_are_equal(monkeypatch, doubled)
    reworded = Rewording(TestModel(model_name="gpt-4o-mini"))
    assert_both_ways_are_equal(monkeypatch, lambda: end(reworded, answer(), price=list_price, sent=False))


def test_what_agents_and_workflows_sum_of_a_call_is_the_same_in_both(monkeypatch: pytest.MonkeyPatch) -> None:
    def summed() -> list[dict[str, Any]]:
        with agent_finished.captured() as ends, agent_run(agent_name="writer"):
            events = end(TestModel(model_name="gpt-4o-mini"), answer(), price=list_price, sent=True)
        [run] = ends
        sums = ("llm_calls", "own_prompt_tokens", "own_completion_tokens", "own_cost")
        return [*events, {name: getattr(run, name) for name in sums}]

    assert len(assert_both_ways_are_equal(monkeypatch, summed)) == 3


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


class Falsy(Exception):
    """An error that is no true value, as one of a library that has a length."""

    def __len__(self) -> int:
        return 0


def broken() -> OngoingRequest:
    request = OngoingRequest(TestModel(), spec_of())
    request.start_http_request(HTTPAttempt("POST", "https://example.com", error=Falsy()))
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
        broken,
        waited,
        wrapped,
        inner,
        lambda: OngoingRequest(TestModel(), spec_of(streamed=True)),
        lambda: OngoingRequest(FallbackModel(TestModel(), TestModel()), spec_of()),
    ],
    ids=["sent again", "that broke off", "in a queue", "by others", "inside another", "streamed", "of several models"],
)
def test_a_request_of_more_than_one_answer_at_once_is_not_usual(make: Any) -> None:
    assert not is_usual(make(), answer())


@pytest.mark.parametrize(
    "response", [None, answer(finish_reason="error"), answer(TextPart(""), finish_reason="content_filter")]
)
def test_what_is_no_answer_is_not_usual(response: Any) -> None:
    assert not is_usual(OngoingRequest(TestModel(), spec_of()), response)
