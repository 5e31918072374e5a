"""The scope that the running code is in: its fields are inherited, its totals grow, and it knows the one around it.

`fields.inherited` declares which fields of an event inherit; `Scope.add_inherited` fills them in.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextvars import ContextVar
from inspect import CO_ASYNC_GENERATOR, CO_GENERATOR, CO_ITERABLE_COROUTINE
from threading import RLock, get_ident
from types import FrameType, MappingProxyType, TracebackType
from typing import Any, Protocol

from .aggregation import Aggregator
from .amount_limits import MAX_AMOUNT, drop_reason, exact_number
from .failures import report_failed_emission

_LIMIT = int(MAX_AMOUNT)  # ints compare faster with an int than with a float

# Reentrant: the garbage collector may close a generator, and so end a span, in the thread that is adding.
_totals_lock = RLock()
if sys.platform != "win32":
    # A fork copies a lock in whatever state it is. Acquired before the fork, it is free in both processes after it.
    os.register_at_fork(
        before=_totals_lock.acquire, after_in_parent=_totals_lock.release, after_in_child=_totals_lock.release
    )


class ScopeHook(Protocol):
    """An object that is called when the scope it is attached to ends; see `Scope.hooks`."""

    def end(self) -> None:
        """Act on the end of the scope; must not raise."""


EntryHook = Callable[["Scope"], Callable[[], object] | None]
"""Is called when code enters a scope; returns what is called when it leaves it, if anything. Neither may raise."""

entry_hooks: list[EntryHook] = []
"""The hooks of whoever has a context of its own that has to go with the scope; a span may be entered several times, in
several threads, and a generator's span is left between its steps."""


class AggregatorMaker(Protocol):
    """An object that makes a scope's aggregator; see `Scope.aggregator_maker`."""

    def make_aggregator(self) -> Aggregator:
        """Return a new one; must not raise."""


NO_HOOKS: Mapping[str, ScopeHook] = MappingProxyType({})
"""The hooks of a scope that has none, as most: an empty dict for each takes as long as an instrument's update."""


