"""Events move instruments: exactly, within bounds, complete at zero, whatever a row or a value does."""

from __future__ import annotations

import threading
from collections import Counter as Tally
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from events import (
    agent_finished,
    agent_run,
    agent_started,
    context_built,
    http_request_finished,
    llm_called,
    receiver_failed,
    tool_called,
    workflow_finished,
    workflow_resumed,
    workflow_run,
    workflow_started,
)
from metrics import CATALOGUE, LABEL_LIMITS, Subscription, counter, in_flight, subscribe
from metrics.subscription.label_limits import LabelLimiter
from metrics.subscription.receiver import MetricsReceiver
from metrics.subscription.series import FamilySeries
from tests.support.samples import Read, samples

HELP = "A test's own."


def finish(agent_name: str = "copywriter", status: Any = "success", duration: float = 1.0) -> None:
    agent_finished.emit(agent_name=agent_name, status=status, duration=duration)


@pytest.mark.usefixtures("subscription")
class TestCounting:
    def test_an_event_moves_every_row_that_listens(self, read: Read) -> None:
        finish(duration=2.5)
        assert read("agent_executions_total", agent_name="copywriter", status="success") == 1
        assert read("agent_execution_duration_seconds_sum", agent_name="copywriter") == 2.5
        assert read("agent_execution_duration_seconds_bucket", agent_name="copywriter", le="5.0") == 1
        assert read("agent_execution_duration_seconds_bucket", agent_name="copywriter", le="2.0") == 0

    def test_rows_with_constant_labels_share_one_instrument(self, read: Read) -> None:
        llm_called.emit(model="m", status="success", duration=1.0, prompt_tokens=30, completion_tokens=7)
        assert read("llm_tokens_total", model="m", token_type="prompt") == 30
        assert read("llm_tokens_total", model="m", token_type="completion") == 7

    def test_unknown_is_not_nought(self, read: Read) -> None:
        llm_called.emit(model="m", status="success", duration=1.0, prompt_tokens=None, completion_tokens=0)
        assert read("llm_tokens_total", model="m", token_type="prompt") == 0
        assert read("dropped_values_total", metric="sparklio_llm_tokens_total", reason="not_a_number") is None

    def test_a_row_applies_only_where_it_says(self, read: Read) -> None:
        llm_called.emit(model="m", status="error", duration=1.0)
        assert read("llm_request_duration_seconds_count", model="m") == 0
        llm_called.emit(model="m", status="success", duration=1.0)
        assert read("llm_request_duration_seconds_count", model="m") == 1

    def test_every_signal_tells_when_it_was_last_emitted(self, read: Read) -> None:
        assert read("events_total", signal="tool_called") == 0
        assert read("last_event_timestamp_seconds", signal="tool_called") == 0
        tool_called.emit(tool_name="brand_facts", status="success", duration=0.1)
        assert read("events_total", signal="tool_called") == 1
        stamp = read("last_event_timestamp_seconds", signal="tool_called")
        assert stamp is not None
        assert stamp > 1_700_000_000

    def test_threads_lose_no_count(self, read: Read) -> None:
        together = threading.Barrier(8)

        def work(number: int) -> None:
            together.wait()
            for _ in range(500):
                finish(f"agent {number % 3}")

        threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        counts = [read("agent_executions_total", agent_name=f"agent {n}", status="success") for n in range(3)]
        assert counts == [1500, 1500, 1000]


class TestZeroes:
    def test_what_is_known_beforehand_exists_at_zero(self, registry: CollectorRegistry, read: Read) -> None:
        with subscribe(
            CATALOGUE,
            registry,
            namespace="sparklio",
            label_values={"agent_name": ["copywriter"], "workflow_type": ["campaign"]},
        ):
            assert read("agent_executions_total", agent_name="copywriter", status="timeout") == 0
            assert read("agent_execution_duration_seconds_count", agent_name="copywriter") == 0
            assert read("workflows_total", workflow_type="campaign", status="abandoned") == 0
            assert read("active_workflows", workflow_type="campaign") == 0

    def test_what_becomes_known_later_exists_at_zero_from_then(self, subscription: Subscription, read: Read) -> None:
        assert read("llm_tokens_total", model="m", token_type="prompt") is None
        subscription.initialize(model=["m"])
        assert read("llm_tokens_total", model="m", token_type="prompt") == 0

    @pytest.mark.usefixtures("subscription")
    def test_a_value_learned_brings_its_closed_siblings(self, read: Read) -> None:
        finish("newcomer", status="success")
        assert read("agent_executions_total", agent_name="newcomer", status="error") == 0

    @pytest.mark.usefixtures("subscription")
    def test_the_http_product_is_never_made(self, registry: CollectorRegistry) -> None:
        http_request_finished.emit(method="GET", endpoint="/health", status_code=200, outcome="ok", duration=0.1)
        assert [labels for labels, _ in samples(registry, "http_requests_total")] == [
            {"method": "GET", "endpoint": "/health", "status_code": "200"}
        ]

    def test_more_known_values_than_the_bound_are_refused(self, registry: CollectorRegistry) -> None:
        many = [f"m{number}" for number in range(LABEL_LIMITS["model"] + 1)]
        with pytest.raises(ValueError, match=r"label 'model' can't take 'm12'.* past the limit of 12"):
            subscribe(CATALOGUE, registry, namespace="sparklio", label_values={"model": many})
        assert list(registry.collect()) == []


