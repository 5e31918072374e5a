"""Trouble has series at 0 as soon as it is known who can be in trouble, so that its first increase is seen."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import pytest
from blinker import Namespace
from fastapi import FastAPI
from fastapi.testclient import TestClient
from prometheus_client import CollectorRegistry
from prometheus_client import Metric as Family
from prometheus_client.registry import Collector
from sqlalchemy import create_engine, text

from events import (
    Label,
    LLMCalled,
    Signal,
    add_announcer,
    background,
    event_dropped,
    http_request_finished,
    label_overflowed,
    llm_called,
    receiver_failed,
    tool_called,
)
from events.bridges.asgi import HTTPEventsMiddleware
from events.bridges.sqlalchemy import instrument
from events.bus.log_throttle import LogThrottle
from events.bus.scope import Scope, use_scope
from metrics import DATABASE, GROUPS, HTTP, PIPELINE, TOOLS, counter, histogram, render, subscribe
from tests.support.samples import Read


@dataclass(frozen=True, slots=True, kw_only=True)
class Rated:
    """An answer of a model was rated."""

    model: Label


rated = Signal(Rated, namespace=Namespace())


def watch(event: LLMCalled) -> None:
    raise RuntimeError(event.model)


def watch_failures(_: object) -> None: ...


def series(registry: CollectorRegistry, name: str) -> dict[tuple[str, ...], float]:
    """Return the values of a family's series, by those of their labels."""
    return {
        tuple(sample.labels.values()): sample.value
        for family in registry.collect()
        for sample in family.samples
        if sample.name == f"sparklio_{name}"
    }


@pytest.mark.lenient
@pytest.mark.parametrize("connected_first", [True, False])
def test_a_listener_that_may_fail_has_a_series_once_it_is_connected(
    registry: CollectorRegistry, connected_first: bool
) -> None:
    if connected_first:
        llm_called.connect(watch)
    with subscribe(PIPELINE, registry, namespace="sparklio"):
        if not connected_first:
            assert series(registry, "receiver_failures_total") == {}
            llm_called.connect(watch)
        assert series(registry, "receiver_failures_total") == {("llm_called", "watch"): 0}
        assert series(registry, "events_dropped_total") == {}
        llm_called.emit(model="m", status="success", duration=1.0)
        assert series(registry, "receiver_failures_total") == {("llm_called", "watch"): 1}
    llm_called.disconnect(watch)


def test_a_listener_in_the_background_may_drop_events_too(registry: CollectorRegistry) -> None:
    with (
        subscribe(PIPELINE, registry, namespace="sparklio"),
        background(watch) as receiver,
        llm_called.connected_to(receiver),
    ):
        assert series(registry, "events_dropped_total") == {("llm_called", "watch"): 0}
        assert series(registry, "receiver_failures_total") == {("llm_called", "watch"): 0}


def test_no_listener_of_failures_is_announced_to_fail_at_them(registry: CollectorRegistry) -> None:
    """Its failures are not emitted, else there would be no end of them."""
    with (
        subscribe(PIPELINE, registry, namespace="sparklio"),
        receiver_failed.connected_to(watch_failures),
        background(watch_failures) as receiver,
        event_dropped.connected_to(receiver),
        llm_called.captured(),
    ):
        assert series(registry, "receiver_failures_total") == {("event_dropped", "watch_failures"): 0}
        assert series(registry, "events_dropped_total") == {}


def test_more_listeners_than_the_label_has_room_for_leave_the_rest_out(registry: CollectorRegistry) -> None:
    """Nothing overflows by that: an overflow is a sample that was counted under ``other``."""
    listeners = [background(watch, size=number + 1) for number in range(3)]
    names = []
    for number, listener in enumerate(listeners):
        listener.__qualname__ = f"listener{number}"
        names.append(listener.__qualname__)
    with (
        label_overflowed.captured() as overflows,
        subscribe(PIPELINE, registry, namespace="sparklio", label_limits={"receiver": 2}),
    ):
        for listener in listeners:
            llm_called.connect(listener)
        assert series(registry, "receiver_failures_total") == {("llm_called", name): 0 for name in names[:2]}
        assert overflows == []
    for listener in listeners:
        llm_called.disconnect(listener)
        listener.close()


def use_tools(*names: str) -> None:
    for name in names:
        tool_called.emit(tool_name=name, status="success", duration=0.1)


