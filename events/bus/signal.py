"""A blinker signal whose receivers get one immutable, typed event."""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, TypeVar, overload
from weakref import ReferenceType

from blinker import ANY, NamedSignal, Namespace, default_namespace

from .closed_values import check_closed_values
from .emitters import BindableReceiver, EmitFn, EmitterCache, make_emitter
from .event_classes import (
    attributes_of,
    changed_fields,
    check_event_class,
    clash_advice,
    declares_again,
    is_equivalent,
    snake_case,
)
from .event_construction import construct_function, mutable_twin
from .failures import (
    failure_hooks,
    field_misfits,
    report_failed_emission,
    report_failure,
    sending_location,
    strict_blocks,
)
from .fields import inherited_fields
from .prepared_receivers import PreparedReceivers
from .receiver_inspection import (
    EventList,
    accepts,
    callable_name,
    is_async,
    not_awaited,
    refuse_awaitable,
    takes_events_only,
)
from .scope import Scope, get_current_scope, get_effective_scope

if TYPE_CHECKING:
    from .background import Background

log = logging.getLogger("events")

MAX_ANNOUNCED = 4096
"""Announcements of one signal; later ones are ignored."""

P = ParamSpec("P")
E = TypeVar("E")
T = TypeVar("T")
ObjectR = TypeVar("ObjectR", bound="BindableReceiver | Background")