class TestBounds:
    def test_past_the_bound_only_the_offending_value_folds(self, registry: CollectorRegistry) -> None:
        row = counter("runs_total", HELP, agent_finished, labels=("agent_name", "status"))
        with subscribe([row], registry, namespace="sparklio", label_limits={"agent_name": 50}):
            for number in range(1000):
                finish(f"agent {number}", status="error" if number % 2 else "success")
            totals: Tally[str] = Tally()
            for labels, value in samples(registry, "runs_total"):
                totals[labels["status"]] += int(value)
            assert totals == {"error": 500, "success": 500, "timeout": 0, "cancelled": 0}
            assert registry.get_sample_value("sparklio_runs_total", {"agent_name": "other", "status": "error"}) == 475
            assert len(list(samples(registry, "runs_total"))) <= row.most_series({"agent_name": 50})

    def test_a_fold_is_counted(self, registry: CollectorRegistry, read: Read) -> None:
        with subscribe(CATALOGUE, registry, namespace="sparklio", label_limits={"agent_name": 1}):
            finish("first")
            finish("second")
            finish("second")
            metric = "sparklio_agent_executions_total"
            assert read("label_overflows_total", metric=metric, label="agent_name") == 2

    def test_values_past_the_bound_are_not_kept(self) -> None:
        row = counter("runs_total", HELP, agent_finished, labels=("agent_name",))
        labels = LabelLimiter({"agent_name": 1})
        receiver = MetricsReceiver(agent_finished, [(row, FamilySeries(row, "runs_total", labels))], [], labels)
        with agent_finished.connected_to(receiver):
            finish("first")
            for number in range(1000):
                finish(f"flood {number}")
        assert list(receiver._compiled) == ["first"]

    def test_a_value_that_folds_folds_in_every_family(self, registry: CollectorRegistry, read: Read) -> None:
        with subscribe(CATALOGUE, registry, namespace="sparklio", label_limits={"agent_name": 1}):
            context_built.emit(agent_name="first", size=10)
            finish("second")
            assert read("agent_executions_total", agent_name="other", status="success") == 1

    @pytest.mark.usefixtures("subscription")
    def test_a_value_outside_a_closed_set_is_other(self, read: Read) -> None:
        finish(status="exploded")
        assert read("agent_executions_total", agent_name="copywriter", status="other") == 1
        assert read("label_overflows_total", metric="sparklio_agent_executions_total", label="status") == 1

    @pytest.mark.usefixtures("subscription")
    @pytest.mark.parametrize("nothing", [None, ""])
    def test_a_missing_value_is_unknown(self, read: Read, nothing: Any) -> None:
        finish(nothing)
        assert read("agent_executions_total", agent_name="unknown", status="success") == 1

    def test_the_overflow_of_the_overflow_counter_does_not_tell_itself(self, registry: CollectorRegistry) -> None:
        with subscribe(
            CATALOGUE, registry, namespace="sparklio", label_limits={"agent_name": 0, "metric": 0, "label": 0}
        ):
            finish()
            assert registry.get_sample_value(
                "sparklio_label_overflows_total", {"metric": "other", "label": "other"}
            ) == len({row.name for row in CATALOGUE if agent_finished in row.signals})

    def test_an_open_label_without_a_bound_is_refused(self, registry: CollectorRegistry) -> None:
        row = counter("calls_total", HELP, llm_called, labels=("requested_model",))
        with pytest.raises(ValueError, match="label 'requested_model' has no limit; add it to subscribe"):
            subscribe([row], registry, namespace="sparklio")


