"""Metrics count the same from the fields of an emission as from the event."""

from __future__ import annotations

import linecache
from collections.abc import Callable, Iterable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from functools import partial
from math import inf, nan
from types import MappingProxyType
from typing import Any
from unittest.mock import Mock

import pytest
from blinker import Namespace
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from events import (
    LLMCalled,
    Signal,
    llm_attempted,
    llm_call_started,
    llm_called,
    query_executed,
    receiver_failed,
    value_dropped,
)
from events.bus import prepared_receivers
from events.bus.prepared_receivers import PreparedReceivers
from metrics import DATABASE, LLM, counter, subscribe
from metrics.fastpath.update import SlowPath
from metrics.subscription import compiled_updates
from metrics.subscription.compiled_updates import CompiledUpdates
from metrics.subscription.receiver import MetricsReceiver

amounts = st.sampled_from([None, 0, 1, 250, 0.5, float("nan"), -1, "3", Decimal("0.25"), 1e30, True])
calls = st.fixed_dictionaries(
    {
        "model": st.sampled_from(["m1", "m2", "", 5, ["unhashable"]]),
        "status": st.sampled_from(["success", "error", "unheard of"]),
        "duration": amounts,
    },
    optional={
        "provider": st.sampled_from(["p", "q"]),
        "agent_name": st.sampled_from(["writer", "judge"]),
        "prompt_tokens": amounts,
        "completion_tokens": amounts,
        "cost": amounts,
        "input_cost": amounts,
        "cost_source": st.sampled_from([None, "provider", "unpriced"]),
        "usage_source": st.sampled_from([None, "estimated"]),
        "error_type": st.sampled_from([None, "timeout"]),
        "finish_reason": st.sampled_from([None, "stop"]),
        "itemized": st.booleans(),
        "output_fault": st.sampled_from([None, "empty"]),
        "call_id": st.sampled_from(["", "c1"]),
    },
)


def samples(
    calls: Iterable[Mapping[str, Any]],
    calls_before_preparing: float,
    *,
    with_listener: bool = False,
    limits: Mapping[str, int] = MappingProxyType({"agent_name": 1}),
) -> tuple[dict[Any, float], list[Any]]:
    """Return what a subscription shows after some calls, each of which is emitted three times, and what it dropped."""
    registry = CollectorRegistry()
    with (
        pytest.MonkeyPatch.context() as patch,
        subscribe(LLM, registry, namespace="acme", label_limits=limits),
        value_dropped.captured() as dropped,
        llm_called.captured() if with_listener else nullcontext(),
    ):
        patch.setattr(PreparedReceivers, "CALLS_BEFORE_PREPARING", calls_before_preparing)
        for call in calls:
            for _ in range(3):
                llm_called.emit(**call)
        return {
            (sample.name, *sorted(sample.labels.items())): sample.value
            for family in registry.collect()
            for sample in family.samples
            if not sample.name.endswith(("_created", "_timestamp_seconds"))
        }, sorted((each.metric, each.reason) for each in dropped)


@pytest.mark.slow
@pytest.mark.lenient
@settings(max_examples=15, deadline=None)
@given(st.lists(calls, max_size=5))
def test_a_catalogue_shows_the_same_with_and_without_events(calls: list[dict[str, Any]]) -> None:
    expected = samples(calls, inf)
    assert samples(calls, 0) == expected
    assert samples(calls, 0, with_listener=True) == expected


USUAL: dict[str, Any] = {
    "model": "m1",
    "status": "success",
    "duration": 1.5,
    "prompt_tokens": 7,
    "completion_tokens": 250,
    "cost": 0.5,
    "input_cost": 0.25,
    "cost_source": "provider",
    "call_id": "c1",
}
UNUSUAL: list[Any] = [None, 0, -0.0, 3, 0.5, nan, inf, -inf, -1, -0.5, True, 10**6, 1e9, 1e30, 10**400]
UNUSUAL += ["3", 1j, Decimal("0.25"), Decimal("nan"), Fraction(1, 2), []]


@pytest.mark.slow
@pytest.mark.lenient
@pytest.mark.parametrize("field", ["duration", "prompt_tokens", "cost", "input_cost"])
def test_an_unusual_amount_among_usual_ones_counts_the_same_from_fields_as_from_events(field: str) -> None:
    """Those that are checked together are checked each alone then, and what is not valid leaves the others alone."""
    unusual = [{**USUAL, field: amount} for amount in UNUSUAL]
    for calls in (*([USUAL, each, USUAL] for each in unusual), [each for each in unusual for _ in range(2)]):
        assert samples(calls, 0) == samples(calls, inf)


