"""Exemplars of histograms: whose they are, where they are shown, and what they cost where there are none."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Mapping
from decimal import Decimal
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.openmetrics.parser import text_string_to_metric_families
from prometheus_client.samples import Exemplar

from events import agent_run, http_request_finished, llm_called, query_executed, receiver_failed
from metrics import CATALOGUE, Subscription, Workers, scrape, subscribe
from metrics.subscription import exemplar_updates

OPENMETRICS = "application/openmetrics-text; version=1.0.0"


class CurrentTrace:
    """What an application that traces passes: the ids of the current span."""

    def __init__(self) -> None:
        self.trace_id = ""
        self.asked = 0

    def __call__(self) -> Mapping[str, str] | None:
        self.asked += 1
        return {"trace_id": self.trace_id, "span_id": "b7ad6b7169203331"} if self.trace_id else None


@pytest.fixture
def trace() -> CurrentTrace:
    return CurrentTrace()


@pytest.fixture
def traced(registry: CollectorRegistry, trace: CurrentTrace) -> Iterator[Subscription]:
    with subscribe(CATALOGUE, registry, namespace="acme") as subscription:
        subscription.add_exemplars(trace)
        yield subscription


def shown(registry: CollectorRegistry, name: str) -> dict[str, Exemplar]:
    """Return the exemplars that a scraper sees in a family's buckets, by their upper bounds."""
    text = scrape(registry, OPENMETRICS).body.decode()
    return {
        sample.labels["le"]: sample.exemplar
        for family in text_string_to_metric_families(text)  # type: ignore[no-untyped-call]
        for sample in family.samples
        if sample.name == f"{name}_bucket" and sample.exemplar is not None
    }


LATENCY = "acme_llm_request_duration_seconds"


