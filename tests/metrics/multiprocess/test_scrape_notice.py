"""A worker notices the scrapes that others answered."""

from __future__ import annotations

from pathlib import Path

from metrics.multiprocess.scrape_notice import ScrapeNotice


def test_a_scrape_that_another_worker_answered_is_noticed_once(tmp_path: Path) -> None:
    one, other = ScrapeNotice(tmp_path), ScrapeNotice(tmp_path)
    assert not other.was_marked("x")
    one.mark("x")
    assert not one.was_marked("x")
    assert other.was_marked("x")
    assert not other.was_marked("x")
    assert not other.was_marked("another application")
    ScrapeNotice(tmp_path / "gone").mark("x")
