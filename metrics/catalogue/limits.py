"""Rows of what an application refuses: more than its limits allow, and whom it does not serve."""

from __future__ import annotations

from events import access_refused, limit_reached

from ..rows import counter

# fmt: off
LIMITS = (
    counter("limits_reached_total", "What was refused, cut off or left out because it was more than a limit allows.",
        limit_reached, labels=("limit",), initialize=False),
    counter("access_refusals_total",
        "Requests refused for the host that they ask, the site that they come from, or the lack of a valid key.",
        access_refused, labels=("reason",), initialize=False),
)
# fmt: on
