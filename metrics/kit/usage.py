"""Which recording rules, alerts and panels of the kit use a family, also through what was recorded of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from ..rows import Metric
from .grafana_files import DASHBOARDS
from .placeholders import HISTOGRAM_SUFFIXES, NAME, Names
from .recording_rules import GROUPS
from .rule_files import all_alerts


def users_of(catalogue: Iterable[Metric], family: str, names: Names) -> dict[str, list[str]]:
    """Return the names of the rules, alerts and panels that use a family, by kind; a kind without any is left out.

    ``family`` is without the namespace. Alerts are also those that rows of the catalogue ask for.
    """
    return users_of_series(catalogue, {f"NS_{family}{suffix}" for suffix in ("", *HISTOGRAM_SUFFIXES)}, names)


def users_of_series(catalogue: Iterable[Metric], series: Iterable[str], names: Names) -> dict[str, list[str]]:
    """Return the same of series, named as in the kit's tables."""
    wanted = set(series)
    rules = []
    for record, expr in recorded():
        if wanted & {*NAME.findall(expr)}:
            wanted.add(record)  # what is recorded of it is used further down
            rules.append(record)
    alerts = [
        f"{names.alert(alert.name)}  {alert.severity}, {names.runbook(alert.name)}"
        for alert in all_alerts(catalogue)
        if wanted & {*NAME.findall(f"{alert.expr}\n{alert.needs}")}
    ]
    panels = [
        f"{dashboard.title}: {panel.title}"
        for dashboard in DASHBOARDS
        for section in dashboard.sections
        for panel in section.panels
        if any(wanted & {*NAME.findall(query.expr)} for query in panel.queries)
    ]
    users = {
        "Recording rules": [names.fill(rule) for rule in dict.fromkeys(rules)],
        "Alerts": alerts,
        "Panels": panels,
    }
    return {kind: found for kind, found in users.items() if found}


def recorded() -> Iterator[tuple[str, str]]:
    """Yield the name and the expression of each recording rule."""
    for group in GROUPS:
        for rule in group.rules:
            yield rule.record, f"{rule.expr}\n{rule.needs}"
