"""A blinker signal that carries one kind of event."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import fields as fields_of
from dataclasses import is_dataclass
from inspect import isasyncgen, iscoroutine
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, TypeVar
from weakref import ReferenceType

from blinker import ANY, NamedSignal, Namespace, default_namespace

from .context import get_current_scope
from .emitters import EmitFn, EmitterCache, make_emitter
from .failures import report_failure, strict_blocks
from .fields import inherited_fields
from .frozen import mutable_twin
from .receivers import callable_name, is_async

P = ParamSpec("P")
E = TypeVar("E")
R = TypeVar("R", bound=Callable[..., Any])


class Signal(NamedSignal, Generic[P, E]):
    """Tells whoever listens that something happened.

    >>> agent_finished.emit(agent_name="copywriter", status="success", duration=1.5)  # doctest: +SKIP

    Senders name the fields; receivers get one immutable event. While nobody listens no event is built. A receiver
    that raises, and a field that does not fit the event, never reach the sender: they become `receiver_failed`.

    The signal stands in blinker's namespace under the event's name in snake case: ``blinker.signal("llm_called")``
    is the same object. A plain signal that was taken under that name before is adopted, its receivers kept.

    Raises:
        TypeError: the event is not a frozen dataclass whose fields are all keyword-only.
        ValueError: another event was declared under the same name.
    """

    event: Callable[P, E]
    _inherited: tuple[str, ...]
    _mutable_twin: Callable[..., Any] | None
    _receiver_cache: list[tuple[Callable[[E], Any], ...]]
    """Empty, or the receivers if all are kept alive; a new list whenever one comes or goes, or all are muted."""

    def __new__(cls, event: Callable[P, E], namespace: Namespace | None = None) -> Signal[P, E]:
        check_event(event)
        names = default_namespace if namespace is None else namespace
        name = snake_case(event.__name__)
        taken = names.get(name)
        if isinstance(taken, Signal):
            raise ValueError(  # noqa: TRY004  # it is the name that is taken
                f"signal {name!r} is declared twice: for {taken.event!r} and for {event!r}"
            )
        if taken is None:
            taken = super().__new__(cls)
            NamedSignal.__init__(taken, name)
        inherited = inherited_fields(event)  # type: ignore[arg-type]  # a dataclass is its own constructor
        told = {"event": event, "_inherited": inherited, "_mutable_twin": mutable_twin(event), "__doc__": event.__doc__}  # type: ignore[arg-type]  # the same
        for attribute, value in {**told, "_receiver_cache": []}.items():
            setattr(taken, attribute, value)
        if not isinstance(taken, Signal):
            taken.__class__ = cls  # in place: whoever holds the plain signal now holds this one
        names[name] = taken
        return taken  # type: ignore[return-value]  # by now it is one

    def __init__(self, event: Callable[P, E], namespace: Namespace | None = None) -> None:
        """Leave it all to ``__new__``: blinker's ``__init__`` would drop the receivers of an adopted signal."""

    if TYPE_CHECKING:

        def emit(self, *args: P.args, **fields: P.kwargs) -> None:
            """Tell every receiver, in this thread, before returning. Never raises (but see `strict`)."""

    else:  # the same without ``args``, always empty, which would cost a fifth of an emission that nobody hears

        def emit(self, /, **fields: Any) -> None:
            """Tell every receiver, in this thread, before returning. Never raises (but see `strict`)."""
            scope = get_current_scope()
            if scope is not None:
                scope.add(self.name, fields)
            if not (self.receivers or strict_blocks) or self.is_muted:
                return
            if scope is not None:
                around = scope.fields
                for name in self._inherited:
                    if name not in fields and name in around:
                        fields[name] = around[name]
            try:
                if self._mutable_twin is None:
                    event = self.event(**fields)
                else:
                    event = self._mutable_twin(**fields)
                    event.__class__ = self.event
            except Exception as error:
                report_failure(self.name, "emit", error)
            else:
                self._deliver(event)

    def bind(self, *named: str, **known: Any) -> EmitFn:
        """Give what emits this event over and over: it takes a tuple of the values of the fields that are ``named``.

        >>> sent = query_executed.bind("duration", "rows", operation="select", table="campaigns")  # doctest: +SKIP
        >>> sent((0.002, 1))  # doctest: +SKIP

        Receivers learn what they would by `emit`, and it raises no more than that does. Where each receiver is a
        `BindableReceiver`, as the metrics are, it takes a quarter of the time: they do once what depends on known
        fields alone, and no event is built.

        Raises:
            TypeError: a field is missing, is none of this event's, or is both named and known.
        """
        return make_emitter(self, named, known)

    def bind_by(self, by: tuple[str, ...], named: tuple[str, ...], /, **known: Any) -> EmitterCache:
        """Give what `bind` gives for each choice of values of the fields ``by``, which are to have few.

        >>> sent = query_executed.bind_by(("operation", "table"), ("duration",), cache="hit")  # doctest: +SKIP
        >>> sent["select", "campaigns"]((0.002,))  # doctest: +SKIP

        Those that were asked for are remembered, and 4,096 at most. Values that are equal have to be the same: 200 is
        not told from 200.0.

        Raises:
            TypeError: a choice is asked for, and fields are missing, are none of this event's, or are given twice.
            ValueError: a choice has not as many values as there are fields.
        """
        return EmitterCache(self, by, named, known)

    def _deliver(self, event: E) -> None:
        heard_by = self._receiver_cache
        for receiver in heard_by[0] if heard_by else self._look_up():
            try:
                answer = receiver(event)
            except Exception as error:
                report_failure(self.name, callable_name(receiver), error)
            else:
                if answer is not None and (iscoroutine(answer) or isasyncgen(answer)):
                    if iscoroutine(answer):
                        answer.close()  # else Python warns, later and elsewhere, that it was never awaited
                    report_failure(self.name, callable_name(receiver), TypeError(self._not_awaited(receiver)))

    def _look_up(self) -> tuple[Callable[[E], Any], ...]:
        """Ask blinker for the receivers, and remember them unless one may vanish by itself."""
        heard_by = (
            self._receiver_cache
        )  # replaced if a receiver connects meanwhile: then what is stored here is never read
        receivers = tuple(self.receivers_for(ANY))
        if not heard_by and not any(isinstance(kept, ReferenceType) for kept in tuple(self.receivers.values())):
            heard_by.append(receivers)
        return receivers

    def _not_awaited(self, receiver: Callable[..., Any]) -> str:
        name = callable_name(receiver)
        return f"{self.name} is told, not awaited: {name} is asynchronous; connect events.background({name}) instead"

    def send(self, sender: Any = None, /, **fields: Any) -> list[tuple[Callable[..., Any], Any]]:
        """Tell an event that is already built, as `emit` does; blinker's ``send`` in every other case."""
        if fields or not isinstance(sender, self.event):  # type: ignore[arg-type]  # a dataclass is a type
            return super().send(sender, **fields)
        scope = get_current_scope()
        if scope is not None:
            scope.add(self.name, {field.name: getattr(sender, field.name) for field in fields_of(sender)})
        if not self.is_muted:
            self._deliver(sender)
        return []

    def connect(self, receiver: R, sender: Any = ANY, weak: bool = False) -> R:
        """Call ``receiver(event)`` at every emission; it is kept alive unless ``weak``.

        Raises:
            TypeError: the receiver is a coroutine function (wrap it with `events.background`), or a sender was named
                (here the event itself is what blinker calls the sender).
        """
        if is_async(receiver):
            raise TypeError(self._not_awaited(receiver))
        if sender is not ANY:
            raise TypeError(f"{self.name} has no senders to choose from: look at the event's fields in the receiver")
        try:
            return super().connect(receiver, ANY, weak)
        finally:
            self._receiver_cache = []

    def disconnect(self, receiver: Callable[..., Any], sender: Any = ANY) -> None:
        """Call ``receiver`` no more; one that was never connected is nothing."""
        super().disconnect(receiver, sender)
        self._receiver_cache = []

    @contextmanager
    def muted(self) -> Iterator[None]:
        """Tell nobody while the block runs."""
        try:
            with super().muted():
                self._receiver_cache = []
                yield
        finally:
            self._receiver_cache = []

    @contextmanager
    def captured(self) -> Iterator[list[E]]:
        """Collect the events told while the block runs."""
        seen: list[E] = []
        with self.connected_to(seen.append):
            yield seen


def check_event(event: Any) -> None:
    """Refuse what receivers could not share, or senders would not spell out."""
    frozen = isinstance(event, type) and is_dataclass(event) and vars(event)["__dataclass_params__"].frozen
    if not frozen or not all(field.kw_only for field in fields_of(event)):
        raise TypeError(f"{event!r} is no event: make it a @dataclass(frozen=True, slots=True, kw_only=True)")


def snake_case(name: str) -> str:
    """Turn a class name into a signal's: ``LLMCalled`` is ``llm_called``."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()
