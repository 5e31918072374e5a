"""Announcers: functions that say which events may come, so that metrics can show their series at 0 before the first.

A counter that begins at 1 has no increase, so the first failure of each listener, or of each pool, would go unseen.
Who knows of somebody that can fail calls `Signal.announce`; an announcer says it again to whoever subscribes later.
"""

from __future__ import annotations

from collections.abc import Callable

from .failures import report_failure
from .receiver_inspection import callable_name

Announcer = Callable[[], object]
"""Calls `Signal.announce` for all that it knows."""

SUBSCRIBE = "subscribe"
"""The value of the label ``signal`` where an announcer fails: it was called for a subscription, not for an event."""

_announcers: tuple[Announcer, ...] = ()


def add_announcer(announcer: Announcer) -> Callable[[], None]:
    """Call ``announcer()`` for each subscription to come; adding one again does nothing. Return what removes it."""
    global _announcers  # noqa: PLW0603  # replaced as a whole, so that a thread that runs them sees one state
    if announcer not in _announcers:
        _announcers += (announcer,)

    def remove() -> None:
        global _announcers  # noqa: PLW0603  # the same
        _announcers = tuple(other for other in _announcers if other != announcer)

    return remove


def run_announcers() -> None:
    """Run every announcer once; a failure is reported as a receiver's is."""
    for announcer in _announcers:
        try:
            announcer()
        except Exception as error:
            report_failure(SUBSCRIBE, callable_name(announcer), error)