@pytest.mark.usefixtures("subscription")
class TestHostileValues:
    @pytest.mark.parametrize(
        "name", ["x" * 10_000_000, "lone \ud800 surrogate", "nul \0 byte"], ids=["ten megabytes", "surrogate", "nul"]
    )
    def test_a_value_that_no_scraper_could_read_is_other(
        self, registry: CollectorRegistry, read: Read, name: str
    ) -> None:
        finish(name)
        assert read("agent_executions_total", agent_name="other", status="success") == 1
        assert len(generate_latest(registry)) < 100_000

    def test_quotes_newlines_and_backslashes_come_back_as_they_went(self, registry: CollectorRegistry) -> None:
        odd = 'say "hi"\n\\ and é漢🎉'
        finish(odd)
        text = generate_latest(registry).decode()
        names = {
            sample.labels["agent_name"]
            for family in text_string_to_metric_families(text)
            if family.name == "sparklio_agent_executions"
            for sample in family.samples
        }
        assert odd in names

    @pytest.mark.parametrize(
        ("bad", "reason"),
        [
            (float("nan"), "not_finite"),
            (float("inf"), "not_finite"),
            (float("-inf"), "not_finite"),
            (-1.0, "negative"),
            ("soon", "not_a_number"),
        ],
    )
    def test_a_measure_that_is_no_sensible_number_is_left_out_and_counted(
        self, read: Read, bad: Any, reason: str
    ) -> None:
        finish(duration=bad)
        finish(duration=2.0)
        metric = "agent_execution_duration_seconds"
        assert read(f"{metric}_sum", agent_name="copywriter") == 2.0
        assert read(f"{metric}_count", agent_name="copywriter") == 1
        assert read("dropped_values_total", metric=f"sparklio_{metric}", reason=reason) == 1
        assert read("agent_executions_total", agent_name="copywriter", status="success") == 2

    @pytest.mark.lenient
    def test_a_value_that_can_not_be_a_key_harms_neither_sender_nor_others(self, read: Read) -> None:
        finish(["a", "list"])  # type: ignore[arg-type]
        assert read("events_total", signal="agent_finished") == 1
        assert read("agent_executions_total", agent_name="['a', 'list']", status="success") == 1


class Broken:
    """What a broken number looks like from here."""

    def inc(self, _: float) -> None:
        raise ZeroDivisionError

    def get(self) -> float:
        return 0.0


class TestFailures:
    @pytest.mark.lenient
    def test_a_row_that_fails_does_not_starve_the_others(self, registry: CollectorRegistry, read: Read) -> None:
        with subscribe(CATALOGUE, registry, namespace="sparklio") as live, receiver_failed.captured() as failures:
            live.collector("agent_execution_duration_seconds").labels("copywriter")._sum = Broken()
            finish()
            finish()
            name = "sparklio_agent_execution_duration_seconds"
            assert read("agent_executions_total", agent_name="copywriter", status="success") == 2
            assert [failure.receiver for failure in failures] == [name] * 2
            assert read("receiver_failures_total", signal="agent_finished", receiver=name) == 2

    def test_in_strict_mode_it_is_seen(self, registry: CollectorRegistry) -> None:
        with subscribe(CATALOGUE, registry, namespace="sparklio") as live:
            live.collector("agent_execution_duration_seconds").labels("copywriter")._sum = Broken()
            with pytest.raises(ZeroDivisionError):
                finish()

    def test_rows_of_one_name_must_agree(self, registry: CollectorRegistry) -> None:
        rows = [
            counter("runs_total", "One.", agent_finished, labels=("agent_name",)),
            counter("runs_total", "Two.", agent_finished, labels=("agent_name",)),
        ]
        with pytest.raises(ValueError, match="runs_total: two rows of this name differ in help"):
            subscribe(rows, registry, namespace="sparklio")

    @pytest.mark.lenient
    def test_a_misspelt_field_is_counted_not_raised(self, registry: CollectorRegistry, read: Read) -> None:
        with subscribe(CATALOGUE, registry, namespace="sparklio"):
            llm_called.emit(modle="m", status="success", duration=1.0)  # type: ignore[call-arg]
            assert read("receiver_failures_total", signal="llm_called", receiver="emit") == 1


