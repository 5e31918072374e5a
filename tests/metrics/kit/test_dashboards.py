"""The dashboards are what Grafana reads: unique ids, no overlaps, units, descriptions, links that lead somewhere."""

from __future__ import annotations

import json
import re
from itertools import combinations
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]

from events import context_built, llm_called
from metrics import CATALOGUE, HTTP, LLM, OPTIONAL, buckets, counter, gauge, histogram
from metrics.kit.build import build_kit
from metrics.kit.grafana import unit_of_family
from metrics.kit.panel_rows import A_MINUTE
from metrics.kit.placeholders import Names
from metrics.validation import MultiprocessMode
from tests.metrics.kit.conftest import MONITORING, dashboards, panels_of

DASHBOARDS = dashboards()
EACH = pytest.mark.parametrize("name", DASHBOARDS)
UNITS = {"s", "bytes", "currencyUSD", "percentunit", "short", "none", A_MINUTE, "ops", "reqps"}


def test_there_is_a_dashboard_for_each_subject_and_one_for_the_rest() -> None:
    assert DASHBOARDS.keys() == {"overview", "models", "work", "http", "database", "pipeline", "others"}
    assert [each["uid"] for each in DASHBOARDS.values()] == [f"sparklio-{name}" for name in DASHBOARDS]


@EACH
def test_panels_have_ids_places_and_queries_of_their_own(name: str) -> None:
    panels = DASHBOARDS[name]["panels"]
    assert [panel["id"] for panel in panels] == list(range(1, len(panels) + 1))
    for panel in panels:
        place = panel["gridPos"]
        assert 0 <= place["x"] < place["x"] + place["w"] <= 24
    for one, other in combinations([panel["gridPos"] for panel in panels], 2):
        apart_x = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
        apart_y = one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]
        assert apart_x or apart_y, (one, other)
    for panel in panels_of(DASHBOARDS[name]):
        letters = [target["refId"] for target in panel["targets"]]
        assert letters == sorted(set(letters))
        assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}


@EACH
def test_panels_say_what_they_show_and_in_which_unit(name: str) -> None:
    titles = [panel["title"] for panel in panels_of(DASHBOARDS[name])]
    assert len(titles) == len(set(titles))
    for panel in panels_of(DASHBOARDS[name]):
        assert panel["description"], panel["title"]
        assert panel["fieldConfig"]["defaults"]["unit"] in UNITS
        steps = panel["fieldConfig"]["defaults"]["thresholds"]["steps"]
        assert steps[0]["value"] is None
        values = [step["value"] for step in steps[1:]]
        assert values == sorted(values)


def unit_of_expression(expression: str) -> str | None:
    """Return the unit that an expression's form gives its values, None where it is arithmetic of several metrics."""
    families = {re.sub(r"_(bucket|sum|count)$", "", each) for each in re.findall(r"\bsparklio_\w+", expression)}
    if len(families) != 1 or " / " in expression or "*" in expression:
        return None
    unit = unit_of_family(families.pop().removeprefix("sparklio_"))
    plain = (
        not re.search(r"\b(rate|count|deriv)\(", expression.replace("histogram_quantile", ""))
        or "quantile" in expression
    )
    return unit if plain and unit != "short" else None


@EACH
def test_units_are_those_of_the_metrics(name: str) -> None:
    for panel in panels_of(DASHBOARDS[name]):
        unit = panel["fieldConfig"]["defaults"]["unit"]
        columns = {
            each["matcher"]["options"]: each["properties"][0]["value"] for each in panel["fieldConfig"]["overrides"]
        }
        for target in panel["targets"]:
            if expected := unit_of_expression(target["expr"]):
                assert columns.get(target["legendFormat"], unit) == expected, (panel["title"], target["expr"])


@EACH
def test_links_lead_to_dashboards_that_there_are(name: str) -> None:
    uids = {each["uid"] for each in DASHBOARDS.values()}
    for panel in panels_of(DASHBOARDS[name]):
        for link in panel.get("links") or ():
            assert re.match(r"/d/([\w-]+)\?", link["url"])[1] in uids  # type: ignore[index]
    assert DASHBOARDS[name]["links"][0]["tags"] == DASHBOARDS[name]["tags"] == ["sparklio"]


@EACH
def test_variables_are_declared_and_used(name: str) -> None:
    declared = {variable["name"] for variable in DASHBOARDS[name]["templating"]["list"]}
    text = json.dumps(DASHBOARDS[name]["panels"])
    used = set(re.findall(r"\$(?!_)(\w+)", text)) | set(re.findall(r"\$\{(?!_)(\w+)", text))
    assert used == declared


