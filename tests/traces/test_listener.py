"""Spans of events: their names, status and attributes."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import Literal

import pytest
from blinker import Namespace
from opentelemetry.trace import SpanKind, StatusCode, get_current_span

from events import (
    Key,
    Label,
    Seconds,
    Signal,
    Span,
    Tokens,
    agent_run,
    agent_started,
    documents_retrieved,
    llm_call_started,
    llm_called,
    receiver_failed,
    tool_called,
    total,
    workflow_run,
)
from events.bridges.model_calls.model_call import CallEnd, start_call
from tests.support.recorded_spans import RecordedSpans
from tests.support.retried_call import call_model
from traces import Tracing, trace_events


@dataclass(frozen=True, kw_only=True)
class RenderingStarted:
    """An image of one's own begins to be rendered."""

    image_id: Key = ""
    style: Label
    prompt: str = ""


@dataclass(frozen=True, kw_only=True)
class RenderingFinished:
    """It is rendered, or not."""

    image_id: Key = ""
    style: Label
    prompt: str = ""
    status: Literal["done", "broken"]
    duration: Seconds
    error: str = ""
    prompt_tokens: Tokens = total("llm_called", "prompt_tokens")


NAMES = Namespace()
rendering = Span(
    Signal(RenderingStarted, NAMES),
    Signal(RenderingFinished, NAMES),
    status={"success": "done", "error": "broken", "timeout": "broken", "cancelled": "broken"},
)


pytestmark = pytest.mark.usefixtures("tracing")


class TestAttributes:
    def test_a_call_has_the_names_of_the_conventions(self, provider: RecordedSpans) -> None:
        call_model()
        call = provider["chat gpt-5"]
        assert call.kind is SpanKind.CLIENT
        assert call.attributes == {
            "gen_ai.operation.name": "chat",
            "gen_ai.provider.name": "openai",
            "gen_ai.request.model": "gpt-5",
            "gen_ai.request.stream": True,
            "gen_ai.response.model": "gpt-5-2026",
            "gen_ai.response.finish_reasons": ("stop",),
            "gen_ai.usage.input_tokens": 100,
            "gen_ai.usage.output_tokens": 20,
            "gen_ai.usage.cache_read.input_tokens": 40,
            "sparklio.cost": 0.25,
            "sparklio.attempts": 2,
        }
        first, second = (span for span in provider.spans if span.name == "attempt gpt-5")
        assert first.attributes == {
            "gen_ai.provider.name": "openai",
            "gen_ai.request.model": "gpt-5",
            "sparklio.attempt": 1,
            "error.type": "rate_limited",
        }
        assert second.attributes == {
            "gen_ai.provider.name": "openai",
            "gen_ai.request.model": "gpt-5",
            "gen_ai.response.model": "gpt-5-2026",
            "http.request.resend_count": 1,
            "http.response.status_code": 200,
            "sparklio.attempt": 2,
            "sparklio.retry_reason": "rate_limited",
        }
        assert (first.status.status_code, first.status.description) == (StatusCode.ERROR, "APIError")

    def test_what_is_known_at_the_start_is_there_at_the_start(self, provider: RecordedSpans) -> None:
        """A sampler sees no other."""
        llm_call_started.emit(model="m", provider="azure", call_id="1")
        agent_started.emit(agent_name="writer", execution_id="2", run_id="3")
        assert provider["chat m"].attributes == {
            "gen_ai.operation.name": "chat",
            "gen_ai.provider.name": "azure.ai.openai",
            "gen_ai.request.model": "m",
        }
        assert provider["invoke_agent writer"].attributes == {
            "gen_ai.operation.name": "invoke_agent",
            "gen_ai.agent.name": "writer",
            "sparklio.run.id": "3",
        }

    def test_of_several_models_the_one_that_answered_names_the_call(self, provider: RecordedSpans) -> None:
        llm_call_started.emit(model="first", provider="openai", call_id="1")
        llm_called.emit(model="second", provider="xai", call_id="1", status="success", duration=0.1)
        [call] = provider.spans
        assert (call.name, call.attributes["gen_ai.request.model"]) == ("chat second", "second")
        assert call.attributes["gen_ai.provider.name"] == "x_ai"

    def test_what_is_asked_for_is_the_operation(self, provider: RecordedSpans) -> None:
        call = start_call("test", model="ada", provider="openai", is_exact=True, operation="embeddings")
        assert call is not None
        [started] = provider.spans
        assert (started.name, started.attributes["gen_ai.operation.name"]) == ("embeddings ada", "embeddings")
        call.finish(CallEnd())
        llm_called.emit(model="m", status="success", duration=0.1, operation="rerank")
        assert provider["rerank m"].attributes["gen_ai.operation.name"] == "rerank"

    def test_a_retrieval_says_where_and_how_much(self, provider: RecordedSpans) -> None:
        documents_retrieved.emit(data_source="manuals", status="success", duration=0.5, documents=7)
        [span] = provider.spans
        assert (span.name, span.kind) == ("retrieval manuals", SpanKind.CLIENT)
        assert span.attributes == {
            "gen_ai.operation.name": "retrieval",
            "gen_ai.data_source.id": "manuals",
            "sparklio.documents": 7,
        }

    def test_nothing_that_somebody_wrote_is_in_a_span(self, provider: RecordedSpans) -> None:
        with suppress(ValueError), agent_run(agent_name="writer", task="Sell my earbuds") as run:
            run.note(task="Sell them well")
            raise ValueError("Sell my earbuds")
        [span] = provider.spans
        assert "earbuds" not in repr(span)
        assert "Sell" not in repr(span)

    @pytest.mark.lenient
    def test_an_error_that_is_no_class_is_left_out(self, provider: RecordedSpans) -> None:
        tool_called.emit(tool_name="search", status="error", duration=0.1, error="Sell my earbuds")
        [span] = provider.spans
        assert (span.status.description, span.attributes["error.type"]) == (None, "error")

    def test_what_an_exporter_could_not_write_is_not_there(self, provider: RecordedSpans) -> None:
        """Such as a lone surrogate, for which it would drop all spans of a batch."""
        tool_called.emit(tool_name="\ud800" + "x" * 900, status="success", duration=0.1)
        llm_called.emit(model="m", status="success", duration=0.1, cost=float("nan"), prompt_tokens=2**70)
        tool, call = provider.spans
        assert tool.attributes["gen_ai.tool.name"] == "?" + "x" * 199
        assert tool.name == "execute_tool ?" + "x" * 199
        assert call.attributes["gen_ai.usage.input_tokens"] == float(2**70)
        assert "sparklio.cost" not in call.attributes


