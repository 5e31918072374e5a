"""A stretch of work: told when it starts, told once when it ends, however it is left."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from secrets import token_hex
from time import perf_counter
from types import TracebackType
from typing import Any, Generic, Literal, ParamSpec, Self, TypeVar, get_args, get_type_hints

from .context import Scope, current_scope, exit_scope, use_scope
from .decorate import wrapped
from .failures import report_failure
from .fields import PairingKey, inherited_fields, total_fields
from .signal import Signal

P = ParamSpec("P")
F = TypeVar("F", bound=Callable[..., Any])

SpanOutcome = Literal["success", "error", "timeout", "cancelled"]
SPAN_OUTCOMES: tuple[SpanOutcome, ...] = get_args(SpanOutcome)


class Span(Generic[P]):
    """Pairs a started signal with a finished one.

    >>> with agent_run(agent_name="copywriter", task="product_detail") as run:  # doctest: +SKIP
    ...     run.note(task="slogan")

    The finished event repeats every field of the started one and adds the status, the duration, the error's name, what
    was noted on the way and the totals of what was told inside (see `events.fields.total`).

    A block can be left in four ways: it ends (success), raises `TimeoutError` (timeout), raises another `Exception`
    (error), or is torn down by any other `BaseException` such as `asyncio.CancelledError` (cancelled). ``status`` maps
    them to the values of the event's own ``status`` field where those have other names. A timeout set *around* the
    span reaches it as a cancellation; set it inside to have it told as a timeout.

    Raises:
        TypeError: the finished event lacks a field of the started one, or ``status`` does not fit its values.
    """

    def __init__(
        self, started: Signal[P, Any], finished: Signal[..., Any], status: Mapping[SpanOutcome, str] | None = None
    ) -> None:
        begins, ends = hints_of(started), hints_of(finished)
        if missing := ({*begins} | {"status", "duration", "error"}) - {*ends}:
            raise TypeError(f"{finished.name} lacks {', '.join(sorted(missing))}")
        self.status = dict(status) if status else {leaving: leaving for leaving in SPAN_OUTCOMES}
        if unfit := {*self.status.values()} - {*get_args(ends["status"])} or {*SPAN_OUTCOMES} - {*self.status}:
            raise TypeError(f"{finished.name}: status does not map {', '.join(sorted(unfit))}")
        keys = [name for name, hint in begins.items() if is_key(hint)]
        if len(keys) != 1:
            raise TypeError(f"{started.name} needs one Key field to pair it with {finished.name}, it has {len(keys)}")
        self.started = started
        self.finished = finished
        self.key = keys[0]
        self.kind = started.name.removesuffix("_started")
        self.learns = frozenset(ends) - {self.key, "duration"}  # the key pairs, the clock measures
        self.inherits = inherited_fields(started.event)  # type: ignore[arg-type]  # a dataclass is a type
        wanted: defaultdict[str, list[tuple[str, str | None]]] = defaultdict(list)
        for name, total in total_fields(finished.event).items():  # type: ignore[arg-type]  # the same
            wanted[total.signal].append((name, total.field))
        self.wanted = {signal: tuple(sums) for signal, sums in wanted.items()}

    def __call__(self, *args: P.args, **known: P.kwargs) -> ActiveSpan:  # noqa: ARG002  # a ParamSpec comes as a pair
        """Begin a span: use the answer in one ``with`` block. It takes the fields of the started event."""
        return ActiveSpan(self, known)

    def scope(self, **known: Any) -> AbstractContextManager[None]:
        """Let what is told in a block inherit this span's fields, telling neither a start nor an end.

        For work whose start and end are told by somebody else, such as a workflow that outlives its process. A field
        that the span does not have is reported as a failure, not raised.
        """
        if misfits := known.keys() - self.learns - {self.key}:
            error = TypeError(f"{self.started.name} has no field {', '.join(sorted(misfits))}")
            report_failure(self.started.name, "scope", error)
        return use_scope(Scope(known, current_scope.get(), {}, self.kind), end_on_exit=True)

    def wrap(self, *args: P.args, **known: P.kwargs) -> Callable[[F], F]:  # noqa: ARG002  # the same
        """Make every call of a function a span: plain, coroutine, generator or async generator function.

        A generator's span lasts until it is exhausted, closed or dropped; between its steps the caller's context is
        left alone.
        """
        return wrapped(lambda: ActiveSpan(self, known))


class ActiveSpan:
    """One span under way."""

    __slots__ = ("_began", "_ended", "_known", "_learned", "_scope", "_span")

    def __init__(self, span: Span[...], known: Mapping[str, Any]) -> None:
        self._span = span
        self._known = dict(known)
        self._learned: dict[str, Any] = {}
        self._scope: Scope | None = None
        self._began = perf_counter()
        self._ended = False

    @property
    def elapsed(self) -> float:
        """Seconds since it began."""
        return perf_counter() - self._began

    @property
    def totals(self) -> Mapping[str, float]:
        """What was told inside so far, added up under the names of the finished event's fields."""
        return dict(self._scope.totals) if self._scope else {}

    def note(self, **learned: Any) -> None:
        """Add to what the finished event will tell.

        A field that it does not have, or a note after the end, is reported as a failure, not raised.
        """
        finished = self._span.finished.name
        if self._ended:
            report_failure(finished, "note", RuntimeError(f"{finished} was told before {', '.join(learned)} was noted"))
            return
        misfits = learned.keys() - self._span.learns
        self._learned.update((name, value) for name, value in learned.items() if name not in misfits)
        if misfits:
            names = ", ".join(sorted(misfits))
            report_failure(finished, "note", TypeError(f"{finished} has no field that can be noted as {names}"))

    def start(self) -> None:
        """Tell the start, then begin to measure.

        Raises:
            RuntimeError: it was started before; a span is one stretch of work.
        """
        if self._scope is not None:
            raise RuntimeError(f"this {self._span.started.name} span was entered before: make a new one")
        known, around = self._known, current_scope.get()
        if not known.get(self._span.key):
            known[self._span.key] = token_hex(16)
        if around is not None:
            for name in self._span.inherits:
                if name not in known and name in around.fields:
                    known[name] = around.fields[name]
        self._scope = Scope(known, around, self._span.wanted, self._span.kind)
        self._span.started.emit(**known)
        self._began = perf_counter()

    def end(self, error: BaseException | None) -> None:
        """Tell the end, once; a second end, or one without a start, is nothing."""
        if self._ended or self._scope is None:
            return
        self._ended = True
        duration = self.elapsed
        self._scope.end()
        told: dict[str, Any] = {"status": self._span.status[outcome_of(error)], "duration": duration}
        if error is not None:
            told["error"] = type(error).__name__
        self._span.finished.emit(**{**self.totals, **told, **self._known, **self._learned})

    def step(self) -> AbstractContextManager[None]:
        """Run one step of the work inside this span, leaving the caller's context as it was."""
        return use_scope(self._begun())

    def _begun(self) -> Scope:
        if self._scope is None:
            raise RuntimeError(f"this {self._span.started.name} span was not entered")
        return self._scope

    def __enter__(self) -> Self:
        self.start()
        current_scope.set(self._scope)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        scope = self._begun()
        exit_scope(scope, scope.parent)
        self.end(error)


def outcome_of(error: BaseException | None) -> SpanOutcome:
    """Name how a block of code was left."""
    if error is None:
        return "success"
    if isinstance(error, TimeoutError):
        return "timeout"
    if isinstance(error, Exception):
        return "error"
    return "cancelled"  # CancelledError, GeneratorExit, KeyboardInterrupt, SystemExit


def hints_of(signal: Signal[..., Any]) -> dict[str, Any]:
    """Read the fields of a signal's event with their roles."""
    return get_type_hints(signal.event, include_extras=True)


def is_key(hint: Any) -> bool:
    """Tell whether a field pairs a start with its end."""
    return any(isinstance(mark, PairingKey) for mark in getattr(hint, "__metadata__", ()))
