"""Metrics count the same from the fields of an emission as from the event."""

from __future__ import annotations

import linecache
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from functools import partial
from http import HTTPStatus
from itertools import combinations
from math import inf, nan
from numbers import Real
from sys import float_info
from typing import Annotated, Any, NoReturn
from unittest.mock import Mock

import pytest
from blinker import Namespace
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from events import (
    LLMCalled,
    Signal,
    llm_attempted,
    llm_call_started,
    llm_called,
    query_executed,
    receiver_failed,
    value_dropped,
)
from events.bus import prepared_receivers
from events.bus.derived_fields import derived
from events.bus.fields import Code, Dollars, Label, Measure
from events.bus.prepared_receivers import PreparedReceivers
from metrics import DATABASE, LLM, counter, histogram, subscribe
from metrics.fastpath import update
from metrics.fastpath.update import SlowPath
from metrics.subscription import compiled_updates
from metrics.subscription.compiled_updates import CompiledUpdates
from metrics.subscription.receiver import MetricsReceiver

amounts = st.sampled_from([None, 0, 1, 250, 0.5, float("nan"), -1, "3", Decimal("0.25"), 1e30, True])
calls = st.fixed_dictionaries(
    {
        "model": st.sampled_from(["m1", "m2", "", 5, ["unhashable"]]),
        "status": st.sampled_from(["success", "error", "unheard of"]),
        "duration": amounts,
    },
    optional={
        "provider": st.sampled_from(["p", "q"]),
        "agent_name": st.sampled_from(["writer", "judge"]),
        "prompt_tokens": amounts,
        "completion_tokens": amounts,
        "cost": amounts,
        "input_cost": amounts,
        "cost_source": st.sampled_from([None, "provider", "unpriced"]),
        "usage_source": st.sampled_from([None, "estimated"]),
        "error_type": st.sampled_from([None, "timeout"]),
        "finish_reason": st.sampled_from([None, "stop"]),
        "itemized": st.booleans(),
        "output_fault": st.sampled_from([None, "empty"]),
        "call_id": st.sampled_from(["", "c1"]),
    },
)


def samples(
    calls: Iterable[Mapping[str, Any]], calls_before_preparing: float, *, with_listener: bool = False
) -> tuple[dict[Any, float], list[Any]]:
    """Return what a subscription shows after some calls, each of which is emitted three times, and what it dropped."""
    registry = CollectorRegistry()
    with (
        pytest.MonkeyPatch.context() as patch,
        subscribe(LLM, registry, namespace="acme", label_limits={"agent_name": 1}),
        value_dropped.captured() as dropped,
        llm_called.captured() if with_listener else nullcontext(),
    ):
        patch.setattr(PreparedReceivers, "CALLS_BEFORE_PREPARING", calls_before_preparing)
        for call in calls:
            for _ in range(3):
                llm_called.emit(**call)
        return {
            (sample.name, *sorted(sample.labels.items())): sample.value
            for family in registry.collect()
            for sample in family.samples
            if not sample.name.endswith(("_created", "_timestamp_seconds"))
        }, sorted((each.metric, each.reason) for each in dropped)


@pytest.mark.lenient
@settings(max_examples=15, deadline=None)
@given(st.lists(calls, max_size=5))
def test_a_catalogue_shows_the_same_with_and_without_events(calls: list[dict[str, Any]]) -> None:
    expected = samples(calls, inf)
    assert samples(calls, 0) == expected
    assert samples(calls, 0, with_listener=True) == expected


USUAL: dict[str, Any] = {
    "model": "m1",
    "status": "success",
    "duration": 1.5,
    "prompt_tokens": 7,
    "completion_tokens": 250,
    "cost": 0.5,
    "input_cost": 0.25,
    "cost_source": "provider",
    "call_id": "c1",
}
UNUSUAL: list[Any] = [None, 0, -0.0, 3, 0.5, nan, inf, -inf, -1, -0.5, True, 10**6, 1e9, 1e30, 10**400]
UNUSUAL += ["3", 1j, Decimal("0.25"), Decimal("nan"), Fraction(1, 2), []]


@pytest.mark.lenient
@pytest.mark.parametrize("field", ["duration", "prompt_tokens", "cost", "input_cost"])
def test_an_unusual_amount_among_usual_ones_counts_the_same_from_fields_as_from_events(field: str) -> None:
    """Those that are checked together are checked each alone then, and what is not valid leaves the others alone."""
    unusual = [{**USUAL, field: amount} for amount in UNUSUAL]
    for calls in (*([USUAL, each, USUAL] for each in unusual), [each for each in unusual for _ in range(2)]):
        assert samples(calls, 0) == samples(calls, inf)


