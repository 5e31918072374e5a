"""Record what the bridge emits."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest

from events.bridges.langchain import instrument
from tests.support.recorded_calls import Recorded, recorded_calls


@pytest.fixture
def told() -> Iterator[Recorded]:
    """Record what is emitted while LangChain is instrumented; after the test nothing is under way."""
    with recorded_calls() as events, instrument(price=None) as handle:
        yield events
        if len(handle.tracker.runs):
            gc.collect()  # of what was cancelled a traceback may be left
        assert len(handle.tracker.runs) == 0
