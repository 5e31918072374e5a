"""One rule decides which values are numbers within their limits: `events.bus.amount_limits.drop_reason`.

Counters, histograms, gauges and the totals of spans agree with it, however the event is emitted.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import IntEnum
from math import nan
from numbers import Real
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from events import agent_finished, agent_run, llm_called, value_dropped
from events.bus.amount_limits import MAX_AMOUNT, drop_reason
from metrics import counter, gauge, histogram, subscribe
from metrics.subscription.dropped_values import MIN_GAUGE_VALUE, value_range
from tests.support.agents import finish_agent
from tests.support.samples import Read

HELP = "A test's own."
LIMIT = 1e6  # of an amount in USD
ROWS = (
    counter("sum_usd_total", HELP, llm_called, value="cost"),
    histogram("each_usd", HELP, llm_called, value="cost", buckets=(1, 10)),
    gauge("last_usd", HELP, llm_called, value="cost"),
)
CALL: dict[str, Any] = {"model": "m", "status": "success", "duration": 1.0}


class Few(IntEnum):
    """A subclass of int, as a constant of somebody's code may be."""

    TWO = 2


class Float64(float):
    """A subclass of float, as numpy.float64 is."""


class Unconvertible(float):
    """A subclass of float that compares as its value, and is converted to no number."""

    def __float__(self) -> float:
        return nan


class Int64:
    """A number that is no subclass of int, but compares with floats and adds to them, as numpy.int64 does."""

    def __le__(self, other: Any) -> bool:
        return other >= 5  # type: ignore[no-any-return]

    def __lt__(self, other: Any) -> bool:
        return other > 5  # type: ignore[no-any-return]

    def __ge__(self, other: Any) -> bool:
        return other <= 5  # type: ignore[no-any-return]

    def __gt__(self, other: Any) -> bool:
        return other < 5  # type: ignore[no-any-return]

    def __radd__(self, other: Any) -> Any:
        return other + 5

    def __float__(self) -> float:
        return 5.0


Real.register(Int64)  # as numpy does


VALUES = st.one_of(
    st.floats(),
    st.integers(),
    st.booleans(),
    st.decimals(),
    st.fractions(),
    st.text(max_size=3),
    st.complex_numbers(),
    st.sampled_from([Few.TWO, Float64(2.5), Float64("nan"), Int64(), -(10**400), 10**400, LIMIT, -0.0, 2**63]),
    st.just(Unconvertible(2.5)),
)


def emit(value: Any) -> None:
    llm_called.emit(**CALL, cost=value)


def emit_bound(value: Any) -> None:
    llm_called.bind("cost", **CALL)((value,))


@pytest.mark.slow
@pytest.mark.parametrize("emit", [emit, emit_bound])
@settings(deadline=None)  # a busy machine takes its time
@given(value=VALUES)
def test_metrics_and_totals_take_the_values_that_the_rule_takes(emit: Callable[[Any], None], value: Any) -> None:
    registry = CollectorRegistry()
    with (
        subscribe(ROWS, registry, namespace="acme"),
        agent_finished.captured() as finished,
        value_dropped.captured() as drops,
    ):
        with agent_run(agent_name="a"):
            emit(value)
        names = ("sum_usd_total", "each_usd_sum", "each_usd_count", "last_usd")
        shown = [registry.get_sample_value(f"acme_{name}") for name in names]
    amount_reason, gauge_reason = drop_reason(value, 0.0, LIMIT), drop_reason(value, MIN_GAUGE_VALUE, LIMIT)
    amount = 0.0 if amount_reason else float(value)
    assert shown == [amount, amount, 0 if amount_reason else 1, None if gauge_reason else float(value)]
    reasons = {"acme_each_usd": amount_reason, "acme_last_usd": gauge_reason, "acme_sum_usd_total": amount_reason}
    assert {drop.metric: drop.reason for drop in drops} == {name: reason for name, reason in reasons.items() if reason}
    [end] = finished
    total = value if isinstance(value, int | float) or drop_reason(value) else float(value)
    assert end.cost == (None if drop_reason(value) else total)


@pytest.mark.parametrize("value", [1j, "1"])
def test_what_is_no_real_number_is_dropped(value: Any) -> None:
    with subscribe(ROWS, CollectorRegistry(), namespace="acme"), value_dropped.captured() as drops:
        emit(value)
    assert [drop.reason for drop in drops] == ["not_a_number"] * len(ROWS)


@pytest.mark.slow
@pytest.mark.usefixtures("subscription")
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
def test_an_invalid_measure_is_left_out_and_counted(read: Read, bad: Any, reason: str) -> None:
    finish_agent(duration=bad)
    finish_agent(duration=2.0)
    metric = "agent_execution_duration_seconds"
    assert read(f"{metric}_sum", agent_name="copywriter") == 2.0
    assert read(f"{metric}_count", agent_name="copywriter") == 1
    assert read("dropped_values_total", metric=f"sparklio_{metric}", reason=reason) == 1
    assert read("agent_executions_total", agent_name="copywriter", status="success") == 2


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        (ROWS[0], (0.0, LIMIT)),
        (ROWS[1], (0.0, LIMIT)),
        (ROWS[2], (MIN_GAUGE_VALUE, LIMIT)),
        (counter("attempts_total", HELP, llm_called, value="attempts"), (0.0, MAX_AMOUNT)),
        (gauge("attempts", HELP, llm_called, value="attempts"), (MIN_GAUGE_VALUE, MAX_AMOUNT)),
    ],
)
def test_a_gauge_may_be_negative_and_the_limit_is_that_of_the_fields_unit(
    row: Any, expected: tuple[float, float]
) -> None:
    assert value_range(row) == expected