def test_an_amount_that_is_none_at_times_is_checked_alone_from_then_on(registry: CollectorRegistry) -> None:
    """The rest are checked together: nothing is compiled a third time."""
    with subscribe(LLM, registry, namespace="acme") as subscription:
        [receiver] = [each for signal, each in subscription._receivers if signal is llm_called]
        receive = receiver.prepare(USUAL)
        assert receive is not None
        [updates] = receiver._prepared.values()
        sources = []
        for cost in (0.5, None, 0.5, None, 0.5):
            receive({**USUAL, "cost": cost})
            sources.append([linecache.getlines(each.__code__.co_filename) for each, _ in updates.compiled.values()])
        assert registry.get_sample_value("acme_llm_cost_usd_total", {"model": "m1", "source": "provider"}) == 1.5
        assert registry.get_sample_value("acme_llm_tokens_total", {"model": "m1", "token_type": "prompt"}) == 35
    assert not any("cost_ is not None" in line for line in sources[0][0])
    assert sources[1] == []
    assert sources[2] == sources[3] == sources[4]
    lines = [line.strip() for line in sources[2][0]]
    assert "if cost_ is not None:" in lines
    assert "and type(prompt_tokens_) is int" in lines


def test_of_bound_emitters_too_an_amount_that_is_none_at_times_is_checked_alone(registry: CollectorRegistry) -> None:
    emit = query_executed.bind("duration", "rows", operation="select", table="runs")
    with subscribe(DATABASE, registry, namespace="acme") as subscription:
        [receiver] = [each for signal, each in subscription._receivers if signal is query_executed]
        caches = []
        for rows in (3, None, 3, None, 3):
            emit((0.25, rows))
            caches.append(query_executed._receiver_cache)
        total = registry.get_sample_value("acme_db_rows_total", {"operation": "select", "table": "runs"})
    assert total == 9
    assert receiver._alone == {"rows"}
    assert caches[0] is not caches[1]
    assert caches[2] is caches[3] is caches[4]


@pytest.mark.lenient
def test_a_key_that_cannot_be_one_fails_its_metric_alone(registry: CollectorRegistry) -> None:
    with subscribe(LLM, registry, namespace="acme"), receiver_failed.captured() as failures:
        llm_call_started.emit(call_id="c2", model="m1")
        for _ in range(20):
            llm_called.emit(**{**USUAL, "call_id": ["c1"]})
        assert registry.get_sample_value("acme_llm_tokens_total", {"model": "m1", "token_type": "prompt"}) == 140
    assert {(each.receiver, each.error) for each in failures} == {("acme_llm_active_requests", "TypeError")}
    assert len(failures) == 20


@pytest.mark.lenient  # else it is built to be checked
def test_no_event_is_built_for_metrics_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    built: list[Any] = []
    monkeypatch.setattr(PreparedReceivers, "CALLS_BEFORE_PREPARING", 0)
    with subscribe(LLM, CollectorRegistry(), namespace="acme") as subscription:
        llm_called.emit(model="m", status="success", duration=1.0)
        monkeypatch.setattr(llm_called, "_mutable_twin", lambda **fields: built.append(fields))
        monkeypatch.setattr(prepared_receivers, "construct_function_for", built.append)
        for _ in range(3):
            llm_called.emit(model="m", status="success", duration=1.0, cost=0.5)
        [family] = subscription.collector("llm_requests_total").collect()
        total = sum(sample.value for sample in family.samples if sample.name.endswith("_total"))
    assert total == 4
    assert built == []


def test_fields_that_are_never_set_are_not_looked_at(registry: CollectorRegistry) -> None:
    """Neither amounts nor labels."""
    with subscribe(LLM, registry, namespace="acme") as subscription:
        [receiver] = [each for signal, each in subscription._receivers if signal is llm_called]
        fields = {"model": "m", "status": "success", "duration": 1.0}
        receive = receiver.prepare(fields)
        assert receive is not None
        receive(fields)
        [updates] = receiver._prepared.values()
        [(key, (update, _))] = updates.compiled.items()
    assert key == ("m", "success")  # `lacks_usage` and `result` are derived from these, or from what is not set
    source = linecache.getlines(update.__code__.co_filename)
    assert [line.strip() for line in source if " is not None" in line] == ["if duration_ is not None:"]


