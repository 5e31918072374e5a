"""Which spans are of one call: several libraries may see it, and each has a span of its own.

The spans of a call may be nested, be siblings, or be in different traces, since not every library makes its span the
current one. So a span is of a call that is under way, seen by another library and not yet by its own, where

- the span is inside a span of the call, or
- the running code is that which the call began in, or
- a framework wrote a span of it in a callback, of the same model, and neither place in a trace speaks against it.

Of spans that show only at their end that they are of a call, it is the call that lies within their time. Each library
has one span of each call, so numbers are right even where, of calls under way at once, one is taken for another.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from itertools import islice
from threading import RLock

from ...bus.after_fork import free_after_fork
from ..model_calls.claims import current_claim
from .call_places import AROUND, FITS, Fit, fit_of, is_claimable, is_earlier, is_place_within
from .conventions import is_called_back
from .observed_call import ObservedCall, is_claim_of
from .open_spans import OpenSpan

CALLS_ITSELF = frozenset({"tool", "agent", "guardrail"})
"""Whose calls are others than the one around, such as that of a judge which a guardrail asks."""

MAX_CALLS = 1024
"""Calls that are remembered, under way or not: a span that tells at its end what it is of comes after them."""

MAX_LIBRARIES = 64
"""Libraries that are remembered."""

MAX_COMPARED = 256
"""Calls that a span is compared with."""


class ObservedCalls:
    """The calls that were seen last, the latest at the end."""

    def __init__(self, owner: object) -> None:
        self.owner = owner
        self._calls: deque[ObservedCall] = deque(maxlen=MAX_CALLS)
        self._libraries: set[str] = set()  # whose spans, or other bridges ("") whose calls, were seen
        self._lock = free_after_fork(RLock())  # reentrant: the garbage collector may end a span in the same thread

    def clear(self) -> None:
        """Forget all calls: there are no later ones to compare them with."""
        with self._lock:
            self._calls.clear()

    def add(self, call: ObservedCall) -> None:
        """Add a call that starts here."""
        library = "" if call.outermost is None else call.outermost.library
        if library not in self._libraries and len(self._libraries) < MAX_LIBRARIES:
            self._libraries.add(library)  # first, so that a span of another library looks for the call
        with self._lock:
            self._calls.append(call)

    def join(self, span: OpenSpan, model: str) -> ObservedCall | None:
        """Return the call under way that a span is of too, which it is from now on; None where it is another."""
        call = self.call_around(span)
        if call is None:
            claim = current_claim.get()
            if claim is not None and claim.ended_at is None and is_claim_of(claim, self.owner):
                call = claim.call if self._may_join(span, model, claim.call, by_context=True) else None
        if call is None and not self._is_alone(span.library):
            with self._lock:
                fits = (each for each in self._latest() if self._may_join(span, model, each, by_context=False))
                call = next(fits, None)
                if call is not None:
                    call.libraries.add(span.library)
        if call is not None:
            call.libraries.add(span.library)
            if not call.model:
                call.model = model
        return call

    def take_told(self, span: OpenSpan, model: str, ended_ns: int) -> ObservedCall | None:
        """Return the call that a span which just ended is of, and that others tell; None without one.

        It lies within the span; of several it is the one that began first, since later ones are left to spans that
        began later. Or another bridge tells it, which stands around the library: then it is the one that began last. A
        call that fits by the clocks' slack alone is taken where no other fits: it may be that of the next span.
        """
        if self._is_alone(span.library):
            return None
        with self._lock:
            found: dict[Fit, ObservedCall] = {}
            for call in self._latest():
                # A call that was known at its end alone comes after those that began later: all are looked at.
                if span.library in call.libraries or call.started_ns > ended_ns or not call.is_of(model):
                    continue
                fit = fit_of(call, span, ended_ns)
                if fit is not None and (fit not in found or (fit not in AROUND and is_earlier(call, found[fit]))):
                    found[fit] = call
            best = next((found[fit] for fit in FITS if fit in found), None)
            if best is not None:
                best.libraries.add(span.library)
            return best

    def find_claimable(self, place: OpenSpan | None, model: str) -> ObservedCall | None:
        """Return the observed call under way that a call of another bridge is, which begins at a place."""
        if place is not None and (call := self.call_around(place, itself=True)) is not None:
            return call
        with self._lock:
            return next((call for call in self._latest() if is_claimable(call, place, model)), None)

    def call_around(self, span: OpenSpan, *, itself: bool = False) -> ObservedCall | None:
        """Return the call under way that a span is inside, with no tool, agent or guardrail between."""
        around: OpenSpan | None = span if itself else span.parent
        while around is not None and around.operation not in CALLS_ITSELF:
            if around.call is not None:
                return around.call if around.call.is_under_way else None
            around = around.parent
        return None

    def _may_join(self, span: OpenSpan, model: str, call: ObservedCall, *, by_context: bool) -> bool:
        """Return whether a span that is inside no span of a call may be of it all the same."""
        if span.library in call.libraries or not call.is_under_way or not call.is_of(model):
            return False
        outermost = call.outermost
        if outermost is None or span.is_inside(outermost):  # another bridge's; inside with a tool or an agent between
            return False
        return (by_context or is_called_back(outermost.library)) and is_place_within(span.parent, outermost)

    def _is_alone(self, library: str) -> bool:
        """Return whether nobody but a library was seen, so that there is nothing to compare."""
        libraries = self._libraries
        return not libraries or (len(libraries) == 1 and library in libraries)

    def _latest(self) -> Iterator[ObservedCall]:
        return islice(reversed(self._calls), MAX_COMPARED)
