"""An emitter whose fields are mostly bound beforehand updates the same series, without an event where possible."""

from __future__ import annotations

from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from events import Signal, agent_finished, agent_started, llm_called, pool_read, query_executed, receiver_failed
from metrics import CATALOGUE, OPTIONAL, Subscription, subscribe
from metrics.subscription.receiver import MetricsReceiver
from tests.support.samples import Read

QUERY = {"engine": "main", "operation": "select", "table": "runs", "cache": "hit", "slow": False, "error": "",
         "pool": "main", "own": True}  # fmt: skip


def receiver_of(signal: Signal[..., Any]) -> MetricsReceiver:
    [receiver] = signal.receivers.values()
    assert isinstance(receiver, MetricsReceiver)
    return receiver


@pytest.mark.usefixtures("subscription")
class TestBind:
    def test_amounts_may_be_passed_later(self) -> None:
        assert receiver_of(query_executed).bind(QUERY, ("duration", "rows")) is not None

    def test_fields_that_choose_a_series_must_be_known(self) -> None:
        """A scope may hold one, or the sender may pass it later."""
        known = {"status": "success", "tool_calls": 0}
        assert receiver_of(agent_finished).bind(known, ("duration",)) is None

    def test_what_is_known_may_be_no_more_than_the_fields_that_choose_a_series(self) -> None:
        receiver = receiver_of(query_executed)
        chosen = {name: QUERY[name] for name in receiver._fields}
        assert receiver.bind(chosen, ("duration", "rows")) is not None
        for name in chosen:
            known = {other: value for other, value in chosen.items() if other != name}
            assert receiver.bind({**known, "cache": "hit"}, ("duration", "rows")) is None

    def test_an_amount_that_is_never_passed_needs_the_event(self) -> None:
        assert receiver_of(query_executed).bind(QUERY, ("rows",)) is None

    @pytest.mark.slow
    @pytest.mark.parametrize(
        ("signal", "known"),
        [
            pytest.param(agent_started, {"agent_name": "copywriter"}, id="in flight"),
            pytest.param(pool_read, {"pool": "main"}, id="a gauge"),
        ],
    )
    def test_in_flight_and_plain_gauges_need_the_event(self, signal: Signal[..., Any], known: dict[str, Any]) -> None:
        named = tuple(name for name in signal.event.__dataclass_fields__ if name not in known)  # type: ignore[attr-defined]
        assert receiver_of(signal).bind(known, named) is None


def test_optional_rows_are_updated_too(read: Read, registry: CollectorRegistry) -> None:
    with subscribe((*CATALOGUE, *OPTIONAL), registry, namespace="sparklio"):
        emit = query_executed.bind("duration", "rows", operation="select", table="runs", cache="hit")
        emit((0.002, 3))
        emit((0.2, None))
        assert read("db_rows_total", operation="select", table="runs") == 3
        assert read("db_compiled_cache_total", cache="hit") == 2
        assert read("db_slow_queries_total", operation="select", table="runs") in {0, None}
        assert read("db_query_duration_seconds_count", operation="select", table="runs") == 2
        assert read("events_total", signal="query_executed") == 2


def test_values_past_their_limit_are_counted_each_time(read: Read, registry: CollectorRegistry) -> None:
    with subscribe(
        CATALOGUE, registry, namespace="sparklio", label_limits={"table": 3}, label_values={"table": ["runs"]}
    ):  # with "none" and "system"
        emit = query_executed.bind("duration", operation="select", table="assets")
        emit((0.1,))
        emit((0.1,))
        assert read("db_queries_total", operation="select", table="other") == 2
        assert read("label_overflows_total", metric="sparklio_db_queries_total", label="table") == 2


@pytest.mark.slow
@pytest.mark.parametrize(
    ("amount", "reason"), [(-1.0, "negative"), (float("nan"), "not_finite"), ("1", "not_a_number")]
)
@pytest.mark.usefixtures("subscription")
def test_an_invalid_amount_is_left_out_and_counted(read: Read, amount: Any, reason: str) -> None:
    emit = query_executed.bind("duration", operation="select", table="runs")
    emit((amount,))
    emit((0.5,))
    assert read("db_query_duration_seconds_sum", operation="select", table="runs") == 0.5
    assert read("db_queries_total", operation="select", table="runs") == 2
    metric = "sparklio_db_query_duration_seconds"
    assert read("dropped_values_total", metric=metric, reason=reason) == 1


@pytest.mark.slow
@pytest.mark.lenient
@pytest.mark.parametrize("values", [(), (0.1, 2), None])
@pytest.mark.usefixtures("subscription")
def test_too_many_or_too_few_values_update_nothing(read: Read, values: Any) -> None:
    with receiver_failed.captured() as failures:
        query_executed.bind("duration", operation="select", table="runs")(values)
    assert read("db_queries_total", operation="select", table="runs") in {0, None}
    assert read("events_total", signal="query_executed") == 0
    assert [failure.receiver for failure in failures] == ["metrics"]


@pytest.mark.slow
def test_a_bound_emitter_sees_subscriptions_that_come_and_go(
    subscription: Subscription, registry: CollectorRegistry
) -> None:
    later = CollectorRegistry()
    emit = llm_called.bind("duration", model="m", status="success")
    emit((0.1,))
    with subscribe(CATALOGUE, later, namespace="sparklio"):
        emit((0.2,))
        before = call_count(registry)
        subscription.close()
        emit((0.3,))
        assert (before, call_count(later)) == (2, 2)
    emit((0.4,))


def call_count(registry: CollectorRegistry) -> float | None:
    return registry.get_sample_value("sparklio_events_total", {"signal": "llm_called"})
