"""Which bridge tells a call to a model, where several see it.

A call may pass an agents' library, a tracer and a provider's SDK, each with a bridge of its own. The bridge to what
sends the call knows it exactly: its attempts, status codes, tokens and errors. Others observe it from outside. So:

- The outermost bridge that knows a call exactly tells it; others inside of it tell nothing.
- One that observes tells a call that no exact bridge sees. Where one does, that one takes it over, under the same
  ``call_id``: there is one `events.llm_call_started` and one `events.llm_called`.

A claim is passed on by the context of the running code, as `contextvars` has it. Where a library leaves that context,
whoever observes calls from outside may know all the same what belongs together: see `CallObserver`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from os import urandom
from threading import RLock
from time import perf_counter
from typing import Any, Protocol
from weakref import WeakSet

from ...bus.after_fork import free_after_fork
from ...bus.scope import Scope

_taking = free_after_fork(RLock())  # reentrant: a signal's handler may make a call in the same thread


class Sender(Protocol):
    """Takes what became of the requests that are sent for it."""

    def record_send(self, started_at: float, response: Any, error: BaseException | None) -> None:
        """Record that a request was answered, or failed; must not raise."""


class Claim:
    """The right to tell one call.

    Attributes:
        call_id: The id of the call.
        is_exact: Whether whoever has the claim knows the call exactly.
        is_started: Whether `events.llm_call_started` was emitted.
        is_taken: Whether an exact bridge took the call over: whoever observes it tells nothing more.
        ended_at: When the call was told, by `time.perf_counter`; None before.
        scope: The scope that the events of the call are of, where an observer knows it; None for that of whoever tells.
        beside: The claim to a call that was begun together with it, and to those that were with that.
        sender: Who takes the requests that HTTP clients send in effect of it; None where nobody does.
    """

    # Defaults of the class, since each attribute that is set takes time.
    is_taken = False
    ended_at: float | None = None
    beside: Claim | None = None
    sender: Sender | None = None

    def __init__(self, call_id: str, *, is_exact: bool, is_started: bool = False, scope: Scope | None = None) -> None:
        self.call_id = call_id
        self.is_exact = is_exact
        self.is_started = is_started
        self.scope = scope

    @property
    def has_ended(self) -> bool:
        """Whether the call was told; what its code left running makes calls of its own."""
        return self.ended_at is not None

    @has_ended.setter
    def has_ended(self, value: bool) -> None:
        self.ended_at = (self.ended_at or perf_counter()) if value else None

    def take(self) -> bool:
        """Take the call over for an exact bridge, and return True; False where it is taken, or was told, already."""
        with _taking:
            if self.is_taken:
                return False
            self.is_taken = True
        # In this order: whoever tells the call sets this first, and looks whether it is taken then.
        return self.ended_at is None

    @contextmanager
    def in_effect(self) -> Iterator[None]:
        """Have calls that other bridges see inside the block be this one."""
        token = current_claim.set(self)
        try:
            yield
        finally:
            current_claim.reset(token)


current_claim: ContextVar[Claim | None] = ContextVar("events.bridges.model_calls", default=None)


class CallObserver(Protocol):
    """An object that sees calls from outside, such as by their spans; neither of its methods raises."""

    def find_claim(self, model: str) -> Claim | None:
        """Return the claim of an observed call that a call which starts here is, though its context does not say so.

        ``model`` is the one that is asked for; "" where that is not known yet.
        """

    def note_call(self, claim: Claim, model: str) -> None:
        """Take note of a call that another bridge tells, and that starts here; its claim may be given a scope."""


observers: WeakSet[CallObserver] = WeakSet()


def claim_call(*, is_exact: bool, model: str = "") -> Claim | None:
    """Return a claim for the call that starts here; None where the bridge around it tells it.

    Args:
        is_exact: Whether the bridge knows the call exactly: it takes over what one around it only observes.
        model: The model that is asked for; "" where that is not known yet.
    """
    around = current_claim.get()
    if around is None or around.ended_at is not None:
        return claim_observed(model, is_exact=is_exact) if observers else Claim(urandom(16).hex(), is_exact=is_exact)
    if around.is_exact or not is_exact:
        return None
    return take_over(around) or new_claim(model, is_exact=True, scope=around.scope)


def claim_observed(model: str, *, is_exact: bool) -> Claim | None:
    """Return the same for a call whose context says nothing, by what observers know of it."""
    before, around = None, find_observed(model)
    while around is not None and around is not before:
        if around.is_exact or not is_exact:
            return None
        claim = take_over(around)
        if claim is not None:
            return claim
        before, around = around, find_observed(model)  # another thread may have been first: then there is another one
    return new_claim(model, is_exact=is_exact, scope=None if around is None else around.scope)


def take_over(around: Claim) -> Claim | None:
    """Return a claim to a call that is only observed, or to one begun together with it; None where all are taken."""
    each: Claim | None = around
    while each is not None:
        if each.take():
            return Claim(each.call_id, is_exact=True, is_started=each.is_started, scope=each.scope)
        each = each.beside
    return None  # what is observed as one call makes several


def claim_own_call() -> Claim:
    """Return a claim for an exact bridge that knows by itself that the call which starts here is one of its own."""
    return claim_call(is_exact=True) or new_claim("", is_exact=True)


def find_observed(model: str) -> Claim | None:
    """Return the claim of a call that somebody observes and that starts here, though its context does not say so."""
    for observer in tuple(observers):
        claim = observer.find_claim(model)
        if claim is not None:
            return claim
    return None


def new_claim(model: str, *, is_exact: bool, scope: Scope | None = None) -> Claim:
    """Return a claim for a call that nobody else tells, and have observers take note of it."""
    claim = Claim(urandom(16).hex(), is_exact=is_exact, scope=scope)
    if observers:
        for observer in tuple(observers):
            observer.note_call(claim, model)
    return claim
