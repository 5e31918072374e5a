"""The limits of open labels: a label takes a number of values, and every further one is counted as ``other``."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from threading import RLock

from events.bus.after_fork import free_after_fork

from ..event_fields import label_text
from ..rows import OTHER, RESERVED

MAX_LENGTH = 200
"""Characters of a label value; a longer one is no name and is counted as ``other``."""


FILLING = 0.5
"""The share of a label's room from which on it is said to fill up."""


class LabelLimiter:
    """The values that each open label of a subscription has taken so far.

    A limit belongs to the label's name, not to a metric: a value that is counted as ``other`` is so in every family,
    so families can be divided by one another and a start always meets its end. Values once admitted stay for good,
    since a series that vanished and came back would lose its increase.

    A label of an application's own events is another than one of that name of the library's events, so each has a
    limiter.

    Args:
        limits: How many values each label takes, by its name.
        shared: Labels whose values are those of another limiter, by its room.
        source: That other limiter.
    """

    def __init__(
        self, limits: Mapping[str, int], shared: Collection[str] = (), source: LabelLimiter | None = None
    ) -> None:
        self.limits = dict(limits)
        self._sources = {} if source is None else dict.fromkeys(shared, source)
        # By the label, and whether it is nested in another one.
        self._admitted: dict[tuple[str, bool], set[str | tuple[str, str]]] = {}
        # The garbage collector may end a span in here, whose labels are admitted too.
        self._lock = free_after_fork(RLock())

    def admit_all(self, label: str, values: Iterable[str]) -> tuple[str, ...]:
        """Admit values that are known beforehand and return them as text.

        Raises:
            ValueError: a value cannot be shown, or there are more than the limit allows.
        """
        texts = tuple(label_text(value) for value in values)
        for text in texts:
            if self.admit(label, text) != text:
                limit = self.limits.get(label)
                raise ValueError(f"label {label!r} can't take {text[:40]!r}: unfit, or past the limit of {limit}")
        return texts

    def admit(self, label: str, value: str, outer: str | None = None) -> str:
        """Return the value itself if the label has it or has room for it, else ``other``.

        ``outer`` is the value of the label that this one is nested in: pairs are counted, so a value within one outer
        value is another than the same within the next. Pairs have a count of their own, beside that of the values of
        the label where it stands alone; a value that is ``other`` there is so in every pair.
        """
        if value in RESERVED:
            return value
        if label in self._sources:
            return self._sources[label].admit(label, value, outer)
        with self._lock:
            if outer is not None and self.admit(label, value) == OTHER:
                return OTHER
            admitted = self._admitted.setdefault((label, outer is not None), set())
            key = value if outer is None else (outer, value)
            if key in admitted:
                return value
            if len(admitted) >= self.limits[label] or not is_valid(value):
                return OTHER
            admitted.add(key)
            return value

    def has_room(self, label: str, values: Iterable[str | tuple[str, str]]) -> bool:
        """Return whether all of these values fit into a label; those of a nested one are pairs with the outer value."""
        if label in self._sources:
            return self._sources[label].has_room(label, values)
        wanted = {*values}
        nested = any(isinstance(value, tuple) for value in wanted)
        return len(self._admitted.get((label, nested), set()) | wanted) <= self.limits[label]

    def is_filling(self, label: str) -> bool:
        """Return whether half of a label's room is taken, by its values or by its pairs, so that it may overflow."""
        if label in self._sources:
            return self._sources[label].is_filling(label)
        taken = max(len(self._admitted.get((label, nested), ())) for nested in (False, True))
        return taken >= FILLING * self.limits[label]

    def other_test(self, label: str) -> Callable[[object], bool]:
        """Return a function that says whether a value of a label would be counted as ``other``; it admits nothing."""
        if label in self._sources:
            return self._sources[label].other_test(label)
        admitted = self._admitted.setdefault((label, False), set())
        limit = self.limits[label]

        def is_other(value: object) -> bool:
            text = value if type(value) is str and value else label_text(value)
            if text in admitted or text in RESERVED:
                return False
            return len(admitted) >= limit or not is_valid(text)

        return is_other


def is_valid(value: str) -> bool:
    """Return whether a scraper can read a value back: short, valid UTF-8, no NUL (which ends Prometheus's input)."""
    if len(value) > MAX_LENGTH or "\0" in value:
        return False
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True
