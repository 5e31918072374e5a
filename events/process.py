"""Events of a process itself: which build it runs, whether its event loop is on time, and what it needs to work."""

from __future__ import annotations

from dataclasses import dataclass

from .bus.fields import Label, Seconds
from .bus.signal import Signal


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildRead:
    """A process read which build of the application it runs, as it started.

    ``version`` is that of the package, ``revision`` the commit that it was built from.
    """

    version: Label
    revision: Label = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class ComponentChecked:
    """Something that an application needs to work, such as its database, was checked.

    ``up`` is 1 where it can be used, else 0; ``reason`` says why it cannot, for whoever reads the log.
    """

    component: Label
    up: int
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class EventLoopProbed:
    """An event loop ran a callback that had been due at a moment; ``lag`` is how much later than that it was."""

    lag: Seconds


build_read = Signal(BuildRead)
component_checked = Signal(ComponentChecked)
event_loop_probed = Signal(EventLoopProbed)