def test_a_derived_field_is_computed_where_a_source_of_it_may_be_another_each_time(registry: CollectorRegistry) -> None:
    with subscribe(LLM, registry, namespace="acme") as subscription:
        [receiver] = [each for signal, each in subscription._receivers if signal is llm_called]
        fields = {"model": "m", "status": "success", "duration": 1.0, "prompt_tokens": None, "cost": 1.0}
        receive = receiver.prepare((*fields, "input_cost"))
        assert receive is not None
        for tokens in (None, 5, None, 7):
            receive({**fields, "prompt_tokens": tokens, "input_cost": 0.25})
        shown = {
            kind: registry.get_sample_value("acme_llm_cost_by_kind_usd_total", {"model": "m", "kind": kind})
            for kind in ("input", "unsplit")
        }
        assert registry.get_sample_value("acme_llm_usage_missing_total", {"model": "m"}) == 2
        [updates] = receiver._prepared.values()
    assert shown == {"input": 1.0, "unsplit": 3.0}
    assert [*updates.compiled] == [("m", "success", True, bool), ("m", "success", False, bool)]


class OddlyAdded(float):
    """A float whose sums look as if it were nothing."""

    def __add__(self, _: float) -> float:
        return 0.0

    __radd__ = __add__


class OddCount(int):
    """The same of an integer."""

    def __add__(self, _: float) -> float:  # type: ignore[override]
        return 0.0

    __radd__ = __add__  # type: ignore[assignment]


class OddlyConverted(float):
    """A float that is converted to no number."""

    def __float__(self) -> float:
        return nan


class AnyNumber:
    """What compares and adds as a number does, and is none: nobody has registered it."""

    def __init__(self, value: float) -> None:
        self.value = value

    def __add__(self, other: float) -> float:
        return self.value + other

    __radd__ = __add__

    def __ge__(self, other: float) -> bool:
        return self.value >= other

    def __lt__(self, other: float) -> bool:
        return self.value < other

    def __float__(self) -> float:
        return self.value


class Scalar(AnyNumber):
    """A registered number, as numpy's are."""


class Unsteady(AnyNumber):
    """One that can be added a few times, and raises from then on: in the middle of an update."""

    def __init__(self, value: float, times: int) -> None:
        super().__init__(value)
        self.times = times

    def __add__(self, other: float) -> float:
        self.times -= 1
        if self.times < 0:
            raise ZeroDivisionError
        return super().__add__(other)

    __radd__ = __add__


class Changing(AnyNumber):
    """A registered number that is another one each time it is asked for."""

    def __float__(self) -> float:
        self.value += 1
        return self.value

    def __sub__(self, other: Any) -> NoReturn:
        """Raise, where a fraction would convert it: whether before or after it is counted is not promised."""
        raise TypeError("it is only converted")

    __rsub__ = __sub__


Real.register(Scalar)
Real.register(Changing)


@dataclass(frozen=True, slots=True, kw_only=True)
class Shipped:
    """An event whose amounts have no limit of their own, and others that have one."""

    mass: Annotated[float, Measure("grams")]
    volume: Annotated[float, Measure("litres")]
    parts: Annotated[int, Measure("parts")]
    boxes: Annotated[int, Measure("boxes")]
    price: Dollars
    postage: Dollars

    @derived
    @staticmethod
    def rest(price: Any, postage: Any) -> Dollars:
        """Return the price without the postage, whatever they are."""
        return price - postage  # type: ignore[no-any-return]