def test_an_amount_that_is_none_at_times_is_checked_alone_from_then_on(registry: CollectorRegistry) -> None:
    """The rest are checked together: nothing is compiled a third time."""
    with subscribe(LLM, registry, namespace="acme") as subscription:
        [receiver] = [each for signal, each in subscription._receivers if signal is llm_called]
        receive = receiver.prepare(USUAL)
        assert receive is not None
        [updates] = receiver._prepared.values()
        sources = []
        for cost in (0.5, None, 0.5, None, 0.5):
            receive({**USUAL, "cost": cost})
            sources.append([linecache.getlines(each.__code__.co_filename) for each, _ in updates.compiled.values()])
        assert registry.get_sample_value("acme_llm_cost_usd_total", {"model": "m1", "source": "provider"}) == 1.5
        assert registry.get_sample_value("acme_llm_tokens_total", {"model": "m1", "token_type": "prompt"}) == 35
    assert not any("cost_ is not None" in line for line in sources[0][0])
    assert sources[1] == []
    assert sources[2] == sources[3] == sources[4]
    lines = [line.strip() for line in sources[2][0]]
    assert "if cost_ is not None:" in lines
    assert "and type(prompt_tokens_) is int" in lines


def test_of_bound_emitters_too_an_amount_that_is_none_at_times_is_checked_alone(registry: CollectorRegistry) -> None:
    emit = query_executed.bind("duration", "rows", operation="select", table="runs")
    with subscribe(DATABASE, registry, namespace="acme") as subscription:
        [receiver] = [each for signal, each in subscription._receivers if signal is query_executed]
        caches = []
        for rows in (3, None, 3, None, 3):
            emit((0.25, rows))
            caches.append(query_executed._receiver_cache)
        total = registry.get_sample_value("acme_db_rows_total", {"operation": "select", "table": "runs"})
    assert total == 9
    assert receiver._alone == {"rows"}
    assert caches[0] is not caches[1]
    assert caches[2] is caches[3] is caches[4]


@pytest.mark.lenient
def test_a_key_that_cannot_be_one_fails_its_metric_alone(registry: CollectorRegistry) -> None:
    with subscribe(LLM, registry, namespace="acme"), receiver_failed.captured() as failures:
        llm_call_started.emit(call_id="c2", model="m1")
        for _ in range(20):
            llm_called.emit(**{**USUAL, "call_id": ["c1"]})
        assert registry.get_sample_value("acme_llm_tokens_total", {"model": "m1", "token_type": "prompt"}) == 140
    assert {(each.receiver, each.error) for each in failures} == {("acme_llm_active_requests", "TypeError")}
    assert len(failures) == 20


@pytest.mark.lenient  # else it is built to be checked
def test_no_event_is_built_for_metrics_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    built: list[Any] = []
    monkeypatch.setattr(PreparedReceivers, "CALLS_BEFORE_PREPARING", 0)
    with subscribe(LLM, CollectorRegistry(), namespace="acme") as subscription:
        llm_called.emit(model="m", status="success", duration=1.0)
        monkeypatch.setattr(llm_called, "_mutable_twin", lambda **fields: built.append(fields))
        monkeypatch.setattr(prepared_receivers, "construct_function_for", built.append)
        for _ in range(3):
            llm_called.emit(model="m", status="success", duration=1.0, cost=0.5)
        [family] = subscription.collector("llm_requests_total").collect()
        total = sum(sample.value for sample in family.samples if sample.name.endswith("_total"))
    assert total == 4
    assert built == []


def test_fields_that_are_never_set_are_not_looked_at(registry: CollectorRegistry) -> None:
    """Neither amounts nor labels."""
    with subscribe(LLM, registry, namespace="acme") as subscription:
        [receiver] = [each for signal, each in subscription._receivers if signal is llm_called]
        fields = {"model": "m", "status": "success", "duration": 1.0}
        receive = receiver.prepare(fields)
        assert receive is not None
        receive(fields)
        [updates] = receiver._prepared.values()
        [(key, (update, _))] = updates.compiled.items()
    assert key == ("m", "success")  # `lacks_usage` and `result` are derived from these, or from what is not set
    source = linecache.getlines(update.__code__.co_filename)
    assert [line.strip() for line in source if " is not None" in line] == ["if duration_ is not None:"]


