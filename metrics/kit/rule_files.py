"""The rules as Prometheus loads them, as text of YAML."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from typing import Any

from ..rows import Metric
from . import libraries
from .alert_rows import Alert
from .database_alerts import DATABASE
from .model_alerts import MODELS
from .own_alerts import as_template, own_alerts
from .placeholders import Available, Names
from .process_alerts import PIPELINE, PROCESSES
from .recording_rules import GROUPS
from .run_alerts import RUNS

ALERTS: Mapping[str, tuple[Alert, ...]] = {
    "processes": PROCESSES,
    "runs": RUNS,
    "models": MODELS,
    "database": DATABASE,
    "pipeline": PIPELINE,
}
"""The alerts by the name of their group."""


def all_alerts(catalogue: Iterable[Metric]) -> Iterator[Alert]:
    """Yield the kit's alerts, then those that rows of a catalogue ask for."""
    return chain(chain.from_iterable(ALERTS.values()), own_alerts(catalogue))


def recording_groups(available: Available, names: Names) -> Iterator[dict[str, Any]]:
    """Yield the groups of recording rules whose families there are; what they record is available from then on."""
    for group in GROUPS:
        rules: list[dict[str, Any]] = []
        for rule in group.rules:
            if available.covers(rule.expr, rule.needs):
                available.record(rule.record, rule.labels)
                labels = {"labels": dict(rule.labels)} if rule.labels else {}
                rules.append({"record": names.fill(rule.record), "expr": layout(names.fill(rule.expr)), **labels})
        if rules:
            yield {"name": f"{names.namespace}-{group.name}", "interval": group.interval, "rules": rules}


def available_alerts(available: Available, catalogue: Iterable[Metric]) -> Iterator[tuple[str, list[Alert]]]:
    """Yield the groups of alerts whose families and recorded series there are, then those that rows ask for."""
    taken = {alert.name for alerts in ALERTS.values() for alert in alerts}
    for group, alerts in {**ALERTS, "rows": tuple(own_alerts(catalogue, taken))}.items():
        if chosen := [alert for alert in alerts if available.covers(alert.expr, alert.needs)]:
            yield group, chosen


def alert_groups(groups: Iterable[tuple[str, list[Alert]]], names: Names) -> Iterator[dict[str, Any]]:
    """Yield the groups of alerts as Prometheus reads them."""
    for group, alerts in groups:
        rules = [alert_rule(alert, names) for alert in alerts]
        yield {"name": f"{names.namespace}-{group}-alerts", "rules": rules}


def alert_rule(alert: Alert, names: Names) -> dict[str, Any]:
    """Return one alert as Prometheus reads it."""
    return {
        "alert": names.alert(alert.name),
        "expr": layout(names.fill(alert.expr)),
        **({"for": alert.wait} if alert.wait else {}),
        "labels": {"severity": alert.severity},
        "annotations": {
            "summary": alert.summary,
            "runbook_url": as_template(names.runbook(alert.name)),
        },
    }


def layout(expression: str) -> str:
    """Return an expression on several lines where it is long.

    Raises:
        ValueError: it cannot be parsed; the message names it.
        KitLibraryMissing: promql-parser is not installed.
    """
    try:
        text: str = libraries.promql_parser().parse(expression).prettify()
    except ValueError as error:
        raise ValueError(f"{expression!r} is no PromQL: {error}") from error
    return text