class Signal(NamedSignal, Generic[P, E]):
    """A kind of event that code can emit and receivers can connect to.

    >>> from events import agent_finished
    >>> @agent_finished.connect
    ... def log_agent(event):
    ...     print(event.agent_name, event.status)
    >>> agent_finished.emit(agent_name="copywriter", status="success", duration=1.5)
    copywriter success
    >>> agent_finished.disconnect(log_agent)

    Whoever emits passes the fields by name; receivers get one immutable event. Without receivers no event is built, nor
    where metrics alone read its fields. The code that emits is never affected by a receiver that raises, nor by a field
    that does not fit the event: both are reported as `receiver_failed`.

    The signal is in blinker's namespace under the event's name in snake case: ``blinker.signal("llm_called")`` is the
    same object. A plain blinker signal that exists under that name already becomes this one and keeps its receivers.
    Code that sends it as before, with another sender than an event, reaches those and no metrics: the log says so once.

    An event may be declared again, as when a cell of a notebook runs again, a module is reloaded, or one file is run
    under two names, as ``python main.py`` is whose server imports ``main``. With the same fields it is the same signal,
    which keeps its receivers and emits events of the newest class. With other fields it is another signal, without
    receivers, since those of the earlier one, such as metrics, are made for its fields: they stay with it, and the log
    says so.

    Args:
        event: A frozen dataclass whose fields are all keyword-only.
        namespace: Another namespace than blinker's default one, for tests.

    Raises:
        TypeError: the event is not such a dataclass.
        ValueError: another event was declared under the same name: in another file, or as another class there.
    """

    event: Callable[P, E]
    _inherited: tuple[str, ...]
    _mutable_twin: Callable[..., Any] | None
    _construct: Callable[..., Any] | None
    """What builds an event where there is no twin; None until the first event, since most processes emit few kinds."""

    _receiver_cache: list[Any]
    """Receiver cache: ``[]`` is not computed, ``[receivers, prepared, last]`` is; empty where one is held weakly.

    ``prepared`` are they as `PreparedReceivers`, and ``last`` the names that an event was emitted with last and what
    was prepared for these: most events of a kind come from one place, and to compare names is faster than to look up.

    Connecting, disconnecting, muting and `rebind` replace the list, and never empty it in place, so that an emitter
    sees with ``is`` that what it compiled is stale.
    """

    _announced: tuple[list[Any], set[tuple[Any, ...]]]
    """The receiver cache that there was, and what was announced since then."""

    _warned_of_plain_send = False

    def __new__(cls, event: Callable[P, E], namespace: Namespace | None = None) -> Signal[P, E]:
        check_event_class(event)
        names = default_namespace if namespace is None else namespace
        name = snake_case(event.__name__)
        taken = names.get(name)
        if isinstance(taken, Signal) and not declares_again(event, taken.event):
            raise ValueError(
                f"signal {name!r} is declared twice: for {taken.event!r} and for {event!r}:"
                f" {clash_advice(event, taken.event)}"
            )
        if isinstance(taken, Signal) and (changed := changed_fields(event, taken.event)):
            if taken.receivers:
                log.warning(
                    "%s is declared again with other fields (%s): connect and subscribe again, for what was connected"
                    " gets the events of the earlier one alone",
                    name, ", ".join(changed),
                )  # fmt: skip
            taken = None
        if taken is None:
            taken = super().__new__(cls)
            NamedSignal.__init__(taken, name)
        inherited = inherited_fields(event)  # type: ignore[arg-type]  # a dataclass is its own constructor
        attributes = {"event": event, "_inherited": inherited, "__doc__": event.__doc__}
        for attribute, value in {
            **attributes,
            "_mutable_twin": None,
            "_construct": None,
            "_receiver_cache": [],
            "_announced": ([], set()),
        }.items():
            setattr(taken, attribute, value)
        if not isinstance(taken, Signal):
            taken.__class__ = cls  # in place: code that holds the plain signal now holds this one
        names[name] = taken
        return taken  # type: ignore[return-value]  # by now it is one

    def __init__(self, event: Callable[P, E], namespace: Namespace | None = None) -> None:
        """Do nothing: ``__new__`` does it all, and blinker's ``__init__`` would drop an adopted signal's receivers."""

    if TYPE_CHECKING:

        def emit(self, *args: P.args, **fields: P.kwargs) -> None:
            """Call every receiver with the event, in this thread, before returning. Never raises (but see `strict`)."""

    else:  # the same without ``args``, always empty, which would cost a fifth of an emission without receivers

        def emit(self, /, **fields: Any) -> None:
            """Call every receiver with the event, in this thread, before returning. Never raises (but see `strict`)."""
            if self.receivers or strict_blocks or get_current_scope() is not None:
                self.emit_fields(fields)

    def emit_fields(self, fields: dict[str, Any]) -> None:  # noqa: C901, PLR0912  # a call costs more than a branch
        """Do as `emit` does with fields that the caller has in a dict of its own, which is the event's from then on."""
        scope = get_current_scope()
        if scope is not None:
            if scope.in_generator:
                scope = scope.effective() or NO_SCOPE
            scope.add(self.name, fields)
        cache = self._receiver_cache  # empty while it is muted
        if not (self.receivers or strict_blocks) or (not cache and self.is_muted):
            return
        if scope is not None:
            around = scope.fields
            for name in self._inherited:  # `Scope.add_inherited`, inlined
                if name not in fields and name in around:
                    fields[name] = around[name]
        try:
            deliver = None
            if cache:
                names = tuple(fields)
                usual, deliver = cache[2]
                if names != usual:
                    deliver = cache[1][names]
                    if deliver is not None:
                        cache[2] = names, deliver
            if deliver is None or strict_blocks:
                construct = self._construct or self._prepare_construction()
                if self._mutable_twin is None:
                    event = construct(**fields)
                else:
                    event = self._mutable_twin(**fields)
                    event.__class__ = self.event
                if strict_blocks:
                    check_closed_values(self.name, self.event, attributes_of(event))
        except Exception as error:
            event_class: Any = self.event
            report_failed_emission(self.name, "emit", error, partial(field_misfits, event_class, fields))
            return
        if deliver is None:
            self._deliver(event)
            return
        try:
            deliver(fields)
        except Exception as error:  # of the only receiver: those of several are reported each by itself
            report_failure(self.name, callable_name(cache[0][0]), error)

    def _prepare_construction(self) -> Callable[..., Any]:
        """Return what builds the events of this signal, made at the first of them."""
        event: Any = self.event
        self._mutable_twin = self._mutable_twin or mutable_twin(event)
        construct = self._construct = construct_function(event)
        return construct

    def announce(self, **fields: Any) -> None:
        """Announce that events with these fields may come: metrics show the series that such an event adds to, at 0.

        Fields that have few values, and that the other labels of a series do not depend on, may be left out. Once is
        enough for the subscriptions that there are; `events.add_announcer` is for those to come.

        >>> from events import tool_called
        >>> tool_called.announce(tool_name="search", mcp_server="none")

        Raises:
            TypeError: the event has no such field.
        """
        self._check_fields("announce", fields)
        key = (*chain.from_iterable(fields.items()),)  # flat: it is stored for each that there is
        self._announce(key, lambda receiver: receiver.announced(fields))

    def announce_failures(self, failures: Iterable[Mapping[str, Any]]) -> None:
        """Announce all failures that may come of those who are known to be there, such as the routes of an application.

        Each has the fields of an event of its kind, of which only the counters get a series: those that count events
        and whose labels are all named. Where the labels have no room for all, none gets one, since which of them do is
        for the events to say. Otherwise it is as `announce`.

        >>> from events import tool_called
        >>> tool_called.announce_failures(
        ...     {"tool_name": name, "mcp_server": "none", "status": "error"} for name in ("search", "fetch")
        ... )
        """
        every = tuple(failures)
        for fields in every:
            self._check_fields("announce_failures", fields)
        key = tuple(tuple(fields.items()) for fields in every)
        self._announce(key, lambda receiver: receiver.failures_announced(every))

    def _check_fields(self, method: str, names: Iterable[str]) -> None:
        """Raise `TypeError` for names that are neither fields of the event nor properties of it."""
        specs = self.event.__dataclass_fields__  # type: ignore[attr-defined]  # a dataclass
        for name in names:
            if name not in specs and not isinstance(getattr(self.event, name, None), property):
                event = self.event.__name__
                raise TypeError(f"{self.name}.{method}(): {event} has no field {name!r}; it has {', '.join(specs)}")

    def _announce(self, key: tuple[Any, ...], announce: Callable[[BindableReceiver], None]) -> None:
        """Call a function with each receiver of metrics, unless it was with the same key before."""
        if self._announced[0] is not self._receiver_cache:  # a receiver connected
            self._announced = self._receiver_cache, set()
        announced = self._announced[1]
        if key in announced or len(announced) >= MAX_ANNOUNCED:
            return
        announced.add(key)
        for receiver in self.receivers_for(ANY):
            if isinstance(receiver, BindableReceiver):
                try:
                    announce(receiver)
                except Exception as error:
                    report_failure(self.name, callable_name(receiver), error)

    def bind(self, *variable: str, **fixed: Any) -> EmitFn:
        """Return a pre-bound emitter: a function that takes one tuple with the values of the ``variable`` fields.

        >>> from events import query_executed
        >>> emit_select = query_executed.bind("duration", "rows", operation="select", table="campaigns")
        >>> with query_executed.captured() as events:
        ...     emit_select((0.002, 1))
        >>> events[0].table, events[0].rows
        ('campaigns', 1)

        The ``fixed`` fields are checked and resolved once, now. Receivers see no difference to `emit`, and like it the
        emitter never raises. Where each receiver is a `BindableReceiver`, as metrics are, it takes a quarter of the
        time: receivers do once what depends on fixed fields alone, and no event is built.

        Raises:
            TypeError: a field is missing, is not one of this event's, or is both variable and fixed.
            ValueError: in a `strict` block, a fixed value is outside the closed set of its field.
        """
        return make_emitter(self, variable, fixed)

    def bind_by(self, by: tuple[str, ...], variable: tuple[str, ...], /, **fixed: Any) -> EmitterCache:
        """Return a mapping from values of the fields ``by`` to pre-bound emitters, for fields that have few values.

        >>> from events import query_executed
        >>> emitters = query_executed.bind_by(("operation", "table"), ("duration",), cache="hit")
        >>> emitters["select", "campaigns"]((0.002,))

        An emitter is made when its values are looked up first, and kept; past 4,096 all are made anew. Its receivers
        are bound at its ninth call: ever new values, of which each comes once, cost little more than known ones.
        Equal values share an emitter, whatever their types: use 200 or 200.0, not both.

        Raises:
            TypeError: at a look-up, if fields are missing, are not this event's, or occur twice.
            ValueError: at a look-up, if there are not as many values as fields.
        """
        return EmitterCache(self, by, variable, fixed)

    def rebind(self) -> None:
        """Have bound emitters bind their receivers again, one of which does something else with events from now on."""
        self._receiver_cache = []

    def _deliver(self, event: E) -> None:
        cache = self._receiver_cache
        for receiver in cache[0] if cache else self._find_receivers():
            try:
                result = receiver(event)
            except Exception as error:
                report_failure(self.name, callable_name(receiver), error)
            else:
                if result is not None:
                    refuse_awaitable(self.name, receiver, result)

    def _find_receivers(self) -> tuple[Callable[[E], Any], ...]:
        """Return the receivers that blinker has now, and cache them unless one is held weakly."""
        cache = self._receiver_cache  # replaced if a receiver connects meanwhile: what is stored here is not read then
        receivers = tuple(self.receivers_for(ANY))
        weak = any(isinstance(receiver, ReferenceType) for receiver in tuple(self.receivers.values()))
        if not cache and not weak and not self.is_muted:
            cache += (receivers, PreparedReceivers(self.name, self.event, receivers), ((), None))  # type: ignore[arg-type]  # a class
        return receivers

    def send(self, sender: Any = None, /, **fields: Any) -> list[tuple[Callable[..., Any], Any]]:
        """Emit a built event as `emit` does, with what it inherits; send anything else as blinker's ``send`` does.

        What is no event, or comes with fields, does not reach metrics, background listeners and ``captured`` blocks.
        """
        if fields or not (isinstance(sender, self.event) or is_equivalent(type(sender), self.event)):  # type: ignore[arg-type]  # a dataclass is a type
            return super().send(sender, **fields)
        scope, event = get_effective_scope(), sender
        if scope is not None:
            scope.add(self.name, attributes_of(sender))
        if self.is_muted:
            return []
        try:
            if scope is not None:
                event = self._inherit(sender, scope)
            if strict_blocks:
                check_closed_values(self.name, self.event, attributes_of(event))
        except Exception as error:
            report_failed_emission(self.name, "send", error)
        self._deliver(event)
        return []

    def receivers_for(self, sender: Any) -> Generator[Callable[..., Any]]:
        """Yield the receivers to call for a sender as blinker does: those that take events alone for ``ANY`` only.

        Emitted events go to all. Whatever else code sends that has a signal of the same name, metrics cannot count it,
        and must not raise into that code.
        """
        for receiver in super().receivers_for(sender):
            if sender is ANY or not takes_events_only(receiver):
                yield receiver
            elif not self._warned_of_plain_send:
                self._warned_of_plain_send = True
                log.warning(
                    "%s: %s sends something else than one %s: metrics and background listeners ignore it; a blinker"
                    " signal of the same name is the same signal, so give that or the event another name",
                    self.name, sending_location(), self.event.__name__,
                )  # fmt: skip

    def _inherit(self, event: E, scope: Scope) -> E:
        """Return an event with the fields of a scope in place of those that have their defaults, as if not set."""
        specs, around = self.event.__dataclass_fields__, scope.fields  # type: ignore[attr-defined]  # a dataclass
        taken = {
            name: around[name]
            for name in self._inherited
            if name in around and specs[name].init and getattr(event, name) == specs[name].default
        }
        return replace(event, **taken) if taken else event  # type: ignore[type-var]  # the same

    # One for objects, which stay what they are, and one for functions: no type says "any callable that takes an E".
    @overload  # type: ignore[override]  # blinker's takes any callable
    def connect(self, receiver: ObjectR, sender: Any = ..., weak: bool = ...) -> ObjectR: ...
    @overload
    def connect(self, receiver: Callable[[E], T], sender: Any = ..., weak: bool = ...) -> Callable[[E], T]: ...
    def connect(self, receiver: Callable[[E], Any], sender: Any = ANY, weak: bool = False) -> Callable[[E], Any]:
        """Call ``receiver(event)`` at every emission, and return it, so that this works as a decorator.

        Args:
            receiver: A function, or any callable, that takes the event.
            sender: Not for use: the event itself is what blinker calls the sender.
            weak: Hold the receiver weakly, as blinker does by default; otherwise it is kept alive.

        Raises:
            TypeError: the receiver is a coroutine function (wrap it with `events.background`), is annotated with the
                class of another event, or a sender is passed.
        """
        if is_async(receiver):
            raise TypeError(not_awaited(self.name, receiver))
        if not accepts(getattr(receiver, "listener", receiver), self.event):  # type: ignore[arg-type]  # a class
            raise TypeError(
                f"{callable_name(receiver)} is annotated with another class than {self.event.__name__},"
                f" which is what {self.name} emits: connect it to the signal of that class"
            )
        if sender is not ANY:
            raise TypeError(f"{self.name} has no senders to choose from: check the event's fields in the receiver")
        if self._construct is None and not isinstance(receiver, BindableReceiver):
            self._prepare_construction()  # now: a first event may come where the stack has no room for it
        try:
            return super().connect(receiver, ANY, weak)
        finally:
            self._receiver_cache = []
            failure_hooks.connected(self.name, receiver)

    def disconnect(self, receiver: Callable[..., Any], sender: Any = ANY) -> None:
        """Stop calling ``receiver``; one that is not connected is ignored."""
        super().disconnect(receiver, sender)
        self._receiver_cache = []

    @contextmanager
    def muted(self) -> Iterator[None]:
        """Call no receiver while the block runs."""
        try:
            with super().muted():
                self._receiver_cache = []
                yield
        finally:
            self._receiver_cache = []

    @contextmanager
    def captured(self) -> Iterator[list[E]]:
        """Collect in a list the events that are emitted while the block runs, for tests.

        >>> from events import tool_called
        >>> with tool_called.captured() as calls:
        ...     tool_called.emit(tool_name="search", status="success", duration=0.1)
        >>> calls[0].tool_name
        'search'
        """
        captured: list[E] = EventList()
        with self.connected_to(captured.append):
            yield captured


NO_SCOPE = Scope({}, None, {})
"""Stands for none where a scope is at hand that is not in effect."""