def test_each_label_that_fills_up_has_a_series_before_it_overflows(registry: CollectorRegistry) -> None:
    with subscribe(TOOLS + PIPELINE, registry, namespace="sparklio", label_limits={"tool_name": 4}):
        use_tools("a")
        assert not {pair for pair in series(registry, "label_overflows_total") if "tool" in pair[0]}
        use_tools("b")
        pairs = series(registry, "label_overflows_total")
        assert {pair for pair in pairs if "tool" in pair[0]} == {
            ("sparklio_tool_calls_total", "tool_name"),
            ("sparklio_tool_call_duration_seconds", "tool_name"),
        }
        assert set(pairs.values()) == {0}
        use_tools("c", "d", "e")
        assert series(registry, "label_overflows_total")["sparklio_tool_calls_total", "tool_name"] == 1


def test_labels_of_pairs_and_shared_ones_fill_up_too(registry: CollectorRegistry) -> None:
    limits = {"mcp_server": 8, "tool_name": 2, "model": 1}
    mine = (counter("ratings_total", "Ratings.", rated, labels=("model",)),)
    rows = (TOOLS[0], *GROUPS["llm"], *mine, *PIPELINE)
    with subscribe(rows, registry, namespace="sparklio", label_limits=limits, shared_labels=["model"]):
        for server in ("x", "y"):
            tool_called.emit(mcp_server=server, tool_name="a", status="success", duration=0.1)
        llm_called.emit(model="m", status="success", duration=1.0)
        pairs = series(registry, "label_overflows_total")
        assert pairs["sparklio_tool_calls_total", "tool_name"] == 0
        assert pairs["sparklio_ratings_total", "model"] == 0


def test_families_of_a_subscription_to_come_are_announced_to_those_that_there_are(registry: CollectorRegistry) -> None:
    other, late, later = (CollectorRegistry() for _ in range(3))
    with (
        subscribe(PIPELINE, registry, namespace="sparklio"),
        subscribe(TOOLS, other, namespace="acme", label_limits={"tool_name": 1}),
        subscribe(PIPELINE, late, namespace="sparklio"),
    ):
        use_tools("a")
        render(other)
        assert ("acme_tool_calls_total", "tool_name") in series(late, "label_overflows_total")
        with subscribe(PIPELINE, later, namespace="sparklio"):
            assert ("acme_tool_calls_total", "tool_name") in series(later, "label_overflows_total")
        assert ("acme_tool_calls_total", "tool_name") in series(registry, "label_overflows_total")


def test_every_kind_of_trouble_is_among_the_events_from_the_start(subscription: object, read: Read) -> None:
    for name in ("receiver_failed", "value_dropped", "collector_failed", "query_repeated", "database_failed"):
        assert read("events_total", signal=name) == 0
        assert read("last_event_timestamp_seconds", signal=name) is None


class Broken(Collector):
    """A collector of an application that fails."""

    def describe(self) -> Iterable[Family]:
        """Return no family."""
        return ()

    def collect(self) -> Iterable[Family]:
        """Fail."""
        raise RuntimeError


@pytest.mark.lenient
def test_a_collector_of_ones_own_has_a_series_from_the_first_scrape(registry: CollectorRegistry) -> None:
    with subscribe(PIPELINE, registry, namespace="sparklio"):
        registry.register(Broken())
        assert b'sparklio_collector_failures_total{collector="Broken"} 0.0\n' in render(registry)
        assert series_of_text(render(registry)) == ["Broken"]


def series_of_text(text: bytes) -> list[str]:
    """Return the collectors whose failures are counted."""
    lines = text.decode().splitlines()
    return [line.split('"')[1] for line in lines if line.startswith("sparklio_collector_failures_total{")]


@pytest.mark.parametrize("instrumented_first", [True, False])
def test_a_pool_has_its_series_once_its_engine_is_instrumented(
    registry: CollectorRegistry, read: Read, instrumented_first: bool
) -> None:
    engine = create_engine("sqlite://")
    handle = instrument(engine, "reports") if instrumented_first else None
    with subscribe(DATABASE, registry, namespace="sparklio"):
        handle = handle or instrument(engine, "reports")
        for name, labels in (
            ("db_pool_timeouts_total", {}),
            ("db_connections_leaked_total", {}),
            ("db_pool_transactions_total", {"outcome": "failed"}),
        ):
            assert read(name, pool="reports", **labels) == 0
        handle.close()


