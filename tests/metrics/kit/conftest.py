"""The metrics that the repository's expressions may name, and the expressions themselves."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]

from metrics import CATALOGUE, OPTIONAL
from metrics.kit.expression_check import labels_of_expression
from metrics.kit.vocabulary import OF_TARGETS, Vocabulary, vocabulary_of

ROOT = Path(__file__).parents[3]
MONITORING = ROOT / "monitoring"
ROWS_OF_DOCUMENTS = {
    "acme_orders_total": ("country",),
    "acme_revenue_usd_total": ("country",),
    "acme_tasks_total": ("status", "task"),
    "acme_task_last_success_timestamp_seconds": ("task",),
    "shop_errors_total": ("error",),
    "promhttp_metric_handler_errors_total": ("cause",),  # of the Pushgateway
    **dict.fromkeys(("x", "x_count", "x_sum"), ()),
    "x_bucket": ("le",),
}
"""Rows that pages declare and ask for, families of other programs, and x for any histogram, with their labels."""

NAMESPACES = ("sparklio_", "acme_", "")
"""How documents name metrics: the studio's, those of an example, and those of the catalogue as it stands."""


IN_A_LINE = (
    r"(sum|max|min|avg|count|topk|rate|increase|histogram_quantile|absent)\b.*\(.*",
    r'[a-z_]+\{\w+(=|!=|=~|!~)".*"\}',
)
"""How code in a line looks that is an expression: a call, or a metric with a matcher."""


@dataclass(frozen=True)
class Expression:
    place: str
    text: str


def load(path: Path) -> Any:
    return yaml.safe_load(path.read_text()) if path.suffix == ".yml" else json.loads(path.read_text())


def rules_of(file: str) -> list[dict[str, Any]]:
    return [rule for group in load(MONITORING / "rules" / file)["groups"] for rule in group["rules"]]


def dashboards() -> dict[str, Any]:
    return {path.stem: load(path) for path in sorted((MONITORING / "grafana" / "dashboards").glob("*.json"))}


def panels_of(dashboard: Any) -> list[dict[str, Any]]:
    return [panel for panel in dashboard["panels"] if panel["type"] != "row"]


@pytest.fixture(scope="session")
def vocabulary() -> Vocabulary:
    known = vocabulary_of(CATALOGUE + OPTIONAL, *NAMESPACES)
    for name, own_labels in ROWS_OF_DOCUMENTS.items():
        known.add(name, dict.fromkeys((*OF_TARGETS, *own_labels)))
    for rule in rules_of("recording.yml"):
        labels = dict.fromkeys(labels_of_expression(rule["expr"], known))
        known.add(rule["record"], {**labels, **{name: {value} for name, value in rule.get("labels", {}).items()}})
    return known


def expressions() -> Iterator[Expression]:
    """Yield every expression of the repository: rules, panels, variables, annotations and documents."""
    for file in ("recording.yml", "alerts.yml"):
        for rule in rules_of(file):
            yield Expression(rule.get("alert") or rule["record"], rule["expr"])
    for name, dashboard in dashboards().items():
        yield from expressions_of(name, dashboard)
    for document in (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))):
        for text in expressions_in(document.read_text()):
            yield Expression(str(document.relative_to(ROOT)), text)


def expressions_of(name: str, dashboard: Any) -> Iterator[Expression]:
    """Yield the expressions of a dashboard: of its panels, annotations and variables."""
    for panel in panels_of(dashboard):
        for target in panel["targets"]:
            yield Expression(f"{name}: {panel['title']}", target["expr"])
    for annotation in dashboard["annotations"]["list"]:
        yield Expression(f"{name}: {annotation['name']}", annotation["expr"])
    for variable in dashboard["templating"]["list"]:
        if match := re.fullmatch(r"label_values\((.+), (\w+)\)", str(variable["query"])):
            yield Expression(f"{name}: ${variable['name']}", f"group by ({match[2]}) ({match[1]})")


def expressions_in(text: str) -> Iterator[str]:
    """Yield the expressions of a document: blocks of PromQL, and code in a line that is a call or has a matcher."""
    for block in re.findall(r"^```promql\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
        yield from re.split(r"\n\n", block.strip())
    prose = re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)
    for code in re.findall(r"`([^`\n]+)`", prose):
        if any(re.fullmatch(form, code) for form in IN_A_LINE):
            yield code