def test_a_derived_field_is_computed_where_a_source_of_it_may_be_another_each_time(registry: CollectorRegistry) -> None:
    with subscribe(LLM, registry, namespace="acme") as subscription:
        [receiver] = [each for signal, each in subscription._receivers if signal is llm_called]
        fields = {"model": "m", "status": "success", "duration": 1.0, "prompt_tokens": None, "cost": 1.0}
        receive = receiver.prepare((*fields, "input_cost"))
        assert receive is not None
        for tokens in (None, 5, None, 7):
            receive({**fields, "prompt_tokens": tokens, "input_cost": 0.25})
        shown = {
            kind: registry.get_sample_value("acme_llm_cost_by_kind_usd_total", {"model": "m", "kind": kind})
            for kind in ("input", "unsplit")
        }
        assert registry.get_sample_value("acme_llm_usage_missing_total", {"model": "m"}) == 2
        [updates] = receiver._prepared.values()
    assert shown == {"input": 1.0, "unsplit": 3.0}
    assert [*updates.compiled] == [("m", "success", True, bool), ("m", "success", False, bool)]


def test_an_integer_for_a_float_is_checked_alone_from_then_on_without_the_slow_path(
    registry: CollectorRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow: list[Any] = []
    update_each = SlowPath.update_each
    monkeypatch.setattr(SlowPath, "update_each", lambda *values: slow.append(values) or update_each(*values))  # type: ignore[func-returns-value]
    monkeypatch.setattr(SlowPath, "update_unusual", lambda *values: slow.append(values))
    with subscribe(LLM, registry, namespace="acme") as subscription:
        [receiver] = [each for signal, each in subscription._receivers if signal is llm_called]
        receive = receiver.prepare(USUAL)
        assert receive is not None
        for cost in (0.5, 0, 0.5, 0, 1, 2):
            receive({**USUAL, "cost": cost})
        assert registry.get_sample_value("acme_llm_cost_usd_total", {"model": "m1", "source": "provider"}) == 4.0
    assert len(slow) == 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Weighed:
    """An event with a property that is not said to be derived."""

    weight: float

    @property
    def is_heavy(self) -> bool:
        """Whether it is more than a kilogram."""
        return self.weight > 1


def test_for_a_property_the_event_is_built(registry: CollectorRegistry, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(PreparedReceivers, "CALLS_BEFORE_PREPARING", 0)
    weighed: Signal[..., Weighed] = Signal(Weighed, Namespace())
    row = counter("parcels_total", "Parcels.", weighed, labels=("is_heavy",))
    with subscribe([row], registry, namespace="acme") as subscription:
        [receiver] = [each for signal, each in subscription._receivers if signal is weighed]
        assert receiver.prepare(("weight",)) is None
        for weight in (0.5, 2.0, 3.0):
            weighed.emit(weight=weight)
        assert registry.get_sample_value("acme_parcels_total", {"is_heavy": "true"}) == 2


def test_ever_new_values_past_the_limit_take_one_prepared_update(registry: CollectorRegistry) -> None:
    with subscribe(LLM, registry, namespace="acme", label_limits={"model": 1}) as subscription:
        [receiver] = [each for signal, each in subscription._receivers if signal is llm_called]
        for number in range(100):
            llm_called.emit(model=f"m{number}", status="success", duration=1.0)
        [updates] = receiver._prepared.values()
        labels = {"model": "other", "provider": "unknown", "status": "success"}
        assert registry.get_sample_value("acme_llm_requests_total", labels) == 99
    assert len(updates.folded) == 1
    assert not updates.compiled  # the first came before names were prepared for


NAMES = [*(f"n{number}" for number in range(6)), "other", "unknown", "", 1, True, "a\0b", ["unhashable"]]
many_names = st.fixed_dictionaries(
    {"model": st.sampled_from(NAMES), "status": st.sampled_from(["success", "error", "unheard of"])},
    optional={
        "provider": st.sampled_from(NAMES),
        "agent_name": st.sampled_from(NAMES),
        "duration": st.sampled_from([None, 0.5, 3]),
        "prompt_tokens": st.sampled_from([None, 1, 2.5]),
        "cost": st.sampled_from([None, 0.25]),
        "input_cost": st.sampled_from([None, 0.125]),
    },
)


@pytest.mark.slow
@pytest.mark.lenient
@settings(max_examples=40, deadline=None)
@given(st.lists(many_names.map(lambda call: {"duration": 1.0, **call}), max_size=25), st.sampled_from([0, inf]))
def test_values_past_limits_count_the_same_where_the_rest_is_known(calls: list[dict[str, Any]], prepare: float) -> None:
    limits = {"model": 2, "provider": 2, "agent_name": 1}
    found = samples(calls, prepare, limits=limits)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(CompiledUpdates, "_note_overflow", Mock())
        assert found == samples(calls, prepare, limits=limits)


def test_past_a_limit_nothing_but_the_rest_of_the_key_is_looked_up(registry: CollectorRegistry) -> None:
    asked: list[Any] = []
    with subscribe(LLM, registry, namespace="acme", label_limits={"model": 1}) as subscription:
        [receiver] = [each for signal, each in subscription._receivers if signal is llm_called]
        is_other = receiver._labels["provider"]

        def noting(value: Any) -> bool:
            asked.append(value)
            return is_other(value)

        labels = {**receiver._labels, "provider": noting}
        updates = CompiledUpdates(receiver, receiver._fields, labels, (), None)
        for number in range(100):
            updates(LLMCalled(model=f"m{number}", provider="p" if number % 2 else "q", status="success", duration=1.0))
        [(*_, by_rest)] = updates._overflowed
        assert len(by_rest) == 2
        updates.clear()
        assert updates._overflowed == ()
    assert asked == ["q", "p"]


def test_the_rests_of_keys_past_a_limit_are_bounded(registry: CollectorRegistry) -> None:
    with subscribe(LLM, registry, namespace="acme", label_limits={"model": 1, "agent_name": 20}) as subscription:
        [receiver] = [each for signal, each in subscription._receivers if signal is llm_called]
        updates = CompiledUpdates(receiver, receiver._fields, receiver._labels, (), None)
        updates.MAX_CACHED = 8
        for number in range(100):
            updates(LLMCalled(model=f"m{number}", agent_name=f"a{number // 5}", status="success", duration=1.0))
        [(*_, by_rest)] = updates._overflowed
    assert 0 < len(by_rest) <= 8


def test_a_value_that_was_counted_is_not_looked_for_among_the_limits_again(registry: CollectorRegistry) -> None:
    """Values past the limit of another label come with it, each a new one."""
    asked: list[Any] = []
    with subscribe(LLM, registry, namespace="acme", label_limits={"model": 1}) as subscription:
        [receiver] = [each for signal, each in subscription._receivers if signal is llm_called]

        def noting(is_other: Callable[[Any], bool], value: Any) -> bool:
            asked.append(value)
            return is_other(value)

        labels = {name: partial(noting, receiver._labels[name]) for name in ("model", "provider")}
        updates = CompiledUpdates(receiver, receiver._fields, labels, (), None)
        for number in range(5):
            updates(LLMCalled(model=f"m{number}", provider="p", status="success", duration=1.0))
    assert asked == ["m0", "p", "m1", "m2", "m3", "m4"]
    assert (len(updates.compiled), len(updates.folded)) == (1, 1)


def test_updates_are_prepared_for_a_bounded_number_of_sets_of_names(registry: CollectorRegistry) -> None:
    with subscribe(LLM, registry, namespace="acme") as subscription:
        [receiver] = [each for signal, each in subscription._receivers if signal is llm_called]
        first = receiver.prepare(("model",))
        assert receiver.prepare(("model",)) is first
        for number in range(MetricsReceiver.MAX_PREPARED):
            receiver.prepare(("model", f"field_{number}"))
        assert len(receiver._prepared) <= MetricsReceiver.MAX_PREPARED


def test_a_gauge_that_keeps_what_it_was_set_to_is_left_alone_where_its_field_is_never_set(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As those of the limits of a provider that does not say them."""
    set_gauges = Mock(wraps=compiled_updates.set_gauges)
    monkeypatch.setattr(compiled_updates, "set_gauges", set_gauges)
    attempt: Any = {"model": "m", "provider": "p", "outcome": "success", "duration": 0.5}
    registry = CollectorRegistry()
    with subscribe(LLM, registry, namespace="acme"):
        llm_attempted.emit(**attempt, limit_requests=9)
        for _ in range(PreparedReceivers.CALLS_BEFORE_PREPARING):  # until then each event is built
            llm_attempted.emit(**attempt)
        set_gauges.reset_mock()
        llm_attempted.emit(**attempt)
        set_gauges.assert_not_called()
        labels = {"model": "m", "provider": "p", "resource": "requests"}
        assert registry.get_sample_value("acme_llm_rate_limit", labels) == 9
