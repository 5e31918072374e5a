"""Metrics count the same from the fields of an emission as from the event."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from events import llm_called, value_dropped
from metrics import LLM, subscribe

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


def samples(calls: Iterable[Mapping[str, Any]], *, with_events: bool) -> tuple[dict[Any, float], list[Any]]:
    """Return what a subscription shows after some calls, each of which is emitted three times, and what it dropped."""
    registry = CollectorRegistry()
    with (
        subscribe(LLM, registry, namespace="acme", label_limits={"agent_name": 1}),
        value_dropped.captured() as dropped,
    ):
        listener = llm_called.connect(lambda _: None) if with_events else None
        try:
            for call in calls:
                for _ in range(3):
                    llm_called.emit(**call)
        finally:
            llm_called.disconnect(listener or (lambda _: None))
        return {
            (sample.name, *sorted(sample.labels.items())): sample.value
            for family in registry.collect()
            for sample in family.samples
            if not sample.name.endswith(("_created", "_timestamp_seconds"))
        }, sorted((each.metric, each.reason) for each in dropped)


@pytest.mark.lenient
@settings(max_examples=60, deadline=None)
@given(st.lists(calls, max_size=6))
def test_a_catalogue_shows_the_same_with_and_without_events(calls: list[dict[str, Any]]) -> None:
    assert samples(calls, with_events=False) == samples(calls, with_events=True)


def test_no_event_is_built_for_metrics_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    built: list[Any] = []
    with subscribe(LLM, CollectorRegistry(), namespace="acme") as subscription:
        llm_called.emit(model="m", status="success", duration=1.0)
        monkeypatch.setattr(llm_called, "_mutable_twin", lambda **fields: built.append(fields))
        for _ in range(3):
            llm_called.emit(model="m", status="success", duration=1.0, cost=0.5)
        [family] = subscription.collector("llm_requests_total").collect()
        total = sum(sample.value for sample in family.samples if sample.name.endswith("_total"))
    assert total == 4
    assert built == []
