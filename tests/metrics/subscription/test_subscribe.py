"""A subscription registers metrics, and leaves nothing behind when it is closed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, get_type_hints

import pytest
from blinker import Namespace
from prometheus_client import CollectorRegistry

from events import Signal, workflow_started
from metrics import CATALOGUE, TOOLS, counter, subscribe
from tests.support.agents import finish_agent
from tests.support.samples import Read

HELP = "A test's own."


@pytest.mark.parametrize("namespace", ["", "ac-me", "1st", "acme ", "acme\n", "é", "acme:x", None, 7])
def test_a_namespace_that_cannot_begin_a_metrics_name_is_refused(registry: CollectorRegistry, namespace: Any) -> None:
    with pytest.raises(ValueError, match="can't begin a metric's name"):
        subscribe(TOOLS, registry, namespace=namespace)
    assert list(registry.collect()) == []


@pytest.mark.parametrize("label", ["stile", "status"])
def test_values_of_a_label_that_is_not_open_are_refused(registry: CollectorRegistry, label: str) -> None:
    with pytest.raises(ValueError, match=f"no open label '{label}'; there are .*tool_name"):
        subscribe(TOOLS, registry, namespace="acme", label_values={label: ["a"]}, label_limits={"stile": 3})
    assert list(registry.collect()) == []


def test_values_and_limits_may_be_of_labels_in_groups_that_are_not_subscribed(registry: CollectorRegistry) -> None:
    with subscribe(
        TOOLS, registry, namespace="acme", label_values={"model": ["m"]}, label_limits={"style": 3}
    ) as subscription:
        subscription.initialize(tool_name=["search"])
        with pytest.raises(ValueError, match="no open label 'stile'"):
            subscription.initialize(stile=["a"])


def test_a_closed_subscription_leaves_no_receiver_and_no_metric(registry: CollectorRegistry) -> None:
    live = subscribe(CATALOGUE, registry, namespace="sparklio")
    live.close()
    live.close()
    assert list(registry.collect()) == []
    assert not any(
        getattr(receiver, "__qualname__", "") == "metrics" and receiver in [own for _, own in live._receivers]
        for receiver in workflow_started.receivers.values()
    )


@pytest.mark.slow
def test_a_registry_can_be_subscribed_again(registry: CollectorRegistry, read: Read) -> None:
    subscribe(CATALOGUE, registry, namespace="sparklio").close()
    with subscribe(CATALOGUE, registry, namespace="sparklio"):
        finish_agent()
        assert read("agent_executions_total", agent_name="copywriter", status="success") == 1


@pytest.mark.slow
def test_two_registries_are_independent(registry: CollectorRegistry) -> None:
    other = CollectorRegistry()
    labels = {"agent_name": "copywriter", "status": "success"}
    with subscribe(CATALOGUE, registry, namespace="sparklio"):
        finish_agent()
        with subscribe(CATALOGUE, other, namespace="acme"):
            finish_agent()
        assert registry.get_sample_value("sparklio_agent_executions_total", labels) == 2
    assert other.get_sample_value("acme_agent_executions_total", labels) is None


def test_a_registry_that_holds_a_name_already_is_left_unchanged(registry: CollectorRegistry) -> None:
    with subscribe(CATALOGUE, registry, namespace="sparklio") as first:
        with pytest.raises(ValueError, match="sparklio_http_requests"):
            subscribe(CATALOGUE, registry, namespace="sparklio")
        finish_agent()
        labels = {"agent_name": "copywriter", "status": "success"}
        assert registry.get_sample_value("sparklio_agent_executions_total", labels) == 1
        assert first.collector("agent_executions_total") is not None


def test_a_subscription_evaluates_no_annotations_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """They were evaluated when the rows were declared; once more for each row took nine tenths of its time."""
    evaluated: list[object] = []

    def record(event: object, *, include_extras: bool) -> dict[str, object]:
        evaluated.append(event)
        return get_type_hints(event, include_extras=include_extras)

    for module in ("events.bus.fields", "metrics.event_fields"):
        monkeypatch.setattr(f"{module}.get_type_hints", record)
    subscribe(CATALOGUE, CollectorRegistry(), namespace="sparklio").close()
    assert evaluated == []

    @dataclass(frozen=True, kw_only=True)
    class Sold:
        amount: int

    sold = Signal(Sold, Namespace())
    rows = [counter(name, "Help.", sold, value="amount") for name in ("a_total", "b_total", "c_total")]
    subscribe(rows, CollectorRegistry(), namespace="sparklio").close()
    assert evaluated == [Sold]


def test_a_row_that_is_there_twice_is_refused(registry: CollectorRegistry) -> None:
    """It would count each event twice."""
    with pytest.raises(ValueError, match=r"tool_calls_total: a row is there twice"):
        subscribe([*TOOLS, *TOOLS], registry, namespace="acme")
    with pytest.raises(ValueError, match="a row is there twice"):
        subscribe((*CATALOGUE, *TOOLS), registry, namespace="acme")


@pytest.mark.parametrize("catalogue", [[workflow_started], [TOOLS], [b"http"]])
def test_a_catalogue_of_something_else_than_rows_is_refused(registry: CollectorRegistry, catalogue: Any) -> None:
    with pytest.raises(TypeError, match=r"takes rows, such as those of metrics\.HTTP, or names of groups, not "):
        subscribe(catalogue, registry, namespace="acme")


@pytest.mark.parametrize("limit", [-1, "3", 1.5, None, True])
def test_a_limit_that_is_no_number_of_values_is_refused(registry: CollectorRegistry, limit: Any) -> None:
    with pytest.raises(ValueError, match=f"a label takes a whole number of values, got {limit!r} for 'tool_name'"):
        subscribe(TOOLS, registry, namespace="acme", label_limits={"tool_name": limit})


def test_an_exemplar_is_found_by_a_function(registry: CollectorRegistry) -> None:
    with (
        subscribe(TOOLS, registry, namespace="acme") as subscription,
        pytest.raises(TypeError, match="takes a function that finds an exemplar, not None"),
    ):
        subscription.add_exemplars(None)  # type: ignore[arg-type]  # as where the function was called by mistake


def test_a_second_subscription_to_one_registry_is_refused_with_the_way_out(registry: CollectorRegistry) -> None:
    with (
        subscribe(TOOLS, registry, namespace="acme"),
        pytest.raises(ValueError, match=r"the registry holds acme_tool_calls_total already.* a registry of its own"),
    ):
        subscribe(TOOLS, registry, namespace="acme")
