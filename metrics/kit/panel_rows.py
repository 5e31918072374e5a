"""The form of a dashboard and of its panels, as the tables of panels are written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

A_MINUTE = "suffix:/min"
"""The unit of what happens a minute: Grafana's own writes ``c/m``."""

Show = Literal["stat", "gauge", "lines", "stacked", "bars", "shares", "bar gauge", "table", "heatmap"]


@dataclass(frozen=True, kw_only=True)
class Query:
    """An expression and how its series are called; ``{{label}}`` stands for a label's value."""

    expr: str
    legend: str = ""
    unit: str = ""  # of a table's column


@dataclass(frozen=True, kw_only=True)
class Panel:
    """One row: what a panel asks and how it shows it.

    ``unit`` is Grafana's name of a unit; without one it is that of the first metric that the panel names. ``steps`` are
    thresholds, each a value from which a colour holds. ``join`` is the label by which the columns of a table belong
    together. ``empty`` says why it is rightly empty where nothing is wrong. ``opens`` is the dashboard that a click
    leads to. A panel's description ends with what the catalogue says of its metrics.
    """

    title: str
    show: Show
    queries: tuple[Query, ...]
    what: str = ""
    unit: str = ""
    width: int = 8
    height: int = 8
    steps: Mapping[float, str] = field(default_factory=dict)
    colours: Mapping[str, str] = field(default_factory=dict)
    texts: Mapping[str, str] = field(default_factory=dict)
    join: str = ""
    empty: str = ""
    opens: str = ""


@dataclass(frozen=True, kw_only=True)
class Variable:
    """A label whose values a reader chooses from, of a metric that has it."""

    name: str
    family: str
    label: str


@dataclass(frozen=True, kw_only=True)
class Section:
    """Panels below a heading."""

    title: str
    panels: tuple[Panel, ...]


@dataclass(frozen=True, kw_only=True)
class Dashboard:
    """A dashboard: its stable name, its variables beside data source and job, and its sections."""

    uid: str
    title: str
    what: str
    sections: tuple[Section, ...]
    variables: tuple[Variable, ...] = ()


def q(expr: str, legend: str = "", unit: str = "") -> Query:
    """Return a query."""
    return Query(expr=expr, legend=legend, unit=unit)
