"""Spans of GenAI libraries are emitted as calls, tools and runs of agents: spans made by hand."""

from __future__ import annotations

import gc
from contextvars import copy_context
from threading import Thread
from time import time_ns
from typing import Any
from weakref import ref

import pytest

from events import (
    agent_finished,
    agent_run,
    agent_started,
    documents_retrieved,
    guardrail_checked,
    llm_attempted,
    llm_call_started,
    llm_called,
    tool_called,
)
from events.bridges.model_calls.guardrail_check import GuardrailCheck
from events.bridges.model_calls.model_call import CallEnd, start_call
from events.bridges.model_calls.tool_use import ToolUse
from events.bridges.opentelemetry import GenAISpanProcessor
from events.bridges.opentelemetry.spans_of_models import ModelSpans
from tests.support.gen_ai_spans import OPENAI, LightSpans, SpanMaker

CHAT = {"gen_ai.operation.name": "chat", "gen_ai.provider.name": "openai", "gen_ai.request.model": "m"}
ANSWER = {
    "gen_ai.usage.input_tokens": 11,
    "gen_ai.usage.output_tokens": 7,
    "gen_ai.response.model": "m-2026-01-01",
    "gen_ai.response.finish_reasons": ("stop",),
}
LANGCHAIN = "openinference.instrumentation.langchain"
TRACER = "openinference.instrumentation.openai"


def test_a_span_is_a_call(spans: SpanMaker) -> None:
    with llm_call_started.captured() as started, llm_called.captured() as called:
        span = spans.start("chat m", CHAT)
        assert [(start.model, start.provider) for start in started] == [("m", "openai")]
        spans.end(span, ANSWER)
    [call] = called
    assert call.call_id == started[0].call_id
    assert (call.model, call.response_model, call.provider, call.status) == ("m", "m-2026-01-01", "openai", "success")
    assert (call.prompt_tokens, call.completion_tokens, call.usage_source) == (11, 7, "provider")
    assert call.finish_reason == "stop"


def test_a_duration_is_that_of_the_span(spans: SpanMaker) -> None:
    begin = time_ns()
    with llm_called.captured() as called, tool_called.captured() as tools, agent_finished.captured() as runs:
        for name, attributes in (
            ("chat m", CHAT),
            ("execute_tool t", {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "t"}),
            ("invoke_agent a", {"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": "a"}),
        ):
            span = spans.start(name, attributes, start_time=begin)
            spans.end(span, end_time=begin + 2_500_000_000)
    assert [called[0].duration, tools[0].duration, runs[0].duration] == pytest.approx([2.5, 2.5, 2.5])


def test_a_span_whose_model_is_set_after_its_start_starts_a_call_at_its_end(spans: SpanMaker) -> None:
    with llm_call_started.captured() as started, llm_called.captured() as called:
        span = spans.start("openai.chat", {"gen_ai.operation.name": "chat"})
        spans.end(span, {"gen_ai.request.model": "m", "gen_ai.system": "OpenAI", **ANSWER})
    assert [(call.model, call.provider, call.prompt_tokens) for call in called] == [("m", "openai", 11)]
    assert [start.call_id for start in started] == [called[0].call_id]


def test_start_attributes_that_the_span_dropped_are_known(spans: SpanMaker) -> None:
    with llm_called.captured() as called:
        span = spans.start("chat m", {**CHAT, "gen_ai.response.id": "r"})
        spans.end(span, {f"llm.input_messages.{number}.message.role": "user" for number in range(130)})
    assert [(call.model, call.provider) for call in called] == [("m", "openai")]


@pytest.mark.parametrize("library", ["openinference.instrumentation.openai", OPENAI])
def test_nested_spans_are_one_call_with_the_counts_of_the_inner_one(spans: SpanMaker, library: str) -> None:
    with llm_call_started.captured() as started, llm_called.captured() as called:
        outer = spans.start("chat m", CHAT, library="pydantic-ai")
        http = spans.start("POST", parent=outer, library="http")
        inner = spans.start("chat m", CHAT, library=library, parent=http)
        spans.end(inner, {**ANSWER, "gen_ai.usage.output_tokens": 20})
        spans.end(http)
        spans.end(outer, {**ANSWER, "gen_ai.usage.output_tokens": 21})
    assert [call.completion_tokens for call in called] == [20]
    assert len(started) == 1


