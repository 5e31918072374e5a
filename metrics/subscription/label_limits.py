"""Which values a label may take: a bounded number of learned ones, then ``other``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from threading import RLock

from ..rows import OTHER, RESERVED, text_of

MOST_CHARACTERS = 200
"""A longer value is no name; it counts as ``other``."""


class Labels:
    """The learned values of every open label of a subscription.

    A bound belongs to the label's name, not to an instrument: a value that folds into ``other`` folds in every family,
    so families can be divided by one another and a start always meets its end. Values once admitted stay for good,
    since a series that vanished and came back would lose its increase.
    """

    def __init__(self, limits: Mapping[str, int]) -> None:
        self.limits = dict(limits)
        self._learned: dict[str, set[str | tuple[str, str]]] = {}
        self._lock = RLock()  # the garbage collector may end a span in here, whose labels are admitted too

    def expect(self, label: str, values: Iterable[str]) -> tuple[str, ...]:
        """Admit values beforehand and give them as text.

        Raises:
            ValueError: a value is unfit, or there are more than the bound allows.
        """
        expected = tuple(text_of(value) for value in values)
        for value in expected:
            if self.admit(label, value) != value:
                limit = self.limits.get(label)
                raise ValueError(f"label {label!r} can't take {value[:40]!r}: unfit, or past the limit of {limit}")
        return expected

    def admit(self, label: str, value: str, inside: str | None = None) -> str:
        """Give the value itself if the label has it or has room for it, else ``other``.

        A value ``inside`` one of another label is another value than the same one inside another.
        """
        if value in RESERVED:
            return value
        with self._lock:
            learned = self._learned.setdefault(label, set())
            key = value if inside is None else (inside, value)
            if key in learned:
                return value
            if len(learned) >= self.limits[label] or not is_fit(value):
                return OTHER
            learned.add(key)
            return value


def is_fit(value: str) -> bool:
    """Tell whether a scraper can read a value back: short, valid UTF-8, no NUL (which ends Prometheus's input)."""
    if len(value) > MOST_CHARACTERS or "\0" in value:
        return False
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True
