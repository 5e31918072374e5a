"""The processor of traces, given spans such as the SDK's."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import copy_context
from itertools import count
from types import SimpleNamespace
from typing import Any

import pytest

from events import agent_run, receiver_failed
from events.bridges.model_calls.model_call import CallEnd, start_call
from events.bridges.model_calls.token_usage import counted_usage
from events.bridges.openai_agents import processor as processor_module
from events.bridges.openai_agents.processor import EventProcessor, is_idle
from tests.events.bridges.openai_agents.conftest import Told

numbers = count()


@pytest.fixture
def processor() -> EventProcessor:
    return EventProcessor(None, None)


def span_of(kind: str, **data: Any) -> Any:
    """Return a span that is like one of the SDK."""
    defaults = {"name": "n", "mcp_data": None, "model": None, "model_config": None, "usage": None, "response": None}
    return SimpleNamespace(
        span_id=f"span_{next(numbers)}", error=None, span_data=SimpleNamespace(type=kind, **{**defaults, **data})
    )


def generation(usage: tuple[int, int] | None = (5, 2), **data: Any) -> Any:
    counted = usage and {"input_tokens": usage[0], "output_tokens": usage[1]}
    return span_of("generation", **{"model": "m", "usage": counted, **data})


@contextmanager
def opened(processor: EventProcessor, span: Any) -> Iterator[Any]:
    """Start a span, and end it as the SDK does, whatever is raised in the block."""
    processor.on_span_start(span)
    try:
        yield span
    finally:
        processor.on_span_end(span)


def raise_in(processor: EventProcessor, span: Any, error: BaseException) -> None:
    with pytest.raises(type(error)), opened(processor, span):
        raise error


def test_a_run_and_what_is_in_it(processor: EventProcessor, told: Told) -> None:
    with opened(processor, span_of("task")), opened(processor, span_of("agent", name="writer")):
        with opened(processor, generation()):
            pass
        with opened(processor, span_of("function", name="look_up")):
            pass
    [agent], [call], [tool] = told.agents, told.calls, told.tools
    assert (agent.agent_name, agent.status, agent.prompt_tokens, agent.tool_calls) == ("writer", "success", 5, 1)
    assert (call.model, call.agent_name, call.completion_tokens) == ("m", "writer", 2)
    assert (tool.tool_name, tool.agent_name, tool.mcp_server) == ("look_up", "writer", None)


def test_agents_side_by_side_and_inside_of_each_other(processor: EventProcessor, told: Told) -> None:
    with (
        opened(processor, span_of("agent", name="a")),
        opened(processor, span_of("function", name="ask")),
        opened(processor, span_of("agent", name="b")),
        opened(processor, generation()),
    ):
        pass
    with opened(processor, span_of("agent", name="c")):
        pass
    assert [(each.agent_name, each.prompt_tokens, each.own_prompt_tokens) for each in told.agents] == [
        ("b", 5, 5),
        ("a", 5, 0),
        ("c", 0, 0),
    ]
    assert told.calls[0].agent_name == "b"


def test_an_agent_that_the_program_tells_by_the_same_name_is_told_once(processor: EventProcessor, told: Told) -> None:
    with agent_run(agent_name="writer"):
        with opened(processor, span_of("agent", name="writer")), opened(processor, generation()):
            pass
        with opened(processor, span_of("agent", name="poet")):
            pass
    assert [(each.agent_name, each.prompt_tokens) for each in told.agents] == [("poet", 0), ("writer", 5)]


def test_an_agent_that_asks_itself_is_told_each_time(processor: EventProcessor, told: Told) -> None:
    with opened(processor, span_of("agent", name="a")), opened(processor, span_of("agent", name="a")):
        pass
    assert len(told.agents) == 2


def test_an_exact_bridge_takes_a_call_over(processor: EventProcessor, told: Told) -> None:
    with opened(processor, span_of("agent", name="writer")), opened(processor, generation((7, 7))):
        exact = start_call("exact", model="m", provider="p", is_exact=True)
        assert exact is not None
        exact.finish(CallEnd(usage=counted_usage(9, 9)))
    [call] = told.calls
    assert (call.provider, call.prompt_tokens, call.agent_name) == ("p", 9, "writer")
    assert len(told.calls_started) == len(told.attempts) == 1
    assert told.agents[0].prompt_tokens == 9


def test_an_exact_bridge_names_the_model_of_a_response(processor: EventProcessor, told: Told) -> None:
    with opened(processor, span_of("response")):
        exact = start_call("exact", model="gpt", provider="p", is_exact=True)
        assert exact is not None
        exact.finish(CallEnd())
    assert [call.model for call in told.calls] == [each.model for each in told.calls_started] == ["gpt"]


def test_a_bridge_around_that_tells_the_call_is_enough(processor: EventProcessor, told: Told) -> None:
    around = start_call("exact", model="m", provider="p", is_exact=True)
    assert around is not None
    with around.in_effect(), opened(processor, generation()):
        pass
    around.finish(CallEnd())
    assert [call.provider for call in told.calls] == ["p"]


def test_what_follows_a_call_is_another_one(processor: EventProcessor, told: Told) -> None:
    for _ in range(2):
        with opened(processor, generation()):
            pass
    assert len({call.call_id for call in told.calls}) == 2


@pytest.mark.parametrize(
    ("error", "status", "error_type"),
    [
        (type("RateLimitError", (Exception,), {"status_code": 429})(), "error", "rate_limited"),
        (TimeoutError(), "timeout", "timeout"),
        (asyncio.CancelledError(), "cancelled", "cancelled"),
        (type("ModelBehaviorError", (Exception,), {})(), "error", "invalid_response"),
        (GeneratorExit(), "cancelled", "cancelled"),
    ],
)
def test_a_call_ends_with_what_leaves_its_span(
    error: BaseException, status: str, error_type: str, processor: EventProcessor, told: Told
) -> None:
    raise_in(processor, generation(None), error)
    raise_in(processor, span_of("response"), error)
    assert [(call.status, call.error_type) for call in told.calls] == [(status, error_type)] * 2


def test_a_stream_that_is_closed_after_its_last_chunk_succeeded(processor: EventProcessor, told: Told) -> None:
    raise_in(processor, generation((5, 2)), GeneratorExit())
    assert [(call.status, call.prompt_tokens) for call in told.calls] == [("success", 5)]


def test_a_cancellation_by_the_sdk_is_a_timeout(processor: EventProcessor, told: Told) -> None:
    span = generation(None)
    span.error = {"message": "Error getting response", "data": {"error": "secret"}}
    raise_in(processor, span, asyncio.CancelledError())
    assert [(call.status, call.error) for call in told.calls] == [("timeout", "")]


def test_an_error_without_an_exception(processor: EventProcessor, told: Told) -> None:
    span = generation(None)
    span.error = {"message": "Error streaming response", "data": None}
    raise_in(processor, span, GeneratorExit())
    with opened(processor, generation(None)) as span:
        span.error = {"message": "Error streaming response", "data": None}
    assert [call.status for call in told.calls] == ["cancelled", "error"]


def test_what_was_handled_before_is_no_error(processor: EventProcessor, told: Told) -> None:
    try:
        int("x")
    except ValueError:
        with opened(processor, span_of("agent")), opened(processor, span_of("function")):
            pass
    assert (told.agents[0].status, told.tools[0].status) == ("success", "success")


def test_a_response_says_why_it_ends(processor: EventProcessor, told: Told) -> None:
    usage = {"input_tokens": 9, "output_tokens": 3, "input_tokens_details": {"cached_tokens": 0}}
    tool = {"type": "function_call"}
    for status, output, details in (
        ("completed", [], None),
        ("completed", [tool], None),
        ("incomplete", [], {"reason": "max_output_tokens"}),
        ("failed", [], None),
    ):
        answer = {"model": "m", "status": status, "output": output, "incomplete_details": details, "usage": usage}
        with opened(processor, span_of("response", response=answer)):
            pass
    assert [call.finish_reason for call in told.calls] == ["stop", "tool_calls", "length", "error"]
    assert {(call.prompt_tokens, call.cache_read_tokens) for call in told.calls} == {(9, 0)}


@pytest.mark.parametrize(
    ("url", "provider"),
    [("https://api.openai.com/v1/", "openai"), ("http://127.0.0.1:1/v1", "openai-compatible"), ("", "unknown")],
)
def test_the_provider_is_known_by_the_url(url: str, provider: str, processor: EventProcessor, told: Told) -> None:
    with opened(processor, generation(model_config={"base_url": url})):
        pass
    assert told.calls[0].provider == provider


def test_the_program_may_name_the_provider_and_the_price(told: Told) -> None:
    with opened(EventProcessor(lambda _provider, _model, usage: usage.prompt_tokens, "azure"), generation()):
        pass
    assert [(call.provider, call.cost) for call in told.calls] == [("azure", 5.0)]


def test_a_tool_that_was_wrapped_in_an_error_of_the_sdk_is_told_by_its_own(
    processor: EventProcessor, told: Told
) -> None:
    wrapped = type("UserError", (Exception,), {})("Error running tool")
    wrapped.__cause__ = KeyError("secret")
    raise_in(processor, span_of("function"), wrapped)
    assert [(each.status, each.error) for each in told.tools] == [("error", "KeyError")]


def test_a_tool_that_a_person_rejects_was_not_used(processor: EventProcessor, told: Told) -> None:
    with opened(processor, span_of("function")) as span:
        span.error = {"message": "no", "data": {"error": "Tool execution for 1 was manually rejected by user."}}
    assert told.tools == []


def test_the_server_of_a_tool_is_known_at_the_end(processor: EventProcessor, told: Told) -> None:
    with opened(processor, span_of("function")) as span:
        span.span_data.mcp_data = {"server": "facts"}
    assert told.tools[0].mcp_server == "facts"


def test_a_stopped_run_is_an_error_where_the_sdk_says_so(processor: EventProcessor, told: Told) -> None:
    span = span_of("agent")
    span.error = {"message": "Guardrail tripwire triggered", "data": None}
    raise_in(processor, span, asyncio.CancelledError())
    raise_in(processor, span_of("agent"), asyncio.CancelledError())
    assert [(each.status, each.error) for each in told.agents] == [("error", ""), ("cancelled", "CancelledError")]


def test_a_guardrail_whose_span_somebody_else_makes_checks_what_nobody_knows(
    processor: EventProcessor, told: Told
) -> None:
    with opened(processor, span_of("agent", name="writer")):
        with opened(processor, span_of("guardrail", name="topic", triggered=True)):
            pass
        failed = span_of("guardrail", name="topic", triggered=False)
        failed.error = {"message": "secret", "data": None}
        with opened(processor, failed):
            pass
    assert [(each.guardrail, each.kind, each.outcome, each.agent_name) for each in told.checks] == [
        ("topic", "unknown", "triggered", "writer"),
        ("topic", "unknown", "error", "writer"),
    ]


def test_a_guardrail_whose_span_never_ends_is_cancelled(
    processor: EventProcessor, told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processor_module, "MAX_OPEN_SPANS", 1)
    processor.on_span_start(span_of("guardrail", name="topic", triggered=False))
    with opened(processor, span_of("function", name="look_up")):
        pass
    assert [each.outcome for each in told.checks] == ["cancelled"]


def test_a_span_that_comes_twice_counts_once(processor: EventProcessor, told: Told) -> None:
    span = generation()
    for _ in range(2):
        processor.on_span_start(span)
    for _ in range(2):
        processor.on_span_end(span)
    assert len(told.calls) == len(told.calls_started) == 1


def test_spans_that_end_in_another_context_are_told(processor: EventProcessor, told: Told) -> None:
    """As a generator that the event loop closes does."""
    spans = [span_of("agent", name="writer"), generation(), span_of("function")]
    begun = copy_context()
    for span in spans:
        begun.run(processor.on_span_start, span)
    for span in reversed(spans):
        copy_context().run(processor.on_span_end, span)
    assert (told.agents[0].llm_calls, told.agents[0].tool_calls) == (1, 1)
    assert told.tools[0].agent_name == told.calls[0].agent_name == "writer"


def test_spans_that_never_end_are_few(processor: EventProcessor, told: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processor_module, "MAX_OPEN_SPANS", 3)
    spans = [span_of("agent"), generation(), span_of("function"), span_of("response"), span_of("response")]

    def start_all() -> None:
        for span in [*spans, generation()]:
            processor.on_span_start(span)

    copy_context().run(start_all)
    assert (told.agents[0].status, told.calls[0].status, told.tools[0].status) == ("cancelled",) * 3
    for span in spans:
        processor.on_span_end(span)
    assert len(told.agents) == len(told.tools) == 1


@pytest.mark.lenient
def test_nobody_listens(processor: EventProcessor, monkeypatch: pytest.MonkeyPatch) -> None:
    assert is_idle()
    monkeypatch.setattr(processor_module, "AgentSpan", None)
    with opened(processor, span_of("agent")), opened(processor, generation()):
        pass
    with agent_run(agent_name="a"):
        assert not is_idle()


@pytest.mark.lenient
def test_a_span_of_another_version_is_reported(processor: EventProcessor, told: Told) -> None:
    odd = SimpleNamespace(span_id="1", error=None, span_data=SimpleNamespace(type="agent"))
    with receiver_failed.captured() as failures, opened(processor, odd):
        pass
    assert [(failure.signal, failure.receiver) for failure in failures] == [("agent_finished", "openai_agents")]


def test_what_the_sdk_asks_beside_spans_does_nothing(processor: EventProcessor, told: Told) -> None:
    processor.on_trace_start(None)
    processor.on_trace_end(None)
    processor.force_flush()
    processor.shutdown()
    processor.is_active = False
    with opened(processor, generation()):
        pass
    assert told.calls == []
