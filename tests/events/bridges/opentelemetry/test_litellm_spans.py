"""Spans that LiteLLM writes after a call, by its callback: alone, beside spans of the SDK, and beside its bridge."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any

import pytest

from events.bridges import litellm as litellm_bridge
from events.bridges.opentelemetry import GenAISpanProcessor
from tests.support.openai_server import OpenAIServer, fails, says
from tests.support.recorded_calls import recorded_calls, sums_of
from tests.support.tracing import OPENAI, Relay, Tracers, make_provider
from tests.support.wait import until

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore"),  # LiteLLM has pydantic warn of some ten things
    pytest.mark.models("opentelemetry.sdk.trace", "openinference.instrumentation", "litellm"),
]


@dataclass
class Callback:
    """LiteLLM's callback, whose spans go to a processor, and what it was called for."""

    relay: Relay = field(default_factory=Relay)
    calls: list[str] = field(default_factory=list)


@pytest.fixture(scope="module")
def tracers() -> Iterator[Tracers]:
    tracers = Tracers(OPENAI)
    yield tracers
    tracers.stop()


@pytest.fixture(scope="module")
def callback() -> Iterator[Callback]:
    """Switch LiteLLM's callback on; it takes none that is set later."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LITELLM_LOCAL_MODEL_COST_MAP", "true")  # else it asks for one as it is imported
        import litellm
        from litellm.integrations.opentelemetry import OpenTelemetry, OpenTelemetryConfig

        callback = Callback()

        class Noting(OpenTelemetry):  # type: ignore[misc]  # of a module that is not in every environment
            """LiteLLM's own, whose ends are noted."""

            def _handle_success(self, *args: Any) -> None:
                super()._handle_success(*args)
                callback.calls.append("success")

            def _handle_failure(self, *args: Any) -> None:
                super()._handle_failure(*args)
                callback.calls.append("failure")

        provider = make_provider()
        provider.add_span_processor(callback.relay)
        config = OpenTelemetryConfig(exporter="in_memory")
        patch.setattr(litellm, "callbacks", [Noting(config=config, tracer_provider=provider)])
        yield callback


@pytest.mark.parametrize("beside", ["alone", "OpenInference", "bridge", "OpenInference and bridge"])
async def test_litellm(tracers: Tracers, callback: Callback, beside: str) -> None:
    import litellm
    from litellm.litellm_core_utils.logging_worker import GLOBAL_LOGGING_WORKER

    await GLOBAL_LOGGING_WORKER.flush()  # it carries what other tests left to the event loop of this one
    callback.calls.clear()
    callback.relay.processor = processor = GenAISpanProcessor(price=None)
    names = ["OpenInference"] if "OpenInference" in beside else []
    with (
        OpenAIServer(says()) as server,
        litellm_bridge.instrument() if "bridge" in beside else nullcontext(),
        tracers.seen_by(processor, names),
        recorded_calls() as recorded,
    ):
        asked: dict[str, Any] = {
            "model": "openai/gpt-4o-mini",
            "messages": [{"role": "user", "content": "Hi."}],
            "api_base": server.base_url,
            "api_key": "none",
            "max_retries": 0,
        }
        litellm.completion(**asked)
        await litellm.acompletion(**asked)
        await asyncio.gather(*(litellm.acompletion(**asked) for _ in range(5)))
        server.behaviour = fails(429)
        with pytest.raises(litellm.RateLimitError):
            await litellm.acompletion(**asked)
        await until(lambda: len(callback.calls) >= 8)
        processor.shutdown()
        assert recorded.sums() == sums_of(server.tally)
    assert recorded.is_paired()
    assert [call.error_type for call in recorded.calls if call.status != "success"] == ["rate_limited"]
