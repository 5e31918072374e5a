"""Nested labels: one whose values belong to another label's value, and whose limit counts pairs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from events import LabelOverflowed, http_request_finished, label_overflowed, query_executed, workflow_step_finished
from metrics import CATALOGUE, DATABASE_DETAILS, LABEL_LIMITS, Metric, counter, subscribe
from metrics.rows import OTHER
from metrics.subscription.label_limits import LabelLimiter
from metrics.subscription.series import FamilySeries
from tests.support.samples import samples

HELP = "A test's own."


def row(nested_in: Mapping[str, str]) -> Metric:
    return counter("steps_total", HELP, workflow_step_finished, labels=("workflow_type", "step"), nested_in=nested_in)


STEPS = row(nested_in={"step": "workflow_type"})
REQUESTS = counter(
    "requests_total",
    HELP,
    http_request_finished,
    labels=("method", "endpoint"),
    nested_in={"method": "endpoint"},
    initialize=False,
)


def counts_of(overflows: list[LabelOverflowed]) -> Counter[str]:
    """Return how many samples had ``other`` for each label."""
    counts: Counter[str] = Counter()
    for event in overflows:
        counts[event.label] += event.count
    return counts


def finish_step(workflow_type: str, step: str) -> None:
    workflow_step_finished.emit(workflow_type=workflow_type, step=step, agent_name="a", status="success", duration=1.0)


def test_each_workflow_has_steps_of_its_own_until_the_pairs_are_used_up() -> None:
    registry = CollectorRegistry()
    with (
        subscribe([STEPS], registry, namespace="sparklio", label_limits={"workflow_type": 2, "step": 3}),
        label_overflowed.captured() as overflows,
    ):
        for kind, step in [("a", "1"), ("b", "1"), ("a", "2"), ("b", "2"), ("a", "1"), ("c", "1"), ("c", "unknown")]:
            finish_step(kind, step)
        counted = {(labels["workflow_type"], labels["step"]): v for labels, v in samples(registry, "steps_total")}
    assert counted == {
        ("a", "1"): 2,
        ("b", "1"): 1,
        ("a", "2"): 1,
        ("b", OTHER): 1,
        (OTHER, OTHER): 1,
        (OTHER, "unknown"): 1,
    }
    assert counts_of(overflows) == {"step": 2, "workflow_type": 2}


def test_most_series_counts_pairs_and_for_each_outer_value_other() -> None:
    limits = {"workflow_type": 12, "step": 24}
    assert row(nested_in={}).most_series(limits) == 14 * 26
    assert STEPS.most_series(limits) == 24 + 2 * 14


@pytest.mark.parametrize("nested_in", [{"run_id": "step"}, {"step": "agent_name"}, {"step": "step"}])
def test_a_nesting_that_makes_no_sense_is_an_error(nested_in: dict[str, str]) -> None:
    with pytest.raises(TypeError, match="can't be nested in"):
        row(nested_in=nested_in)


def finish_request(method: str, endpoint: str) -> None:
    http_request_finished.emit(method=method, endpoint=endpoint, status_code=200, outcome="ok", duration=0.1)  # type: ignore[arg-type]


@pytest.mark.lenient  # one of the methods is no method
def test_a_route_has_methods_of_its_own_until_the_pairs_are_used_up() -> None:
    """Past the limit a method is ``other``, and the route keeps its name; an unknown method takes no place."""
    registry = CollectorRegistry()
    with (
        subscribe(
            [REQUESTS], registry, namespace="sparklio", label_limits={"endpoint": 3, "method": 3}
        ),  # and unmatched
        label_overflowed.captured() as overflows,
    ):
        for method in ("GET", "BREW", "POST", "GET"):
            finish_request(method, "/a")
        for method in ("GET", "DELETE", "PUT", "GET"):
            finish_request(method, "/b")
        finish_request("GET", "/c")
        counted = {(labels["method"], labels["endpoint"]): v for labels, v in samples(registry, "requests_total")}
    assert counted == {
        ("GET", "/a"): 2,
        (OTHER, "/a"): 1,
        ("POST", "/a"): 1,
        ("GET", "/b"): 2,
        (OTHER, "/b"): 2,
        (OTHER, OTHER): 1,
    }
    assert counts_of(overflows) == {"method": 4, "endpoint": 1}


@pytest.mark.lenient
@pytest.mark.slow
@given(
    requested=st.lists(
        st.tuples(st.sampled_from(["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "BREW"]), st.sampled_from("abcdef"))
    ),
    routes=st.integers(1, 7),
    pairs=st.integers(0, 40),
)
def test_whatever_is_requested_the_series_stay_within_most_series(
    requested: list[tuple[str, str]], routes: int, pairs: int
) -> None:
    """The limit holds while the program runs, and no request goes uncounted."""
    registry, limits = CollectorRegistry(), {"endpoint": routes, "method": pairs}
    with subscribe([REQUESTS], registry, namespace="sparklio", label_limits=limits):
        for method, endpoint in requested:
            finish_request(method, endpoint)
        values = [value for _, value in samples(registry, "requests_total")]
    assert sum(values) == len(requested)
    assert len(values) <= REQUESTS.most_series(limits) == pairs + routes + 2


def test_methods_are_nested_in_their_route_in_every_family() -> None:
    """So a method that is ``other`` is so in every family, and families can be divided by one another."""
    rows = [row for row in CATALOGUE if "method" in row.labels]
    assert len(rows) == 2
    assert {row.nested_in["method"] for row in rows} == {"endpoint"}
    assert LABEL_LIMITS["method"] == 3 * LABEL_LIMITS["endpoint"]


def test_operations_are_nested_in_their_table_in_every_family() -> None:
    rows = [row for row in CATALOGUE + DATABASE_DETAILS if {"operation", "table"} <= {*row.labels}]
    assert {row.name for row in rows} >= {"db_queries_total", "db_query_duration_seconds", "db_query_errors_total"}
    assert {row.nested_in["operation"] for row in rows} == {"table"}


def test_a_hundred_tables_take_no_more_room_than_thirty_with_every_operation() -> None:
    rows = {row.name: row for row in CATALOGUE + DATABASE_DETAILS if {"operation", "table"} <= {*row.labels}}
    for row in rows.values():
        pairs = LABEL_LIMITS["operation"] + LABEL_LIMITS["table"] + 2  # for each table other, for other and unknown too
        assert row.most_series(LABEL_LIMITS) % pairs == 0
        assert pairs <= 11 * (30 + 2)


def test_a_hundred_tables_are_named_with_the_operations_that_they_have() -> None:
    """Two operations of each have room; a third is ``other`` under the table's name, and no statement is lost."""
    registry = CollectorRegistry()
    with subscribe(CATALOGUE, registry, namespace="sparklio"):
        query_executed.emit(operation="savepoint", table="none", duration=0.1)
        for operation in ("select", "insert"):
            for number in range(100):
                query_executed.bind("duration", operation=operation, table=f"t{number}")((0.1,))
        for number in range(500):
            query_executed.emit(operation="update", table=f"t{number}", duration=0.1)
        counted = {(labels["operation"], labels["table"]): v for labels, v in samples(registry, "db_queries_total")}
    assert {key for key in counted if key[0] in {"select", "insert"}} == {
        (operation, f"t{number}") for operation in ("select", "insert") for number in range(100)
    }
    assert sum(counted.values()) == 701
    assert sum(counted[key] for key in counted if key[1] == OTHER) == 400
    assert len(counted) == 1 + 200 + 100 + 1


def test_a_nested_closed_label_cannot_be_initialized() -> None:
    """Its series at zero would be all the pairs, which the limit is there to prevent."""
    with pytest.raises(TypeError, match="initialize=False"):
        counter(
            "requests_total",
            HELP,
            http_request_finished,
            labels=("method", "endpoint"),
            nested_in={"method": "endpoint"},
        )


def test_a_nested_closed_label_needs_a_limit() -> None:
    with pytest.raises(ValueError, match="'method' has no limit"):
        FamilySeries(REQUESTS, "requests_total", LabelLimiter({"endpoint": 2}))