class TestOwnSpans:
    def test_spans_of_ones_own_become_spans(self, provider: RecordedSpans, tracing: Tracing) -> None:
        tracing.close()
        with trace_events(provider, spans={rendering: "style"}):
            with rendering(style="oil", image_id="7", prompt="Sell my earbuds"):
                llm_called.emit(model="m", status="success", duration=0.1, prompt_tokens=3)
            with suppress(KeyError), rendering(style="ink", image_id="8"):
                raise KeyError
        assert provider.tree() == {"rendering oil": None, "chat m": "rendering oil", "rendering ink": None}
        good, bad = provider["rendering oil"], provider["rendering ink"]
        assert good.attributes == {"sparklio.style": "oil", "sparklio.image_id": "7", "sparklio.prompt_tokens": 3}
        assert good.status.status_code is StatusCode.UNSET
        assert (bad.status.status_code, bad.attributes["error.type"]) == (StatusCode.ERROR, "KeyError")

    def test_events_that_are_declared_again_meanwhile_are_traced(
        self, provider: RecordedSpans, tracing: Tracing
    ) -> None:
        """As where one file is run under two names; their classes are others then."""
        tracing.close()
        names = Namespace()

        def declare() -> Span[...]:
            started = type("RenderingStarted", (RenderingStarted,), {"__module__": __name__})
            finished = type("RenderingFinished", (RenderingFinished,), {"__module__": __name__})
            frozen = dataclass(frozen=True, kw_only=True)
            return Span(Signal(frozen(started), names), Signal(frozen(finished), names), status=rendering.status)

        with trace_events(provider, spans={declare(): "style"}), declare()(style="oil", image_id="7"):
            pass
        assert provider.tree() == {"rendering oil": None}