class TestInFlight:
    ROW = in_flight("agents", HELP, agent_run, labels=("agent_name",))

    @pytest.fixture
    def agents(self, registry: CollectorRegistry) -> Iterator[dict[str, float]]:
        class Agents(dict[str, float]):
            def __missing__(self, name: str) -> float:
                value = registry.get_sample_value("sparklio_agents", {"agent_name": name})
                assert value is not None, f"no series for {name}"
                return value

        with subscribe([self.ROW], registry, namespace="sparklio", label_limits={"agent_name": 5}):
            yield Agents()

    def test_it_is_the_number_of_open_spans(self, agents: dict[str, float]) -> None:
        with agent_run(agent_name="a"), agent_run(agent_name="a"):
            assert agents["a"] == 2
        assert agents["a"] == 0

    def test_it_survives_folding_out_of_order(self, agents: dict[str, float], registry: CollectorRegistry) -> None:
        names = [f"agent {number}" for number in range(60)]
        for name in names:
            agent_started.emit(execution_id=name, agent_name=name)
        assert sum(value for _, value in samples(registry, "agents")) == 60
        for name in reversed(names):
            agent_finished.emit(execution_id=name, agent_name=name, status="success", duration=1.0)
        assert {value for _, value in samples(registry, "agents")} == {0.0}

    def test_an_end_without_its_start_moves_nothing(self, agents: dict[str, float]) -> None:
        agent_finished.emit(execution_id="from before", agent_name="a", status="success", duration=1.0)
        assert agents["a"] == 0

    def test_a_start_told_twice_is_one_and_a_second_end_is_nothing(self, agents: dict[str, float]) -> None:
        for _ in range(2):
            agent_started.emit(execution_id="1", agent_name="a")
        assert agents["a"] == 1
        for _ in range(2):
            agent_finished.emit(execution_id="1", agent_name="a", status="success", duration=1.0)
        assert agents["a"] == 0

    def test_an_end_told_under_another_name_closes_what_was_opened(self, agents: dict[str, float]) -> None:
        agent_started.emit(execution_id="1", agent_name="a")
        agent_finished.emit(execution_id="1", agent_name="b", status="success", duration=1.0)
        assert agents["a"] == 0

    @pytest.mark.usefixtures("subscription")
    def test_a_resumed_workflow_is_active_and_ends_once(self, read: Read) -> None:
        workflow_resumed.emit(run_id="1", workflow_type="campaign")
        assert read("active_workflows", workflow_type="campaign") == 1
        workflow_finished.emit(run_id="1", workflow_type="campaign", status="completed", duration=1.0)
        assert read("active_workflows", workflow_type="campaign") == 0
        assert read("workflows_total", workflow_type="campaign", status="completed") == 1

    @pytest.mark.usefixtures("subscription")
    def test_a_workflow_span_is_active_while_it_runs(self, read: Read) -> None:
        with workflow_run(run_id="1", workflow_type="campaign"):
            assert read("active_workflows", workflow_type="campaign") == 1
        assert read("active_workflows", workflow_type="campaign") == 0


class TestClosing:
    def test_a_closed_subscription_leaves_no_receiver_and_no_instrument(self, registry: CollectorRegistry) -> None:
        live = subscribe(CATALOGUE, registry, namespace="sparklio")
        live.close()
        live.close()
        assert list(registry.collect()) == []
        assert not any(
            getattr(receiver, "__qualname__", "") == "metrics" and receiver in [own for _, own in live._receivers]
            for receiver in workflow_started.receivers.values()
        )

    def test_a_registry_can_be_subscribed_again(self, registry: CollectorRegistry, read: Read) -> None:
        subscribe(CATALOGUE, registry, namespace="sparklio").close()
        with subscribe(CATALOGUE, registry, namespace="sparklio"):
            finish()
            assert read("agent_executions_total", agent_name="copywriter", status="success") == 1

    def test_two_registries_count_apart(self, registry: CollectorRegistry) -> None:
        other = CollectorRegistry()
        labels = {"agent_name": "copywriter", "status": "success"}
        with subscribe(CATALOGUE, registry, namespace="sparklio"):
            finish()
            with subscribe(CATALOGUE, other, namespace="acme"):
                finish()
            assert registry.get_sample_value("sparklio_agent_executions_total", labels) == 2
        assert other.get_sample_value("acme_agent_executions_total", labels) is None

    def test_a_registry_that_holds_the_name_already_is_left_as_it_was(self, registry: CollectorRegistry) -> None:
        with subscribe(CATALOGUE, registry, namespace="sparklio") as first:
            with pytest.raises(ValueError, match="sparklio_http_requests"):
                subscribe(CATALOGUE, registry, namespace="sparklio")
            finish()
            labels = {"agent_name": "copywriter", "status": "success"}
            assert registry.get_sample_value("sparklio_agent_executions_total", labels) == 1
            assert first.collector("agent_executions_total") is not None


STATUSES = st.sampled_from(["success", "error", "timeout", "cancelled", "strange"])


@given(told=st.lists(st.tuples(st.text(max_size=3), STATUSES), max_size=60), bound=st.integers(0, 5))
def test_no_event_is_lost_and_no_bound_is_passed(told: list[tuple[str, str]], bound: int) -> None:
    """Whatever names and statuses come, the series add up to the events and stay within the row's own figure."""
    registry = CollectorRegistry()
    row = counter("runs_total", HELP, agent_finished, labels=("agent_name", "status"))
    with subscribe([row], registry, namespace="sparklio", label_limits={"agent_name": bound}):
        for name, status in told:
            finish(name, status)
        values = [value for _, value in samples(registry, "runs_total")]
    assert sum(values) == len(told)
    assert len(values) <= row.most_series({"agent_name": bound})
