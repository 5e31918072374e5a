"""The live numbers of an application, of another namespace and with tiles of its own."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator

import pytest
from prometheus_client import CollectorRegistry

from events import (
    LLMCalled,
    build_read,
    component_checked,
    event_dropped,
    llm_called,
    receiver_failed,
    setup_fault_found,
    workflow_finished,
)
from metrics import CATALOGUE, Subscription, subscribe
from metrics.kit.placeholders import Names
from metrics.live import Chart, Increase, Latest, LiveNumbers, Quantile, Rate, Tile
from metrics.live.live_numbers import shortened
from tests.support.counter_worker import count_call
from tests.support.wait import wait_until

TILES = (
    Tile(
        id="tokens",
        title="Tokens",
        unit="tokens/s",
        units={"total": "tokens"},
        help="All.",
        shows={"a second": Rate("llm_tokens_total", window="1m"), "total": Latest("llm_tokens_total")},
    ),
    Tile(id="calls", title="Calls", unit="", help="", shows={"calls": Increase("llm_requests_total")}),
)
CHARTS = (
    Chart(
        id="time",
        tab="models",
        title="Time",
        unit="s",
        shows={
            name: Quantile(share, "llm_request_duration_seconds", by="model")
            for name, share in (("p50", 0.5), ("p95", 0.95))
        },
    ),
)


def store(_: LLMCalled) -> None:
    """Listen, and do nothing."""


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture
def acme(registry: CollectorRegistry) -> Iterator[Subscription]:
    with subscribe(CATALOGUE, registry, namespace="acme") as subscription, llm_called.connected_to(store):
        yield subscription


@pytest.fixture
def numbers(registry: CollectorRegistry, acme: Subscription) -> LiveNumbers:
    return LiveNumbers(
        registry,
        acme,
        names=Names(namespace="acme"),
        tiles=TILES,
        charts=CHARTS,
        advice={"reload": "leave out --reload"},
        resting=600.0,
        watched=0.01,
    )


def test_what_a_page_shows_when_it_opens(numbers: LiveNumbers) -> None:
    count_call()
    build_read.emit(version="1.2", revision="abc")
    page = numbers.page()
    assert json.loads(json.dumps(page, allow_nan=False)) == page
    assert (page["server"]["version"], page["server"]["revision"], page["server"]["processes"]) == ("1.2", "abc", 1)
    assert page["tiles"][0] == {
        "id": "tokens",
        "title": "Tokens",
        "unit": "tokens/s",
        "units": {"total": "tokens"},
        "help": "All.",
        "promql": 'label_replace(sum(rate(acme_llm_tokens_total[1m])), "series", "a second", "", "")\n'
        'or label_replace(sum(acme_llm_tokens_total), "series", "total", "", "")',
    }
    assert page["tiles"][1]["promql"] == "sum(increase(acme_llm_requests_total[15m]))"
    assert (page["charts"][0]["tab"], page["charts"][0]["kind"]) == ("models", "line")
    assert page["history"]["values"]["tokens"]["total"] == [3]
    assert len(page["history"]["times"]) == 1
    signals = {each["name"]: each["count"] for each in page["map"]["signals"]}
    assert (signals["llm_called"], signals["tool_called"]) == (1, 0)
    instruments = {each["family"]: each for each in page["map"]["instruments"]}
    assert instruments["acme_llm_tokens_total"]["series"] == 2
    assert instruments["acme_llm_tokens_total"]["limit"] > 2
    assert [each["name"] for each in page["map"]["listeners"]] == ["metrics", "store"]
    assert page["pipeline"] == []


def test_what_comes_each_second(numbers: LiveNumbers) -> None:
    assert numbers.current() == {}, "nothing was read yet"
    numbers.sample()
    for _ in range(3):
        count_call()
    component_checked.emit(component="database", up=1)
    component_checked.emit(component="model", up=0)
    numbers.sample()
    current = numbers.current()
    assert json.loads(json.dumps(current, allow_nan=False)) == current
    assert current["values"]["tokens"] == {"a second": 0.15, "total": 9}
    assert current["values"]["calls"] == {"value": 3}
    assert current["values"]["time"].keys() == {"m p50", "m p95"}
    assert current["components"] == {"database": True, "model": False}
    assert current["signals"]["llm_called"] == 3
    assert current["series"]["acme_llm_tokens_total"] == 2
    assert current["failures"] == {"metrics": 0, "store": 0}


def test_failures_and_losses_stand_at_their_listener(numbers: LiveNumbers) -> None:
    for name in ("store", "somebody_else"):
        receiver_failed.emit(signal="llm_called", receiver=name)
    event_dropped.emit(signal="llm_called", receiver="store")
    assert {each["name"]: each["failures"] for each in numbers.page()["map"]["listeners"]} == {
        "metrics": 0,
        "store": 2,
    }


def test_faults_of_the_set_up_come_with_the_applications_advice(numbers: LiveNumbers) -> None:
    for fault in ("reload", "clock"):
        setup_fault_found.emit(fault=fault)
    found = {each["fault"]: each["advice"] for each in numbers.page()["pipeline"]}
    assert found["reload"] == "found by the server at its start: leave out --reload"
    assert "NTP" in found["clock"]


def test_a_family_that_fails_makes_its_values_null_and_no_other(
    numbers: LiveNumbers, acme: Subscription, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And the failure is counted."""
    count_call()
    numbers.sample()
    monkeypatch.setattr(acme.collector("llm_request_duration_seconds"), "_metrics", None)
    numbers.sample()
    values = numbers.current()["values"]
    assert values["time"] == {"m p50": None, "m p95": None}
    assert values["tokens"]["total"] == 3
    [failures] = acme.collector("collector_failures_total").collect()
    assert [(sample.labels["collector"], sample.value) for sample in failures.samples[:1]] == [
        ("acme_llm_request_duration_seconds", 1)
    ]


