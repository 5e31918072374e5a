"""Groups of the catalogue are subscribed by their names, and the pipeline's own health is always in."""

from __future__ import annotations

import pytest
from prometheus_client import CollectorRegistry

from events import llm_called, tool_called
from metrics import DATABASE_DETAILS, GROUPS, PIPELINE, TOOLS, counter, subscribe
from metrics.subscription.named_rows import named_rows
from tests.support.samples import Read


def names(registry: CollectorRegistry) -> set[str]:
    return {family.name for family in registry.collect()}


def test_a_group_is_subscribed_by_its_name(registry: CollectorRegistry, read: Read) -> None:
    with subscribe(("tools", "llm"), registry, namespace="sparklio") as subscription:
        assert subscription.rows == GROUPS["tools"] + GROUPS["llm"] + PIPELINE
        tool_called.emit(tool_name="search", status="success", duration=0.1)
        assert read("tool_calls_total", tool_name="search", status="success", mcp_server="none") == 1


def test_one_name_needs_no_tuple(registry: CollectorRegistry) -> None:
    with subscribe("tools", registry, namespace="acme") as subscription:
        assert subscription.rows == (*TOOLS, *PIPELINE)


@pytest.mark.lenient
def test_the_pipeline_s_health_is_in_with_a_name(registry: CollectorRegistry) -> None:
    def failing(event: object) -> None:
        raise ValueError

    with subscribe("http", registry, namespace="acme"), llm_called.connected_to(failing):
        llm_called.emit(model="m", status="success", duration=0.1)
        [(labels, value)] = [
            (sample.labels, sample.value)
            for family in registry.collect()
            for sample in family.samples
            if sample.name == "acme_receiver_failures_total" and sample.value
        ]
        assert (labels["signal"], value) == ("llm_called", 1)


def test_rows_alone_are_those_rows(registry: CollectorRegistry) -> None:
    with subscribe(TOOLS, registry, namespace="acme") as subscription:
        assert subscription.rows == TOOLS


def test_own_rows_stand_beside_names(registry: CollectorRegistry) -> None:
    own = counter("searches_total", "Searches.", tool_called, where={"status": "success"})
    with subscribe(("tools", own), registry, namespace="acme"):
        tool_called.emit(tool_name="search", status="success", duration=0.1)
        assert registry.get_sample_value("acme_searches_total") == 1
        assert "acme_events" in names(registry)


@pytest.mark.parametrize("catalogue", [("pipeline", "tools"), ("tools", *PIPELINE)])
def test_the_pipeline_that_is_named_is_there_once(registry: CollectorRegistry, catalogue: tuple[str, ...]) -> None:
    with subscribe(catalogue, registry, namespace="acme") as subscription:
        assert sum(row in PIPELINE for row in subscription.rows) == len(PIPELINE)


def test_a_second_subscription_to_a_registry_leaves_the_pipeline_to_the_first(registry: CollectorRegistry) -> None:
    with subscribe("database", registry, namespace="acme") as first:
        with subscribe("database_details", registry, namespace="acme") as second:
            assert second.rows == DATABASE_DETAILS
        with subscribe("tools", registry, namespace="other") as of_other_namespace:
            assert named_rows("tools") == of_other_namespace.rows
        first.close()
        with subscribe("tools", registry, namespace="acme") as third:
            assert named_rows("tools") == third.rows


def test_a_name_of_no_group_is_refused(registry: CollectorRegistry) -> None:
    with pytest.raises(
        ValueError, match=r"there is no group 'HTTP': did you mean 'http'\? there are http, limits, agents"
    ):
        subscribe("HTTP", registry, namespace="acme")
    with pytest.raises(ValueError, match="there is no group 'shipping': there are http"):
        subscribe(("http", "shipping"), registry, namespace="acme")


@pytest.mark.slow
def test_every_group_can_be_subscribed_alone(registry: CollectorRegistry) -> None:
    for name in GROUPS:
        with subscribe(name, registry, namespace="acme") as subscription:
            assert subscription.rows == named_rows(name)
    assert names(registry) == set()
