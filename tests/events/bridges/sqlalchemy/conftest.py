"""Each test begins without engines that are instrumented, and a stall of the machine counts nothing."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from events.bridges.sqlalchemy import pool, statements
from events.bridges.sqlalchemy.instrument import _instrumentations
from events.bridges.sqlalchemy.internals import computed_rows

SHORTEST_OBSERVED = computed_rows.SHORTEST_OBSERVED
SHORTEST_WAIT = pool.SHORTEST_WAIT


@pytest.fixture(autouse=True)
def no_engine_is_left() -> Iterator[None]:
    """Close what a test left open: the pools of the next one would be announced beside it."""
    yield
    for each in list(_instrumentations):
        each.close()


def set_thresholds(monkeypatch: pytest.MonkeyPatch, observed: float, wait: float) -> None:
    """Set from how many seconds the fetching of a result is observed, and the wait for a connection."""
    for module in (computed_rows, statements):
        monkeypatch.setattr(module, "SHORTEST_OBSERVED", observed)
    monkeypatch.setattr(pool, "SHORTEST_WAIT", wait)


@pytest.fixture(autouse=True)
def nothing_is_long(monkeypatch: pytest.MonkeyPatch) -> None:
    """Observe no fetch and no wait for its length alone: on a busy machine any may take a millisecond."""
    set_thresholds(monkeypatch, 60.0, 60.0)


@pytest.fixture
def usual_thresholds(nothing_is_long: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Observe fetches and waits from the length that they are observed from."""
    set_thresholds(monkeypatch, SHORTEST_OBSERVED, SHORTEST_WAIT)
