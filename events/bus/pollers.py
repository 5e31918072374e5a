"""Pollers: functions that read some state of the process and emit it as events, called before each render of metrics.

A bridge adds one for what nothing emits by itself, such as how many connections a pool holds. Whoever renders metrics
runs them, for every subscription that there is.
"""

from __future__ import annotations

from collections.abc import Callable

from .failures import report_failure
from .receiver_inspection import callable_name

Poller = Callable[[], object]
"""Reads some state of the process and emits it as an event. It must be quick, and wait for no other process."""

SCRAPE = "scrape"
"""The value of the label ``signal`` where a poller fails: it was called for a scrape, not for an event."""

_pollers: tuple[Poller, ...] = ()
_scrapes = 0


def add_poller(poller: Poller) -> Callable[[], None]:
    """Call ``poller()`` before every render from now on; adding one again does nothing. Return what removes it."""
    global _pollers  # noqa: PLW0603  # replaced as a whole, so that a thread that runs them sees one state
    if poller not in _pollers:
        _pollers += (poller,)

    def remove() -> None:
        global _pollers  # noqa: PLW0603  # the same
        _pollers = tuple(other for other in _pollers if other != poller)

    return remove


def run_pollers(more: tuple[Poller, ...] = ()) -> None:
    """Run every poller once, then ``more``, in this thread; a failure is reported as a receiver's is."""
    for poller in (*_pollers, *more):
        try:
            poller()
        except Exception as error:
            report_failure(SCRAPE, callable_name(poller), error)


def scrape_count() -> int:
    """Return how many scrapes there were: another number means that what was shown until then was seen."""
    return _scrapes


def note_scrape() -> None:
    """Note that a scrape was answered, here or by another process that shows the values of this one."""
    global _scrapes  # noqa: PLW0603  # two threads that add at once are two scrapes at once
    _scrapes += 1
