"""Alerts on the metrics of rows that ask for one."""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator

from ..alert_when import AlertWhen
from ..rows import Metric
from . import promql
from .alert_rows import Alert


class AlertNameTaken(ValueError):
    """Two alerts would have one name."""


def own_alerts(catalogue: Iterable[Metric], taken: Container[str] = ()) -> Iterator[Alert]:
    """Yield an alert for each metric whose row asks for one.

    Raises:
        AlertNameTaken: two rows ask for alerts of one name, or that of a row is one of the kit's own.
    """
    asked: dict[str, Metric] = {}
    written: dict[str, Alert] = {}
    for row in catalogue:
        if row.alert is not None:
            alert = alert_of(row, row.alert)
            if alert.name in taken:
                raise AlertNameTaken(
                    f"the alert of {row.name} would be called {alert.name}, as one of the kit is: rename it"
                )
            if asked.setdefault(alert.name, row) != row:
                raise AlertNameTaken(
                    f"the rows {asked[alert.name].name} and {row.name} both ask for an alert {alert.name}: take one away"
                )
            written[alert.name] = alert
    yield from written.values()


def alert_of(row: Metric, when: AlertWhen) -> Alert:
    """Return the alert of one row, in the words of its help text."""
    by = ", ".join(("job", *row.label_names))
    whose = " ".join(f"{{{{ $labels.{label} }}}}" for label in row.label_names)
    return Alert(
        name="".join(word.capitalize() for word in row.name.removesuffix("_total").split("_")),
        severity=when.severity,
        wait=when.wait,
        expr=condition(row, when, by),
        summary=f"{as_template(row.help.rstrip('.'))}: {{{{ $value | humanize }}}} {whose}".strip(),
        means=row.help,
        hurts=when.hurts,
        confirm=(shown(row, when, ", ".join(row.label_names)),),
        act=when.do,
    )


def as_template(text: str) -> str:
    """Return a text as Prometheus's templates show it as it is."""
    return text.replace("{{", '{{ "{{" }}')


def condition(row: Metric, when: AlertWhen, by: str) -> str:
    """Return the expression that is there while the metric is above what the row says."""
    if row.kind == "counter" and when.above == 0:
        return promql.first_trouble(row.name, by, when.window)
    return f"{shown(row, when, by)} > {when.above!r}"


def shown(row: Metric, when: AlertWhen, by: str) -> str:
    """Return the expression whose value is compared."""
    if row.kind == "counter":
        return promql.increase(row.name, by, "", when.window)
    if row.kind == "histogram":
        return f"({promql.quantile(0.95, row.name, by, window=when.window)})"
    return f"max by ({by}) (NS_{row.name})" if by else f"max(NS_{row.name})"
