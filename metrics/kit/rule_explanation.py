"""One alert or recorded series of the kit explained: its expression, the families it is computed from, what uses it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from ..rows import Metric
from .alert_rows import Alert
from .placeholders import NAME, Names, family_of
from .recording_rules import GROUPS
from .rule_files import all_alerts
from .usage import recorded, users_of_series


def explain_rule(catalogue: Iterable[Metric], name: str, names: Names) -> dict[str, Any] | None:
    """Return all that is known of an alert or a recorded series, as JSON writes it; None where the kit has none.

    ``name`` is as in the rule files, an alert's also without the namespace. ``families`` are those that it is computed
    from, also through what is recorded of them; ``series`` are the recorded ones that its expression names.
    """
    rows = list(catalogue)
    for alert in all_alerts(rows):
        if name in {alert.name, names.alert(alert.name)}:
            return describe_alert(alert, names) | describe_inputs(rows, f"{alert.expr}\n{alert.needs}", names)
    rules = [rule for group in GROUPS for rule in group.rules if names.fill(rule.record) == name]
    if not rules:
        return None
    return {
        "name": name,
        "kind": "recording rule",
        "rules": [{"labels": dict(rule.labels), "expr": names.fill(rule.expr)} for rule in rules],
        **describe_inputs(rows, "\n".join(f"{rule.expr}\n{rule.needs}" for rule in rules), names),
        "used_by": users_of_series(rows, {rules[0].record}, names),
    }


def rule_names(catalogue: Iterable[Metric], names: Names) -> Iterator[str]:
    """Yield the names of all alerts and recorded series, as in the rule files."""
    yield from (names.alert(alert.name) for alert in all_alerts(catalogue))
    yield from dict.fromkeys(names.fill(record) for record, _ in recorded())


def describe_alert(alert: Alert, names: Names) -> dict[str, Any]:
    """Return what an alert is, and where its runbook is."""
    return {
        "name": names.alert(alert.name),
        "kind": "alert",
        "severity": alert.severity,
        "summary": alert.summary,
        "means": names.fill(alert.means),
        "rules": [{"labels": {}, "expr": names.fill(alert.expr)}],
        "wait": alert.wait,
        "runbook": names.runbook(alert.name),
    }


def describe_inputs(catalogue: Iterable[Metric], text: str, names: Names) -> dict[str, list[str]]:
    """Return the recorded series that a text of expressions names, and all families behind it."""
    series = dict.fromkeys(name for name in NAME.findall(text) if ":" in name)
    known = {row.name for row in catalogue}
    found = set(NAME.findall(text))
    left = set(found)
    while left:
        behind = {each for record, expr in recorded() if record in left for each in NAME.findall(expr)}
        left = behind - found
        found |= behind
    short = {name.removeprefix("NS_") for name in found if ":" not in name}
    families = {names.fill(f"NS_{family_of(name, known) or name}") for name in short}
    return {"families": sorted(families), "series": [names.fill(name) for name in series]}


def format_rule(rule: Mapping[str, Any]) -> str:
    """Return an explanation as text for a terminal."""
    return "\n".join(rule_lines(rule))


def rule_lines(rule: Mapping[str, Any]) -> Iterator[str]:
    """Yield the lines of an explanation: what it is, its expressions, what it is computed from and what uses it."""
    yield ", ".join([f"{rule['name']}  {rule['kind']}", *([rule["severity"]] if "severity" in rule else [])])
    if "means" in rule:
        yield f"  {rule['means']}"
        yield f"  fires once there is a result{' for ' if rule['wait'] else ''}{rule['wait']}"
        yield f"  runbook: {rule['runbook']}"
    for each in rule["rules"]:
        labels = ", ".join(f"{name}={value}" for name, value in each["labels"].items())
        yield f"\nExpression{f' ({labels})' if labels else ''}"
        yield from (f"  {line}" for line in each["expr"].splitlines())
    titles = {"Recorded series it names": rule["series"], "Families": rule["families"], **rule.get("used_by", {})}
    for title, users in titles.items():
        if users:
            yield f"\n{title}"
            yield from (f"  {user}" for user in users)