class Scope:
    """A stretch of work: the fields that events emitted in it inherit, and the totals that they add to.

    Args:
        fields: What the scope adds to the fields of ``parent``.
        parent: The scope around it, if any.
        sums: By the name of a signal, what is summed of its events: pairs of a total's name and the field whose values
            are added, or None where events are counted.
        kind: What sort of work it is: ``agent``, ``workflow``, ``http_request``.

    ``hooks`` holds, under a name of its owner's choice, what other code has given to `attach`,
    ``span`` the span whose scope it is, and ``aggregator`` what else takes the events of some of the signals in
    ``sums``, until the span ends. Where most scopes of a kind have no such event, ``aggregator_maker`` makes it for the
    first one. ``totals`` are of the events emitted in the scope, ``nested_totals`` of those that a
    scope of the same kind inside it has in its own: what an agent spent by asking another one.
    """

    __slots__ = (
        "aggregator",
        "aggregator_maker",
        "ended",
        "fields",
        "frame",
        "hooks",
        "in_generator",
        "kind",
        "nested_totals",
        "outer_of_a_kind",
        "owner",
        "parent",
        "span",
        "sums",
        "totals",
    )

    def __init__(
        self,
        fields: Mapping[str, Any],
        parent: Scope | None,
        sums: Mapping[str, tuple[tuple[str, str | None], ...]],
        kind: str = "",
    ) -> None:
        self.fields: dict[str, Any] = {**parent.fields, **fields} if parent else {**fields}
        self.parent = parent
        self.sums = sums
        self.totals: dict[str, float] = {}
        self.kind = kind
        self.ended = False
        self.hooks = NO_HOOKS
        self.span: Any = None
        self.aggregator: Aggregator | None = None
        self.aggregator_maker: AggregatorMaker | None = None
        self.in_generator = False
        self.nested_totals: dict[str, float] = {}
        self.outer_of_a_kind: tuple[Scope, ...] = find_outer(parent, kind) if parent else ()

    def add_inherited(self, fields: dict[str, Any], names: Iterable[str]) -> None:
        """Add to an event's fields those of these names that the scope has and the event does not set."""
        around = self.fields
        for name in names:  # `Signal.emit_fields` has the same inlined: each emission in a scope runs it
            if name not in fields and name in around:
                fields[name] = around[name]

    def attach(self, name: str, hook: ScopeHook) -> ScopeHook:
        """Attach a hook for as long as the scope lasts; return it, or the one that is there under this name already."""
        with _totals_lock:
            attached = self.hooks.get(name)
            if attached is None:
                self.hooks = {**self.hooks, name: hook}
        return hook if attached is None else attached

    def enter_from(self, frame: FrameType) -> None:
        """Note that the code of a frame enters the scope, which is in effect only while that runs, if it yields.

        A generator shares its caller's context, so what the caller does between two items would count as done inside.
        Context managers that are written as generators are meant to be in effect while they are suspended.
        """
        holder: FrameType | None = frame
        while holder is not None and (is_contextlib(holder) or is_contextlib(holder.f_back)):
            holder = holder.f_back
        if holder is not None and is_generator(holder) and not is_fixture(holder):
            self.frame: FrameType | None = holder
            self.owner: Any = running_task()
            self.in_generator = True

    def effective(self) -> Scope | None:
        """Return this scope, or where it is held by a suspended generator of the running task, the one around it.

        Tasks and threads that the generator started are inside, suspended or not.
        """
        scope: Scope | None = self
        while scope is not None and scope.in_generator:
            frame = scope.frame  # a suspended generator's has none behind it
            if frame is None or frame.f_back is not None or scope.owner != running_task():
                break
            scope = scope.parent
        return scope

    def end(self) -> None:
        """Mark the scope as ended and call the ``end`` of each hook.

        Tasks that outlive the scope still inherit from it; `ended` tells them not to attach a hook, which nobody would
        call.
        """
        self.ended = True
        if self.span is not None:
            self.span = None  # no cycle is left to the garbage collector
        if self.in_generator:
            self.frame = self.owner = None  # the same
        if self.hooks:
            with _totals_lock:  # another thread may attach one just now
                hooks, self.hooks = self.hooks, NO_HOOKS
            for hook in hooks.values():
                hook.end()

    def is_summing(self, signal: str) -> bool:
        """Return whether this scope, or one around it, sums or aggregates anything of a signal's events."""
        scope: Scope | None = self
        while scope is not None:
            if signal in scope.sums:
                return True
            scope = scope.parent
        return False

    def add(self, signal: str, values: Mapping[str, Any]) -> None:
        """Add the values of an event's fields to the totals of this scope and of every scope around it.

        Of scopes of the same kind only the innermost adds to its ``totals``, those around it to ``nested_totals``.
        The aggregator of each takes the event. Sibling tasks and threads share the scopes around them, hence the lock.
        """
        outer = self.outer_of_a_kind
        scope: Scope | None = self
        while scope is not None:
            sums = scope.sums.get(signal)
            if sums is not None:
                totals = scope.nested_totals if outer and scope in outer else scope.totals
                failure: Exception | None = None
                with _totals_lock:
                    for name, field in sums:
                        amount: Any = 1 if field is None else values.get(field)
                        # The rule of `amount_limits.drop_reason`, inlined: each emission in a scope runs this.
                        kind = type(amount)
                        if 0 <= amount < _LIMIT if kind is int else kind is float and 0.0 <= amount < MAX_AMOUNT:
                            totals[name] = totals[name] + amount if name in totals else amount
                        elif amount is not None:
                            add_unusual(totals, name, amount)
                    if scope.aggregator is not None or scope.aggregator_maker is not None:
                        try:
                            scope._aggregate(signal, values)  # noqa: SLF001  # of the same class
                        except Exception as error:
                            failure = error
                if failure is not None:  # who is told of it does not hold up others, which wait for the lock
                    report_failed_emission(signal, "aggregate", failure)
            scope = scope.parent

    def aggregate(self, signal: str, values: Mapping[str, Any]) -> None:
        """Have the scope's aggregator take an event, if it is one of its signals."""
        try:
            with _totals_lock:
                self._aggregate(signal, values)
        except Exception as error:
            report_failed_emission(signal, "aggregate", error)

    def _aggregate(self, signal: str, values: Mapping[str, Any]) -> None:
        """Do the same under the lock, which the caller has acquired, and raise what the aggregator does."""
        aggregator = self.aggregator
        if aggregator is None and self.aggregator_maker is not None:
            aggregator = self.aggregator = self.aggregator_maker.make_aggregator()
        if aggregator is not None and signal in aggregator.signals:
            aggregator.add(signal, values)

    def take_aggregated(self, signal: str, ended: float) -> Mapping[str, Any]:
        """Return what the scope's aggregator has for an event of a signal, and drop the aggregator."""
        self.aggregator_maker = None
        if self.aggregator is None:
            return {}
        try:
            with _totals_lock:
                aggregator, self.aggregator = self.aggregator, None
                return aggregator.result(ended)
        except Exception as error:
            report_failed_emission(signal, "aggregate", error)
            return {}


