"""A peak is the largest value since the last scrape, however often it is read."""

from __future__ import annotations

import pytest

from events.bridges.sqlalchemy import peak
from events.bridges.sqlalchemy.peak import Peak


@pytest.mark.parametrize("first_scrape", [0, 1, 7])
def test_a_peak_is_shown_until_the_next_scrape(first_scrape: int, monkeypatch: pytest.MonkeyPatch) -> None:
    scrape = first_scrape
    monkeypatch.setattr(peak, "scrape_count", lambda: scrape)
    pending = Peak()
    assert pending.read(0) == 0
    pending.highest = 5
    assert (pending.read(2), pending.read(1), pending.read(6), pending.read(0)) == (5, 5, 6, 6)
    scrape += 1
    assert (pending.read(1), pending.read(0)) == (1, 1)
    scrape += 1
    pending.highest = 3
    assert (pending.read(4), pending.highest) == (4, 4)
    scrape += 1
    assert pending.read(2) == 4  # it was as many when the interval began
