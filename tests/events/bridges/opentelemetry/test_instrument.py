"""A provider is instrumented until that is undone."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

from events import llm_called
from events.bridges.opentelemetry import GenAISpanProcessor, instrument
from tests.support.gen_ai_spans import SDKSpans
from tests.support.tracing import make_provider

SDK = pytest.mark.models("opentelemetry.sdk.trace")
CHAT = {"gen_ai.operation.name": "chat", "gen_ai.request.model": "m"}


def chat(provider: Any) -> None:
    spans = SDKSpans(provider)
    spans.end(spans.start("chat m", CHAT), {"gen_ai.response.finish_reasons": ("stop",)})


@SDK
def test_a_provider_is_instrumented_once_and_until_undo() -> None:
    provider = make_provider()
    with llm_called.captured() as called:
        with instrument(provider) as handle:
            assert instrument(provider) is handle
            chat(provider)
            assert len(called) == 1
        chat(provider)
        assert len(called) == 1
        with instrument(provider):
            chat(provider)
        assert len(called) == 2


@SDK
def test_what_is_open_at_undo_is_told_as_cancelled() -> None:
    provider = make_provider()
    with llm_called.captured() as called:
        handle = instrument(provider)
        span = SDKSpans(provider).start("chat m", CHAT)
        handle.undo()
        span.end()
        handle.undo()
    assert [call.status for call in called] == ["cancelled"]


@SDK
def test_a_processor_is_added_by_hand_and_ends_with_its_provider() -> None:
    provider = make_provider()
    provider.add_span_processor(GenAISpanProcessor(price=None))
    with llm_called.captured() as called:
        chat(provider)
        assert provider.force_flush()
        provider.shutdown()
        chat(provider)
    assert len(called) == 1


@SDK
def test_a_span_that_began_before_the_processor_was_added_is_left_out() -> None:
    provider = make_provider()
    with llm_called.captured() as called:
        span = SDKSpans(provider).start("chat m", CHAT)
        with instrument(provider):
            span.end()
    assert called == []


@SDK
def test_a_price_function_is_asked() -> None:
    provider = make_provider()
    usage = {"gen_ai.usage.input_tokens": 10, "gen_ai.usage.output_tokens": 5, "gen_ai.provider.name": "mistral_ai"}
    spans = SDKSpans(provider)
    with (
        instrument(provider, price=lambda provider, model, usage: 0.5 if provider == "mistral" else None),
        llm_called.captured() as called,
    ):
        spans.end(spans.start("chat m", CHAT), usage)
        spans.end(spans.start("chat m", CHAT), {**usage, "operation.cost": 0.25})
    assert [(call.cost, call.cost_source) for call in called] == [(0.5, "price_table"), (0.25, "price_table")]


def test_what_takes_no_span_processors_is_refused() -> None:
    with pytest.raises(TypeError, match="takes no span processors"):
        instrument(object())


def test_importing_the_package_imports_no_part_of_opentelemetry() -> None:
    code = "import sys, events.bridges.opentelemetry; print([n for n in sys.modules if n.startswith('opentelemetry')])"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"
