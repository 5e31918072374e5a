"""The labels of an application's own events have tables of their own, and take no room of the catalogue's."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from blinker import Namespace
from prometheus_client import CollectorRegistry

from events import Label, Signal, inherited, label_overflowed, llm_called
from metrics import LLM, PIPELINE, Metric, counter, subscribe
from tests.support.samples import samples


@dataclass(frozen=True, slots=True, kw_only=True)
class PictureDrawn:
    """A picture was drawn."""

    model: Label
    agent_name: Label = inherited()


@pytest.fixture
def picture_drawn() -> Signal[..., PictureDrawn]:
    return Signal(PictureDrawn, Namespace())


@pytest.fixture
def rows(picture_drawn: Signal[..., Any]) -> tuple[Metric, ...]:
    return (
        counter("pictures_total", "Pictures.", picture_drawn, labels=("model",)),
        counter("agent_pictures_total", "Pictures.", picture_drawn, labels=("agent_name", "model")),
    )


def models(registry: CollectorRegistry, name: str) -> Iterator[str]:
    return (labels["model"] for labels, value in samples(registry, name) if value)


def call(model: str) -> None:
    llm_called.emit(model=model, status="success", duration=0.1)


def test_own_values_take_no_room_of_the_catalogue(
    registry: CollectorRegistry, picture_drawn: Signal[..., Any], rows: tuple[Metric, ...]
) -> None:
    with subscribe((*LLM, *PIPELINE, *rows), registry, namespace="sparklio", label_limits={"model": 2}):
        for number in range(3):
            picture_drawn.emit(model=f"painter {number}")
        call("gpt")
        call("claude")
        assert {*models(registry, "llm_requests_total")} == {"gpt", "claude"}
        assert {*models(registry, "pictures_total")} == {"painter 0", "painter 1", "other"}
        assert {*models(registry, "agent_pictures_total")} == {"painter 0", "painter 1", "other"}


def test_the_catalogue_takes_no_room_of_own_values(
    registry: CollectorRegistry, picture_drawn: Signal[..., Any], rows: tuple[Metric, ...]
) -> None:
    with subscribe((*LLM, *rows), registry, namespace="sparklio", label_limits={"model": 1}):
        call("gpt")
        picture_drawn.emit(model="painter")
        assert {*models(registry, "pictures_total")} == {"painter"}


def test_a_label_that_is_asked_for_by_name_shares_the_catalogue_s_table(
    registry: CollectorRegistry, picture_drawn: Signal[..., Any], rows: tuple[Metric, ...]
) -> None:
    with subscribe((*LLM, *rows), registry, namespace="sparklio", label_limits={"model": 1}, shared_labels=("model",)):
        call("gpt")
        for model in ("painter", "gpt"):
            picture_drawn.emit(model=model, agent_name="artist")
        assert {*models(registry, "pictures_total")} == {"gpt", "other"}
        assert {*models(registry, "agent_pictures_total")} == {"gpt", "other"}


def test_a_row_of_the_catalogue_s_events_shares_its_tables(registry: CollectorRegistry) -> None:
    """Its values are the same: a model that is ``other`` is so in every family, so that they can be divided."""
    own = counter("slow_calls_total", "Calls.", llm_called, labels=("model",))
    with subscribe((*LLM, own), registry, namespace="sparklio", label_limits={"model": 1}):
        for model in ("gpt", "claude"):
            call(model)
        for name in ("llm_requests_total", "slow_calls_total"):
            assert {*models(registry, name)} == {"gpt", "other"}


def test_an_own_row_of_a_family_of_the_catalogue_shares_its_tables(
    registry: CollectorRegistry, picture_drawn: Signal[..., Any]
) -> None:
    first = counter("asked_total", "Calls.", llm_called, labels=("model",))
    second = counter("asked_total", "Calls.", picture_drawn, labels=("model",))
    with subscribe((first, second), registry, namespace="sparklio", label_limits={"model": 1}):
        call("gpt")
        picture_drawn.emit(model="painter")
        assert {*models(registry, "asked_total")} == {"gpt", "other"}


def test_values_that_the_bridges_use_are_none_of_an_own_label(registry: CollectorRegistry) -> None:
    @dataclass(frozen=True, slots=True, kw_only=True)
    class TableReserved:
        table: Label

    table_reserved = Signal(TableReserved, Namespace())
    row = counter("reservations_total", "Tables.", table_reserved, labels=("table",))
    with subscribe((row,), registry, namespace="sparklio"):
        assert [*samples(registry, "reservations_total")] == []


def test_known_values_of_a_label_are_known_in_both_tables(
    registry: CollectorRegistry, rows: tuple[Metric, ...]
) -> None:
    with subscribe((*LLM, *rows), registry, namespace="sparklio", label_values={"model": ["gpt"]}):
        assert [labels["model"] for labels, _ in samples(registry, "pictures_total")] == ["gpt"]
        assert {labels["model"] for labels, _ in samples(registry, "llm_tokens_total")} == {"gpt"}


def test_own_values_past_their_limit_are_told(
    registry: CollectorRegistry, picture_drawn: Signal[..., Any], rows: tuple[Metric, ...]
) -> None:
    with subscribe(rows, registry, namespace="acme", label_limits={"model": 0}), label_overflowed.captured() as told:
        picture_drawn.emit(model="painter")
        [*registry.collect()]
    assert {(event.metric, event.label) for event in told} == {
        ("acme_pictures_total", "model"),
        ("acme_agent_pictures_total", "model"),
    }


def test_a_shared_label_that_the_catalogue_has_not_is_refused(
    registry: CollectorRegistry, rows: tuple[Metric, ...]
) -> None:
    with pytest.raises(ValueError, match="shared_labels: the catalogue has no open label 'colour'"):
        subscribe(rows, registry, namespace="acme", shared_labels=("colour",))
