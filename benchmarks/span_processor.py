"""Processor time that the span processor of `events.bridges.opentelemetry` adds to a span, one listener connected."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from events import llm_called
from events.bridges.opentelemetry import GenAISpanProcessor

from .measurement import Claim, alternately

SPANS = 2_000

# fmt: off
KINDS: Mapping[str, tuple[str, Mapping[str, Any], Mapping[str, Any]]] = {
    "of a call of a model": (
        "chat gpt-4o-mini",
        {"gen_ai.operation.name": "chat", "gen_ai.provider.name": "openai", "gen_ai.request.model": "gpt-4o-mini",
         "server.address": "api.openai.com", "server.port": 443},
        {"gen_ai.usage.input_tokens": 11, "gen_ai.usage.output_tokens": 7, "gen_ai.response.id": "r",
         "gen_ai.response.model": "gpt-4o-mini-2024-07-18", "gen_ai.response.finish_reasons": ("stop",)},
    ),
    "of a call with the messages of OpenInference, 128 attributes": (
        "ChatCompletion",
        {"openinference.span.kind": "LLM", "llm.system": "openai", "llm.provider": "openai"},
        {**{f"llm.input_messages.{number}.message.content": "x" for number in range(121)},
         "llm.invocation_parameters": '{"model": "gpt-4o-mini", "temperature": 0.5}', "llm.model_name": "gpt-4o-mini",
         "llm.token_count.prompt": 11, "llm.token_count.completion": 7},
    ),
    "of a tool": ("execute_tool look", {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "look"}, {}),
    "of an agent": ("invoke_agent a", {"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": "a"}, {}),
    "of nothing that is counted": ("GET /", {"http.request.method": "GET"}, {"http.response.status_code": 200}),
}
# fmt: on


def measure(short: bool) -> list[Claim]:
    """Measure spans of each kind, with the processor and without."""
    llm_called.connect(ignore)
    return [measure_kind(kind, 3 if short else 9) for kind in KINDS]


def measure_kind(kind: str, rounds: int) -> Claim:
    """Return what the processor adds to a span of a kind, in microseconds."""
    runs = alternately(
        {
            "bare": make_spans(kind, None),
            "watched": make_spans(kind, GenAISpanProcessor(price=None)),
        },
        rounds,
    )
    each = {name: [seconds / SPANS * 1e6 for seconds in run] for name, run in runs.items()}
    return Claim(
        what=f"processor time that the span processor adds to a span {kind}",
        bar=60,
        better="lower",
        unit="us",
        ours=[max(0.0, a - b) for a, b in zip(each["watched"], each["bare"], strict=True)],
        runs={f"{name}, us": run for name, run in each.items()},
    )


def make_spans(kind: str, processor: GenAISpanProcessor | None) -> Callable[[], None]:
    """Return a function that makes spans of a kind, by a provider with the processor or without any."""
    from opentelemetry.sdk.trace import TracerProvider  # in the environment of the benchmarks

    provider = TracerProvider(shutdown_on_exit=False)
    if processor is not None:
        provider.add_span_processor(processor)
    tracer = provider.get_tracer("opentelemetry.instrumentation.genai.openai")
    name, start, end = KINDS[kind]

    def make() -> None:
        for _ in range(SPANS):
            span = tracer.start_span(name, attributes=start)
            span.set_attributes(end)
            span.end()

    return make


def ignore(event: object) -> None:
    """Take an event, as a listener does."""