SHIPPED = {"mass": 2.5, "volume": 0.5, "parts": 3, "boxes": 1, "price": 20.0, "postage": 4.0}
UNITS = {"mass": "grams", "volume": "litres", "parts": "parts", "boxes": "boxes", "price": "usd", "postage": "usd"}
ODD_AMOUNTS: dict[str, Callable[[], Any]] = {
    "oddly added": lambda: OddlyAdded(3.0),
    "oddly added, too large": lambda: OddlyAdded(1e308),
    "oddly added, negative": lambda: OddlyAdded(-1.0),
    "oddly added, an integer": lambda: OddCount(3),
    "oddly added, an integer too large": lambda: OddCount(10**400),
    "oddly converted": lambda: OddlyConverted(3.0),
    "no number": lambda: AnyNumber(3.0),
    "a registered number": lambda: Scalar(3.0),
    "another number each time": lambda: Changing(3.0),
    **{f"raises when added the {n + 1}. time": partial(Unsteady, 3.0, n) for n in range(6)},
    "decimal": lambda: Decimal("0.25"),
    "decimal below the limit of dollars": lambda: Decimal(10**6) - Decimal("1e-15"),
    "fraction": lambda: Fraction(1, 3),
    "fraction below the limit of dollars": lambda: Fraction(10**6) - Fraction(1, 10**30),
    "fraction that fits into no float": lambda: Fraction(10**400),
    "negative fraction": lambda: Fraction(-1, 10**30),
    "bool": lambda: True,
    "half of the largest float": lambda: 1e308,
    "the largest float": lambda: float_info.max,
    "an integer that fits into no float": lambda: 2**1024,
    "the largest integer that does": lambda: 2**1024 - 2**971,
    "an integer among floats": lambda: 0,
    "none": lambda: None,
    "not a number": lambda: nan,
}


def shipments(how: str, calls: Iterable[Mapping[str, Callable[[], Any]]]) -> tuple[dict[Any, float], list[Any]]:
    """Return what a subscription shows after some events, and what was dropped or failed.

    ``how``: from fields, from events, by a bound emitter, or plainly, each amount alone by prometheus_client's methods.
    """
    registry = CollectorRegistry()
    shipped: Signal[..., Shipped] = Signal(Shipped, Namespace())
    rows = [counter("shipments_total", "Shipments.", shipped)]
    rows += [counter(f"{name}_{UNITS[name]}_total", "A sum.", shipped, value=name) for name in SHIPPED]
    rows += [
        histogram(f"each_{name}_{UNITS[name]}", "Each.", shipped, value=name, buckets=(1, 10, 1e300))
        for name in ("mass", "parts", "price")
    ]
    rows += [] if how == "bound" else [counter("rest_usd_total", "The rest.", shipped, value="rest")]
    with (
        pytest.MonkeyPatch.context() as patch,
        value_dropped.captured() as dropped,
        receiver_failed.captured() as failed,
    ):
        patch.setattr(PreparedReceivers, "CALLS_BEFORE_PREPARING", 0 if how == "fields" else inf)
        if how == "plainly":
            patch.setattr(update, "fast_update_works", lambda: False)
        with subscribe(rows, registry, namespace="acme"):
            bound = shipped.bind(*SHIPPED)
            for call in calls:
                fields = {name: make() for name, make in call.items()}
                if how == "bound":
                    bound((*fields.values(),))
                else:
                    shipped.emit(**fields)
            samples = {
                (sample.name, *sample.labels.values()): sample.value
                for family in registry.collect()
                for sample in family.samples
                if not sample.name.endswith("_created")
            }
    faults = [(each.metric, each.reason) for each in dropped] + [(each.receiver, each.error) for each in failed]
    return samples, sorted(faults)


def made(**fields: Callable[[], Any]) -> dict[str, Callable[[], Any]]:
    """Return what makes the fields of a shipment, of which the rest are usual."""
    return {**{name: partial(float if type(each) is float else int, each) for name, each in SHIPPED.items()}, **fields}


@pytest.mark.lenient
@pytest.mark.parametrize("how", ["fields", "events", "bound"])
@pytest.mark.parametrize("odd", ODD_AMOUNTS)
def test_several_unusual_amounts_count_the_same_as_each_alone(odd: str, how: str) -> None:
    """And each event once, whatever its amounts do when they are compared, added or converted."""
    make = ODD_AMOUNTS[odd]
    calls = [made(), made()]
    calls += [made(**{name: make}) for name in SHIPPED for _ in range(2)]
    calls += [made(**dict.fromkeys(names, make)) for names in combinations(SHIPPED, 2)]
    calls += [made(**dict.fromkeys(SHIPPED, make)), made()]
    samples, faults = shipments("plainly", calls)
    if how == "bound":  # by which nothing is derived
        samples = {key: value for key, value in samples.items() if key != ("acme_rest_usd_total",)}
        faults = [each for each in faults if each[0] != "acme_rest_usd_total"]
    assert samples["acme_shipments_total",] == len(calls)
    assert shipments(how, calls) == (samples, faults)


