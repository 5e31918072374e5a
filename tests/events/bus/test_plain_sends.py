"""Code that has a blinker signal of an event's name sends it as before: what takes events alone is left out."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from blinker import NamedSignal, default_namespace
from prometheus_client import CollectorRegistry

from events import Label, Signal, background, receiver_failed
from metrics import counter, subscribe
from metrics.testing.captured_events import capture_events


@dataclass(frozen=True, slots=True, kw_only=True)
class CandleLit:
    """A candle was lit."""

    country: Label


class Church:
    """What an application sends."""


@pytest.fixture
def plain() -> Iterator[NamedSignal]:
    """Return an application's own signal, which `CandleLit` becomes."""
    yield default_namespace.signal("candle_lit")
    del default_namespace["candle_lit"]


@pytest.fixture
def sent(plain: NamedSignal) -> list[Any]:
    """Return what the application's own receiver was called with."""
    calls: list[Any] = []

    def light(sender: Any, **fields: Any) -> str:
        calls.append((sender, fields))
        return "lit"

    plain.connect(light, weak=False)
    return calls


@pytest.fixture
def registry(plain: NamedSignal) -> Iterator[CollectorRegistry]:
    signal: Signal[..., CandleLit] = Signal(CandleLit)
    assert signal is plain
    rows = (counter("candles_total", "Candles.", signal, labels=("country",)),)
    registry = CollectorRegistry()
    with subscribe(rows, registry, namespace="acme", label_limits={"country": 5}):
        yield registry


def candles(registry: CollectorRegistry) -> dict[str, float]:
    return {
        sample.labels["country"]: sample.value
        for family in registry.collect()
        for sample in family.samples
        if sample.name == "acme_candles_total"
    }


SENDS: dict[str, Callable[[Any], Any]] = {
    "with fields": lambda plain: plain.send(Church(), order={"id": 1}),
    "an object": lambda plain: plain.send(Church()),
    "a text": lambda plain: plain.send("anonymous"),
    "nothing": lambda plain: plain.send(),
    "fields alone": lambda plain: plain.send(country="KR"),
    "an event with fields": lambda plain: plain.send(CandleLit(country="KR"), loud=True),
}


@pytest.mark.parametrize("send", SENDS.values(), ids=SENDS)
def test_a_plain_send_reaches_the_application_s_receiver_and_no_metric(
    plain: Any, sent: list[Any], registry: CollectorRegistry, send: Callable[[Any], Any]
) -> None:
    listened: list[Any] = []
    listener = background(listened.append)
    plain.connect(listener)
    with receiver_failed.captured() as failures, plain.captured() as captured, capture_events() as every:
        assert [answer for _, answer in send(plain)] == ["lit"]
    assert len(sent) == 1
    plain.emit(country="FR")
    assert candles(registry) == {"FR": 1}
    listener.close()
    assert listened == [CandleLit(country="FR")]
    assert (failures, captured, [event for event in every if isinstance(event, CandleLit)]) == ([], [], [])


@pytest.mark.usefixtures("sent")
def test_it_may_be_sent_asynchronously(plain: Any, registry: CollectorRegistry) -> None:
    def wrap(receiver: Callable[..., Any]) -> Callable[..., Any]:
        async def called(*args: Any, **fields: Any) -> Any:
            return receiver(*args, **fields)

        return called

    answers = asyncio.run(plain.send_async(Church(), _sync_wrapper=wrap, order=1))
    assert [answer for _, answer in answers] == ["lit"]
    assert candles(registry) == {}


@pytest.mark.usefixtures("sent", "registry")
def test_the_log_says_once_where_it_is_sent_and_what_to_do(plain: Any, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "events"):
        for _ in range(3):
            plain.send(Church(), secret="hunter2")
    [record] = caplog.records
    line = record.getMessage()
    assert line.startswith(f"candle_lit: {__file__}:")
    assert "sends something else than one CandleLit: metrics and background listeners ignore it" in line
    assert "give that or the event another name" in line
    assert "hunter2" not in line


@pytest.mark.usefixtures("sent")
def test_without_metrics_it_is_nobody_s_concern(plain: Any, caplog: pytest.LogCaptureFixture) -> None:
    Signal(CandleLit)
    with caplog.at_level(logging.WARNING, "events"):
        plain.send(Church())
    assert caplog.text == ""


def test_what_the_application_s_own_receiver_raises_reaches_its_caller(plain: Any, registry: CollectorRegistry) -> None:
    """As it did before: it is blinker's contract, and none of the library's concern."""

    def refuse(sender: Any, **fields: Any) -> None:
        raise LookupError(fields["order"])

    plain.connect(refuse)
    with pytest.raises(LookupError):
        plain.send(Church(), order=1)
    assert candles(registry) == {}


def test_an_event_that_is_sent_is_counted(plain: Any, registry: CollectorRegistry) -> None:
    plain.send(CandleLit(country="KR"))
    assert candles(registry) == {"KR": 1}
