"""The pages on upgrading and migrating are true: every change that breaks queries, and rules that keep the old ones."""

from __future__ import annotations

import asyncio
import re
import subprocess
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml  # type: ignore[import-untyped]
from fastapi import FastAPI
from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families

from events import llm_attempted, llm_called, tool_called
from events.bridges.asgi import HTTPEventsMiddleware
from metrics import CATALOGUE, OPTIONAL, render, subscribe
from metrics.diagnostics.catalogue_diff import compare, load_listing
from metrics.diagnostics.listing import describe_families
from tests.support.page_snippets import code_blocks

DOCS = Path(__file__).parents[1] / "docs"
UPGRADING, MIGRATE = DOCS / "upgrading.md", DOCS / "migrate.md"
OLD = load_listing(str(Path(__file__).parent / "public_api" / "families-0.1.0.json"))
NAMES = {row.name for row in CATALOGUE + OPTIONAL}
Labels = dict[str, str]


def section(page: Path, title: str) -> str:
    """Return the text of a page below a heading."""
    return page.read_text().partition(f"## {title}\n")[2].partition("\n## ")[0]


def test_every_change_since_the_last_release_that_breaks_queries_is_in_the_table() -> None:
    changes = [
        change for change in compare(OLD, [*describe_families(CATALOGUE + OPTIONAL, "sparklio")]) if change.breaks
    ]
    broken = {(change.family.removeprefix("sparklio_"), change.text.partition(":")[0]) for change in changes}
    listed = re.findall(r"^\| `(\w+)` \| `(\w+)` \|", section(UPGRADING, "New labels"), re.MULTILINE)
    gone = re.findall(r"^\| `(\w+)` \| ([0-9., ]+) \|", section(UPGRADING, "Fewer buckets"), re.MULTILINE)
    assert broken == {(family, f"new label {label}") for family, label in listed} | {
        (family, f"without bucket {bounds}") for family, bounds in gone
    }
    assert len(listed) == 4


def test_the_families_of_the_pages_exist() -> None:
    old = {family["name"].removeprefix("sparklio_") for family in OLD}
    cells = re.findall(r"^\| ([^|]*) \|", section(UPGRADING, "Same name, other meaning"), re.MULTILINE)
    named = {name for cell in cells for name in re.findall(r"`(\w+_\w+)(?:\{[^`]*)?`", cell)}
    assert named
    assert named <= old & NAMES
    of = re.findall(r"^\| `\w+` of `(\w+)`", section(UPGRADING, "New values"), re.MULTILINE)
    assert of
    assert {*of} <= old & NAMES
    cells = re.findall(r"^\| [^|]*`\w+_\w+[^|]*` \|.*$", MIGRATE.read_text(), re.MULTILINE)
    ours = {name for cell in cells for name in re.findall(r"`((?:http|db|llm)_\w+)[^`]*`", cell.split(" | ", 1)[1])}
    theirs = re.compile(r"http_server_|db_client_|http_requests_inprogress")
    assert {name for name in ours if not theirs.match(name)} <= NAMES


def counted() -> CollectorRegistry:
    """Return a registry that has counted a few requests, calls of models and uses of tools."""
    app, registry = FastAPI(), CollectorRegistry()
    app.add_api_route("/items/{item}", lambda item: item)
    app.add_middleware(HTTPEventsMiddleware)
    transport = httpx.ASGITransport(app)

    async def request_all() -> None:
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            for path in ("/items/1", "/items/2", "/nothing"):
                await client.get(path)

    with subscribe(CATALOGUE, registry, namespace="acme"):
        asyncio.run(request_all())
        for provider in ("openai", "azure"):
            llm_called.emit(model="gpt", provider=provider, status="success", duration=1.0)
        for left, model in ((70, "gpt"), (30, "mini")):
            llm_attempted.emit(
                model=model, provider="openai", outcome="success", duration=1.0, limit_requests=100,
                remaining_requests=left,
            )  # fmt: skip
        for server in ("files", "mail"):
            tool_called.emit(tool_name="search", mcp_server=server, status="success", duration=0.1)
        return frozen(registry)