def test_attempts_inside_a_span_are_added_up(spans: SpanMaker) -> None:
    with llm_called.captured() as called:
        outer = spans.start("chat m", CHAT, library="langchain")
        for number in (1, 2, 2):  # one answer is seen twice
            inner = spans.start("chat m", CHAT, parent=outer)
            spans.end(inner, {**ANSWER, "gen_ai.response.id": f"r{number}"})
        spans.end(outer, ANSWER)
    assert [(call.prompt_tokens, call.completion_tokens) for call in called] == [(22, 14)]


def test_siblings_of_two_libraries_are_one_call(spans: SpanMaker) -> None:
    with llm_called.captured() as called:
        request = spans.start("GET /", library="asgi", kind="SERVER")
        outer = spans.start("anthropic.chat", CHAT, library="opentelemetry.instrumentation.anthropic", parent=request)
        inner = spans.start("anthropic.messages.create", CHAT, library="com.anthropic.sdk.python", parent=request)
        spans.end(inner, ANSWER)
        spans.end(outer, {**ANSWER, "gen_ai.usage.output_tokens": 8})
        spans.end(request)
    assert [call.completion_tokens for call in called] == [7]


def test_spans_in_different_traces_are_one_call(spans: SpanMaker) -> None:
    """The framework's callbacks run in threads, whose context the SDK's call does not have."""
    with llm_called.captured() as called:
        outer = copy_context().run(
            spans.start, "ChatOpenAI.chat", CHAT, library="opentelemetry.instrumentation.langchain"
        )
        inner = spans.start("chat m", CHAT)
        spans.end(inner, ANSWER)
        spans.end(outer)
    assert [call.prompt_tokens for call in called] == [11]


def test_a_span_that_says_at_its_end_that_it_is_a_call_is_one_with_the_call_inside(spans: SpanMaker) -> None:
    with llm_called.captured() as called:
        outer = spans.start("ChatOpenAI", library=LANGCHAIN)
        inner = spans.start("chat m", CHAT)
        spans.end(inner, ANSWER)
        late = {"openinference.span.kind": "LLM", "llm.model_name": "m-2026-01-01", "llm.token_count.prompt": 11}
        spans.end(outer, late, ok=True)
        alone = spans.start("ChatOpenAI", library=LANGCHAIN)
        spans.end(alone, late, ok=True)
    assert [call.model for call in called] == ["m", "m-2026-01-01"]


def test_twenty_at_once_are_twenty(spans: SpanMaker) -> None:
    with llm_called.captured() as called:
        outers = [spans.start("ChatOpenAI", library=LANGCHAIN) for _ in range(20)]
        inners = [copy_context().run(spans.start, "chat m", CHAT) for _ in range(20)]
        for inner in inners:
            spans.end(inner, ANSWER)
        for outer in outers:
            spans.end(outer, {"openinference.span.kind": "LLM", "llm.model_name": "m"}, ok=True)
    assert len(called) == 20


