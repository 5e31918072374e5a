"""The compiled updates of a receiver, by the values of the fields that choose what an event updates."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from enum import Enum
from functools import partial
from numbers import Number
from types import NoneType
from typing import TYPE_CHECKING, Any

from ..fastpath.plan import EventUpdate
from ..fastpath.public_update import Expected, SetArguments, UpdateFn
from ..fastpath.set_fields import ReadField, SetFields
from ..rows import OTHER
from .receive_code import key_function, receive_function

if TYPE_CHECKING:
    from .receiver import MetricsReceiver

CompiledUpdate = tuple[UpdateFn, tuple[EventUpdate, ...]]
"""What updates all but gauges, and what sets those."""


class CompiledUpdates:
    """The updates by events, or by the fields of events of which the same are set each time: each costs one look-up.

    The key that is looked up has no field that always has its default, nor one that is derived from others of the key,
    and amounts that are always None are not looked at: of the forty fields of a model call, some ten are set.

    It ends with the type of each value that may be a number: 1, 1.0 and True are equal, yet as labels they differ.

    Args:
        receiver: What the updates are made by.
        fields: The fields, and properties, that choose what an event updates.
        labels: Which of them are labels, each with what says whether a value of it is counted as ``other``.
        read: The fields, and properties, that updates read.
        set_fields: The fields that are set, which come as a dict; None for events.
    """

    MAX_CACHED = 4096
    """Combinations that are cached; label limits and closed sets keep them far fewer."""

    def __init__(
        self,
        receiver: MetricsReceiver,
        fields: Collection[str],
        labels: Mapping[str, Callable[[Any], bool]],
        read: Collection[str],
        set_fields: SetFields | None,
    ) -> None:
        self._receiver = receiver
        self._defaults: dict[str, Any] = {}
        self._fields = tuple(fields)
        self._determined: dict[str, ReadField] = {}  # what computes fields from those of the key
        self._arguments: SetArguments | None = None
        self._expected: Expected | None = None
        self._amounts: dict[str, ReadField] = {}
        # By the key; and by the key with ``other`` for what is past its limit, or with all types where a value is a
        # number whose type is not in it.
        self.compiled: dict[Any, CompiledUpdate] = {}
        self.folded: dict[Any, CompiledUpdate] = {}
        # Of each label that has overflowed: its place in the key, its values that were compiled, what tells those past
        # its limit, and the updates for these by the rest of the key. Replaced as a whole: another thread may read it.
        self._overflowed: tuple[tuple[int, set[Any], Callable[[Any], bool], dict[Any, CompiledUpdate]], ...] = ()
        depended_on: set[str] = set()  # fields that those which are computed are computed from
        if set_fields is not None:
            sources = {name: set_fields.sources(name) for name in fields}
            self._defaults = {name: set_fields.reader(name)({}) for name in fields if not sources[name]}
            own = frozenset(name for name in fields if set_fields.is_set(name))
            determined = [name for name in fields if name not in own and sources[name] and sources[name] <= own]
            self._fields = tuple(name for name in fields if name not in self._defaults and name not in determined)
            self._determined = {name: set_fields.reader(name) for name in determined}
            depended_on.update(*(sources[name] for name in determined))
            self._amounts = {name: set_fields.reader(name) for name in read}
            arguments = frozenset[str]().union(*map(set_fields.sources, read))
            self._arguments = SetArguments(
                set_fields,
                tuple(name for name in set_fields.names if name in arguments),
            )
            self._expected = Expected(self._check_alone)
        self._names = (*self._fields, *self._determined)
        key = {name: receiver.may_be_number(name) for name in self._fields}
        self._may_be_number = tuple(key.values())
        self._types = len(key) if any(key.values()) else None  # where they begin in a key that has some
        # The place of each label among them, the values of it that were compiled, and what tells the others.
        self._labels: tuple[tuple[int, str, set[Any], Callable[[Any], bool]], ...] = tuple(
            (place, name, {None}, labels[name]) for place, name in enumerate(self._names) if name in labels
        )
        self._separable = frozenset(self._fields) - depended_on
        if self._arguments is None:
            self._key = key_function(key)
        else:
            self.receive = receive_function(
                self._arguments,
                key,
                get=self.compiled.get,
                find=self._find,
                uncached=self._uncached,
                set_gauges=partial(set_gauges, receiver) if receiver.sets_gauges else None,
            )

    def __call__(self, event: Any) -> None:
        """Update every series that an event changes; a metric that fails does not starve the others."""
        key = self._key(event)
        try:
            compiled = self.compiled.get(key)
        except Exception:
            compiled = self._uncached(key, event)
        update, gauges = compiled or self._find(key, event)
        update(event)
        if gauges:
            set_gauges(self._receiver, gauges, event)

    def clear(self) -> None:
        """Compile anew from now on."""
        self.compiled, self.folded, self._overflowed = {}, {}, ()

    def _check_alone(self, amounts: Collection[str]) -> None:
        """Compile anew, once for each amount that is None or of another type at times: the rest is checked faster."""
        if self._expected is not None:
            self._expected = replace(self._expected, alone=self._expected.alone.union(amounts))
        self.compiled.clear()
        self.folded.clear()
        self._overflowed = ()

    def _find(self, key: Any, event: Any) -> CompiledUpdate:
        """Return the update for values that come for the first time, or of which some are past a limit.

        Ever new values past a limit share one update, so they cost little more than known ones, and no memory.
        """
        for place, known, is_other, by_rest in self._overflowed:
            value = key[place]
            if value not in known and (found := by_rest.get(key[:place] + key[place + 1 :])) and is_other(value):
                return found
        values = self._values(key, event)
        past: tuple[str, ...] = ()
        for place, name, known, is_other in self._labels:
            value = values[place]
            # Nearly all values are known, which is all that ever new ones of another label pay for them.
            if value not in known and is_other(value):
                values[place] = OTHER
                past = (*past, name)
        folded = (*values, *key[self._types :]) if self._types else tuple(values)
        # Not where none is past: a value that is the text ``other`` itself has not overflowed.
        if past and (found := self.folded.get(folded)):
            if len(past) == 1 and past[0] in self._separable:
                self._note_overflow(key, past[0], found)
            return found
        if not all(map(is_cacheable, values)):
            return self._compile(event, values, past)
        if self._is_unambiguous(values):
            cache, key = (self.folded, folded) if past else (self.compiled, key)
            return self._cache(cache, key, values, past, self._compile(event, values, past))
        folded = (*folded, *map(type, values), past)
        found = self.folded.get(folded)
        return found or self._cache(self.folded, folded, values, past, self._compile(event, values, past))

    def _note_overflow(self, key: Any, label: str, compiled: CompiledUpdate) -> None:
        """Enter the update for all values past the limit of a label, and the rest of a key, of which none is past."""
        by_rest = next((by_rest for place, *_, by_rest in self._overflowed if self._names[place] == label), None)
        place, _, known, is_other = next(each for each in self._labels if each[1] == label)
        if by_rest is None:
            by_rest = {}
            self._overflowed += ((place, known, is_other, by_rest),)
        if len(by_rest) >= self.MAX_CACHED:
            by_rest.clear()
        by_rest[key[:place] + key[place + 1 :]] = compiled

    def _uncached(self, key: Any, event: Any) -> CompiledUpdate:
        """Return the update for values that are not hashable."""
        return self._compile(event, self._values(key, event), ())

    def _is_unambiguous(self, values: Iterable[Any]) -> bool:
        """Return whether no others have the same key: a number may only be where its type is in the key."""
        return all(
            may_be_number or not isinstance(value, Number)
            for value, may_be_number in zip(values, self._may_be_number, strict=False)  # the rest depends on these
        )

    def _values(self, key: Any, event: Any) -> list[Any]:
        values = [*key[: self._types]] if self._types else [*key]
        if self._determined:
            values += [compute(event) for compute in self._determined.values()]
        return values

    def _compile(self, event: Any, values: Sequence[Any], past: Sequence[str]) -> CompiledUpdate:
        """Return the update for these values of the fields, of which those of ``past`` are ``other``."""
        expected = self._expected
        if expected is not None:
            absent = {name for name, read in self._amounts.items() if is_absent(read, event)} - expected.alone
            expected = replace(expected, alone=expected.alone | absent) if absent else expected
        fields = {**self._defaults, **dict(zip(self._names, values, strict=True))}
        return self._receiver.compiled(fields, past, self._arguments, expected)

    def _cache(
        self,
        cache: dict[Any, CompiledUpdate],
        key: Any,
        values: Sequence[Any],
        past: Sequence[str],
        compiled: CompiledUpdate,
    ) -> CompiledUpdate:
        """Enter the update for these values in one of the caches, and return it."""
        if len(cache) >= self.MAX_CACHED:
            cache.clear()
        cache[key] = compiled
        for place, name, known, _ in self._labels:
            if name not in past:
                known.add(values[place])
        return compiled


CACHED_TYPES = frozenset((str, int, bool, NoneType))
"""The types of values that are cached, beside members of enums: others may be equal as text yet never as keys."""


def is_cacheable(value: Any) -> bool:
    """Return whether an update is cached by a value."""
    return type(value) in CACHED_TYPES or isinstance(value, Enum)


def is_absent(read: ReadField, event: Any) -> bool:
    """Return whether a field is None, or cannot be computed."""
    try:
        return read(event) is None
    except Exception:
        return True


def set_gauges(receiver: MetricsReceiver, gauges: Iterable[EventUpdate], event: Any) -> None:
    """Set gauges by an event, or by the fields that are set; one that fails does not starve the others."""
    for each in gauges:
        try:
            each.update(event)
        except Exception as error:
            receiver.report_failure(each.metric, error)
