"""A label takes a limited number of values; every further one, and one that no scraper could read, is ``other``."""

from __future__ import annotations

from collections import Counter as Tally
from concurrent.futures import ThreadPoolExecutor
from threading import Event
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from events import LabelOverflowed, agent_finished, context_built, label_overflowed, llm_called
from metrics import CATALOGUE, counter, subscribe
from metrics.rows import OTHER
from metrics.subscription.label_limits import MAX_LENGTH, LabelLimiter, is_valid
from metrics.subscription.overflows import Overflows
from metrics.subscription.receiver import MetricsReceiver
from metrics.subscription.series import FamilySeries
from tests.support.agents import finish_agent
from tests.support.samples import Read, samples

OVERFLOWS = next(row for row in CATALOGUE if row.name == "label_overflows_total")
HELP = "A test's own."


@pytest.mark.slow
def test_past_the_limit_only_that_label_becomes_other(registry: CollectorRegistry) -> None:
    row = counter("runs_total", HELP, agent_finished, labels=("agent_name", "status"))
    with subscribe([row], registry, namespace="sparklio", label_limits={"agent_name": 50}):
        for number in range(1000):
            finish_agent(f"agent {number}", status="error" if number % 2 else "success")
        totals: Tally[str] = Tally()
        for labels, value in samples(registry, "runs_total"):
            totals[labels["status"]] += int(value)
        assert totals == {"error": 500, "success": 500, "timeout": 0, "cancelled": 0}
        assert registry.get_sample_value("sparklio_runs_total", {"agent_name": "other", "status": "error"}) == 475
        assert len(list(samples(registry, "runs_total"))) <= row.most_series({"agent_name": 50})


def test_an_overflow_is_counted(registry: CollectorRegistry, read: Read) -> None:
    with subscribe(CATALOGUE, registry, namespace="sparklio", label_limits={"agent_name": 1}):
        finish_agent("first")
        finish_agent("second")
        finish_agent("second")
        metric = "sparklio_agent_executions_total"
        assert read("label_overflows_total", metric=metric, label="agent_name") == 2


@pytest.mark.parametrize("workflow_type", ["text", 1])
def test_the_text_other_is_no_overflow(workflow_type: Any, registry: CollectorRegistry, read: Read) -> None:
    """Not after one either, nor beside a number in a field of text."""
    row = counter("runs_total", HELP, agent_finished, labels=("agent_name", "workflow_type"))
    with subscribe([row, OVERFLOWS], registry, namespace="sparklio", label_limits={"agent_name": 1}):
        for name in ("first", "second", OTHER):
            agent_finished.emit(agent_name=name, status="success", duration=1.0, workflow_type=workflow_type)
        assert read("runs_total", agent_name=OTHER, workflow_type=str(workflow_type)) == 2
        assert read("label_overflows_total", metric="sparklio_runs_total", label="agent_name") == 1


def test_ever_new_values_past_the_limit_take_one_entry() -> None:
    row = counter("runs_total", HELP, agent_finished, labels=("agent_name", "status"))
    labels = LabelLimiter({"agent_name": 1})
    family = FamilySeries(row, "runs_total", labels)
    receiver = MetricsReceiver(agent_finished, [(row, family)], [], labels)
    with agent_finished.connected_to(receiver):
        finish_agent("first")
        for number in range(1000):
            finish_agent(f"flood {number}")
    assert list(receiver._updates.compiled) == [("first", "success")]
    assert list(receiver._updates.folded) == [(OTHER, "success")]
    assert family.collector.labels(OTHER, "success")._value.get() == 1000


@pytest.mark.lenient
def test_ever_new_values_outside_a_closed_set_take_one_entry(registry: CollectorRegistry, read: Read) -> None:
    row = counter("runs_total", HELP, agent_finished, labels=("agent_name", "status"))
    with subscribe([row, OVERFLOWS], registry, namespace="sparklio", label_limits={"agent_name": 1}) as subscription:
        for number in range(1000):
            finish_agent("first", status=f"exploded {number}")
        assert read("runs_total", agent_name="first", status=OTHER) == 1000
        assert read("label_overflows_total", metric="sparklio_runs_total", label="status") == 1000
        [receiver] = [each for signal, each in subscription._receivers if signal is agent_finished]
        assert len(receiver._updates.folded) == 1
        assert not receiver._updates.compiled


def test_the_first_overflow_is_emitted_at_once_and_the_others_at_a_render(registry: CollectorRegistry) -> None:
    row = counter("runs_total", HELP, agent_finished, labels=("agent_name",))
    with (
        label_overflowed.captured() as overflows,
        subscribe([row], registry, namespace="sparklio", label_limits={"agent_name": 1}),
    ):
        finish_agent("first")
        for number in range(5):
            finish_agent(f"past {number}")
        assert [event.count for event in overflows] == [1]
        list(registry.collect())
        list(registry.collect())
        assert [event.count for event in overflows] == [1, 4]
        finish_agent("past 1")
        assert [event.count for event in overflows] == [1, 4]
    assert [event.count for event in overflows] == [1, 4, 1]  # as the subscription is closed
    assert overflows[0] == LabelOverflowed(metric="sparklio_runs_total", label="agent_name")


