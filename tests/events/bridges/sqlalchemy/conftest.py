"""Each test begins without engines that are instrumented."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from events.bridges.sqlalchemy.instrument import _instrumentations


@pytest.fixture(autouse=True)
def no_engine_is_left() -> Iterator[None]:
    """Close what a test left open: the pools of the next one would be announced beside it."""
    yield
    for each in list(_instrumentations):
        each.close()