def frozen(registry: CollectorRegistry) -> CollectorRegistry:
    """Return a registry that shows for ever what another one shows now."""
    families = [*text_string_to_metric_families(render(registry).decode())]
    copy = CollectorRegistry()

    class Shown:
        def collect(self) -> Any:
            return families

    copy.register(Shown())
    return copy


RECORDED: dict[str, list[tuple[str, Labels, float]]] = {
    "labels-of-0.1": [
        ("acme_llm_requests_total:v0_1", {"model": "gpt", "status": "success"}, 2),
        ("acme_llm_attempts_total:v0_1", {"provider": "openai", "outcome": "success"}, 2),
        ("acme_llm_rate_limit_remaining:v0_1", {"provider": "openai", "resource": "requests"}, 30),
        ("acme_tool_calls_total:v0_1", {"tool_name": "search", "status": "success"}, 2),
    ],
    "prometheus-fastapi-instrumentator": [
        ("http_requests_total", {"handler": "/items/{item}", "method": "GET", "status": "2xx"}, 2),
        ("http_requests_total", {"handler": "none", "method": "GET", "status": "4xx"}, 1),
        ("http_request_duration_seconds_bucket", {"handler": "/items/{item}", "method": "GET", "le": "+Inf"}, 2),
        ("http_request_duration_highr_seconds_bucket", {"le": "+Inf"}, 3),
        ("http_requests_inprogress", {}, 0),
    ],
    "starlette_exporter": [
        (
            "starlette_requests_total",
            {"app_name": "starlette", "path": "/items/{item}", "method": "GET", "status_code": "200"},
            2,
        ),
        (
            "starlette_request_duration_seconds_bucket",
            {"app_name": "starlette", "path": "/items/{item}", "method": "GET", "le": "+Inf"},
            2,
        ),
        ("starlette_requests_in_progress", {"app_name": "starlette"}, 0),
    ],
    "opentelemetry": [
        (
            "http_server_request_duration_seconds_bucket",
            {"http_route": "/items/{item}", "http_request_method": "GET", "le": "+Inf"},
            2,
        ),
        (
            "http_server_request_duration_seconds_count",
            {"http_route": "/items/{item}", "http_request_method": "GET", "http_response_status_code": "200"},
            2,
        ),
        ("http_server_active_requests", {}, 0),
    ],
}
"""By the group of rules: what Prometheus records of what `counted` counts."""


def written(name: str, labels: Labels) -> str:
    """Return a series, or what selects it, as Prometheus writes it."""
    return name + "{" + ",".join(f'{label}="{value}"' for label, value in labels.items()) + "}"


@pytest.mark.slow
@pytest.mark.needs("promtool")
def test_the_rules_record_under_the_old_names_what_the_new_families_have(tmp_path: Path) -> None:
    """As a real Prometheus evaluates them, on what `/metrics` shows."""
    series = [
        {
            "series": written(sample.name, sample.labels | {"job": "shop", "instance": "a"}),
            "values": f"{sample.value}+0x8",
        }
        for family in counted().collect()
        for sample in family.samples
        if not sample.name.endswith("_created")
    ]
    blocks = [block for page in (UPGRADING, MIGRATE) for block in code_blocks("yaml", page)]
    groups = {yaml.safe_load(block)["groups"][0]["name"]: block for block in blocks}
    assert groups.keys() == RECORDED.keys()
    for group, block in groups.items():
        (tmp_path / "rules.yml").write_text(block)
        assert {name for name, _, _ in RECORDED[group]} == {
            rule["record"] for rule in yaml.safe_load(block)["groups"][0]["rules"]
        }
        asked = [
            {
                "expr": f"sum({written(name, labels | {'job': 'shop', 'instance': 'a'})})",
                "eval_time": "1m",
                "exp_samples": [{"labels": "{}", "value": value}],
            }
            for name, labels, value in RECORDED[group]
        ]
        tests = [{"interval": "15s", "input_series": series, "promql_expr_test": asked}]
        (tmp_path / "tests.yml").write_text(
            yaml.safe_dump({"rule_files": ["rules.yml"], "evaluation_interval": "15s", "tests": tests})
        )
        ran = subprocess.run(
            ["promtool", "test", "rules", "tests.yml"], cwd=tmp_path, capture_output=True, text=True, check=False
        )
        assert ran.returncode == 0, ran.stdout + ran.stderr
