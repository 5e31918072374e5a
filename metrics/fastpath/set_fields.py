"""The fields of an event as they are read where no event is built: from those that are set, by their names."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import MISSING, fields
from typing import Any

from events.bus.derived_fields import derived

ReadField = Callable[[Any], Any]
"""Returns the value of a field of an event, or of a dict of those that are set."""

VALUE, FIELD = "{name}_", "fields['{name}']"
"""A field that is set, in code that has each in a variable and in code that has them in a dict."""


class SetFields:
    """The fields that are set, of a class of events: what expressions of generated code read each field as.

    One that is not set is a constant, and a `derived` one computed from its sources, as far as those are set.

    Args:
        event: The class of the events.
        names: The names of the fields that are set, in their order.
    """

    def __init__(self, event: type[Any], names: Collection[str]) -> None:
        self.event = event
        self.names = (*names,)
        self._set = frozenset(names)
        self._defaults = {each.name: each.default for each in fields(event) if each.default is not MISSING}
        self._derived = {name: member for name, member in vars(event).items() if isinstance(member, derived)}
        self._readers: dict[str, ReadField] = {}

    def can_read(self, name: str) -> bool:
        """Return whether a field can be read without an event, which other properties are computed from."""
        if name in self._derived:
            return all(map(self.can_read, self._derived[name].sources))
        return name in self._set or name in self._defaults

    def is_set(self, name: str) -> bool:
        """Return whether a field is one of those that are set."""
        return name in self._set

    def sources(self, name: str) -> frozenset[str]:
        """Return the fields, of those that are set, which the value of a field depends on."""
        if name in self._derived:
            return frozenset[str]().union(*map(self.sources, self._derived[name].sources))
        return frozenset((name,)) & self._set

    def is_none(self, name: str) -> bool:
        """Return whether a field is None, whatever the values of those that are set."""
        return not self.sources(name) and self.reader(name)({}) is None

    def expression(self, name: str, value: str) -> str:
        """Return the expression of a field in generated code.

        ``value`` is that of a field that is set, with ``{name}`` for its name.
        """
        if name in self._derived:
            sources = [self.expression(source, value) for source in self._derived[name].sources]
            return f"derive_{name}({', '.join(sources)})"
        return value.format(name=name) if name in self._set else f"default_{name}"

    def constants(self, names: Iterable[str]) -> dict[str, Any]:
        """Return what the names in the expressions of some fields stand for, but for the values."""
        found: dict[str, Any] = {}
        for name in names:
            if name in self._derived:
                found |= {f"derive_{name}": self._derived[name].function, **self.constants(self._derived[name].sources)}
            elif name not in self._set:
                found[f"default_{name}"] = self._defaults[name]
        return found

    def reader(self, name: str) -> ReadField:
        """Return a function that returns a field by those that are set, the same each time."""
        read = self._readers.get(name)
        if read is None:
            read = self._readers[name] = self._function(self.expression(name, FIELD), [name])
        return read

    def tuple_reader(self, names: Collection[str]) -> ReadField:
        """Return a function that returns some fields as a tuple, by those that are set."""
        return self._function(f"({''.join(self.expression(name, FIELD) + ', ' for name in names)})", names)

    def _function(self, expression: str, names: Iterable[str]) -> ReadField:
        # Of names of fields alone.
        return eval(f"lambda fields: {expression}", self.constants(names))  # type: ignore[no-any-return]  # noqa: S307
