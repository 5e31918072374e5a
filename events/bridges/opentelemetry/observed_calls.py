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

import re
from collections import deque
from collections.abc import Iterator, Mapping
from itertools import islice
from threading import RLock
from time import perf_counter, time_ns

from ...bus.after_fork import free_after_fork
from ...bus.scope import Scope
from ...llm import ModelOperation
from ..model_calls.claims import Claim, current_claim
from ..model_calls.model_call import ModelCall
from .conventions import is_called_back
from .open_spans import OpenSpan
from .span_reading import SpanUsage

CALLS_ITSELF = frozenset({"tool", "agent", "guardrail"})
"""Whose calls are others than the one around, such as that of a judge which a guardrail asks."""

MAX_CALLS = 1024
"""Calls that are remembered, under way or not: a span that tells at its end what it is of comes after them."""

MAX_COMPARED = 256
"""Calls that a span is compared with."""

DATED = re.compile(r"[-@:](\d{4}|latest)")
"""What follows the name of a model in the name of a version of it."""

CLOCK_SLACK_NS = 10_000
"""How much earlier than its library's span a call may seem to begin: some libraries' times are of microseconds."""

END_SLACK_NS = 2_000_000
"""How much later than its library's span a call may end, whose last chunk is read by then."""


class SpanClaim(Claim):
    """The claim of a call that is observed by its spans.

    Attributes:
        owner: The processor that observes it.
        call: The call.
    """

    __slots__ = ("call", "owner")

    def __init__(self, call_id: str, owner: object, call: ObservedCall) -> None:
        super().__init__(call_id, is_exact=False)
        self.owner = owner
        self.call = call


