"""The sources of a snapshot: the series of a family that a selector takes, put together by a label."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache, lru_cache
from typing import Literal

How = Literal["sum", "max", "min"]
"""How the values of several series make one."""

ALL = "value"
"""The name of the one series of an expression without a label to part it by."""

_MATCHER = re.compile(r'\s*(\w+)\s*(=~|!~|!=|=)\s*"((?:[^"\\]|\\.)*)"\s*')


@dataclass(frozen=True, slots=True)
class Matcher:
    """One condition of a selector: ``=``, ``!=``, or a regular expression for the whole value, ``=~`` or ``!~``."""

    label: str
    operator: str
    value: str

    def takes(self, value: str) -> bool:
        """Return whether a label's value fits; a label that is not there has an empty one, as for Prometheus."""
        if self.operator in ("=", "!="):
            return (value == self.value) is (self.operator == "=")
        return (re.fullmatch(self.value, value) is not None) is (self.operator == "=~")


@lru_cache(maxsize=1024)
def matchers(where: str) -> tuple[Matcher, ...]:
    r"""Return the conditions of a selector, which is written as between the braces of PromQL.

    >>> matchers('status=~"failed|abandoned",outcome!="wasted"')[1].takes("useful")
    True

    Raises:
        ValueError: it is no such text, or has a regular expression that is none.
    """
    found = []
    position = 0
    while position < len(where):
        match = _MATCHER.match(where, position)
        if match is None or where[match.end() : match.end() + 1] not in ("", ","):
            raise ValueError(f'a selector is written as status="failed",model=~"gpt.*", got {where!r}')
        found.append(Matcher(match[1], match[2], re.sub(r"\\(.)", r"\1", match[3])))
        position = match.end() + 1
    for each in found:
        if each.operator.endswith("~"):
            re.compile(each.value)
    return tuple(found)


@dataclass(frozen=True, slots=True)
class Source:
    """The series of ``family`` that ``where`` takes, put together as ``how`` says, for each value of the label ``by``.

    The family is named without the namespace, but for those of prometheus_client, ``process_*`` and ``python_*``.
    """

    family: str
    where: str = ""
    by: str = ""
    how: How = "sum"

    def __post_init__(self) -> None:
        matchers(self.where)


@dataclass(frozen=True, slots=True)
class Selection:
    """The series that a source takes of a family with these labels."""

    source: Source
    labels: tuple[str, ...]
    _known: dict[tuple[str, ...], str | None] = field(default_factory=dict)

    def key_of(self, values: tuple[str, ...]) -> str | None:
        """Return the name of the value that a series is part of, None where the source does not take it."""
        try:
            return self._known[values]
        except KeyError:
            pairs = dict(zip(self.labels, values, strict=True))
            taken = all(each.takes(pairs.get(each.label, "")) for each in matchers(self.source.where))
            key = self._known[values] = (pairs.get(self.source.by, "") if self.source.by else ALL) if taken else None
            return key


Values = Mapping[str, tuple[float, ...]]
"""Values by name: one number, or of a histogram the sum and then each bucket's own count."""


@cache
def sources_of(family: str, where: str, by: str, how: How = "sum") -> tuple[Source, ...]:
    """Return a source, the same object each time: it is looked up for every value."""
    return (Source(family, where, by, how),)
