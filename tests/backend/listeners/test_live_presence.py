"""Processes announce themselves to each other while somebody watches, and only then."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from app.listeners.live_notifications import Announcement
from app.listeners.live_presence import ANNOUNCE_INTERVAL, FORGET_AFTER, Presence, Reach


@dataclass
class Process:
    """A process of which the test says whether it is watched."""

    presence: Presence
    watched: list[bool]


@pytest.fixture
def process() -> Process:
    watched = [False]
    return Process(Presence("a", "h1", lambda: watched[0]), watched)


def test_a_process_that_nobody_watches_has_nothing_to_announce(process: Process) -> None:
    assert process.presence.next_announcement() is None
    process.presence.hear(Announcement("b", "h1", False), 1.0)
    assert process.presence.next_announcement() is None


def test_a_process_with_a_client_announces_it_at_once_and_then_now_and_again(process: Process) -> None:
    process.watched[0] = True
    assert process.presence.next_announcement() == 0.0
    assert process.presence.announce(100.0) == Announcement("a", "h1", True)
    assert process.presence.next_announcement() == 100.0 + ANNOUNCE_INTERVAL


def test_a_process_that_lost_its_last_client_announces_that_once(process: Process) -> None:
    process.watched[0] = True
    process.presence.announce(100.0)
    process.watched[0] = False
    assert process.presence.next_announcement() == 0.0
    assert process.presence.announce(101.0).watched is False
    assert process.presence.next_announcement() is None


def test_a_process_answers_a_watched_one_that_it_did_not_know(process: Process) -> None:
    process.presence.hear(Announcement("b", "h1", True), 100.0)
    assert process.presence.is_watched_elsewhere
    assert process.presence.next_announcement() == 100.0
    process.presence.announce(100.0)
    process.presence.hear(Announcement("b", "h1", True), 105.0)
    assert process.presence.next_announcement() == 100.0 + ANNOUNCE_INTERVAL


def test_a_watched_process_answers_one_that_is_new(process: Process) -> None:
    """It may have been started, or connected, since the last announcement."""
    process.watched[0] = True
    process.presence.announce(100.0)
    process.presence.hear(Announcement("b", "h1", False), 103.0)
    assert process.presence.next_announcement() == 103.0


def test_a_process_that_is_not_heard_of_is_forgotten(process: Process) -> None:
    process.presence.hear(Announcement("b", "h2", True), 100.0)
    process.presence.forget_old(100.0 + FORGET_AFTER - 1)
    assert process.presence.reach == Reach("hosts", 2)
    process.presence.forget_old(100.0 + FORGET_AFTER)
    assert process.presence.reach == Reach("workers", 1)
    assert not process.presence.is_watched_elsewhere


def test_the_reach_says_how_many_processes_there_are_and_whether_on_several_hosts(process: Process) -> None:
    process.presence.hear(Announcement("b", "h1", False), 1.0)
    process.presence.hear(Announcement("c", "h1", False), 1.0)
    assert process.presence.reach == Reach("workers", 3)
    process.presence.hear(Announcement("c", "h2", False), 1.0)
    assert process.presence.reach == Reach("hosts", 3)


def test_after_an_outage_a_watched_process_announces_itself_anew(process: Process) -> None:
    process.watched[0] = True
    process.presence.announce(100.0)
    process.presence.hear(Announcement("b", "h1", True), 100.0)
    process.presence.forget_all()
    assert process.presence.reach.processes == 1
    assert process.presence.next_announcement() == 0.0
