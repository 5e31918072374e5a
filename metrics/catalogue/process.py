"""The process itself: its build, its event loop, and the components that it needs."""

from __future__ import annotations

from events import build_read, component_checked, event_loop_probed

from .. import buckets
from ..rows import gauge, histogram, info

LABEL_LIMITS = {
    "component": 8,
    "revision": 4,  # pairs of version and revision
    "version": 3,
}
"""How many values an open label takes, by its name."""

COMPONENT_EXPIRY = 120.0
"""Seconds after which the result of a check is not known any more: what is not checked again may be either."""

# fmt: off
PROCESS = (
    info("build_info", "1 for the build that a process runs, by version and commit.",
        build_read, labels=("version", "revision"), nested_in={"revision": "version"}, multiprocess_mode="livemax"),
    gauge("component_up",
        "1 where a component can be reached, else 0; no series two minutes after the last check.",
        component_checked, value="up", labels=("component",), multiprocess_mode="livemin",
        expires_after=COMPONENT_EXPIRY),
    histogram("event_loop_lag_seconds", "How late an event loop ran a callback, twice a second.",
        event_loop_probed, value="lag", buckets=buckets.LAG),
)
# fmt: on
