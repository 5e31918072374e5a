"""Expressions: their values from two snapshots, and the PromQL that asks a Prometheus for the same."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from events import llm_called, pool_read, receiver_failed, workflow_finished, workflow_queue_read
from metrics import CATALOGUE
from metrics.kit.expression_check import check_expression
from metrics.kit.placeholders import Names
from metrics.kit.vocabulary import vocabulary_of
from metrics.live import Expression, Increase, Latest, Quantile, Rate, Ratio
from metrics.live.increases import increases
from metrics.live.sources import matchers
from tests.metrics.live.conftest import Watched

Watch = Callable[[Expression], Watched]


def end_runs(**counts: int) -> None:
    status: Any
    for status, count in counts.items():
        for number in range(count):
            workflow_finished.emit(
                run_id=f"{status} {number}", workflow_type="campaign", status=status, duration=float(number)
            )


def call(model: str, *durations: float) -> None:
    for duration in durations:
        llm_called.emit(model=model, status="success", duration=duration, prompt_tokens=10, completion_tokens=2)


def test_a_rate_is_the_increase_a_second_or_in_as_many_as_it_says(watched: Watch) -> None:
    end_runs(completed=5)
    second, minute = (watched(Rate("workflows_total", window="1m", times=times)) for times in (1, 60))
    end_runs(completed=3, failed=1)
    assert second.after(60.0) == {"value": pytest.approx(4 / 60)}
    assert minute.after(60.0) == {"value": pytest.approx(4.0)}
    assert minute.after(62.0) == {"value": pytest.approx(4.0 * 60 / 62)}, "two snapshots are seldom a minute apart"


def test_a_process_younger_than_the_window_has_its_increase_in_a_whole_window(watched: Watch) -> None:
    """One run in the first second makes no sixty a minute, and Prometheus says the same."""
    minute, increase = watched(Rate("workflows_total", window="1m", times=60)), watched(Increase("workflows_total"))
    end_runs(completed=1)
    assert minute.after(1.0) == {"value": 1.0}
    assert increase.after(1.0) == {"value": 1.0}


def test_a_label_parts_the_values_and_a_selector_takes_some(watched: Watch) -> None:
    parted = watched(Rate("workflows_total", 'status=~"completed|failed"', by="status", window="1m", times=60))
    others = watched(Increase("workflows_total", 'status!="completed",workflow_type="campaign"'))
    end_runs(completed=2, failed=1, cancelled=4)
    assert parted.after() == {"completed": 2.0, "failed": 1.0}
    assert others.after() == {"value": 5.0}


def test_the_largest_are_kept_and_what_did_not_go_up_is_left_out(watched: Watch) -> None:
    rate = watched(Rate("llm_requests_total", by="model", window="1m", times=60, above_zero=True, top=2))
    for model, calls in (("a", 1), ("b", 3), ("c", 2)):
        call(model, *[0.1] * calls)
    assert rate.after() == {"b": 3.0, "c": 2.0}
    again = watched(rate.expression)
    call("a", 0.1)
    assert again.after() == {"a": 1.0}


def test_a_counter_without_series_is_nothing_or_zero(watched: Watch) -> None:
    nothing, zero = (watched(Increase("receiver_failures_total", or_zero=each)) for each in (False, True))
    assert (nothing.after(), zero.after()) == ({"value": None}, {"value": 0.0})
    receiver_failed.emit(signal="llm_called", receiver="store")
    assert (nothing.after(), zero.after()) == ({"value": 1.0}, {"value": 1.0}), "the first is an increase here"


def test_a_quantile_is_that_of_the_window_alone(watched: Watch) -> None:
    call("a", *[50.0] * 100)
    quantile = watched(Quantile(0.5, "llm_request_duration_seconds", by="model"))
    call("a", *[0.3] * 10)
    call("b", *[3.0] * 10)
    found = quantile.after()
    assert 0.25 <= (found["a"] or 0) <= 0.5
    assert 2.5 <= (found["b"] or 0) <= 5
    assert watched(quantile.expression).after() == {"a": None, "b": None}, "nothing was observed"


def test_gauges_are_as_they_are_now_and_counters_as_they_stand(watched: Watch) -> None:
    total = watched(Latest("llm_tokens_total"))
    oldest = watched(Latest("workflow_oldest_queued_seconds", how="max"))
    queued = watched(Latest("workflows_queued", same_for="workflow_type"))
    assert oldest.after() == {"value": None}
    call("a", 0.1, 0.1)
    for workflow, age in (("campaign", 5.0), ("content_review", 9.0)):
        workflow_queue_read.emit(workflow_type=workflow, queued=2, oldest_age=age)
    assert (total.after(), oldest.after(), queued.after()) == ({"value": 24.0}, {"value": 9.0}, {"value": 4.0})


def test_a_ratio_needs_something_to_take_a_share_of(watched: Watch) -> None:
    share = watched(Ratio(Increase("workflows_total", 'status="completed"'), Increase("workflows_total")))
    pools = watched(
        Ratio(Latest("db_pool_connections", 'state="used"', by="pool"), Latest("db_pool_capacity", by="pool"))
    )
    assert share.after() == {"value": None}
    end_runs(completed=3, failed=1)
    assert share.after() == {"value": 0.75}
    for pool, capacity in (("main", 10), ("dbos", None)):
        pool_read.emit(pool=pool, used=4, idle=0, capacity=capacity, overflow=0, pending=0)
    assert pools.after() == {"main": 0.4}, "a pool without a limit has no share"


def test_a_family_that_the_registry_does_not_have_has_no_values(watched: Watch) -> None:
    for expression in (Rate("nowhere_total"), Quantile(0.9, "nowhere_seconds"), Latest("nowhere")):
        assert watched(expression).after() == {"value": None}
    assert watched(Rate("nowhere_total", by="label")).after() == {}


@pytest.mark.parametrize(
    ("expression", "text"),
    [
        (
            Rate("workflows_total", by="status", window="1m", times=60),
            "sum by (status) (rate(acme_workflows_total[1m])) * 60",
        ),
        (
            Rate("events_total", by="signal", above_zero=True, top=8),
            "topk(8, sum by (signal) (rate(acme_events_total[5m])) > 0)",
        ),
        (
            Increase("llm_requests_total", 'status="error"', or_zero=True),
            'sum(increase(acme_llm_requests_total{status="error"}[15m])) or vector(0)',
        ),
        (
            Ratio(Increase("workflows_total", 'status="failed"'), Increase("workflows_total")),
            'sum(increase(acme_workflows_total{status="failed"}[15m]))'
            " / (sum(increase(acme_workflows_total[15m])) > 0)",
        ),
        (
            Quantile(0.95, "llm_request_duration_seconds", by="model"),
            "histogram_quantile(0.95, sum by (model, le) (rate(acme_llm_request_duration_seconds_bucket[5m])))"
            " or histogram_quantile(0.95, sum by (model) (rate(acme_llm_request_duration_seconds[5m])))",
        ),
        (Latest("workflow_slots"), "sum(acme_workflow_slots)"),
        (Latest("component_up", by="component", how="min"), "min by (component) (acme_component_up)"),
        (
            Latest("workflows_queued", same_for="workflow_type"),
            "sum(max by (workflow_type) (acme_workflows_queued))",
        ),
        (
            Rate("process_cpu_seconds_total", window="1m"),
            'sum(rate(process_cpu_seconds_total{job="acme-backend"}[1m]))',
        ),
        (Latest("process_resident_memory_bytes"), 'sum(process_resident_memory_bytes{job="acme-backend"})'),
    ],
)
def test_the_promql_of_each_form(expression: Expression, text: str) -> None:
    filled = Names(namespace="acme").fill(expression.text)
    assert filled == text
    assert check_expression(filled, vocabulary_of(CATALOGUE, "acme_")) == []


@pytest.mark.parametrize(
    ("where", "labels", "taken"),
    [
        ("", {}, True),
        ('a="x"', {"a": "x"}, True),
        ('a!="x"', {}, True),
        ('a=~"x|y"', {"a": "y"}, True),
        ('a=~"x"', {"a": "xx"}, False),
        ('a!~"4.."', {"a": "404"}, False),
        ('a="x", b=~"1.*"', {"a": "x", "b": "12"}, True),
        ('a="a\\"b"', {"a": 'a"b'}, True),
    ],
)
def test_selectors_take_what_prometheus_takes(where: str, labels: dict[str, str], taken: bool) -> None:
    assert all(each.takes(labels.get(each.label, "")) for each in matchers(where)) is taken


@pytest.mark.parametrize("where", ["a", "a=b", 'a="b', '{a="b"}', 'a="b" c="d"'])
def test_a_selector_that_is_none_is_refused_where_it_is_written(where: str) -> None:
    with pytest.raises(ValueError, match="a selector is written as"):
        Rate("x_total", where).sources  # noqa: B018  # it is made there


def test_a_window_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="as 5m is, got '5 minutes'"):
        Rate("x_total", window="5 minutes").span  # noqa: B018  # it is read there


@pytest.mark.parametrize("by", ["", "status"])
def test_what_one_of_two_snapshots_could_not_read_is_not_known(watched: Watch, by: str) -> None:
    runs = watched(Increase("workflows_total", by=by))
    [source] = runs.expression.sources
    nothing = replace(runs.before, values={})
    unknown = {} if by else {"value": ()}
    assert increases(source, nothing, runs.before) == unknown
    assert increases(source, runs.before, nothing) == unknown
    assert increases(source, nothing, nothing) == unknown
