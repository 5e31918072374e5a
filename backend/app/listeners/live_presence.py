"""Which processes share the live feed and which of them have clients, as they announce it to each other."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from .live_notifications import Announcement

ANNOUNCE_INTERVAL = 10.0
"""Seconds between two announcements of a process, while somebody anywhere watches."""

FORGET_AFTER = 30.0
"""Seconds after which a process of which nothing is heard is held to be gone."""


@dataclass(frozen=True)
class Reach:
    """Whose events the feed of a process has.

    Attributes:
        of: ``process``: its own ones. ``workers``: those of all processes on this host that share its database.
            ``hosts``: those of other hosts too.
        processes: How many processes that are.
    """

    of: Literal["process", "workers", "hosts"]
    processes: int


ALONE = Reach("process", 1)


@dataclass(frozen=True)
class Peer:
    """Another process, as it was heard of last."""

    host: str
    is_watched: bool
    heard_at: float


class Presence:
    """The processes that one knows of, and when it has to announce itself to them.

    While nobody watches there is nothing to announce.

    Args:
        process: The id of this process.
        host: The id of its host.
        is_watched: Returns whether this process has clients.
    """

    def __init__(self, process: str, host: str, is_watched: Callable[[], bool]) -> None:
        self._process = process
        self._host = host
        self._is_watched = is_watched
        self._peers: dict[str, Peer] = {}
        self._announced_watching = False
        self._next_announcement = 0.0

    def hear(self, other: Announcement, now: float) -> None:
        """Take note of another process; where one of the two watches and is new to the other, it is answered."""
        before = self._peers.get(other.process)
        self._peers[other.process] = Peer(other.host, other.watched, now)
        is_new = before is None or (other.watched and not before.is_watched)
        if is_new and (other.watched or self._is_watched()):
            self._next_announcement = now

    def forget_old(self, now: float) -> None:
        """Forget those of which nothing was heard for too long."""
        self._peers = {name: peer for name, peer in self._peers.items() if now - peer.heard_at < FORGET_AFTER}

    def forget_all(self) -> None:
        """Forget everybody, as where nothing can be heard; what comes next is announced at once."""
        self._peers = {}
        self._announced_watching = False
        self._next_announcement = 0.0

    @property
    def is_watched_elsewhere(self) -> bool:
        """Whether another process has clients, which get the events of this one."""
        return any(peer.is_watched for peer in self._peers.values())

    @property
    def reach(self) -> Reach:
        """Whose events this process gets, while it can be reached by the others."""
        hosts = {self._host, *(peer.host for peer in self._peers.values())}
        return Reach("hosts" if len(hosts) > 1 else "workers", 1 + len(self._peers))

    def next_announcement(self) -> float | None:
        """Return when this process has to announce itself; None while nobody watches."""
        if self._is_watched() != self._announced_watching:
            return 0.0  # others begin to send to it, or cease to
        return self._next_announcement if self._announced_watching or self.is_watched_elsewhere else None

    def announce(self, now: float) -> Announcement:
        """Return the announcement of this process."""
        self._announced_watching = self._is_watched()
        self._next_announcement = now + ANNOUNCE_INTERVAL
        return Announcement(self._process, self._host, self._announced_watching)
