"""A poller runs before each render of a registry, and emits the state that it reads."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest
from blinker import Namespace
from prometheus_client import CollectorRegistry, generate_latest

import events
from events.bus.fields import Label
from events.bus.pollers import scrape_count
from events.bus.signal import Signal
from metrics import Subscription, counter, gauge, scrape, subscribe


@dataclass(frozen=True, slots=True, kw_only=True)
class DepthRead:
    """The length of a queue was read."""

    queue: Label
    waiting: int


depth_read = Signal(DepthRead, namespace=Namespace())
ROWS = (
    gauge("queue_waiting", "Waiting.", depth_read, value="waiting", labels=("queue",)),
    counter("queue_reads_total", "Reads.", depth_read),
)
RENDERS: list[Callable[[CollectorRegistry], bytes]] = [lambda registry: scrape(registry).body, generate_latest]


@pytest.fixture
def subscription(registry: CollectorRegistry) -> Subscription:
    return subscribe(ROWS, registry, namespace="sparklio", label_limits={"queue": 3})


@pytest.mark.parametrize("render", RENDERS, ids=["scrape", "generate_latest"])
def test_a_render_shows_the_state_of_that_moment(
    registry: CollectorRegistry, subscription: Subscription, render: Callable[[CollectorRegistry], bytes]
) -> None:
    """The first one too, and whoever renders: no value is one scrape old."""
    waiting = [3]
    with subscription:
        subscription.poll(lambda: depth_read.emit(queue="runs", waiting=waiting[0]))
        assert b'sparklio_queue_waiting{queue="runs"} 3.0' in render(registry)
        waiting[0] = 5
        text = render(registry)
        assert b'sparklio_queue_waiting{queue="runs"} 5.0' in text
        assert b"sparklio_queue_reads_total 2.0" in text


def test_a_removed_poller_is_not_called(registry: CollectorRegistry, subscription: Subscription) -> None:
    """Each registration is removed by itself, also of one function twice; removing again does nothing."""
    calls: list[str] = []

    def read_depth() -> None:
        calls.append("read")

    with subscription:
        remove, _ = subscription.poll(read_depth), subscription.poll(read_depth)
        remove_other = subscription.poll(lambda: calls.append("other"))
        generate_latest(registry)
        remove()
        remove()
        remove_other()
        generate_latest(registry)
    generate_latest(registry)
    assert calls == ["read", "read", "other", "read"]


@pytest.mark.lenient
def test_a_poller_that_fails_stops_neither_the_render_nor_the_others(
    registry: CollectorRegistry, subscription: Subscription
) -> None:
    def broken() -> None:
        raise LookupError("not to be seen")

    with subscription, events.receiver_failed.captured() as failures:
        subscription.poll(broken)
        subscription.poll(lambda: depth_read.emit(queue="runs", waiting=1))
        assert b'sparklio_queue_waiting{queue="runs"} 1.0' in generate_latest(registry)
    (failure,) = failures
    assert (failure.signal, failure.error) == ("scrape", "LookupError")
    assert failure.receiver.endswith("broken")


def test_a_render_is_one_scrape_however_many_subscriptions_its_registry_has(registry: CollectorRegistry) -> None:
    """It is noted once all of their pollers have run."""

    def scrapes() -> int:
        before = scrape_count()
        generate_latest(registry)
        return scrape_count() - before

    at: list[int] = []
    others = (counter("other_reads_total", "Reads.", depth_read),)
    with subscribe(ROWS, registry, namespace="sparklio", label_limits={"queue": 3}) as first:
        first.poll(lambda: at.append(scrape_count()))
        assert scrapes() == 1
        with subscribe(others, registry, namespace="sparklio") as second:
            second.poll(lambda: at.append(scrape_count()))
            assert scrapes() == 1
            assert at[1] == at[2] == at[0] + 1
        assert scrapes() == 1
    assert scrapes() == 0
