"""Sampled-out spans: recorded for the processor by a sampler, and found where they are dropped."""

from __future__ import annotations

from typing import Any

import pytest

from events import llm_called
from events.bridges.opentelemetry import RecordingSampler, instrument, sampling_fault
from tests.support.gen_ai_spans import SDKSpans
from tests.support.tracing import make_provider

pytestmark = pytest.mark.models("opentelemetry.sdk.trace")

CHAT = {"gen_ai.operation.name": "chat", "gen_ai.provider.name": "openai", "gen_ai.request.model": "m"}


class Exporter:
    """Counts what is exported."""

    def __init__(self) -> None:
        self.exported = 0

    def export(self, spans: Any) -> Any:
        from opentelemetry.sdk.trace.export import SpanExportResult

        self.exported += len(spans)
        return SpanExportResult.SUCCESS

    def shutdown(self) -> None: ...


def make_calls(sampler: Any, count: int) -> tuple[int, int]:
    """Make spans of calls, each with one inside, and return how many were told and how many exported."""
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor

    exporter = Exporter()
    provider = make_provider(sampler=sampler)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    spans = SDKSpans(provider)
    with instrument(provider, price=None), llm_called.captured() as called:
        for _ in range(count):
            outer = spans.start("request", library="http")
            inner = spans.start("chat m", CHAT, parent=outer)
            spans.end(inner, {"gen_ai.usage.input_tokens": 11, "gen_ai.usage.output_tokens": 7})
            spans.end(outer)
    assert all((call.model, call.prompt_tokens) == ("m", 11) for call in called)
    return len(called), exporter.exported


@pytest.mark.parametrize("parent_based", [False, True])
def test_a_span_that_is_sampled_out_is_told_and_not_exported(parent_based: bool) -> None:
    from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased

    ratio = TraceIdRatioBased(0.2)
    sampler = RecordingSampler(ParentBased(ratio) if parent_based else ratio)
    told, exported = make_calls(sampler, 40)
    assert told == 40
    assert 0 <= exported < 60
    assert sampler.get_description().startswith("RecordingSampler{")


def test_without_the_sampler_calls_are_lost() -> None:
    from opentelemetry.sdk.trace.sampling import ALWAYS_OFF

    assert make_calls(ALWAYS_OFF, 5) == (0, 0)
    assert make_calls(RecordingSampler(ALWAYS_OFF), 5) == (5, 0)


def test_a_sampler_that_drops_spans_is_found() -> None:
    from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ALWAYS_ON, DEFAULT_ON, ParentBased, TraceIdRatioBased

    ratio = TraceIdRatioBased(0.1)
    for sampler in (None, ALWAYS_ON, DEFAULT_ON, RecordingSampler(ratio), RecordingSampler(ParentBased(ratio))):
        assert sampling_fault(make_provider(sampler=sampler)) is None
    for sampler, share in ((ratio, "90%"), (ParentBased(ratio), "90%"), (ALWAYS_OFF, "100%")):
        fault = sampling_fault(make_provider(sampler=sampler)) or ""
        assert f"drops {share} of all spans" in fault
        assert "RecordingSampler" in fault
    assert sampling_fault(object()) is None


def test_the_start_warns_of_a_sampler_that_drops_spans(caplog: pytest.LogCaptureFixture) -> None:
    from opentelemetry.sdk.trace.sampling import TraceIdRatioBased

    with instrument(make_provider(sampler=TraceIdRatioBased(0.5))):
        assert "drops 50% of all spans" in caplog.text
    caplog.clear()
    with instrument(make_provider()):
        assert caplog.text == ""
