"""A stretch of work: one event when it starts, exactly one when it ends, however it ends."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from os import urandom
from sys import _getframe
from time import perf_counter
from types import TracebackType
from typing import Any, Generic, Literal, ParamSpec, Self, TypeVar, get_args

from .aggregation import Aggregator
from .closed_values import check_closed_values
from .failures import report_failed_emission, strict_blocks
from .fields import field_types, inherited_fields, total_fields
from .scope import (
    Scope,
    call_entry_hooks,
    current_scope,
    entry_hooks,
    exit_scope,
    get_current_scope,
    get_effective_scope,
    use_scope,
)
from .signal import Signal
from .span_decorator import wrap_calls
from .span_validation import has_unknown_totals, key_fields, span_errors, total_errors
from .timeout_errors import is_timeout

P = ParamSpec("P")
F = TypeVar("F", bound=Callable[..., Any])

SpanOutcome = Literal["success", "error", "timeout", "cancelled"]
SPAN_OUTCOMES: tuple[SpanOutcome, ...] = get_args(SpanOutcome)


class Span(Generic[P]):
    """A kind of work that has a started event and a finished event.

    >>> from events import agent_finished, agent_run, llm_called
    >>> with agent_finished.captured() as finished:
    ...     with agent_run(agent_name="copywriter", task="product_detail") as run:
    ...         llm_called.emit(model="m", status="success", duration=0.1, prompt_tokens=5)
    ...         run.note(task="slogan")
    >>> finished[0].status, finished[0].task, finished[0].llm_calls, finished[0].prompt_tokens
    ('success', 'slogan', 1, 5)

    The finished event has every field of the started one and adds the status, the duration, the error's name, what was
    noted meanwhile and the totals of the events emitted inside (see `events.fields.total`).

    A block ends in one of four outcomes: it runs to its end (success), raises a timeout (`TimeoutError`, an SDK's own,
    an error that one of them caused, a group of nothing else), raises another `Exception` (error), or is torn down by
    any other `BaseException` such as `asyncio.CancelledError` (cancelled). A timeout set *around* the span reaches it
    as a cancellation; set it inside to have a timeout recorded.

    Args:
        started: The signal of the started event, which has one field of type `Key`.
        finished: The signal of the finished event.
        status: By outcome, the value of the finished event's ``status`` field, where its values have other names.
        aggregator: What computes further fields of the finished event from the events emitted inside.

    Raises:
        TypeError: the finished event lacks a field of the started one or of the aggregator, the started event has no
            key or several, ``status`` does not fit the field's values, or a total sums a field that is none of its
            signal's. A total of a signal that is not declared yet is checked in a `strict` block.
    """

    def __init__(
        self,
        started: Signal[P, Any],
        finished: Signal[..., Any],
        status: Mapping[SpanOutcome, str] | None = None,
        aggregator: type[Aggregator] | None = None,
    ) -> None:
        self.status = dict(status) if status else {outcome: outcome for outcome in SPAN_OUTCOMES}
        aggregated: frozenset[str] = aggregator.fields if aggregator else frozenset()
        if errors := [*span_errors(started, finished, self.status, aggregated)]:
            raise TypeError("; ".join(errors))
        finished_types = field_types(finished.event)
        self.started = started
        self.finished = finished
        [self.key] = key_fields(started)  # the field that pairs the two events
        self.kind = started.name.removesuffix("_started")  # of work: ``agent`` for ``agent_started``
        # The fields that `note` may set: the key has to be the same in both events, and the clock sets the duration.
        self.notable = frozenset(finished_types) - {self.key, "duration"}
        self.inherited = inherited_fields(started.event)  # type: ignore[arg-type]  # a dataclass is a type
        sums: defaultdict[str, list[tuple[str, str | None]]] = defaultdict(list)
        self.has_unknown_totals = has_unknown_totals(finished)
        self.own: dict[str, str] = {}  # an own sum's field -> the name under which the sum is in the scope's totals
        names: dict[tuple[str, str | None], str] = {}
        totals = total_fields(finished.event)  # type: ignore[arg-type]  # the same
        for name, total in sorted(totals.items(), key=lambda item: item[1].own):  # own ones share the others' names
            if not total.own or (total.signal, total.field) not in names:
                sums[total.signal].append((name, total.field))
                names[total.signal, total.field] = name
            if total.own:
                self.own[name] = names[total.signal, total.field]
        for signal in aggregator.signals if aggregator else ():
            sums[signal]  # an aggregator is called where a scope sums, if only nothing
        self.sums = {signal: tuple(pairs) for signal, pairs in sums.items()}
        self.aggregator = aggregator

    def __call__(self, *args: P.args, **fields: P.kwargs) -> ActiveSpan:  # noqa: ARG002  # a ParamSpec comes as a pair
        """Return a span with these fields of the started event, for one ``with`` block."""
        return ActiveSpan(self, fields)

    def scope(self, **fields: Any) -> AbstractContextManager[None]:
        """Return a ``with`` block in which events inherit these fields, without a started or a finished event.

        For work whose start and end are emitted elsewhere, such as a workflow that outlives its process. A field that
        the span does not have is reported as a failure, not raised.
        """
        if unknown := fields.keys() - self.notable - {self.key}:
            names = ", ".join(sorted(unknown))
            error = TypeError(f"{self.started.name} has no field {names}")
            report_failed_emission(self.started.name, "scope", error, lambda: f"no field {names}")
        if strict_blocks:
            check_closed_values(self.finished.name, self.finished.event, fields)
        return use_scope(Scope(fields, get_effective_scope(), {}, self.kind), end_on_exit=True)

    def wrap(self, *args: P.args, **fields: P.kwargs) -> Callable[[F], F]:  # noqa: ARG002  # the same
        """Return a decorator that makes every call of a function a span with these fields of the started event.

        The function may be plain, a coroutine function, a generator function or an async generator function. A
        generator's span lasts until the generator is exhausted, closed or dropped; between its steps the caller is not
        inside the span.
        """
        return wrap_calls(lambda: ActiveSpan(self, fields))


class ActiveSpan:
    """One span, from when it is made to its end; not entered before `start` or the ``with`` block."""

    __slots__ = ("_ended", "_fields", "_leave", "_noted", "_previous", "_scope", "_span", "_start_time")

    def __init__(self, span: Span[...], fields: Mapping[str, Any]) -> None:
        self._span = span
        self._fields = dict(fields)
        self._noted: dict[str, Any] = {}
        self._scope: Scope | None = None
        self._start_time = perf_counter()
        self._ended = False

    @property
    def kind(self) -> Span[...]:
        """The kind of work that it is a span of."""
        return self._span

    @property
    def elapsed(self) -> float:
        """Seconds since the start; before it, since the span was made."""
        return perf_counter() - self._start_time

    @property
    def totals(self) -> dict[str, float]:
        """The sums of the events emitted inside so far, by the names of the finished event's fields."""
        if self._scope is None:
            return {}
        sums = dict(self._scope.totals)
        for name, amount in self._scope.nested_totals.items():
            sums[name] = sums.get(name, 0) + amount
        return sums

    def note(self, **fields: Any) -> None:
        """Set fields of the finished event; they win over those of the start and over the totals.

        A field that the event does not have, its key or duration, and a note after the end are reported as failures,
        not raised. In a `strict` block they are raised, and so is a value outside the closed set of its field.
        """
        finished = self._span.finished.name
        if self._ended:
            error: Exception = RuntimeError(f"{finished} was emitted before {', '.join(fields)} was noted")
            report_failed_emission(finished, "note", error)
            return
        if strict_blocks:
            check_closed_values(finished, self._span.finished.event, fields)
        unknown = fields.keys() - self._span.notable
        self._noted.update((name, value) for name, value in fields.items() if name not in unknown)
        if unknown:
            names = ", ".join(sorted(unknown))
            error = TypeError(f"{finished} has no field that can be noted as {names}")
            report_failed_emission(finished, "note", error, lambda: f"no field {names} that can be noted")

    def start(self) -> None:
        """Emit the started event, then start the clock.

        Raises:
            RuntimeError: it was started before; a span is one stretch of work.
            TypeError: in a `strict` block, a total sums a signal that there is not, or a field that it has not.
        """
        if self._scope is not None:
            raise RuntimeError(f"this {self._span.started.name} span was entered before: make a new one")
        if strict_blocks and self._span.has_unknown_totals and (errors := [*total_errors(self._span.finished)]):
            raise TypeError("; ".join(errors))
        fields, parent = self._fields, get_current_scope()
        if parent is not None and parent.in_generator:
            parent = parent.effective()
        if not fields.get(self._span.key):
            fields[self._span.key] = urandom(16).hex()
        if parent is not None:
            parent.add_inherited(fields, self._span.inherited)
        self._scope = Scope(fields, parent, self._span.sums, self._span.kind)
        self._scope.span = self
        self._span.started.emit(**fields)
        self._start_time = perf_counter()
        if self._span.aggregator is not None:
            self._scope.aggregator = self._span.aggregator(self._start_time)

    def end(self, error: BaseException | None) -> None:
        """Emit the finished event, once; a second call, or one without a start, does nothing."""
        if self._ended or self._scope is None:
            return
        self._ended = True
        duration = self.elapsed
        self._scope.end()
        aggregated = self._scope.take_aggregated(self._span.finished.name, self._start_time + duration)
        measured: dict[str, Any] = {"status": self._span.status[outcome_of(error)], "duration": duration}
        if error is not None:
            measured["error"] = type(error).__name__
        sums = self.totals
        if sums and self._span.own:
            own = self._scope.totals
            sums |= {name: own.get(summed, 0) for name, summed in self._span.own.items() if summed in sums}
        self._span.finished.emit(**{**sums, **aggregated, **measured, **self._fields, **self._noted})

    def step(self) -> AbstractContextManager[None]:
        """Return a ``with`` block for one step of the work; after it the code is outside this span again."""
        return use_scope(self._entered_scope())

    def _entered_scope(self) -> Scope:
        if self._scope is None:
            raise RuntimeError(f"this {self._span.started.name} span was not entered")
        return self._scope

    def __enter__(self) -> Self:
        self._previous = get_current_scope()
        self.start()
        scope: Any = self._scope  # which `start` has set
        scope.enter_from(_getframe(1))
        current_scope.set(scope)
        self._leave = call_entry_hooks(scope) if entry_hooks else None
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        scope = self._entered_scope()
        exit_scope(scope, self._previous)
        self.end(error)
        if self._leave:  # after the finished event, which is told of the span itself
            for leave in self._leave:
                leave()


def outcome_of(error: BaseException | None) -> SpanOutcome:
    """Return how a block of code ended, by the exception that left it, if any."""
    if error is None:
        return "success"
    if isinstance(error, Exception):
        return "timeout" if is_timeout(error) else "error"
    return "cancelled"  # CancelledError, GeneratorExit, KeyboardInterrupt, SystemExit


def current_span(kind: Span[...] | None = None) -> ActiveSpan | None:
    """Return the innermost span that the running code is in, or the innermost of a kind; None outside of all.

    >>> from events import agent_finished, agent_run, current_span
    >>> @agent_run.wrap(agent_name="copywriter")
    ... def write():
    ...     current_span().note(task="slogan")
    >>> with agent_finished.captured() as finished:
    ...     write()
    >>> finished[0].task
    'slogan'
    """
    scope = get_effective_scope()
    while scope is not None:
        span: ActiveSpan | None = scope.span
        if span is not None and (kind is None or span.kind is kind):
            return span
        scope = scope.parent
    return None
