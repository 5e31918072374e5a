"""The spans of OpenTelemetry's own SDK: what it exports, what it samples, and whose they hang under."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest
from opentelemetry.trace import SpanKind, StatusCode
from prometheus_client import CollectorRegistry

from events import agent_finished, agent_run, llm_called, workflow_run
from metrics import CATALOGUE, scrape, subscribe
from tests.support.openai_server import OpenAIServer, Reply, fails, says
from tests.support.retried_call import call_model
from traces import current_exemplar, trace_events
from traces.spans import INSTRUMENTATION_SCOPE

pytestmark = pytest.mark.models("opentelemetry.sdk")


def sdk_provider(ratio: float = 1.0) -> tuple[Any, Any]:
    """Return a tracer provider of the SDK, and the exporter that has its spans once they have ended."""
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
    from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased

    provider = TracerProvider(sampler=ParentBased(TraceIdRatioBased(ratio)))
    exporter = InMemorySpanExporter()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    return provider, exporter


def live_life(provider: Any) -> None:
    with trace_events(provider), workflow_run(run_id="1", workflow_type="campaign"), agent_run(agent_name="writer"):
        call_model()
        with provider.get_tracer("application").start_as_current_span("own"):
            llm_called.emit(model="haiku", status="error", duration=0.5, error="APIError", error_type="provider_5xx")


def test_what_is_exported() -> None:
    provider, exporter = sdk_provider()
    live_life(provider)
    spans = exporter.get_finished_spans()
    names = {span.context.span_id: span.name for span in spans}
    assert sorted((span.name, names.get(span.parent.span_id if span.parent else 0)) for span in spans) == [
        ("attempt gpt-5", "chat gpt-5"),
        ("attempt gpt-5", "chat gpt-5"),
        ("chat gpt-5", "invoke_agent writer"),
        ("chat haiku", "own"),
        ("invoke_agent writer", "invoke_workflow campaign"),
        ("invoke_workflow campaign", None),
        ("own", "invoke_agent writer"),
    ]
    failed = next(span for span in spans if span.name == "chat haiku")
    assert (failed.kind, failed.status.status_code) == (SpanKind.CLIENT, StatusCode.ERROR)
    assert failed.attributes["error.type"] == "provider_5xx"
    assert (failed.end_time - failed.start_time) / 1e9 == pytest.approx(0.5, abs=0.1)
    assert {span.instrumentation_scope.name for span in spans} == {"sparklio.traces", "application"}


@pytest.mark.parametrize(("ratio", "expected"), [(1.0, True), (0.0, False)])
def test_an_exemplar_is_of_what_is_sampled(ratio: float, *, expected: bool) -> None:
    provider, exporter = sdk_provider(ratio)
    registry = CollectorRegistry()
    with subscribe(CATALOGUE, registry, namespace="acme") as subscription:
        subscription.add_exemplars(current_exemplar)
        live_life(provider)
        text = scrape(registry, "application/openmetrics-text").body.decode()
    spans = exporter.get_finished_spans()
    assert bool(spans) is expected
    trace_ids = {f"{span.context.trace_id:032x}" for span in spans}
    assert (',trace_id="' in text) is expected
    assert all(trace_id in text for trace_id in trace_ids)


def test_the_spans_of_a_client_hang_under_the_agent_that_uses_it() -> None:
    """Those of an instrumentation of another maker, which knows nothing of events."""
    provider, exporter = sdk_provider()
    tracer = provider.get_tracer("opentelemetry.instrumentation.httpx")
    with trace_events(provider), agent_run(agent_name="writer"), tracer.start_as_current_span("GET"):
        pass
    request, agent = exporter.get_finished_spans()
    assert (request.name, agent.name) == ("GET", "invoke_agent writer")
    assert request.parent.span_id == agent.context.span_id


def test_spans_that_are_made_of_events_do_not_become_events_again() -> None:
    """Where the bridge makes events of the spans of the same provider: a call is one event, and one span more."""
    from events.bridges.opentelemetry import instrument
    from events.bridges.opentelemetry.span_processor import MADE_OF_EVENTS

    assert MADE_OF_EVENTS == INSTRUMENTATION_SCOPE
    provider, exporter = sdk_provider()
    library = provider.get_tracer("opentelemetry.instrumentation.genai.openai")
    attributes = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "gpt-5",
        "gen_ai.usage.input_tokens": 7,
    }
    with (
        instrument(provider),
        trace_events(provider),
        llm_called.captured() as calls,
        agent_finished.captured() as finished,
        agent_run(agent_name="writer"),
    ):
        call_model()
        with library.start_as_current_span("chat gpt-5", kind=SpanKind.CLIENT, attributes=attributes):
            pass
    assert [call.prompt_tokens for call in calls] == [100, 7]
    assert [event.agent_name for event in finished] == ["writer"]
    names = [span.name for span in exporter.get_finished_spans()]
    assert (names.count("chat gpt-5"), names.count("invoke_agent writer")) == (3, 1)


@pytest.mark.parametrize("reply", [says("fine"), fails(429)], ids=["answered", "refused"])
@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
def test_a_call_says_what_opentelemetrys_own_instrumentation_says_of_it(reply: Reply, *, streamed: bool) -> None:
    """Of one request to a real server by the openai SDK: what both know is the same, and the two are nested."""
    from openai import OpenAI, RateLimitError
    from opentelemetry.instrumentation.genai.openai import OpenAIInstrumentor

    from events.bridges.openai import instrument

    provider, exporter = sdk_provider()
    instrumentor = OpenAIInstrumentor()
    instrumentor.instrument(tracer_provider=provider)
    options: dict[str, Any] = {"stream": True, "stream_options": {"include_usage": True}} if streamed else {}
    try:
        with (
            OpenAIServer(lambda _: reply) as server,
            OpenAI(base_url=server.base_url, api_key="none", max_retries=0) as client,
            instrument(client, provider="openai", price=None),
            trace_events(provider),
            agent_run(agent_name="writer"),
            suppress(RateLimitError),
        ):
            answer = client.chat.completions.create(
                model="gpt-5", messages=[{"role": "user", "content": "Sell my earbuds"}], **options
            )
            for _ in answer if streamed else ():
                pass
    finally:
        instrumentor.uninstrument()
    spans = exporter.get_finished_spans()
    ours, theirs = (
        next(span for span in spans if span.name == "chat gpt-5" and (span.instrumentation_scope.name == scope))
        for scope in (INSTRUMENTATION_SCOPE, "opentelemetry.instrumentation.genai.openai")
    )
    assert ours.parent.span_id == theirs.context.span_id
    assert theirs.parent.span_id == next(span for span in spans if span.name == "invoke_agent writer").context.span_id
    assert (ours.kind, ours.status.status_code) == (theirs.kind, theirs.status.status_code)
    in_both = ours.attributes.keys() & theirs.attributes.keys() - {"error.type"}
    assert {name: ours.attributes[name] for name in in_both} == {name: theirs.attributes[name] for name in in_both}
    theirs_alone = {"server.address", "server.port", "gen_ai.response.id", "gen_ai.response.time_to_first_chunk"}
    assert theirs.attributes.keys() - ours.attributes.keys() <= theirs_alone
    assert ours.attributes.get("error.type") == (None if reply.status == 200 else "rate_limited")
    assert "earbuds" not in repr([(span.attributes, span.status.description) for span in spans])