def test_the_first_overflow_is_emitted_at_once_also_after_renders() -> None:
    """An emitter that is bound beforehand is rendered before it has emitted anything."""
    overflows = Overflows([("runs_total", "agent_name")])
    with label_overflowed.captured() as emitted:
        overflows.emit()
        overflows.emit()
        assert emitted == []
        overflows.add()
        overflows.add()
        assert [event.count for event in emitted] == [1]
        overflows.emit()
    assert [event.count for event in emitted] == [1, 1]


def test_an_event_that_a_row_does_not_count_is_no_overflow_of_it(registry: CollectorRegistry, read: Read) -> None:
    rows = [
        counter("runs_total", HELP, agent_finished, labels=("agent_name",)),
        counter("failures_total", HELP, agent_finished, labels=("agent_name",), where={"status": "error"}),
        OVERFLOWS,
    ]
    with subscribe(rows, registry, namespace="sparklio", label_limits={"agent_name": 0}):
        for status in ("success", "success", "error"):
            finish_agent("past", status=status)
        assert read("label_overflows_total", metric="sparklio_runs_total", label="agent_name") == 3
        assert read("label_overflows_total", metric="sparklio_failures_total", label="agent_name") == 1


@pytest.mark.slow
def test_no_overflow_is_lost_or_counted_twice_while_threads_render(registry: CollectorRegistry, read: Read) -> None:
    row = counter("runs_total", HELP, agent_finished, labels=("agent_name",))
    done = Event()

    def render() -> None:
        while not done.is_set():
            list(registry.collect())

    with subscribe([row, OVERFLOWS], registry, namespace="sparklio", label_limits={"agent_name": 0}):
        with ThreadPoolExecutor() as pool:
            rendering = [pool.submit(render) for _ in range(2)]
            list(pool.map(finish_agent, (f"past {number}" for number in range(2000))))
            done.set()
            for each in rendering:
                each.result()
        assert read("runs_total", agent_name=OTHER) == 2000
        assert read("label_overflows_total", metric="sparklio_runs_total", label="agent_name") == 2000


def test_a_value_past_the_limit_is_other_in_every_family(registry: CollectorRegistry, read: Read) -> None:
    with subscribe(CATALOGUE, registry, namespace="sparklio", label_limits={"agent_name": 1}):
        context_built.emit(agent_name="first", size=10)
        finish_agent("second")
        assert read("agent_executions_total", agent_name="other", status="success") == 1


@pytest.mark.lenient
@pytest.mark.usefixtures("subscription")
def test_a_value_outside_a_closed_set_is_other(read: Read) -> None:
    finish_agent(status="exploded")
    assert read("agent_executions_total", agent_name="copywriter", status="other") == 1
    assert read("label_overflows_total", metric="sparklio_agent_executions_total", label="status") == 1


@pytest.mark.slow
@pytest.mark.usefixtures("subscription")
@pytest.mark.parametrize("nothing", [None, ""])
def test_a_missing_value_is_unknown(read: Read, nothing: Any) -> None:
    finish_agent(nothing)
    assert read("agent_executions_total", agent_name="unknown", status="success") == 1


@pytest.mark.parametrize("nothing", [None, ""])
def test_a_missing_value_is_unknown_past_the_limit_too(registry: CollectorRegistry, read: Read, nothing: Any) -> None:
    with subscribe(CATALOGUE, registry, namespace="sparklio", label_limits={"agent_name": 1}):
        for name in ("writer", "judge", "editor", nothing):
            finish_agent(name)
        assert read("agent_executions_total", agent_name=OTHER, status="success") == 2
        assert read("agent_executions_total", agent_name="unknown", status="success") == 1


def test_an_overflow_of_the_overflow_counter_emits_nothing(registry: CollectorRegistry) -> None:
    with subscribe(CATALOGUE, registry, namespace="sparklio", label_limits={"agent_name": 0, "metric": 0, "label": 0}):
        finish_agent()
        assert registry.get_sample_value(
            "sparklio_label_overflows_total", {"metric": "other", "label": "other"}
        ) == len(
            {
                row.name
                for row in CATALOGUE
                if agent_finished in row.signals and row.where in ({}, {"status": "success"})
            }
        )


def test_an_open_label_without_a_limit_is_an_error(registry: CollectorRegistry) -> None:
    row = counter("calls_total", HELP, llm_called, labels=("requested_model",))
    with pytest.raises(ValueError, match="label 'requested_model' has no limit; add it to subscribe"):
        subscribe([row], registry, namespace="sparklio")


@pytest.mark.slow
@pytest.mark.usefixtures("subscription")
@pytest.mark.parametrize(
    "name", ["x" * 10_000_000, "lone \ud800 surrogate", "nul \0 byte"], ids=["ten megabytes", "surrogate", "nul"]
)
def test_a_value_that_no_scraper_could_read_is_other(registry: CollectorRegistry, read: Read, name: str) -> None:
    finish_agent(name)
    assert read("agent_executions_total", agent_name="other", status="success") == 1
    assert len(generate_latest(registry)) < 1_000_000