@pytest.mark.usefixtures("traced")
class TestShown:
    def test_a_bucket_names_the_trace_of_an_observation_in_it(
        self, registry: CollectorRegistry, trace: CurrentTrace
    ) -> None:
        for trace.trace_id, duration in (("a" * 32, 0.02), ("b" * 32, 7.5)):
            llm_called.emit(model="m", status="success", duration=duration)
        found = shown(registry, LATENCY)
        assert [(each.labels["trace_id"][0], each.value) for each in found.values()] == [("a", 0.02), ("b", 7.5)]
        for bound, each in found.items():
            assert each.value <= float(bound)
            assert each.labels["span_id"] == "b7ad6b7169203331"
            assert each.timestamp

    def test_a_span_that_is_not_sampled_is_no_exemplar(self, registry: CollectorRegistry, trace: CurrentTrace) -> None:
        llm_called.emit(model="m", status="success", duration=0.02)
        assert trace.asked
        assert shown(registry, LATENCY) == {}

    def test_text_has_none(self, registry: CollectorRegistry, trace: CurrentTrace) -> None:
        trace.trace_id = "a" * 32
        llm_called.emit(model="m", status="success", duration=0.02)
        assert b"trace_id" not in scrape(registry, "text/plain").body
        assert b"trace_id" in scrape(registry, OPENMETRICS).body

    def test_a_bucket_gets_another_exemplar_after_a_second(
        self, registry: CollectorRegistry, trace: CurrentTrace, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        found = []
        for seconds, trace.trace_id in ((10.0, "a"), (10.9, "b"), (11.1, "c"), (5.0, "d")):  # the clock is set back
            monkeypatch.setattr(exemplar_updates, "time", lambda seconds=seconds: seconds)
            llm_called.emit(model="m", status="success", duration=0.02)
            [exemplar] = shown(registry, LATENCY).values()
            found.append(exemplar.labels["trace_id"])
        assert found == ["a", "a", "c", "d"]

    def test_emitters_that_were_bound_before_have_them_too(
        self, registry: CollectorRegistry, traced: Subscription, trace: CurrentTrace
    ) -> None:
        end = traced.add_exemplars(lambda: None)
        emit = query_executed.bind("duration", "rows", operation="select", table="runs")
        emit((0.2, 1))
        assert shown(registry, "acme_db_query_duration_seconds") == {}
        trace.trace_id = "a"
        traced.add_exemplars(trace)
        emit((0.2, 1))
        [exemplar] = shown(registry, "acme_db_query_duration_seconds").values()
        assert (exemplar.value, exemplar.labels["trace_id"]) == (0.2, "a")
        end()
        trace.trace_id = "b"
        emit((99.0, 1))
        assert len(shown(registry, "acme_db_query_duration_seconds")) == 1
        assert (
            registry.get_sample_value("acme_db_query_duration_seconds_count", {"operation": "select", "table": "runs"})
            == 3
        )

    @pytest.mark.parametrize("amount", [7, Decimal("7.5"), True])
    def test_any_number_may_be_observed(self, registry: CollectorRegistry, trace: CurrentTrace, amount: float) -> None:
        trace.trace_id = "a"
        llm_called.emit(model="m", status="success", duration=amount)
        [exemplar] = shown(registry, LATENCY).values()
        assert exemplar.value == float(amount)

    @pytest.mark.parametrize("amount", [None, float("nan"), -1.0, 1e300])
    def test_what_is_not_observed_is_no_exemplar(
        self, registry: CollectorRegistry, trace: CurrentTrace, amount: float | None
    ) -> None:
        trace.trace_id = "a"
        llm_called.emit(model="m", status="success", duration=amount)
        assert shown(registry, LATENCY) == {}


@pytest.mark.lenient
@pytest.mark.parametrize(
    "labels",
    [{"trace-id": "a"}, {"": "a"}, {"trace_id": "a" * 121}, {"trace_id": 7}],
    ids=["a name", "no name", "too long", "no text"],
)
def test_labels_that_prometheus_would_refuse_are_no_exemplar(
    registry: CollectorRegistry, labels: dict[str, str]
) -> None:
    """It would refuse the whole response, and with it every number."""
    with subscribe(CATALOGUE, registry, namespace="acme") as subscription, receiver_failed.captured() as failures:
        subscription.add_exemplars(lambda: labels)
        llm_called.emit(model="m", status="success", duration=0.02)
        assert shown(registry, LATENCY) == {}
        assert {failure.receiver for failure in failures} == {"exemplars"}


@pytest.mark.lenient
def test_what_a_function_raises_loses_no_observation(registry: CollectorRegistry) -> None:
    def fail() -> None:
        raise OSError

    with subscribe(CATALOGUE, registry, namespace="acme") as subscription, receiver_failed.captured() as failures:
        subscription.add_exemplars(fail)
        llm_called.emit(model="m", status="success", duration=0.02)
        assert registry.get_sample_value(f"{LATENCY}_count", {"model": "m"}) == 1
        assert failures


def test_without_exemplars_an_update_is_what_it_was(registry: CollectorRegistry, trace: CurrentTrace) -> None:
    """The compiled function itself, with nothing around it."""
    with subscribe(CATALOGUE, registry, namespace="acme") as subscription:
        [receiver] = [each for signal, each in subscription._receivers if signal is llm_called]

        def updates() -> list[str]:
            receiver._updates.compiled.clear()
            llm_called.emit(model="m", status="success", duration=0.02)
            return [update.__code__.co_filename for update, _ in receiver._updates.compiled.values()]

        [before] = updates()
        assert before.startswith("<metrics update ")
        end = subscription.add_exemplars(trace)
        assert updates() == [exemplar_updates.__file__]
        end()
        assert updates() == [before]


OTHER_WORKER = """
import sys
from pathlib import Path
from prometheus_client import CollectorRegistry
from events import llm_called
from metrics import CATALOGUE, Workers, subscribe

subscription = subscribe(CATALOGUE, CollectorRegistry(), namespace="acme", workers=Workers(Path(sys.argv[1])))
subscription.add_exemplars(lambda: {"trace_id": "a" * 32})
llm_called.emit(model="m", status="success", duration=0.02)
"""


@pytest.mark.slow
def test_the_exemplars_of_several_workers_are_shown_by_each(
    registry: CollectorRegistry, trace: CurrentTrace, tmp_path: Path
) -> None:
    """Those of one that has ended as well, as its numbers are."""
    subprocess.run([sys.executable, "-c", OTHER_WORKER, tmp_path], check=True)
    workers = Workers(tmp_path)
    with subscribe(CATALOGUE, registry, namespace="acme", workers=workers) as subscription:
        subscription.add_exemplars(trace)
        trace.trace_id = "b" * 32
        llm_called.emit(model="m", status="success", duration=7.5)
        assert registry.get_sample_value(f"{LATENCY}_count", {"model": "m"}) == 2
        assert [each.labels["trace_id"][0] for each in shown(registry, LATENCY).values()] == ["a", "b"]
    workers.close()


def test_an_agents_time_and_a_requests_have_them(
    registry: CollectorRegistry, traced: Subscription, trace: CurrentTrace
) -> None:
    trace.trace_id = "a"
    with agent_run(agent_name="writer"):
        pass
    emit = http_request_finished.bind(
        "duration", method="GET", endpoint="/", status_code=200, outcome="ok", streamed=False, error=""
    )
    emit((0.2,))
    for name in ("acme_agent_execution_duration_seconds", "acme_http_request_duration_seconds"):
        assert len(shown(registry, name)) == 1