@pytest.mark.parametrize(("share", "colour"), [(0.0, "red"), (0.5, "orange"), (0.99, "orange"), (1.0, "green")])
def test_instances_up_is_green_only_where_all_of_them_answer(share: float, colour: str) -> None:
    [panel] = [panel for panel in panels_of(DASHBOARDS["overview"]) if panel["title"] == "Instances up"]
    steps = panel["fieldConfig"]["defaults"]["thresholds"]["steps"]
    assert [step["color"] for step in steps if step["value"] is None or step["value"] <= share][-1] == colour


def test_every_metric_is_shown_somewhere() -> None:
    text = json.dumps([panels_of(each) for each in DASHBOARDS.values()])
    missing = {
        row.name for row in CATALOGUE + OPTIONAL if not re.search(rf"sparklio_{row.name}(_bucket|_sum|_count)?\b", text)
    }
    assert missing == set()


MINE = (
    counter("slogans_total", "Slogans that were written.", llm_called, labels=("model",)),
    histogram("slogan_seconds", "Time it took.", llm_called, value="duration", buckets=buckets.MODEL),
    gauge("slogan_context_size_bytes", "Size of the last.", context_built, value="size", labels=("agent_name",)),
)  # fmt: skip


def test_a_row_of_ones_own_has_a_panel_with_its_help_and_its_unit() -> None:
    rows = (*HTTP, *MINE)
    files = build_kit(rows, Names(namespace="acme"))
    gauge_expr = 'sum by (agent_name) (acme_slogan_context_size_bytes{job="$job"})'
    assert {path.rpartition("/")[2] for path in files if path.endswith(".json")} == {
        "overview.json", "http.json", "pipeline.json", "others.json",
    }  # fmt: skip
    others = {panel["title"]: panel for panel in panels_of(json.loads(files["grafana/dashboards/others.json"]))}
    assert "Slogans that were written." in others["Slogans, a minute"]["description"]
    assert others["Slogan, p95"]["fieldConfig"]["defaults"]["unit"] == "s"
    assert others["Slogan context size"]["fieldConfig"]["defaults"]["unit"] == "bytes"
    assert others["Slogan context size"]["targets"][0]["expr"] == gauge_expr
    assert "sparklio" not in "".join(files.values()).lower()


@pytest.mark.parametrize(
    ("mode", "aggregation"),
    [
        (None, "sum"),
        ("livesum", "sum"),
        ("livemax", "max"),
        ("livemostrecent", "max"),
        ("max", "max"),
        ("livemin", "min"),
    ],
)
def test_a_gauge_of_ones_own_is_shown_over_instances_as_its_row_has_it_over_processes(
    mode: MultiprocessMode | None, aggregation: str
) -> None:
    row = gauge("backlog_bytes", "Bytes that wait.", context_built, value="size", multiprocess_mode=mode)
    others = json.loads(build_kit((row,), Names(namespace="acme"))["grafana/dashboards/others.json"])
    [panel] = panels_of(others)
    assert panel["targets"][0]["expr"] == f'{aggregation}(acme_backlog_bytes{{job="$job"}})'


def test_what_a_panel_shows_by_a_recorded_series_is_not_among_the_rest() -> None:
    assert "step:sparklio_workflow_step_duration_seconds:p95" in json.dumps(panels_of(DASHBOARDS["work"]))
    assert "sparklio_workflow_step_duration_seconds" not in json.dumps(panels_of(DASHBOARDS["others"]))


def test_a_dashboard_without_its_metrics_is_not_written() -> None:
    files = build_kit(LLM, Names(namespace="acme"))
    assert "grafana/dashboards/models.json" in files
    assert "grafana/dashboards/database.json" not in files
    titles = {panel["title"] for panel in panels_of(json.loads(files["grafana/dashboards/models.json"]))}
    assert "Cost an hour, by model" in titles
    assert "Cost of a completed run" not in titles


def test_provisioning_and_compose_name_files_that_there_are() -> None:
    compose: Any = yaml.safe_load((MONITORING / "compose.yml").read_text())
    mounts = [
        mount for service in compose["services"].values() for mount in service["volumes"] if mount.startswith(".")
    ]
    assert mounts
    for mount in mounts:
        assert (MONITORING / mount.split(":")[0]).exists(), mount
    provisioning = MONITORING / "grafana" / "provisioning"
    provider = yaml.safe_load((provisioning / "dashboards" / "dashboards.yml").read_text())["providers"][0]
    assert f"./grafana/dashboards:{provider['options']['path']}:ro" in mounts
    assert "NOT RUN" in (MONITORING / "compose.yml").read_text()
