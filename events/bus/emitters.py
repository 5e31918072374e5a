"""Pre-bound emitters: they emit events of one kind again and again, with most fields fixed beforehand."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import MISSING, fields
from functools import lru_cache
from inspect import signature
from typing import TYPE_CHECKING, Any

from .closed_values import check_closed_values
from .failures import report_failed_emission, report_failure, strict_blocks
from .receiver_inspection import callable_name
from .scope import Scope, get_current_scope

if TYPE_CHECKING:
    from .signal import Signal

ReceiveFn = Callable[[tuple[Any, ...]], None]
"""Takes the values of some fields, in order."""

DeliverFn = Callable[[dict[str, Any]], None]
"""Takes the fields of an event that are set, by name."""

EmitFn = Callable[[tuple[Any, ...]], Scope | None]
"""Takes the same; returns the scope that the event was emitted in, if any, so that its caller need not look it up."""


class BindableReceiver(ABC):
    """A receiver that can prepare for events of which most fields are fixed."""

    events_only = True

    @abstractmethod
    def __call__(self, event: Any) -> None:
        """Receive an event."""

    @abstractmethod
    def bind(self, fixed: Mapping[str, Any], variable: tuple[str, ...]) -> ReceiveFn | None:
        """Return a function equivalent to calling this receiver with the complete event, or None if it needs the event.

        The function takes the values of the ``variable`` fields, in order, and raises if it gets more or fewer. Fields
        with defaults are among the ``fixed`` ones; a field that is inherited from a scope may be in neither.
        """

    def prepare(self, names: Collection[str]) -> DeliverFn | None:  # noqa: ARG002  # most need the event
        """Return a function equivalent to calling this receiver with an event of which these fields are set, or None.

        It takes these fields, in this order, and no event, which need not be built: to set forty slots takes longer
        than all that a receiver of metrics does.
        """
        return None

    def announced(self, fields: Mapping[str, Any]) -> None:  # noqa: B027  # most have nothing to prepare
        """Prepare for events with these fields, which may come; see `Signal.announce`."""

    def failures_announced(self, failures: Sequence[Mapping[str, Any]]) -> None:  # noqa: B027  # the same
        """Prepare for these failures, for all or for none; see `Signal.announce_failures`."""


def make_emitter(
    signal: Signal[..., Any], variable: tuple[str, ...], fixed: Mapping[str, Any], calls_before_compiling: int = 0
) -> EmitFn:
    """Return a function that emits a signal's event from the values of its variable fields; see `Signal.bind`.

    Its receivers are asked to bind after some calls, each of which builds the event.
    """
    event_signature(signal.event).bind(**dict.fromkeys(variable), **fixed)
    if strict_blocks:
        check_closed_values(signal.name, signal.event, fixed)
    with_defaults = {**default_values(signal, variable), **fixed}
    # The receiver cache that was compiled, what calls its receivers, and whom to report if that raises. They are
    # replaced together, so that no thread sees one without the others.
    compiled: tuple[list[Any], ReceiveFn | None, str] = [], None, ""
    calls_left = calls_before_compiling
    name = signal.name

    def emit(values: tuple[Any, ...]) -> Scope | None:
        nonlocal calls_left, compiled
        cache, receive, receiver_name = compiled
        if signal._receiver_cache is not cache:  # noqa: SLF001 - made for this: a receiver connected or disconnected
            if calls_left > 0:
                calls_left -= 1
                scope = get_current_scope()
                emit_event(signal, variable, fixed, values)
                return scope
            cache = signal._receiver_cache  # noqa: SLF001
            receive, receiver_name = compile_receivers(signal, cache, variable, with_defaults)
            compiled = cache, receive, receiver_name
        scope = get_current_scope()
        if receive is None:
            emit_event(signal, variable, fixed, values)
            return scope
        try:
            if strict_blocks:
                check_closed_values(name, signal.event, {**fixed, **dict(zip(variable, values, strict=True))})
            if (
                scope is not None
                and (scope := scope.effective() if scope.in_generator else scope)
                # `Scope.is_summing`, without a call where there is no scope around.
                and (name in scope.sums or (scope.parent and scope.parent.is_summing(name)))
            ):
                scope.add(name, {**fixed, **dict(zip(variable, values, strict=True))})
            receive(values)
        except Exception as error:
            if receiver_name == "emit":  # it is none: the receivers of a fan-out are reported by themselves
                report_failed_emission(signal.name, receiver_name, error)
            else:
                report_failure(signal.name, receiver_name, error)
        return scope

    return emit


event_signature = lru_cache(512)(signature)
"""Returns the signature of an event's class, which takes longer to read than all else that makes an emitter."""


