"""The tiles and charts of the live page: each is PromQL that holds, and a Prometheus says the same."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from math import isnan
from random import Random
from time import monotonic, sleep, time
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, ProcessCollector, start_http_server

from app.agents.agent_definitions import AGENTS
from app.api.schemas.live import LiveOut
from app.monitoring.live_tables import CHARTS, TILES, listener_kind, listener_name, open_live_numbers
from app.workflows.definitions import WORKFLOWS
from events import (
    LLMCalled,
    agent_finished,
    background,
    connection_acquired,
    database_failed,
    event_loop_probed,
    http_activity_read,
    http_request_finished,
    limit_reached,
    listener_delivered,
    llm_called,
    oldest_workflow_read,
    pool_read,
    query_executed,
    review_decided,
    workflow_finished,
    workflow_limits_read,
    workflow_queue_read,
    workflow_started,
)
from metrics import CATALOGUE, OPTIONAL, subscribe
from metrics.kit.expression_check import check_expression
from metrics.kit.placeholders import Names
from metrics.kit.vocabulary import vocabulary_of
from metrics.live import Chart, Increase, LiveNumbers, Quantile, Rate, Tile
from tests.support.prometheus import Labels, Prometheus, running_prometheus
from tests.support.wait import wait_until

NAMES = Names(namespace="sparklio")
ROWS: tuple[Tile, ...] = (*TILES, *CHARTS)
SHORT = (
    Chart(id="rate", tab="", title="", unit="", shows={"": Rate("workflows_total", by="status", window="10s")}),
    Chart(id="increase", tab="", title="", unit="", shows={"": Increase("llm_tokens_total", by="model", window="10s")}),
    Chart(
        id="quantile",
        tab="",
        title="",
        unit="",
        shows={"": Quantile(0.9, "http_request_duration_seconds", window="10s")},
    ),
)
"""Charts whose window is over before they are asked, so that the rest of it has to be left out."""
TABS = ("queue", "models", "agents", "http", "database", "pipeline")

LIFE = 20.0  # seconds
TOLERANCE = 0.08
"""Prometheus extrapolates to the ends of its window, by up to half the time between two scrapes at each end."""

OF_THE_MACHINE = {"cpu", "memory", "events", "lost"}
"""Charts of the process itself and of its pipeline, which do not stand still while they are asked for."""


def test_there_are_eight_tiles_and_three_charts_or_more_in_each_tab() -> None:
    assert [tile.id for tile in TILES] == [
        "runs", "success", "slots", "queue", "run_time", "tokens", "cost", "wasted",
    ]  # fmt: skip
    assert all(tile.help for tile in TILES)
    assert {tab: sum(chart.tab == tab for chart in CHARTS) >= 3 for tab in TABS} == dict.fromkeys(TABS, True)
    assert {chart.tab for chart in CHARTS} == {*TABS}


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.id)
def test_each_is_promql_that_names_what_exists(row: Tile) -> None:
    known = vocabulary_of(CATALOGUE + OPTIONAL, "sparklio_")
    assert check_expression(row.promql(NAMES), known) == []
    assert {source.family for source in row.sources} <= {name.removeprefix("sparklio_") for name in known.metrics}


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.id)
def test_units_are_those_of_its_series(row: Tile) -> None:
    assert row.units.keys() <= row.shows.keys()
    assert row.unit == "" or row.unit.strip()


def test_a_page_of_the_studio_is_as_its_schema_says() -> None:
    registry = CollectorRegistry()
    with subscribe(CATALOGUE, registry, namespace="sparklio") as subscription:
        page = open_live_numbers(registry, subscription).page()
    assert LiveOut.model_validate(page, strict=True).model_dump() == page


class Ledger:
    def store(self, event: LLMCalled) -> None: ...


def test_listeners_that_the_studio_brings_have_the_names_of_their_modules(monkeypatch: pytest.MonkeyPatch) -> None:
    def write(event: object) -> None: ...

    assert listener_name(write) == listener_name(partial(write)) == write.__qualname__
    assert listener_name(Ledger().store) == "Ledger.store"
    assert listener_kind(write) == "direct"
    monkeypatch.setattr(Ledger, "__module__", "app.listeners.audit_trail.rows")
    monkeypatch.setattr(write, "__module__", "app.listeners.json_log")
    with background(write) as behind:
        assert (listener_name(Ledger().store), listener_name(behind)) == ("audit_trail", "json_log")
        assert listener_kind(behind) == "background"
    assert listener_name(partial(write)) == "json_log"
    assert listener_kind(Ledger().store) == "background", "it hands over to a queue of its own"


@pytest.fixture(scope="module")
def subscribed() -> Iterator[tuple[CollectorRegistry, LiveNumbers]]:
    """A registry with the studio's catalogue, and its live numbers."""
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    values: dict[str, Iterable[str]] = {"agent_name": AGENTS, "workflow_type": WORKFLOWS}
    with subscribe(CATALOGUE, registry, namespace="sparklio", label_values=values) as subscription:
        yield registry, LiveNumbers(registry, subscription, names=NAMES, tiles=TILES, charts=CHARTS + SHORT)


