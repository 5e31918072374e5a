"""The form of a tile and of a chart, as tables of them are written."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from ..kit.placeholders import Names
from .expressions import Expression
from .increases import Numbers
from .snapshot import Snapshot
from .sources import ALL, Source

SERIES = "series"
"""The label that tells the series of several expressions apart."""


@dataclass(frozen=True, kw_only=True)
class Tile:
    """One row: some numbers that belong together, the first of which is the main one.

    ``shows`` has an expression by the name of its series; one expression alone may have any name. ``unit`` is that of
    all series but those in ``units``.
    """

    id: str
    title: str
    unit: str
    help: str
    shows: Mapping[str, Expression]
    units: Mapping[str, str] = field(default_factory=dict)

    @property
    def sources(self) -> Iterator[Source]:
        """The sources that it reads of a snapshot."""
        for each in self.shows.values():
            yield from each.sources

    def promql(self, names: Names) -> str:
        """Return one expression for all of it: with several series, each has its name in the label ``series``."""
        if len(self.shows) == 1:
            return names.fill(*(each.text for each in self.shows.values()))
        return names.fill(
            "\nor ".join(
                f'label_replace({each.text}, "{SERIES}", "{name}", "", "")' for name, each in self.shows.items()
            )
        )

    def values(self, before: Mapping[float, Snapshot], after: Snapshot) -> Numbers:
        """Return its values by the name of the series: of the expression, of the label's value, or of both.

        Args:
            before: The earlier snapshot by the seconds that an expression looks back.
            after: The later one.
        """
        found: Numbers = {}
        for name, each in self.shows.items():
            for part, value in each.values(before[each.span], after).items():
                if len(self.shows) == 1:
                    found[part] = value
                else:
                    found[name if part == ALL else f"{part} {name}"] = value
        return found

    def describe(self, names: Names) -> dict[str, Any]:
        """Return what a page has to know of it, as JSON has it."""
        return {
            "id": self.id,
            "title": self.title,
            "unit": self.unit,
            "units": dict(self.units),
            "promql": self.promql(names),
            "help": self.help,
        }


@dataclass(frozen=True, kw_only=True)
class Chart(Tile):
    """One row: the lines of a chart, or areas that stand on one another, and the tab that it is in."""

    tab: str
    kind: Literal["line", "stack"] = "line"
    help: str = ""

    def describe(self, names: Names) -> dict[str, Any]:
        """Return what a page has to know of it, as JSON has it."""
        return {**super().describe(names), "tab": self.tab, "kind": self.kind}
