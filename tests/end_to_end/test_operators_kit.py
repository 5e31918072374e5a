"""The kit on the real thing: a Prometheus with its rules scrapes a studio with faults; each query is asked of it."""

from __future__ import annotations

import json
import math
from itertools import chain
from pathlib import Path
from typing import Any

import pytest

from tests.end_to_end.scraped_life import Scraped
from tests.metrics.kit.conftest import dashboards, expressions_in, panels_of, rules_of
from tests.support.prometheus import Labels

pytestmark = [pytest.mark.slow, pytest.mark.needs("prometheus"), pytest.mark.timeout(300)]

ROOT = Path(__file__).parents[2]
PANELS = [(name, panel) for name, dashboard in dashboards().items() for panel in panels_of(dashboard)]
MOST = {
    "percentunit": 20.0,
    "s": 100_000.0,
    "currencyUSD": 1_000.0,
    "bytes": 1e11,
    "cpm": 1e6,
    "ops": 1e6,
    "reqps": 1e6,
}
"""The most that a value of a unit can plausibly be in a short life of a studio; times go up to one that nobody told."""

EMPTY_RECORDED: dict[str, str] = {}
"""Recorded series that this life has none of, each with the reason."""


def has_values(found: dict[Labels, list[float]]) -> bool:
    """Return whether any series has a number; histograms without observations have none."""
    return any(not math.isnan(value) for value in chain.from_iterable(found.values()))


def test_every_query_of_every_panel_has_data_or_says_why_it_may_have_none(scraped: Scraped) -> None:
    empty = {
        f"{name}: {panel['title']}": target["expr"]
        for name, panel in PANELS
        for target in panel["targets"]
        if "Nothing here: " not in panel["description"] and not has_values(scraped.over_time(target["expr"]))
    }
    assert empty == {}


def test_most_panels_that_may_be_empty_are_not(scraped: Scraped) -> None:
    """The life has faults of most kinds."""
    may_be_empty = [panel for _, panel in PANELS if "Nothing here: " in panel["description"]]
    there = [
        panel["title"]
        for panel in may_be_empty
        if any(has_values(scraped.over_time(target["expr"])) for target in panel["targets"])
    ]
    assert len(there) > 0.7 * len(may_be_empty), {panel["title"] for panel in may_be_empty} - {*there}


def test_values_are_plausible_in_their_units(scraped: Scraped) -> None:
    strange = {}
    for name, panel in PANELS:
        most = MOST.get(panel["fieldConfig"]["defaults"]["unit"], 1e9)
        for target in panel["targets"]:
            values = [
                value
                for value in chain.from_iterable(scraped.over_time(target["expr"]).values())
                if not math.isnan(value)
            ]
            if not all(0 <= value <= most for value in values):
                strange[f"{name}: {panel['title']}"] = (target["expr"], min(values), max(values))
    assert strange == {}


def test_what_asks_for_histograms_has_the_same_series_of_native_ones(scraped_by: dict[str, Scraped]) -> None:
    """Panels and recording rules.

    A heatmap has its buckets in one histogram then, and which series are the topmost depends on when each was scraped.
    """
    asked = {target["expr"] for _, panel in PANELS if panel["type"] != "heatmap" for target in panel["targets"]}
    asked |= {rule["expr"] for rule in rules_of("recording.yml")}
    asked = {each for each in asked if "histogram_" in each and not each.startswith("topk")}
    assert len(asked) > 40
    found = {name: {each: scraped.over_time(each).keys() for each in asked} for name, scraped in scraped_by.items()}
    assert found["native"] == found["classic"]
    assert scraped_by["native"].prometheus.query('{__name__=~"sparklio_.*_(bucket|sum)"}') == {}


def test_every_recorded_series_is_there(scraped: Scraped) -> None:
    missing = {
        rule["record"] for rule in rules_of("recording.yml") if not has_values(scraped.over_time(rule["record"]))
    }
    assert missing == EMPTY_RECORDED.keys()


def test_every_rule_is_evaluated_without_an_error(scraped: Scraped) -> None:
    groups: list[dict[str, Any]] = scraped.prometheus.client.get("/api/v1/rules").json()["data"]["groups"]
    rules = [rule for group in groups for rule in group["rules"]]
    assert len(rules) == len(rules_of("recording.yml")) + len(rules_of("alerts.yml"))
    assert {rule["name"]: rule["lastError"] for rule in rules if rule.get("lastError")} == {}


def test_the_queries_of_runbooks_and_of_the_annotations_are_answered(scraped: Scraped) -> None:
    for page in sorted((ROOT / "docs" / "runbooks").glob("*.md")):
        for expression in expressions_in(page.read_text()):
            scraped.over_time(expression)
    [starts, *_] = [
        annotation["expr"]
        for annotation in json.loads((ROOT / "monitoring" / "grafana" / "dashboards" / "overview.json").read_text())[
            "annotations"
        ]["list"]
        if annotation["name"] == "starts"
    ]
    assert has_values(scraped.over_time(starts))


def test_what_was_paid_is_one_sum_however_it_is_divided(scraped: Scraped) -> None:
    sums = {
        family: sum(scraped.prometheus.query(f"sum({family})").values())
        for family in (
            "sparklio_llm_cost_usd_total",
            "sparklio_llm_cost_by_kind_usd_total",
            "sparklio_llm_cost_by_agent_usd_total",
        )
    }
    assert min(sums.values()) > 0
    assert max(sums.values()) == pytest.approx(min(sums.values()))