def emit_event(
    signal: Signal[..., Any], variable: tuple[str, ...], fixed: Mapping[str, Any], values: tuple[Any, ...]
) -> None:
    """Emit a signal's event from its fixed fields and the values of its variable ones."""
    try:
        named = dict(zip(variable, values, strict=True))
    except (TypeError, ValueError) as error:
        report_failed_emission(signal.name, "emit", error)
    else:
        signal.emit(**fixed, **named)


class EmitterCache(dict[tuple[Any, ...], EmitFn]):
    """Emitters of one signal by the values of some fields, each bound at its first look-up; see `Signal.bind_by`."""

    MAX_SIZE = 4096
    """How many emitters it holds; it is emptied before one more is bound."""

    CALLS_BEFORE_COMPILING = 8
    """Calls of an emitter before its receivers bind: to bind takes as long as dozens of events, and of ever new values
    there are few."""

    def __init__(
        self, signal: Signal[..., Any], by: tuple[str, ...], variable: tuple[str, ...], fixed: Mapping[str, Any]
    ) -> None:
        super().__init__()
        self._signal = signal
        self._by = by
        self._variable = variable
        self._fixed = fixed

    def __missing__(self, values: tuple[Any, ...]) -> EmitFn:
        """Bind, store and return the emitter for values that are looked up for the first time."""
        if len(self) >= self.MAX_SIZE:
            self.clear()
        fixed = {**self._fixed, **self.fields_of(values)}
        emit = self[values] = make_emitter(self._signal, self._variable, fixed, self.CALLS_BEFORE_COMPILING)
        return emit

    def fields_of(self, values: tuple[Any, ...]) -> dict[str, Any]:
        """Return the fields of the event for values that are looked up: each is that of one field."""
        return dict(zip(self._by, values, strict=True))


def default_values(signal: Signal[..., Any], variable: tuple[str, ...]) -> dict[str, Any]:
    """Return the defaults of a signal's fields, except of those that are variable or inherited from a scope."""
    left_out = {*variable, *signal._inherited}  # noqa: SLF001 - made for this
    return {name: default for name, default in event_defaults(signal.event) if name not in left_out}


@lru_cache(512)
def event_defaults(event: type) -> tuple[tuple[str, Any], ...]:
    """Return the fields of an event's class that have defaults, with these."""
    return tuple((each.name, each.default) for each in fields(event) if each.default is not MISSING)


def compile_receivers(
    signal: Signal[..., Any], cache: list[Any], variable: tuple[str, ...], fixed: Mapping[str, Any]
) -> tuple[ReceiveFn | None, str]:
    """Return a function that calls all receivers, and the receiver's name to report if it raises.

    ``(None, "emit")`` where each event has to be built: a receiver cannot bind or is held weakly, or there is none.
    """
    if not cache:
        signal._find_receivers()  # noqa: SLF001 - fills the cache, unless a receiver connected or disconnected meanwhile
    if not cache or signal.is_muted:
        return None, "emit"
    bound: list[tuple[ReceiveFn, str]] = []
    for receiver in cache[0]:
        name = callable_name(receiver)
        try:
            receive = receiver.bind(fixed, variable) if isinstance(receiver, BindableReceiver) else None
        except Exception as error:
            report_failure(signal.name, name, error)
            receive = None
        if receive is None:
            return None, "emit"
        bound.append((receive, name))
    return bound[0] if len(bound) == 1 else (fan_out(signal.name, bound), "emit")


def fan_out(signal: str, bound: Iterable[tuple[ReceiveFn, str]]) -> ReceiveFn:
    """Return a function that calls all of several bound receivers, even where some of them raise."""

    def receive_all(values: tuple[Any, ...]) -> None:
        for receive, name in bound:
            try:
                receive(values)
            except Exception as error:
                report_failure(signal, name, error)

    return receive_all
