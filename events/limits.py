"""Events of what an application refuses: more than its limits allow, and whom it does not serve."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from .bus.signal import Signal

Limit = Literal[
    "request_body", "validation_errors", "receive_time", "send_time", "connections", "queued_runs", "answer",
    "step_text", "login_attempts", "live_clients", "live_queue",
]  # fmt: skip
"""What is limited.

- ``request_body``: the bytes of a request's body.
- ``validation_errors``: the errors that the answer to an invalid request lists.
- ``receive_time``: the time that a client may take to send a request.
- ``send_time``: the time that a client may take to read some of an answer.
- ``connections``: the connections that are open at the same time.
- ``queued_runs``: the runs that wait to be started.
- ``answer``: the bytes of a model's answer.
- ``step_text``: the bytes of text that one step stores.
- ``login_attempts``: the wrong keys that an address may try.
- ``live_clients``: the clients that may follow the live feed of a process.
- ``live_queue``: the events that may wait for a client of the live feed; it is disconnected then.
"""

RefusalReason = Literal["host", "origin", "key"]
"""Why a request is refused: it asks another host, comes from another site's page, or has no key that is valid."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitReached:
    """Something was more than its limit allows: it was refused, cut off, or left out."""

    limit: Limit


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessRefused:
    """A request was refused because of whom it asks, where it comes from, or who sends it."""

    reason: RefusalReason


limit_reached = Signal(LimitReached)
access_refused = Signal(AccessRefused)