def test_a_tile_that_fails_is_null_and_the_others_go_on(numbers: LiveNumbers, monkeypatch: pytest.MonkeyPatch) -> None:
    """As one of another application may, whose expressions are its own."""
    count_call()
    numbers.sample()

    def fail(*_: object) -> None:
        raise RuntimeError

    monkeypatch.setattr(Increase, "values", fail)
    numbers.sample()
    assert numbers.current()["values"]["calls"] == {"value": None}
    assert numbers.current()["values"]["tokens"]["total"] == 3
    numbers.sample()
    assert numbers.current()["signals"]["collector_failed"] == 1


def test_it_reads_in_a_thread_faster_while_somebody_watches(numbers: LiveNumbers) -> None:
    with numbers:
        wait_until(numbers.current)
        first = numbers.current()["time"]
        workflow_finished.emit(run_id="r", workflow_type="campaign", status="completed", duration=1.0)
        assert numbers.current()["time"] == first, "the next one is ten minutes away"
        with numbers.watch():
            wait_until(lambda: numbers.current()["signals"]["workflow_finished"] == 1)


def test_ids_are_distinct(registry: CollectorRegistry, acme: Subscription) -> None:
    with pytest.raises(ValueError, match="two tiles or charts have the id 'tokens'"):
        LiveNumbers(registry, acme, names=Names(namespace="acme"), tiles=TILES + TILES[:1], charts=())


def test_numbers_are_as_long_as_a_reader_needs() -> None:
    assert [shortened(each) for each in (None, math.nan, math.inf, 3.0, 2e300, 1 / 3)] == [
        None, None, None, 3, 2e300, 0.3333333,
    ]  # fmt: skip
    assert [shortened(each) for each in (2.0**53 - 1, -(2.0**53 - 1))] == [2**53 - 1, -(2**53 - 1)]
    assert [shortened(each) for each in (2.0**53, -(2.0**53))] == [9.007199e15, -9.007199e15]  # no more each a number
