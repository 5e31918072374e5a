"""The spans that have started and not ended, and which of them the running code is in."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from time import perf_counter_ns, time_ns

from opentelemetry.context import Context, attach, detach, get_current
from opentelemetry.trace import Span, get_current_span, set_span_in_context

from events.bus.scope import Scope, get_effective_scope

Key = tuple[str, str]
"""The kind of work and its id, such as an agent's execution."""


class OpenSpan:
    """A span that has not ended.

    Args:
        span: The span.
        outer_id: The id of the span that was current when it started.
        started_at: Its start, in nanoseconds of the wall clock.
    """

    __slots__ = ("_started", "outer_id", "span", "started_at")

    def __init__(self, span: Span, outer_id: int, started_at: int) -> None:
        self.span = span
        self.outer_id = outer_id
        self.started_at = started_at
        self._started = perf_counter_ns()

    def now(self) -> int:
        """Return now, in nanoseconds, by a clock that nobody sets: that of the wall at the start, and what passed."""
        return self.started_at + perf_counter_ns() - self._started

    def is_around(self, context: Context) -> bool:
        """Return whether the current span of a context was made inside this one, or is this one.

        It is in the same trace and is not the one that this one was made in.
        """
        current = get_current_span(context).get_span_context()
        own = self.span.get_span_context()
        return current.is_valid and current.trace_id == own.trace_id and current.span_id != self.outer_id


class OpenSpans:
    """The open spans by kind and id; past ``max_open`` the oldest are dropped, whose ends nobody told.

    Args:
        max_open: How many there may be.
        keys: By a kind of work, the field that has its id.
    """

    def __init__(self, max_open: int, keys: Mapping[str, str]) -> None:
        self._max_open = max_open
        self._keys = keys
        self._spans: dict[Key, OpenSpan] = {}  # the oldest first; each operation on it is atomic

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self._spans)

    def add(self, key: Key, span: Span, started_at: int) -> None:
        """Add a span that has just started in the current context; one of the same key is dropped."""
        outer_id = get_current_span().get_span_context().span_id
        self._spans.pop(key, None)
        self._spans[key] = OpenSpan(span, outer_id, started_at)
        while len(self._spans) > self._max_open:
            try:
                self._spans.pop(next(iter(self._spans)), None)
            except (RuntimeError, StopIteration):  # another thread was faster
                break

    def get(self, key: Key) -> OpenSpan | None:
        """Return an open span; None if there is none of this key."""
        return self._spans.get(key)

    def pop(self, key: Key) -> OpenSpan | None:
        """Return an open span that ends, which is open no more."""
        return self._spans.pop(key, None)

    def clear(self) -> None:
        """Drop all of them."""
        self._spans.clear()

    def of_scope(self, scope: Scope) -> OpenSpan | None:
        """Return the open span of a scope, if it has one."""
        field = self._keys.get(scope.kind)
        return None if field is None else self._spans.get((scope.kind, scope.fields.get(field, "")))

    def innermost(self) -> OpenSpan | None:
        """Return the innermost open span that the running code is in."""
        scope = get_effective_scope()
        while scope is not None:
            found = self.of_scope(scope)
            if found is not None:
                return found
            scope = scope.parent
        return None

    def now(self) -> int:
        """Return now, in nanoseconds, by the clock of the innermost open span, or by the wall clock outside of all.

        So no span begins before the one that it is in, or ends after it, where the wall clock is set meanwhile.
        """
        around = self.innermost()
        return time_ns() if around is None else around.now()

    def parent_context(self) -> Context:
        """Return the context of a span that starts here.

        The current span is its parent, but where the code is in an open span that is not current here: such as in a
        thread that knows the scope alone.
        """
        context = get_current()
        around = self.innermost()
        if around is None or around.is_around(context):
            return context
        return set_span_in_context(around.span, context)

    def enter(self, scope: Scope) -> Callable[[], object] | None:
        """Make the span of a scope current, if it has one; return what undoes it."""
        entered = self.of_scope(scope)
        if entered is None:
            return None
        context = get_current()
        if entered.is_around(context):
            return None
        inside = set_span_in_context(entered.span, context)
        token = attach(inside)

        def leave() -> None:
            if get_current() is inside:  # else it is another context: a generator that the event loop closes
                detach(token)

        return leave