class ObservedCall:
    """A call of a model, seen by spans, or by another bridge.

    Attributes:
        model: The model that was asked for; "" where that is not known yet.
        outermost: The span that times it, and says how it ended; None for a call of another bridge.
        place: The span that it began in; None outside of all.
        libraries: Those that have a span of it.
        inner: What other spans of it, inside the outermost one, say of the answer.
        claim: The right to tell it; that of another bridge, where one tells it.
        model_call: What emits its events, once its model is known; None for a call of another bridge.
        operation: What the model is asked for.
        amounts: What it used, once it was told here, under the names of the totals of agents.
    """

    __slots__ = (
        "amounts",
        "claim",
        "duration",
        "ended_ns",
        "inner",
        "libraries",
        "model",
        "model_call",
        "operation",
        "outermost",
        "place",
        "response_model",
        "started_ns",
    )

    def __init__(self, model: str, started_ns: int, outermost: OpenSpan | None, place: OpenSpan | None) -> None:
        self.model = model
        self.response_model = ""
        self.started_ns = started_ns
        self.ended_ns: int | None = None
        self.outermost = outermost
        self.place = place
        self.libraries: set[str] = set() if outermost is None else {outermost.library}
        self.inner: list[SpanUsage] = []
        self.claim: Claim | None = None
        self.model_call: ModelCall | None = None
        self.amounts: Mapping[str, float | None] = {}
        self.duration = 0.0
        self.operation: ModelOperation = "chat"

    @property
    def call_id(self) -> str:
        """The id of the call."""
        return "" if self.claim is None else self.claim.call_id

    @property
    def scope(self) -> Scope | None:
        """The scope that its events are of; None where that is not known."""
        return None if self.claim is None else self.claim.scope

    @property
    def is_under_way(self) -> bool:
        """Whether it has not ended, as far as anybody here knows."""
        return self.ended_ns is None and not (self.claim is not None and self.claim.has_ended)

    @property
    def last_ns(self) -> int | None:
        """When it ended; None while it is under way."""
        if self.ended_ns is not None or self.claim is None or self.claim.ended_at is None:
            return self.ended_ns
        return time_ns() - int((perf_counter() - self.claim.ended_at) * 1e9)

    def is_of(self, model: str) -> bool:
        """Return whether a name may be that of its model, as asked for or in its answer."""
        return same_model(self.model, model) or (self.response_model != "" and same_model(self.response_model, model))


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
        with self._lock:
            self._calls.append(call)
            if len(self._libraries) < 64:
                self._libraries.add("" if call.outermost is None else call.outermost.library)

    def join(self, span: OpenSpan, model: str) -> ObservedCall | None:
        """Return the call under way that a span is of too, which it is from now on; None where it is another."""
        call = self.call_around(span)
        if call is None:
            claim = current_claim.get()
            if isinstance(claim, SpanClaim) and claim.owner is self.owner:
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
        began later. Or another bridge tells it, which stands around the library: then it is the one that began last.
        """
        if self._is_alone(span.library):
            return None
        is_late = ended_ns <= span.made_ns  # its library writes it when all is over, and so do others theirs
        with self._lock:
            within = around = unended = None
            for call in self._latest():
                # A call that was known at its end alone comes after those that began later: all are looked at.
                is_earlier = call.started_ns < span.started_ns - CLOCK_SLACK_NS
                if span.library in call.libraries or call.started_ns > ended_ns or not call.is_of(model):
                    continue
                call_ended_ns = call.last_ns
                if is_earlier:
                    if around is None and call.outermost is None and is_span_within(span, call, ended_ns):
                        around = call
                elif not is_place_within(call.place, span):
                    continue
                elif call_ended_ns is None and is_late:
                    unended = earlier_one(call, unended)
                elif call_ended_ns is None or call_ended_ns <= ended_ns + END_SLACK_NS:
                    within = earlier_one(call, within)
            # A call that is still under way may have the last chunk of a stream to be read, or be any later one.
            found = within or around or unended
            if found is not None:
                found.libraries.add(span.library)
            return found

    def find_claimable(self, place: OpenSpan | None, model: str) -> ObservedCall | None:
        """Return the observed call under way that a call of another bridge is, which begins at a place."""
        if place is not None and (call := self.call_around(place, itself=True)) is not None:
            return call
        with self._lock:
            return next((call for call in self._latest() if _is_claimable(call, place, model)), None)

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
        return not self._libraries or self._libraries == {library}

    def _latest(self) -> Iterator[ObservedCall]:
        return islice(reversed(self._calls), MAX_COMPARED)


def _is_claimable(call: ObservedCall, place: OpenSpan | None, model: str) -> bool:
    outermost, claim = call.outermost, call.claim
    return (
        outermost is not None
        and claim is not None
        and not claim.is_taken
        and call.is_under_way
        and call.is_of(model)
        and is_called_back(outermost.library)
        and is_place_within(place, outermost)
    )


def earlier_one(call: ObservedCall, other: ObservedCall | None) -> ObservedCall:
    """Return the one of two calls that began first."""
    return call if other is None or call.started_ns < other.started_ns else other


def is_span_within(span: OpenSpan, call: ObservedCall, ended_ns: int) -> bool:
    """Return whether a span lies within a call of another bridge that began before it."""
    last_ns = call.last_ns
    is_in_place = call.place is None or span.parent is None or span.is_inside(call.place)
    return is_in_place and (last_ns is None or last_ns >= ended_ns - END_SLACK_NS)


def is_place_within(place: OpenSpan | None, around: OpenSpan | None) -> bool:
    """Return whether a place in a trace may be inside a span that was not made the current one.

    That is a span around that one, or none: of a trace of its own. A library may begin a trace of its own as well.
    """
    if place is None or around is None or around.is_inside(place) or place.is_inside(around):
        return True
    return place.trace_id != around.trace_id and around.top_of_library().parent is None


def same_model(one: str, other: str) -> bool:
    """Return whether two names may be of one model: an answer's has a date, a router's the provider before it.

    >>> same_model("openai/gpt-4o", "gpt-4o-2024-08-06"), same_model("gpt-4o", "gpt-4o-mini"), same_model("gpt-4o", "")
    (True, False, True)
    """
    short, long = sorted((one.rpartition("/")[2], other.rpartition("/")[2]), key=len)
    return not short or short == long or (long.startswith(short) and DATED.match(long, len(short)) is not None)
