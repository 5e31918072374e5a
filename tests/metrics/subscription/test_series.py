"""Series exist at zero as soon as their labels are known, and rows of one name agree."""

from __future__ import annotations

from time import time
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from events import (
    agent_finished,
    http_request_finished,
    llm_called,
)
from metrics import CATALOGUE, LABEL_LIMITS, LLM, Subscription, counter, gauge, render, subscribe
from metrics.text_format.formats import PROTOBUF
from tests.support.agents import finish_agent
from tests.support.protobuf_scrapes import read_scrape
from tests.support.samples import Read, samples

HELP = "A test's own."


def test_series_of_known_values_exist_at_zero(registry: CollectorRegistry, read: Read) -> None:
    with subscribe(
        CATALOGUE,
        registry,
        namespace="sparklio",
        label_values={"agent_name": ["copywriter"], "workflow_type": ["campaign"]},
    ):
        assert read("agent_executions_total", agent_name="copywriter", status="timeout") == 0
        assert read("agent_execution_duration_seconds_count", agent_name="copywriter") is None
        assert read("workflows_total", workflow_type="campaign", status="abandoned") == 0
        assert read("active_workflows", workflow_type="campaign") == 0


def test_series_of_values_that_are_initialized_later_exist_at_zero(subscription: Subscription, read: Read) -> None:
    assert read("llm_tokens_total", model="m", token_type="prompt") is None
    subscription.initialize(model=["m"])
    assert read("llm_tokens_total", model="m", token_type="prompt") == 0


@pytest.mark.slow
@pytest.mark.usefixtures("subscription")
def test_a_new_value_creates_the_series_of_its_closed_labels(read: Read) -> None:
    finish_agent("newcomer", status="success")
    assert read("agent_executions_total", agent_name="newcomer", status="error") == 0


@pytest.mark.usefixtures("subscription")
def test_the_product_of_http_labels_is_never_created(registry: CollectorRegistry) -> None:
    http_request_finished.emit(method="GET", endpoint="/health", status_code=200, outcome="ok", duration=0.1)
    assert list(samples(registry, "http_requests_total")) == [
        ({"method": "GET", "endpoint": "/health", "status_code": "500"}, 0),  # so that the first failure is seen
        ({"method": "GET", "endpoint": "/health", "status_code": "200"}, 1),
    ]


def test_more_known_values_than_the_limit_are_an_error(registry: CollectorRegistry) -> None:
    many = [f"m{number}" for number in range(LABEL_LIMITS["model"] + 1)]
    with pytest.raises(ValueError, match=r"label 'model' can't take 'm12'.* past the limit of 12"):
        subscribe(CATALOGUE, registry, namespace="sparklio", label_values={"model": many})
    assert list(registry.collect()) == []


def test_rows_of_one_name_must_agree(registry: CollectorRegistry) -> None:
    rows = [
        counter("runs_total", "One.", agent_finished, labels=("agent_name",)),
        counter("runs_total", "Two.", agent_finished, labels=("agent_name",)),
    ]
    with pytest.raises(
        ValueError, match="runs_total: two rows of this name differ in help: give both the same, or one of them"
    ):
        subscribe(rows, registry, namespace="sparklio")


def test_rows_are_several_and_not_one_alone_or_by_names(registry: CollectorRegistry) -> None:
    row = counter("runs_total", "One.", agent_finished, labels=("agent_name",))
    catalogue: Any
    for catalogue in (row, {"runs": row}, None):
        with pytest.raises(TypeError, match=r"^catalogue takes "):
            subscribe(catalogue, registry, namespace="sparklio")


def test_a_counter_without_labels_is_at_zero_from_the_start_and_a_gauge_hidden_until_it_is_set(
    registry: CollectorRegistry, read: Read
) -> None:
    rows = [
        counter("runs_total", HELP, agent_finished),
        gauge("last_duration_seconds", HELP, agent_finished, value="duration"),
    ]
    with subscribe(rows, registry, namespace="sparklio"):
        assert (read("runs_total"), read("last_duration_seconds")) == (0, None)
        finish_agent(duration=0.0)
        assert (read("runs_total"), read("last_duration_seconds")) == (1, 0)


def test_series_say_in_whole_seconds_when_they_began(registry: CollectorRegistry) -> None:
    """Those with labels and those without: what begins together has one time, and none is later than it was."""
    before = int(time())
    with subscribe(LLM, registry, namespace="acme"):
        llm_called.emit(model="m", status="success", duration=1.0, prompt_tokens=1, completion_tokens=1)
        scraped = read_scrape(render(registry, PROTOBUF))
    assert scraped.created
    assert all(began.is_integer() and before <= began <= before + 60 for began in scraped.created.values())