def work(random: Random) -> None:
    """Emit what a tenth of a second of a busy studio does."""
    for status in ("completed", "completed", "completed", "failed", "cancelled"):
        usage: dict[str, Any] = {"prompt_tokens": 100, "completion_tokens": 20, "cost": 0.01}
        workflow_started.emit(run_id="r", workflow_type="campaign", queue_wait=random.uniform(0, 3))
        workflow_finished.emit(
            run_id="r",
            workflow_type="campaign",
            status=status,
            duration=random.uniform(1, 20),
            error_type="tool" if status == "failed" else None,
            **usage,
        )
        for model in ("a", "b"):
            failed = status == "failed"
            llm_called.emit(
                model=model,
                status="error" if failed else "success",
                error_type="connection" if failed else None,
                duration=random.uniform(0.1, 4),
                cost_source="price_table",
                **usage,
            )
    for agent in AGENTS:
        agent_finished.emit(
            agent_name=agent, status="success", duration=random.uniform(0.1, 9), llm_time=0.05, self_time=0.01
        )
    agent_finished.emit(agent_name="editor", status="error", error_type="connection", duration=1.0)
    review_decided.emit(agent_name="reviewer", workflow_type="campaign", verdict="approved")
    for number, outcome in enumerate(("ok", "ok", "client_error")):
        http_request_finished.emit(
            method="GET",
            endpoint=f"/{number}",
            status_code=200 if outcome == "ok" else 404,
            outcome=outcome,  # type: ignore[arg-type]  # one of them
            duration=random.uniform(0.001, 0.5),
        )
    limit_reached.emit(limit="queued_runs")
    query_executed.emit(operation="select", table="runs", duration=random.uniform(0.0001, 0.01), rows=1)
    query_executed.emit(operation="insert", table="steps", duration=random.uniform(0.0001, 0.01), rows=1)
    connection_acquired.emit(pool="main", outcome="ok", duration=random.uniform(0.0001, 0.02), wait=0.0)
    database_failed.emit(phase="execute", error="deadlock", operation="select", table="runs")
    listener_delivered.emit(listener="live_feed", outcome="delivered", count=3)
    event_loop_probed.emit(lag=random.uniform(0.0001, 0.02))


def set_gauges() -> None:
    for workflow, queued, age in (("campaign", 3, 7.0), ("content_review", 1, 2.0)):
        workflow_queue_read.emit(workflow_type=workflow, queued=queued, oldest_age=age)
        oldest_workflow_read.emit(workflow_type=workflow, age=age + 1)
    workflow_limits_read.emit(slots=4, queue=100, run_time=60.0)
    pool_read.emit(pool="main", used=3, idle=2, overflow=0, capacity=15, pending=0)
    http_activity_read.emit(requests=2, websockets=1)


@pytest.fixture(scope="module")
def asked(
    subscribed: tuple[CollectorRegistry, LiveNumbers],
    tmp_path_factory: pytest.TempPathFactory,
    free_port: Callable[[], int],
) -> Iterator[tuple[dict[str, Any], Callable[[str], dict[Labels, float]]]]:
    """Yield the values after some seconds of steady work, and what a Prometheus that saw them says at that moment."""
    registry, numbers = subscribed
    random = Random(7)
    port = free_port()
    server, thread = start_http_server(port, "127.0.0.1", registry)
    try:
        with running_prometheus(
            tmp_path_factory.mktemp("prometheus"), free_port(), f"http://127.0.0.1:{port}/metrics"
        ) as prometheus:
            work(random)  # so that each series is there before it grows
            set_gauges()
            wait_until(lambda: prometheus.query("up"), every=0.1)
            prometheus.wait_for_scrapes(2)
            numbers.sample()
            began, ticks = monotonic(), 0
            while (passed := monotonic() - began) < LIFE:
                while ticks < passed * 10:
                    work(random)
                    ticks += 1
                    if not ticks % 10:
                        numbers.sample()
                sleep(0.02)
            numbers.sample()
            at = time()
            wait_until(lambda: prometheus.query("max(timestamp(up))")[()] > at + 1, every=0.1)
            yield numbers.current()["values"], partial(Prometheus.query, prometheus, at=at)
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.mark.slow
@pytest.mark.needs("prometheus")
@pytest.mark.timeout(180)
@pytest.mark.parametrize(
    "row", [row for row in (*ROWS, *SHORT) if row.id not in OF_THE_MACHINE], ids=lambda row: row.id
)
def test_a_prometheus_says_the_same(
    row: Tile, asked: tuple[dict[str, Any], Callable[[str], dict[Labels, float]]]
) -> None:
    values, query = asked
    said = {name_of(labels): value for labels, value in query(row.promql(NAMES)).items() if not isnan(value)}
    ours = {name: value for name, value in values[row.id].items() if value is not None}
    assert ours, "the studio of this test does it all"
    assert ours == pytest.approx(said, rel=TOLERANCE, abs=1e-9)


def name_of(labels: Labels) -> str:
    """Return what a series is called on the page: by a label's value, the name of its expression, or both."""
    found = dict(labels)
    series = found.pop("series", "")
    return " ".join([*found.values(), *([series] if series else [])]) or "value"