@pytest.mark.lenient
@settings(max_examples=30, deadline=None)
@given(
    st.lists(
        st.fixed_dictionaries({}, optional=dict.fromkeys(SHIPPED, st.sampled_from([*ODD_AMOUNTS.values()]))).map(
            lambda fields: made(**fields)
        ),
        max_size=6,
    )
)
def test_any_unusual_amounts_count_the_same_as_each_alone(calls: list[dict[str, Callable[[], Any]]]) -> None:
    assert shipments("fields", calls) == shipments("events", calls) == shipments("plainly", calls)


def test_an_integer_for_a_float_is_checked_alone_from_then_on_without_the_slow_path(
    registry: CollectorRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow: list[Any] = []
    update_each = SlowPath.update_each
    monkeypatch.setattr(SlowPath, "update_each", lambda *values: slow.append(values) or update_each(*values))  # type: ignore[func-returns-value]
    monkeypatch.setattr(SlowPath, "update_unusual", lambda *values: slow.append(values))
    with subscribe(LLM, registry, namespace="acme") as subscription:
        [receiver] = [each for signal, each in subscription._receivers if signal is llm_called]
        receive = receiver.prepare(USUAL)
        assert receive is not None
        for cost in (0.5, 0, 0.5, 0, 1, 2):
            receive({**USUAL, "cost": cost})
        assert registry.get_sample_value("acme_llm_cost_usd_total", {"model": "m1", "source": "provider"}) == 4.0
    assert len(slow) == 1


LOOKALIKES: dict[str, list[Any]] = {
    "express": [True, 1, 0, False, 1.0, True, 1, Decimal(1), None],
    "code": [200, 200.0, HTTPStatus.OK, 1, True, 1, Fraction(200), 200],
    "to": ["1", 1, True, 1.0, 1, True, None, "None"],
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Posted:
    """An event with labels that may be numbers, and one that may not."""

    express: bool | None = False
    code: Code = 0
    to: Label = "nowhere"

    @derived
    @staticmethod
    def is_fast(express: Any) -> bool:
        """Return what it is called with, which may be no bool."""
        return express  # type: ignore[no-any-return]


def posts(calls: Iterable[Mapping[str, Any]], calls_before_preparing: float) -> dict[Any, float]:
    """Return what a subscription shows after some events; with a limit of labels that none of them reaches."""
    registry = CollectorRegistry()
    posted: Signal[..., Posted] = Signal(Posted, Namespace())
    row = counter("posts_total", "Posts.", posted, labels=("express", "code", "to", "is_fast"))
    with (
        pytest.MonkeyPatch.context() as patch,
        subscribe([row], registry, namespace="acme", label_limits={"code": 20, "to": 20}),
    ):
        patch.setattr(PreparedReceivers, "CALLS_BEFORE_PREPARING", calls_before_preparing)
        for call in calls:
            posted.emit(**call)
        [family] = registry.collect()
        return {(*sorted(each.labels.items()),): each.value for each in family.samples if each.value < 1e9}


@pytest.mark.lenient
@pytest.mark.parametrize("calls_before_preparing", [0, inf])
@pytest.mark.parametrize("label", LOOKALIKES)
def test_values_that_are_equal_and_no_label_value_in_common_are_counted_apart(
    label: str, calls_before_preparing: float
) -> None:
    calls = [{label: value} for value in LOOKALIKES[label]]
    expected: Counter[Any] = Counter()
    for call in calls:  # each is the first that its subscription sees
        expected.update(posts([call], inf))
    assert posts(calls, calls_before_preparing) == dict(expected)


class Unhashed(str):
    """A text that has no hash."""

    __slots__ = ()

    def __hash__(self) -> int:
        raise ZeroDivisionError


class Incomparable:
    """What has the hash of a text, and cannot be compared with it."""

    def __hash__(self) -> int:
        return hash("m1")

    def __eq__(self, _: object) -> bool:
        raise ZeroDivisionError

    def __str__(self) -> str:
        return "m2"


@pytest.mark.lenient
@pytest.mark.parametrize("calls_before_preparing", [0, inf])
def test_labels_that_cannot_be_looked_up_are_counted_by_their_text(
    registry: CollectorRegistry, calls_before_preparing: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(PreparedReceivers, "CALLS_BEFORE_PREPARING", calls_before_preparing)
    with subscribe(LLM, registry, namespace="acme"), receiver_failed.captured() as failures:
        for model in ("m1", Unhashed("m1"), Incomparable(), Unhashed("m1")):
            llm_called.emit(**{**USUAL, "model": model})
        counted = [
            registry.get_sample_value("acme_llm_tokens_total", {"model": model, "token_type": "prompt"})
            for model in ("m1", "m2")
        ]
    assert counted == [21, 7]
    assert failures == []


@dataclass(frozen=True, slots=True, kw_only=True)
class Weighed:
    """An event with a property that is not said to be derived."""

    weight: float

    @property
    def is_heavy(self) -> bool:
        """Whether it is more than a kilogram."""
        return self.weight > 1


def test_for_a_property_the_event_is_built(registry: CollectorRegistry, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(PreparedReceivers, "CALLS_BEFORE_PREPARING", 0)
    weighed: Signal[..., Weighed] = Signal(Weighed, Namespace())
    row = counter("parcels_total", "Parcels.", weighed, labels=("is_heavy",))
    with subscribe([row], registry, namespace="acme") as subscription:
        [receiver] = [each for signal, each in subscription._receivers if signal is weighed]
        assert receiver.prepare(("weight",)) is None
        for weight in (0.5, 2.0, 3.0):
            weighed.emit(weight=weight)
        assert registry.get_sample_value("acme_parcels_total", {"is_heavy": "true"}) == 2


def test_ever_new_values_past_the_limit_take_one_prepared_update(registry: CollectorRegistry) -> None:
    with subscribe(LLM, registry, namespace="acme", label_limits={"model": 1}) as subscription:
        [receiver] = [each for signal, each in subscription._receivers if signal is llm_called]
        for number in range(100):
            llm_called.emit(model=f"m{number}", status="success", duration=1.0)
        [updates] = receiver._prepared.values()
        labels = {"model": "other", "provider": "unknown", "status": "success"}
        assert registry.get_sample_value("acme_llm_requests_total", labels) == 99
    assert len(updates.folded) == 1
    assert not updates.compiled  # the first came before names were prepared for


def test_a_value_that_was_counted_is_not_looked_for_among_the_limits_again(registry: CollectorRegistry) -> None:
    """Values past the limit of another label come with it, each a new one."""
    asked: list[Any] = []
    with subscribe(LLM, registry, namespace="acme", label_limits={"model": 1}) as subscription:
        [receiver] = [each for signal, each in subscription._receivers if signal is llm_called]

        def noting(is_other: Callable[[Any], bool], value: Any) -> bool:
            asked.append(value)
            return is_other(value)

        labels = {name: partial(noting, receiver._labels[name]) for name in ("model", "provider")}
        updates = CompiledUpdates(receiver, receiver._fields, labels, (), None)
        for number in range(5):
            updates(LLMCalled(model=f"m{number}", provider="p", status="success", duration=1.0))
    assert asked == ["m0", "p", "m1", "m2", "m3", "m4"]
    assert (len(updates.compiled), len(updates.folded)) == (1, 1)


def test_updates_are_prepared_for_a_bounded_number_of_sets_of_names(registry: CollectorRegistry) -> None:
    with subscribe(LLM, registry, namespace="acme") as subscription:
        [receiver] = [each for signal, each in subscription._receivers if signal is llm_called]
        first = receiver.prepare(("model",))
        assert receiver.prepare(("model",)) is first
        for number in range(MetricsReceiver.MAX_PREPARED):
            receiver.prepare(("model", f"field_{number}"))
        assert len(receiver._prepared) <= MetricsReceiver.MAX_PREPARED


def test_a_gauge_that_keeps_what_it_was_set_to_is_left_alone_where_its_field_is_never_set(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As those of the limits of a provider that does not say them."""
    set_gauges = Mock(wraps=compiled_updates.set_gauges)
    monkeypatch.setattr(compiled_updates, "set_gauges", set_gauges)
    attempt: Any = {"model": "m", "provider": "p", "outcome": "success", "duration": 0.5}
    registry = CollectorRegistry()
    with subscribe(LLM, registry, namespace="acme"):
        llm_attempted.emit(**attempt, limit_requests=9)
        for _ in range(PreparedReceivers.CALLS_BEFORE_PREPARING):  # until then each event is built
            llm_attempted.emit(**attempt)
        set_gauges.reset_mock()
        llm_attempted.emit(**attempt)
        set_gauges.assert_not_called()
        labels = {"model": "m", "provider": "p", "resource": "requests"}
        assert registry.get_sample_value("acme_llm_rate_limit", labels) == 9
