"""Pollers run before each render, in the order in which they were added, each once."""

from __future__ import annotations

import pytest

from events import add_poller, receiver_failed
from events.bus import pollers
from events.bus.pollers import run_pollers


@pytest.fixture(autouse=True)
def no_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pollers, "_pollers", ())


def test_pollers_run_in_order_and_those_of_the_caller_last() -> None:
    ran: list[str] = []
    add_poller(lambda: ran.append("first"))
    add_poller(lambda: ran.append("second"))
    run_pollers((lambda: ran.append("more"),))
    run_pollers()
    assert ran == ["first", "second", "more", "first", "second"]


def test_a_poller_that_is_added_twice_runs_once_until_it_is_removed() -> None:
    ran: list[str] = []

    def poller() -> None:
        ran.append("ran")

    remove, again = add_poller(poller), add_poller(poller)
    add_poller(lambda: ran.append("other"))
    run_pollers()
    assert ran == ["ran", "other"]
    remove()
    again()
    run_pollers()
    assert ran == ["ran", "other", "other"]


@pytest.mark.lenient
def test_a_poller_that_fails_is_reported_and_the_others_run() -> None:
    ran: list[str] = []

    def broken() -> None:
        raise LookupError

    add_poller(broken)
    add_poller(lambda: ran.append("ran"))
    with receiver_failed.captured() as failures:
        run_pollers()
    assert ran == ["ran"]
    assert [(each.signal, each.error) for each in failures] == [("scrape", "LookupError")]
    assert "broken" in failures[0].receiver
