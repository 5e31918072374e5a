"""Record what the bridge emits."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from events.bridges.langchain import instrument
from tests.support.recorded_calls import Recorded, recorded_calls


@pytest.fixture
def told() -> Iterator[Recorded]:
    """Record what is emitted while LangChain is instrumented."""
    with recorded_calls() as events, instrument(price=None):
        yield events
