"""Events update series exactly, and a metric that fails does not starve the others."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from events import (
    agent_finished,
    llm_called,
    receiver_failed,
    tool_called,
)
from metrics import CATALOGUE, counter, subscribe
from metrics.rows import info
from metrics.subscription.compiled_updates import CompiledUpdates
from metrics.subscription.receiver import MetricsReceiver
from tests.support.agents import finish_agent
from tests.support.samples import Read, samples

HELP = "A test's own."


@pytest.mark.usefixtures("subscription")
def test_an_event_updates_every_row_of_its_signal(read: Read) -> None:
    finish_agent(duration=2.5)
    assert read("agent_executions_total", agent_name="copywriter", status="success") == 1
    assert read("agent_execution_duration_seconds_sum", agent_name="copywriter") == 2.5
    assert read("agent_execution_duration_seconds_bucket", agent_name="copywriter", le="5.0") == 1
    assert read("agent_execution_duration_seconds_bucket", agent_name="copywriter", le="2.0") == 0


@pytest.mark.slow
@pytest.mark.usefixtures("subscription")
def test_rows_with_constant_labels_share_one_family(read: Read) -> None:
    llm_called.emit(model="m", status="success", duration=1.0, prompt_tokens=30, completion_tokens=7)
    assert read("llm_tokens_total", model="m", token_type="prompt") == 30
    assert read("llm_tokens_total", model="m", token_type="completion") == 7


@pytest.mark.slow
@pytest.mark.usefixtures("subscription")
def test_unknown_is_not_zero(read: Read) -> None:
    llm_called.emit(model="m", status="success", duration=1.0, prompt_tokens=None, completion_tokens=0)
    assert read("llm_tokens_total", model="m", token_type="prompt") == 0
    assert read("dropped_values_total", metric="sparklio_llm_tokens_total", reason="not_a_number") is None


@pytest.mark.usefixtures("subscription")
def test_a_row_applies_only_to_events_that_meet_its_where(read: Read) -> None:
    llm_called.emit(model="m", status="error", duration=1.0)
    assert read("llm_request_duration_seconds_count", model="m") is None
    llm_called.emit(model="m", status="success", duration=1.0)
    assert read("llm_request_duration_seconds_count", model="m") == 1


@pytest.mark.usefixtures("subscription")
def test_the_time_of_each_signals_last_event_is_shown(read: Read) -> None:
    assert read("events_total", signal="tool_called") == 0
    assert read("last_event_timestamp_seconds", signal="tool_called") == 0
    tool_called.emit(tool_name="brand_facts", status="success", duration=0.1)
    assert read("events_total", signal="tool_called") == 1
    stamp = read("last_event_timestamp_seconds", signal="tool_called")
    assert stamp is not None
    assert stamp > 1_700_000_000


@pytest.mark.slow
@pytest.mark.usefixtures("subscription")
def test_threads_lose_no_count(read: Read) -> None:
    together = threading.Barrier(8)

    def work(number: int) -> None:
        together.wait()
        for _ in range(500):
            finish_agent(f"agent {number % 3}")

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    counts = [read("agent_executions_total", agent_name=f"agent {n}", status="success") for n in range(3)]
    assert counts == [1500, 1500, 1000]


@pytest.mark.usefixtures("subscription")
@pytest.mark.lenient
def test_an_unhashable_label_value_is_counted_as_its_text(read: Read) -> None:
    finish_agent(["a", "list"])  # type: ignore[arg-type]
    assert read("events_total", signal="agent_finished") == 1
    assert read("agent_executions_total", agent_name="['a', 'list']", status="success") == 1


class Broken:
    """A value object that cannot be incremented."""

    def inc(self, _: float) -> None:
        raise ZeroDivisionError

    def get(self) -> float:
        return 0.0


@pytest.mark.lenient
def test_a_metric_that_fails_does_not_starve_the_others(registry: CollectorRegistry, read: Read) -> None:
    with subscribe(CATALOGUE, registry, namespace="sparklio") as live, receiver_failed.captured() as failures:
        live.collector("agent_execution_duration_seconds").labels("copywriter")._sum = Broken()
        finish_agent()
        finish_agent()
        name = "sparklio_agent_execution_duration_seconds"
        assert read("agent_executions_total", agent_name="copywriter", status="success") == 2
        assert [failure.receiver for failure in failures] == [name] * 2
        assert read("receiver_failures_total", signal="agent_finished", receiver=name) == 2


def test_in_strict_mode_a_failure_reaches_the_sender(registry: CollectorRegistry) -> None:
    with subscribe(CATALOGUE, registry, namespace="sparklio") as live:
        live.collector("agent_execution_duration_seconds").labels("copywriter")._sum = Broken()
        with pytest.raises(ZeroDivisionError):
            finish_agent()


@pytest.mark.lenient
def test_a_misspelt_field_is_counted_not_raised(registry: CollectorRegistry, read: Read) -> None:
    with subscribe(CATALOGUE, registry, namespace="sparklio"):
        llm_called.emit(modle="m", status="success", duration=1.0)  # type: ignore[call-arg]
        assert read("receiver_failures_total", signal="llm_called", receiver="emit") == 1


def test_what_an_event_updates_is_compiled_once_and_again_only_after_too_many_others(
    registry: CollectorRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    compiled: list[str] = []
    plan = MetricsReceiver.plan

    def record(self: MetricsReceiver, fields: Mapping[str, Any], *others: Any) -> Any:
        compiled.append(fields["agent_name"])
        return plan(self, fields, *others)

    monkeypatch.setattr(MetricsReceiver, "plan", record)
    monkeypatch.setattr(CompiledUpdates, "MAX_CACHED", 2)
    rows = [counter("runs_total", "Runs.", agent_finished, labels=("agent_name",))]
    with subscribe(rows, registry, namespace="sparklio"):
        for name in "abab":
            finish_agent(name)
        assert compiled == ["a", "b"]
        for name in "ccab":
            finish_agent(name)
        assert compiled == ["a", "b", "c", "a", "b"]
        counted = {labels["agent_name"]: value for labels, value in samples(registry, "runs_total")}
        assert counted == {"a": 3, "b": 3, "c": 2}


def test_an_event_that_lacks_an_optional_label_is_none_of_the_rows(registry: CollectorRegistry, read: Read) -> None:
    rows = [
        info("model_info", "Names.", llm_called, labels=("model", "response_model"), nested_in={}),
        counter("calls_total", "Calls.", llm_called, labels=("model",)),
    ]
    limits = {"response_model": 3}
    with subscribe(rows, registry, namespace="sparklio", label_limits=limits):
        llm_called.emit(model="m", status="success", duration=1.0)
        assert list(samples(registry, "model_info")) == []
        llm_called.emit(model="m", status="success", duration=1.0, response_model="m-1")
        assert list(samples(registry, "model_info")) == [({"model": "m", "response_model": "m-1"}, 1.0)]
        assert read("calls_total", model="m") == 2
