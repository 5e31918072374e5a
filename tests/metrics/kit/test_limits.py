"""A limit that a histogram is held to is one of its bounds: elsewhere a quantile is a guess between two of them."""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import cache
from typing import Any

import promql_parser

from metrics import CATALOGUE, OPTIONAL
from metrics.kit.expression_check import VARIABLES
from metrics.kit.grafana import unit_of_family
from tests.metrics.kit.conftest import (
    MONITORING,
    NAMESPACES,
    ROOT,
    dashboards,
    expressions,
    expressions_in,
    load,
    panels_of,
    rules_of,
)

BOUNDS = {namespace + row.name: row.buckets for namespace in NAMESPACES for row in CATALOGUE + OPTIONAL if row.buckets}

QUANTILE = "histogram_quantile"


@cache
def parse(text: str) -> Any:
    for variable, value in VARIABLES.items():
        text = text.replace(variable, value)
    return promql_parser.parse(text)


def parts(parsed: Any) -> Iterator[Any]:
    """Yield a parsed expression and each part of it."""
    yield parsed
    inner = [getattr(parsed, name, None) for name in ("lhs", "rhs", "expr", "param", "vector_selector")]
    for part in (*inner, *getattr(parsed, "args", ())):
        if part is not None:
            yield from parts(part)


@cache
def recorded() -> dict[str, Any]:
    """Return the expressions of recorded series."""
    return {rule["record"]: parse(rule["expr"]) for rule in rules_of("recording.yml")}


def series(parsed: Any) -> set[str]:
    """Return the names of the series that an expression asks for."""
    return {part.name for part in parts(parsed) if type(part).__name__ == "VectorSelector" and part.name}


def histograms(parsed: Any) -> set[str]:
    """Return the histograms whose quantiles an expression asks for, by itself or by a recorded series."""
    quantiles = [part for part in parts(parsed) if getattr(getattr(part, "func", None), "name", "") == QUANTILE]
    names = {name.removesuffix("_bucket") for each in quantiles for name in series(each)}
    return names.union(*(histograms(recorded()[name]) for name in series(parsed) & recorded().keys()))


def limits(parsed: Any) -> Iterator[tuple[Any, float]]:
    """Yield each part that is compared with a number above 0, and the number."""
    for part in parts(parsed):
        if type(part).__name__ == "BinaryExpr" and str(part.op) in ("<", "<=", ">", ">=", "==", "!="):
            for compared, number in ((part.lhs, part.rhs), (part.rhs, part.lhs)):
                if getattr(number, "val", 0) > 0:
                    yield compared, number.val


def missing(held: set[tuple[str, float]]) -> set[tuple[str, float]]:
    """Return those histograms and limits of which the limit is no bound."""
    return {(family, limit) for family, limit in held if limit not in (*BOUNDS[family], math.inf)}


def test_a_quantile_is_compared_with_bounds() -> None:
    held = {
        (family, limit)
        for each in expressions()
        for compared, limit in limits(parse(each.text))
        for family in histograms(compared)
    }
    assert {("sparklio_workflow_queue_wait_seconds", 60), ("sparklio_event_loop_lag_seconds", 0.5)} <= held
    assert missing(held) == set()


def test_the_steps_of_a_panel_are_bounds_of_the_histograms_whose_quantiles_it_shows() -> None:
    held = {
        (family, step["value"])
        for dashboard in dashboards().values()
        for panel in panels_of(dashboard)
        for target in panel["targets"]
        for family in histograms(parse(target["expr"]))
        for step in panel["fieldConfig"]["defaults"]["thresholds"]["steps"][1:]
    }
    assert {("sparklio_db_pool_acquire_seconds", 0.1), ("sparklio_db_scope_queries", 20)} <= held
    assert missing(held) == set()


def test_a_runbook_shows_quantiles_of_histograms_that_have_the_alerts_limit_as_a_bound() -> None:
    """An alert on the oldest hold has a limit of holds: its runbook shows theirs."""
    held = set()
    for rule in rules_of("alerts.yml"):
        page = (ROOT / "docs" / "runbooks" / f"{rule['alert']}.md").read_text()
        shown = {family for text in expressions_in(page) for family in histograms(parse(text))}
        for compared, limit in limits(parse(rule["expr"])):
            units = {unit_of_family(name) for name in series(compared) - recorded().keys()}
            held |= {(family, limit) for family in shown if units == {unit_of_family(family)} == {"s"}}
    assert ("sparklio_db_connection_idle_hold_seconds", 120) in held
    assert missing(held) == set()


def test_each_bucket_that_is_named_is_there() -> None:
    named = [part for each in expressions() for part in parts(parse(each.text))]
    for path in sorted((MONITORING / "tests").glob("*.yml")):
        named += [parse(given["series"]) for test in load(path)["tests"] for given in test["input_series"]]
    buckets = [part for part in named if getattr(part, "name", None) and part.name.endswith("_bucket")]
    held = {
        (part.name.removesuffix("_bucket"), float(matcher.value))
        for part in buckets
        for matcher in part.matchers.matchers
        if matcher.name == "le"
    }
    assert ("sparklio_workflow_queue_wait_seconds", 120) in held
    assert missing(held) == set()
