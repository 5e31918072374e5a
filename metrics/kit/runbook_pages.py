"""The runbooks: a page for each alert, from its row."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from .alert_rows import Alert
from .placeholders import Available, Names
from .rule_files import layout

SEVERITIES = {"page": "wakes somebody", "ticket": "is looked at within a day"}


def runbook(alert: Alert, names: Names, available: Available) -> str:
    """Return an alert's page in Markdown; queries of families that are not there are left out."""
    waits = f" for {alert.wait}" if alert.wait else ""
    queries = [names.fill(query) for query in alert.confirm if available.covers(query)]
    return "\n".join(
        [
            f"# {names.alert(alert.name)}",
            "",
            f"**{alert.severity}**: {SEVERITIES[alert.severity]}. It fires when this has a result{waits}:",
            "",
            *fenced(names.fill(alert.expr)),
            "",
            "## What it means",
            "",
            names.fill(alert.means),
            "",
            "## Who is hurt",
            "",
            names.fill(alert.hurts),
            "",
            "## Confirm",
            "",
            *(line for query in queries for line in (*fenced(query), "")),
            "## Do",
            "",
            *(f"{number}. {names.fill(step)}" for number, step in enumerate(alert.act, start=1)),
            "",
        ]
    )


def fenced(query: str) -> list[str]:
    """Return the lines of a block with a query."""
    return ["```promql", *layout(query).splitlines(), "```"]


def index(groups: Iterable[tuple[str, list[Alert]]], names: Names) -> str:
    """Return the page that lists all runbooks."""
    lines = ["# Runbooks", "", "One page for each alert, written by `python -m metrics build`.", ""]
    lines += ["| alert | severity | fires when |", "|---|---|---|", *index_rows(groups, names), ""]
    return "\n".join(lines)


def index_rows(groups: Iterable[tuple[str, list[Alert]]], names: Names) -> Iterator[str]:
    """Yield a row of the index for each alert."""
    for _, alerts in groups:
        for alert in alerts:
            name = names.alert(alert.name)
            yield f"| [{name}]({name}.md) | {alert.severity} | {names.fill(alert.means)} |"
