"""Spans that are made by hand, without the SDK and by it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from events.bridges.opentelemetry import GenAISpanProcessor
from tests.support.gen_ai_spans import LightSpans, SDKSpans, SpanMaker


@pytest.fixture
def processor() -> Iterator[GenAISpanProcessor]:
    processor = GenAISpanProcessor(price=None)
    yield processor
    processor.shutdown()


@pytest.fixture(params=["light", pytest.param("sdk", marks=pytest.mark.models("opentelemetry.sdk.trace"))])
def spans(request: pytest.FixtureRequest, processor: GenAISpanProcessor) -> SpanMaker:
    """Return what makes spans for the processor."""
    if request.param == "light":
        return LightSpans(processor)
    from opentelemetry.sdk.trace import TracerProvider

    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(processor)
    return SDKSpans(provider)