@pytest.mark.usefixtures("subscription")
def test_quotes_newlines_and_backslashes_are_read_back_unchanged(registry: CollectorRegistry) -> None:
    name = 'say "hi"\n\\ and é漢🎉'
    finish_agent(name)
    text = generate_latest(registry).decode()
    names = {
        sample.labels["agent_name"]
        for family in text_string_to_metric_families(text)
        if family.name == "sparklio_agent_executions"
        for sample in family.samples
    }
    assert name in names


STATUSES = st.sampled_from(["success", "error", "timeout", "cancelled", "strange"])


@pytest.mark.lenient
@pytest.mark.slow
@given(runs=st.lists(st.tuples(st.text(max_size=3), STATUSES), max_size=60), limit=st.integers(0, 5))
def test_no_event_is_lost_and_no_limit_is_passed(runs: list[tuple[str, str]], limit: int) -> None:
    """Whatever names and statuses come, the series add up to the events and stay within the row's ``most_series``."""
    registry = CollectorRegistry()
    row = counter("runs_total", HELP, agent_finished, labels=("agent_name", "status"))
    with subscribe([row], registry, namespace="sparklio", label_limits={"agent_name": limit}):
        for name, status in runs:
            finish_agent(name, status)
        values = [value for _, value in samples(registry, "runs_total")]
    assert sum(values) == len(runs)
    assert len(values) <= row.most_series({"agent_name": limit})


def test_a_value_of_two_hundred_characters_is_the_longest_name() -> None:
    limiter = LabelLimiter({"model": 5})
    for size, admitted in ((200, True), (201, False)):
        value = "x" * size
        assert limiter.other_test("model")(value) is not admitted
        assert (limiter.admit("model", value) == value) is admitted


def test_whether_a_value_would_be_other_is_asked_without_admitting_it() -> None:
    limiter = LabelLimiter({"model": 1})
    assert not limiter.other_test("model")("a")
    assert not limiter.other_test("model")("b")
    assert limiter.admit("model", "a") == "a"
    assert [limiter.other_test("model")(value) for value in ("a", "b", "unknown", "other", None, 7)] == [
        False, True, False, False, False, True,
    ]  # fmt: skip


def test_values_that_are_known_beforehand_are_admitted_or_refused() -> None:
    limiter = LabelLimiter({"model": 2})
    assert limiter.admit_all("model", ["a", None, True]) == ("a", "unknown", "true")  # type: ignore[list-item]
    with pytest.raises(ValueError, match="label 'model' can't take 'b': unfit, or past the limit of 2"):
        limiter.admit_all("model", ["b"])


@pytest.mark.parametrize(
    ("value", "valid"),
    [("a" * MAX_LENGTH, True), ("a" * (MAX_LENGTH + 1), False), ("", True), ("a\0b", False), ("\ud800", False)],
)
def test_a_value_that_a_scraper_can_read_back_is_valid(value: str, valid: bool) -> None:
    assert MAX_LENGTH == 200
    assert is_valid(value) is valid
    assert LabelLimiter({"model": 1}).other_test("model")(value) is not valid
    assert LabelLimiter({"model": 1}).admit("model", value) == (value if valid else OTHER)


def test_a_label_has_room_for_as_many_values_as_its_limit_with_those_that_it_has() -> None:
    limiter = LabelLimiter({"model": 2})
    assert limiter.has_room("model", ["a", "b", "a"])
    assert not limiter.has_room("model", ["a", "b", "c"])
    limiter.admit("model", "a")
    assert limiter.has_room("model", ["b"])
    assert limiter.has_room("model", ["a", "b"])
    assert not limiter.has_room("model", ["b", "c"])


def test_pairs_of_a_nested_label_have_room_of_their_own() -> None:
    limiter = LabelLimiter({"model": 2})
    limiter.admit("model", "a", "openai")
    assert limiter.has_room("model", [("openai", "a"), ("azure", "a")])
    assert not limiter.has_room("model", [("openai", "b"), ("azure", "a")])
    assert limiter.has_room("model", ["b"])
    assert not limiter.has_room("model", ["b", "c"])


def test_a_value_is_other_once_the_label_is_full_and_not_one_that_it_has() -> None:
    limiter = LabelLimiter({"model": 2})
    limiter.admit("model", "a")
    assert not limiter.other_test("model")("b")
    assert not limiter.other_test("model")("c")  # nothing was admitted by that
    limiter.admit("model", "b")
    assert [limiter.other_test("model")(each) for each in ("a", "b", "c", "unknown", "other", 7, "", None)] == [
        False, False, True, False, False, True, False, False,
    ]  # fmt: skip


def test_values_that_are_known_beforehand_are_admitted_as_text() -> None:
    limiter = LabelLimiter({"model": 2})
    assert limiter.admit_all("model", ["a", 7]) == ("a", "7")  # type: ignore[list-item]  # an enumeration for example
    assert limiter.admit("model", "b") == OTHER
