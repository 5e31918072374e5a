"""A run hangs under the trace that asked for it, wherever it is executed."""

from __future__ import annotations

from opentelemetry.trace import get_current_span

from app.workflows.trace_carrier import continued, current_carrier
from tests.support.recorded_spans import RecordedSpans


def test_a_trace_is_continued_elsewhere() -> None:
    provider = RecordedSpans()
    with provider.start_as_current_span("request") as request:
        carrier = current_carrier()
    assert carrier is not None
    assert {*carrier} == {"traceparent"}
    with continued(carrier):
        found = get_current_span().get_span_context()
        assert (found.trace_id, found.span_id, found.is_remote) == (
            request.context.trace_id,
            request.context.span_id,
            True,
        )
    assert not get_current_span().get_span_context().is_valid


def test_without_a_trace_nothing_is_carried() -> None:
    assert current_carrier() is None
    with continued(None):
        assert not get_current_span().get_span_context().is_valid


def test_a_carrier_that_cannot_be_read_is_none() -> None:
    with continued({"traceparent": "nonsense"}):
        assert not get_current_span().get_span_context().is_valid