def call_entry_hooks(scope: Scope) -> list[Callable[[], object]]:
    """Call the hooks for code that has entered a scope; return what is to be called when it leaves, the last first."""
    if scope.in_generator:
        return []  # its caller is not inside while it is suspended, and nobody says when that is
    return [leave for hook in tuple(entry_hooks) if (leave := hook(scope)) is not None][::-1]


current_scope: ContextVar[Scope | None] = ContextVar("events.bus.scope", default=None)
get_current_scope = current_scope.get
"""Return the scope that the running code is in, None outside of all; bound once, as `emit` calls it each time."""

set_current_scope = current_scope.set
"""Make a scope the one that the running code is in; bound once, as each look-up in an imported name makes a method."""


def add_unusual(totals: dict[str, float], name: str, amount: Any) -> None:
    """Add an amount to a total as the number that it is, if that is a sensible one."""
    number = exact_number(amount)
    if drop_reason(number) is None:
        totals[name] = totals.get(name, 0) + number


def find_outer(parent: Scope, kind: str) -> tuple[Scope, ...]:
    """Return the scopes around a new one that have another of their kind inside, in which events add to its totals."""
    around: Scope | None = parent
    while around is not None and around.kind != kind:
        around = around.parent
    outer = parent.outer_of_a_kind
    return (*outer, around) if around is not None and kind else outer


def get_effective_scope() -> Scope | None:
    """Return the scope that an event emitted now belongs to: the current one unless a suspended generator holds it."""
    scope = current_scope.get()
    return scope.effective() if scope is not None and scope.in_generator else scope


def is_contextlib(frame: FrameType | None) -> bool:
    """Return whether a frame runs contextlib's code."""
    return frame is not None and frame.f_globals.get("__name__") == "contextlib"


def is_fixture(frame: FrameType) -> bool:
    """Return whether a generator is a fixture of pytest, which is in effect while the test runs."""
    return frame.f_back is not None and frame.f_back.f_globals.get("__name__") == "_pytest.fixtures"


def is_generator(frame: FrameType) -> bool:
    """Return whether a frame is that of a generator or an async generator; not of one that is awaited."""
    flags = frame.f_code.co_flags
    return bool(flags & (CO_GENERATOR | CO_ASYNC_GENERATOR)) and not flags & CO_ITERABLE_COROUTINE


def running_task() -> tuple[int, Any]:
    """Return what runs now: the thread, and its asyncio task if any."""
    if "asyncio" not in sys.modules:  # then no task runs, and whoever has none need not import it
        return get_ident(), None
    import asyncio  # waits for a thread that imports it just now

    loop = asyncio._get_running_loop()  # noqa: SLF001  # in its __all__; the public one raises, which takes longer
    return get_ident(), None if loop is None else asyncio.current_task(loop)


class use_scope:  # noqa: N801  # called like a function, as contextlib.suppress is
    """Run a ``with`` block inside a scope, then make the scope before it current again.

    ``end_on_exit`` ends the scope with the block; leave it out where the scope goes on, as between a generator's steps.
    """

    __slots__ = ("_end_on_exit", "_leave", "_previous", "_scope")

    def __init__(self, scope: Scope, *, end_on_exit: bool = False) -> None:
        self._scope = scope
        self._end_on_exit = end_on_exit
        self._leave: Sequence[Callable[[], object]] = ()

    def __enter__(self) -> None:
        self._previous = current_scope.get()
        if self._end_on_exit:
            self._scope.enter_from(sys._getframe(1))  # noqa: SLF001  # the way to one's caller
        current_scope.set(self._scope)
        if entry_hooks:
            self._leave = call_entry_hooks(self._scope)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for leave in self._leave:
            leave()
        exit_scope(self._scope, self._previous)
        if self._end_on_exit:
            self._scope.end()


def exit_scope(scope: Scope, previous: Scope | None) -> None:
    """Make ``previous`` the current scope again, unless the running code is not inside ``scope`` at all.

    That happens when the event loop closes an abandoned generator in a context of its own, and when generators that
    hold spans open finish in another order than they began. `ContextVar.reset` would raise in the first case and bring
    back an ended scope in the second.
    """
    scope_now = current_scope.get()
    while scope_now is not scope and scope_now is not None:
        scope_now = scope_now.parent
    if scope_now is scope:
        while previous is not None and previous.ended and previous.in_generator:
            previous = previous.parent
        current_scope.set(previous)
