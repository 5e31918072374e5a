"""Grafana's dashboards, as JSON that its provisioning reads."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from ..rows import Metric
from . import grafana_panels, libraries
from .panel_rows import Dashboard, Panel
from .placeholders import NAME, Available, Names, family_of
from .recording_rules import resolved

SELECTED = re.compile(rf'(?<!["\w:])({NAME.pattern})(\{{)?')
UNITS = {"_seconds": "s", "_bytes": "bytes", "_usd": "currencyUSD", "_ratio": "percentunit"}
STARTS = 'changes(process_start_time_seconds{job="JOB"}[1m]) > 0'
BUILDS = "sum by (version, revision)"
DEPLOYS = f"{BUILDS} (NS_build_info) unless {BUILDS} (NS_build_info offset 1m)"
PAGES = 'ALERTS{alertname=~"ALERT.+",alertstate="firing",severity="page",job="JOB"}'
ANNOTATIONS = (
    ("starts", STARTS, "blue", "{{instance}} started"),
    ("deploys", DEPLOYS, "purple", "version {{version}} {{revision}}"),
    ("pages", PAGES, "red", "{{alertname}}"),
)
"""Lines in every panel: their name, when they are there, their colour and what they say."""


def available_panel(panel: Panel, available: Available) -> Panel | None:
    """Return a panel with those of its queries whose metrics there are, None where there is none."""
    queries = tuple(query for query in panel.queries if available.covers(query.expr))
    return Panel(**{**vars(panel), "queries": queries}) if queries else None


def laid_out(dashboard: Dashboard, available: Available) -> Iterator[tuple[str, int, list[tuple[Panel, int, int]]]]:
    """Yield each section's title and height above it, with its panels and where they stand, from left to right."""
    y = 0
    for section in dashboard.sections:
        panels = [panel for each in section.panels if (panel := available_panel(each, available))]
        if not panels:
            continue
        top, x, y, row = y, 0, y + 1, 0
        placed = []
        for panel in panels:
            if x + panel.width > 24:
                x, y, row = 0, y + row, 0
            placed.append((panel, x, y))
            x, row = x + panel.width, max(row, panel.height)
        y += row
        yield section.title, top, placed


def dashboard_json(dashboard: Dashboard, catalogue: tuple[Metric, ...], available: Available, names: Names) -> str:
    """Return a dashboard's JSON; empty where the catalogue has none of its metrics.

    Raises:
        KitLibraryMissing: grafana-foundation-sdk is not installed.
    """
    sections = list(laid_out(dashboard, available))
    if not sections:
        return ""
    sdk = libraries.grafana("builders.dashboard")
    built = sdk.Dashboard(f"{names.alert_prefix} / {dashboard.title}").uid(f"{names.namespace}-{dashboard.uid}")
    built.description(dashboard.what).tags([names.namespace]).refresh("30s").time("now-1h", "now").timezone("browser")
    built.tooltip(libraries.grafana("models.dashboard").DashboardCursorSync.CROSSHAIR).editable()
    for variable in grafana_panels.variables(dashboard, available, names):
        built.with_variable(variable)
    kinds = libraries.grafana("models.dashboard").DashboardLinkType
    built.link(sdk.DashboardLink("Dashboards").type(kinds.DASHBOARDS).tags([names.namespace]).keep_time(True)
               .include_vars(True).icon("external link"))  # fmt: skip
    number = 0
    for title, top, placed in sections:
        number += 1
        grid = libraries.grafana("models.dashboard").GridPos
        built.with_row(sdk.Row(title).id(number).grid_pos(grid(h=1, w=24, x=0, y=top)))
        for panel, x, y in placed:
            number += 1
            position = grid(h=panel.height, w=panel.width, x=x, y=y)
            described = describe(panel, catalogue, names)
            finished = [(fill(query.expr, names), query) for query in panel.queries]
            unit = panel.unit or unit_of(panel, available)
            built.with_panel(grafana_panels.build_panel(panel, finished, unit, described, names)
                             .id(number).grid_pos(position))  # fmt: skip
    encoder = libraries.grafana("cog.encoder").JSONEncoder
    data = json.loads(encoder().encode(built.build()))
    data["annotations"] = {"list": list(annotation_lines(available, names))}
    return json.dumps(data, indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def annotation_lines(available: Available, names: Names) -> Iterator[Mapping[str, Any]]:
    """Yield the lines that stand in every panel, in the form that Grafana's data source for Prometheus reads."""
    for name, expr, colour, title in ANNOTATIONS:
        if available.covers(expr):
            yield {
                "name": name,
                "datasource": {"type": "prometheus", "uid": "${datasource}"},
                "enable": True,
                "iconColor": colour,
                "expr": fill(expr, names),
                "titleFormat": title,
                "step": "60s",
            }


def fill(expr: str, names: Names) -> str:
    """Return an expression with the application's names, of the job that the reader chose."""

    def of_job(match: re.Match[str]) -> str:
        return f'{match[1]}{{job="$job"{"," if match[2] else "}"}'

    return names.fill(SELECTED.sub(of_job, expr.replace('job="JOB"', 'job="$job"')))


def unit_of(panel: Panel, available: Available) -> str:
    """Return the unit of the first metric that a panel names."""
    for name in NAME.findall(panel.queries[0].expr):
        if family := family_of(name.removeprefix("NS_"), available.families):
            return unit_of_family(family)
    return "short"


def unit_of_family(family: str) -> str:
    """Return Grafana's name of the unit that a metric's name ends with."""
    name = family.removesuffix("_total")
    return next((unit for end, unit in UNITS.items() if name.endswith(end)), "short")


def describe(panel: Panel, catalogue: tuple[Metric, ...], names: Names) -> str:
    """Return a panel's description: its own words, then what the catalogue says of each of its metrics."""
    helps = {row.name: row.help for row in reversed(catalogue)}
    text = resolved("\n".join(query.expr for query in panel.queries))
    found = [family_of(name.removeprefix("NS_"), helps) for name in NAME.findall(text)]
    lines = [f"`{names.namespace}_{family}`: {helps[family]}" for family in dict.fromkeys(found) if family]
    empty = [f"Nothing here: {panel.empty}"] if panel.empty else []
    return "\n\n".join([*([panel.what] if panel.what else []), *lines, *empty])
