"""Which bridge tells a call to a model, where several see it.

A call may pass an agents' library, a tracer and a provider's SDK, each with a bridge of its own. The bridge to what
sends the call knows it exactly: its attempts, status codes, tokens and errors. Others observe it from outside. So:

- The outermost bridge that knows a call exactly tells it; others inside of it tell nothing.
- One that observes tells a call that no exact bridge sees. Where one does, that one takes it over, under the same
  ``call_id``: there is one `events.llm_call_started` and one `events.llm_called`.

A claim is passed on by the context of the running code, as `contextvars` has it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from os import urandom


class Claim:
    """The right to tell one call.

    Attributes:
        call_id: The id of the call.
        is_exact: Whether whoever has the claim knows the call exactly.
        is_started: Whether `events.llm_call_started` was emitted.
        is_taken: Whether an exact bridge took the call over: whoever observes it tells nothing more.
        has_ended: Whether the call was told; what its code left running makes calls of its own.
    """

    __slots__ = ("call_id", "has_ended", "is_exact", "is_started", "is_taken")

    def __init__(self, call_id: str, *, is_exact: bool, is_started: bool = False) -> None:
        self.call_id = call_id
        self.is_exact = is_exact
        self.is_started = is_started
        self.is_taken = False
        self.has_ended = False

    @contextmanager
    def in_effect(self) -> Iterator[None]:
        """Have calls that other bridges see inside the block be this one."""
        token = current_claim.set(self)
        try:
            yield
        finally:
            current_claim.reset(token)


current_claim: ContextVar[Claim | None] = ContextVar("events.bridges.model_calls", default=None)


def claim_call(*, is_exact: bool) -> Claim | None:
    """Return a claim for the call that starts here; None where the bridge around it tells it.

    Args:
        is_exact: Whether the bridge knows the call exactly: it takes over what one around it only observes.
    """
    around = current_claim.get()
    if around is None or around.has_ended:
        return Claim(urandom(16).hex(), is_exact=is_exact)
    if around.is_exact or not is_exact:
        return None
    if around.is_taken:  # what is observed as one call makes several
        return Claim(urandom(16).hex(), is_exact=True)
    around.is_taken = True
    return Claim(around.call_id, is_exact=True, is_started=around.is_started)


def claim_own_call() -> Claim:
    """Return a claim for an exact bridge that knows by itself that the call which starts here is one of its own."""
    return claim_call(is_exact=True) or Claim(urandom(16).hex(), is_exact=True)