def test_a_statement_that_may_repeat_has_a_series_when_its_table_is_first_asked_for(
    registry: CollectorRegistry,
) -> None:
    engine = create_engine("sqlite://")
    with subscribe(DATABASE, registry, namespace="sparklio"), instrument(engine):
        with use_scope(Scope({}, None, {}, "agent"), end_on_exit=True), engine.begin() as connection:
            connection.execute(text("create table notes (id integer)"))
            connection.execute(text("select id from notes"))
            assert series(registry, "db_repeated_queries_total")["agent", "notes"] == 0
            for _ in range(5):
                connection.execute(text("select id from notes"))
        assert series(registry, "db_repeated_queries_total")["agent", "notes"] == 1


def test_the_first_500_of_an_endpoint_has_a_series_with_its_first_answer(registry: CollectorRegistry) -> None:
    with subscribe(HTTP, registry, namespace="sparklio"):
        for status in (200, 404):
            http_request_finished.emit(
                method="GET", endpoint="/items", status_code=status, outcome="ok", duration=0.1, streamed=False
            )
        shown = {labels[2]: value for labels, value in series(registry, "http_requests_total").items()}
        assert shown == {"200": 1, "404": 1, "500": 0}


def test_the_500_of_an_endpoint_can_be_announced_before_its_first_answer(registry: CollectorRegistry) -> None:
    with subscribe(HTTP, registry, namespace="sparklio"):
        http_request_finished.announce(method="GET", endpoint="/items")
        assert {labels[2]: value for labels, value in series(registry, "http_requests_total").items()} == {"500": 0}


def test_what_is_expected_is_a_label_of_the_row_and_can_come() -> None:
    with pytest.raises(TypeError, match="'tool_name' is in expected, but is no label of the row"):
        counter("uses_total", "Uses.", tool_called, labels=("status",), expected={"tool_name": ("search",)})
    with pytest.raises(TypeError, match="'failed' is expected of 'status', which is never that; it is one of success"):
        counter("uses_total", "Uses.", tool_called, labels=("status",), expected={"status": ("failed",)})


def test_of_a_closed_label_the_expected_values_are_all_that_exist_at_0(registry: CollectorRegistry) -> None:
    row = counter(
        "uses_total", "Uses.", tool_called, labels=("tool_name", "status"), expected={"status": ("success", "error")}
    )
    with subscribe((row,), registry, namespace="sparklio", label_values={"tool_name": ["a"]}):
        assert series(registry, "uses_total") == {("a", "success"): 0, ("a", "error"): 0}
        tool_called.emit(tool_name="b", status="timeout", duration=0.1)
        tool_called.announce(tool_name="c")
        shown = series(registry, "uses_total")
        assert {status for tool, status in shown if tool == "b"} == {"success", "error", "timeout"}
        assert {status for tool, status in shown if tool == "c"} == {"success", "error"}


def test_of_a_row_that_is_not_initialized_they_exist_once_the_other_labels_occur(registry: CollectorRegistry) -> None:
    row = counter(
        "uses_total",
        "Uses.",
        tool_called,
        labels=("tool_name", "status"),
        initialize=False,
        expected={"status": ("success", "error")},
    )
    with subscribe((row,), registry, namespace="sparklio", label_values={"tool_name": ["a"]}):
        assert series(registry, "uses_total") == {}
        use_tools("b")
        assert series(registry, "uses_total") == {("b", "success"): 1, ("b", "error"): 0}


