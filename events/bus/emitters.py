"""What emits one kind of event over and over, most of whose fields are known beforehand."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from dataclasses import MISSING, fields
from inspect import signature
from typing import TYPE_CHECKING, Any

from .context import Scope, get_current_scope
from .failures import report_failure
from .receivers import callable_name

if TYPE_CHECKING:
    from .signal import Signal

ReceiveFn = Callable[[tuple[Any, ...]], None]
"""Takes the values of the fields that are named, in order."""

EmitFn = Callable[[tuple[Any, ...]], Scope | None]
"""The same; gives the scope that the event was told in, if any, so that who tells need not look it up again."""


class BindableReceiver(ABC):
    """A receiver that can be given most of an event's fields once, beforehand."""

    @abstractmethod
    def __call__(self, event: Any) -> None:
        """Receive an event."""

    @abstractmethod
    def bind(self, known: Mapping[str, Any], named: tuple[str, ...]) -> ReceiveFn | None:
        """Give what does as much as receiving an event with the ``known`` fields and the values of those ``named``.

        Fields that are inherited from a scope may be neither. What is given raises where it gets more values than are
        named, or fewer. None where the event itself is needed.
        """


def make_emitter(signal: Signal[..., Any], named: tuple[str, ...], known: Mapping[str, Any]) -> EmitFn:
    """Make what emits a signal's event with the values of the fields that are named; see `Signal.bind`."""
    signature(signal.event).bind(**dict.fromkeys(named), **known)
    settled = {**defaults_of(signal, named), **known}
    # Receivers, what tells all of them, and for whom that fails: no thread sees one without the others.
    ready: tuple[list[Any], ReceiveFn | None, str] = [], None, ""

    def emit(values: tuple[Any, ...]) -> Scope | None:
        nonlocal ready
        heard_by, way, name = ready
        if signal._receiver_cache is not heard_by:  # noqa: SLF001 - the other half of this: a receiver came or went
            heard_by = signal._receiver_cache  # noqa: SLF001
            way, name = compile_receivers(signal, heard_by, named, settled)
            ready = heard_by, way, name
        scope = get_current_scope()
        if way is None:
            emit_whole(values)
            return scope
        try:
            if scope is not None and scope.wants(signal.name):
                scope.add(signal.name, {**known, **dict(zip(named, values, strict=True))})
            way(values)
        except Exception as error:
            report_failure(signal.name, name, error)
        return scope

    def emit_whole(values: tuple[Any, ...]) -> None:
        try:
            told = dict(zip(named, values, strict=True))
        except (TypeError, ValueError) as error:
            report_failure(signal.name, "emit", error)
        else:
            signal.emit(**known, **told)

    return emit


class EmitterCache(dict[tuple[Any, ...], EmitFn]):
    """What emits a signal's events, by the values of some fields: bound when first asked for; see `Signal.bind_by`."""

    MAX_SIZE = 4096
    """How many are remembered."""

    def __init__(
        self, signal: Signal[..., Any], by: tuple[str, ...], named: tuple[str, ...], known: Mapping[str, Any]
    ) -> None:
        super().__init__()
        self._signal = signal
        self._by = by
        self._named = named
        self._known = known

    def __missing__(self, values: tuple[Any, ...]) -> EmitFn:
        """Bind what was not asked for before."""
        if len(self) >= self.MAX_SIZE:
            self.clear()
        emit = self[values] = make_emitter(
            self._signal, self._named, {**self._known, **dict(zip(self._by, values, strict=True))}
        )
        return emit


def defaults_of(signal: Signal[..., Any], named: tuple[str, ...]) -> dict[str, Any]:
    """Give the fields that nobody has to tell, by what they are then; what is inherited is not among them."""
    told = {*named, *signal._inherited}  # noqa: SLF001 - the other half of this
    of_class = fields(signal.event)  # type: ignore[arg-type]  # a dataclass is its own constructor
    return {each.name: each.default for each in of_class if each.default is not MISSING and each.name not in told}


def compile_receivers(
    signal: Signal[..., Any], heard_by: list[Any], named: tuple[str, ...], known: Mapping[str, Any]
) -> tuple[ReceiveFn | None, str]:
    """Give what tells every receiver, and for whom that fails.

    None if one cannot bind or may vanish by itself, and while none is to hear.
    """
    if not heard_by:
        signal._look_up()  # noqa: SLF001 - fills it, unless a receiver came or went meanwhile
    if not heard_by or signal.is_muted:
        return None, "emit"
    ways: list[tuple[ReceiveFn, str]] = []
    for receiver in heard_by[0]:
        name = callable_name(receiver)
        try:
            way = receiver.bind(known, named) if isinstance(receiver, BindableReceiver) else None
        except Exception as error:
            report_failure(signal.name, name, error)
            way = None
        if way is None:
            return None, "emit"
        ways.append((way, name))
    return ways[0] if len(ways) == 1 else (fan_out(signal.name, ways), "emit")


def fan_out(signal: str, ways: Iterable[tuple[ReceiveFn, str]]) -> ReceiveFn:
    """Put ways together, so that one that fails does not starve the others."""

    def way(values: tuple[Any, ...]) -> None:
        for each, name in ways:
            try:
                each(values)
            except Exception as error:
                report_failure(signal, name, error)

    return way