class TestStatus:
    @pytest.mark.parametrize(
        ("fields", "expected"),
        [
            ({"status": "success"}, (StatusCode.UNSET, None, None)),
            ({"status": "error", "error": "KeyError"}, (StatusCode.ERROR, "KeyError", "KeyError")),
            ({"status": "error"}, (StatusCode.ERROR, None, "error")),
            ({"status": "timeout", "error": "TimeoutError"}, (StatusCode.ERROR, "TimeoutError", "TimeoutError")),
            ({"status": "cancelled", "error": "CancelledError"}, (StatusCode.UNSET, None, "CancelledError")),
        ],
    )
    def test_a_tool(
        self, provider: RecordedSpans, fields: dict[str, str], expected: tuple[StatusCode, str | None, str | None]
    ) -> None:
        tool_called.emit(tool_name="search", duration=0.1, **fields)  # type: ignore[arg-type]  # they are values of it
        self.check(provider, expected)

    @pytest.mark.parametrize(
        ("fields", "expected"),
        [
            ({"status": "success"}, (StatusCode.UNSET, None, None)),
            (
                {"status": "error", "error": "APIError", "error_type": "rate_limited"},
                (StatusCode.ERROR, "APIError", "rate_limited"),
            ),
            ({"status": "error", "error": "Odd", "error_type": "other"}, (StatusCode.ERROR, "Odd", "Odd")),
            ({"status": "error", "error_type": "other"}, (StatusCode.ERROR, None, "_OTHER")),
            ({"status": "timeout", "error_type": "timeout"}, (StatusCode.ERROR, None, "timeout")),
            ({"status": "cancelled", "error_type": "cancelled"}, (StatusCode.UNSET, None, "cancelled")),
        ],
    )
    def test_a_model_call(
        self, provider: RecordedSpans, fields: dict[str, str], expected: tuple[StatusCode, str | None, str | None]
    ) -> None:
        llm_called.emit(model="m", duration=0.1, **fields)  # type: ignore[arg-type]  # the same
        self.check(provider, expected)

    def test_an_agent_and_a_run(self, provider: RecordedSpans) -> None:
        with suppress(TimeoutError), workflow_run(run_id="1", workflow_type="campaign"):
            with agent_run(agent_name="good"):
                pass
            with agent_run(agent_name="bad"):
                raise TimeoutError
        assert "error.type" not in provider["invoke_agent good"].attributes
        assert provider["invoke_agent bad"].attributes["error.type"] == "timeout"
        assert provider["invoke_workflow campaign"].attributes["error.type"] == "TimeoutError"
        assert provider["invoke_workflow campaign"].status.status_code is StatusCode.ERROR

    @staticmethod
    def check(provider: RecordedSpans, expected: tuple[StatusCode, str | None, str | None]) -> None:
        [span] = provider.spans
        found = span.status.status_code, span.status.description, span.attributes.get("error.type")
        assert found == expected


class TestBounds:
    def test_past_the_limit_the_oldest_spans_are_dropped(self) -> None:
        provider = RecordedSpans()
        with trace_events(provider, max_open=3) as tracing:
            for number in range(10):
                llm_call_started.emit(model="m", call_id=str(number))
            assert tracing.open_spans == 3
            llm_called.emit(model="late", call_id="1", status="success", duration=5.0)
            assert provider["chat late"].seconds == pytest.approx(5.0, abs=0.1)
            llm_called.emit(model="last", call_id="9", status="success", duration=5.0)
            assert provider["chat last"].seconds < 1
            assert tracing.open_spans == 2

    def test_a_start_without_an_id_waits_for_no_end(self, tracing: Tracing) -> None:
        agent_started.emit(agent_name="writer")
        assert tracing.open_spans == 0

    def test_nothing_is_left_of_what_has_ended(self, tracing: Tracing) -> None:
        with workflow_run(run_id="1", workflow_type="campaign"), agent_run(agent_name="writer"):
            call_model()
        assert tracing.open_spans == 0

    def test_after_the_end_nothing_is_traced(self, provider: RecordedSpans, tracing: Tracing) -> None:
        tracing.close()
        tracing.close()
        with agent_run(agent_name="writer"):
            assert get_current_span().get_span_context().span_id == 0
        assert provider.spans == []

    def test_what_was_open_at_the_end_is_dropped(self, provider: RecordedSpans, tracing: Tracing) -> None:
        with agent_run(agent_name="writer"):
            tracing.close()
        assert provider["invoke_agent writer"].end_time is None
        assert not get_current_span().get_span_context().is_valid


@pytest.mark.lenient
def test_a_tracer_that_fails_harms_nobody(monkeypatch: pytest.MonkeyPatch, provider: RecordedSpans) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError("the disk is full of earbuds")

    monkeypatch.setattr(provider, "start_span", fail)
    with receiver_failed.captured() as failures, agent_run(agent_name="writer"):
        call_model()
    assert {failure.receiver for failure in failures} == {"traces"}


def test_without_an_sdk_nothing_is_recorded_and_nothing_fails() -> None:
    with trace_events(), agent_run(agent_name="writer"):
        call_model()
        assert not get_current_span().is_recording()