def test_a_histogram_begins_with_its_first_observation_unless_its_row_says_otherwise(
    registry: CollectorRegistry,
) -> None:
    took: Any = {"value": "duration", "labels": ("tool_name",), "buckets": (1,)}
    rows = [
        histogram("took_seconds", "Time.", tool_called, **took),
        histogram("initialized_seconds", "Time.", tool_called, initialize=True, **took),
    ]
    with subscribe(rows, registry, namespace="sparklio", label_values={"tool_name": ["a"]}):
        tool_called.announce(tool_name="b")
        assert series(registry, "took_seconds_count") == {}
        assert series(registry, "initialized_seconds_count") == {("a",): 0, ("b",): 0}
        use_tools("a")
        assert series(registry, "took_seconds_count") == {("a",): 1}


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"mcp_server": "none", "tool_name": "search"}, 4),
        ({"mcp_server": "none", "tool_name": "search", "status": "error"}, 1),
        ({"mcp_server": "none", "tool_name": "search", "status": "wrong"}, 0),
        ({"tool_name": "search"}, 0),
        ({"duration": 1.0}, 0),
    ],
)
def test_an_announced_event_has_its_series_and_no_other(
    fields: dict[str, Any], expected: int, registry: CollectorRegistry
) -> None:
    with subscribe(TOOLS, registry, namespace="sparklio"):
        tool_called.announce(**fields)
        tool_called.announce(**fields)
        assert list(series(registry, "tool_calls_total").values()) == [0] * expected


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"tool_name": "search"}, "sparklio_tool_calls_total needs mcp_server too"),
        ({"status": "error"}, "sparklio_tool_calls_total needs mcp_server and tool_name too"),
        ({"duration": 1.0}, "sparklio_tool_calls_total needs mcp_server and tool_name too"),
        (
            {"mcp_server": "none", "tool_name": "search", "status": "wrong"},
            "sparklio_tool_calls_total has no status 'wrong'; it is one of cancelled, error, success, timeout",
        ),
    ],
)
def test_an_announcement_that_creates_nothing_says_what_it_lacks_once(
    fields: dict[str, Any],
    reason: str,
    registry: CollectorRegistry,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("metrics.subscription.announced_series._throttle", LogThrottle())
    with subscribe([row for row in TOOLS if "calls" in row.name], registry, namespace="sparklio"):
        for _ in range(2):
            tool_called.announce(**fields)
            tool_called._announced[1].clear()
    [line] = [record.getMessage() for record in caplog.records]
    assert line.startswith("tool_called.announce(")
    assert reason in line


@pytest.mark.parametrize("announced", ["announce", "announce_failures"])
def test_a_field_that_the_event_does_not_have_is_refused(announced: str) -> None:
    announce = tool_called.announce if announced == "announce" else lambda **f: tool_called.announce_failures([f])
    with pytest.raises(TypeError, match=rf"{announced}\(\): ToolCalled has no field 'tool'; it has tool_name"):
        announce(tool="search")


@pytest.mark.parametrize("name", GROUPS)
def test_what_bridges_announce_is_understood_by_every_group(
    name: str, registry: CollectorRegistry, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("metrics.subscription.announced_series._throttle", LogThrottle())
    engine = create_engine("sqlite://")
    app = FastAPI()
    app.get("/items")(lambda: None)
    app.add_middleware(HTTPEventsMiddleware)
    with subscribe(GROUPS[name], registry, namespace="sparklio"), instrument(engine):
        TestClient(app).get("/items")
        with use_scope(Scope({}, None, {}, "agent"), end_on_exit=True), engine.begin() as connection:
            connection.execute(text("select 1"))
    assert [record.getMessage() for record in caplog.records if record.name == "metrics"] == []


def test_failures_are_announced_together_or_not_at_all(registry: CollectorRegistry) -> None:
    failures = [{"mcp_server": "none", "tool_name": name, "status": "error"} for name in ("a", "b", "c")]
    with subscribe(TOOLS, registry, namespace="sparklio", label_limits={"tool_name": 2}):
        tool_called.announce_failures(failures)
        assert series(registry, "tool_calls_total") == {}
        tool_called.announce_failures(failures[:2])
        assert set(series(registry, "tool_calls_total").values()) == {0}
        assert len(series(registry, "tool_calls_total")) == 2
        assert series(registry, "tool_call_duration_seconds_count") == {}


@pytest.mark.lenient
def test_an_announcer_that_fails_is_reported_and_stops_no_subscription(registry: CollectorRegistry) -> None:
    def fail() -> None:
        raise RuntimeError

    remove = add_announcer(fail)
    with receiver_failed.captured() as failures, subscribe(TOOLS, registry, namespace="sparklio"):
        assert [(failure.signal, failure.error) for failure in failures] == [("subscribe", "RuntimeError")]
    remove()
    with receiver_failed.captured() as failures, subscribe(TOOLS, CollectorRegistry(), namespace="sparklio"):
        assert failures == []


def test_announcements_of_one_signal_are_bounded(subscription: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("events.bus.signal.MAX_ANNOUNCED", 2)
    signal: Signal[..., Any] = tool_called
    for number in range(4):
        signal.announce(mcp_server="none", tool_name=f"tool {number}")
    assert len(signal._announced[1]) == 2
