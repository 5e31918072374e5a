"""A listener that makes spans, and what records them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from events.bus.scope import entry_hooks
from tests.support.recorded_spans import RecordedSpans
from traces import Tracing, trace_events


@pytest.fixture
def provider() -> RecordedSpans:
    return RecordedSpans()


@pytest.fixture
def tracing(provider: RecordedSpans) -> Iterator[Tracing]:
    with trace_events(provider) as tracing:
        yield tracing
    assert not entry_hooks