def test_threads_at_once_tell_each_call_once(spans: SpanMaker, processor: GenAISpanProcessor) -> None:
    def work(number: int) -> None:
        for turn in range(50):
            if (number + turn) % 2:
                outer = spans.start("chat m", CHAT, library="pydantic-ai")
                spans.end(spans.start("chat m", CHAT, parent=outer), ANSWER)
                spans.end(outer)
            else:
                outer = spans.start("ChatOpenAI", library=LANGCHAIN)
                spans.end(spans.start("chat m", CHAT), ANSWER)
                spans.end(outer, {"openinference.span.kind": "LLM", "llm.model_name": "m"}, ok=True)

    with llm_call_started.captured() as started, llm_called.captured() as called:
        threads = [Thread(target=work, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(called) == 200
    assert sum(call.prompt_tokens or 0 for call in called) == 200 * 11
    assert {start.call_id for start in started} == {call.call_id for call in called}


def test_two_calls_in_a_row_in_one_context_are_two(spans: SpanMaker) -> None:
    with llm_called.captured() as called:
        stream = spans.start("chat m", CHAT)
        other = spans.start("chat m", CHAT)
        spans.end(other, ANSWER)
        spans.end(stream, ANSWER)
    assert len(called) == 2


def test_a_span_made_after_the_call_is_one_with_those_inside(spans: SpanMaker) -> None:
    """LiteLLM makes its span after the call, with the times of it, in another thread, and without a parent."""
    with llm_called.captured() as called:
        begin = time_ns() - 5_000_000
        inner = spans.start("chat m", CHAT)
        spans.end(inner, ANSWER)

        def make() -> None:
            span = spans.start("litellm_request", library="litellm", start_time=begin)
            spans.end(
                span, {**ANSWER, "gen_ai.operation.name": "acompletion", "gen_ai.request.model": "openai/m"}, ok=True
            )

        thread = Thread(target=make)
        thread.start()
        thread.join()
        assert len(called) == 1
        make()  # nobody else sees this one
    assert [(call.model, call.prompt_tokens) for call in called] == [("m", 11), ("openai/m", 11)]


def test_a_direct_bridge_inside_a_span_takes_the_call_over(spans: SpanMaker) -> None:
    with llm_call_started.captured() as started, llm_called.captured() as called:
        span = spans.start("chat m", CHAT)
        exact = start_call("exact", model="m", provider="p", is_exact=True)
        assert exact is not None
        exact.finish(CallEnd(response_model="exact"))
        spans.end(span, ANSWER)
    assert [call.response_model for call in called] == ["exact"]
    assert [start.call_id for start in started] == [called[0].call_id]


def test_after_a_call_that_a_direct_bridge_took_over_the_next_span_is_a_call_of_its_own(spans: SpanMaker) -> None:
    with llm_called.captured() as called:
        span = spans.start("chat m", CHAT)
        exact = start_call("exact", model="m", provider="p", is_exact=True)
        assert exact is not None
        exact.finish(CallEnd(response_model="exact"))
        spans.end(span, ANSWER)
        spans.end(spans.start("chat m", CHAT), ANSWER)
    assert [call.response_model for call in called] == ["exact", ANSWER["gen_ai.response.model"]]


def test_a_direct_bridge_takes_over_a_framework_s_span_of_another_context(spans: SpanMaker) -> None:
    with llm_call_started.captured() as started, llm_called.captured() as called:
        span = copy_context().run(spans.start, "chat m", CHAT, library="opentelemetry.instrumentation.langchain")
        exact = start_call("exact", model="m", provider="p", is_exact=True)
        assert exact is not None
        exact.finish(CallEnd(response_model="exact"))
        spans.end(span, ANSWER)
    assert [call.response_model for call in called] == ["exact"]
    assert [start.call_id for start in started] == [called[0].call_id]


def test_a_span_inside_a_direct_bridge_s_call_is_silent(spans: SpanMaker) -> None:
    with llm_call_started.captured() as started, llm_called.captured() as called:
        exact = start_call("exact", model="m", provider="p", is_exact=True)
        assert exact is not None
        with exact.in_effect():
            span = spans.start("chat m", CHAT)
            http = spans.start("POST", library="http")
        inner = copy_context().run(spans.start, "chat m", CHAT, library=TRACER, parent=span)
        other = copy_context().run(spans.start, "chat m", CHAT, library=TRACER, parent=http)
        for each in (other, inner, http, span):
            spans.end(each, ANSWER)
        exact.finish(CallEnd(response_model="exact"))
    assert [call.response_model for call in called] == ["exact"]
    assert len(started) == 1


def test_a_span_that_is_known_at_its_end_is_silent_around_a_direct_bridge_s_call(spans: SpanMaker) -> None:
    with llm_called.captured() as called:
        span = spans.start("ChatOpenAI", library=LANGCHAIN)
        exact = start_call("exact", model="m", provider="p", is_exact=True)
        assert exact is not None
        exact.finish(CallEnd(response_model="exact"))
        spans.end(span, {"openinference.span.kind": "LLM", "llm.model_name": "m"}, ok=True)
    assert [call.response_model for call in called] == ["exact"]


def test_a_span_that_is_known_at_its_end_is_of_the_call_that_it_began_in_though_that_ended_before(
    spans: SpanMaker,
) -> None:
    """As with LangChain, which calls its tracer on a thread, after the bridge to it."""
    with llm_called.captured() as called:
        observed = start_call("observes", model="m", provider="p", is_exact=False)
        assert observed is not None
        with observed.in_effect():
            span = spans.start("ChatOpenAI", library=LANGCHAIN, start_time=time_ns() + 10**7)
        observed.finish(CallEnd(response_model="observed"))
        spans.end(span, {"openinference.span.kind": "LLM", "llm.model_name": "m"}, ok=True, end_time=time_ns() + 10**8)
    assert [call.response_model for call in called] == ["observed"]


def test_who_listens_only_when_a_run_ends_gets_the_totals_and_the_times_of_all_of_it(spans: SpanMaker) -> None:
    with llm_called.captured():  # so that spans are looked at; nobody listens to agents yet
        agent = spans.start("invoke_agent a", {"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": "a"})
        call = spans.start("chat m", CHAT, parent=agent)
        spans.end(call, ANSWER)
        idle = spans.start("invoke_agent b", {"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": "b"})
        with agent_finished.captured() as finished:
            spans.end(idle)
            spans.end(agent)
    of_b, of_a = finished
    assert (of_a.llm_calls, of_a.prompt_tokens) == (1, 11)
    for run in finished:
        times = (run.llm_time, run.tool_time, run.backoff_time, run.self_time)
        assert all(seconds is not None for seconds in times)
        assert sum(seconds or 0.0 for seconds in times) == pytest.approx(run.duration, abs=0.05)
    assert (of_b.agent_name, of_b.llm_calls, of_b.llm_time) == ("b", 0, 0.0)


def test_what_is_emitted_in_an_agent_s_span_is_the_agent_s(spans: SpanMaker) -> None:
    with (
        agent_started.captured() as started,
        agent_finished.captured() as finished,
        llm_called.captured() as called,
        tool_called.captured() as tools,
        agent_run(agent_name="host"),
    ):
        agent = spans.start(
            "invoke_agent writer", {"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": "writer"}
        )
        call = spans.start("chat m", CHAT, parent=agent)
        spans.end(call, ANSWER)
        use = spans.start(
            "execute_tool search",
            {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "search"},
            parent=agent,
            kind="INTERNAL",
        )
        spans.end(use)
        exact = start_call("exact", model="m", provider="p", is_exact=True)
        assert exact is not None
        exact.finish(CallEnd())
        spans.end(agent, {"gen_ai.usage.input_tokens": 99})
        last = spans.start("chat m", CHAT)
        spans.end(last, ANSWER)
    assert [start.agent_name for start in started] == ["host", "writer"]
    assert [(event.agent_name, event.llm_calls, event.tool_calls, event.prompt_tokens) for event in finished] == [
        ("writer", 2, 1, 11),
        ("host", 3, 1, 22),
    ]
    assert [event.own_prompt_tokens for event in finished] == [11, 11]
    assert [event.agent_name for event in called] == ["writer", "writer", "host"]
    assert [(event.agent_name, event.tool_name) for event in tools] == [("writer", "search")]


def test_an_agent_that_ends_in_another_context_is_left_behind(spans: SpanMaker) -> None:
    with agent_finished.captured() as finished, llm_called.captured() as called:
        agent = spans.start("invoke_agent writer", {"gen_ai.operation.name": "invoke_agent"})
        thread = Thread(target=spans.end, args=(agent,))
        thread.start()
        thread.join()
        spans.end(spans.start("chat m", CHAT), ANSWER)
    assert [(event.agent_name, event.llm_calls) for event in finished] == [("writer", 0)]
    assert [event.agent_name for event in called] == ["unknown"]


def test_an_agent_known_at_its_end_has_what_was_used_inside(spans: SpanMaker) -> None:
    with agent_finished.captured() as finished:
        outer = spans.start("outer", library="some.library")
        inner = spans.start("inner", library="some.library", parent=outer)
        spans.end(spans.start("chat m", CHAT, parent=inner), ANSWER)
        spans.end(spans.start("execute_tool t", parent=inner, kind="INTERNAL"))
        spans.end(inner, {"openinference.span.kind": "AGENT"}, ok=True)
        spans.end(spans.start("chat m", CHAT, parent=outer), ANSWER)
        spans.end(outer, {"openinference.span.kind": "AGENT", "agent.name": "boss"}, ok=True)
    assert [(event.agent_name, event.llm_calls, event.tool_calls) for event in finished] == [
        ("inner", 1, 1),
        ("boss", 2, 1),
    ]
    assert [(event.prompt_tokens, event.own_prompt_tokens) for event in finished] == [(11, 11), (22, 11)]


def test_a_call_of_another_context_is_added_to_the_agent_around_the_framework_s_span(spans: SpanMaker) -> None:
    invoke = {"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": "writer"}
    with agent_finished.captured() as finished, llm_called.captured() as called:
        outside = copy_context().run(spans.start, "invoke_agent boss", {"gen_ai.operation.name": "invoke_agent"})
        inside = copy_context()
        agent = inside.run(spans.start, "invoke_agent writer", invoke, parent=outside)
        inside.run(llm_attempted.emit, model="m", outcome="error", duration=0.0)  # of no call that is known
        chain = spans.start("model", library=LANGCHAIN, parent=agent)
        model = copy_context().run(spans.start, "ChatOpenAI", library=LANGCHAIN, parent=chain)
        spans.end(spans.start("chat m", CHAT), ANSWER)
        spans.end(model, {"openinference.span.kind": "LLM", "llm.model_name": "m"}, ok=True)
        for span in (chain, agent, outside):
            spans.end(span)
    assert [call.agent_name for call in called] == ["unknown"]
    assert [(run.agent_name, run.llm_calls, run.prompt_tokens, run.own_prompt_tokens) for run in finished] == [
        ("writer", 1, 11, 11),
        ("boss", 1, 11, 0),
    ]
    assert finished[0].llm_time is not None
    assert finished[0].llm_time > 0
    assert finished[0].backoff_time == 0


def test_one_run_that_two_spans_tell_is_one(spans: SpanMaker) -> None:
    invoke = {"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": "writer"}
    with agent_finished.captured() as finished:
        outer = spans.start("invoke_agent writer", invoke)
        inner = spans.start("invoke_agent writer", invoke, parent=outer)
        spans.end(inner)
        spans.end(outer)
        with agent_run(agent_name="writer"):
            spans.end(spans.start("invoke_agent writer", invoke))
    assert [event.agent_name for event in finished] == ["writer", "writer"]


def test_a_tool_s_server_tells_nothing_and_a_nested_use_once(spans: SpanMaker) -> None:
    use = {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "search"}
    with tool_called.captured() as tools:
        outer = spans.start("execute_tool search", use, kind="INTERNAL", library="pydantic-ai")
        client = spans.start("MCP send tools/call search", {"mcp.method.name": "tools/call"}, parent=outer)
        server = spans.start(
            "tools/call search", {"mcp.method.name": "tools/call", **use}, parent=client, kind="SERVER"
        )
        for span in (server, client):
            spans.end(span)
        spans.end(outer, {"error.type": "tool_error"}, error="")
    assert [(tool.tool_name, tool.status, tool.error) for tool in tools] == [("search", "error", "tool_error")]


def test_embeddings_are_a_call_without_a_completion(spans: SpanMaker) -> None:
    with llm_called.captured() as called:
        span = spans.start("embeddings m", {**CHAT, "gen_ai.operation.name": "embeddings"})
        spans.end(span, {"gen_ai.usage.input_tokens": 5})
    assert [(call.operation, call.prompt_tokens, call.completion_tokens) for call in called] == [
        ("embeddings", 5, None)
    ]


def test_a_retrieval_has_its_documents(spans: SpanMaker) -> None:
    with documents_retrieved.captured() as retrieved:
        span = spans.start("VectorStoreRetriever", {"openinference.span.kind": "RETRIEVER"})
        spans.end(
            span, {f"retrieval.documents.{n}.document.{what}": "x" for n in range(3) for what in ("id", "content")}
        )
        span = spans.start(
            "retrieval brands", {"gen_ai.operation.name": "retrieval", "gen_ai.data_source.id": "brands"}
        )
        spans.end(span, {"error.type": "builtins.ValueError"}, error="no such index")
    assert [(each.data_source, each.status, each.documents, each.error) for each in retrieved] == [
        ("VectorStoreRetriever", "success", 3, ""),
        ("brands", "error", None, "ValueError"),
    ]


def test_a_retrieval_is_of_the_agent_whose_span_it_is_in(spans: SpanMaker) -> None:
    with documents_retrieved.captured() as retrieved:
        agent = spans.start(
            "invoke_agent writer", {"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": "writer"}
        )
        spans.end(spans.start("retrieval", {"gen_ai.operation.name": "retrieval"}, parent=agent))
        spans.end(agent)
    assert [each.agent_name for each in retrieved] == ["writer"]


def test_a_guardrail_says_what_it_checks_and_what_it_decides(spans: SpanMaker) -> None:
    """In the words that are proposed for the conventions, and those of a distribution that has them already."""

    def check(prefix: str, target: str, decision: str, error: str | None = None) -> None:
        start = {"gen_ai.operation.name": "apply_guardrail", f"{prefix}.security.target.type": target}
        span = spans.start("apply_guardrail pii", start, kind="INTERNAL")
        failure = {} if error is None else {"error.type": error}
        spans.end(span, {f"{prefix}.security.decision.type": decision, **failure}, error=error and "secret")

    with guardrail_checked.captured() as checks:
        check("gen_ai", "llm_input", "allow")
        check("microsoft", "llm_output", "deny")
        check("gen_ai", "tool_call", "modify")
        check("gen_ai", "memory_store", "a word of their own")
        check("gen_ai", "llm_input", "allow", "builtins.ValueError")
        check("gen_ai", "llm_input", "allow", "CancelledError")
    assert {each.guardrail for each in checks} == {"pii"}
    assert [(each.kind, each.outcome, each.error) for each in checks] == [
        ("input", "passed", ""),
        ("output", "triggered", ""),
        ("tool", "triggered", ""),
        ("unknown", "unknown", ""),
        ("input", "error", "ValueError"),
        ("input", "cancelled", "CancelledError"),
    ]
    assert all(each.duration >= 0 for each in checks)
    assert "secret" not in repr(checks)


def test_a_guardrail_of_openinference_has_no_decision(spans: SpanMaker) -> None:
    kind = {"openinference.span.kind": "GUARDRAIL"}
    with guardrail_checked.captured() as checks, agent_run(agent_name="writer"):
        spans.end(spans.start("parse", kind), ok=True)
        spans.end(spans.start("late"), kind, ok=True)
        spans.end(spans.start("parse", kind), error="", raised=("guardrails.errors.ValidationError", "secret"))
    assert [(each.guardrail, each.outcome, each.error, each.agent_name) for each in checks] == [
        ("parse", "unknown", "", "writer"),
        ("late", "unknown", "", "writer"),
        ("parse", "error", "ValidationError", "writer"),
    ]


def test_a_call_that_a_guardrail_asks_is_another_than_the_one_that_it_guards(spans: SpanMaker) -> None:
    guard = {"gen_ai.operation.name": "apply_guardrail", "gen_ai.guardian.name": "judge"}
    with llm_called.captured() as called, guardrail_checked.captured() as checks:
        guarded = spans.start("chat m", CHAT, library="some.framework")
        check = spans.start("apply_guardrail judge", guard, parent=guarded, kind="INTERNAL")
        spans.end(spans.start("chat m", CHAT, parent=check), ANSWER)
        spans.end(check)
        spans.end(guarded, ANSWER)
    assert [call.prompt_tokens for call in called] == [11, 11]
    assert [each.guardrail for each in checks] == ["judge"]


def test_a_guardrail_whose_span_nobody_ends_is_cancelled(spans: SpanMaker, processor: GenAISpanProcessor) -> None:
    with guardrail_checked.captured() as checks:
        span = spans.start("parse", {"openinference.span.kind": "GUARDRAIL"})
        processor.shutdown()
        spans.end(span)
    assert [each.outcome for each in checks] == ["cancelled"]


def test_a_guardrail_that_another_bridge_sees_too_is_told_once(spans: SpanMaker) -> None:
    with guardrail_checked.captured() as checks:
        check = GuardrailCheck("openai_agents", "topic", "input")
        check.enter()
        spans.end(spans.start("check_topic", {"openinference.span.kind": "GUARDRAIL"}))
        check.finish("passed")
    assert [(each.guardrail, each.kind) for each in checks] == [("topic", "input")]


@pytest.mark.parametrize("is_outer", [True, False])
def test_a_tool_that_another_bridge_sees_too_is_told_once(spans: SpanMaker, is_outer: bool) -> None:
    use = {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "search"}
    with tool_called.captured() as tools:
        if is_outer:
            span = spans.start("execute_tool search", use, kind="INTERNAL")
            ToolUse("mcp", "search", mcp_server="web").finish("error", "MCPError")
            spans.end(span)
        else:
            other = ToolUse("mcp", "search", mcp_server="web")
            with other.in_effect():
                span = spans.start("execute_tool search", use, kind="INTERNAL")
            spans.end(span, {"error.type": "MCPError"}, error="")
            other.finish()
    assert [(tool.tool_name, tool.mcp_server, tool.status, tool.error) for tool in tools] == [
        ("search", "web", "error", "MCPError")
    ]


def test_operations_that_are_no_calls_tell_nothing(spans: SpanMaker) -> None:
    with llm_called.captured() as called, agent_finished.captured() as finished, tool_called.captured() as tools:
        for operation in ("create_agent", "fetch_response", "plan", "search_memory", "invoke_workflow", "execute_task"):
            spans.end(spans.start(f"{operation} x", {"gen_ai.operation.name": operation}), ANSWER)
        spans.end(spans.start("anthropic.messages.count_tokens", {"gen_ai.provider.name": "anthropic"}), ANSWER)
    assert (called, finished, tools) == ([], [], [])


def test_spans_that_nobody_ends_are_dropped_as_cancelled() -> None:
    processor = GenAISpanProcessor(price=None, max_open_spans=2)
    spans = LightSpans(processor)
    with llm_called.captured() as called, agent_finished.captured() as finished:
        agent = spans.start("invoke_agent a", {"gen_ai.operation.name": "invoke_agent"})
        first = spans.start("chat m", CHAT)
        held = [agent, *(spans.start("chat m", CHAT) for _ in range(3))]
        assert [event.status for event in finished] == ["cancelled"]
        assert [call.status for call in called] == ["cancelled", "cancelled"]
        spans.end(first, ANSWER)
        assert len(called) == 2
        processor.shutdown()
        assert len(called) == 4
        spans.end(spans.start("chat m", CHAT), ANSWER)
        assert held
    assert len(called) == 4


def test_a_span_that_is_gone_without_an_end_is_a_cancelled_call(spans: SpanMaker) -> None:
    """OpenLLMetry does not end the span of a call whose task is cancelled."""
    with llm_call_started.captured() as started, llm_called.captured() as called:
        span = spans.start("openai.chat", {"gen_ai.operation.name": "chat"})
        span.set_attribute("gen_ai.request.model", "m")
        del span
        gc.collect()
    assert [(call.model, call.status) for call in called] == [("m", "cancelled")]
    assert len(started) == 1


def test_a_call_that_ended_is_not_left_to_the_garbage_collector() -> None:
    processor = GenAISpanProcessor(price=None)
    spans = LightSpans(processor)
    gc.collect()
    gc.disable()
    try:
        with llm_called.captured() as called:
            spans.end(spans.start("chat m", CHAT), ANSWER)
            spans.end(spans.start("m", {}), {**CHAT, **ANSWER})  # which says only at its end what it is of
            own = start_call("exact", model="m", provider="p", is_exact=True)
            assert own is not None
            with own.in_effect():
                spans.end(spans.start("chat m", CHAT), ANSWER)  # which another bridge tells
            own.finish(CallEnd())
            del own
        ended = [ref(call) for call in processor._calls.calls._calls]
        processor._calls.calls.clear()
        assert [call() for call in ended] == [None] * len(ended)
    finally:
        gc.enable()
        processor.shutdown()
    assert (len(called), len(ended)) == (3, 3)


def test_a_scope_that_is_ignored_tells_nothing_and_is_passed_through() -> None:
    processor = GenAISpanProcessor(price=None, ignore=["langchain"])
    spans = LightSpans(processor)
    with agent_finished.captured() as finished, llm_called.captured() as called:
        agent = spans.start("invoke_agent a", {"gen_ai.operation.name": "invoke_agent"})
        outer = spans.start("chat m", CHAT, library="langchain", parent=agent)
        spans.end(spans.start("chat m", CHAT, parent=outer), ANSWER)
        spans.end(outer, ANSWER)
        spans.end(agent)
    processor.shutdown()
    assert [event.llm_calls for event in finished] == [1]
    assert len(called) == 1


@pytest.mark.lenient
def test_a_failure_of_the_bridge_is_reported_and_not_raised(processor: GenAISpanProcessor) -> None:
    from events import receiver_failed

    with receiver_failed.captured() as failures, llm_called.captured():
        processor.on_start(object())
        processor.on_end(object())
    assert {failure.receiver for failure in failures} == {"opentelemetry bridge"}


@pytest.mark.lenient
def test_a_failure_of_the_bridge_as_it_ends_what_is_open_is_reported_too(
    processor: GenAISpanProcessor, monkeypatch: pytest.MonkeyPatch
) -> None:
    from events import receiver_failed

    def fail(*_: Any) -> None:
        raise RuntimeError

    with receiver_failed.captured() as failures, llm_called.captured():
        # In a context of its own: the claim of a call that has no end would stay in this one, for the tests to come.
        span = copy_context().run(LightSpans(processor).start, "chat m", CHAT)
        monkeypatch.setattr(ModelSpans, "drop", fail)
        processor.shutdown()
    assert span is not None
    assert {failure.receiver for failure in failures} == {"opentelemetry bridge"}


@pytest.mark.lenient
@pytest.mark.parametrize(
    ("signal", "said"),
    [
        (tool_called, {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "search"}),
        (agent_finished, {"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": "writer"}),
    ],
)
def test_who_listens_to_no_calls_is_told_the_rest(signal: Any, said: dict[str, Any], spans: SpanMaker) -> None:
    with signal.captured() as told:
        spans.end(spans.start("work", said))
    assert len(told) == 1


@pytest.mark.lenient
def test_nobody_listens(processor: GenAISpanProcessor) -> None:
    spans = LightSpans(processor)
    span = spans.start("chat m", CHAT)
    with llm_called.captured() as called:
        spans.end(span, ANSWER)
    assert called == []
